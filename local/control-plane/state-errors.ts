import { StateMachine } from 'aws-local-stepfunctions';

/**
 * An error inside of a state machine: `name` is what `ErrorEquals` matches, `message` is the Cause.
 * `isRetryable` and `isCatchable` are what the interpreter asks: terminal errors
 * (States.Runtime, States.DataLimitExceeded) pass by States.ALL, as the Step Functions guide says.
 */
export class StateError extends Error {
  override readonly name: string;
  readonly isRetryable: boolean;
  readonly isCatchable: boolean;

  constructor(name: string, cause: string | undefined, kind: 'ordinary' | 'terminal' = 'ordinary') {
    super(cause);
    this.name = name;
    this.isRetryable = kind === 'ordinary';
    this.isCatchable = kind === 'ordinary';
    if (cause === undefined) omitCause(this);
  }
}

/** No "Cause" member where there is none, rather than an empty one that a path could rely on. */
function omitCause(error: Error): void {
  Object.defineProperty(error, 'message', { value: undefined });
}

/** "Step Functions service quotas": 256 KiB for the input or output of a state or an execution. */
export const MAX_PAYLOAD_BYTES = 262_144;

/** Throws States.DataLimitExceeded. */
export function checkPayload(value: unknown, what: string): void {
  const sizeBytes = Buffer.byteLength(JSON.stringify(value) ?? '');
  if (sizeBytes <= MAX_PAYLOAD_BYTES) return;
  throw new StateError(
    'States.DataLimitExceeded',
    `${what} has ${sizeBytes} bytes, more than the maximum of ${MAX_PAYLOAD_BYTES}`,
    'terminal',
  );
}

/** What Lambda makes of whatever a handler threw: the name goes up, the rest is JSON in the Cause. */
export function lambdaError(thrown: unknown): StateError {
  const isError = thrown instanceof Error;
  const errorType = isError ? thrown.name : typeof thrown;
  const errorMessage = isError ? thrown.message : String(thrown);
  const trace = isError ? (thrown.stack ?? '').split('\n') : [];
  return new StateError(errorType, JSON.stringify({ errorType, errorMessage, trace }));
}

export type TimeoutError = (name: 'States.Timeout' | 'States.HeartbeatTimeout') => Error;

/**
 * Makes timeouts of the interpreter's own class: that is how it knows what `States.TaskFailed` must not
 * match. It does not export the class, so we let a state of one millisecond time out and look.
 */
export async function loadTimeoutError(): Promise<TimeoutError> {
  const definition = {
    StartAt: 'Late',
    States: { Late: { Type: 'Task', Resource: '', TimeoutSeconds: 0.001, End: true } },
  } as const;
  const machine = new StateMachine(definition, { validationOptions: { noValidate: true } });
  const never = () => new Promise<never>(() => undefined);
  const { result } = machine.run({}, { overrides: { taskResourceLocalHandlers: { Late: never } } });
  const failure = await result.catch((error: unknown) => error as Error);
  const timeout = (failure as Error).cause as Error;
  const TimeoutClass = timeout.constructor as new () => Error;
  return (name) => {
    const error = new TimeoutClass();
    error.name = name;
    omitCause(error);
    return error;
  };
}
