import { ArchiveUnsupported } from '#errors';
import { firstEntryAt, offsetState, type Toc } from './toc.ts';

/**
 * What pg_restore reads of an archive before anything else (`ReadToc` in `pg_backup_archiver.c`):
 * they say how all the others are to be understood.
 */
const ALWAYS = new Set(['ENCODING', 'STDSTRINGS', 'SEARCHPATH']);

/**
 * The head of an archive that has these entries only, in the order that the whole one has them. Followed by
 * their data blocks in the same order it is an archive of its own, as a `pg_dump` to a pipe writes it:
 * pg_restore reads it from a pipe without a list of what it is to leave out, and without skipping anything.
 */
export function cutHead(head: Buffer, toc: Toc, ids: ReadonlySet<number>): Buffer {
  const { intSizeBytes, offsetSizeBytes } = toc.header;
  const start = firstEntryAt(head);
  const pieces: Buffer[] = [];
  const [notSet, noData] = [offsetState.notSet, offsetState.noData].map((state) =>
    Buffer.alloc(1 + offsetSizeBytes).fill(state, 0, 1),
  ) as [Buffer, Buffer];
  let count = 0;
  let from = start;
  for (const { dumpId, desc, hasData, dataOffsetAt } of toc.entries) {
    const end = dataOffsetAt + 1 + offsetSizeBytes;
    if (ids.has(dumpId) || ALWAYS.has(desc)) {
      // Where the data are in the whole archive is not where they are in this one.
      pieces.push(head.subarray(from, dataOffsetAt), hasData ? notSet : noData);
      count += 1;
    }
    from = end;
  }
  if (from !== head.length) {
    throw new ArchiveUnsupported(
      `the entries end at byte ${from} of a head of ${head.length} bytes`,
    );
  }
  const countBytes = Buffer.alloc(1 + intSizeBytes);
  countBytes.writeUInt32LE(count, 1);
  return Buffer.concat([head.subarray(0, start - countBytes.length), countBytes, ...pieces]);
}
