import {
  DescribeExecutionCommand,
  ExecutionDoesNotExist,
  GetExecutionHistoryCommand,
  SFNClient,
  StartExecutionCommand,
  StateMachineDoesNotExist,
} from '@aws-sdk/client-sfn';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeExecutions } from '#adapters/executions.ts';
import { executionArnOf, STATE_MACHINE_ARN } from '#test/fakes.ts';

const sfn = mockClient(SFNClient);
const executions = makeExecutions(new SFNClient({}));
const ARN = executionArnOf('r1');
const fault = { message: '', $metadata: { httpStatusCode: 400 } };

beforeEach(() => {
  sfn.reset();
});

describe('an execution', () => {
  it('is started with its input as JSON', async () => {
    const startDate = new Date('2026-11-20T03:00:00.000Z');
    sfn.on(StartExecutionCommand).resolves({ executionArn: ARN, startDate });
    const request = { stateMachineArn: STATE_MACHINE_ARN, name: 'r1', input: { source: 'orders' } };
    expect(await executions.start(request)).toEqual({ executionArn: ARN, startedAt: startDate });
    expect(sfn.commandCalls(StartExecutionCommand)[0]?.args[0].input).toEqual({
      ...request,
      input: '{"source":"orders"}',
    });
  });

  it('cannot be started without its state machine', async () => {
    sfn.on(StartExecutionCommand).rejects(new StateMachineDoesNotExist(fault));
    await expect(
      executions.start({ stateMachineArn: STATE_MACHINE_ARN, name: 'r1', input: {} }),
    ).rejects.toMatchObject({ name: 'DeploymentNotFound' });
  });

  it('is described, and unknown when Step Functions does not know it yet', async () => {
    sfn.on(DescribeExecutionCommand).resolvesOnce({
      executionArn: ARN,
      stateMachineArn: STATE_MACHINE_ARN,
      status: 'FAILED',
      startDate: new Date(1000),
      stopDate: new Date(2000),
      error: 'LockTimeout',
      cause: 'waited',
    });
    expect(await executions.describe(ARN)).toEqual({
      executionArn: ARN,
      status: 'FAILED',
      startedAt: new Date(1000),
      endedAt: new Date(2000),
      error: 'LockTimeout',
      cause: 'waited',
    });
    sfn.on(DescribeExecutionCommand).rejects(new ExecutionDoesNotExist(fault));
    expect(await executions.describe(ARN)).toBeUndefined();
  });
});

describe('the transitions of an execution', () => {
  const timestamp = new Date(5000);
  const entered = (id: number, name: string, type: 'TaskStateEntered' | 'WaitStateEntered') => ({
    id,
    timestamp,
    type,
    stateEnteredEventDetails: { name, input: `{"n":${id}}` },
  });

  it('are those after the one that is known, oldest first, from the newest page on', async () => {
    sfn
      .on(GetExecutionHistoryCommand)
      .resolvesOnce({
        nextToken: 'next',
        events: [
          {
            id: 6,
            timestamp,
            type: 'TaskStateExited',
            stateExitedEventDetails: { name: 'B', output: 'no JSON' },
          },
          { id: 5, timestamp, type: 'TaskSucceeded' },
        ],
      })
      .resolvesOnce({
        nextToken: 'more',
        events: [entered(4, 'B', 'TaskStateEntered'), entered(3, 'A', 'WaitStateEntered')],
      })
      .rejects(new Error('a page that nobody needs was asked for'));
    expect(await executions.transitions(ARN, 3)).toEqual([
      { id: 4, time: timestamp, type: 'entered', state: 'B', stateType: 'Task', data: { n: 4 } },
      { id: 6, time: timestamp, type: 'exited', state: 'B', stateType: 'Task', data: undefined },
    ]);
    expect(sfn.commandCalls(GetExecutionHistoryCommand)[0]?.args[0].input).toMatchObject({
      reverseOrder: true,
      includeExecutionData: true,
    });
  });

  it('are none of an execution that is not known yet', async () => {
    sfn.on(GetExecutionHistoryCommand).rejects(new ExecutionDoesNotExist(fault));
    expect(await executions.transitions(ARN, 0)).toEqual([]);
  });
});
