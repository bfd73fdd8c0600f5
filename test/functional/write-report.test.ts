import { describe, expect, it } from 'vitest';
import {
  backupKey,
  drillRecordKey,
  REPORT_KEY,
  reportCopyKey,
  runLockKey,
  runSummaryKey,
} from '#domain/names.ts';
import { makeReport } from '#domain/report/report-model.ts';
import { AccessDenied, InvalidPlan } from '#errors';
import { writeReport } from '#functions/write-report.ts';
import { gatherReport } from '#operations/report/gather-report.ts';
import {
  backupIdAt,
  executionArnOf,
  makeClock,
  makeDeps,
  makePlan,
  seedBackup,
} from '#test/fakes.ts';
import { makeDrill, makeSummary } from '#test/report-history.ts';

const NOW = '2026-11-20T09:00:00.000Z';
const BEGUN = new Date('2026-11-20T02:00:00Z');
const executionArn = executionArnOf('run-1');

const ENABLED = {
  known: true,
  fact: { enabled: true, expression: 'rate(1 day)', timezone: 'UTC' },
} as const;

/** One verified backup of `orders/shop`, its run and its drill. */
function makeSetting() {
  const deps = makeDeps({ clock: makeClock(NOW) });
  const ref = seedBackup(deps.objects, { backupId: backupIdAt(BEGUN) });
  const run = makeSummary('orders', ['shop'], BEGUN);
  const drill = makeDrill('orders', ['shop'], new Date('2026-11-18T02:00:00Z'));
  const summaryKey = runSummaryKey('orders', run.runId);
  const drillKey = drillRecordKey(drill.drill);
  deps.objects.seed(summaryKey, run);
  deps.objects.seed(drillKey, drill);
  deps.surroundings.schedules.set('orders', ENABLED);
  return { deps, ref, run, summaryKey, drillKey };
}

describe('Write Report', () => {
  it('writes the report of all sources, and a copy beside the record of the run', async () => {
    const { deps, summaryKey } = makeSetting();
    const written = await writeReport({ executionArn, recordKey: summaryKey }, deps);
    const copyKey = summaryKey.replace('summary.json', 'report.html');
    expect(written).toEqual({ reportKey: 'reports/report.html', copyKey, level: 'green' });
    expect(deps.objects.text(REPORT_KEY)).toContain('Everything is backed up and proved');
    expect(deps.objects.text(copyKey)).toBe(deps.objects.text(REPORT_KEY));
  });

  it('puts the copy beside the record of a drill', async () => {
    const { deps, drillKey } = makeSetting();
    const { copyKey } = await writeReport({ executionArn, recordKey: drillKey }, deps);
    expect(copyKey).toBe(drillKey.replace('drill.json', 'report.html'));
  });

  it.each([
    null,
    'runs/orders/x/retention.json',
    'backups/orders/x.json',
    'runs/../x/summary.json',
  ])('makes no copy where there is no record: %s', async (recordKey) => {
    const { deps } = makeSetting();
    expect(await writeReport({ executionArn, recordKey }, deps)).toMatchObject({ copyKey: null });
    expect(deps.objects.keys().filter((key) => key.endsWith('.html'))).toEqual([REPORT_KEY]);
  });
});

describe('the records of a report', () => {
  it('are those of the bucket and of the plans', async () => {
    const { deps, run } = makeSetting();
    const { sources, unreadable } = await gatherReport(deps);
    expect(unreadable).toEqual([]);
    expect(sources).toHaveLength(1);
    expect(sources[0]).toMatchObject({
      source: 'orders',
      plan: { source: 'orders' },
      runs: [{ runId: run.runId }],
      drills: [{ status: 'PASSED' }],
      untold: undefined,
      schedule: ENABLED,
    });
    expect(sources[0]?.newest.get('shop')).toMatchObject({ level: 'full', rows: 1200 });
  });

  it('know a run that has not told its end', async () => {
    const { deps, run } = makeSetting();
    const lock = { version: 1, executionArn, runId: 'run-2', startedAt: '2026-11-20T07:00:00Z' };
    deps.objects.seed(runLockKey('orders'), lock);
    const untold = async () => (await gatherReport(deps)).sources[0]?.untold;
    for (const status of ['RUNNING', 'ABORTED', 'TIMED_OUT']) {
      deps.workflow.executions.set(executionArn, status);
      expect(await untold()).toMatchObject({ runId: 'run-2', status });
    }
    deps.workflow.executions.delete(executionArn);
    expect(await untold()).toMatchObject({ status: null });
    // DescribeExecution may not know it yet.
    deps.objects.seed(runLockKey('orders'), { ...lock, startedAt: '2026-11-20T08:56:00Z' });
    expect(await untold()).toMatchObject({ status: 'RUNNING' });
    deps.objects.seed(runLockKey('orders'), { ...lock, runId: run.runId });
    expect(await untold()).toBeUndefined();
  });

  it('do not call a run ended that cannot be asked about', async () => {
    const { deps } = makeSetting();
    deps.objects.seed(runLockKey('orders'), {
      version: 1,
      executionArn,
      runId: 'run-2',
      startedAt: '2026-11-20T07:00:00Z',
    });
    const workflow = {
      async executionStatus(): Promise<string | undefined> {
        throw new AccessDenied('states:DescribeExecution');
      },
    };
    const model = makeReport(await gatherReport({ ...deps, workflow }));
    expect(model).toMatchObject({ level: 'green', sources: [{ untold: { status: undefined } }] });
  });

  it('have the summary of a run that ended while they were listed', async () => {
    const { deps } = makeSetting();
    const late = makeSummary('orders', ['shop'], new Date('2026-11-20T08:00:00Z'));
    const { runId } = late;
    const startedAt = '2026-11-20T08:00:00Z';
    deps.objects.seed(runLockKey('orders'), { version: 1, executionArn, runId, startedAt });
    const workflow = {
      async executionStatus() {
        deps.objects.seed(runSummaryKey('orders', runId), late);
        return 'SUCCEEDED';
      },
    };
    const { sources } = await gatherReport({ ...deps, workflow });
    expect(sources[0]?.untold).toBeUndefined();
    expect(sources[0]?.runs[0]?.runId).toBe(runId);
  });

  it('survive a lock that names no run of ours', async () => {
    const { deps } = makeSetting();
    const lock = { version: 1, executionArn, runId: '../../x', startedAt: NOW };
    deps.objects.seed(runLockKey('orders'), lock);
    deps.workflow.executions.set(executionArn, 'ABORTED');
    expect((await gatherReport(deps)).sources[0]?.untold).toMatchObject({ status: 'ABORTED' });
  });

  it('are read of the databases that the page shows: a small one in need before large ones', async () => {
    const { deps } = makeSetting();
    for (let index = 0; index < 30; index += 1) {
      const ref = seedBackup(deps.objects, {
        database: `big${index}`,
        backupId: backupIdAt(BEGUN),
      });
      deps.objects.seed(backupKey(ref, 'archive.dump'), Buffer.alloc(50_000));
    }
    const sick = { source: 'orders', database: 'sick', backupId: backupIdAt(BEGUN) };
    deps.objects.seed(backupKey(sick, 'quarantine.json'), {
      version: 1,
      source: 'orders',
      database: 'sick',
      backupId: sick.backupId,
      error: 'ChecksumMismatch',
      cause: 'one byte',
      quarantinedAt: NOW,
    });
    const records = await gatherReport(deps);
    const [source] = makeReport(records).sources;
    expect(source?.databases[0]?.database).toBe('sick');
    expect([...(records.sources[0]?.quarantines.keys() ?? [])]).toEqual(['sick']);
    const facts = source?.databases.slice(1).map(({ newest }) => newest?.facts ?? null);
    expect(facts).toHaveLength(23);
    expect(facts).not.toContain(null);
  });

  it.each([
    ['no JSON', '{"version":'],
    ['nothing', ''],
    ['another shape', '{"version":1}'],
    ['bytes', Buffer.from([0xff, 0xfe, 0])],
  ])('may be %s: that is shown, and the rest is there', async (_, body) => {
    const { deps, ref, summaryKey, drillKey } = makeSetting();
    const broken = [
      backupKey(ref, 'manifest.json'),
      backupKey(ref, 'verification.json'),
      drillKey,
      summaryKey,
      runLockKey('orders'),
      `runs/orders/r/retention.json`,
    ];
    for (const key of broken) deps.objects.seed(key, body);
    const records = await gatherReport(deps);
    expect(records.unreadable.map(({ key }) => key)).toEqual(broken.toSorted());
    const model = makeReport(records);
    expect(model.sources[0]?.databases[0]).toMatchObject({ database: 'shop' });
    await expect(writeReport({ executionArn, recordKey: null }, deps)).resolves.toMatchObject({
      level: 'amber',
    });
  });

  it('may be gone or refused when they are read', async () => {
    const { deps, ref } = makeSetting();
    deps.objects.fault = (operation, key) => {
      if (operation === 'get' && key.startsWith('backups/')) throw new Error('AccessDenied');
    };
    const { unreadable } = await gatherReport(deps);
    expect(unreadable).toEqual(
      (['manifest.json', 'verification.json'] as const).map((file) => ({
        source: 'orders',
        key: backupKey(ref, file),
        problem: 'AccessDenied',
      })),
    );
  });

  it('are worth a report without the plans', async () => {
    const { deps } = makeSetting();
    const plans = {
      ...deps.plans,
      async list() {
        throw new InvalidPlan('a plan is broken');
      },
    };
    const model = makeReport(await gatherReport({ ...deps, plans }));
    expect(model.sources.map(({ source }) => source)).toEqual(['orders']);
    expect(model.level).toBe('amber');
    expect(model.attention).toMatchObject([
      { what: expect.stringContaining('Plans of sources'), why: 'a plan is broken' },
    ]);
  });

  it('are there of a source that has a plan and nothing else', async () => {
    const deps = makeDeps({ clock: makeClock(NOW) });
    deps.surroundings.schedules.set('orders', ENABLED);
    const records = await gatherReport({ ...deps, plans: { list: async () => [makePlan()] } });
    expect(makeReport(records)).toMatchObject({
      level: 'red',
      attention: [{ what: 'It has no backup at all' }],
    });
  });

  it('are read in bounded numbers, the newest of them', async () => {
    const { deps } = makeSetting();
    for (let day = 1; day < 120; day += 1) {
      const begun = new Date(BEGUN.getTime() - day * 86_400_000);
      seedBackup(deps.objects, { backupId: backupIdAt(begun) });
      const run = makeSummary('orders', ['shop'], begun);
      deps.objects.seed(runSummaryKey('orders', run.runId), run, begun);
      const drill = makeDrill('orders', ['shop'], begun);
      deps.objects.seed(drillRecordKey(drill.drill), drill, begun);
    }
    const reads: string[] = [];
    deps.objects.fault = (operation, key) => {
      if (operation === 'get') reads.push(key);
    };
    const { sources } = await gatherReport(deps);
    expect(reads.length).toBeLessThanOrEqual(60 + 24 + 3);
    expect(sources[0]?.runs).toHaveLength(60);
    expect(sources[0]?.runs[0]?.startedAt).toBe('2026-11-20T02:00:00.000Z');
    expect(sources[0]?.drills).toHaveLength(24);
    expect(sources[0]?.runCount).toBe(120);
  });
});

describe('the key of a copy', () => {
  it('stands beside the record', () => {
    expect(reportCopyKey('runs/orders/r-1/summary.json')).toBe('runs/orders/r-1/report.html');
    expect(reportCopyKey(`drills/orders/${backupIdAt(BEGUN)}/drill.json`)).toBe(
      `drills/orders/${backupIdAt(BEGUN)}/report.html`,
    );
    expect(reportCopyKey('drills/orders/no-id/drill.json')).toBeUndefined();
    expect(reportCopyKey('runs/Orders/r-1/summary.json')).toBeUndefined();
  });
});
