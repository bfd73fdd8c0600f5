import { createRequire } from 'node:module';
import { errorCatalogue } from '#errors';

/** The package has no types; this is the part that is used. */
const validate = createRequire(import.meta.url)('asl-validator') as (definition: unknown) => {
  readonly errors: readonly { readonly 'Error code': string; readonly Message: string }[];
};

/**
 * Holds a state machine against the Amazon States Language (structure, transitions, paths: by
 * asl-validator) and against our own rules, which no schema knows. Returns what is wrong.
 */
export function checkStateMachine(definition: StateMachine): string[] {
  const problems: string[] = [];
  // A copy, as the validator changes what it is given, with the ARNs that a deployment fills in.
  const anyArn = 'arn:aws:lambda:eu-west-1:123456789012:function:$1';
  const { errors } = validate(
    JSON.parse(JSON.stringify(definition).replaceAll(/\$\{(\w+)\}/g, anyArn)),
  );
  for (const error of errors) problems.push(`${error['Error code']}: ${error.Message}`);
  for (const { name, state } of everyState(definition)) {
    const say = (message: string) => problems.push(`${name}: ${message}`);
    if (state.Type === 'Task') checkTask(state, say);
    for (const retrier of state.Retry ?? []) checkRetrier(retrier, say);
    checkOrder(state.Retry ?? [], 'Retry', say);
    checkOrder(state.Catch ?? [], 'Catch', say);
    for (const { ErrorEquals } of state.Catch ?? []) ErrorEquals.forEach(checkErrorName(say));
  }
  checkEveryEndIsTold(definition, problems);
  return problems;
}

export interface StateMachine {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, State>>;
}

interface Retrier {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds?: number;
  readonly MaxAttempts?: number;
  readonly BackoffRate?: number;
  readonly MaxDelaySeconds?: number;
}

interface State {
  readonly Type: string;
  readonly Resource?: string;
  readonly Parameters?: unknown;
  readonly TimeoutSeconds?: number;
  readonly TimeoutSecondsPath?: string;
  readonly HeartbeatSeconds?: number;
  readonly HeartbeatSecondsPath?: string;
  readonly Retry?: readonly Retrier[];
  readonly Catch?: readonly { readonly ErrorEquals: readonly string[]; readonly Next: string }[];
  readonly Next?: string;
  readonly Default?: string;
  readonly Choices?: readonly { readonly Next: string }[];
  readonly Branches?: readonly StateMachine[];
  readonly ItemProcessor?: StateMachine;
}

/** Every state at every depth, with the container that would get its failure. */
export function* everyState(
  machine: StateMachine,
  container?: State,
): Generator<{ name: string; state: State; container: State | undefined }> {
  for (const [name, state] of Object.entries(machine.States)) {
    yield { name, state, container };
    for (const inner of innerMachines(state)) yield* everyState(inner, state);
  }
}

function innerMachines(state: State): readonly StateMachine[] {
  return [...(state.Branches ?? []), ...(state.ItemProcessor ? [state.ItemProcessor] : [])];
}

type Say = (message: string) => void;

/** `lambda:invoke.waitForTaskToken`, whose ARN begins otherwise in China and in GovCloud. */
const TOKEN_WAIT = `\${LambdaInvokeWaitForTaskToken}`;
const OWN_FUNCTION = /^\$\{[A-Z]\w*FunctionArn\}$/;

/** The placeholder of the function that a Task calls: `PlanBackupFunctionArn`. */
export function functionOf(state: State): string | undefined {
  const text = `${state.Resource} ${JSON.stringify(state.Parameters ?? {})}`;
  return /\$\{(\w+FunctionArn)\}/.exec(text)?.[1];
}

function checkTask(state: State, say: Say): void {
  const { Resource = '' } = state;
  const waits = Resource === TOKEN_WAIT;
  if (!waits && !OWN_FUNCTION.test(Resource)) {
    say(`${Resource} is no integration we use`);
  }
  if (state.TimeoutSeconds === undefined && state.TimeoutSecondsPath === undefined) {
    say('a Task needs a timeout; the default is a year');
  }
  const { HeartbeatSeconds, TimeoutSeconds } = state;
  if (
    HeartbeatSeconds !== undefined &&
    TimeoutSeconds !== undefined &&
    HeartbeatSeconds >= TimeoutSeconds
  ) {
    say(`a heartbeat of ${HeartbeatSeconds} s never comes before the timeout`);
  }
  const hasToken = JSON.stringify(state.Parameters ?? {}).includes('"$$.Task.Token"');
  if (waits && !hasToken) say('waits for a token that it gives to nobody');
  if (!waits && hasToken) say('gives out a token that it does not wait for');
  if (waits && HeartbeatSeconds === undefined && state.HeartbeatSecondsPath === undefined) {
    say('a token wait needs a heartbeat');
  }
}

/** Of AWS, the ones that pass. https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html */
const TRANSIENT_ERRORS = new Set([
  'Lambda.ServiceException',
  'Lambda.AWSLambdaException',
  'Lambda.SdkClientException',
  'Lambda.TooManyRequestsException',
  'Lambda.ClientExecutionTimeoutException',
]);
/** Reserved names that a Catch may single out. */
const RESERVED_ERRORS = new Set([
  'States.ALL',
  'States.Timeout',
  'States.HeartbeatTimeout',
  'States.TaskFailed',
]);

const checkErrorName = (say: Say) => (name: string) => {
  if (errorCatalogue.has(name) || TRANSIENT_ERRORS.has(name) || RESERVED_ERRORS.has(name)) return;
  say(`${name} is no error of ours, of Lambda or of Step Functions`);
};

function checkRetrier(retrier: Retrier, say: Say): void {
  retrier.ErrorEquals.forEach(checkErrorName(say));
  for (const name of retrier.ErrorEquals) {
    const known = errorCatalogue.get(name);
    if (known && !known.retryable) say(`${name} is retried, but a retry cannot help`);
    if (RESERVED_ERRORS.has(name)) say(`${name} is retried: name the errors that pass`);
  }
  // Step Functions' own defaults are 1 second and 3 attempts, easily taken for "no retry" or "for ever".
  const { IntervalSeconds = 0, MaxAttempts = 0, BackoffRate = 0, MaxDelaySeconds = 0 } = retrier;
  if (IntervalSeconds < 1) say('a Retry says its IntervalSeconds');
  if (MaxAttempts < 1 || MaxAttempts > 20) say('a Retry has 1 to 20 MaxAttempts');
  if (BackoffRate < 1) say('a Retry says its BackoffRate');
  if (MaxDelaySeconds <= IntervalSeconds) say('a Retry has a MaxDelaySeconds above its interval');
}

/** The first that matches wins: nothing after States.ALL, no name twice. */
function checkOrder(rules: readonly { ErrorEquals: readonly string[] }[], what: string, say: Say) {
  const seen = new Set<string>();
  for (const { ErrorEquals } of rules) {
    if (seen.has('States.ALL')) say(`a ${what} after States.ALL is never reached`);
    if (ErrorEquals.length > 1 && ErrorEquals.includes('States.ALL')) {
      say(`States.ALL stands alone in a ${what}`);
    }
    for (const name of ErrorEquals) {
      if (seen.has(name)) say(`${name} stands in two ${what} rules; the second is never reached`);
      seen.add(name);
    }
  }
}

/** No way, good or bad, from the start to an end that does not pass the alert. */
function checkEveryEndIsTold(machine: StateMachine, problems: string[]): void {
  for (const { name, state, container } of everyState(machine)) {
    const fails = ['Task', 'Map', 'Parallel'].includes(state.Type);
    if (!fails || container || catchesAll(state)) continue;
    problems.push(`${name}: a failure ends the run without an alert; catch States.ALL`);
  }
  for (const { name, state, container } of everyState(machine)) {
    // In a branch a failure may stay, where the run can go on, or rise to the container.
    if (state.Type !== 'Task' || !container || catchesAll(state) || catchesAll(container)) continue;
    problems.push(`${name}: its failure is caught neither here nor by its container`);
  }
  const reached = new Set<string>();
  const visit = (name: string): void => {
    const state = machine.States[name];
    if (!state || reached.has(name)) return;
    reached.add(name);
    if (/^Notify\w*FunctionArn$/.test(functionOf(state) ?? '')) return;
    if (['Succeed', 'Fail'].includes(state.Type) || !nextStates(state).length) {
      problems.push(`${name}: can be reached without an alert`);
    }
    nextStates(state).forEach(visit);
  };
  visit(machine.StartAt);
}

function catchesAll(state: State): boolean {
  return (state.Catch ?? []).some(({ ErrorEquals }) => ErrorEquals.includes('States.ALL'));
}

function nextStates(state: State): string[] {
  const nexts = [state, ...(state.Choices ?? []), ...(state.Catch ?? [])].map(({ Next }) => Next);
  return [...nexts, state.Default].filter((name) => name !== undefined);
}
