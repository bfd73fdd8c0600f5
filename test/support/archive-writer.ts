/**
 * Writes small custom-format archives as pg_dump does, for tests: what it writes is decided by
 * PostgreSQL's `WriteHead`, `WriteToc` and `_StartData`, not by our reader.
 */
export interface ArchiveSpec {
  readonly minor: number;
  readonly intSizeBytes: number;
  readonly offsetSizeBytes: number;
  /** The algorithm's number from 1.15 on, before that gzip's level. */
  readonly compression: number;
  readonly entries: readonly EntrySpec[];
  /** Fills the offsets in, as pg_dump does when it writes to a file. */
  readonly withOffsets: boolean;
  /** Of all texts; `latin1` writes each character as the byte of its number. Default: utf8. */
  readonly textEncoding?: 'utf8' | 'latin1';
}

export interface EntrySpec {
  readonly dumpId: number;
  readonly desc: string;
  readonly tag: string;
  readonly schema: string | undefined;
  readonly definition: string | undefined;
  readonly copyStatement: string | undefined;
  readonly dependencies: readonly number[];
  /** Default: data where there are any, else pre-data. */
  readonly section?: 'none' | 'pre-data' | 'data' | 'post-data';
  /** Default: an empty one. */
  readonly dropStatement?: string;
  /** Default: postgres. */
  readonly owner?: string;
  readonly tablespace?: string;
  /** Default: heap. */
  readonly accessMethod?: string;
  /** Default: r, an ordinary table. */
  readonly relationKind?: string;
  /** A table's chunks. */
  readonly table?: readonly Buffer[];
  /** Large objects with their chunks. */
  readonly blobs?: readonly { readonly oid: number; readonly chunks: readonly Buffer[] }[];
}

export interface WrittenArchive {
  readonly bytes: Buffer;
  readonly headLengthBytes: number;
  readonly blocks: readonly {
    dumpId: number;
    kind: 'table' | 'blobs';
    offset: number;
    lengthBytes: number;
  }[];
}

export function makeArchiveSpec(overrides: Partial<ArchiveSpec> = {}): ArchiveSpec {
  return {
    minor: 16,
    intSizeBytes: 4,
    offsetSizeBytes: 8,
    compression: 0,
    withOffsets: false,
    entries: [
      makeEntry({ dumpId: 3, desc: 'ENCODING', tag: 'ENCODING', schema: undefined }),
      makeEntry({ dumpId: 7, desc: 'TABLE', tag: 'orders', definition: 'CREATE TABLE …;\n' }),
      makeTableData({
        dumpId: 9,
        tag: 'orders',
        table: [Buffer.from('1\tone\n'), Buffer.from('\\.\n\n\n')],
      }),
      makeTableData({ dumpId: 4, tag: 'empty', table: [] }),
      makeEntry({
        dumpId: 12,
        desc: 'BLOBS',
        tag: 'BLOBS',
        schema: undefined,
        blobs: [
          { oid: 16_400, chunks: [Buffer.from('large')] },
          { oid: 4_294_967_295, chunks: [] },
        ],
      }),
      makeEntry({ dumpId: 5, desc: 'INDEX', tag: 'orders_pkey', dependencies: [7] }),
    ],
    ...overrides,
  };
}

export function makeEntry(overrides: Partial<EntrySpec> = {}): EntrySpec {
  return {
    dumpId: 1,
    desc: 'TABLE',
    tag: 'orders',
    schema: 'public',
    definition: undefined,
    copyStatement: undefined,
    dependencies: [],
    ...overrides,
  };
}

export function makeTableData(overrides: Partial<EntrySpec> = {}): EntrySpec {
  return makeEntry({
    desc: 'TABLE DATA',
    copyStatement: `COPY public.${overrides.tag} (id) FROM stdin;\n`,
    table: [],
    ...overrides,
  });
}

export function writeArchive(spec: ArchiveSpec): WrittenArchive {
  const placeholder = writeHead(spec, new Map());
  const data: Buffer[] = [];
  const blocks: WrittenArchive['blocks'][number][] = [];
  let offset = placeholder.length;
  for (const entry of spec.entries) {
    const block = writeBlock(spec, entry);
    if (block === undefined) continue;
    const kind = entry.blobs ? 'blobs' : 'table';
    blocks.push({ dumpId: entry.dumpId, kind, offset, lengthBytes: block.length });
    data.push(block);
    offset += block.length;
  }
  const offsets = new Map(
    spec.withOffsets ? blocks.map((block) => [block.dumpId, block.offset]) : [],
  );
  const bytes = Buffer.concat([writeHead(spec, offsets), ...data]);
  return { bytes, headLengthBytes: placeholder.length, blocks };
}

/**
 * The archive as `pg_dump … > file` leaves it from version 16 on: what goes back to fill the offsets in is written
 * behind the data. Definitions of statistics are not written again.
 */
export function appendToc(spec: ArchiveSpec): Buffer {
  const { bytes } = writeArchive({ ...spec, withOffsets: false });
  const filled = writeArchive({ ...spec, withOffsets: true });
  const again = writeToc(
    spec,
    new Map(filled.blocks.map((block) => [block.dumpId, block.offset])),
    ({ desc }) => desc !== 'STATISTICS DATA',
  );
  return Buffer.concat([bytes, again]);
}

const sections = ['none', 'pre-data', 'data', 'post-data'];

function writeHead(spec: ArchiveSpec, offsets: ReadonlyMap<number, number>): Buffer {
  const { int, text } = writers(spec);
  const { minor, intSizeBytes, offsetSizeBytes, compression } = spec;
  return Buffer.concat([
    Buffer.from('PGDMP'),
    Buffer.from([1, minor, 0, intSizeBytes, offsetSizeBytes, 1]),
    minor >= 15 ? Buffer.from([compression]) : int(compression),
    ...[58, 59, 23, 31, 11, 126, 0].map(int),
    text('shop'),
    text('18.4'),
    text('18.6 (Debian 18.6-3)'),
    writeToc(spec, offsets, () => true),
  ]);
}

function writers(spec: ArchiveSpec) {
  const int = (value: number) => writeInt(value, spec.intSizeBytes);
  const encoding = spec.textEncoding ?? 'utf8';
  const text = (value: string | undefined) =>
    value === undefined
      ? int(-1)
      : Buffer.concat([int(Buffer.byteLength(value, encoding)), Buffer.from(value, encoding)]);
  return { int, text };
}

function writeToc(
  spec: ArchiveSpec,
  offsets: ReadonlyMap<number, number>,
  isDefined: (entry: EntrySpec) => boolean,
): Buffer {
  const { int, text } = writers(spec);
  const { minor, offsetSizeBytes, entries } = spec;
  const out: Buffer[] = [int(entries.length)];
  for (const entry of entries) {
    const hasData = entry.table !== undefined || entry.blobs !== undefined;
    out.push(int(entry.dumpId), int(hasData ? 1 : 0), text('1259'), text('16385'));
    const section = entry.section ?? (hasData ? 'data' : 'pre-data');
    out.push(text(entry.tag), text(entry.desc), int(1 + sections.indexOf(section)));
    if (isDefined(entry)) out.push(text(entry.definition));
    out.push(text(entry.dropStatement ?? ''), text(entry.copyStatement));
    out.push(text(entry.schema), text(entry.tablespace));
    if (minor >= 14) out.push(text(entry.accessMethod ?? 'heap'));
    if (minor >= 16) out.push(int((entry.relationKind ?? 'r').charCodeAt(0)));
    out.push(text(entry.owner ?? 'postgres'), text('false'));
    for (const id of entry.dependencies) out.push(text(String(id)));
    out.push(text(undefined));
    const offset = offsets.get(entry.dumpId);
    const state = hasData ? (offset === undefined ? 1 : 2) : 3;
    const field = Buffer.alloc(1 + offsetSizeBytes);
    field[0] = state;
    field.writeUIntLE(offset ?? 0, 1, Math.min(offsetSizeBytes, 6));
    out.push(field);
  }
  return Buffer.concat(out);
}

function writeBlock(spec: ArchiveSpec, entry: EntrySpec): Buffer | undefined {
  const int = (value: number) => writeInt(value, spec.intSizeBytes);
  const chunks = (list: readonly Buffer[]) => [
    ...list.flatMap((chunk) => [int(chunk.length), chunk]),
    int(0),
  ];
  if (entry.table !== undefined) {
    return Buffer.concat([Buffer.from([1]), int(entry.dumpId), ...chunks(entry.table)]);
  }
  if (entry.blobs !== undefined) {
    const objects = entry.blobs.flatMap((blob) => [int(blob.oid | 0), ...chunks(blob.chunks)]);
    return Buffer.concat([Buffer.from([3]), int(entry.dumpId), ...objects, int(0)]);
  }
  return undefined;
}

/** A sign byte and the magnitude, least significant byte first. */
function writeInt(value: number, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(1 + sizeBytes);
  bytes[0] = value < 0 ? 1 : 0;
  bytes.writeUIntLE(Math.abs(value), 1, Math.min(sizeBytes, 6));
  return bytes;
}
