import { S3Error } from './s3-error.ts';
import type { ObjectVersion } from './storage.ts';

/**
 * Objects that are not there to be read until they were restored. Source: the S3 User Guide, "Working with
 * archived objects", and the API reference of RestoreObject.
 */

/** What a write may ask for. */
export const STORAGE_CLASSES: ReadonlySet<string> = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER_IR',
  'GLACIER',
  'DEEP_ARCHIVE',
]);

/** The archive tiers of INTELLIGENT_TIERING, into which S3 itself moves objects. */
export const ACCESS_TIERS = ['ARCHIVE_ACCESS', 'DEEP_ARCHIVE_ACCESS'] as const;
export type AccessTier = (typeof ACCESS_TIERS)[number];

/** From the slowest to the fastest. */
export const RETRIEVAL_TIERS = ['Bulk', 'Standard', 'Expedited'] as const;
export type RetrievalTier = (typeof RETRIEVAL_TIERS)[number];

/** What RestoreObject began, or what came of it. Times are ISO 8601. */
export type RestoreState =
  | 'none'
  | {
      readonly state: 'ongoing';
      readonly tier: RetrievalTier;
      /** Undefined where the object itself comes back (INTELLIGENT_TIERING). */
      readonly days: number | undefined;
      /** Null: only when somebody says so. */
      readonly readyAt: string | null;
    }
  | { readonly state: 'done'; readonly expiresAt: string };

type Archived = Pick<ObjectVersion, 'storageClass' | 'accessTier' | 'restore'>;

const FROZEN_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);
const DEEP: ReadonlySet<string> = new Set(['DEEP_ARCHIVE', 'DEEP_ARCHIVE_ACCESS']);

/** GLACIER_IR is read at once, in spite of its name. */
export function isArchived({ storageClass, accessTier }: Archived): boolean {
  return FROZEN_CLASSES.has(storageClass) || accessTier !== undefined;
}

/** What holds at a time: a copy that has expired is no longer there. */
export function restoreStateAt({ restore }: Archived, now: Date): RestoreState {
  if (restore === 'none' || restore.state === 'ongoing') return restore;
  return Date.parse(restore.expiresAt) > now.getTime() ? restore : 'none';
}

/** Throws InvalidObjectState, which says the class and, of INTELLIGENT_TIERING, the tier. */
export function assertReadable(object: Archived, now: Date): void {
  if (!isArchived(object)) return;
  const state = restoreStateAt(object, now);
  if (state === 'none' || state.state === 'ongoing') throw invalidState(object);
}

function invalidState({ storageClass, accessTier }: Archived, message?: string): S3Error {
  const details = {
    StorageClass: storageClass,
    ...(accessTier === undefined ? {} : { AccessTier: accessTier }),
  };
  return new S3Error('InvalidObjectState', message, { details });
}

/** The header `x-amz-restore`; undefined when nothing was restored. */
export function restoreHeader(object: Archived, now: Date): string | undefined {
  const state = restoreStateAt(object, now);
  if (state === 'none') return undefined;
  if (state.state === 'ongoing') return 'ongoing-request="true"';
  const expiry = new Date(state.expiresAt).toUTCString();
  return `ongoing-request="false", expiry-date="${expiry}"`;
}

/** The copy is kept for whole days: its end is moved on to the next midnight, UTC. */
export function copyExpiry(from: Date, days: number): string {
  const end = new Date(from);
  end.setUTCDate(end.getUTCDate() + days + 1);
  end.setUTCHours(0, 0, 0, 0);
  return end.toISOString();
}

/** Throws what S3 answers to a RestoreObject that the object's class does not know. */
export function assertRestorable(
  object: Archived,
  request: { readonly tier: RetrievalTier; readonly days: number | undefined },
): void {
  if (!isArchived(object)) {
    throw invalidState(object, 'Restore is not allowed for the current storage class.');
  }
  const tiered = object.accessTier !== undefined;
  if (tiered && request.days !== undefined) {
    throw new S3Error(
      'InvalidArgument',
      'What comes back to INTELLIGENT_TIERING does not expire: do not specify Days.',
    );
  }
  if (!tiered && request.days === undefined) {
    throw new S3Error('MalformedXML', 'Days is missing.');
  }
  if (request.tier === 'Expedited' && DEEP.has(object.accessTier ?? object.storageClass)) {
    throw new S3Error('InvalidArgument', 'The tier is not supported by the storage class.');
  }
}
