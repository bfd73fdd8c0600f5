import { RunSummary } from '#contracts/run-summary.ts';
import { SourceExtent } from '#contracts/source-extent.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { NotifyEvent } from '#contracts/workflow.ts';
import { metricsOfRun, runsToCompare } from '#domain/monitoring/run-metrics.ts';
import { isPartOfSource } from '#domain/monitoring/run-part.ts';
import { extentAfterRun } from '#domain/monitoring/source-extent.ts';
import { runSummaryKey, sourceExtentKey } from '#domain/names.ts';
import { errorName, UnknownSource } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from './records.ts';

type Needs = Pick<Deps, 'log' | 'metrics' | 'objects' | 'plans'>;

/** Runs may be of single databases: twice as many are read as are compared. A summary is some KB. */
const READ_FOR_ONE_COMPARED = 2;
const READ_AT_ONCE = 10;

/**
 * Records the metrics of a run, and notes what it found to back up. Never throws: a run is not worse for what nobody
 * could record about it. The number of calls does not grow with the age of the source.
 */
export async function recordRun(
  deps: Needs,
  event: NotifyEvent,
  summary: RunSummary,
): Promise<void> {
  const { source } = summary;
  if (source === null) return;
  let before: SourceExtent | undefined | 'unknown' = 'unknown';
  await quietly(deps, source, 'read what there was to back up', async () => {
    before = await readExtent(deps, source);
  });
  await quietly(deps, source, 'record metrics', async () => {
    const plan = await planOf(deps, event, source);
    if (plan === 'no such source') return;
    const earlier =
      plan && before !== 'unknown' ? await earlierRuns(deps, summary, before, plan) : undefined;
    // Without what was before, nothing can be said about ratios; all else can.
    const known =
      before === 'unknown' ? undefined : before?.databases?.map(({ database }) => database);
    const isPart = event.run !== undefined && isPartOfSource(event.run, plan, known);
    const { databases, source: whole } = metricsOfRun(summary, earlier ?? [], earlier && plan, {
      isPart,
    });
    for (const [database, values] of databases) deps.metrics.record({ source, database }, values);
    deps.metrics.record({ source }, whole);
  });
  await quietly(deps, source, 'note what there is to back up', async () => {
    // It could not be read now, and may be there: since when databases are known must not be lost.
    if (before === 'unknown') return;
    const extent = extentAfterRun(event, before, new Date(summary.endedAt));
    if (!extent) return;
    const key = sourceExtentKey(source);
    await deps.objects.put(key, JSON.stringify(extent, null, 1), {
      contentType: 'application/json',
    });
  });
}

async function quietly(
  { log }: Needs,
  source: string,
  what: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    log.error(LOG.failed, { source, what, error: errorName(error) });
  }
}

/** The plan that the run had; undefined: it cannot be read. A name that is no source's must not become a metric. */
async function planOf(
  { plans, log }: Needs,
  { run }: NotifyEvent,
  source: string,
): Promise<SourcePlan | undefined | 'no such source'> {
  try {
    return (await plans.load(source, run?.planVersion)).plan;
  } catch (error) {
    if (error instanceof UnknownSource) return 'no such source';
    log.warn(LOG.failed, { source, what: 'load the plan for metrics', error: errorName(error) });
    return undefined;
  }
}

/**
 * The summaries of the last runs before this one, newest first, as many as the plan compares with, twice. One that cannot
 * be read is left out.
 */
async function earlierRuns(
  { objects, log }: Needs,
  { source, runId }: RunSummary,
  before: SourceExtent | undefined,
  plan: SourcePlan,
): Promise<RunSummary[]> {
  if (source === null) return [];
  const recent = (before?.recentRuns ?? [])
    .filter((it) => it !== runId)
    .slice(0, READ_FOR_ONE_COMPARED * runsToCompare(plan));
  const summaries: RunSummary[] = [];
  for (let from = 0; from < recent.length; from += READ_AT_ONCE) {
    const batch = recent.slice(from, from + READ_AT_ONCE).map(async (recentRunId) => {
      const key = runSummaryKey(source, recentRunId);
      try {
        const found = await objects.get(key);
        return found ? [parseRecord(RunSummary, found.body, key)] : [];
      } catch (error) {
        log.warn(LOG.failed, { what: 'read an earlier run', key, error: errorName(error) });
        return [];
      }
    });
    summaries.push(...(await Promise.all(batch)).flat());
  }
  return summaries;
}

/** Undefined where there is none; and where it is broken, as the next one is then written over it. */
async function readExtent(
  { objects, log }: Needs,
  source: string,
): Promise<SourceExtent | undefined> {
  const key = sourceExtentKey(source);
  const found = await objects.get(key);
  if (!found) return undefined;
  try {
    return parseRecord(SourceExtent, found.body, key);
  } catch (error) {
    log.warn(LOG.failed, { what: 'read what there was to back up', key, error: errorName(error) });
    return undefined;
  }
}
