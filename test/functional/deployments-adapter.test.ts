import { GetParameterCommand, ParameterNotFound, SSMClient } from '@aws-sdk/client-ssm';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeDeployments } from '#adapters/deployments.ts';
import { RECORD } from '#test/cli.ts';

const ssm = mockClient(SSMClient);
const deployments = makeDeployments({ client: new SSMClient({}), region: 'eu-west-1' });
const answer = (value: unknown) =>
  ssm
    .on(GetParameterCommand, { Name: '/holdfast/test/deployment' })
    .resolves({ Parameter: { Value: JSON.stringify(value) } });

beforeEach(() => {
  ssm.reset();
});

describe('the record of a deployment', () => {
  it('is read from the parameter of its stage', async () => {
    answer(RECORD);
    expect(await deployments.load('test')).toEqual(RECORD);
  });

  it('may have more than this version knows, and less that is new', async () => {
    const { taskDefinitions: _none, ...older } = RECORD;
    answer({ ...older, stateMachines: { backup: RECORD.stateMachines.backup }, later: 1 });
    expect(await deployments.load('test')).toEqual({
      ...older,
      stateMachines: { backup: RECORD.stateMachines.backup },
      taskDefinitions: {},
    });
  });

  it('is not there: the stage and the region are named, with how to name others', async () => {
    ssm
      .on(GetParameterCommand)
      .rejects(new ParameterNotFound({ message: '', $metadata: { httpStatusCode: 400 } }));
    await expect(deployments.load('prdo')).rejects.toMatchObject({
      name: 'DeploymentNotFound',
      message: expect.stringMatching(/"prdo" in eu-west-1.*--stage and --region/),
    });
  });

  it.each([{ version: 2 }, 'text', { ...RECORD, bucket: undefined }])(
    'is refused as %j',
    async (value) => {
      answer(value);
      await expect(deployments.load('test')).rejects.toMatchObject({ name: 'InvalidEnvironment' });
    },
  );
});
