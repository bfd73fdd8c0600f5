import { describe, expect, it } from 'vitest';
import type { SourceExtent } from '#contracts/source-extent.ts';
import { backupKey, drillRecordKey, runSummaryKey, sourceExtentKey } from '#domain/names.ts';
import { InvalidPlan, Throttled } from '#errors';
import { reconcile } from '#functions/reconcile.ts';
import {
  backupIdAt,
  type FakeDeps,
  makeDeps,
  makePlan,
  makePlans,
  makeSnapshotState,
  seedBackup,
} from '#test/fakes.ts';

const HOUR = 3600;
const DAY = 24 * HOUR;
const SEEN = 'alerts/orders/first-seen.json';
const EXTENT = 'runs/orders/extent.json';
const quiet = () => makeDeps({ plans: makePlans([{ ...makePlan(), schedule: undefined }]) });
const scheduled = (enabled: boolean) =>
  ({ known: true, fact: { enabled, expression: '', timezone: 'UTC' } }) as const;
const GONE = { known: true, fact: undefined } as const;
const DENIED = { known: false, reason: 'denied', action: 'a:B', detail: 'no' } as const;
const backupAt = (time: string, database = 'shop') => ({ database, backupId: backupIdAt(time) });

/** What one heartbeat records of the source, or of one of its databases. */
async function beat(deps: FakeDeps, database?: string) {
  deps.metrics.recorded.length = 0;
  await reconcile({}, deps);
  const recorded = deps.metrics.recorded.filter((it) => it.database === database);
  return Object.assign({}, ...recorded.map(({ values }) => values)) as Record<string, number>;
}
function seedExtent(deps: FakeDeps, databases: string[], more: Partial<SourceExtent> = {}) {
  const since = '2026-11-10T00:00:00.000Z';
  deps.objects.seed(sourceExtentKey('orders'), {
    version: 1,
    source: 'orders',
    runId: 'run-1',
    writtenAt: since,
    databases: databases.map((database) => ({ database, since })),
    snapshotAt: null,
    recentRuns: [],
    ...more,
  });
}
function seedDrill(
  deps: FakeDeps,
  time: string,
  status: 'PASSED' | 'FAILED',
  drill: { part?: true } = {},
  databases?: { report: { tablesLeftOut?: number } | null }[],
) {
  const key = drillRecordKey({ source: 'orders', drillId: backupIdAt(time) });
  const endedAt = new Date(time).toISOString();
  deps.objects.seed(key, { version: 1, status, endedAt, drill, databases });
}

// The clock shows 2026-11-20 03:00 UTC.
describe('the age of the newest verified backup', () => {
  it('is of each database, and of the source the oldest', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'));
    seedBackup(deps.objects, backupAt('2026-11-19T01:00:00Z'));
    seedBackup(deps.objects, backupAt('2026-11-19T03:00:00Z', 'audit'));
    expect(await beat(deps, 'shop')).toEqual({ BackupAge: 2 * HOUR });
    expect(await beat(deps, 'audit')).toEqual({ BackupAge: DAY });
    expect(await beat(deps)).toMatchObject({ BackupAge: DAY });
  });

  it.each(['unverified', 'quarantined', 'running'] as const)(
    'is not of one that is %s',
    async (state) => {
      const deps = quiet();
      seedBackup(deps.objects, backupAt('2026-11-20T02:30:00Z'), state);
      seedBackup(deps.objects, backupAt('2026-11-19T03:00:00Z'));
      expect(await beat(deps)).toMatchObject({ BackupAge: DAY });
    },
  );

  it('of a source that never had one grows from when it was first seen', async () => {
    const deps = quiet();
    expect(await beat(deps)).toMatchObject({ BackupAge: 0, DrillAge: 0 });
    deps.clock.advance(5 * DAY * 1000);
    expect(await beat(deps)).toMatchObject({ BackupAge: 5 * DAY, DrillAge: 5 * DAY });
  });

  it('keeps the time it was first seen, though old alerts are expired', async () => {
    const deps = quiet();
    await beat(deps);
    for (let days = 0; days < 100; days += 10) {
      deps.clock.advance(10 * DAY * 1000);
      await beat(deps);
    }
    const written = (await deps.objects.head(SEEN))?.lastModified.getTime() ?? 0;
    expect(deps.clock.now().getTime() - written).toBeLessThan(31 * DAY * 1000);
    expect(await beat(deps)).toMatchObject({ BackupAge: 100 * DAY });
  });

  it('of a database that always failed grows from when a run first found it', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'));
    seedExtent(deps, ['shop', 'broken']);
    expect(await beat(deps, 'broken')).toEqual({ BackupAge: 10 * DAY + 3 * HOUR });
    expect(await beat(deps)).toMatchObject({ BackupAge: 10 * DAY + 3 * HOUR });
  });

  it('is not of a database that was dropped, once a run has seen that', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'));
    seedBackup(deps.objects, backupAt('2026-10-01T00:00:00Z', 'dropped'));
    expect((await beat(deps))['BackupAge']).toBeGreaterThan(40 * DAY);
    seedExtent(deps, ['shop']);
    expect(await beat(deps)).toMatchObject({ BackupAge: 2 * HOUR });
  });

  it('of a source with snapshots alone is that of the last one that a run made', async () => {
    const plan = { ...makePlan({ kinds: ['snapshot'] }), schedule: undefined };
    const deps = makeDeps({ plans: makePlans([plan]) });
    expect(await beat(deps)).toMatchObject({ BackupAge: 0 });
    seedExtent(deps, [], { databases: null, snapshotAt: '2026-11-18T03:00:00.000Z' });
    expect(await beat(deps)).toMatchObject({ BackupAge: 2 * DAY });
  });
});

describe('the age of the last drill', () => {
  it('is that of the last that passed, whatever failed since', async () => {
    const deps = quiet();
    seedDrill(deps, '2026-11-01T03:00:00Z', 'PASSED');
    seedDrill(deps, '2026-11-10T03:00:00Z', 'PASSED');
    seedDrill(deps, '2026-11-15T03:00:00Z', 'FAILED');
    expect(await beat(deps)).toMatchObject({ DrillAge: 10 * DAY });
  });

  it('is not that of a drill of one database of several', async () => {
    const deps = quiet();
    seedDrill(deps, '2026-11-10T03:00:00Z', 'PASSED');
    seedDrill(deps, '2026-11-19T03:00:00Z', 'PASSED', { part: true });
    expect(await beat(deps)).toMatchObject({ DrillAge: 10 * DAY });
  });

  it('is not that of a drill that left tables out, which nobody has seen come back', async () => {
    const deps = quiet();
    seedDrill(deps, '2026-11-10T03:00:00Z', 'PASSED', {}, [{ report: {} }]);
    const databases = [{ report: {} }, { report: { tablesLeftOut: 1 } }];
    seedDrill(deps, '2026-11-19T03:00:00Z', 'PASSED', {}, databases);
    expect(await beat(deps)).toMatchObject({ DrillAge: 10 * DAY });
  });

  it('is found behind a record that cannot be read', async () => {
    const deps = quiet();
    seedDrill(deps, '2026-11-10T03:00:00Z', 'PASSED');
    const broken = drillRecordKey({
      source: 'orders',
      drillId: backupIdAt('2026-11-11T03:00:00Z'),
    });
    await deps.objects.put(broken, '{');
    expect(await beat(deps)).toMatchObject({ DrillAge: 10 * DAY });
  });
});

describe('what is stored', () => {
  it('is every object of the source, and what it costs', async () => {
    const deps = quiet();
    const ref = { source: 'orders', ...backupAt('2026-11-20T01:00:00Z') };
    await deps.objects.put(backupKey(ref, 'archive.dump'), Buffer.alloc(10_000));
    await deps.objects.put(backupKey({ ...ref, source: 'billing' }, 'archive.dump'), 'other');
    const { StoredBytes, MonthlyCost } = await beat(deps);
    expect(StoredBytes).toBe(10_000);
    expect(MonthlyCost).toBeCloseTo((10_000 * 0.023) / 2 ** 30, 12);
  });
});

describe('what backups depend on', () => {
  it.each([
    ['both are enabled', scheduled(true), scheduled(true), 1],
    ['that of backups is disabled', scheduled(false), scheduled(true), 0],
    ['that of backups is gone', GONE, scheduled(true), 0],
    ['that of drills is disabled', scheduled(true), scheduled(false), 0],
    ['that of drills is gone', scheduled(true), GONE, 0],
    ['one is off and nobody may ask about the other', DENIED, scheduled(false), 0],
    ['one is on and nobody may ask about the other', scheduled(true), DENIED, undefined],
  ] as const)('are schedules: %s', async (_, ofBackups, ofDrills, expected) => {
    const deps = makeDeps();
    deps.surroundings.schedules.set('orders', ofBackups);
    deps.surroundings.schedules.set('orders.drill', ofDrills);
    expect((await beat(deps))['ScheduleEnabled']).toBe(expected);
  });

  it('are the schedules that the plan wants, and no other', async () => {
    const plan = makePlan();
    const byHand = { ...plan, drill: { ...plan.drill, schedule: 'none' as const } };
    const backupsAlone = makeDeps({ plans: makePlans([byHand]) });
    backupsAlone.surroundings.schedules.set('orders', scheduled(true));
    expect(await beat(backupsAlone)).toMatchObject({ ScheduleEnabled: 1 });
    const drillsAlone = quiet();
    drillsAlone.surroundings.schedules.set('orders.drill', scheduled(true));
    expect(await beat(drillsAlone)).toMatchObject({ ScheduleEnabled: 1 });
  });

  it('name the schedule that is off in the log', async () => {
    const deps = makeDeps();
    deps.surroundings.schedules.set('orders', scheduled(true));
    deps.surroundings.schedules.set('orders.drill', scheduled(false));
    await beat(deps);
    deps.surroundings.schedules.set('orders', GONE);
    deps.surroundings.schedules.set('orders.drill', scheduled(true));
    await beat(deps);
    expect(deps.log.of('schedule disabled or gone').map(({ fields }) => fields)).toEqual([
      { source: 'orders', starts: 'drills', schedule: 'orders.drill', found: 'disabled' },
      { source: 'orders', starts: 'backups', schedule: 'orders', found: 'gone' },
    ]);
  });

  it('is not known where nobody may ask, and keeps nothing else back', async () => {
    const deps = makeDeps();
    deps.surroundings.schedules.set('orders', DENIED);
    deps.surroundings.schedules.set('orders.drill', DENIED);
    deps.surroundings.quotas = DENIED;
    const values = await beat(deps);
    expect(values).not.toHaveProperty('ScheduleEnabled');
    expect(values).not.toHaveProperty('SnapshotQuotaUsed');
    expect(values).toMatchObject({ BackupAge: 0, StoredBytes: 0 });
    expect(deps.log.of('metric unknown')).toHaveLength(3);
  });

  it('has the quota that the snapshots of the engine fall under', async () => {
    const deps = makeDeps();
    const fact = { instance: { used: 45, max: 100 }, cluster: { used: 1, max: 200 } };
    deps.surroundings.quotas = { known: true, fact };
    expect(await beat(deps)).toMatchObject({ SnapshotQuotaUsed: 45 });
    const aurora = makePlan({ engine: { type: 'aurora-cluster', identifier: 'c' } });
    const cluster = makeDeps({ plans: makePlans([aurora]) });
    cluster.surroundings.quotas = { known: true, fact };
    expect(await beat(cluster)).toMatchObject({ SnapshotQuotaUsed: 0.5 });
  });

  it('is not asked of a source that has no schedule and no snapshots', async () => {
    const plan = {
      ...makePlan({ kinds: ['logical'], drill: { schedule: 'none' } }),
      schedule: undefined,
    };
    const deps = makeDeps({ plans: makePlans([plan]) });
    deps.surroundings.schedule = deps.surroundings.snapshotQuotas = async () => {
      throw new Error('nobody should ask');
    };
    expect(await beat(deps)).toMatchObject({ BackupAge: 0 });
  });
});

const GARBAGE = ['{', '', '[]', 'null', '{"since":"soon"}', '{"version":2,"databases":"shop"}'];
/** What the log says of a record that was broken. */
const told = (deps: FakeDeps, key: string) =>
  deps.log
    .of('failed')
    .filter(({ fields }) => fields['key'] === key)
    .map(({ level, fields }) => [level, fields['source'], fields['error']]);

describe.each(GARBAGE)('a record that is broken: %s', (garbage) => {
  it('of what there is to back up, leaves the ages of what is in the bucket', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'));
    seedBackup(deps.objects, backupAt('2026-11-19T03:00:00Z', 'audit'));
    await deps.objects.put(EXTENT, garbage);
    expect(await beat(deps)).toMatchObject({ BackupAge: DAY });
    expect(await beat(deps, 'shop')).toEqual({ BackupAge: 2 * HOUR });
    expect(told(deps, EXTENT)[0]).toEqual(['error', 'orders', 'InvalidEnvironment']);
    // Notify alone writes it.
    expect(deps.objects.text(EXTENT)).toBe(garbage);
  });

  it('of when the source was first seen, is written anew with its oldest trace', async () => {
    const deps = makeDeps();
    // The day it came: its schedule was noted then as well.
    await beat(deps);
    deps.clock.advance(5 * DAY * 1000);
    await deps.objects.put(SEEN, garbage);
    deps.clock.advance(HOUR * 1000);
    expect(await beat(deps)).toMatchObject({
      BackupAge: 5 * DAY + HOUR,
      DrillAge: 5 * DAY + HOUR,
    });
    expect(deps.objects.json(SEEN)).toEqual({ since: '2026-11-20T03:00:00.000Z' });
    deps.clock.advance(HOUR * 1000);
    expect(await beat(deps)).toMatchObject({ BackupAge: 5 * DAY + 2 * HOUR });
    expect(told(deps, SEEN)).toEqual([['error', 'orders', 'InvalidEnvironment']]);
  });
});

describe('a record that is broken', () => {
  it('of what there is to back up, leaves the age of the snapshot of the last run that made one', async () => {
    const plan = { ...makePlan({ kinds: ['snapshot'] }), schedule: undefined };
    const deps = makeDeps({ plans: makePlans([plan]) });
    const skipped = { status: 'skipped' };
    const taken = (startedAt: string) => ({
      status: 'available',
      snapshot: makeSnapshotState({ startedAt }),
    });
    const summarized = (runId: string, endedAt: string, snapshot: object) =>
      deps.objects.seed(runSummaryKey('orders', runId), { snapshot }, new Date(endedAt));
    summarized('z', '2026-11-17T03:10:00Z', taken('2026-11-17T03:00:00.000Z'));
    summarized('a', '2026-11-18T03:10:00Z', taken('2026-11-18T03:00:00.000Z'));
    summarized('m', '2026-11-19T03:10:00Z', skipped);
    deps.objects.seed(runSummaryKey('orders', 'b'), '{', new Date('2026-11-19T04:00:00Z'));
    await deps.objects.put(EXTENT, '{');
    expect(await beat(deps)).toMatchObject({ BackupAge: 2 * DAY });
  });

  it('of when the source was first seen, does not make it younger than its backups', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-01T03:00:00Z'));
    await deps.objects.put(SEEN, '{');
    expect(await beat(deps)).toMatchObject({ DrillAge: 19 * DAY });
  });

  it('in the words of a later version, counts for what it says of ages', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'));
    seedBackup(deps.objects, backupAt('2026-10-01T00:00:00Z', 'dropped'));
    seedExtent(deps, ['shop'], { version: 2, more: true } as object);
    expect(await beat(deps)).toMatchObject({ BackupAge: 2 * HOUR });
  });
});

describe('a heartbeat that finds something broken', () => {
  it('records what it can, does the other chores, and fails loudly', async () => {
    const deps = quiet();
    deps.surroundings.schedules.set('orders.drill', scheduled(true));
    seedBackup(deps.objects, backupAt('2026-11-19T03:00:00Z'));
    deps.objects.fault = (operation, key) => {
      if (operation === 'get' && key === EXTENT) throw new Throttled('slow down');
    };
    await expect(reconcile({}, deps)).rejects.toThrow('slow down');
    const recorded = Object.assign({}, ...deps.metrics.recorded.map(({ values }) => values));
    expect(Object.keys(recorded).sort()).toEqual([
      'DrillAge',
      'MonthlyCost',
      'ScheduleEnabled',
      'StoredBytes',
    ]);
  });

  it('is recorded of every source whose plan can be read', async () => {
    const deps = quiet();
    const list = deps.plans.list.bind(deps.plans);
    deps.plans.list = async (onInvalid) => {
      const error = new InvalidPlan('the plan in typo is not valid');
      if (!onInvalid) throw error;
      onInvalid(error);
      return list();
    };
    await expect(reconcile({}, deps)).rejects.toThrow('typo');
    expect(deps.metrics.recorded.map(({ source }) => source)).toContain('orders');
  });

  it('of every source comes before the chores of any, which may take long', async () => {
    const other = { ...makePlan({ source: 'billing' }), schedule: undefined };
    const plans = makePlans([{ ...makePlan(), schedule: undefined }, other]);
    const deps = makeDeps({ plans });
    const uploads = deps.objects.uploads.bind(deps.objects);
    let measuredBefore: string[] | undefined;
    deps.objects.uploads = (prefix) => {
      measuredBefore ??= deps.metrics.recorded.map(({ source }) => source);
      return uploads(prefix);
    };
    await reconcile({}, deps);
    expect(new Set(measuredBefore)).toEqual(new Set(['orders', 'billing']));
  });

  it('of one source does not keep another’s back', async () => {
    const other = { ...makePlan({ source: 'billing' }), schedule: undefined };
    const plans = makePlans([{ ...makePlan(), schedule: undefined }, other]);
    const deps = makeDeps({ plans });
    const list = deps.objects.list.bind(deps.objects);
    deps.objects.list = (prefix) => {
      if (prefix === 'backups/orders/') throw new Throttled('slow down');
      return list(prefix);
    };
    await expect(reconcile({}, deps)).rejects.toThrow('slow down');
    expect(deps.metrics.recorded.map(({ source }) => source)).toContain('billing');
    expect(deps.metrics.recorded.map(({ source }) => source)).not.toContain('orders');
  });
});
