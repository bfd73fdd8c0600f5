import type { StateMachineDefinition } from 'aws-local-stepfunctions';

/** A state machine, or a branch or item processor of one. JSONPath only. */
export interface AslDefinition {
  readonly StartAt: string;
  readonly States: Readonly<Record<string, AslState>>;
  readonly TimeoutSeconds?: number;
  readonly QueryLanguage?: string;
}

/** The members that we read; the others pass through. */
export interface AslState {
  readonly Type: 'Task' | 'Parallel' | 'Map' | 'Pass' | 'Wait' | 'Choice' | 'Succeed' | 'Fail';
  readonly Resource?: string;
  readonly Parameters?: unknown;
  readonly Result?: unknown;
  readonly InputPath?: string | null;
  readonly ResultPath?: string | null;
  readonly TimeoutSeconds?: number;
  readonly TimeoutSecondsPath?: string;
  readonly HeartbeatSeconds?: number;
  readonly HeartbeatSecondsPath?: string;
  readonly Seconds?: number;
  readonly SecondsPath?: string;
  readonly Timestamp?: string;
  readonly TimestampPath?: string;
  readonly Error?: string;
  readonly ErrorPath?: string;
  readonly Cause?: string;
  readonly CausePath?: string;
  readonly Branches?: readonly AslDefinition[];
  readonly ItemProcessor?: AslDefinition;
  readonly Iterator?: AslDefinition;
  readonly ItemSelector?: unknown;
  readonly ItemsPath?: string;
  readonly MaxConcurrency?: number;
  readonly MaxConcurrencyPath?: string;
  readonly Retry?: readonly AslRetrier[];
  readonly Catch?: readonly AslCatcher[];
  readonly Next?: string;
  readonly End?: boolean;
}

interface AslRetrier {
  readonly ErrorEquals: readonly string[];
  readonly IntervalSeconds?: number;
  readonly MaxDelaySeconds?: number;
}

interface AslCatcher {
  readonly ErrorEquals: readonly string[];
  readonly ResultPath?: string;
}

/** How a Task calls its Lambda: by its ARN, through lambda:invoke, or that with a task token. */
export type Integration = 'direct' | 'invoke' | 'token';

const INVOKE = 'arn:aws:states:::lambda:invoke';
/** As the files have it: a deployment puts in the ARN with its partition of AWS. */
const TOKEN_PLACEHOLDER = `\${LambdaInvokeWaitForTaskToken}`;

/** Undefined for a resource that is no Lambda. Any other placeholder stands for the ARN of one. */
export function integrationOf({ Resource = '' }: AslState): Integration | undefined {
  if (Resource === INVOKE) return 'invoke';
  if (Resource === `${INVOKE}.waitForTaskToken` || Resource === TOKEN_PLACEHOLDER) return 'token';
  return /^(arn:aws[\w-]*:lambda:|\$\{\w+\}$)/.test(Resource) ? 'direct' : undefined;
}

/** Members that would change what a state does and that nothing here carries out. */
const unsupported = ['QueryLanguage', 'Assign', 'ItemReader', 'ItemBatcher', 'ResultWriter'].concat(
  ['ToleratedFailureCount', 'ToleratedFailurePercentage', 'Arguments', 'Output', 'Credentials'],
);

/** Every state of a definition with its name, nested ones included. */
export function allStates(definition: AslDefinition): [string, AslState][] {
  return Object.entries(definition.States).flatMap(([name, state]) => [
    [name, state] as [string, AslState],
    ...nestedDefinitions(state).flatMap(allStates),
  ]);
}

function nestedDefinitions(state: AslState): readonly AslDefinition[] {
  const processor = processorOf(state);
  return [...(state.Branches ?? []), ...(processor ? [processor] : [])];
}

export function processorOf(state: AslState): AslDefinition | undefined {
  return state.ItemProcessor ?? state.Iterator;
}

/** @throws TypeError for a definition that we would carry out differently from Step Functions. */
export function checkSupported(definition: AslDefinition): void {
  const refuse = (what: string) => {
    throw new TypeError(`the local state machine does not know ${what}`);
  };
  if ((definition.QueryLanguage ?? 'JSONPath') !== 'JSONPath') refuse('JSONata');
  for (const [name, state] of allStates(definition)) {
    for (const member of unsupported) if (member in state) refuse(`${member} ("${name}")`);
    if (state.Type === 'Task') {
      const integration = integrationOf(state);
      if (!integration) refuse(`the resource ${state.Resource} ("${name}")`);
      const usesToken = JSON.stringify(state.Parameters ?? {}).includes('$$.Task.Token');
      if (usesToken !== (integration === 'token')) {
        refuse(`$$.Task.Token without .waitForTaskToken, or the reverse ("${name}")`);
      }
    }
    // The interpreter takes a falsy Result for none, and a waiting state keeps its whole input.
    if (state.Type === 'Pass' && 'Result' in state && !state.Result)
      refuse(`that Result ("${name}")`);
    if (state.Type === 'Wait' && 'InputPath' in state) refuse(`InputPath of a Wait ("${name}")`);
  }
}

/**
 * One level of a definition in a form that the interpreter runs faithfully. What needs our hands
 * (Task, Map, Parallel, Wait, Fail) becomes a Task with a local handler; its `Parameters` carry what the
 * handler needs, all paths resolved. The interpreter's own part stays: transitions, paths and payload
 * templates, intrinsic functions, Choice, Pass, Retry and Catch. The reasons, each for 3.0.0:
 * - a nested Map or Parallel sees one shared context: no `$$.Map.Item` inside an iteration, the
 *   iteration's input as `$$.Execution.Input`, one `$$.Task.Token` for all that run at once;
 * - a Task has 60 seconds by default, knows no heartbeat, and reads its paths after `Parameters`;
 * - `ResultPath: "$"` makes a member called "$"; a Fail without Cause invents one;
 * - `States.Timeout` does not match a heartbeat's timeout.
 *
 * @param onEnter is called when the interpreter comes to a state.
 * @param waitScale factor for the pauses of Retry.
 */
export function scopeDefinition(
  definition: AslDefinition,
  { onEnter, waitScale }: { onEnter: (name: string) => void; waitScale: number },
): StateMachineDefinition {
  const states = {};
  for (const [name, state] of Object.entries(definition.States)) {
    const rewritten = rewrite(state, waitScale);
    // The interpreter reads a state from this object exactly once each time it enters it.
    const get = () => {
      onEnter(name);
      return rewritten;
    };
    Object.defineProperty(states, name, { enumerable: true, get });
  }
  return { ...definition, States: states } as StateMachineDefinition;
}

function rewrite(state: AslState, waitScale: number): object {
  const shared = {
    ...state,
    ...(state.ResultPath === '$' ? { ResultPath: undefined } : {}),
    ...(state.Retry
      ? { Retry: state.Retry.map((retrier) => scaleRetrier(retrier, waitScale)) }
      : {}),
    ...(state.Catch ? { Catch: state.Catch.map(fixCatcher) } : {}),
  };
  switch (state.Type) {
    case 'Task':
      return task(shared, {
        ...member('parameters', state.Parameters, '$'),
        ...member('timeoutSeconds', state.TimeoutSeconds, state.TimeoutSecondsPath),
        ...member('heartbeatSeconds', state.HeartbeatSeconds, state.HeartbeatSecondsPath),
      });
    case 'Map':
      return task(shared, {
        ...member('input', undefined, '$'),
        ...member('items', undefined, state.ItemsPath ?? '$'),
        ...member('maxConcurrency', state.MaxConcurrency, state.MaxConcurrencyPath),
      });
    case 'Parallel':
      return task(shared, state.Parameters);
    case 'Wait':
      return task(
        // Its output is its input, which is what a null ResultPath says.
        { ...shared, ResultPath: null },
        {
          ...member('seconds', state.Seconds, state.SecondsPath),
          ...member('timestamp', state.Timestamp, state.TimestampPath),
        },
      );
    case 'Fail':
      return task(
        { ...shared, End: true },
        {
          ...member('error', state.Error, state.ErrorPath),
          ...member('cause', state.Cause, state.CausePath),
        },
      );
    case 'Pass':
    case 'Choice':
    case 'Succeed':
      return defined(shared);
  }
}

/** The interpreter's own timeout is far away: 23 days, near the longest that a timer of Node can take. */
const FAR_SECONDS = 2_000_000;

function task(shared: object, parameters: unknown): object {
  const { TimeoutSecondsPath: _, ...rest } = shared as AslState;
  const overrides = { Type: 'Task', TimeoutSeconds: FAR_SECONDS, Parameters: parameters };
  return defined({ ...rest, ...overrides });
}

/** The interpreter asks `"Parameters" in state`: what is undefined must not be there. */
function defined(state: object): object {
  return Object.fromEntries(Object.entries(state).filter(([, value]) => value !== undefined));
}

/** A template's member: the constant where there is one, else the path where there is one. */
function member(name: string, constant: unknown, path: string | undefined): object {
  if (constant !== undefined) return { [name]: constant };
  return path === undefined ? {} : { [`${name}.$`]: path };
}

function scaleRetrier(retrier: AslRetrier, scale: number): object {
  const { MaxDelaySeconds } = retrier;
  return {
    ...retrier,
    ErrorEquals: withHeartbeat(retrier.ErrorEquals),
    IntervalSeconds: (retrier.IntervalSeconds ?? 1) * scale,
    ...(MaxDelaySeconds === undefined ? {} : { MaxDelaySeconds: MaxDelaySeconds * scale }),
  };
}

function fixCatcher(catcher: AslCatcher): object {
  const { ResultPath, ...rest } = catcher;
  return {
    ...rest,
    ErrorEquals: withHeartbeat(catcher.ErrorEquals),
    ...(ResultPath === undefined || ResultPath === '$' ? {} : { ResultPath }),
  };
}

/** A lost heartbeat is a States.Timeout too (ASL specification, appendix A). */
function withHeartbeat(names: readonly string[]): readonly string[] {
  return names.includes('States.Timeout') ? [...names, 'States.HeartbeatTimeout'] : names;
}
