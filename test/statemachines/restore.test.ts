import { describe, expect, it } from 'vitest';
import type * as z from 'zod';
import {
  CleanUpRestoreEvent,
  NotifyRestoreEvent,
  type PlannedRestoreState,
  PlanRestoreEvent,
  RestoreDatabaseEvent,
  type RestoredDatabase,
  RetrieveArchiveEvent,
} from '#contracts/restore.ts';
import { makePlannedRestore } from '#test/fakes.ts';
import { fault, type Script, useScriptedMachine } from '#test/scripted-machine.ts';
import { readStatesTable } from './states-table.ts';

/** Every payload that a state sends is held against what its function parses. */
const contracts = {
  'Plan Restore': PlanRestoreEvent,
  'Retrieve Archive': RetrieveArchiveEvent,
  'Restore Database': RestoreDatabaseEvent,
  'Clean Up Restore': CleanUpRestoreEvent,
  'Notify Restore': NotifyRestoreEvent,
  'Notify Restore Failure': NotifyRestoreEvent,
  'Notify Restore Failure After Clean Up': NotifyRestoreEvent,
  'Notify Restore Not Planned': NotifyRestoreEvent,
} as const;

const restored: RestoredDatabase = {
  database: 'shop_restored',
  previousDatabase: null,
  reportKey: 'restores/orders/20261120T100000Z-k3v9qd/report.json',
  tables: 2,
  rows: 10,
  bytesRead: 1000,
  seconds: 3,
  tolerated: 0,
  warnings: 0,
};

const judge = ({ failure }: z.infer<typeof NotifyRestoreEvent>) => ({
  status: failure ? 'FAILED' : 'SUCCEEDED',
  error: failure?.Error ?? '',
  cause: 'as it is told',
  summaryKey: null,
});

const allGood: Script<typeof contracts> = {
  'Plan Restore': () => makePlanned(),
  'Retrieve Archive': ({ taskToken }) => tokens.succeed(taskToken, { retrieved: true }),
  'Restore Database': ({ taskToken }) => tokens.succeed(taskToken, restored),
  'Clean Up Restore': () => ({ status: 'dropped', detail: '' }),
  'Notify Restore': judge,
  'Notify Restore Failure': judge,
  'Notify Restore Failure After Clean Up': judge,
  'Notify Restore Not Planned': judge,
};

function makePlanned({ inGlacier = false, timeoutSeconds = 3600 } = {}): PlannedRestoreState {
  return {
    restore: makePlannedRestore(),
    retrieval: {
      needed: inGlacier,
      tier: 'standard',
      storageClass: inGlacier ? 'GLACIER' : 'STANDARD',
      timeoutSeconds: 20_000,
    },
    task: { heartbeatSeconds: 300, timeoutSeconds },
  };
}

const { run, tokens, everEntered } = useScriptedMachine({
  name: 'restore',
  contracts,
  allGood,
  input: { source: 'orders', database: 'shop' },
  plane: { timeoutScale: 0.001 },
});
const { succeed, fail } = tokens;

describe('a restore in which everything works', () => {
  it('goes from the plan to the task to the alert', async () => {
    const ran = await run();
    expect(ran).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(ran.entered).toEqual([
      'Plan Restore',
      'Retrieval Needed?',
      'Restore Database',
      'Notify Restore',
      'Database Restored',
    ]);
    expect(ran.payloadsOf('Notify Restore')).toMatchObject([
      { restore: makePlannedRestore(), restored, input: { source: 'orders' } },
    ]);
  });

  it('waits for an archive in Glacier first', async () => {
    const ran = await run({ 'Plan Restore': () => makePlanned({ inGlacier: true }) });
    expect(ran.status).toBe('SUCCEEDED');
    expect(ran.entered.slice(2, 4)).toEqual(['Retrieve Archive', 'Restore Database']);
    expect(ran.payloadsOf('Retrieve Archive')).toMatchObject([
      { retrieval: { tier: 'standard' }, taskToken: expect.any(String) },
    ]);
  });

  it('tries again with a new token when the capacity was taken away', async () => {
    let tries = 0;
    const ran = await run({
      'Restore Database': ({ taskToken }) => {
        tries += 1;
        return tries === 1
          ? fail(taskToken, 'TaskInterrupted', 'Spot')
          : succeed(taskToken, restored);
      },
    });
    expect(ran.status).toBe('SUCCEEDED');
    const tokens = ran.payloadsOf('Restore Database').map(({ taskToken }) => taskToken);
    expect(new Set(tokens).size).toBe(2);
    expect(ran.payloadsOf('Clean Up Restore')).toEqual([]);
  });
});

describe('a restore that fails', () => {
  it('changes nothing when it cannot be planned, and says so', async () => {
    const ran = await run({
      'Plan Restore': () => {
        throw fault('BackupNotFound');
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'BackupNotFound' });
    expect(ran.entered).toEqual(['Plan Restore', 'Notify Restore Not Planned', 'Restore Failed']);
  });

  it('is cleaned up after, and the alert says what is left', async () => {
    const ran = await run({
      'Restore Database': ({ taskToken }) => fail(taskToken, 'RestoreFailed', 'INDEX public.i'),
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'RestoreFailed' });
    expect(ran.payloadsOf('Clean Up Restore')).toMatchObject([
      { failure: { Error: 'RestoreFailed', Cause: 'INDEX public.i' } },
    ]);
    expect(ran.payloadsOf('Notify Restore Failure After Clean Up')).toMatchObject([
      { cleanUp: { status: 'dropped' }, failure: { Error: 'RestoreFailed' } },
    ]);
  });

  it('says that something is left when the clean-up fails as well', async () => {
    const ran = await run({
      'Restore Database': ({ taskToken }) => fail(taskToken, 'TaskKilled', 'out of memory'),
      'Clean Up Restore': () => {
        throw fault('DatabaseNotFound');
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'TaskKilled' });
    expect(ran.payloadsOf('Notify Restore Failure After Clean Up')).toMatchObject([
      {
        cleanUp: { status: 'failed', detail: expect.stringContaining('DatabaseNotFound') },
        failure: { Error: 'TaskKilled' },
      },
    ]);
  });

  it('ends when its task falls silent', async () => {
    const ran = await run({
      'Plan Restore': () => makePlanned(),
      'Restore Database': () => ({ taskArn: 'arn' }),
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.HeartbeatTimeout' });
    expect(ran.payloadsOf('Clean Up Restore')).toHaveLength(1);
  });

  it('ends when the archive does not come back, with nothing to clean up', async () => {
    const ran = await run({
      'Plan Restore': () => makePlanned({ inGlacier: true }),
      'Retrieve Archive': () => {
        throw fault('RetrievalFailed');
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'RetrievalFailed' });
    expect(ran.payloadsOf('Clean Up Restore')).toEqual([]);
    expect(ran.payloadsOf('Notify Restore Failure')).toHaveLength(1);
  });

  it('fails under another end when the alert cannot be sent', async () => {
    const ran = await run({
      'Notify Restore': () => {
        throw fault('AccessDenied');
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'AccessDenied' });
    expect(ran.entered.at(-1)).toBe('Alert Failed');
  });
});

describe('the tests of this file', () => {
  it('have been in every state of the table', () => {
    const states = readStatesTable('restore').map(({ state }) => state);
    expect(states.filter((state) => !everEntered.has(state))).toEqual([]);
  });
});
