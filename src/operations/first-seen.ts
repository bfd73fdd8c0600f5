import * as z from 'zod';
import type { Inventory } from '#domain/backup-inventory.ts';
import { alertMarkerKey } from '#domain/names.ts';
import { errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from './records.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'objects'>;

/** `alerts/<source>/first-seen.json`. Written by Reconcile alone. */
const SourceSeen = z.object({ since: z.iso.datetime() });

/** The bucket's lifecycle may expire alerts; written again this often, the mark outlives it. */
const MARK_AGAIN_AFTER_MILLISECONDS = 20 * 86_400_000;

/**
 * When this deployment first knew the source; noted here when it is new. A broken mark is told of in the log and
 * written anew, with the oldest trace of the source: an age may come out too large by that, and does not begin at 0.
 */
export async function firstSeenAt(
  deps: Needs,
  source: string,
  inventory: Inventory,
): Promise<Date> {
  const { clock, log, objects } = deps;
  const key = alertMarkerKey(source, 'first-seen');
  const note = (since: Date) => objects.put(key, JSON.stringify({ since: since.toISOString() }));
  const now = clock.now();
  const found = await objects.get(key);
  if (!found) {
    await note(now);
    return now;
  }
  let since: Date;
  try {
    since = new Date(parseRecord(SourceSeen, found.body, key).since);
  } catch (error) {
    const what = 'read since when the source is known';
    log.error(LOG.failed, { source, what, key, error: errorName(error) });
    since = await oldestTrace(deps, source, inventory);
    await note(since);
    return since;
  }
  const markedMilliseconds = now.getTime() - found.head.lastModified.getTime();
  if (markedMilliseconds > MARK_AGAIN_AFTER_MILLISECONDS) await note(since);
  return since;
}

/** Of its backups and of what Reconcile has noted, such as when its schedule was first seen. */
async function oldestTrace(
  { clock, objects }: Needs,
  source: string,
  { databases }: Inventory,
): Promise<Date> {
  const times = [...databases.values()].flat().map(({ time }) => time.getTime());
  for await (const { lastModified } of objects.list(`alerts/${source}/`)) {
    times.push(lastModified.getTime());
  }
  return new Date(Math.min(clock.now().getTime(), ...times.filter((time) => !Number.isNaN(time))));
}
