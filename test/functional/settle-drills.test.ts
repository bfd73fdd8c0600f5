import { describe, expect, it } from 'vitest';
import { type DrillOrder, DrillRecord } from '#contracts/drill.ts';
import { DrillRules } from '#contracts/source-plan.ts';
import { drillKey, drillRecordKey } from '#domain/names.ts';
import { AccessDenied } from '#errors';
import { planDrill } from '#functions/plan-drill.ts';
import { reconcile } from '#functions/reconcile.ts';
import { settleDrills } from '#operations/drill/settle-drills.ts';
import {
  makeArchiveDrill,
  makeDrill,
  makeDrillReport,
  makePastDrill,
  makeServerDrill,
} from '#test/fakes/drills.ts';
import { executionArnOf, makeDeps, makePlan, makePlans, seedBackup } from '#test/fakes.ts';

const drill = makeDrill();
const recordKey = drillRecordKey(drill);

function makeOrder(subject: DrillOrder['subject']): DrillOrder {
  const { checks, smokeQueries, task } = DrillRules.parse({});
  return {
    version: 1,
    drill,
    subject,
    taskToken: 'token-1',
    createdAt: drill.startedAt,
    begunAt: drill.startedAt,
    heartbeatSeconds: 300,
    checks,
    smokeQueries,
    task,
    network: undefined,
  };
}

/** Two archives were ordered; the first of them had been drilled when the execution ended with the status. */
function makeStopped(status: string | undefined) {
  const deps = makeDeps({ plans: makePlans([{ ...makePlan(), schedule: undefined }]) });
  deps.clock.set('2026-11-20T12:00:00Z');
  for (const database of ['shop', 'audit']) {
    const { restore } = makeArchiveDrill(database);
    const order = makeOrder({ type: 'archive', restore });
    deps.objects.seed(drillKey(drill, database, 'order.json'), order);
  }
  deps.objects.seed(drillKey(drill, 'shop', 'report.json'), makeDrillReport());
  if (status !== undefined) deps.workflow.executions.set(drill.executionArn, status);
  return deps;
}

describe('a drill that was stopped, or took too long', () => {
  it.each([
    ['ABORTED', 'DrillFailed', 'aborted'],
    ['TIMED_OUT', 'States.Timeout', 'did not end within the time'],
  ])('with the status %s gets its record and its alert, once', async (status, error, words) => {
    const deps = makeStopped(status);
    expect(await settleDrills(deps, 'orders')).toEqual({ settled: 1 });
    const record = DrillRecord.parse(deps.objects.json(recordKey));
    expect(record).toMatchObject({
      status: 'FAILED',
      error,
      cause: expect.stringContaining(words),
      endedAt: '2026-11-20T12:00:00.000Z',
      databases: [
        { database: 'audit', status: 'FAILED', error, chosenBy: null, report: null, findings: [] },
        { database: 'shop', status: 'PASSED', report: { tables: 2 } },
      ],
    });
    expect(record.drill.notes.at(-1)).toContain(`the execution is ${status}`);
    expect(deps.alerts.sent).toMatchObject([
      { attributes: { event: 'drill', status: 'FAILED', error, severity: 'error' } },
    ]);
    expect(deps.metrics.recorded[0]).toMatchObject({
      source: 'orders',
      values: { DrillFailed: 1, DrillRto: 120 },
    });
    expect(await settleDrills(deps, 'orders')).toEqual({ settled: 0 });
    expect(deps.alerts.sent).toHaveLength(1);
  });

  it('of a server has the databases of which there is a report', async () => {
    const deps = makeStopped('ABORTED');
    for (const key of deps.objects.keys('drills/')) await deps.objects.delete([key]);
    const { restore, newestDataAt } = makeServerDrill();
    const { identifier } = restore.target;
    const order = makeOrder({
      type: 'server',
      connection: makePlan().connection,
      identifier,
      databases: 'all',
      newestDataAt,
    });
    deps.objects.seed(drillKey(drill, identifier, 'order.json'), order);
    deps.objects.seed(drillKey(drill, 'shop', 'report.json'), makeDrillReport());
    expect(await settleDrills(deps, 'orders')).toEqual({ settled: 1 });
    expect(DrillRecord.parse(deps.objects.json(recordKey)).databases).toMatchObject([
      { database: 'shop', status: 'PASSED', rpoSeconds: 28_800 },
    ]);
  });

  it('is found by Reconcile, and the next drill takes the other choice than the one before it', async () => {
    const deps = makeStopped('ABORTED');
    seedBackup(deps.objects, { database: 'shop' });
    const before = makePastDrill({ drill: { drillId: '20261020T100000Z-k3v9qd' } });
    deps.objects.seed(drillRecordKey(before.drill), before);
    expect(await reconcile({}, deps)).toMatchObject({ drillsSettled: 1 });
    const { archives } = await planDrill(
      {
        input: { source: 'orders', database: 'shop' },
        executionArn: executionArnOf('drill-2'),
        startedAt: '2026-11-20T13:00:00.000Z',
      },
      deps,
    );
    expect(archives).toMatchObject([{ chosenBy: 'random' }]);
  });

  it('is told of again while the alert cannot be sent, and does not keep other drills waiting', async () => {
    const deps = makeStopped('ABORTED');
    const other = makeDrill({ drillId: '20261120T110000Z-aaaaaa' });
    const { restore } = makeArchiveDrill('shop');
    deps.objects.seed(drillKey(other, 'shop', 'order.json'), {
      ...makeOrder({ type: 'archive', restore }),
      drill: other,
    });
    deps.alerts.failure = new AccessDenied('sns:Publish');
    await expect(settleDrills(deps, 'orders')).rejects.toMatchObject({ name: 'AccessDenied' });
    expect(deps.objects.keys('drills/').filter((key) => key.endsWith('/drill.json'))).toEqual([]);
    deps.alerts.failure = undefined;
    expect(await settleDrills(deps, 'orders')).toEqual({ settled: 2 });
  });
});

describe('a drill is left alone', () => {
  it.each([undefined, 'RUNNING', 'FAILED', 'SUCCEEDED'])(
    'whose execution is %s: it tells of itself, or has done so',
    async (status) => {
      const deps = makeStopped(status);
      expect(await settleDrills(deps, 'orders')).toEqual({ settled: 0 });
      expect(deps.alerts.sent).toEqual([]);
      expect(deps.objects.keys(recordKey)).toEqual([]);
    },
  );

  it('that has its record, whatever became of its execution then', async () => {
    const deps = makeStopped('ABORTED');
    deps.objects.seed(recordKey, makePastDrill());
    expect(await settleDrills(deps, 'orders')).toEqual({ settled: 0 });
  });

  it('that is of another stage, or so long ago that nobody can say', async () => {
    const deps = makeStopped('ABORTED');
    const executionStatus = () => Promise.reject(new AccessDenied('states:DescribeExecution'));
    const workflow = { ...deps.workflow, executionStatus };
    expect(await settleDrills({ ...deps, workflow }, 'orders')).toEqual({ settled: 0 });
    deps.clock.set('2027-01-20T12:00:00Z');
    expect(await settleDrills(deps, 'orders')).toEqual({ settled: 0 });
  });
});
