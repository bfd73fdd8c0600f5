import {
  DescribeExecutionCommand,
  type HistoryEvent,
  paginateGetExecutionHistory,
  type SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import { DeploymentNotFound } from '#errors';
import type { ExecutionStatus, Executions, StateTransition } from '#runtime/operator-ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/** GetExecutionHistory: at most 1,000 a page. */
const PAGE_SIZE = 1_000;

/** Executions of state machines through the Step Functions client. */
export function makeExecutions(client: SFNClient): Executions {
  return {
    async start({ stateMachineArn, name, input }) {
      try {
        const out = await client.send(
          new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify(input) }),
        );
        return {
          executionArn: out.executionArn ?? '',
          startedAt: out.startDate ?? new Date(Number.NaN),
        };
      } catch (error) {
        if (awsErrorName(error) === 'StateMachineDoesNotExist') {
          throw new DeploymentNotFound(`there is no state machine ${stateMachineArn}`, {
            remedy: 'deploy the stack again: its record names one that is gone',
            cause: error,
          });
        }
        throw translateAwsError(error, `start ${stateMachineArn}`);
      }
    },

    async describe(executionArn) {
      try {
        const out = await client.send(new DescribeExecutionCommand({ executionArn }));
        return {
          executionArn,
          status: (out.status ?? 'RUNNING') as ExecutionStatus,
          startedAt: out.startDate ?? new Date(Number.NaN),
          endedAt: out.stopDate,
          error: out.error,
          cause: out.cause,
        };
      } catch (error) {
        if (awsErrorName(error) === 'ExecutionDoesNotExist') return undefined;
        throw translateAwsError(error, 'describe execution');
      }
    },

    async transitions(executionArn, afterId) {
      const newestFirst: StateTransition[] = [];
      try {
        // From the end: what is known already is then never asked for again.
        const pages = paginateGetExecutionHistory(
          { client, pageSize: PAGE_SIZE },
          { executionArn, reverseOrder: true, includeExecutionData: true },
        );
        for await (const { events = [] } of pages) {
          for (const event of events) {
            if ((event.id ?? 0) <= afterId) return newestFirst.reverse();
            const transition = transitionOf(event);
            if (transition) newestFirst.push(transition);
          }
        }
      } catch (error) {
        if (awsErrorName(error) === 'ExecutionDoesNotExist') return [];
        throw translateAwsError(error, 'get execution history');
      }
      return newestFirst.reverse();
    },
  };
}

/** `TaskStateEntered`, `MapStateExited` and so on; anything else is undefined. */
function transitionOf(event: HistoryEvent): StateTransition | undefined {
  const [, stateType = '', type] = /^(\w+)State(Entered|Exited)$/.exec(event.type ?? '') ?? [];
  if (type === undefined) return undefined;
  const { stateEnteredEventDetails: entered, stateExitedEventDetails: exited } = event;
  return {
    id: event.id ?? 0,
    time: event.timestamp ?? new Date(Number.NaN),
    type: type === 'Entered' ? 'entered' : 'exited',
    state: entered?.name ?? exited?.name ?? '',
    stateType,
    data: parseJson(entered?.input ?? exited?.output ?? ''),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
