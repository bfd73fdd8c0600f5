import { describe, expect, it } from 'vitest';
import { RunSummary } from '#contracts/run-summary.ts';
import type { NotifyEvent, Results } from '#contracts/workflow.ts';
import { summarizeRun } from '#domain/run-summary.ts';
import { executionArnOf, makeResults, makeRun, makeVerifiedDatabase } from '#test/fakes.ts';

const endedAt = new Date('2026-11-20T02:05:00Z');
const retention = {
  status: 'applied' as const,
  archives: { kept: 3, deleted: 1, deletedBytes: 400 },
  snapshots: { kept: 3, deleted: 0 },
  deletedIds: [],
  withheld: [],
  planKey: 'runs/orders/x/retention.json',
};
const failed = (database: string, error: string) => ({
  status: 'failed' as const,
  database,
  failure: { Error: error, Cause: `what ${error} says` },
});

function summarize(changes: Partial<NotifyEvent> = {}) {
  const run = makeRun();
  const summary = summarizeRun(
    {
      executionArn: run.executionArn,
      input: {},
      run,
      results: makeResults(),
      retention,
      ...changes,
    },
    endedAt,
  );
  return RunSummary.parse(summary);
}

function withLogical(logical: Partial<Extract<Results['logical'], { status: 'done' }>>): Results {
  const results = makeResults();
  return { ...results, logical: { ...results.logical, ...logical } as Results['logical'] };
}

describe('a run', () => {
  it('has succeeded when everything that was asked for is there', () => {
    expect(summarize()).toMatchObject({
      status: 'SUCCEEDED',
      error: null,
      problems: [],
      durationSeconds: 300,
    });
  });

  it('is incomplete when one database of two failed, and says what worked', () => {
    const results = withLogical({
      databases: [makeVerifiedDatabase(), failed('crm', 'LockTimeout')],
    });
    expect(summarize({ results })).toMatchObject({
      status: 'FAILED',
      error: 'BackupIncomplete',
      cause: '1 failed; worked: the snapshot, shop; crm: LockTimeout: what LockTimeout says',
      problems: [{ stage: 'database', database: 'crm', error: 'LockTimeout' }],
    });
  });

  it('says in words what a timeout means, as Step Functions gives no cause for it', () => {
    const silent = {
      ...failed('crm', ''),
      failure: { Error: 'States.HeartbeatTimeout', Cause: '' },
    };
    const { problems } = summarize({ results: withLogical({ databases: [silent] }) });
    expect(problems[0]).toMatchObject({
      error: 'States.HeartbeatTimeout',
      cause: "its task was silent for longer than the plan's heartbeatSeconds",
    });
  });

  it('fails with the one error that everything failed with', () => {
    const run = makeRun({ kinds: ['logical'] });
    const results = withLogical({
      databases: [failed('shop', 'AuthenticationFailed'), failed('crm', 'AuthenticationFailed')],
    });
    results.snapshot = { status: 'skipped' };
    expect(summarize({ run, results }).error).toBe('AuthenticationFailed');
  });

  it('is incomplete when nothing worked, for different reasons', () => {
    const results: Results = {
      snapshot: { status: 'failed', failure: { Error: 'SnapshotFailed', Cause: '' } },
      logical: { status: 'failed', failure: { Error: 'DatabaseUnreachable', Cause: '' } },
    };
    expect(summarize({ results })).toMatchObject({
      error: 'BackupIncomplete',
      cause: expect.stringContaining('worked: nothing'),
    });
  });

  it('fails with the guard’s own error when only retention did not work', () => {
    const failure = { Error: 'RetentionGuard', Cause: 'too much' };
    expect(summarize({ retention: { status: 'failed', failure } })).toMatchObject({
      status: 'FAILED',
      error: 'RetentionGuard',
      cause: 'too much',
      retention: null,
    });
  });

  it.each<[string, Partial<NotifyEvent>]>([
    ['there are no results', { results: undefined }],
    [
      'a snapshot was asked for and skipped',
      { results: makeResults({ snapshot: { status: 'skipped' } }) },
    ],
    [
      'dumps were asked for and skipped',
      { results: makeResults({ logical: { status: 'skipped' } }) },
    ],
    ['a discovered database has no result', { results: withLogical({ databases: [] }) }],
    [
      'a database that was asked for has no result',
      { run: makeRun({ databases: ['shop', 'crm'] }) },
    ],
  ])('has not succeeded when %s', (_what, changes) => {
    expect(summarize(changes)).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' });
  });

  it('has not succeeded when there was no database at all', () => {
    const run = makeRun({ kinds: ['logical'] });
    const results = withLogical({ databases: [] });
    results.snapshot = { status: 'skipped' };
    if (results.logical.status === 'done') results.logical.discovery.databases = [];
    expect(summarize({ run, results }).error).toBe('NoDatabases');
  });

  it('that could not be planned has its source from the input, were it a request object', () => {
    const failure = { Error: 'RunInProgress', Cause: '{"errorMessage":"busy","errorType":"x"}' };
    const executionArn = executionArnOf('by-hand-1');
    const of = (input: unknown) => summarizeRun({ executionArn, input, failure }, endedAt);
    expect(of({ source: 'orders' })).toMatchObject({
      source: 'orders',
      runId: 'by-hand-1',
      error: 'RunInProgress',
      cause: 'busy',
    });
    expect(of({ detail: { object: { key: 'requests/orders/now.json' } } }).source).toBe('orders');
    for (const input of [undefined, null, 'orders', [], { source: '../x' }, { source: 7 }]) {
      expect(of(input).source).toBeNull();
    }
  });
});
