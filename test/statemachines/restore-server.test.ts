import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type * as z from 'zod';
import {
  CheckRestoredServerEvent,
  CleanUpServerEvent,
  NotifyServerRestoreEvent,
  PlanServerRestoreEvent,
  type RestoredServerState,
  ServerRestoreEvent,
} from '#contracts/restore-server.ts';
import { errorCatalogue } from '#errors';
import { type ControlPlane, startControlPlane } from '#local/control-plane/control-plane.ts';
import { makeServerRestore } from '#test/fakes.ts';
import { everyState, functionOf, type StateMachine } from '../../scripts/check-state-machine.ts';
import { readStatesTable, retriedEverywhere } from './states-table.ts';

/** The committed state machine in the local interpreter; the functions are scripts by state name. */
const definition = JSON.parse(
  readFileSync(new URL('../../statemachines/restore-server.asl.json', import.meta.url), 'utf8'),
) as StateMachine;

/** Every payload that a state sends is held against what its function parses. */
const contracts = {
  'Plan Server Restore': PlanServerRestoreEvent,
  'Restore Server': ServerRestoreEvent,
  'Check Restored Server': CheckRestoredServerEvent,
  'Inspect Restored Server': CheckRestoredServerEvent,
  'Clean Up Server': CleanUpServerEvent,
  'Notify Server Restore': NotifyServerRestoreEvent,
  'Notify Server Restore Failure': NotifyServerRestoreEvent,
  'Notify Server Restore Not Planned': NotifyServerRestoreEvent,
} as const;
type TaskState = keyof typeof contracts;
type Script = { [S in TaskState]?: (payload: z.infer<(typeof contracts)[S]>) => unknown };

const restore = makeServerRestore();

function makeServer(changes: Partial<RestoredServerState> = {}): RestoredServerState {
  return {
    identifier: restore.target.identifier,
    arn: 'arn:aws:rds:eu-west-1:123456789012:db:new',
    status: 'available',
    rdsStatus: 'available',
    adopted: false,
    host: 'new.example.internal',
    port: 5432,
    waitSeconds: 5,
    ...changes,
  };
}

const inspection = {
  server: { version: '17.4', versionNumber: 170_004, isReplica: false },
  databases: [],
  databaseCount: 0,
  totalBytes: 0,
  warnings: [],
};

const judge = ({ failure }: z.infer<typeof NotifyServerRestoreEvent>) => ({
  status: failure ? 'FAILED' : 'SUCCEEDED',
  error: failure?.Error ?? '',
  cause: 'as it is told',
  summaryKey: null,
});

const allGood: Required<Script> = {
  'Plan Server Restore': () => ({ restore }),
  'Restore Server': () => makeServer({ status: 'creating', host: null, port: null }),
  'Check Restored Server': () => makeServer(),
  'Inspect Restored Server': () => inspection,
  'Clean Up Server': () => ({ status: 'deleting', detail: 'new is being deleted' }),
  'Notify Server Restore': judge,
  'Notify Server Restore Failure': judge,
  'Notify Server Restore Not Planned': judge,
};

/** Of the class that functions raise, as far as Step Functions can see it: by its name. */
function fault(name: string): Error {
  return Object.assign(new Error(`${name} happened`), { name });
}

let plane: ControlPlane;
let machine: string;
let directory: string;
interface Run {
  readonly script: Required<Script>;
  readonly calls: { readonly state: TaskState; readonly payload: unknown }[];
  readonly entered: string[];
}
/** By execution, as several go on at once. */
const runs = new Map<string, Run>();
const everEntered = new Set<string>();
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-server-states-'));
  plane = await startControlPlane({
    workDirectory: directory,
    waitScale: 0.0001,
    onExecutionEvent: (event) => {
      if (event.type === 'StateEntered') runs.get(event.executionArn)?.entered.push(event.state);
    },
  });
  machine = plane.stepFunctions.registerStateMachine({
    name: 'restore-server',
    definition: definition as never,
    handlers: Object.fromEntries(
      Object.keys(contracts).map((state) => [
        state,
        (payload: unknown) => perform(state as TaskState, payload),
      ]),
    ),
  });
});

afterAll(async () => {
  await plane.close();
  await rm(directory, { recursive: true, force: true });
});

/** One call of a function: finds the script of the execution that makes it. */
async function perform(state: TaskState, payload: unknown): Promise<unknown> {
  const event = contracts[state].parse(payload);
  const arn = 'executionArn' in event ? event.executionArn : event.restore.executionArn;
  const current = runs.get(arn);
  if (!current) throw new Error(`there is no script for ${arn}`);
  current.calls.push({ state, payload });
  const result = await (current.script[state] as (event: unknown) => unknown)(event);
  if (state !== 'Plan Server Restore') return result;
  return { restore: { ...restore, executionArn: arn } };
}

async function run(script: Script = {}) {
  count += 1;
  const name = `run-${count}`;
  const arn = `${machine.replace(':stateMachine:', ':execution:')}:${name}`;
  const current: Run = { script: { ...allGood, ...script }, calls: [], entered: [] };
  runs.set(arn, current);
  plane.stepFunctions.startExecution(machine, { source: 'orders', snapshot: 'latest' }, name);
  const { status, error, cause } = await plane.stepFunctions.executionEnded(arn);
  for (const state of current.entered) everEntered.add(state);
  const payloadsOf = <S extends TaskState>(state: S) =>
    current.calls
      .filter((made) => made.state === state)
      .map(({ payload }) => payload as z.infer<(typeof contracts)[S]>);
  return { status, error, cause, entered: current.entered, payloadsOf };
}

describe('a restore in which everything works', () => {
  it('waits for its server, looks into it, and says so', async () => {
    const ran = await run();
    expect(ran).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(ran.entered).toEqual([
      'Plan Server Restore',
      'Restore Server',
      'Server Available?',
      'Wait For Server',
      'Check Restored Server',
      'Server Available?',
      'Inspect Restored Server',
      'Notify Server Restore',
      'Server Restored',
    ]);
    expect(ran.payloadsOf('Notify Server Restore')).toMatchObject([
      { restore: { restoreId: restore.restoreId }, server: makeServer(), inspection },
    ]);
  });

  it('hands what it saw last to the next look, until the server is available', async () => {
    const states = ['creating', 'backing-up', 'modifying', 'available'];
    let looks = 0;
    const ran = await run({
      'Check Restored Server': () => {
        const rdsStatus = states[looks] ?? '';
        looks += 1;
        return makeServer({
          rdsStatus,
          status: rdsStatus === 'available' ? 'available' : 'creating',
          waitSeconds: looks * 10,
        });
      },
    });
    expect(ran.status).toBe('SUCCEEDED');
    const seen = ran.payloadsOf('Check Restored Server').map(({ server }) => server.waitSeconds);
    expect(seen).toEqual([5, 10, 20, 30]);
    expect(ran.entered.filter((state) => state === 'Wait For Server')).toHaveLength(4);
  });

  it('does not wait for a server that is there already', async () => {
    const ran = await run({ 'Restore Server': () => makeServer({ adopted: true }) });
    expect(ran.status).toBe('SUCCEEDED');
    expect(ran.entered).not.toContain('Wait For Server');
  });
});

describe('a restore that fails', () => {
  it('before it is planned makes nothing and has nothing to clean up', async () => {
    const ran = await run({
      'Plan Server Restore': () => {
        throw fault('SnapshotNotFound');
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'SnapshotNotFound' });
    expect(ran.entered).toEqual([
      'Plan Server Restore',
      'Notify Server Restore Not Planned',
      'Server Restore Failed',
    ]);
  });

  it.each([
    ['Restore Server', 'ServerRestoreFailed'],
    ['Check Restored Server', 'ServerRestoreTimeout'],
    ['Inspect Restored Server', 'AuthenticationFailed'],
  ] as const)(
    'in %s is cleaned up after, and the alert says what is left',
    async (state, error) => {
      const ran = await run({
        [state]: () => {
          throw fault(error);
        },
      });
      expect(ran).toMatchObject({ status: 'FAILED', error, cause: 'as it is told' });
      const failure = { Error: error, Cause: expect.stringContaining(`${error} happened`) };
      expect(ran.payloadsOf('Clean Up Server')).toMatchObject([{ failure }]);
      expect(ran.payloadsOf('Notify Server Restore Failure')).toMatchObject([
        { failure, cleanUp: { status: 'deleting' } },
      ]);
    },
  );

  it('says that something is left when the clean-up fails as well, and why it failed itself', async () => {
    const ran = await run({
      'Check Restored Server': () => {
        throw fault('ServerRestoreFailed');
      },
      'Clean Up Server': () => {
        throw fault('AccessDenied');
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'ServerRestoreFailed' });
    expect(ran.payloadsOf('Notify Server Restore Failure')).toMatchObject([
      {
        cleanUp: { status: 'failed', detail: expect.stringContaining('AccessDenied: ') },
        failure: { Error: 'ServerRestoreFailed' },
      },
    ]);
  });
});

/** As docs/states.md has it. */
const table = [
  ['Plan Server Restore', '60 s', [], 'Notify Server Restore Not Planned'],
  ['Restore Server', '60 s', ['InstanceNotAvailable'], 'Clean Up Server'],
  ['Check Restored Server', '60 s', ['InstanceNotAvailable'], 'Clean Up Server'],
  [
    'Inspect Restored Server',
    '300 s',
    ['DatabaseUnreachable', 'ConnectionLost'],
    'Clean Up Server',
  ],
  ['Clean Up Server', '60 s', ['InstanceNotAvailable'], 'Clean Up Failed'],
  ['Notify Server Restore', '60 s', [], 'Alert Failed'],
  ['Notify Server Restore Failure', '60 s', [], 'Alert Failed'],
  ['Notify Server Restore Not Planned', '60 s', [], 'Alert Failed'],
] as const;

/** What makes a run come to a state that one in which everything works passes by. */
const leadingTo: { [S in TaskState]?: Script } = {
  'Clean Up Server': {
    'Restore Server': () => {
      throw fault('ServerRestoreFailed');
    },
  },
  'Notify Server Restore Failure': {
    'Restore Server': () => {
      throw fault('ServerRestoreFailed');
    },
  },
  'Notify Server Restore Not Planned': {
    'Plan Server Restore': () => {
      throw fault('InvalidInput');
    },
  },
};

describe.each(table)('%s', (state, timeout, alsoRetried, failureGoesTo) => {
  const own = [...everyState(definition)].find(({ name }) => name === state)?.state;
  const retried: string[] = [...retriedEverywhere, ...alsoRetried];

  const failingWith = async (error: string) => {
    const ran = await run({
      ...leadingTo[state],
      [state]: () => {
        throw fault(error);
      },
    });
    const tries = ran.payloadsOf(state).length;
    return { error, tries, status: ran.status, caught: ran.entered.includes(failureGoesTo) };
  };

  it(`is given ${timeout}, by the function of its name`, () => {
    expect(`${own?.TimeoutSeconds} s`).toBe(timeout);
    const verb = (own && functionOf(own)?.replace(/FunctionArn$/, '')) ?? 'nothing';
    expect(state.replaceAll(' ', '')).toMatch(new RegExp(`^${verb}`));
  });

  it(`tries what may pass again, then goes to ${failureGoesTo}`, async () => {
    const attemptsOf = (error: string) =>
      own?.Retry?.find(({ ErrorEquals }) => ErrorEquals.includes(error))?.MaxAttempts ?? 0;
    expect(Math.min(...retried.map(attemptsOf))).toBeGreaterThan(0);
    expect(await Promise.all(retried.map(failingWith))).toEqual(
      retried.map((error) => ({
        error,
        tries: 1 + attemptsOf(error),
        status: 'FAILED',
        caught: true,
      })),
    );
  });

  it(`goes to ${failureGoesTo} at once with everything else`, async () => {
    const others = [...errorCatalogue.keys(), 'TypeError'].filter((it) => !retried.includes(it));
    expect(others.length).toBeGreaterThan(30);
    expect(await Promise.all(others.map(failingWith))).toEqual(
      others.map((error) => ({ error, tries: 1, status: 'FAILED', caught: true })),
    );
  });
});

describe('the tests above', () => {
  it('come to every state of the file', () => {
    const states = [...everyState(definition)].map(({ name }) => name);
    expect([...everEntered].toSorted()).toEqual(states.toSorted());
  });

  it('hold the table that docs/states.md has', () => {
    const documented = readStatesTable('restore-server').map((row) => [
      row.state,
      row.timeout,
      row.alsoRetried,
      row.failureGoesTo,
    ]);
    expect(documented).toEqual(table);
  });
});
