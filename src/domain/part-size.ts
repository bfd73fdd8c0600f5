import { DumpFailed } from '#errors';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

/**
 * S3's limits for multipart uploads: at most 10,000 parts, each but the last of 5 MiB to 5 GiB
 * ("Amazon S3 multipart upload limits" in the S3 user guide).
 */
export const maxParts = 10_000;
export const minPartBytes = 5 * MiB;
export const maxPartBytes = 5 * GiB;

/** A part is held in memory while it is sent, so the smallest is only a little above S3's. */
const smallestPartBytes = 8 * MiB;
/** As many parts take the estimated size; the rest is for estimates that were too low. */
const plannedParts = 9_000;
const partsPerDoubling = 50;

/**
 * The size of one part of an upload whose length is not known before its end.
 *
 * Parts 1 to 9,000 are of one size, which holds the estimate. Where the archive turns out larger,
 * the size doubles every 50 parts, up to S3's limit. 10,000 parts so hold at least 20 times any
 * estimate up to 128 GiB, and 3 times one of 2 TiB.
 *
 * @param partNumber from 1
 * @throws DumpFailed above part 10,000.
 */
export function partSizeBytes(partNumber: number, estimatedBytes: number): number {
  if (partNumber > maxParts) {
    throw new DumpFailed(
      `the archive does not fit into ${maxParts} parts planned for ${estimatedBytes} bytes`,
      { remedy: 'dump with a higher compression level, or split the database' },
    );
  }
  const planned = Math.ceil(Math.max(estimatedBytes, 0) / plannedParts / MiB) * MiB;
  const base = Math.min(Math.max(planned, smallestPartBytes), maxPartBytes);
  const doublings = Math.ceil(Math.max(partNumber - plannedParts, 0) / partsPerDoubling);
  return Math.min(base * 2 ** doublings, maxPartBytes);
}
