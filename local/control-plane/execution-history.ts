import type { StateEvent } from './workflow-run.ts';

/** One event in the shape of GetExecutionHistory, as far as we tell the story. */
export interface HistoryEvent {
  readonly id: number;
  readonly previousEventId: number;
  readonly timestamp: Date;
  readonly type: string;
  readonly [details: string]: unknown;
}

/** Type and details of the history's event; undefined where Step Functions records none. */
export function historyEvent(event: StateEvent): { type: string; details: object } | undefined {
  const { type, state, stateType, input, output, error, cause, index } = event;
  switch (type) {
    case 'StateEntered':
      return {
        type: `${stateType}StateEntered`,
        details: { stateEnteredEventDetails: { name: state, input: JSON.stringify(input) } },
      };
    case 'StateExited':
      return {
        type: `${stateType}StateExited`,
        details: { stateExitedEventDetails: { name: state, output: JSON.stringify(output) } },
      };
    case 'StateFailed':
      if (stateType === 'Task') {
        const details = { resourceType: 'lambda', resource: 'invoke', error, cause };
        const timedOut = error === 'States.Timeout' || error === 'States.HeartbeatTimeout';
        return timedOut
          ? { type: 'TaskTimedOut', details: { taskTimedOutEventDetails: details } }
          : { type: 'TaskFailed', details: { taskFailedEventDetails: details } };
      }
      return stateType === 'Map' || stateType === 'Parallel'
        ? { type: `${stateType}StateFailed`, details: {} }
        : undefined;
    case 'MapIterationStarted':
    case 'MapIterationSucceeded':
    case 'MapIterationFailed':
      return { type, details: { [detailsName(type)]: { name: state, index } } };
    case 'StateRetried':
    case 'StateCaught':
      return undefined;
  }
}

/** `mapIterationStartedEventDetails` and so on. */
function detailsName(type: string): string {
  return `${type.charAt(0).toLowerCase()}${type.slice(1)}EventDetails`;
}
