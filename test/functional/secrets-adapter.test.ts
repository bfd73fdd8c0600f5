import {
  DecryptionFailure,
  GetSecretValueCommand,
  InvalidRequestException,
  ResourceNotFoundException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeSecrets } from '#adapters/secrets.ts';
import { makeClock } from '#test/fakes.ts';

const manager = mockClient(SecretsManagerClient);
const fault = { message: '', $metadata: { httpStatusCode: 400 } };
const makeAdapter = (clock = makeClock()) =>
  makeSecrets({ client: new SecretsManagerClient({}), clock });

beforeEach(() => {
  manager.reset();
});

describe('the credentials in a secret', () => {
  it('are fetched once in five minutes', async () => {
    const clock = makeClock();
    const secrets = makeAdapter(clock);
    manager
      .on(GetSecretValueCommand)
      .resolvesOnce({ SecretString: '{"username":"u","password":"one","host":"h"}' })
      .resolves({ SecretString: '{"username":"u","password":"two"}' });
    expect(await secrets.credentials('db')).toEqual({ username: 'u', password: 'one' });
    clock.advance(299_000);
    expect(await secrets.credentials('db')).toMatchObject({ password: 'one' });
    clock.advance(1000);
    expect(await secrets.credentials('db')).toMatchObject({ password: 'two' });
  });

  it('are fetched at once when they must be fresh', async () => {
    const secrets = makeAdapter();
    manager
      .on(GetSecretValueCommand)
      .resolvesOnce({ SecretString: '{"password":"one"}' })
      .resolves({ SecretBinary: Buffer.from('{"password":"two"}') });
    await secrets.credentials('db');
    expect(await secrets.credentials('db', { refresh: true })).toEqual({ password: 'two' });
    expect(await secrets.credentials('db')).toEqual({ password: 'two' });
  });

  it.each([
    ['not JSON', 'hunter2-very-secret', 'JSON object'],
    ['a list', '["hunter2-very-secret"]', 'JSON object'],
    ['without password', '{"username":"hunter2-very-secret"}', 'password'],
    ['with an empty password', '{"password":"","x":"hunter2-very-secret"}', 'password'],
  ])(
    'that is %s are unusable, and nothing of it is in the error',
    async (_, SecretString, what) => {
      manager.on(GetSecretValueCommand).resolves({ SecretString });
      const error = await makeAdapter()
        .credentials('db')
        .catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({
        name: 'SecretUnusable',
        message: expect.stringContaining(`secret db has no usable ${what}`),
        cause: undefined,
      });
      expect(JSON.stringify(error) + String(error)).not.toContain('hunter2');
    },
  );

  it.each([
    [new ResourceNotFoundException(fault), 'SecretUnusable', 'does not exist'],
    [new InvalidRequestException(fault), 'SecretUnusable', 'marked for deletion'],
    [new DecryptionFailure(fault), 'SecretUnusable', 'cannot be decrypted'],
    [
      Object.assign(new Error('no'), { name: 'AccessDeniedException' }),
      'AccessDenied',
      'get secret db',
    ],
    [Object.assign(new Error('no'), { name: 'ThrottlingException' }), 'Throttled', 'get secret db'],
  ])('that cannot be had because of %s are %s', async (error, name, message) => {
    manager.on(GetSecretValueCommand).rejects(error);
    await expect(makeAdapter().credentials('db')).rejects.toThrow(
      expect.objectContaining({ name, message: expect.stringContaining(message) }),
    );
  });
});
