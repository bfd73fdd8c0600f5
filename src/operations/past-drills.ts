import { DrillRecord } from '#contracts/drill.ts';
import { drillsPrefix, parseDrillRecordKey } from '#domain/names.ts';
import { errorName, isRetryable } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from './records.ts';

/**
 * The records of a source's drills, newest first, at most `limit`. One that cannot be read is left out, with a
 * line in the log. Throws what may pass: Throttled, ServiceUnavailable.
 */
export async function pastDrills(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  source: string,
  limit: number,
): Promise<DrillRecord[]> {
  const keys: string[] = [];
  for await (const { key } of objects.list(drillsPrefix(source))) {
    if (parseDrillRecordKey(key)) keys.push(key);
  }
  // An id begins with its time.
  const newest = keys.sort((a, b) => (a < b ? 1 : -1)).slice(0, limit);
  const records: DrillRecord[] = [];
  for (const key of newest) {
    try {
      const found = await objects.get(key);
      if (found) records.push(parseRecord(DrillRecord, found.body, key));
    } catch (error) {
      if (isRetryable(error)) throw error;
      log.warn(LOG.failed, {
        while: 'reading the record of a drill',
        key,
        error: errorName(error),
      });
    }
  }
  return records;
}
