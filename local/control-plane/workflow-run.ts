import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { StateMachine } from 'aws-local-stepfunctions';
import {
  type AslDefinition,
  type AslState,
  integrationOf,
  processorOf,
  scopeDefinition,
} from './scoped-definition.ts';
import { checkPayload, lambdaError, StateError } from './state-errors.ts';
import { makeToken, type TaskTokens } from './task-tokens.ts';

export type StateHandler = (payload: unknown) => Promise<unknown>;

/** Something that happened in an execution, for a progress display and for the history. */
export interface StateEvent {
  readonly type:
    | 'StateEntered'
    | 'StateExited'
    | 'StateFailed'
    | 'StateRetried'
    | 'StateCaught'
    | 'MapIterationStarted'
    | 'MapIterationSucceeded'
    | 'MapIterationFailed';
  readonly state: string;
  readonly stateType: AslState['Type'];
  /** Where it is: `["Back Up[1]", "Dump Databases[0]"]`; empty at the top. */
  readonly path: readonly string[];
  /** Which iteration, for the events of a Map. */
  readonly index?: number;
  readonly input?: unknown;
  readonly output?: unknown;
  readonly error?: string;
  readonly cause?: string | undefined;
}

export interface WorkflowRunOptions {
  readonly definition: AslDefinition;
  readonly handlers: Readonly<Record<string, StateHandler>>;
  readonly input: unknown;
  /** `$$`, without what changes from state to state. */
  readonly context: { readonly Execution: object; readonly StateMachine: object };
  readonly signal: AbortSignal;
  readonly tokens: TaskTokens;
  /** Factor for Wait states and the pauses of Retry. */
  readonly waitScale: number;
  /** Factor for TimeoutSeconds and HeartbeatSeconds. */
  readonly timeoutScale: number;
  readonly onEvent: (event: StateEvent) => void;
}

/** The interpreter sets its own `$$.Execution` for every nested machine: ours goes by another name. */
const EXECUTION = 'TheExecution';

/** "Map state processing modes": an inline Map runs up to 40 iterations at a time. */
const MAX_INLINE_CONCURRENCY = 40;

/** Cannot be the name of a state in a file. */
const ITEM_SELECTOR = '\u0000item selector';

/**
 * Runs a state machine to its end and returns its output. Rejects with what ended it (`name` and
 * `message` are Error and Cause), or with the interpreter's ExecutionAbortedError or
 * ExecutionTimeoutError.
 */
export function runWorkflow(options: WorkflowRunOptions): Promise<unknown> {
  const { definition, timeoutScale } = options;
  const text = JSON.stringify(definition).replaceAll('$$.Execution', () => `$$.${EXECUTION}`);
  const root = JSON.parse(text) as AslDefinition;
  const scaled =
    root.TimeoutSeconds === undefined
      ? root
      : { ...root, TimeoutSeconds: root.TimeoutSeconds * timeoutScale };
  return new Scope(options, { path: [], signal: options.signal }).run(scaled, options.input);
}

interface Place {
  readonly path: readonly string[];
  readonly signal: AbortSignal;
  readonly item?: { readonly Index: number; readonly Value: unknown };
}

/** What the templates of `scopeDefinition` hand over, by type of state. */
interface TaskInput {
  /** The payload itself, or what `lambda:invoke` takes. */
  readonly parameters: unknown;
  readonly timeoutSeconds?: number;
  readonly heartbeatSeconds?: number;
}
interface MapInput {
  readonly input: unknown;
  readonly items: unknown;
  readonly maxConcurrency?: number;
}
interface WaitInput {
  readonly seconds?: number;
  readonly timestamp?: string;
}
interface FailInput {
  readonly error?: string;
  readonly cause?: string;
}

/**
 * One sequential flow of states: the whole machine, one branch, or one iteration. Each has its own
 * interpreter and context, so that "the current state" and "the current token" mean one thing only.
 */
class Scope {
  readonly #options: WorkflowRunOptions;
  readonly #place: Place;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #failure = Promise.withResolvers<never>();
  #current = { name: '', enteredTime: '', attempts: 0, hasToken: false };
  #pendingToken: string | undefined;
  /** Why the current attempt failed: the interpreter does not say what it retries. */
  #thrown: Error | undefined;

  constructor(options: WorkflowRunOptions, place: Place) {
    this.#options = options;
    this.#place = place;
    this.#signal = AbortSignal.any([place.signal, this.#end.signal]);
    this.#failure.promise.catch(() => undefined);
  }

  async run(definition: AslDefinition, input: unknown): Promise<unknown> {
    const { waitScale } = this.#options;
    const onEnter = (name: string) => {
      const state = definition.States[name];
      const hasToken = state !== undefined && integrationOf(state) === 'token';
      this.#current = { name, enteredTime: new Date().toISOString(), attempts: 0, hasToken };
    };
    const machine = new StateMachine(scopeDefinition(definition, { onEnter, waitScale }), {
      validationOptions: { noValidate: true },
    });
    const handlers = Object.entries(definition.States).map(([name, state]) => [
      name,
      (resolved: unknown) => this.#perform(name, state, resolved),
    ]);
    const execution = machine.run(input as never, {
      context: this.#context(),
      overrides: { taskResourceLocalHandlers: Object.fromEntries(handlers) as never },
    });
    this.#place.signal.addEventListener('abort', execution.abort, { once: true });
    if (this.#place.signal.aborted) execution.abort();
    const reported = this.#report(definition, execution.eventLogs);
    try {
      const output = await Promise.race([execution.result, this.#failure.promise]);
      await reported;
      checkPayload(output, 'the output');
      return output;
    } catch (error) {
      const cause = (error as Error).cause;
      throw (error as Error).name === 'ExecutionError' ? cause : error;
    } finally {
      this.#place.signal.removeEventListener('abort', execution.abort);
      execution.abort(); // no effect on one that has ended
      this.#end.abort();
      await reported;
    }
  }

  /** Getters, as the interpreter reads them at the moment in which it resolves a template. */
  #context() {
    const current = () => this.#current;
    const token = () => {
      if (!this.#current.hasToken) return undefined;
      this.#pendingToken ??= makeToken();
      return this.#pendingToken;
    };
    return {
      [EXECUTION]: this.#options.context.Execution,
      StateMachine: this.#options.context.StateMachine,
      ...(this.#place.item ? { Map: { Item: this.#place.item } } : {}),
      State: {
        get Name() {
          return current().name;
        },
        get EnteredTime() {
          return current().enteredTime;
        },
        get RetryCount() {
          return current().attempts;
        },
      },
      Task: {
        get Token() {
          return token();
        },
      },
    };
  }

  /** Passes the interpreter's events on and holds every state's output against the size limit. */
  async #report(
    definition: AslDefinition,
    events: ReturnType<StateMachine['run']>['eventLogs'],
  ): Promise<void> {
    for await (const event of events) {
      if (!('state' in event)) continue;
      const { name, input, output } = event.state;
      const original = definition.States[name];
      if (!original || name === ITEM_SELECTOR) continue;
      const failure =
        'Error' in event
          ? { error: event.Error, cause: event.Cause as string }
          : event.type === 'StateRetried' && this.#thrown
            ? { error: this.#thrown.name, cause: this.#thrown.message }
            : {};
      this.#options.onEvent({
        type: event.type,
        state: name,
        stateType: original.Type,
        path: this.#place.path,
        input,
        ...(event.type === 'StateExited' ? { output } : {}),
        ...failure,
      });
      try {
        if (event.type === 'StateExited') checkPayload(output, `the output of "${name}"`);
      } catch (error) {
        this.#failure.reject(error as Error);
      }
    }
  }

  /** Called by the interpreter; up to the first await in the same turn in which it read the context. */
  async #perform(name: string, state: AslState, resolved: unknown): Promise<unknown> {
    const token = this.#pendingToken;
    this.#pendingToken = undefined;
    this.#current.attempts += 1;
    try {
      // Lets `#report` come first: the event "entered" precedes what the handler does.
      await nextTurn();
      this.#signal.throwIfAborted();
      return await this.#performType(name, state, resolved, token);
    } catch (error) {
      this.#thrown = error as Error;
      // Neither Retry nor Catch may go on with a scope that has ended.
      throw this.#signal.aborted ? new StateError('Aborted', undefined, 'terminal') : error;
    }
  }

  async #performType(
    name: string,
    state: AslState,
    resolved: unknown,
    token: string | undefined,
  ): Promise<unknown> {
    switch (state.Type) {
      case 'Task':
        return this.#performTask(name, state, resolved as TaskInput, token);
      case 'Map':
        return this.#performMap(name, state, resolved as MapInput);
      case 'Parallel':
        return this.#runAll(
          name,
          (state.Branches ?? []).map((branch) => ({ definition: branch, input: resolved })),
          Number.POSITIVE_INFINITY,
        );
      case 'Wait': {
        const { seconds, timestamp } = resolved as WaitInput;
        const pause =
          seconds === undefined ? Date.parse(timestamp ?? '') - Date.now() : seconds * 1000;
        const { waitScale } = this.#options;
        await sleep(Math.max(0, pause * waitScale), undefined, { signal: this.#signal });
        return null;
      }
      case 'Fail': {
        const { error, cause } = resolved as FailInput;
        throw new StateError(error ?? '', cause);
      }
      case 'Pass':
      case 'Choice':
      case 'Succeed':
        throw new TypeError(`${state.Type} is the interpreter's own`);
    }
  }

  async #performTask(
    name: string,
    state: AslState,
    resolved: TaskInput,
    token: string | undefined,
  ): Promise<unknown> {
    const { tokens, timeoutScale, handlers } = this.#options;
    const { parameters, timeoutSeconds, heartbeatSeconds } = resolved;
    checkPayload(parameters, `the input of "${name}"`);
    const handler = handlers[name];
    if (!handler) throw new TypeError(`"${name}" has no handler`);
    // A plain task waits under a token as well, one that nobody learns: that is how its time runs out.
    const wait = tokens.open(token ?? makeToken(), {
      timeoutMilliseconds: scaled(timeoutSeconds, timeoutScale),
      heartbeatMilliseconds:
        token === undefined ? undefined : scaled(heartbeatSeconds, timeoutScale),
    });
    const isDirect = integrationOf(state) === 'direct';
    const payload = isDirect ? parameters : (parameters as { Payload?: unknown }).Payload;
    const invoked = invoke(handler, payload);
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(this.#signal.reason);
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (token === undefined) {
        const Payload = await Promise.race([invoked, wait.outcome, aborted.promise]);
        const result = isDirect
          ? Payload
          : { ExecutedVersion: '$LATEST', Payload, StatusCode: 200 };
        checkPayload(result, `the result of "${name}"`);
        return result;
      }
      // What the function returns means nothing here; that it fails does.
      invoked.catch((error: Error) => wait.fail(error));
      return await Promise.race([wait.outcome, aborted.promise]);
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
      wait.close();
    }
  }

  async #performMap(name: string, state: AslState, resolved: MapInput): Promise<unknown> {
    const { input, items, maxConcurrency } = resolved;
    const processor = processorOf(state);
    if (!Array.isArray(items) || !processor) {
      throw new StateError('States.Runtime', `"${name}" has no list to work on`, 'terminal');
    }
    const selector = state.ItemSelector ?? state.Parameters;
    const definition = selector === undefined ? processor : withSelector(processor, selector);
    const runs = items.map((item: unknown, index) => ({
      definition,
      input: selector === undefined ? item : input,
      item: { Index: index, Value: item },
    }));
    return this.#runAll(name, runs, maxConcurrency || MAX_INLINE_CONCURRENCY);
  }

  /** Runs scopes side by side, in order of start; the first failure stops the others. */
  async #runAll(
    name: string,
    runs: readonly {
      readonly definition: AslDefinition;
      readonly input: unknown;
      readonly item?: { readonly Index: number; readonly Value: unknown };
    }[],
    concurrency: number,
  ): Promise<unknown[]> {
    const group = new AbortController();
    const signal = AbortSignal.any([this.#signal, group.signal]);
    const results: unknown[] = [];
    const queue = runs.entries();
    const work = async () => {
      for (const [index, { definition, input, item }] of queue) {
        signal.throwIfAborted();
        const path = [...this.#place.path, `${name}[${index}]`];
        const scope = new Scope(this.#options, { path, signal, ...(item ? { item } : {}) });
        const report = (type: 'Started' | 'Succeeded' | 'Failed', failure = {}) => {
          if (!item) return;
          const event = { state: name, stateType: 'Map', path: this.#place.path, index } as const;
          this.#options.onEvent({ type: `MapIteration${type}`, ...event, ...failure });
        };
        report('Started');
        try {
          results[index] = await scope.run(definition, structuredClone(input));
          report('Succeeded');
        } catch (error) {
          const { name: errorName, message } = error as Error;
          if (!signal.aborted) report('Failed', { error: errorName, cause: message });
          throw error;
        }
      }
    };
    const workers = Array.from({ length: Math.min(concurrency, runs.length) }, work);
    try {
      await Promise.all(workers);
      return results;
    } catch (error) {
      group.abort();
      await Promise.allSettled(workers);
      throw error;
    }
  }
}

/** The item processor behind a state that makes its input, with the interpreter's own templates. */
function withSelector(processor: AslDefinition, selector: unknown): AslDefinition {
  const first: AslState = { Type: 'Pass', Parameters: selector, Next: processor.StartAt };
  return {
    ...processor,
    StartAt: ITEM_SELECTOR,
    States: { ...processor.States, [ITEM_SELECTOR]: first },
  };
}

/** Calls a handler as Lambda would: JSON in, JSON out, and errors in Lambda's shape. */
async function invoke(handler: StateHandler, payload: unknown): Promise<unknown> {
  try {
    const result = await handler(JSON.parse(JSON.stringify(payload ?? {})));
    return JSON.parse(JSON.stringify(result ?? null));
  } catch (error) {
    throw lambdaError(error);
  }
}

function scaled(seconds: number | undefined, scale: number): number | undefined {
  return seconds === undefined ? undefined : seconds * 1000 * scale;
}
