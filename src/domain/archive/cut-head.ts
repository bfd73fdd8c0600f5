import { ArchiveUnsupported } from '#errors';
import { firstEntryAt, type Toc } from './toc.ts';

/**
 * What pg_restore reads of an archive before anything else (`ReadToc` in `pg_backup_archiver.c`):
 * they say how all the others are to be understood.
 */
const ALWAYS = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/**
 * The head of an archive that has these entries only, in the order that the whole one has them. Followed by
 * their data blocks in the same order it is an archive of its own, as a `pg_dump` to a pipe writes it:
 * pg_restore reads it from a pipe without a list of what it is to leave out, and without skipping anything.
 * The offsets in it are those of the whole archive; a reader that cannot seek does not look at them.
 */
export function cutHead(head: Buffer, toc: Toc, ids: ReadonlySet<number>): Buffer {
  const { intSizeBytes, offsetSizeBytes } = toc.header;
  const start = firstEntryAt(head);
  const pieces: Buffer[] = [];
  let from = start;
  for (const { dumpId, desc, dataOffsetAt } of toc.entries) {
    const end = dataOffsetAt + 1 + offsetSizeBytes;
    if (ids.has(dumpId) || ALWAYS.has(desc)) pieces.push(head.subarray(from, end));
    from = end;
  }
  if (from !== head.length) {
    throw new ArchiveUnsupported(
      `the entries end at byte ${from} of a head of ${head.length} bytes`,
    );
  }
  const count = Buffer.alloc(1 + intSizeBytes);
  count.writeUInt32LE(pieces.length, 1);
  return Buffer.concat([head.subarray(0, start - count.length), count, ...pieces]);
}
