import { describe, expect, it } from 'vitest';
import { RunSummary } from '#contracts/run-summary.ts';
import type { NotifyEvent } from '#contracts/workflow.ts';
import { ServiceUnavailable, Throttled } from '#errors';
import { notify } from '#functions/notify.ts';
import {
  executionArnOf,
  makeDeps,
  makePlan,
  makePlans,
  makeResults,
  makeRun,
} from '#test/fakes.ts';

const run = makeRun();
const summaryKey = 'runs/orders/orders-20261120T020000Z-k3v9qd/summary.json';
const good: NotifyEvent = {
  executionArn: run.executionArn,
  input: { source: 'orders' },
  run,
  results: makeResults(),
};
const unplanned = (error: string): NotifyEvent => ({
  executionArn: executionArnOf('by-hand-1'),
  input: { source: 'orders' },
  failure: { Error: error, Cause: JSON.stringify({ errorType: error, errorMessage: 'the fact' }) },
});
const failed: NotifyEvent = {
  ...good,
  results: makeResults({
    snapshot: { status: 'failed', failure: { Error: 'SnapshotFailed', Cause: 'it broke' } },
  }),
};
const withAlertsOn = (...on: ('success' | 'failure')[]) =>
  makeDeps({ plans: makePlans([makePlan({ alerts: { on } })]) });

describe('at the end of a run', () => {
  it('sends one alert, writes the summary and says that it succeeded', async () => {
    const deps = makeDeps();
    expect(await notify(good, deps)).toEqual({
      status: 'SUCCEEDED',
      error: '',
      cause: '',
      summaryKey,
    });
    expect(deps.alerts.sent.map(({ attributes }) => attributes['status'])).toEqual(['SUCCEEDED']);
    expect(RunSummary.parse(deps.objects.json(summaryKey))).toMatchObject({
      status: 'SUCCEEDED',
      endedAt: '2026-11-20T03:00:00.000Z',
      databases: [{ database: 'shop', rows: 340_000 }],
    });
  });

  it('says that it failed, with what worked, when a part did not', async () => {
    const deps = makeDeps();
    expect(await notify(failed, deps)).toMatchObject({
      status: 'FAILED',
      error: 'BackupIncomplete',
      cause: expect.stringContaining('worked: shop; snapshot: SnapshotFailed: it broke'),
    });
    expect(deps.alerts.sent).toHaveLength(1);
  });

  it.each([
    [['success', 'failure'] as const, 1, 1],
    [['failure'] as const, 0, 1],
    [['success'] as const, 1, 0],
    [[] as const, 0, 0],
  ])('alerts on %j as the plan wants', async (on, onSuccess, onFailure) => {
    const quiet = withAlertsOn(...on);
    await notify(good, quiet);
    expect(quiet.alerts.sent).toHaveLength(onSuccess);
    const loud = withAlertsOn(...on);
    await notify(failed, loud);
    expect(loud.alerts.sent).toHaveLength(onFailure);
  });

  it('alerts when the plan cannot be read, whatever it may say', async () => {
    const deps = makeDeps({ plans: makePlans([]) });
    await notify(failed, deps);
    expect(deps.alerts.sent).toHaveLength(1);
  });
});

describe('when the run could not be planned', () => {
  it('always alerts, with the original error', async () => {
    const deps = withAlertsOn();
    expect(await notify(unplanned('InvalidPlan'), deps)).toEqual({
      status: 'FAILED',
      error: 'InvalidPlan',
      cause: 'the fact',
      summaryKey: 'runs/orders/by-hand-1/summary.json',
    });
    expect(deps.alerts.sent[0]?.attributes).toMatchObject({ error: 'InvalidPlan', stage: 'run' });
  });

  it('leaves the records of the run that is still going on alone', async () => {
    const deps = makeDeps();
    deps.objects.seed('runs/orders/current.json', 'the lock');
    await notify(unplanned('RunInProgress'), deps);
    expect(deps.objects.text('runs/orders/current.json')).toBe('the lock');
    expect(deps.objects.keys('runs/')).toEqual([
      'runs/orders/by-hand-1/summary.json',
      'runs/orders/current.json',
    ]);
    expect(deps.alerts.sent[0]?.subject).toBe('Holdfast: backup of orders FAILED: RunInProgress');
  });

  it('alerts without a summary when the input names no source', async () => {
    const deps = makeDeps();
    const outcome = await notify({ ...unplanned('InvalidInput'), input: 'orders' }, deps);
    expect(outcome.summaryKey).toBeNull();
    expect(deps.objects.keys()).toEqual([]);
    expect(deps.alerts.sent).toHaveLength(1);
  });

  it('alerts without a summary when the execution’s name makes no key', async () => {
    const deps = makeDeps();
    const event = { ...unplanned('InvalidPlan'), executionArn: executionArnOf('été 1') };
    expect((await notify(event, deps)).summaryKey).toBeNull();
    expect(deps.alerts.sent).toHaveLength(1);
  });
});

describe('when something of the telling fails', () => {
  it('alerts and ends well though the summary could not be written', async () => {
    const deps = makeDeps();
    deps.objects.fault = () => {
      throw new ServiceUnavailable('S3 is away');
    };
    expect(await notify(good, deps)).toMatchObject({ status: 'SUCCEEDED', summaryKey: null });
    expect(deps.alerts.sent).toHaveLength(1);
  });

  it('fails for another try when the alert could not be sent, with the summary written', async () => {
    const deps = makeDeps();
    deps.alerts.failure = new Throttled('SNS is busy');
    await expect(notify(good, deps)).rejects.toMatchObject({ name: 'Throttled', retryable: true });
    expect(deps.objects.keys()).toEqual([summaryKey]);
    deps.alerts.failure = undefined;
    expect(await notify(good, deps)).toMatchObject({ status: 'SUCCEEDED' });
    expect(deps.alerts.sent).toHaveLength(1);
  });
});
