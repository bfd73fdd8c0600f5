import { describe, expect, it } from 'vitest';
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
import { makeServerRestore } from '#test/fakes.ts';
import { fault, type Script, useScriptedMachine } from '#test/scripted-machine.ts';
import { everyState, functionOf } from '../../scripts/check-state-machine.ts';
import { readStatesTable, retriedEverywhere } from './states-table.ts';

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

const allGood: Script<typeof contracts> = {
  'Plan Server Restore': () => ({ restore }),
  'Restore Server': () => makeServer({ status: 'creating', host: null, port: null }),
  'Check Restored Server': () => makeServer(),
  'Inspect Restored Server': () => inspection,
  'Clean Up Server': () => ({ status: 'deleting', detail: 'new is being deleted' }),
  'Notify Server Restore': judge,
  'Notify Server Restore Failure': judge,
  'Notify Server Restore Not Planned': judge,
};

const { definition, run, everEntered } = useScriptedMachine({
  name: 'restore-server',
  contracts,
  allGood,
  input: { source: 'orders', snapshot: 'latest' },
  executionOf: (event) =>
    'executionArn' in event ? event.executionArn : event.restore.executionArn,
  complete: (state, result, executionArn) =>
    state === 'Plan Server Restore' ? { restore: { ...restore, executionArn } } : result,
});

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
    ['DatabaseUnreachable', 'ConnectionLost', 'ServerOutOfResources'],
    'Clean Up Server',
  ],
  ['Clean Up Server', '60 s', ['InstanceNotAvailable'], 'Clean Up Failed'],
  ['Notify Server Restore', '60 s', [], 'Alert Failed'],
  ['Notify Server Restore Failure', '60 s', [], 'Alert Failed'],
  ['Notify Server Restore Not Planned', '60 s', [], 'Alert Failed'],
] as const;

/** What makes a run come to a state that one in which everything works passes by. */
const leadingTo: { [S in TaskState]?: Partial<Script<typeof contracts>> } = {
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
