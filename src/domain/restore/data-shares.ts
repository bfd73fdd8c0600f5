import type { DataBlock } from '../archive/block-index.ts';

/** Blocks that one pg_restore gets, in the order in which it wants them: that of the archive's entries. */
export interface DataShare {
  readonly blocks: readonly DataBlock[];
  /** What it costs to load, in bytes of the archive that cost as much. */
  readonly weightBytes: number;
}

/** A run of bytes to be read in one go. */
export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * Below this a share is not worth its own process and connection: decoding it and sending its rows takes
 * well under a second.
 */
const SMALLEST_SHARE_BYTES = 4 * 1024 * 1024;
/**
 * What a block costs beside its bytes: a table its COPY and a commit, some milliseconds, in which about so much
 * of another is loaded; large objects, of which pg_dump 17 and newer put a thousand in a block, four commands
 * each.
 */
const BLOCK_WEIGHT_BYTES = { table: 32 * 1024, blobs: 1024 * 1024 } as const;
/** Shares for each worker: so many that the last ones end at about the same time. */
const SHARES_PER_WORKER = 4;

/**
 * Splits blocks into shares for a queue from which `jobs` workers take one after the other, largest first.
 * A block is never split, so a huge table is a share of its own; small ones that follow each other go
 * together. Whatever the number of tables, there are at most 4 shares for each worker of the one kind, and of
 * the other, and one more.
 *
 * `blocks` are in the order of the archive's entries.
 */
export function planShares(blocks: readonly DataBlock[], jobs: number): DataShare[] {
  const weightOf = ({ kind, lengthBytes }: DataBlock) => lengthBytes + BLOCK_WEIGHT_BYTES[kind];
  const totalBytes = blocks.reduce((sum, block) => sum + weightOf(block), 0);
  const enoughBytes = Math.max(SMALLEST_SHARE_BYTES, totalBytes / (jobs * SHARES_PER_WORKER));
  const shares: DataShare[] = [];
  let open: DataBlock[] = [];
  let openBytes = 0;
  const close = () => {
    if (open.length > 0) shares.push({ blocks: open, weightBytes: openBytes });
    open = [];
    openBytes = 0;
  };
  for (const block of blocks) {
    const weightBytes = weightOf(block);
    if (weightBytes >= enoughBytes) {
      // What is open stays so: small tables around a large one are still one share.
      shares.push({ blocks: [block], weightBytes });
      continue;
    }
    open.push(block);
    openBytes += weightBytes;
    if (openBytes >= enoughBytes) close();
  }
  close();
  return shares.toSorted((a, b) => b.weightBytes - a.weightBytes);
}

/** The byte ranges of blocks in their order, those that touch joined. */
export function rangesOf(blocks: readonly DataBlock[]): ByteRange[] {
  const ranges: { start: number; end: number }[] = [];
  for (const { offset, lengthBytes } of blocks) {
    const last = ranges.at(-1);
    if (last?.end === offset) last.end += lengthBytes;
    else ranges.push({ start: offset, end: offset + lengthBytes });
  }
  return ranges;
}

/** Whether ranges, each with bytes, cover all from `start` to `end`, every byte once. Sorts a copy. */
export function coverWhole(ranges: readonly ByteRange[], start: number, end: number): boolean {
  let at = start;
  for (const range of ranges.toSorted((a, b) => a.start - b.start)) {
    if (range.start !== at) return false;
    at = range.end;
  }
  return at === end;
}
