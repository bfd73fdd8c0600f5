import { describe, expect, it } from 'vitest';
import type { DrillRecord } from '#contracts/drill.ts';
import { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { Results } from '#contracts/workflow.ts';
import {
  type BackupRef,
  backupKey,
  backupPrefix,
  drillRecordKey,
  jobKey,
  makeSnapshotId,
} from '#domain/names.ts';
import { ServiceUnavailable } from '#errors';
import { applyRetention } from '#functions/apply-retention.ts';
import { makeDrillReport, makePastDrill, makeServerDrill } from '#test/fakes/drills.ts';
import {
  backupIdAt,
  type Changes,
  executionArnOf,
  makeDeps,
  makeJob,
  makePlan,
  makePlans,
  makeResults,
  makeRun,
  makeSnapshots,
  makeVerifiedDatabase,
  makeWorkflow,
  seedBackup,
} from '#test/fakes.ts';

/** Keeps the two newest, nothing else. */
const strict = { keepLast: 2, daily: 0, weekly: 0, monthly: 0, yearly: 0, minimumVerified: 1 };

/** Backups of `days` days, newest today, each at 02:01 UTC. */
function seedDays(
  objects: Parameters<typeof seedBackup>[0],
  database: string,
  days: number,
): BackupRef[] {
  return Array.from({ length: days }, (_, day) => {
    const time = new Date(Date.parse('2026-11-20T02:01:00Z') - day * 86_400_000);
    return seedBackup(objects, { database, backupId: backupIdAt(time, database) });
  });
}

function setUp(
  retention: Changes<SourcePlan['retention']> = { archives: strict },
  existing: Parameters<typeof makeSnapshots>[0] = [],
) {
  const deps = makeDeps({
    plans: makePlans([makePlan({ retention })]),
    snapshots: makeSnapshots(existing),
    workflow: makeWorkflow(),
  });
  const apply = (results: Results = makeResults()) =>
    applyRetention({ run: makeRun(), results }, deps);
  const record = () =>
    RetentionPlanRecord.parse(
      deps.objects.json('runs/orders/orders-20261120T020000Z-k3v9qd/retention.json'),
    );
  const stored = (ref: BackupRef) => deps.objects.keys(backupPrefix(ref));
  return { deps, objects: deps.objects, apply, record, stored };
}

describe('retention of archives', () => {
  it('deletes what no rule keeps, with its job record, and nothing else', async () => {
    const { objects, apply, record, stored } = setUp();
    const [first, second, third, fourth] = seedDays(objects, 'shop', 4);
    if (!first || !second || !third || !fourth) throw new Error('four backups were seeded');
    const other = seedBackup(objects, { source: 'billing', database: 'shop' });
    objects.seed('backups/orders/shop/notes.txt', 'somebody else’s');

    const result = await apply();

    expect(result).toMatchObject({
      status: 'applied',
      archives: { kept: 2, deleted: 2 },
      deletedIds: [`shop/${third.backupId}`, `shop/${fourth.backupId}`],
      withheld: [],
    });
    for (const kept of [first, second, other]) expect(stored(kept)).toHaveLength(5);
    for (const gone of [third, fourth]) {
      expect(stored(gone)).toEqual([]);
      expect(await objects.head(jobKey(gone))).toBeUndefined();
    }
    expect(await objects.head(jobKey(first))).toBeDefined();
    expect(objects.text('backups/orders/shop/notes.txt')).toBe('somebody else’s');
    expect(record()).toMatchObject({ guard: null, foreign: { objects: 1 } });
    expect(record().databases[0]?.delete[0]?.reasons).toEqual(['no rule keeps it']);
  });

  describe('of what drills have brought back', () => {
    /** Four days; the oldest was drilled on day 1 and again on day 60, the one before it on day 30. */
    function seedDrilled(redrilled: Parameters<typeof makePastDrill>[0] = {}) {
      const all = setUp();
      const [first, second, oldish, oldest] = seedDays(all.objects, 'shop', 4);
      if (!first || !second || !oldish || !oldest) throw new Error('four backups were seeded');
      for (const ref of [oldest, oldish]) all.objects.seed(backupKey(ref, 'drilled.json'), {});
      const again = makePastDrill({
        database: { backupId: oldest.backupId, ...redrilled.database },
        drill: { drillId: backupIdAt('2026-11-19T12:00:00Z'), ...redrilled.drill },
      });
      const once = makePastDrill({
        database: { backupId: oldish.backupId },
        drill: {
          drillId: backupIdAt('2026-11-19T10:00:00Z'),
          startedAt: '2026-11-19T10:00:00.000Z',
        },
      });
      for (const record of [again, once]) all.objects.seed(drillRecordKey(record.drill), record);
      const reasons = () =>
        Object.fromEntries(
          (all.record().databases[0]?.keep ?? []).map((it) => [it.id, it.reasons]),
        );
      return { ...all, oldest, oldish, again, reasons };
    }

    it('keeps the one that came back last, though its mark is of its first drill', async () => {
      const { apply, oldest, oldish, reasons } = seedDrilled({
        drill: { startedAt: '2026-11-25T10:00:00.000Z' },
      });
      await apply();
      expect(reasons()).toMatchObject({
        [oldest.backupId]: ['last drilled'],
        [oldish.backupId]: ['newest drilled'],
      });
    });

    it.each([
      ['failed', { status: 'FAILED' as const }],
      ['left tables out', { report: makeDrillReport({ tablesLeftOut: 1 }) }],
    ])('does not go by a drill that %s', async (_, database) => {
      const { apply, oldest, oldish, reasons } = seedDrilled({
        drill: { startedAt: '2026-11-25T10:00:00.000Z' },
        database,
      });
      await apply();
      expect(reasons()).not.toHaveProperty(oldest.backupId);
      expect(reasons()).toMatchObject({ [oldish.backupId]: ['last drilled'] });
    });

    it('goes by the marks where a record is broken', async () => {
      const { apply, objects, again, oldish, reasons } = seedDrilled();
      objects.seed(drillRecordKey(again.drill), 'not JSON');
      expect(await apply()).toMatchObject({ status: 'applied' });
      expect(reasons()).toHaveProperty(oldish.backupId);
    });
  });

  it('counts each database by itself', async () => {
    const { objects, apply, stored } = setUp();
    const shop = seedDays(objects, 'shop', 3);
    const crm = seedDays(objects, 'crm "eu"', 2);
    await apply();
    expect(shop.map((ref) => stored(ref).length)).toEqual([5, 5, 0]);
    expect(crm.map((ref) => stored(ref).length)).toEqual([5, 5]);
  });

  it('changes nothing when it is done a second time', async () => {
    const { objects, apply } = setUp();
    seedDays(objects, 'shop', 4);
    await apply();
    const before = objects.keys('backups/');
    expect(await apply()).toMatchObject({ archives: { kept: 2, deleted: 0 } });
    expect(objects.keys('backups/')).toEqual(before);
  });

  it('leaves a database alone whose dump failed in this run', async () => {
    const { objects, apply, stored, record } = setUp();
    const shop = seedDays(objects, 'shop', 3);
    const crm = seedDays(objects, 'crm', 3);
    const results = makeResults();
    if (results.logical.status === 'done') {
      results.logical.databases = [
        makeVerifiedDatabase(),
        { status: 'failed', database: 'crm', failure: { Error: 'LockTimeout', Cause: '' } },
      ];
    }
    expect(await apply(results)).toMatchObject({ withheld: ['crm'], archives: { deleted: 1 } });
    expect(shop.map((ref) => stored(ref).length)).toEqual([5, 5, 0]);
    expect(crm.map((ref) => stored(ref).length)).toEqual([5, 5, 5]);
    expect(record().databases.find(({ database }) => database === 'crm')?.withheld).toBe(
      'its dump failed in this run: LockTimeout',
    );
  });

  it('leaves all of them alone when no dumps could be made', async () => {
    const { objects, apply } = setUp();
    seedDays(objects, 'shop', 3);
    const failure = { Error: 'DatabaseUnreachable', Cause: '' };
    const result = await apply(makeResults({ logical: { status: 'failed', failure } }));
    expect(result).toMatchObject({ withheld: ['shop'], archives: { kept: 3, deleted: 0 } });
  });

  it('shows its plan and deletes nothing in a dry run, even when a guard would refuse it', async () => {
    const { objects, apply, record, stored } = setUp({ archives: strict, dryRun: true });
    const refs = seedDays(objects, 'shop', 8);
    expect(await apply()).toMatchObject({ status: 'dry-run', archives: { kept: 2, deleted: 6 } });
    for (const ref of refs) expect(stored(ref)).toHaveLength(5);
    expect(record().guard).toContain('6 of 8');
  });

  it('deletes nothing of any database when one plan is too large, and names it', async () => {
    const { objects, apply, record, stored } = setUp();
    const shop = seedDays(objects, 'shop', 8);
    const crm = seedDays(objects, 'crm', 3);
    await expect(apply()).rejects.toMatchObject({
      name: 'RetentionGuard',
      message: expect.stringContaining('database shop would delete 6 of 8'),
    });
    for (const ref of [...shop, ...crm]) expect(stored(ref)).toHaveLength(5);
    expect(record().guard).toContain('database shop');
  });

  it('never leaves a backup that counts as verified without its data, wherever it is cut off', async () => {
    // Two backups go: five objects and a job record each.
    const allDeletes = 12;
    for (let survived = 0; survived < allDeletes; survived += 1) {
      const { objects, apply, stored } = setUp();
      const refs = seedDays(objects, 'shop', 4);
      let deletes = 0;
      objects.fault = (operation) => {
        if (operation !== 'delete') return;
        if (deletes === survived) throw new ServiceUnavailable('cut off');
        deletes += 1;
      };
      await expect(apply()).rejects.toThrow('cut off');
      const verified = refs
        .map((ref) => stored(ref).map((key) => key.split('/').at(-1)))
        .filter((files) => files.includes('verification.json'));
      expect(verified.length).toBeGreaterThanOrEqual(2);
      for (const files of verified) expect(files).toHaveLength(5);
    }
  });
});

describe('retention of what was never verified', () => {
  const now = '2026-11-20T03:00:00Z';
  const daysAgo = (days: number) => backupIdAt(new Date(Date.parse(now) - days * 86_400_000));

  it('takes leftovers after the grace, and counts none of them', async () => {
    const { objects, apply, stored } = setUp();
    const good = seedDays(objects, 'shop', 2);
    const left = seedBackup(objects, { database: 'shop', backupId: daysAgo(4) }, 'unverified');
    const bad = seedBackup(objects, { database: 'shop', backupId: daysAgo(5) }, 'quarantined');
    const young = seedBackup(objects, { database: 'shop', backupId: daysAgo(1) }, 'unverified');
    await apply();
    expect(stored(left)).toEqual([]);
    expect(stored(bad)).toEqual([]);
    expect(stored(young)).toHaveLength(4);
    for (const ref of good) expect(stored(ref)).toHaveLength(5);
  });

  it('keeps a backup whose execution still runs, however old it is', async () => {
    const { deps, objects, apply, stored } = setUp();
    const ref = seedBackup(objects, { database: 'shop', backupId: daysAgo(20) }, 'unverified');
    const executionArn = executionArnOf('a-long-run');
    objects.seed(jobKey(ref), makeJob({ ...ref, executionArn }));
    deps.workflow.executions.set(executionArn, 'RUNNING');
    await apply();
    expect(stored(ref)).toHaveLength(4);
    deps.workflow.executions.set(executionArn, 'TIMED_OUT');
    await apply();
    expect(stored(ref)).toEqual([]);
  });

  it('keeps a backup within the dump’s timeout even when that is longer than the grace', async () => {
    const plan = makePlan({
      dump: { timeoutMinutes: 5 * 24 * 60 },
      retention: { archives: { ...strict, unverifiedGraceHours: 1 } },
    });
    const deps = makeDeps({ plans: makePlans([plan]) });
    const ref = seedBackup(deps.objects, { database: 'shop', backupId: daysAgo(3) }, 'running');
    deps.objects.seed(backupKey(ref, 'archive.dump'), 'uploaded, manifest to come');
    await applyRetention({ run: makeRun(), results: makeResults() }, deps);
    expect(deps.objects.keys(backupPrefix(ref))).toHaveLength(1);
  });

  it('never touches a folder whose manifest is about another backup', async () => {
    const { objects, apply, stored, record } = setUp();
    const [mine] = seedDays(objects, 'shop', 1);
    const copied = seedBackup(objects, { database: 'shop', backupId: daysAgo(9) });
    if (!mine) throw new Error('one backup was seeded');
    const others = seedBackup(objects, { database: 'crm', backupId: daysAgo(40) });
    objects.seed(
      backupKey(copied, 'manifest.json'),
      objects.text(backupKey(others, 'manifest.json')),
    );
    seedDays(objects, 'shop', 3);
    await apply();
    expect(stored(copied)).toHaveLength(5);
    const kept = record().databases.find(({ database }) => database === 'shop')?.keep;
    expect(kept?.find(({ id }) => id === copied.backupId)?.reasons).toEqual([
      'its manifest names another backup or none',
    ]);
  });
});

describe('retention of snapshots', () => {
  const snapshotOf = (day: number, status = 'available') => {
    const createdAt = new Date(Date.parse('2026-11-20T02:00:00Z') - day * 86_400_000);
    return { snapshotId: makeSnapshotId('orders', createdAt, 'x'), createdAt, status };
  };
  const rules = { snapshots: strict };

  it('deletes what no rule keeps, and failed ones after the grace', async () => {
    const existing = [
      snapshotOf(0),
      snapshotOf(1, 'failed'),
      snapshotOf(2),
      snapshotOf(3),
      snapshotOf(4, 'failed'),
      snapshotOf(5, 'creating'),
    ];
    const { deps, apply } = setUp(rules, existing);
    expect(await apply()).toMatchObject({ snapshots: { kept: 4, deleted: 2 } });
    expect(new Set(deps.snapshots.stored.keys())).toEqual(
      new Set([0, 1, 2, 5].map((i) => existing[i]?.snapshotId)),
    );
  });

  it('keeps the one that a drill brought back last, as the records of drills have it', async () => {
    const existing = [0, 1, 2, 3, 4, 5].map((day) => snapshotOf(day));
    const { deps, apply, record } = setUp(rules, existing);
    const drilled = (day: number, time: string, changes: Partial<DrillRecord> = {}) => {
      const { restore } = makeServerDrill();
      const past = makePastDrill({ drill: { drillId: backupIdAt(time), kind: 'snapshot' } });
      const snapshotId = existing[day]?.snapshotId ?? '';
      deps.objects.seed(drillRecordKey(past.drill), {
        ...past,
        endedAt: time,
        server: {
          identifier: restore.target.identifier,
          origin: { ...restore.origin, snapshotId },
          cleanUp: null,
        },
        ...changes,
      });
    };
    drilled(4, '2026-11-18T05:00:00.000Z');
    drilled(3, '2026-11-17T05:00:00.000Z');
    drilled(5, '2026-11-19T05:00:00.000Z', { status: 'FAILED' });
    expect(await apply()).toMatchObject({ snapshots: { kept: 4, deleted: 2 } });
    expect(new Set(deps.snapshots.stored.keys())).toEqual(
      new Set([0, 1, 3, 4].map((day) => existing[day]?.snapshotId)),
    );
    const reasons = record().snapshots?.keep.map(({ id, reasons: why }) => [id, why]);
    expect(Object.fromEntries(reasons ?? [])).toMatchObject({
      [existing[4]?.snapshotId ?? '']: ['last drilled'],
      [existing[3]?.snapshotId ?? '']: ['newest drilled'],
    });
  });

  it('leaves a copy that somebody made, though our tags came with it', async () => {
    const copy = { ...snapshotOf(400), snapshotId: 'orders-before-migration' };
    const { deps, apply, record } = setUp(rules, [
      snapshotOf(0),
      snapshotOf(1),
      snapshotOf(2),
      copy,
    ]);
    expect(await apply()).toMatchObject({ snapshots: { kept: 2, deleted: 1 } });
    expect(deps.snapshots.stored.has('orders-before-migration')).toBe(true);
    expect(record().foreign.snapshots).toEqual(['orders-before-migration']);
  });

  it.each([
    ['SnapshotFailed', 0],
    ['SnapshotQuotaReached', 1],
  ])('after %s deletes %d: only a full quota is a reason to make room', async (error, deleted) => {
    const { apply } = setUp(rules, [snapshotOf(1), snapshotOf(2), snapshotOf(3)]);
    const failure = { Error: error, Cause: '' };
    const result = await apply(makeResults({ snapshot: { status: 'failed', failure } }));
    expect(result.snapshots.deleted).toBe(deleted);
  });

  it('deletes the others when RDS refuses one, and still fails', async () => {
    const existing = [0, 1, 2, 3].map((day) => snapshotOf(day));
    const { deps, apply } = setUp(rules, existing);
    deps.snapshots.refuse = (id) => {
      if (id === existing[2]?.snapshotId) throw new ServiceUnavailable('not now');
    };
    await expect(apply()).rejects.toThrow('not now');
    expect(deps.snapshots.stored.has(existing[3]?.snapshotId ?? '')).toBe(false);
  });

  it('is not asked of a plain server', async () => {
    const plan = makePlan();
    const plain = { ...plan, engine: { type: 'postgres' as const } };
    const deps = makeDeps({ plans: makePlans([plain]) });
    const results = makeResults({ snapshot: { status: 'skipped' } });
    const run = makeRun({ kinds: ['logical'] });
    expect(await applyRetention({ run, results }, deps)).toMatchObject({
      snapshots: { kept: 0, deleted: 0 },
    });
  });
});
