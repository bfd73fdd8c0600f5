import type { PlannedRestoreState, RetrievalTier } from '#contracts/restore.ts';
import { InvalidInput } from '#errors';
import { isReadable, retrievalTime } from './retrieval-times.ts';

/** More than the heartbeat of Retrieve Archive (4 h), however quick the tier is. */
const LEAST_SECONDS = 5 * 3600;

/**
 * Whether the archive must be brought back first, and how long to wait for that at most: twice as long as
 * S3 says. Throws InvalidInput for a tier that the archive's storage class does not have.
 */
export function retrievalPlan(
  object: { readonly storageClass: string; readonly retrieval: 'none' | 'ongoing' | 'done' },
  tier: RetrievalTier,
): PlannedRestoreState['retrieval'] {
  const { storageClass } = object;
  if (isReadable(object)) {
    return { needed: false, tier, storageClass, timeoutSeconds: LEAST_SECONDS };
  }
  const time = retrievalTime(storageClass, tier);
  if (!time) {
    throw new InvalidInput(`nothing in ${storageClass} can be retrieved by tier ${tier}`, {
      remedy: 'write "retrievalTier": "standard" or "bulk"',
    });
  }
  const timeoutSeconds = Math.max(LEAST_SECONDS, Math.ceil(time.hours * 2 * 3600));
  return { needed: true, tier, storageClass, timeoutSeconds };
}
