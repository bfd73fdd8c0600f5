import { firstEntryAt, parseToc, type Toc } from './toc.ts';

/** What pg_dump wrote behind the data, and what follows from it. */
export interface AppendedToc {
  /** The archive's table of contents with the offsets that the second one has. */
  readonly toc: Toc;
  /** Of the second one: the data end so many bytes before the file does. */
  readonly lengthBytes: number;
}

/**
 * Entries whose definition is made only while it is written. The second time pg_dump goes past it without writing
 * (`WriteToc` in `pg_backup_archiver.c` of 18), and in a file that only grows going past leaves nothing.
 */
const WRITTEN_ONCE = 'STATISTICS DATA';

/** The most that a second table of contents of an archive with this head can have. */
export function appendedTocLimit(head: Buffer, toc: Toc): number {
  return head.length - tocStart(head, toc);
}

/**
 * The second table of contents at the end of an archive; undefined when there is none.
 *
 * `pg_dump --format=custom db > file` ends with one. To fill in where the data are pg_dump goes back and writes its
 * table of contents again (`_CloseArchive` in `pg_backup_custom.c`), but from version 16 on its standard output is
 * opened to append, as `>>` does for every version, which moves all writes to the end. pg_restore never looks
 * there. So the archive is as good as one of which nobody filled the offsets in, and the second table of contents
 * has them. It must be the first one in every byte but those.
 *
 * `end`: the last bytes of the file, as many as {@link appendedTocLimit} says, or all after the head.
 *
 * @throws ArchiveCorrupt when it is there, and its offsets cannot be any.
 */
export function readAppendedToc(head: Buffer, toc: Toc, end: Buffer): AppendedToc | undefined {
  for (const leavesOut of [undefined, WRITTEN_ONCE]) {
    const { second, offsetsAt } = writeAgain(head, toc, leavesOut);
    if (second.length > end.length) continue;
    const found = end.subarray(end.length - second.length);
    const fieldBytes = 1 + toc.header.offsetSizeBytes;
    const filled = Buffer.from(head);
    for (const [index, at] of offsetsAt.entries()) {
      found.copy(second, at, at, at + fieldBytes);
      const dataOffsetAt = toc.entries[index]?.dataOffsetAt ?? 0;
      found.copy(filled, dataOffsetAt, at, at + fieldBytes);
    }
    if (!second.equals(found)) continue;
    return { toc: parseToc(filled), lengthBytes: found.length };
  }
  return undefined;
}

/** The table of contents as it would be written once more, and where each entry's data offset is in it. */
function writeAgain(head: Buffer, toc: Toc, leavesOut: string | undefined) {
  const intBytes = 1 + toc.header.intSizeBytes;
  const pieces: Buffer[] = [];
  const offsetsAt: number[] = [];
  let from = tocStart(head, toc);
  let lengthBytes = 0;
  const add = (end: number) => {
    pieces.push(head.subarray(from, end));
    lengthBytes += end - from;
    from = end;
  };
  for (const { desc, definition, dataOffsetAt } of toc.entries) {
    if (definition && desc === leavesOut) {
      add(definition.offset - intBytes);
      from = definition.offset + definition.lengthBytes;
    }
    add(dataOffsetAt);
    offsetsAt.push(lengthBytes);
  }
  add(head.length);
  return { second: Buffer.concat(pieces), offsetsAt };
}

/** The number of entries comes first. */
function tocStart(head: Buffer, toc: Toc): number {
  return firstEntryAt(head) - (1 + toc.header.intSizeBytes);
}
