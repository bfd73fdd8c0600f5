import type { RetrievalTier } from '#contracts/restore.ts';

/** How long S3 typically takes to bring an archive back. */
export interface RetrievalTime {
  readonly words: string;
  /** The longer end of it. */
  readonly hours: number;
}

type Times = Readonly<Record<RetrievalTier, RetrievalTime | undefined>>;

const FLEXIBLE: Times = {
  // Up to 250 MB; what is larger takes its time.
  expedited: { words: '1 to 5 minutes, longer for large archives', hours: 0.1 },
  standard: { words: '3 to 5 hours', hours: 5 },
  bulk: { words: '5 to 12 hours', hours: 12 },
};
const DEEP: Times = {
  expedited: undefined,
  standard: { words: 'up to 12 hours', hours: 12 },
  bulk: { words: 'up to 48 hours', hours: 48 },
};

/**
 * The storage classes, and the archive tiers of INTELLIGENT_TIERING, that cannot be read before they were
 * retrieved. Source: the S3 User Guide, "Understanding archive retrieval options". GLACIER_IR is read at once.
 */
const TIMES: Readonly<Record<string, Times>> = {
  GLACIER: FLEXIBLE,
  DEEP_ARCHIVE: DEEP,
  ARCHIVE_ACCESS: FLEXIBLE,
  DEEP_ARCHIVE_ACCESS: DEEP,
};

/** Tiers of INTELLIGENT_TIERING: what is retrieved from them is moved back, not copied for some days. */
export const INTELLIGENT_ARCHIVES: ReadonlySet<string> = new Set([
  'ARCHIVE_ACCESS',
  'DEEP_ARCHIVE_ACCESS',
]);

export function isArchived(storageClass: string): boolean {
  return TIMES[storageClass] !== undefined;
}

/** Whether its bytes can be had now. */
export function isReadable(object: {
  readonly storageClass: string;
  readonly retrieval: 'none' | 'ongoing' | 'done';
}): boolean {
  return !isArchived(object.storageClass) || object.retrieval === 'done';
}

/** Undefined: the class does not have the tier, or needs no retrieval. */
export function retrievalTime(
  storageClass: string,
  tier: RetrievalTier,
): RetrievalTime | undefined {
  return TIMES[storageClass]?.[tier];
}

/** The longest that a plan lets a restore run: 10,080 minutes. */
const LONGEST_RESTORE_DAYS = 7;

/**
 * For how many days S3 is to keep the copy: from the request on, so that it does not matter whether the
 * time of the retrieval itself counts. `timeoutSeconds`: how long the restore waits for the copy.
 */
export function copyDays(timeoutSeconds: number): number {
  return LONGEST_RESTORE_DAYS + Math.ceil(timeoutSeconds / 86_400);
}
