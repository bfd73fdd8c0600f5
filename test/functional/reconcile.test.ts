import { describe, expect, it } from 'vitest';
import { alertMarkerKey, backupKey, jobKey, runLockKey } from '#domain/names.ts';
import { TaskLaunchFailed } from '#errors';
import { reconcile } from '#functions/reconcile.ts';
import {
  backupIdAt,
  executionArnOf,
  type FakeDeps,
  makeDeps,
  makePlan,
  makePlans,
  makeTasks,
  seedBackup,
} from '#test/fakes.ts';

const HOUR = 3_600_000;
const unscheduled = { ...makePlan(), schedule: undefined };
/** No schedule: nothing can be missed. The clock shows 2026-11-20 03:00 UTC. */
const quiet = () => makeDeps({ plans: makePlans([unscheduled]) });
const backupAt = (time: string) => ({ database: 'shop', backupId: backupIdAt(time) });
const events = (deps: FakeDeps) => deps.alerts.sent.map(({ attributes }) => attributes['event']);

describe('a backup whose event never arrived', () => {
  it('gets one verification task an hour later, and no second one', async () => {
    const deps = quiet();
    const ref = seedBackup(deps.objects, backupAt('2026-11-20T02:30:00Z'), 'unverified');
    expect(await reconcile({}, deps)).toMatchObject({ verificationsStarted: 0 });
    deps.clock.advance(HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ verificationsStarted: 1 });
    expect(deps.tasks.started).toMatchObject([
      { kind: 'verify-backup', orderKey: jobKey(ref), attempt: 2 },
    ]);
    deps.clock.advance(HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ verificationsStarted: 0 });
    expect(deps.alerts.sent).toEqual([]);
  });

  it('is alerted once when it is still not verified hours later', async () => {
    const deps = quiet();
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'), 'unverified');
    for (let hour = 0; hour < 9; hour++) {
      await reconcile({}, deps);
      deps.clock.advance(HOUR);
    }
    expect(deps.alerts.sent).toMatchObject([
      { attributes: { event: 'verification-overdue', error: 'VerificationOverdue' } },
    ]);
  });

  it('is alerted when no task can be started for it, and the failure is thrown', async () => {
    const tasks = makeTasks();
    tasks.run = async () => {
      throw new TaskLaunchFailed('no capacity');
    };
    const deps = makeDeps({ plans: makePlans([unscheduled]), tasks });
    seedBackup(deps.objects, backupAt('2026-11-19T12:00:00Z'), 'unverified');
    await expect(reconcile({}, deps)).rejects.toThrow('no capacity');
    expect(deps.alerts.sent[0]?.text).toContain('no task could be started: TaskLaunchFailed');
  });

  it('is alerted when its job record is gone, as nothing else can be done', async () => {
    const deps = quiet();
    const ref = seedBackup(deps.objects, backupAt('2026-10-01T12:00:00Z'), 'unverified');
    await deps.objects.delete([jobKey(ref)]);
    expect(await reconcile({}, deps)).toMatchObject({
      verificationsStarted: 0,
      verificationsOverdue: 1,
    });
    expect(deps.alerts.sent[0]?.text).toContain('its job record is gone');
  });

  it.each(['verified', 'quarantined', 'running'] as const)(
    'is not one that is %s',
    async (state) => {
      const deps = quiet();
      seedBackup(deps.objects, backupAt('2026-11-19T12:00:00Z'), state);
      await reconcile({}, deps);
      expect(deps.tasks.started).toEqual([]);
      expect(deps.alerts.sent).toEqual([]);
    },
  );
});

describe('a multipart upload', () => {
  it('is aborted only when its dump can no longer be running', async () => {
    const deps = quiet();
    const ref = { source: 'orders', ...backupAt('2026-11-20T03:00:00Z') };
    await deps.objects.createUpload(backupKey(ref, 'archive.dump'), {});
    await deps.objects.createUpload('elsewhere/orders.bin', {});
    deps.clock.advance(12 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ uploadsAborted: 0 });
    deps.clock.advance(2 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ uploadsAborted: 1 });
    expect(deps.objects.openUploads()).toEqual(['elsewhere/orders.bin']);
  });
});

describe('a dump that came to nothing', () => {
  it('is counted once its time is over, and touched by nobody here', async () => {
    const deps = quiet();
    const ref = seedBackup(deps.objects, backupAt('2026-11-20T02:00:00Z'), 'running');
    seedBackup(deps.objects, backupAt('2026-11-20T01:00:00Z'), 'verified');
    expect(await reconcile({}, deps)).toMatchObject({ abandonedJobs: 0 });
    deps.clock.advance(24 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ abandonedJobs: 1 });
    expect(await deps.objects.head(jobKey(ref))).toBeDefined();
  });
});

describe('a scheduled run', () => {
  /** Daily at 03:00 in Berlin, which in November is 02:00 UTC. First seen two days before. */
  async function scheduled() {
    const deps = makeDeps();
    deps.clock.set('2026-11-18T12:00:00Z');
    await reconcile({}, deps);
    deps.clock.set('2026-11-20T03:00:00Z');
    return deps;
  }
  const lock = (startedAt: string, runId = 'run-1') => ({
    version: 1,
    executionArn: executionArnOf(runId),
    runId,
    startedAt,
  });

  it('that did not start is alerted an hour later, once for each time it was due', async () => {
    const deps = await scheduled();
    deps.clock.set('2026-11-20T02:59:00Z');
    seedBackup(deps.objects, backupAt('2026-11-19T02:00:30Z'));
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.clock.set('2026-11-20T03:00:00Z');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 1 });
    deps.clock.advance(HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.clock.advance(24 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 1 });
    expect(deps.alerts.sent.map(({ subject }) => subject)).toEqual([
      'Holdfast: the backup of orders due at 2026-11-20T02:00:00.000Z did not run',
      'Holdfast: the backup of orders due at 2026-11-21T02:00:00.000Z did not run',
    ]);
  });

  it('that started is seen by its lock, or by its backups', async () => {
    const byLock = await scheduled();
    byLock.objects.seed(runLockKey('orders'), lock('2026-11-20T02:00:10.000Z'));
    expect(await reconcile({}, byLock)).toMatchObject({ missedRuns: 0 });
    const byBackup = await scheduled();
    seedBackup(byBackup.objects, backupAt('2026-11-20T02:00:10Z'));
    expect(await reconcile({}, byBackup)).toMatchObject({ missedRuns: 0 });
  });

  it('that met a run which was still going on is not missed: it said so itself', async () => {
    const deps = await scheduled();
    deps.objects.seed(runLockKey('orders'), lock('2026-11-20T01:50:00.000Z'));
    deps.workflow.executions.set(executionArnOf('run-1'), 'RUNNING');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.workflow.executions.set(executionArnOf('run-1'), 'SUCCEEDED');
    deps.objects.seed('runs/orders/run-1/summary.json', { endedAt: '2026-11-20T02:10:00.000Z' });
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.objects.seed('runs/orders/run-1/summary.json', { endedAt: '2026-11-20T01:59:00.000Z' });
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 1 });
  });

  it('of a source that is new, or has a new schedule, is not expected in the past', async () => {
    const deps = makeDeps();
    deps.clock.set('2026-11-20T12:00:00Z');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.plans.store(makePlan({ schedule: { expression: 'cron(0 10 * * ? *)' } }));
    deps.clock.set('2026-11-20T13:00:00Z');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.clock.set('2026-11-21T10:00:00Z');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 1 });
  });

  it('by a rate is due after the last one, or after the schedule was first seen', async () => {
    const plan = makePlan({ schedule: { expression: 'rate(6 hours)' } });
    const deps = makeDeps({ plans: makePlans([plan]) });
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.clock.advance(7 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 1 });
    deps.clock.advance(7 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    seedBackup(deps.objects, backupAt('2026-11-20T16:30:00Z'));
    deps.clock.set('2026-11-20T23:29:00Z');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 0 });
    deps.clock.set('2026-11-20T23:31:00Z');
    expect(await reconcile({}, deps)).toMatchObject({ missedRuns: 1 });
  });

  it('is alerted again when the alert could not be noted: twice is better than never', async () => {
    const deps = await scheduled();
    deps.objects.fault = (operation, key) => {
      if (operation === 'put' && key.includes('missed-')) throw new Error('S3 is away');
    };
    await expect(reconcile({}, deps)).rejects.toThrow('S3 is away');
    deps.objects.fault = undefined;
    await reconcile({}, deps);
    expect(events(deps)).toEqual(['missed-run', 'missed-run']);
    await reconcile({}, deps);
    expect(deps.alerts.sent).toHaveLength(2);
    expect(deps.objects.keys('alerts/orders/')).toContain(
      alertMarkerKey('orders', 'missed-20261120T0200'),
    );
  });
});

describe('when a chore fails for one source', () => {
  it('does the others for it and all of them for the rest, then fails', async () => {
    const crm = { ...makePlan({ source: 'crm' }), schedule: undefined };
    const broken = makePlan({ schedule: { expression: 'cron(0 3 ? * FRI-MON *)' } });
    const deps = makeDeps({ plans: makePlans([broken, crm]) });
    for (const source of ['orders', 'crm']) {
      const ref = { source, ...backupAt('2026-11-20T01:00:00Z') };
      seedBackup(
        deps.objects,
        { ...ref, backupId: backupIdAt('2026-11-20T01:00:00Z', source) },
        'unverified',
      );
    }
    await expect(reconcile({}, deps)).rejects.toMatchObject({ name: 'InvalidPlan' });
    expect(deps.tasks.started.map(({ source }) => source)).toEqual(['orders', 'crm']);
    expect(deps.log.of('reconciled')[0]?.fields).toMatchObject({
      sources: 2,
      verificationsStarted: 2,
    });
  });
});
