import { describe, expect, it } from 'vitest';
import type { NotifyEvent } from '#contracts/workflow.ts';
import { runSummaryKey } from '#domain/names.ts';
import { ServiceUnavailable, Throttled } from '#errors';
import { notify } from '#functions/notify.ts';
import { notifyRestore } from '#functions/notify-restore.ts';
import {
  executionArnOf,
  type FakeDeps,
  makeDeps,
  makePlan,
  makePlannedRestore,
  makePlans,
  makeResults,
  makeRun,
  makeVerifiedDatabase,
} from '#test/fakes.ts';

const MiB = 1_048_576;
const SINCE = '2026-11-01T03:00:00.000Z';
const EXTENT = 'runs/orders/extent.json';

/** The end of a run in which `shop` came to so many MiB. */
function runOf(name: string, sizeMiB: number): NotifyEvent {
  const run = makeRun({ runId: name, executionArn: executionArnOf(name) });
  const results = makeResults();
  if (results.logical.status !== 'done') throw new Error('the builder has no dumps');
  const databases = [makeVerifiedDatabase({ database: 'shop', sizeBytes: sizeMiB * MiB })];
  return {
    executionArn: run.executionArn,
    input: { source: 'orders' },
    run,
    results: { ...results, logical: { ...results.logical, databases } },
  };
}

async function runs(deps: FakeDeps, ...sizes: number[]) {
  for (const [index, size] of sizes.entries()) {
    await notify(runOf(`run-${index}`, size), deps);
    deps.clock.advance(24 * 3_600_000);
  }
}
const recordedOf = (deps: FakeDeps, database?: string) =>
  deps.metrics.recorded.filter((it) => it.database === database).map(({ values }) => values);

describe('at the end of a run, metrics', () => {
  it('are recorded of each database and of the source', async () => {
    const deps = makeDeps();
    await runs(deps, 100);
    expect(recordedOf(deps, 'shop')).toMatchObject([{ BackupSize: 100 * MiB, SizeRatio: 1 }]);
    expect(recordedOf(deps)).toMatchObject([{ FailedBackups: 0 }]);
  });

  it('compare with the runs before by their summaries, once there are enough', async () => {
    const deps = makeDeps();
    await runs(deps, 100, 10, 100, 400, 100);
    expect(recordedOf(deps).map(({ SizeRatio }) => SizeRatio)).toEqual([1, 1, 1, 4, 1]);
  });

  it('compare with the last ones, by when they ended and not by their names', async () => {
    const plans = makePlans([makePlan({ verification: { sizeAnomaly: { window: 3 } } })]);
    const deps = makeDeps({ plans });
    await runs(deps, 10, 10, 10, 10, 10, 10, 10, 100, 100);
    deps.metrics.recorded.length = 0;
    await notify(runOf('a-name-by-hand', 100), deps);
    // Of the last three two are as large.
    expect(recordedOf(deps)).toMatchObject([{ SizeRatio: 1 }]);
  });

  it('do not compare a run with itself when Notify is tried again', async () => {
    const deps = makeDeps();
    await runs(deps, 100, 100);
    await notify(runOf('run-9', 400), deps);
    await notify(runOf('run-9', 400), deps);
    // Two others are too few.
    expect(recordedOf(deps).map(({ SizeRatio }) => SizeRatio)).toEqual([1, 1, 1, 1]);
  });

  it('come after the alert, and are not recorded when it could not be sent', async () => {
    const deps = makeDeps();
    deps.alerts.failure = new ServiceUnavailable('SNS is away');
    await expect(notify(runOf('run-1', 100), deps)).rejects.toThrow('SNS is away');
    expect(deps.metrics.recorded).toEqual([]);
    deps.alerts.failure = undefined;
    deps.metrics.record = () => {
      expect(deps.alerts.sent).toHaveLength(1);
    };
    expect(await notify(runOf('run-1', 100), deps)).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('never fail the run, whatever breaks', async () => {
    const deps = makeDeps();
    deps.metrics.record = () => {
      throw new Error('the metrics broke');
    };
    deps.objects.get = async () => {
      throw new Throttled('slow down');
    };
    expect(await notify(runOf('run-1', 100), deps)).toMatchObject({ status: 'SUCCEEDED' });
    expect(deps.log.of('failed').map(({ fields }) => fields['what'])).toEqual([
      'read what there was to back up',
      'record metrics',
    ]);
  });

  it('are all but the ratios where the runs before cannot be read', async () => {
    const deps = makeDeps();
    await runs(deps, 100, 100, 100);
    deps.metrics.recorded.length = 0;
    const noted = deps.objects.text(EXTENT);
    deps.objects.fault = (operation, key) => {
      if (operation === 'get' && key === EXTENT) throw new Throttled('slow down');
    };
    await notify(runOf('run-9', 400), deps);
    deps.objects.fault = undefined;
    const [shop] = recordedOf(deps, 'shop');
    expect(shop).toMatchObject({ BackupSize: 400 * MiB });
    expect(shop).not.toHaveProperty('SizeRatio');
    expect(deps.objects.text(EXTENT)).toBe(noted);
  });

  it('leave out a summary that is broken, and compare with the others', async () => {
    const deps = makeDeps();
    await runs(deps, 100, 100, 100, 100);
    await deps.objects.put(runSummaryKey('orders', 'run-1'), '{"version":');
    await notify(runOf('run-9', 400), deps);
    expect(recordedOf(deps, 'shop').at(-1)).toMatchObject({ SizeRatio: 4 });
  });

  it('of a run of one database of several turn no alarm of the source green', async () => {
    const deps = makeDeps();
    const databases = ['shop', 'audit'].map((database) => ({ database, since: SINCE }));
    const known = { version: 1, source: 'orders', runId: 'run-0', writtenAt: SINCE };
    await deps.objects.put(EXTENT, JSON.stringify({ ...known, databases, snapshotAt: null }));
    const single = runOf('run-1', 100);
    const askedFor = async (names: string[]) => {
      deps.metrics.recorded.length = 0;
      await notify({ ...single, run: { ...makeRun(), databases: names } }, deps);
      return recordedOf(deps);
    };
    expect(await askedFor(['shop'])).toEqual([{ RunDuration: expect.any(Number) }]);
    expect(await askedFor(['shop', 'audit'])).toMatchObject([{ FailedBackups: 1 }]);
  });

  it('have a failure where the run was not planned, but none of a source that does not exist', async () => {
    const failure = { Error: 'InvalidPlan', Cause: '{}' };
    const executionArn = executionArnOf('by-hand');
    const deps = makeDeps();
    await notify({ executionArn, input: { source: 'orders' }, failure }, deps);
    await notify({ executionArn, input: { source: 'typo' }, failure }, deps);
    expect(deps.metrics.recorded).toEqual([{ source: 'orders', values: { FailedBackups: 1 } }]);
  });
});

describe('at the end of a run, what there is to back up', () => {
  it('is noted, and not by a run of single databases', async () => {
    const deps = makeDeps();
    await runs(deps, 100);
    const noted = deps.objects.json(EXTENT);
    expect(noted).toMatchObject({ source: 'orders', databases: [{ database: 'shop' }] });
    const single = runOf('run-7', 100);
    const event = { ...single, run: makeRun({ databases: ['audit'] }) };
    await notify(event, deps);
    expect(deps.objects.json(EXTENT)).toMatchObject({ databases: [{ database: 'shop' }] });
  });
});

describe('the record of what there is to back up', () => {
  it('that is broken is written anew, and the metrics are recorded', async () => {
    const deps = makeDeps();
    await deps.objects.put(EXTENT, '{');
    await runs(deps, 100);
    expect(deps.objects.json(EXTENT)).toMatchObject({ recentRuns: ['run-0'] });
    expect(recordedOf(deps, 'shop')).toMatchObject([{ SizeRatio: 1 }]);
  });

  it('has each of the last runs once, the last in front, also when Notify is tried again', async () => {
    const deps = makeDeps();
    await runs(deps, 1, 1, 1);
    await notify(runOf('run-1', 1), deps);
    expect(deps.objects.json(EXTENT)).toMatchObject({ recentRuns: ['run-1', 'run-2', 'run-0'] });
  });

  it('does not grow, and nor does what is read', async () => {
    const deps = makeDeps();
    await runs(deps, ...Array.from({ length: 70 }, () => 1));
    const { recentRuns } = deps.objects.json(EXTENT) as { recentRuns: string[] };
    expect(recentRuns).toHaveLength(60);
    const read: string[] = [];
    deps.objects.fault = (operation, key) => {
      if (operation === 'get') read.push(key);
    };
    await notify(runOf('run-new', 1), deps);
    // The window of the plan is 7.
    expect(read.filter((key) => key.endsWith('summary.json'))).toHaveLength(14);
  });
});

describe('at the end of a restore', () => {
  const restore = makePlannedRestore();
  const event = { executionArn: restore.executionArn, input: { source: 'orders' }, restore };

  it('its duration is recorded, of one that brought the data back', async () => {
    const deps = makeDeps();
    deps.clock.set(new Date(Date.parse(restore.startedAt) + 90_000));
    await notifyRestore(event, deps);
    expect(deps.metrics.recorded).toEqual([{ source: 'orders', values: { RestoreDuration: 90 } }]);
    await notifyRestore({ ...event, failure: { Error: 'RestoreFailed', Cause: '' } }, deps);
    expect(deps.metrics.recorded).toHaveLength(1);
  });

  it('is not worse for a metric that broke', async () => {
    const deps = makeDeps();
    deps.metrics.record = () => {
      throw new Error('the metrics broke');
    };
    expect(await notifyRestore(event, deps)).toMatchObject({ status: 'SUCCEEDED' });
  });
});
