import {
  ClientException,
  ConflictException,
  ECSClient,
  InvalidParameterException,
  RunTaskCommand,
  ServerException,
} from '@aws-sdk/client-ecs';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeTasks } from '#adapters/tasks.ts';
import { launchForJob } from '#operations/launch-task.ts';
import { makeJob } from '#test/fakes.ts';

const ecs = mockClient(ECSClient);
const tasks = makeTasks({
  client: new ECSClient({}),
  clusterArn: 'arn:aws:ecs:eu-west-1:123456789012:cluster/holdfast',
  taskDefinition: (kind) => `holdfast-${kind.split('-')[0]}`,
});
const TASK = 'arn:aws:ecs:eu-west-1:123456789012:task/holdfast/1';
const network = { subnets: ['subnet-1'], securityGroups: ['sg-1'], assignPublicIp: false };
const job = makeJob({ network });
const fault = (message: string) => ({ message, $metadata: { httpStatusCode: 400 } });

/** The input of the one call that was made. */
function sent() {
  const [call] = ecs.commandCalls(RunTaskCommand);
  return call?.args[0].input;
}

beforeEach(() => {
  ecs.reset();
});

describe('a task that is launched', () => {
  it('gets its size, its network and two variables: the key of its order, and its kind', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: TASK }] });
    expect(await launchForJob({ tasks }, 'dump-database', job)).toBe(TASK);
    expect(sent()).toEqual({
      cluster: 'arn:aws:ecs:eu-west-1:123456789012:cluster/holdfast',
      taskDefinition: 'holdfast-dump',
      launchType: 'FARGATE',
      networkConfiguration: {
        awsvpcConfiguration: {
          subnets: ['subnet-1'],
          securityGroups: ['sg-1'],
          assignPublicIp: 'DISABLED',
        },
      },
      overrides: {
        cpu: '1024',
        memory: '2048',
        containerOverrides: [
          {
            name: 'holdfast',
            environment: [
              { name: 'HOLDFAST_JOB_KEY', value: `jobs/orders/shop/${job.backupId}.json` },
              { name: 'HOLDFAST_TASK_KIND', value: 'dump-database' },
            ],
          },
        ],
      },
      clientToken: `dump-database-${job.backupId}-1`,
      startedBy: job.backupId,
      propagateTags: 'TASK_DEFINITION',
      tags: [
        { key: 'holdfast:source', value: 'orders' },
        { key: 'holdfast:run', value: job.runId },
      ],
    });
  });

  it('never carries the task token or the secret, and stays far below the 8,192 characters', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: TASK }] });
    await launchForJob({ tasks }, 'dump-database', makeJob({ database: 'ö'.repeat(31) }));
    const text = JSON.stringify(sent());
    expect(text).not.toContain(job.taskToken);
    expect(text).not.toContain('holdfast/orders');
    expect(JSON.stringify(sent()?.overrides).length).toBeLessThan(1000);
  });

  it('on Spot names the capacity provider instead of the launch type', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: TASK }] });
    await launchForJob({ tasks }, 'dump-database', makeJob({ network, task: { spot: true } }));
    expect(sent()).toMatchObject({
      capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }],
    });
    expect(sent()).not.toHaveProperty('launchType');
  });

  it('to verify has its own definition and its own token', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: TASK }] });
    await launchForJob({ tasks }, 'verify-backup', job);
    expect(sent()).toMatchObject({
      taskDefinition: 'holdfast-verify',
      clientToken: `verify-backup-${job.backupId}-1`,
    });
  });

  it('to verify once more is another task, not the answer about the first one', async () => {
    ecs.on(RunTaskCommand).resolves({ tasks: [{ taskArn: TASK }] });
    await launchForJob({ tasks }, 'verify-backup', job, 2);
    expect(sent()).toMatchObject({ clientToken: `verify-backup-${job.backupId}-2` });
  });
});

describe('a task that ECS does not launch', () => {
  it.each([
    ['RESOURCE:ENI', 'TaskLaunchFailed', true],
    ['Capacity is unavailable at this time. Please try again later', 'TaskLaunchFailed', true],
    ['MISSING', 'TaskRejected', false],
    ['ATTRIBUTE', 'TaskRejected', false],
  ])('with HTTP 200 and the failure %s is %s', async (reason, name, retryable) => {
    ecs.on(RunTaskCommand).resolves({ tasks: [], failures: [{ reason, arn: 'arn:x' }] });
    await expect(launchForJob({ tasks }, 'dump-database', job)).rejects.toThrow(
      expect.objectContaining({ name, retryable, message: expect.stringContaining(reason) }),
    );
  });

  it.each([
    [new ClientException(fault('Role is not valid')), 'TaskRejected'],
    [new ClientException(fault('Capacity is unavailable at this time.')), 'TaskLaunchFailed'],
    [
      new InvalidParameterException(fault('Network Configuration must be provided')),
      'TaskRejected',
    ],
    [new ConflictException({ ...fault('token in use'), resourceIds: [] }), 'TaskRejected'],
    [Object.assign(new Error('no'), { name: 'AccessDeniedException' }), 'TaskRejected'],
    [Object.assign(new Error('slow'), { name: 'ThrottlingException' }), 'Throttled'],
    [
      new ServerException({ ...fault('oops'), $metadata: { httpStatusCode: 500 } }),
      'ServiceUnavailable',
    ],
  ])('with the exception %s is %s', async (error, name) => {
    ecs.on(RunTaskCommand).rejects(error);
    await expect(launchForJob({ tasks }, 'dump-database', job)).rejects.toThrow(
      expect.objectContaining({ name }),
    );
  });

  it('for want of a network is told where to write it', async () => {
    ecs
      .on(RunTaskCommand)
      .rejects(new InvalidParameterException(fault('Network Configuration must be provided')));
    await expect(launchForJob({ tasks }, 'dump-database', makeJob())).rejects.toThrow(
      'write network.subnets in the plan',
    );
    expect(sent()).not.toHaveProperty('networkConfiguration');
  });

  it('and does not say why is ServiceUnavailable', async () => {
    ecs.on(RunTaskCommand).resolves({});
    await expect(launchForJob({ tasks }, 'dump-database', job)).rejects.toThrow(
      expect.objectContaining({ name: 'ServiceUnavailable' }),
    );
  });
});
