import { describe, expect, it } from 'vitest';
import { RunSummary } from '#contracts/run-summary.ts';
import { resultsOfSummary } from '#domain/results-of-summary.ts';
import { executionArnOf, makeVerifiedDatabase } from '#test/fakes.ts';

function makeSummary(changes: Partial<RunSummary> = {}): RunSummary {
  return RunSummary.parse({
    version: 1,
    status: 'SUCCEEDED',
    error: null,
    cause: null,
    source: 'orders',
    runId: 'r1',
    executionArn: executionArnOf('r1'),
    trigger: 'schedule',
    reason: null,
    kinds: ['snapshot', 'logical'],
    startedAt: '2026-11-20T03:00:00.000Z',
    endedAt: '2026-11-20T03:10:00.000Z',
    durationSeconds: 600,
    snapshot: { status: 'skipped' },
    server: { version: '17.11', versionNumber: 170011, isReplica: false },
    databases: [makeVerifiedDatabase()],
    retention: null,
    problems: [],
    warnings: [],
    ...changes,
  });
}

const failed = {
  status: 'failed' as const,
  database: 'audit',
  failure: { Error: 'LockTimeout', Cause: 'waited' },
};

describe('what a run came to, by its summary', () => {
  it('has each database with its result', () => {
    const databases = [makeVerifiedDatabase(), failed];
    expect(resultsOfSummary(makeSummary({ databases }))?.logical).toMatchObject({
      status: 'done',
      databases,
    });
  });

  it('has the snapshot as it was', () => {
    const snapshot = {
      status: 'failed' as const,
      failure: { Error: 'SnapshotFailed', Cause: 'x' },
    };
    expect(resultsOfSummary(makeSummary({ snapshot }))?.snapshot).toEqual(snapshot);
  });

  it('is a failure of all dumps when the databases could not be discovered', () => {
    const problem = {
      stage: 'discovery' as const,
      database: null,
      error: 'DatabaseUnreachable',
      cause: 'no route',
    };
    const results = resultsOfSummary(
      makeSummary({ databases: [], server: null, problems: [problem] }),
    );
    expect(results?.logical).toEqual({
      status: 'failed',
      failure: { Error: 'DatabaseUnreachable', Cause: 'no route' },
    });
  });

  it('has no dumps where none were asked for', () => {
    const results = resultsOfSummary(
      makeSummary({ kinds: ['snapshot'], databases: [], server: null }),
    );
    expect(results?.logical).toEqual({ status: 'skipped' });
  });

  it('is unknown when the run was refused before it was planned', () => {
    expect(resultsOfSummary(makeSummary({ startedAt: null }))).toBeUndefined();
  });
});
