import type { SourceExtent } from '#contracts/source-extent.ts';
import type { NotifyEvent, Run } from '#contracts/workflow.ts';

/** The longest window that a plan may compare with is 50; some runs are of single databases. */
export const RECENT_RUNS = 60;

/**
 * What there is to back up, after a run. A run that was asked for some databases alone says nothing about the others,
 * and one without dumps nothing about any; undefined: there is nothing new.
 */
export function extentAfterRun(
  { run, results }: Pick<NotifyEvent, 'run' | 'results'>,
  before: SourceExtent | undefined,
  now: Date,
): SourceExtent | undefined {
  if (!run || !results) return undefined;
  const found = databasesOf(run, results);
  const { snapshot, logical } = results;
  const verified =
    logical.status === 'done' && logical.databases.some(({ status }) => status === 'verified');
  if (!found && !verified && snapshot.status !== 'available') return undefined;
  const known = new Map(before?.databases?.map(({ database, since }) => [database, since]));
  // Notify may be tried twice.
  const others = (before?.recentRuns ?? []).filter((runId) => runId !== run.runId);
  return {
    version: 1,
    source: run.source,
    runId: run.runId,
    writtenAt: now.toISOString(),
    databases:
      found?.map((database) => ({ database, since: known.get(database) ?? run.startedAt })) ??
      before?.databases ??
      null,
    snapshotAt:
      snapshot.status === 'available' ? snapshot.snapshot.startedAt : (before?.snapshotAt ?? null),
    recentRuns: [...(verified ? [run.runId] : []), ...others].slice(0, RECENT_RUNS),
  };
}

/** The names, sorted; undefined: the run does not say. */
function databasesOf(
  run: Run,
  { logical }: NonNullable<NotifyEvent['results']>,
): string[] | undefined {
  if (logical.status !== 'done' || run.databases !== null) return undefined;
  const names = [...logical.discovery.databases, ...logical.databases].map((it) => it.database);
  return names.length === 0 ? undefined : [...new Set(names)].sort();
}
