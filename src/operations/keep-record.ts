import { errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/**
 * Writes the record of something that has ended, of which the alert tells anyway. Returns its key, or null: that
 * it could not be written is only logged. The key is made here, as an execution that somebody named by hand may
 * have no name for one.
 */
export async function keepRecord(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  keyOf: () => string,
  record: object,
): Promise<string | null> {
  try {
    const key = keyOf();
    await objects.put(key, JSON.stringify(record, null, 1), { contentType: 'application/json' });
    return key;
  } catch (error) {
    log.warn(LOG.failed, { while: 'writing the record of the end', error: errorName(error) });
    return null;
  }
}
