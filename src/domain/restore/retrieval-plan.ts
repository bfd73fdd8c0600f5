import type { PlannedRestoreState, RetrievalTier } from '#contracts/restore.ts';

/**
 * Longest time a retrieval takes, in hours, by storage class and tier. Source: the S3 User Guide,
 * "Understanding archive retrieval options". Deep Archive has no expedited tier.
 */
const HOURS: Readonly<Record<string, Readonly<Record<RetrievalTier, number>>>> = {
  GLACIER: { expedited: 0.1, standard: 5, bulk: 12 },
  DEEP_ARCHIVE: { expedited: 12, standard: 12, bulk: 48 },
};

/** Whether the archive must be brought back first, and how long to wait for that at most. */
export function retrievalPlan(
  object: { readonly storageClass: string; readonly retrieval: 'none' | 'ongoing' | 'done' },
  tier: RetrievalTier,
): PlannedRestoreState['retrieval'] {
  const { storageClass, retrieval } = object;
  const hours = HOURS[storageClass]?.[tier];
  return {
    needed: hours !== undefined && retrieval !== 'done',
    tier,
    storageClass,
    // Twice what AWS says; more than the heartbeat in any case.
    timeoutSeconds: Math.max(5 * 3600, Math.ceil((hours ?? 0) * 2 * 3600)),
  };
}
