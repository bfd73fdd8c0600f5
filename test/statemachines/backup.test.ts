import { describe, expect, it } from 'vitest';
import { WriteReportEvent } from '#contracts/report.ts';
import {
  ApplyRetentionEvent,
  CheckSnapshotEvent,
  type Discovery,
  DumpDatabaseEvent,
  NotifyEvent,
  PlanBackupEvent,
  type PlannedRun,
  type RetentionResult,
  RunEvent,
} from '#contracts/workflow.ts';
import { outcomeOf, summarizeRun } from '#domain/run-summary.ts';
import { errorCatalogue } from '#errors';
import { MAX_PAYLOAD_BYTES } from '#local/control-plane/state-errors.ts';
import { makeRun, makeSnapshotState, makeVerifiedDatabase } from '#test/fakes.ts';
import { fault, type Script, useScriptedMachine } from '#test/scripted-machine.ts';
import { everyState } from '../../scripts/check-state-machine.ts';
import { readStatesTable, retriedEverywhere } from './states-table.ts';

/** Every payload that a state sends is held against what its function parses. */
const contracts = {
  'Plan Backup': PlanBackupEvent,
  'Create Snapshot': RunEvent,
  'Check Snapshot': CheckSnapshotEvent,
  'Discover Databases': RunEvent,
  'Dump Database': DumpDatabaseEvent,
  'Apply Retention': ApplyRetentionEvent,
  Notify: NotifyEvent,
  'Notify Failure': NotifyEvent,
  'Write Report': WriteReportEvent,
} as const;
type TaskState = keyof typeof contracts;

const retention: RetentionResult = {
  status: 'applied',
  archives: { kept: 3, deleted: 1, deletedBytes: 100 },
  snapshots: { kept: 2, deleted: 0 },
  deletedIds: [],
  withheld: [],
  planKey: 'runs/orders/orders-20261120T020000Z-k3v9qd/retention.json',
};

/** The true judgement on the run, made of what the state machine hands over. */
const judge = (event: NotifyEvent) => outcomeOf(summarizeRun(event, new Date()), null);

/** A run in which everything works: a snapshot and the database `shop`. */
const allGood: Script<typeof contracts> = {
  'Plan Backup': () => makePlanned(),
  'Create Snapshot': () => makeSnapshotState(),
  'Check Snapshot': () => makeSnapshotState(),
  'Discover Databases': () => makeDiscovery(['shop']),
  'Dump Database': ({ taskToken, database: { database } }) =>
    succeed(taskToken, makeVerifiedDatabase({ database })),
  'Apply Retention': () => retention,
  Notify: judge,
  'Notify Failure': judge,
  'Write Report': () => ({ reportKey: 'reports/report.html', copyKey: null, level: 'green' }),
};

interface PlanChanges {
  readonly kinds?: PlannedRun['run']['kinds'];
  readonly logical?: Partial<PlannedRun['logical']>;
}

function makePlanned({
  kinds = ['snapshot', 'logical'],
  logical = {},
}: PlanChanges = {}): PlannedRun {
  return {
    run: makeRun({ kinds }),
    snapshot: { wanted: kinds.includes('snapshot'), pollSeconds: 30 },
    logical: {
      wanted: kinds.includes('logical'),
      concurrency: 2,
      heartbeatSeconds: 300,
      timeoutSeconds: 3600,
      ...logical,
    },
  };
}

function makeDiscovery(databases: readonly string[]): Discovery {
  return {
    server: { version: '17.11', versionNumber: 170011, isReplica: false },
    databases: databases.map((database) => ({ database, sizeBytes: 10_000_000, problem: null })),
    warnings: [],
  };
}

const {
  definition: backup,
  run,
  tokens,
  everEntered,
} = useScriptedMachine({
  name: 'backup',
  contracts,
  allGood,
  input: { source: 'orders' },
  executionOf: (event) => ('executionArn' in event ? event.executionArn : event.run.executionArn),
  complete: (state, result, executionArn) => {
    if (state !== 'Plan Backup') return result;
    const planned = result as PlannedRun;
    return { ...planned, run: { ...planned.run, executionArn } };
  },
});
const { succeed, fail } = tokens;

/** What a Catch leaves behind of an error that a function threw. */
const failureOf = (error: string) => ({
  Error: error,
  Cause: expect.stringContaining(`"errorMessage":"${error} happened"`),
});

describe('a run in which everything works', () => {
  it('takes the snapshot and the dumps, then applies retention, then says so', async () => {
    const ran = await run();

    expect(ran).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(ran.entered.slice(0, 2)).toEqual(['Plan Backup', 'Back Up']);
    expect(ran.entered.slice(-5)).toEqual([
      'Apply Retention',
      'Notify',
      'Write Report',
      'Everything Verified?',
      'Backup Verified',
    ]);
    expect(ran.payloadsOf('Notify')).toMatchObject([
      {
        input: { source: 'orders' },
        run: { source: 'orders' },
        results: {
          snapshot: { status: 'available', snapshot: makeSnapshotState() },
          logical: {
            status: 'done',
            discovery: makeDiscovery(['shop']),
            databases: [makeVerifiedDatabase()],
          },
        },
        retention,
      },
    ]);
  });

  it('takes only a snapshot when only that is wanted', async () => {
    const ran = await run({ 'Plan Backup': () => makePlanned({ kinds: ['snapshot'] }) });

    expect(ran.status).toBe('SUCCEEDED');
    expect(ran.payloadsOf('Discover Databases')).toEqual([]);
    expect(ran.payloadsOf('Apply Retention')).toMatchObject([
      { results: { snapshot: { status: 'available' }, logical: { status: 'skipped' } } },
    ]);
  });

  it('makes only dumps when only those are wanted', async () => {
    const ran = await run({ 'Plan Backup': () => makePlanned({ kinds: ['logical'] }) });

    expect(ran.status).toBe('SUCCEEDED');
    expect(ran.payloadsOf('Create Snapshot')).toEqual([]);
    expect(ran.payloadsOf('Apply Retention')).toMatchObject([
      { results: { snapshot: { status: 'skipped' }, logical: { status: 'done' } } },
    ]);
  });

  it('looks at the snapshot again and again until it is available', async () => {
    const progress = [10, 60, 100];
    const ran = await run({
      'Create Snapshot': () => makeSnapshotState({ status: 'creating', progressPercent: 0 }),
      'Check Snapshot': () => {
        const progressPercent = progress.shift() ?? 100;
        const status = progressPercent === 100 ? 'available' : 'creating';
        return makeSnapshotState({ status, progressPercent });
      },
    });

    expect(ran.status).toBe('SUCCEEDED');
    const seen = ran.payloadsOf('Check Snapshot').map((it) => it.snapshot.progressPercent);
    expect(seen).toEqual([0, 10, 60]);
    expect(ran.entered.filter((state) => state === 'Wait For Snapshot')).toHaveLength(3);
  });

  it('dumps no more databases at a time than the plan allows, and keeps their order', async () => {
    const databases = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    let running = 0;
    let most = 0;
    const ran = await run({
      'Plan Backup': () => makePlanned({ logical: { concurrency: 3 } }),
      'Discover Databases': () => makeDiscovery(databases),
      'Dump Database': ({ taskToken, database: { database } }) => {
        running += 1;
        most = Math.max(most, running);
        // The first ones take longest, so that the order of ends is not that of starts.
        const pause = 20 * (databases.length - databases.indexOf(database));
        setTimeout(() => {
          running -= 1;
          void succeed(taskToken, makeVerifiedDatabase({ database }));
        }, pause);
      },
    });

    expect(ran.status).toBe('SUCCEEDED');
    expect(most).toBe(3);
    const [notified] = ran.payloadsOf('Notify');
    expect(notified?.results?.logical).toMatchObject({
      databases: databases.map((database) => ({ database })),
    });
  });

  it('gives every try of every dump a token of its own', async () => {
    const interrupted = new Set<string>();
    const ran = await run({
      'Discover Databases': () => makeDiscovery(['a', 'b']),
      'Dump Database': ({ taskToken, database: { database } }) => {
        if (interrupted.has(database)) {
          return succeed(taskToken, makeVerifiedDatabase({ database }));
        }
        interrupted.add(database);
        return fail(taskToken, 'TaskInterrupted', 'Spot took the host back');
      },
    });

    expect(ran.status).toBe('SUCCEEDED');
    const tokens = ran.payloadsOf('Dump Database').map(({ taskToken }) => taskToken);
    expect(tokens).toHaveLength(4);
    expect(new Set(tokens).size).toBe(4);
  });
});

describe('a run in which one part fails', () => {
  it('goes on with the dumps when there is no snapshot to be had', async () => {
    const ran = await run({
      'Create Snapshot': () => {
        throw fault('SnapshotQuotaReached');
      },
      // Answered only when the other branch has long failed.
      'Dump Database': ({ taskToken, database: { database } }) => {
        setTimeout(() => void succeed(taskToken, makeVerifiedDatabase({ database })), 500);
      },
    });

    expect(ran).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' });
    expect(ran.entered.indexOf('Snapshot Failed')).toBeLessThan(ran.entered.indexOf('Dumps Done'));
    expect(ran.payloadsOf('Apply Retention')).toHaveLength(1);
    expect(ran.payloadsOf('Notify')).toMatchObject([
      {
        results: {
          snapshot: { status: 'failed', failure: failureOf('SnapshotQuotaReached') },
          logical: { status: 'done', databases: [{ status: 'verified', database: 'shop' }] },
        },
      },
    ]);
  });

  it('waits for the snapshot when the databases cannot be seen', async () => {
    const ran = await run({
      'Create Snapshot': () => makeSnapshotState({ status: 'creating' }),
      'Check Snapshot': async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        return makeSnapshotState();
      },
      'Discover Databases': () => {
        throw fault('AuthenticationFailed');
      },
    });

    expect(ran).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' });
    expect(ran.entered.indexOf('Dumps Failed')).toBeLessThan(ran.entered.indexOf('Snapshot Taken'));
    expect(ran.payloadsOf('Dump Database')).toEqual([]);
    expect(ran.payloadsOf('Notify')).toMatchObject([
      {
        results: {
          snapshot: { status: 'available' },
          logical: { status: 'failed', failure: failureOf('AuthenticationFailed') },
        },
      },
    ]);
  });

  it('stops looking at a snapshot whose time is up', async () => {
    let looks = 0;
    const ran = await run({
      'Create Snapshot': () => makeSnapshotState({ status: 'creating' }),
      'Check Snapshot': () => {
        looks += 1;
        if (looks === 4) throw fault('SnapshotTimeout');
        return makeSnapshotState({ status: 'creating' });
      },
    });

    expect(ran.status).toBe('FAILED');
    expect(ran.cause).toContain('SnapshotTimeout happened');
    expect(looks).toBe(4);
  });

  it('dumps the other databases when one fails, and names that one', async () => {
    const ran = await run({
      'Discover Databases': () => makeDiscovery(['a', 'b', 'c']),
      'Dump Database': ({ taskToken, database: { database } }) =>
        database === 'b'
          ? fail(taskToken, 'TaskKilled', 'exit code 137')
          : succeed(taskToken, makeVerifiedDatabase({ database })),
    });

    expect(ran.status).toBe('FAILED');
    expect(ran.cause).toContain('exit code 137');
    expect(ran.payloadsOf('Apply Retention')).toMatchObject([
      {
        results: {
          logical: {
            databases: [
              { status: 'verified', database: 'a' },
              {
                status: 'failed',
                database: 'b',
                failure: { Error: 'TaskKilled', Cause: 'exit code 137' },
              },
              { status: 'verified', database: 'c' },
            ],
          },
        },
      },
    ]);
  });

  it('does not pass for a success when no database was found', async () => {
    const ran = await run({ 'Discover Databases': () => makeDiscovery([]) });

    expect(ran.status).toBe('FAILED');
    expect(ran.cause).toContain('NoDatabases');
    expect(ran.payloadsOf('Dump Database')).toEqual([]);
  });

  it('tells of a retention that failed, beside backups that are fine', async () => {
    const ran = await run({
      'Apply Retention': () => {
        throw fault('RetentionGuard');
      },
    });

    expect(ran).toMatchObject({ status: 'FAILED', error: 'RetentionGuard' });
    expect(ran.payloadsOf('Notify')).toMatchObject([
      {
        results: { logical: { databases: [{ status: 'verified' }] } },
        retention: { status: 'failed', failure: failureOf('RetentionGuard') },
      },
    ]);
  });
});

describe('the end of a run', () => {
  it('is told by Notify Failure, and nothing else happens, when there is no plan', async () => {
    const ran = await run({
      'Plan Backup': () => {
        throw fault('UnknownSource');
      },
    });

    expect(ran).toMatchObject({ status: 'FAILED', error: 'UnknownSource' });
    expect(ran.entered).toEqual([
      'Plan Backup',
      'Notify Failure',
      'Write Report',
      'Everything Verified?',
      'Backup Failed',
    ]);
    expect(ran.payloadsOf('Notify Failure')).toEqual([
      {
        executionArn: expect.stringContaining(':execution:backup:'),
        input: { source: 'orders' },
        failure: failureOf('UnknownSource'),
      },
    ]);
  });

  it('is as Notify judges it, with its error and cause', async () => {
    const outcome = { status: 'FAILED', error: 'BackupIncomplete', cause: '2 of 3 databases' };
    const ran = await run({ Notify: () => ({ ...outcome, summaryKey: null }) });

    expect(ran).toMatchObject({
      status: 'FAILED',
      error: 'BackupIncomplete',
      cause: '2 of 3 databases',
    });
    expect(ran.entered.at(-1)).toBe('Backup Failed');
  });

  it('is as it was when the report could not be written', async () => {
    const failing = () => {
      throw fault('AccessDenied');
    };
    const good = await run({ 'Write Report': failing });
    expect(good.status).toBe('SUCCEEDED');
    expect(good.entered.slice(-3)).toEqual([
      'Report Failed',
      'Everything Verified?',
      'Backup Verified',
    ]);

    const outcome = { status: 'FAILED', error: 'BackupIncomplete', cause: '', summaryKey: null };
    const bad = await run({ Notify: () => outcome, 'Write Report': failing });
    expect(bad).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' });
  });

  it.each(['Notify', 'Notify Failure'] as const)(
    'is a failure that names the alert when %s could not send it',
    async (state) => {
      const ran = await run({
        ...leadingTo[state],
        [state]: () => {
          throw fault('AccessDenied');
        },
      });

      expect(ran).toMatchObject({ status: 'FAILED', error: 'AccessDenied' });
      expect(ran.cause).toContain('alert could not be sent');
      expect(ran.entered.at(-1)).toBe('Alert Failed');
    },
  );
});

describe('a dump that falls silent', () => {
  const dumpsWith = (logical: Partial<PlannedRun['logical']>) => () =>
    makePlanned({ kinds: ['logical'], logical });

  it('is given up when its heartbeat stays away', async () => {
    const ran = await run({
      'Plan Backup': dumpsWith({ heartbeatSeconds: 0.1, timeoutSeconds: 60 }),
      'Dump Database': () => undefined,
    });

    expect(ran.entered).toContain('Database Failed');
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.HeartbeatTimeout' });
    expect(ran.payloadsOf('Dump Database')).toHaveLength(1);
  });

  it('is given up at its timeout, however lively it is', async () => {
    let beating: NodeJS.Timeout | undefined;
    const ran = await run({
      'Plan Backup': dumpsWith({ heartbeatSeconds: 2, timeoutSeconds: 2.5 }),
      'Dump Database': ({ taskToken }) => {
        beating = setInterval(() => {
          // The last one comes after the end of the wait, and is refused.
          tokens.heartbeat(taskToken).catch(() => clearInterval(beating));
        }, 50);
      },
    });
    clearInterval(beating);

    expect(ran.entered).toContain('Database Failed');
    expect(ran).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
  });
});

describe('a run of many databases', () => {
  const namesOf = (count: number) =>
    // As long as PostgreSQL has them.
    Array.from({ length: count }, (_, index) => `${index}`.padStart(63, 'x'));
  const manyAtOnce = () => makePlanned({ logical: { concurrency: 40 } });

  it('stays within what Step Functions carries when 500 are verified', async () => {
    const ran = await run({
      'Plan Backup': manyAtOnce,
      'Discover Databases': () => makeDiscovery(namesOf(500)),
      'Dump Database': ({ taskToken, database: { database } }) =>
        succeed(
          taskToken,
          // As many digits as a big database has.
          makeVerifiedDatabase({
            database,
            sizeBytes: 9_876_543_210_123,
            tables: 12_345,
            rows: 987_654_321_012,
            dumpSeconds: 12_345.678,
            verifySeconds: 2345.678,
          }),
        ),
    });

    expect(ran.status).toBe('SUCCEEDED');
    const largest = Math.max(
      ...ran.events
        .flatMap((event) => ('state' in event ? [event.input, event.output] : []))
        .map((data) => Buffer.byteLength(JSON.stringify(data ?? null))),
    );
    expect(largest).toBeGreaterThan(100_000);
    expect(largest).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
  });

  it('still comes to its alert when 300 fail, each with as long a cause as we send', async () => {
    const ran = await run({
      'Plan Backup': manyAtOnce,
      'Discover Databases': () => makeDiscovery(namesOf(300)),
      'Dump Database': ({ taskToken }) => fail(taskToken, 'DumpFailed', 'x'.repeat(600)),
    });

    expect(ran).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' });
    expect(ran.payloadsOf('Notify')).toHaveLength(1);
  });
});

/** What makes a run come to a state that one in which everything works passes by. */
const leadingTo: { [S in TaskState]?: Partial<Script<typeof contracts>> } = {
  'Check Snapshot': { 'Create Snapshot': () => makeSnapshotState({ status: 'creating' }) },
  'Notify Failure': {
    'Plan Backup': () => {
      throw fault('InvalidInput');
    },
  },
};

const table = readStatesTable('backup');

describe.each(table)('$state, as docs/states.md says,', ({ state, alsoRetried, failureGoesTo }) => {
  const task = state as TaskState;
  const retried = [...retriedEverywhere, ...alsoRetried];
  // A run is as good as it was without its report.
  const status = state === 'Write Report' ? 'SUCCEEDED' : 'FAILED';
  const retriers = [...everyState(backup)].find(({ name }) => name === state)?.state.Retry ?? [];

  const failingWith = async (error: string) => {
    const ran = await run({
      ...leadingTo[task],
      [task]: () => {
        throw fault(error);
      },
    });
    const tries = ran.payloadsOf(task).length;
    return { error, tries, status: ran.status, caught: ran.entered.includes(failureGoesTo) };
  };

  it('works when the second try does', async () => {
    const undisturbed = await run(leadingTo[task]);
    let tries = 0;
    const ran = await run({
      ...leadingTo[task],
      [task]: (payload: never) => {
        tries += 1;
        if (tries === 1) throw fault('Throttled');
        return (allGood[task] as (payload: never) => unknown)(payload);
      },
    });
    expect(tries).toBe(2);
    expect(ran.status).toBe(undisturbed.status);
    expect(ran.entered).not.toContain(failureGoesTo);
  });

  it(`gives up after some tries with what may pass, and goes to ${failureGoesTo}`, async () => {
    const attemptsOf = (error: string) =>
      retriers.find(({ ErrorEquals }) => ErrorEquals.includes(error))?.MaxAttempts ?? 0;
    expect(await Promise.all(retried.map(failingWith))).toEqual(
      retried.map((error) => ({
        error,
        tries: 1 + attemptsOf(error),
        status,
        caught: true,
      })),
    );
    expect(Math.min(...retried.map(attemptsOf))).toBeGreaterThan(0);
  });

  it(`goes to ${failureGoesTo} at once with everything else`, async () => {
    const others = [...errorCatalogue.keys(), 'TypeError'].filter((it) => !retried.includes(it));
    expect(others.length).toBeGreaterThan(30);
    expect(await Promise.all(others.map(failingWith))).toEqual(
      others.map((error) => ({ error, tries: 1, status, caught: true })),
    );
  });
});

describe('the errors that a retry can help', () => {
  it('are those that some state retries, and no others', () => {
    const retried = new Set([
      ...retriedEverywhere.filter((name) => !name.startsWith('Lambda.')),
      ...table.flatMap(({ alsoRetried }) => alsoRetried),
    ]);
    const retryable = [...errorCatalogue.values()].filter((it) => it.retryable);
    expect([...retried].toSorted()).toEqual(retryable.map((it) => it.errorName).toSorted());
  });
});

describe('the tests above', () => {
  it('come to every state of the file', () => {
    const states = [...everyState(backup)].map(({ name }) => name);
    expect([...everEntered].toSorted()).toEqual(states.toSorted());
  });
});
