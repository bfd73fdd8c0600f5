import { ArchiveCorrupt } from '#errors';
import type { ArchiveIndex } from './block-index.ts';
import { offsetState } from './toc.ts';

/**
 * A copy of an archive's head with the offset of each data block filled in, of the same length.
 *
 * pg_dump does the same when its output is a file: it goes back and writes the table of contents
 * again. With the patched head an archive that came through a pipe is, byte for byte, the one that
 * `pg_dump --file` would have written. Entries without data keep their state byte, as they do there.
 *
 * @throws ArchiveCorrupt when the head is not the one of the index.
 */
export function patchHead(
  head: Buffer,
  index: Pick<ArchiveIndex, 'header' | 'entries' | 'blocks' | 'headLengthBytes'>,
): Buffer {
  if (head.length !== index.headLengthBytes) {
    throw new ArchiveCorrupt(
      `a head of ${head.length} bytes is not the index's, which has ${index.headLengthBytes}`,
    );
  }
  const patched = Buffer.from(head);
  const entryOf = new Map(index.entries.map((entry) => [entry.dumpId, entry]));
  for (const block of index.blocks) {
    const at = entryOf.get(block.dumpId)?.dataOffsetAt;
    if (at === undefined) throw new ArchiveCorrupt(`no entry ${block.dumpId} for a data block`);
    patched[at] = offsetState.set;
    writeLittleEndian(patched, at + 1, index.header.offsetSizeBytes, block.offset);
  }
  return patched;
}

function writeLittleEndian(bytes: Buffer, at: number, sizeBytes: number, value: number): void {
  let rest = value;
  for (let i = 0; i < sizeBytes; i += 1) {
    bytes[at + i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  if (rest > 0) throw new ArchiveCorrupt(`offset ${value} does not fit into ${sizeBytes} bytes`);
}
