import { isUtf8 } from 'node:buffer';
import { ArchiveCorrupt, ArchiveUnsupported } from '#errors';

/**
 * The head of a custom-format archive: its header and its table of contents (TOC).
 *
 * Source of the format: PostgreSQL's `pg_backup_archiver.c` (`ReadHead`, `ReadToc`, `ReadInt`,
 * `ReadStr`, `ReadOffset`) and `pg_backup_custom.c`. Versions 1.12 to 1.16 are what pg_dump 9.0 to
 * 18 write; they differ in the table access method (1.14), the header's compression (1.15) and the
 * relation kind (1.16).
 */
export type Compression = 'none' | 'gzip' | 'lz4' | 'zstd';

export interface ArchiveHeader {
  /** For example `1.16`; the third number has always been 0. */
  readonly formatVersion: string;
  readonly intSizeBytes: number;
  readonly offsetSizeBytes: number;
  readonly compression: Compression;
  /** `YYYY-MM-DDTHH:MM:SS` on the clock of the machine that dumped; its time zone is not recorded. */
  readonly createdLocal: string;
  readonly database: string | undefined;
  readonly serverVersion: string | undefined;
  /** Version of the pg_dump that wrote the archive. */
  readonly dumpVersion: string | undefined;
}

/** Where a long text lies in the head; {@link textAt} decodes it. */
export interface TextRange {
  readonly offset: number;
  readonly lengthBytes: number;
}

export type Section = 'none' | 'pre-data' | 'data' | 'post-data';

export interface TocEntry {
  readonly dumpId: number;
  /** Whether a data block belongs to the entry. */
  readonly hasData: boolean;
  readonly tableOid: number;
  readonly oid: number;
  readonly tag: string;
  /** The kind of the object, as `TABLE DATA`, `BLOBS`, `INDEX`. */
  readonly desc: string;
  readonly section: Section;
  /** Definitions are most of a head and seldom wanted: they stay there until {@link textAt}. */
  readonly definition: TextRange | undefined;
  readonly dropStatement: TextRange | undefined;
  /** The whole statement, with its closing line feed. */
  readonly copyStatement: string | undefined;
  readonly schema: string | undefined;
  readonly tablespace: string | undefined;
  readonly accessMethod: string | undefined;
  /** `pg_class.relkind` as its letter, where the archive records it. */
  readonly relationKind: string | undefined;
  readonly owner: string | undefined;
  readonly dependencies: readonly number[];
  /** Position of the entry's data block, where the archive records it. */
  readonly dataOffset: number | undefined;
  /** Position in the head of the entry's state byte, which the offset's bytes follow. */
  readonly dataOffsetAt: number;
}

export interface Toc {
  readonly header: ArchiveHeader;
  readonly entries: readonly TocEntry[];
  readonly headLengthBytes: number;
  /** How its texts were read; undefined: as {@link decodeText} does. */
  readonly decode?: DecodeText | undefined;
}

/** Turns the bytes of a name or a statement into text. */
export type DecodeText = (bytes: Buffer) => string;

/** The state byte before an entry's data offset (`K_OFFSET_*` in `pg_backup_archiver.h`). */
export const offsetState = { notSet: 1, set: 2, noData: 3 } as const;

const customFormat = 1;
const compressions: readonly Compression[] = ['none', 'gzip', 'lz4', 'zstd'];
const sections: readonly (Section | undefined)[] = [
  undefined,
  'none',
  'pre-data',
  'data',
  'post-data',
];
const oldestMinor = 12;
const newestMinor = 16;
/** What no entry stays below: 15 integers of 5 bytes, a state byte and an offset of 4 bytes. */
const smallestEntryBytes = 80;

/**
 * Reads the TOC of a head that is at hand as a whole, such as `toc.dump`.
 *
 * `decode` turns names into text; by default as {@link textAt} does it.
 *
 * @throws ArchiveCorrupt when the bytes are not exactly a header and a TOC.
 * @throws ArchiveUnsupported for another format than custom 1.12 to 1.16.
 */
export function parseToc(head: Buffer, decode: DecodeText = decodeText): Toc {
  const toc = new TocParser(Number.MAX_SAFE_INTEGER, decode).parse(head);
  if (toc === undefined) {
    throw new ArchiveCorrupt(`the archive ends at byte ${head.length} in its table of contents`);
  }
  if (toc.headLengthBytes !== head.length) {
    throw new ArchiveCorrupt(
      `the table of contents ends at byte ${toc.headLengthBytes}, not at byte ${head.length}`,
    );
  }
  return decode === decodeText ? toc : { ...toc, decode };
}

/** Where the first entry of a head begins; each one ends with its data offset, and the next follows. */
export function firstEntryAt(head: Buffer): number {
  const cursor = new HeadCursor(head, 0, head.length);
  readHeader(cursor);
  cursor.int(); // The number of entries.
  return cursor.position;
}

/** The text at a range that a {@link TocEntry} gives. */
export function textAt(head: Buffer, range: TextRange, decode: DecodeText = decodeText): string {
  return decode(head.subarray(range.offset, range.offset + range.lengthBytes));
}

/**
 * Names are in the dumped database's encoding. What is not UTF-8 is read byte by byte as Latin-1, so
 * that no two names become the same and every text can be turned back into its bytes.
 */
export function decodeText(bytes: Buffer): string {
  return bytes.toString(isUtf8(bytes) ? 'utf8' : 'latin1');
}

/**
 * Parses a head of which more and more bytes are there. It goes on at the entry it stopped in, and
 * tries that again no sooner than the field it lacked is complete.
 */
export class TocParser {
  readonly #maxHeadBytes: number;
  readonly #decode: DecodeText;
  readonly #entries: TocEntry[] = [];
  readonly #dumpIds = new Set<number>();
  #header: ArchiveHeader | undefined;
  #entryCount: number | undefined;
  /** Where the next header, count or entry starts. */
  #position = 0;
  #neededBytes = 0;

  constructor(maxHeadBytes: number, decode: DecodeText = decodeText) {
    this.#maxHeadBytes = maxHeadBytes;
    this.#decode = decode;
  }

  /** `bytes` begins where the archive begins. Answers the TOC once it is complete. */
  parse(bytes: Buffer): Toc | undefined {
    if (bytes.length < this.#neededBytes) return undefined;
    try {
      return this.#parse(bytes);
    } catch (error) {
      if (!(error instanceof MoreBytesNeeded)) throw error;
      this.#neededBytes = error.untilByte;
      return undefined;
    }
  }

  #parse(bytes: Buffer): Toc {
    const cursor = new HeadCursor(bytes, this.#position, this.#maxHeadBytes, this.#decode);
    if (this.#header === undefined) {
      this.#header = readHeader(cursor);
      this.#position = cursor.position;
    }
    const header = this.#header;
    cursor.intSizeBytes = header.intSizeBytes;
    if (this.#entryCount === undefined) {
      const count = cursor.int();
      if (count < 0 || count > this.#maxHeadBytes / smallestEntryBytes) {
        throw cursor.corrupt(`${count} entries in the table of contents`);
      }
      this.#entryCount = count;
      this.#position = cursor.position;
    }
    while (this.#entries.length < this.#entryCount) {
      const entry = readEntry(cursor, header);
      if (this.#dumpIds.has(entry.dumpId)) throw cursor.corrupt(`a second entry ${entry.dumpId}`);
      this.#dumpIds.add(entry.dumpId);
      this.#entries.push(entry);
      this.#position = cursor.position;
    }
    return { header, entries: this.#entries, headLengthBytes: this.#position };
  }
}

function readHeader(cursor: HeadCursor): ArchiveHeader {
  if (cursor.take(5).toString('latin1') !== 'PGDMP') {
    throw new ArchiveCorrupt('the archive does not begin with PGDMP');
  }
  const [major, minor] = [cursor.byte(), cursor.byte()];
  cursor.byte(); // The revision does not change the format.
  if (major !== 1 || minor < oldestMinor || minor > newestMinor) {
    throw new ArchiveUnsupported(`archive version ${major}.${minor} is outside 1.12 to 1.16`, {
      remedy: 'dump again with a client that this release of Holdfast bundles',
    });
  }
  const intSizeBytes = cursor.byte();
  const offsetSizeBytes = cursor.byte();
  if (!isWordSize(intSizeBytes) || !isWordSize(offsetSizeBytes)) {
    throw cursor.corrupt(`integers of ${intSizeBytes} and offsets of ${offsetSizeBytes} bytes`);
  }
  cursor.intSizeBytes = intSizeBytes;
  const format = cursor.byte();
  if (format !== customFormat) {
    throw new ArchiveUnsupported(`archive format ${format} is not the custom format`, {
      remedy: 'dump with --format=custom',
    });
  }
  return {
    formatVersion: `${major}.${minor}`,
    intSizeBytes,
    offsetSizeBytes,
    compression: readCompression(cursor, minor),
    createdLocal: readCreationTime(cursor),
    database: cursor.text(),
    serverVersion: cursor.text(),
    dumpVersion: cursor.text(),
  };
}

function isWordSize(bytes: number): boolean {
  return bytes >= 4 && bytes <= 8;
}

/** Before 1.15 the header has gzip's level (0 is none, -1 is the default) and not the algorithm. */
function readCompression(cursor: HeadCursor, minor: number): Compression {
  if (minor < 15) return cursor.intBetween(-1, 9, 'compression level') === 0 ? 'none' : 'gzip';
  const algorithm = cursor.byte();
  const compression = compressions[algorithm];
  if (compression === undefined) throw cursor.corrupt(`compression algorithm ${algorithm}`);
  return compression;
}

/** The fields of C's `struct tm`, in its order. */
function readCreationTime(cursor: HeadCursor): string {
  const second = cursor.intBetween(0, 60, 'second');
  const minute = cursor.intBetween(0, 59, 'minute');
  const hour = cursor.intBetween(0, 23, 'hour');
  const day = cursor.intBetween(1, 31, 'day');
  const month = cursor.intBetween(0, 11, 'month') + 1;
  const year = cursor.intBetween(0, 8099, 'year') + 1900;
  cursor.intBetween(-1, 1, 'daylight saving flag');
  const two = (value: number) => String(value).padStart(2, '0');
  return `${year}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
}

function readEntry(cursor: HeadCursor, header: ArchiveHeader): TocEntry {
  const minor = Number(header.formatVersion.slice(2));
  const dumpId = cursor.intBetween(1, 0x7fffffff, 'dump id');
  const hasData = cursor.intBetween(0, 1, 'data flag') === 1;
  const tableOid = cursor.number('table oid');
  const oid = cursor.number('oid');
  const tag = cursor.text() ?? '';
  const desc = cursor.text() ?? '';
  const section = sections[cursor.intBetween(1, 4, 'section')] as Section;
  const definition = cursor.textRange();
  const dropStatement = cursor.textRange();
  const copyStatement = cursor.text();
  const schema = cursor.text();
  const tablespace = cursor.text();
  const accessMethod = minor >= 14 ? cursor.text() : undefined;
  const kind = minor >= 16 ? cursor.intBetween(0, 127, 'relation kind') : 0;
  const owner = cursor.text();
  const withOids = cursor.text();
  if (withOids !== 'true' && withOids !== 'false') throw cursor.corrupt('a malformed entry');
  const dependencies: number[] = [];
  for (let id = cursor.text(); id !== undefined; id = cursor.text()) {
    dependencies.push(cursor.toNumber(id, 'dependency'));
  }
  const dataOffsetAt = cursor.position;
  const state = cursor.byte();
  const dataOffset = cursor.magnitude(header.offsetSizeBytes);
  const isSet = state === offsetState.set;
  // The writer derives the state from the same thing as the data flag, and leaves zeros where no
  // offset is set: anything else is damage.
  if (
    hasData !== (isSet || state === offsetState.notSet) ||
    (!hasData && state !== offsetState.noData) ||
    isSet !== dataOffset > 0
  ) {
    throw cursor.corrupt(`data state ${state} with offset ${dataOffset} in entry ${dumpId}`);
  }
  return {
    dumpId,
    hasData,
    tableOid,
    oid,
    tag,
    desc,
    section,
    definition,
    dropStatement,
    copyStatement,
    schema,
    tablespace,
    accessMethod,
    relationKind: kind === 0 ? undefined : String.fromCharCode(kind),
    owner,
    dependencies,
    dataOffset: isSet ? dataOffset : undefined,
    dataOffsetAt,
  };
}

/** Ends a parse for now: the field at the cursor is complete once `untilByte` bytes are there. */
class MoreBytesNeeded extends Error {
  readonly untilByte: number;
  constructor(untilByte: number) {
    super(`needs ${untilByte} bytes`);
    this.untilByte = untilByte;
  }
}

class HeadCursor {
  readonly #bytes: Buffer;
  readonly #maxHeadBytes: number;
  readonly #decode: DecodeText;
  position: number;
  intSizeBytes = 4;

  constructor(bytes: Buffer, position: number, maxHeadBytes: number, decode = decodeText) {
    this.#bytes = bytes;
    this.position = position;
    this.#maxHeadBytes = maxHeadBytes;
    this.#decode = decode;
  }

  corrupt(what: string): Error {
    return new ArchiveCorrupt(`the table of contents has ${what} before byte ${this.position}`);
  }

  /** Moves past the next bytes, once they are there, and answers where they start. */
  #advance(lengthBytes: number): number {
    const start = this.position;
    const end = start + lengthBytes;
    if (end > this.#maxHeadBytes) {
      throw new ArchiveCorrupt(
        `the table of contents wants ${lengthBytes} bytes at byte ${start}, ` +
          `but may not go beyond byte ${this.#maxHeadBytes}`,
      );
    }
    if (end > this.#bytes.length) throw new MoreBytesNeeded(end);
    this.position = end;
    return start;
  }

  /** A view of the next bytes, not a copy. */
  take(lengthBytes: number): Buffer {
    const start = this.#advance(lengthBytes);
    return this.#bytes.subarray(start, start + lengthBytes);
  }

  byte(): number {
    return this.#bytes[this.#advance(1)] as number;
  }

  magnitude(sizeBytes: number): number {
    const value = littleEndian(this.#bytes, this.#advance(sizeBytes), sizeBytes);
    if (value > Number.MAX_SAFE_INTEGER) throw this.corrupt('a number that is too large');
    return value;
  }

  int(): number {
    const sign = this.byte();
    if (sign > 1) throw this.corrupt(`sign byte ${sign}`);
    const value = this.magnitude(this.intSizeBytes);
    return sign === 1 ? -value : value;
  }

  intBetween(min: number, max: number, what: string): number {
    const value = this.int();
    if (value < min || value > max) throw this.corrupt(`${what} ${value}`);
    return value;
  }

  /** Strings are a length and that many bytes; a null pointer was written as length -1. */
  textRange(): TextRange | undefined {
    const lengthBytes = this.int();
    if (lengthBytes === -1) return undefined;
    if (lengthBytes < 0) throw this.corrupt(`a text of ${lengthBytes} bytes`);
    const offset = this.position;
    // C strings hold no zero byte, while a misread length soon covers one.
    if (this.take(lengthBytes).includes(0)) throw this.corrupt('a text with a zero byte');
    return { offset, lengthBytes };
  }

  text(): string | undefined {
    const range = this.textRange();
    if (range === undefined) return undefined;
    return this.#decode(this.#bytes.subarray(range.offset, range.offset + range.lengthBytes));
  }

  /** Oids and dependencies are written as decimal text. */
  number(what: string): number {
    return this.toNumber(this.text(), what);
  }

  toNumber(text: string | undefined, what: string): number {
    if (text === undefined || !/^\d{1,10}$/.test(text)) throw this.corrupt(`a malformed ${what}`);
    return Number(text);
  }
}

/** The unsigned number in `sizeBytes` bytes at `at`, least significant first. */
export function littleEndian(bytes: Buffer, at: number, sizeBytes: number): number {
  let value = 0;
  for (let i = sizeBytes - 1; i >= 0; i -= 1) value = value * 256 + (bytes[at + i] as number);
  return value;
}
