import * as z from 'zod';
import { RunSummary } from '#contracts/run-summary.ts';
import { SourceExtent } from '#contracts/source-extent.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import { sourceExtentKey } from '#domain/names.ts';
import { errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from './records.ts';

type Needs = Pick<Deps, 'log' | 'objects'>;

/** What ages are reckoned from; the rest of the record may be of another version. */
const KnownExtent = z.object({
  databases: SourceExtent.shape.databases,
  snapshotAt: SourceExtent.shape.snapshotAt,
});
export type KnownExtent = z.infer<typeof KnownExtent>;

/** Runs in a row without a snapshot, after which the last one is too old anyway. A summary is some KB. */
const MOST_SUMMARIES_READ = 50;

/**
 * What `runs/<source>/extent.json` says; undefined: there is none. A broken one is told of in the log, and what can be had
 * from elsewhere stands in for it: no databases, so that those in the bucket count, and the snapshot of the newest
 * summary that has one. It is not mended here: Notify alone writes it, and does so again with the next run.
 */
export async function knownExtent(deps: Needs, plan: SourcePlan): Promise<KnownExtent | undefined> {
  const { source } = plan;
  const key = sourceExtentKey(source);
  const found = await deps.objects.get(key);
  if (!found) return undefined;
  try {
    return parseRecord(KnownExtent, found.body, key);
  } catch (error) {
    const what = 'read what there is to back up';
    deps.log.error(LOG.failed, { source, what, key, error: errorName(error) });
  }
  const hasArchives = defaultKinds(plan).includes('logical');
  return { databases: null, snapshotAt: hasArchives ? null : await newestSnapshot(deps, source) };
}

/** What is asked of a summary here. */
const SnapshotOfRun = z.object({ snapshot: RunSummary.shape.snapshot });

/** When the newest snapshot began that a run made, as the summaries have it; null: none of the last ones did. */
async function newestSnapshot(
  { log, objects }: Needs,
  source: string,
): Promise<SourceExtent['snapshotAt']> {
  const summaries: { key: string; lastModified: Date }[] = [];
  for await (const { key, lastModified } of objects.list(`runs/${source}/`)) {
    if (key.endsWith('/summary.json')) summaries.push({ key, lastModified });
  }
  // Executions have names of any kind; a summary is written when its run ends.
  summaries.sort((a, b) => b.lastModified.getTime() - a.lastModified.getTime());
  for (const { key } of summaries.slice(0, MOST_SUMMARIES_READ)) {
    const found = await objects.get(key);
    if (!found) continue;
    try {
      const { snapshot } = parseRecord(SnapshotOfRun, found.body, key);
      if (snapshot.status === 'available') return snapshot.snapshot.startedAt;
    } catch (error) {
      const what = 'read an earlier run';
      log.warn(LOG.failed, { source, what, key, error: errorName(error) });
    }
  }
  return null;
}
