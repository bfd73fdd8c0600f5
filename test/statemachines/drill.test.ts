import { describe, expect, it } from 'vitest';
import {
  DrillDatabaseEvent,
  type DrillOutcome,
  DrillServerEvent,
  NotifyDrillEvent,
  PlanDrillEvent,
  PlannedDrillState,
} from '#contracts/drill.ts';
import { WriteReportEvent } from '#contracts/report.ts';
import { RetrieveArchiveEvent } from '#contracts/restore.ts';
import {
  CheckRestoredServerEvent,
  CleanUpServerEvent,
  type RestoredServerState,
  ServerRestoreEvent,
} from '#contracts/restore-server.ts';
import { makeArchiveDrill, makeDrill, makeMissing, makeServerDrill } from '#test/fakes/drills.ts';
import { fault, type Script, useScriptedMachine } from '#test/scripted-machine.ts';
import { everyState, functionOf } from '../../scripts/check-state-machine.ts';
import { readStatesTable, retriedEverywhere } from './states-table.ts';

/** Every payload that a state sends is held against what its function parses. */
const contracts = {
  'Plan Drill': PlanDrillEvent,
  'Retrieve Archive': RetrieveArchiveEvent,
  'Drill Database': DrillDatabaseEvent,
  'Restore Server': ServerRestoreEvent,
  'Check Restored Server': CheckRestoredServerEvent,
  'Drill Server': DrillServerEvent,
  'Clean Up Server': CleanUpServerEvent,
  'Notify Drill': NotifyDrillEvent,
  'Notify Drill Failure': NotifyDrillEvent,
  'Notify Drill Of Server': NotifyDrillEvent,
  'Notify Drill Of Server Failure': NotifyDrillEvent,
  'Notify Drill Not Planned': NotifyDrillEvent,
  'Write Report': WriteReportEvent,
} as const;

/** As Notify Drill ends: failed by the first that failed. */
const judge = ({ failure, results = [] }: NotifyDrillEvent): DrillOutcome => {
  const failed = failure ?? results.flatMap((it) => ('failure' in it ? [it.failure] : []))[0];
  return {
    status: failed ? 'FAILED' : 'PASSED',
    error: failed?.Error ?? '',
    cause: 'as it is told',
    recordKey: 'drills/orders/x/drill.json',
  };
};

const server: RestoredServerState = {
  identifier: 'orders-drill',
  arn: 'arn:aws:rds:eu-west-1:123456789012:db:orders-drill',
  status: 'available',
  rdsStatus: 'available',
  adopted: false,
  host: 'orders-drill.example',
  port: 5432,
  waitSeconds: 5,
};

const drilled = (database: string, backupId: string | null = null) => ({
  drilled: [{ database, backupId, reportKey: `drills/${database}/report.json`, failed: false }],
});

const allGood: Script<typeof contracts> = {
  'Plan Drill': () => planned(),
  'Retrieve Archive': ({ taskToken }) => tokens.succeed(taskToken, { retrieved: true }),
  'Drill Database': ({ archive, taskToken }) =>
    tokens.succeed(taskToken, drilled(archive.restore.target.database)),
  'Restore Server': () => ({ ...server, status: 'creating' }),
  'Check Restored Server': () => server,
  'Drill Server': ({ taskToken }) => tokens.succeed(taskToken, drilled('shop')),
  'Clean Up Server': () => ({ status: 'deleting', detail: '' }),
  'Notify Drill': judge,
  'Notify Drill Failure': judge,
  'Notify Drill Of Server': judge,
  'Notify Drill Of Server Failure': judge,
  'Notify Drill Not Planned': judge,
  'Write Report': () => ({ reportKey: 'reports/report.html', copyKey: null, level: 'green' }),
};

function planned(changes: Partial<PlannedDrillState> = {}): PlannedDrillState {
  return PlannedDrillState.parse({
    drill: makeDrill(),
    archives: [makeArchiveDrill()],
    missing: [],
    concurrency: 2,
    server: null,
    ...changes,
  });
}

const plannedServer = (timeoutSeconds = 3600) =>
  planned({
    drill: makeDrill({ kind: 'snapshot' }),
    archives: [],
    server: makeServerDrill({ timeoutSeconds }),
  });

const throwing = (name: string) => () => {
  throw fault(name);
};

const { definition, run, tokens, everEntered } = useScriptedMachine({
  name: 'drill',
  contracts,
  allGood,
  input: { source: 'orders' },
  plane: { timeoutScale: 0.001 },
});
const { succeed, fail } = tokens;

describe('a drill of archives', () => {
  it('goes from the plan through every database to the alert and the report', async () => {
    const archives = [makeArchiveDrill('shop'), makeArchiveDrill('audit')];
    const missing = [makeMissing()];
    const ran = await run({ 'Plan Drill': () => planned({ archives, missing }) });
    expect(ran).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(ran.entered.slice(0, 3)).toEqual(['Plan Drill', 'What Is Drilled?', 'Drill Databases']);
    expect(ran.entered.slice(-4)).toEqual([
      'Notify Drill',
      'Write Report',
      'Drill Passed?',
      'Drill Passed',
    ]);
    const [told] = ran.payloadsOf('Notify Drill');
    expect(told).toMatchObject({ archives, missing, input: { source: 'orders' } });
    expect(told?.results).toEqual([drilled('shop'), drilled('audit')]);
    expect(ran.payloadsOf('Write Report')).toMatchObject([
      { recordKey: 'drills/orders/x/drill.json' },
    ]);
  });

  it('counts from before the archive is brought back from Glacier', async () => {
    const archives = [makeArchiveDrill('shop', { inGlacier: true })];
    let retrieved = '';
    const ran = await run({
      'Plan Drill': () => planned({ archives }),
      'Retrieve Archive': async ({ taskToken }) => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        retrieved = new Date().toISOString();
        return succeed(taskToken, { retrieved: true });
      },
    });
    expect(ran.status).toBe('SUCCEEDED');
    expect(ran.payloadsOf('Retrieve Archive')).toMatchObject([
      { restore: archives[0]?.restore, retrieval: { tier: 'standard' } },
    ]);
    const [order] = ran.payloadsOf('Drill Database');
    expect(Date.parse(order?.begunAt ?? '')).toBeLessThan(Date.parse(retrieved));
  });

  it('goes on with the other databases when one fails', async () => {
    const ran = await run({
      'Plan Drill': () =>
        planned({ archives: [makeArchiveDrill('broken'), makeArchiveDrill('shop')] }),
      'Drill Database': ({ archive, taskToken }) => {
        const { database } = archive.restore.target;
        return database === 'broken'
          ? fail(taskToken, 'ChecksumMismatch', 'block 3')
          : succeed(taskToken, drilled(database));
      },
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'ChecksumMismatch' });
    expect(ran.payloadsOf('Notify Drill')[0]?.results).toEqual([
      {
        database: 'broken',
        backupId: makeArchiveDrill().restore.backup?.backupId,
        failure: { Error: 'ChecksumMismatch', Cause: 'block 3' },
      },
      drilled('shop'),
    ]);
  });

  it.each(['TaskInterrupted', 'TaskLaunchFailed'])(
    'tries again with a new token, and counts from the first try, after %s',
    async (error) => {
      let tries = 0;
      const ran = await run({
        'Drill Database': ({ taskToken }) => {
          tries += 1;
          return tries === 1
            ? fail(taskToken, error, 'no capacity')
            : succeed(taskToken, drilled('shop'));
        },
      });
      expect(ran.status).toBe('SUCCEEDED');
      const orders = ran.payloadsOf('Drill Database');
      expect(new Set(orders.map(({ taskToken }) => taskToken)).size).toBe(2);
      expect(new Set(orders.map(({ begunAt }) => begunAt)).size).toBe(1);
    },
  );

  it('fails when its task falls silent', async () => {
    const ran = await run({ 'Drill Database': () => ({ taskArn: 'arn' }) });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.HeartbeatTimeout' });
    expect(ran.payloadsOf('Notify Drill')).toHaveLength(1);
  });

  it('fails when the archive does not come back from Glacier', async () => {
    const ran = await run({
      'Plan Drill': () => planned({ archives: [makeArchiveDrill('shop', { inGlacier: true })] }),
      'Retrieve Archive': throwing('RetrievalFailed'),
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'RetrievalFailed' });
    expect(ran.payloadsOf('Drill Database')).toEqual([]);
  });

  it('tells even of a drill for which no database has a verified backup', async () => {
    const missing = [makeMissing()];
    const ran = await run({
      'Plan Drill': () => planned({ archives: [], missing }),
      'Notify Drill': () => ({
        status: 'FAILED',
        error: 'BackupNotFound',
        cause: 'lost has none',
        recordKey: null,
      }),
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'BackupNotFound' });
    expect(ran.payloadsOf('Notify Drill')).toMatchObject([{ missing, results: [] }]);
  });
});

describe('a drill of a server', () => {
  it('waits for the server, checks it and removes it', async () => {
    const ran = await run({ 'Plan Drill': () => plannedServer() });
    expect(ran).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(ran.entered).toEqual([
      'Plan Drill',
      'What Is Drilled?',
      'Restore Server',
      'Server Available?',
      'Wait For Server',
      'Check Restored Server',
      'Server Available?',
      'Drill Server',
      'Clean Up Server',
      'Server Drilled?',
      'Server Checked',
      'Notify Drill Of Server',
      'Write Report',
      'Drill Passed?',
      'Drill Passed',
    ]);
    expect(ran.payloadsOf('Notify Drill Of Server')).toMatchObject([
      { restored: server, cleanUp: { status: 'deleting' }, results: [drilled('shop')] },
    ]);
  });

  it.each([
    ['cannot be made', 'Restore Server', 'ServerRestoreFailed'],
    ['does not come in its time', 'Check Restored Server', 'ServerRestoreTimeout'],
    ['cannot be checked', 'Drill Server', 'TaskRejected'],
  ] as const)('is cleaned up after when the server %s', async (_, state, error) => {
    const ran = await run({ 'Plan Drill': () => plannedServer(), [state]: throwing(error) });
    expect(ran).toMatchObject({ status: 'FAILED', error });
    expect(ran.payloadsOf('Clean Up Server')).toMatchObject([
      { restore: makeServerDrill().restore },
    ]);
    expect(ran.payloadsOf('Notify Drill Of Server Failure')).toMatchObject([
      { cleanUp: { status: 'deleting' }, failure: { Error: error } },
    ]);
  });

  it('is cleaned up after when the task was killed', async () => {
    const ran = await run({
      'Plan Drill': () => plannedServer(),
      'Drill Server': ({ taskToken }) => fail(taskToken, 'TaskKilled', 'exit code 137'),
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'TaskKilled' });
    expect(ran.payloadsOf('Clean Up Server')).toHaveLength(1);
  });

  it('says that something is left when the clean-up fails', async () => {
    const good = await run({
      'Plan Drill': () => plannedServer(),
      'Clean Up Server': throwing('AccessDenied'),
    });
    expect(good.payloadsOf('Notify Drill Of Server')).toMatchObject([
      { cleanUp: { status: 'failed', detail: expect.stringContaining('AccessDenied') } },
    ]);
    const bad = await run({
      'Plan Drill': () => plannedServer(),
      'Drill Server': throwing('ServerRestoreFailed'),
      'Clean Up Server': throwing('AccessDenied'),
    });
    expect(bad).toMatchObject({ status: 'FAILED', error: 'ServerRestoreFailed' });
    expect(bad.payloadsOf('Notify Drill Of Server Failure')).toMatchObject([
      { cleanUp: { status: 'failed' }, failure: { Error: 'ServerRestoreFailed' } },
    ]);
  });
});

describe('the end of a drill', () => {
  it('is a failure, and an alert, when nothing could be planned', async () => {
    const ran = await run({ 'Plan Drill': throwing('BackupNotFound') });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'BackupNotFound' });
    expect(ran.entered.slice(0, 2)).toEqual(['Plan Drill', 'Notify Drill Not Planned']);
    // Its record lies under an id that begins with the time.
    const [asked] = ran.payloadsOf('Plan Drill') as { startedAt: string }[];
    expect(asked?.startedAt).toMatch(/^\d{4}-/);
    expect(ran.payloadsOf('Notify Drill Not Planned')).toMatchObject([
      { startedAt: asked?.startedAt },
    ]);
    expect(ran.entered.at(-1)).toBe('Drill Failed');
  });

  it('is a failure when Notify Drill says so, though every task had an answer', async () => {
    const outcome = { status: 'FAILED', error: 'DrillFailed', cause: 'too late', recordKey: null };
    const ran = await run({ 'Notify Drill': () => outcome });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'DrillFailed', cause: 'too late' });
  });

  it('is as it was when the report could not be written', async () => {
    const ran = await run({ 'Write Report': throwing('AccessDenied') });
    expect(ran.status).toBe('SUCCEEDED');
    expect(ran.entered.slice(-3)).toEqual(['Report Failed', 'Drill Passed?', 'Drill Passed']);
  });

  it.each([
    ['Notify Drill', planned],
    ['Notify Drill Of Server', plannedServer],
    ['Notify Drill Of Server Failure', plannedServer],
    ['Notify Drill Not Planned', throwing('UnknownSource')],
  ] as const)('names the alert when %s could not send it', async (state, plan) => {
    const ran = await run({
      'Plan Drill': () => plan(),
      ...(state.endsWith('Failure') && {
        'Drill Server': throwing('AccessDenied'),
      }),
      [state]: throwing('AlertFailed'),
    });
    expect(ran).toMatchObject({ status: 'FAILED', error: 'AlertFailed' });
    expect(ran.entered.at(-1)).toBe('Alert Failed');
  });
});

const tasks = [...everyState(definition)].filter(({ state }) => state.Type === 'Task');

describe('docs/states.md', () => {
  const table = readStatesTable('drill');

  it('has every Task of the drill, with its function and where its failure goes', () => {
    expect(
      table.map(({ state, function: verb, failureGoesTo }) => ({ state, verb, failureGoesTo })),
    ).toEqual(
      tasks.map(({ name, state }) => ({
        state: name,
        verb: functionOf(state)
          ?.replace(/FunctionArn$/, '')
          .replace(/(?!^)([A-Z])/g, '-$1')
          .toLowerCase(),
        failureGoesTo: state.Catch?.[0]?.Next,
      })),
    );
  });

  it.each(table)(
    'says what is retried of $state, and its timeout',
    ({ state, alsoRetried, timeout }) => {
      const task = tasks.find(({ name }) => name === state)?.state;
      const errors = task?.Retry?.flatMap(({ ErrorEquals }) => ErrorEquals) ?? [];
      expect(errors.toSorted()).toEqual([...retriedEverywhere, ...alsoRetried].toSorted());
      const seconds = task?.TimeoutSeconds;
      expect(timeout.startsWith(seconds === undefined ? '' : `${seconds} s`)).toBe(true);
    },
  );
});

/**
 * Every failure within the map is caught there. What is left are failures of Step Functions' own, and the
 * interpreter has none that can be caught.
 */
const UNREACHED = 'Notify Drill Failure';

describe('the tests of this file', () => {
  it('have been in every state of the machine but the one for failures of the map itself', () => {
    const states = [...everyState(definition)].map(({ name }) => name);
    expect(states.filter((state) => !everEntered.has(state))).toEqual([UNREACHED]);
  });

  it('know that this one gets what Notify Drill gets, with the failure for the results', () => {
    const parametersOf = (wanted: string) =>
      tasks.find(({ name }) => name === wanted)?.state.Parameters as Record<string, string>;
    const { 'results.$': results, ...rest } = parametersOf('Notify Drill');
    expect(results).toBe('$.results');
    expect(parametersOf(UNREACHED)).toEqual({ ...rest, 'failure.$': '$.failure' });
    expect(definition.States['Drill Databases']?.Catch).toEqual([
      { ErrorEquals: ['States.ALL'], ResultPath: '$.failure', Next: UNREACHED },
    ]);
  });
});
