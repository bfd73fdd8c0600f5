import { GetSecretValueCommand, type SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import * as z from 'zod';
import { SecretUnusable } from '#errors';
import type { Clock } from '#runtime/ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/** Short beside a rotation's interval; a rejected password fetches the secret anew anyway. */
const CACHE_MILLISECONDS = 5 * 60 * 1000;

/** What RDS and the rotation functions write; further fields (host, port, dbname) are not used. */
const SecretDocument = z.object({
  username: z.string().min(1).optional(),
  password: z.string().min(1),
});
export type Credentials = z.infer<typeof SecretDocument>;

export interface Secrets {
  /** At most 5 minutes old; with `refresh` just fetched. Throws SecretUnusable, AccessDenied. */
  credentials(secretId: string, options?: { refresh?: boolean }): Promise<Credentials>;
}

export function makeSecrets(options: {
  client: SecretsManagerClient;
  clock: Pick<Clock, 'now'>;
}): Secrets {
  const { client, clock } = options;
  const cache = new Map<string, { fetchedAt: number; credentials: Credentials }>();
  return {
    async credentials(secretId, { refresh = false } = {}) {
      const now = clock.now().getTime();
      const known = cache.get(secretId);
      if (!refresh && known && now - known.fetchedAt < CACHE_MILLISECONDS) return known.credentials;
      const credentials = readDocument(secretId, await fetchSecret(client, secretId));
      cache.set(secretId, { fetchedAt: now, credentials });
      return credentials;
    },
  };
}

const UNUSABLE: Readonly<Record<string, string>> = {
  ResourceNotFoundException: 'does not exist',
  InvalidRequestException: 'is marked for deletion or has no value yet',
  InvalidParameterException: 'is not a name or ARN that Secrets Manager takes',
  DecryptionFailure: 'cannot be decrypted with its KMS key',
};

async function fetchSecret(client: SecretsManagerClient, secretId: string): Promise<string> {
  try {
    const { SecretString, SecretBinary } = await client.send(
      new GetSecretValueCommand({ SecretId: secretId }),
    );
    return SecretString ?? Buffer.from(SecretBinary ?? []).toString('utf8');
  } catch (error) {
    const problem = UNUSABLE[awsErrorName(error)];
    if (!problem) throw translateAwsError(error, `get secret ${secretId}`);
    throw new SecretUnusable(`secret ${secretId} ${problem}`, {
      remedy: 'correct connection.auth.secretId in the plan, or restore the secret',
      cause: error,
    });
  }
}

/** Errors here name the secret and what is missing; never a part of its value, so no cause either. */
function readDocument(secretId: string, text: string): Credentials {
  const result = SecretDocument.safeParse(parseJson(text));
  if (result.success) return result.data;
  const problem = result.error.issues[0]?.path.join('.') || 'JSON object';
  throw new SecretUnusable(`secret ${secretId} has no usable ${problem}`, {
    remedy: 'store {"username": "…", "password": "…"} in it, as RDS does',
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
