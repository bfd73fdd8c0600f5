import {
  DescribeExecutionCommand,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  type SFNClient,
} from '@aws-sdk/client-sfn';
import type { Workflow } from '#runtime/ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/**
 * Step Functions takes 32,768 characters of a cause, but every failed database's cause is in the run's
 * data, which ends at 262,144 bytes: the first 600 say why, the rest is in the task's log.
 */
const CAUSE_LIMIT = 600;

/** A token that was answered, timed out, or whose execution is over. */
const CLOSED = new Set(['TaskTimedOut', 'TaskDoesNotExist', 'InvalidToken']);

/** Step Functions' side of a waiting task. */
export function makeWorkflow(client: SFNClient): Workflow {
  async function answer<Open extends string>(
    what: string,
    open: Open,
    send: () => Promise<unknown>,
  ): Promise<Open | 'closed'> {
    try {
      await send();
      return open;
    } catch (error) {
      if (CLOSED.has(awsErrorName(error))) return 'closed';
      throw translateAwsError(error, what);
    }
  }
  return {
    succeed: (taskToken, output) =>
      answer('send task success', 'answered', () =>
        client.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) })),
      ),
    fail: (taskToken, error, cause) =>
      answer('send task failure', 'answered', () =>
        client.send(
          new SendTaskFailureCommand({ taskToken, error, cause: cause.slice(0, CAUSE_LIMIT) }),
        ),
      ),
    heartbeat: (taskToken) =>
      answer('send task heartbeat', 'alive', () =>
        client.send(new SendTaskHeartbeatCommand({ taskToken })),
      ),
    async executionStatus(executionArn) {
      try {
        const out = await client.send(new DescribeExecutionCommand({ executionArn }));
        return out.status;
      } catch (error) {
        if (awsErrorName(error) === 'ExecutionDoesNotExist') return undefined;
        throw translateAwsError(error, 'describe execution');
      }
    },
  };
}
