import type { CleanUpPolicy } from '#contracts/restore-server.ts';

/**
 * What RDS's word for a server's state means for a restore. An unknown word is waited out, as to give up
 * would mean to delete a server that may be nearly done. Source: RDS User Guide, "Viewing DB instance
 * status", and Aurora User Guide, "Viewing DB cluster status".
 *
 * | status | meaning |
 * |---|---|
 * | available, storage-optimization, storage-initialization | it takes connections |
 * | failed, incompatible-*, insufficient-capacity, inaccessible-encryption-credentials*, restore-error, storage-full, *-failed | it never will |
 * | deleting, deleted, stopping, stopped | somebody has other plans |
 * | anything else | on its way |
 */
export function standingOf(status: string): 'available' | 'under-way' | 'failed' {
  if (/^(available|storage-optimization|storage-initialization)$/.test(status)) return 'available';
  return FAILED.test(status) ? 'failed' : 'under-way';
}

const FAILED =
  /^(failed|.+-failed|incompatible-.+|insufficient-capacity|inaccessible-encryption-credentials.*|restore-error|storage-full|deleting|deleted|stopping|stopped)$/;

/**
 * Seconds until the server is looked at again: a tenth of what has passed, 5 s at least and 5 minutes at
 * most. A look costs nine events of the execution's history; three days of waiting take some 900 looks,
 * 8,100 of the 25,000 events that Step Functions has.
 */
export function secondsToNextLook(elapsedSeconds: number): number {
  return Math.min(300, Math.max(5, Math.round(elapsedSeconds / 10)));
}

/** What `cleanUpOnFailure` asks for. Left out: a server that runs is never deleted behind one's back. */
export function cleanUpPolicy(cleanUpOnFailure: boolean | undefined): CleanUpPolicy {
  if (cleanUpOnFailure === undefined) return 'unfinished';
  return cleanUpOnFailure ? 'always' : 'never';
}
