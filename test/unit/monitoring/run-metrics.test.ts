import { describe, expect, it } from 'vitest';
import type { RunSummary } from '#contracts/run-summary.ts';
import { metricsOfRun, runsToCompare } from '#domain/monitoring/run-metrics.ts';
import { isPartOfSource } from '#domain/monitoring/run-part.ts';
import { extentAfterRun } from '#domain/monitoring/source-extent.ts';
import { summarizeRun } from '#domain/run-summary.ts';
import { makePlan, makeResults, makeRun, makeVerifiedDatabase } from '#test/fakes.ts';

const MiB = 1_048_576;
const NOW = new Date('2026-11-20T03:00:00Z');
const run = makeRun();
const plan = makePlan();
const verified = (database: string, sizeMiB: number, dumpSeconds = 600) =>
  makeVerifiedDatabase({
    database,
    sizeBytes: sizeMiB * MiB,
    dumpSeconds,
    rows: 10,
    verifySeconds: 5,
  });
const failed = (database: string) => ({
  status: 'failed' as const,
  database,
  failure: { Error: 'DumpFailed', Cause: 'it broke' },
});
type Databases = RunSummary['databases'];
function summaryOf(databases: Databases): RunSummary {
  const results = makeResults();
  if (results.logical.status !== 'done') throw new Error('the builder has no dumps');
  const logical = { ...results.logical, databases };
  const snapshot = { status: 'skipped' as const };
  const event = {
    executionArn: run.executionArn,
    input: {},
    run: { ...run, kinds: ['logical' as const] },
  };
  return summarizeRun({ ...event, results: { logical, snapshot } }, NOW);
}
const earlier = [100, 100, 100].map((size) => ({
  databases: [verified('shop', size), verified('audit', size)],
}));

describe('the metrics of a run', () => {
  it('are those of each database that it verified, and of the source', () => {
    const { databases, source } = metricsOfRun(summaryOf([verified('shop', 100)]), earlier, plan);
    expect(databases.get('shop')).toEqual({
      BackupSize: 100 * MiB,
      DumpDuration: 600,
      VerifyDuration: 5,
      DumpThroughput: (100 * MiB) / 600,
      Rows: 10,
      VerificationLevel: 2,
      SizeRatio: 1,
      DurationRatio: 1,
    });
    expect(source).toMatchObject({ FailedBackups: 0, SizeRatio: 1, DurationRatio: 1 });
    expect(source.RunDuration).toBeGreaterThan(0);
  });

  it('have the largest ratios of the databases for the source', () => {
    const odd = summaryOf([verified('shop', 25), verified('audit', 100, 3000)]);
    const { source, databases } = metricsOfRun(odd, earlier, plan);
    expect(source).toMatchObject({ SizeRatio: 4, DurationRatio: 5 });
    expect(databases.get('audit')).toMatchObject({ SizeRatio: 1, DurationRatio: 5 });
  });

  it('compare a database with itself alone, and not with what failed', () => {
    const mixed = [{ databases: [failed('shop'), verified('audit', 900)] }, ...earlier];
    const { databases } = metricsOfRun(summaryOf([verified('shop', 300)]), mixed, plan);
    expect(databases.get('shop')?.SizeRatio).toBe(3);
  });

  it('count what has no verified backup, and keep the ratios of before by saying nothing', () => {
    const { source, databases } = metricsOfRun(summaryOf([failed('shop')]), earlier, plan);
    expect(source.FailedBackups).toBe(1);
    expect(databases.size).toBe(0);
    expect(source).not.toHaveProperty('SizeRatio');
  });

  it('have one failure where the run was not even planned, and no duration', () => {
    const failure = { Error: 'RunInProgress', Cause: 'another runs' };
    const summary = summarizeRun(
      { executionArn: run.executionArn, input: { source: 'orders' }, failure },
      NOW,
    );
    expect(metricsOfRun(summary, [], plan).source).toEqual({ FailedBackups: 1 });
  });

  it('do not count retention that failed as a backup that did', () => {
    const failure = { Error: 'RetentionGuard', Cause: 'too much' };
    const event = { executionArn: run.executionArn, input: {}, run, results: makeResults() };
    const summary = summarizeRun({ ...event, retention: { status: 'failed', failure } }, NOW);
    expect(summary.status).toBe('FAILED');
    expect(metricsOfRun(summary, [], plan).source).toMatchObject({ FailedBackups: 0 });
  });

  it('say of a dry run that it keeps what it would delete', () => {
    const counts = {
      archives: { kept: 5, deleted: 2, deletedBytes: 9 },
      snapshots: { kept: 3, deleted: 1 },
    };
    const base = { ...counts, deletedIds: [], withheld: [], planKey: 'k' };
    const of = (status: 'applied' | 'dry-run') =>
      metricsOfRun({ ...summaryOf([]), retention: { ...base, status } }, [], plan).source;
    expect(of('applied')).toMatchObject({ KeptBackups: 8, DeletedBackups: 3 });
    expect(of('dry-run')).toMatchObject({ KeptBackups: 11, DeletedBackups: 0 });
  });

  it('have no ratios without rules, and no rows where none were counted', () => {
    const structure = { ...verified('shop', 100), level: 'structure', rows: 0 };
    const metrics = metricsOfRun(summaryOf([structure]), earlier, undefined).databases.get('shop');
    expect(metrics).toMatchObject({ VerificationLevel: 1, BackupSize: 100 * MiB });
    expect(metrics).not.toHaveProperty('Rows');
    expect(metrics).not.toHaveProperty('SizeRatio');
  });

  it('say of a part of the source what is bad, and nothing that is well', () => {
    const ofPart = (databases: Databases) =>
      metricsOfRun(summaryOf(databases), earlier, plan, { isPart: true });
    const well = ofPart([verified('shop', 100)]);
    expect(well.source).toEqual({ RunDuration: expect.any(Number) });
    expect(well.databases.get('shop')).toMatchObject({ SizeRatio: 1, DurationRatio: 1 });
    expect(ofPart([failed('shop')]).source).toMatchObject({ FailedBackups: 1 });
    const odd = ofPart([verified('shop', 25, 3000)]).source;
    expect(odd).toMatchObject({ SizeRatio: 4, DurationRatio: 5 });
    expect(odd).not.toHaveProperty('FailedBackups');
    // At the threshold there is no alarm, and so nothing bad.
    expect(ofPart([verified('shop', 50, 1800)]).source).toEqual(well.source);
  });

  it('need as many runs as the longer of the two windows', () => {
    expect(runsToCompare(makePlan({ monitoring: { duration: { window: 20 } } }))).toBe(20);
    expect(runsToCompare(makePlan({ verification: { sizeAnomaly: { window: 30 } } }))).toBe(30);
  });
});

describe('what there is to back up', () => {
  const results = (databases: Databases) => {
    const made = makeResults();
    if (made.logical.status !== 'done') throw new Error('the builder has no dumps');
    const discovery = { ...made.logical.discovery, databases: [] };
    return { ...made, logical: { ...made.logical, discovery, databases } };
  };
  const first = extentAfterRun(
    { run, results: results([verified('shop', 1), failed('audit')]) },
    undefined,
    NOW,
  );

  it('is what a whole run found, with what failed', () => {
    expect(first?.databases).toEqual([
      { database: 'audit', since: run.startedAt },
      { database: 'shop', since: run.startedAt },
    ]);
  });

  it('has among the last runs only those that verified something', () => {
    const failedRun = { ...run, runId: 'failed-1' };
    const next = extentAfterRun({ run: failedRun, results: results([failed('shop')]) }, first, NOW);
    expect(next?.recentRuns).toEqual([run.runId]);
    expect(next?.databases).toEqual([{ database: 'shop', since: run.startedAt }]);
  });

  it('remembers since when, and forgets what is gone', () => {
    const later = { ...run, startedAt: '2026-11-21T02:00:00.000Z' };
    const next = extentAfterRun(
      { run: later, results: results([verified('shop', 1), verified('new', 1)]) },
      first,
      NOW,
    );
    expect(next?.databases).toEqual([
      { database: 'new', since: later.startedAt },
      { database: 'shop', since: run.startedAt },
    ]);
  });

  it('is not told by a run of single databases, by one without dumps, or by one that failed before', () => {
    const single = { ...run, databases: ['shop'] };
    const withSnapshot = extentAfterRun(
      { run: single, results: results([verified('shop', 1)]) },
      first,
      NOW,
    );
    expect(withSnapshot?.databases).toEqual(first?.databases);
    const skipped = {
      snapshot: { status: 'skipped' as const },
      logical: { status: 'skipped' as const },
    };
    expect(extentAfterRun({ run, results: skipped }, first, NOW)).toBeUndefined();
    expect(extentAfterRun({ run }, first, NOW)).toBeUndefined();
  });
});

describe('a run is of a part of the source', () => {
  const all = makePlan({ databases: 'all', kinds: ['logical'] });
  const asked = (...databases: string[]) => makeRun({ kinds: ['logical'], databases });
  const two = ['shop', 'audit'];

  it('when it was asked for fewer databases than the last whole run found', () => {
    expect(isPartOfSource(asked('shop'), all, two)).toBe(true);
    expect(isPartOfSource(asked('audit', 'shop'), all, two)).toBe(false);
    expect(isPartOfSource(asked('shop'), all, ['shop'])).toBe(false);
    expect(isPartOfSource(makeRun({ kinds: ['logical'], databases: null }), all, two)).toBe(false);
  });

  it('when it was asked for fewer than the plan names, whatever was found before', () => {
    const named = { ...all, databases: two };
    expect(isPartOfSource(asked('shop'), named, ['shop'])).toBe(true);
    expect(isPartOfSource(asked('shop'), { ...named, databases: ['shop'] }, two)).toBe(false);
  });

  it('when it was asked for some, and nothing tells whether there are more', () => {
    expect(isPartOfSource(asked('shop'), all, undefined)).toBe(true);
    expect(isPartOfSource(asked('shop'), undefined, undefined)).toBe(true);
  });

  it('when it was asked for fewer kinds than the plan has', () => {
    const both = makePlan({ kinds: ['snapshot', 'logical'] });
    const of = (...kinds: ('snapshot' | 'logical')[]) =>
      isPartOfSource(makeRun({ kinds, databases: null }), both, two);
    expect(of('logical')).toBe(true);
    expect(of('snapshot')).toBe(true);
    expect(of('snapshot', 'logical')).toBe(false);
  });
});
