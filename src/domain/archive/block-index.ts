import type { ArchiveHeader, Toc, TocEntry } from './toc.ts';

/** One run of data in an archive, from its type byte to the end of its closing zero. */
export interface DataBlock {
  readonly dumpId: number;
  readonly kind: 'table' | 'blobs';
  /** Position of the block's type byte in the archive. */
  readonly offset: number;
  readonly lengthBytes: number;
  /** CRC-64/NVME of those bytes as it should be, base64; absent where nobody wrote it down. */
  readonly crc64nvme?: string | undefined;
}

/** What an archive holds and where: made by `ArchiveReader` at an archive's clean end. */
export interface ArchiveIndex {
  readonly header: ArchiveHeader;
  readonly entries: readonly TocEntry[];
  /** In the order of the file. */
  readonly blocks: readonly DataBlock[];
  readonly headLengthBytes: number;
  readonly sizeBytes: number;
}

export interface TableRange {
  readonly schema: string;
  readonly table: string;
  readonly dumpId: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

/** The byte range of each table's data, in the order of the TOC. */
export function tableRanges(index: Pick<ArchiveIndex, 'entries' | 'blocks'>): TableRange[] {
  const blockOf = new Map(index.blocks.map((block) => [block.dumpId, block]));
  return tableDataEntries(index).flatMap((entry) => {
    const block = blockOf.get(entry.dumpId);
    return block
      ? {
          ...nameOf(entry),
          dumpId: entry.dumpId,
          offset: block.offset,
          lengthBytes: block.lengthBytes,
        }
      : [];
  });
}

export interface TableCopy {
  readonly schema: string;
  readonly table: string;
  /** Undefined in archives made with `--inserts`. */
  readonly copyStatement: string | undefined;
}

/**
 * The COPY statements that `pg_restore` prints before each table's rows, in its order. `readable`: the same table
 * of contents with names as the database has them; statements have to stay what their bytes can be told from.
 */
export function tableCopies(
  toc: Pick<Toc, 'entries'>,
  readable: Pick<Toc, 'entries'> = toc,
): TableCopy[] {
  const names = new Map(readable.entries.map((entry) => [entry.dumpId, nameOf(entry)]));
  return tableDataEntries(toc).map((entry) => ({
    ...(names.get(entry.dumpId) ?? nameOf(entry)),
    copyStatement: entry.copyStatement,
  }));
}

function tableDataEntries(toc: Pick<Toc, 'entries'>): TocEntry[] {
  return toc.entries.filter((entry) => entry.hasData && entry.desc === 'TABLE DATA');
}

function nameOf(entry: TocEntry): { schema: string; table: string } {
  return { schema: entry.schema ?? '', table: entry.tag };
}
