import { DrillReport } from '#contracts/drill.ts';
import { errorName, isRetryable } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from '../records.ts';

/** What a drill's task found, also where it then failed; undefined when it did not get so far. Throws what may pass. */
export async function readDrillReport(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  key: string,
): Promise<DrillReport | undefined> {
  try {
    const found = await objects.get(key);
    return found && parseRecord(DrillReport, found.body, key);
  } catch (error) {
    // A good backup must not fail because S3 was busy: whoever asks tries again.
    if (isRetryable(error)) throw error;
    log.warn(LOG.failed, { while: 'reading the report of a drill', key, error: errorName(error) });
    return undefined;
  }
}
