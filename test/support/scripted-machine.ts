import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type * as z from 'zod';
import {
  type ControlPlane,
  type ControlPlaneOptions,
  startControlPlane,
} from '#local/control-plane/control-plane.ts';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import type { StateMachine } from '../../scripts/check-state-machine.ts';

/** By state: what its function parses its payload with. */
type Contracts = Readonly<Record<string, z.ZodType>>;

/** Functions by state, in the place of the real ones. */
export type Script<C extends Contracts> = {
  [S in keyof C]: (payload: z.infer<C[S]>) => unknown;
};

export interface ScriptedRun<C extends Contracts> {
  readonly status: string;
  readonly error: string | undefined;
  readonly cause: string | undefined;
  /** The states that it came to, in their order. */
  readonly entered: readonly string[];
  readonly events: readonly ExecutionEvent[];
  /** What a function was called with, each time. */
  payloadsOf<S extends keyof C>(state: S): z.infer<C[S]>[];
}

export interface ScriptedMachine<C extends Contracts> {
  readonly definition: StateMachine;
  /** By every test of the file. */
  readonly everEntered: ReadonlySet<string>;
  /** Runs it with the script's functions in the place of those that work. */
  readonly run: (script?: Partial<Script<C>>) => Promise<ScriptedRun<C>>;
  readonly tokens: {
    readonly succeed: (taskToken: string, output: unknown) => Promise<object>;
    readonly fail: (taskToken: string, error: string, cause: string) => Promise<object>;
    readonly heartbeat: (taskToken: string) => Promise<object>;
  };
}

/**
 * A committed state machine in the local interpreter, whose functions are scripts by state name. Every payload
 * that a state sends is held against what its function parses.
 */
export function useScriptedMachine<C extends Contracts>(machine: {
  /** Of the file, without `.asl.json`. */
  readonly name: string;
  readonly contracts: C;
  /** In which everything works. */
  readonly allGood: Script<C>;
  /** What an execution starts with. */
  readonly input: unknown;
  /** Of the execution that an event is of, where several go on at once. Default: the one started last. */
  readonly executionOf?: (event: z.infer<C[keyof C]>) => string;
  /** Puts into a result what is only known of its execution. */
  readonly complete?: (state: keyof C, result: unknown, executionArn: string) => unknown;
  readonly plane?: Pick<ControlPlaneOptions, 'timeoutScale'>;
}): ScriptedMachine<C> {
  const { name, contracts, allGood, input, executionOf, complete } = machine;
  const file = new URL(`../../statemachines/${name}.asl.json`, import.meta.url);
  const definition = JSON.parse(readFileSync(file, 'utf8')) as StateMachine;
  const everEntered = new Set<string>();
  const runs = new Map<
    string,
    {
      readonly script: Script<C>;
      readonly calls: { readonly state: keyof C; readonly payload: unknown }[];
      readonly events: ExecutionEvent[];
    }
  >();
  let latest = '';
  let plane: ControlPlane;
  let machineArn: string;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), `holdfast-${name}-states-`));
    plane = await startControlPlane({
      workDirectory: directory,
      // Half a minute becomes three milliseconds.
      waitScale: 0.0001,
      ...machine.plane,
      onExecutionEvent: (event) => runs.get(event.executionArn)?.events.push(event),
    });
    machineArn = plane.stepFunctions.registerStateMachine({
      name,
      definition: definition as never,
      handlers: Object.fromEntries(
        Object.keys(contracts).map((state) => [state, (payload) => perform(state, payload)]),
      ),
    });
  });
  afterAll(async () => {
    await plane.close();
    await rm(directory, { recursive: true, force: true });
  });

  /** One call of a function: finds the script of the execution that makes it. */
  async function perform(state: keyof C, payload: unknown): Promise<unknown> {
    const event = contracts[state]?.parse(payload) as z.infer<C[keyof C]>;
    const executionArn = executionOf ? executionOf(event) : latest;
    const current = runs.get(executionArn);
    if (!current) throw new Error(`there is no script for ${executionArn}`);
    current.calls.push({ state, payload });
    const result = await current.script[state](event);
    return complete ? complete(state, result, executionArn) : result;
  }

  const call = (operation: string, request: object) =>
    plane.stepFunctions.operations[operation]?.(request) as Promise<object>;

  return {
    definition,
    everEntered,
    tokens: {
      succeed: (taskToken, output) =>
        call('SendTaskSuccess', { taskToken, output: JSON.stringify(output) }),
      fail: (taskToken, error, cause) => call('SendTaskFailure', { taskToken, error, cause }),
      heartbeat: (taskToken) => call('SendTaskHeartbeat', { taskToken }),
    },
    async run(script = {}) {
      const execution = `run-${runs.size + 1}`;
      const arn = `${machineArn.replace(':stateMachine:', ':execution:')}:${execution}`;
      const events: ExecutionEvent[] = [];
      const calls: { state: keyof C; payload: unknown }[] = [];
      runs.set(arn, { script: { ...allGood, ...script }, calls, events });
      latest = arn;
      plane.stepFunctions.startExecution(machineArn, input, execution);
      const { status, error, cause } = await plane.stepFunctions.executionEnded(arn);
      const entered = events.flatMap((it) => (it.type === 'StateEntered' ? [it.state] : []));
      for (const state of entered) everEntered.add(state);
      return {
        status,
        error,
        cause,
        entered,
        events,
        payloadsOf: (state) =>
          calls.filter((made) => made.state === state).map(({ payload }) => payload as never),
      };
    },
  };
}

/** Of the class that functions raise, as far as Step Functions can see it: by its name. */
export function fault(name: string, message = `${name} happened`): Error {
  return Object.assign(new Error(message), { name });
}
