import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ArchiveIndex, tableCopies, tableRanges } from '#domain/archive/block-index.ts';
import { patchHead } from '#domain/archive/patch.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { errorName } from '#errors';
import {
  type ArchiveSpec,
  type EntrySpec,
  makeArchiveSpec,
  makeEntry,
  makeTableData,
  writeArchive,
} from '#test/archive-writer.ts';

/** Reads `bytes` in pieces whose lengths `cuts` gives, over and over. */
function read(bytes: Buffer, cuts: readonly number[] = [bytes.length], maxHeadBytes = 1 << 20) {
  const reader = new ArchiveReader({ maxHeadBytes });
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const end = at + Math.max(cuts[i % cuts.length] ?? 1, 1);
    reader.push(bytes.subarray(at, end));
    at = end;
  }
  return { index: reader.end(), head: reader.head as Buffer };
}

const chunks = fc.array(
  fc.uint8Array({ minLength: 1, maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  { maxLength: 5 },
);
const text = fc.string({ unit: 'grapheme', maxLength: 12 }).map((s) => s.replaceAll('\0', ''));
const optionalText = fc.option(text, { nil: undefined });
const anyEntry: fc.Arbitrary<Omit<EntrySpec, 'dumpId'>> = fc
  .record({
    tag: text,
    schema: optionalText,
    definition: optionalText,
    copyStatement: optionalText,
    dependencies: fc.array(fc.nat({ max: 2 ** 31 - 1 }), { maxLength: 4 }),
    data: fc.oneof(
      fc.constant({ desc: 'INDEX' }),
      fc.record({ desc: fc.constant('TABLE DATA'), table: chunks }),
      fc.record({
        desc: fc.constant('BLOBS'),
        blobs: fc.array(fc.record({ oid: fc.integer({ min: 1, max: 2 ** 32 - 1 }), chunks }), {
          maxLength: 3,
        }),
      }),
    ),
  })
  .map(({ data, ...entry }) => ({ ...entry, ...data }));
const anySpec: fc.Arbitrary<ArchiveSpec> = fc.record({
  minor: fc.integer({ min: 12, max: 16 }),
  intSizeBytes: fc.constantFrom(4, 8),
  offsetSizeBytes: fc.constantFrom(4, 8),
  compression: fc.constantFrom(0, 1, 2, 3),
  withOffsets: fc.boolean(),
  entries: fc
    .tuple(fc.array(anyEntry, { maxLength: 6 }), fc.nat({ max: 1000 }))
    .map(([entries, base]) => entries.map((entry, i) => ({ ...entry, dumpId: base + i * 7 + 1 }))),
});
const anyCuts = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 20 });

describe('reading an archive', () => {
  it('finds every data block and its length', () => {
    const { bytes, blocks, headLengthBytes } = writeArchive(makeArchiveSpec());
    const { index, head } = read(bytes);
    expect(index.blocks).toEqual(blocks);
    expect(index.blocks.map(({ kind }) => kind)).toEqual(['table', 'table', 'blobs']);
    expect(index.sizeBytes).toBe(bytes.length);
    expect(index.headLengthBytes).toBe(headLengthBytes);
    expect(head.equals(bytes.subarray(0, headLengthBytes))).toBe(true);
  });

  it('gives the same index wherever the stream is cut', () => {
    fc.assert(
      fc.property(anySpec, anyCuts, (spec, cuts) => {
        const written = writeArchive(spec);
        const whole = read(written.bytes);
        expect(whole.index.blocks).toEqual(written.blocks);
        expect(read(written.bytes, cuts)).toEqual(whole);
        expect(read(written.bytes, [1])).toEqual(whole);
      }),
      { numRuns: 150 },
    );
  });

  it('shows its progress while it streams', () => {
    const { bytes, headLengthBytes, blocks } = writeArchive(makeArchiveSpec());
    const seen: number[] = [];
    const reader = new ArchiveReader({ onBlock: (block) => seen.push(block.dumpId) });
    reader.push(bytes.subarray(0, headLengthBytes - 1));
    expect([reader.position, reader.head, reader.toc]).toEqual([
      headLengthBytes - 1,
      undefined,
      undefined,
    ]);
    reader.push(bytes.subarray(headLengthBytes - 1, (blocks[1]?.offset ?? 0) + 1));
    expect(reader.head).toHaveLength(headLengthBytes);
    expect(reader.toc?.entries).toHaveLength(6);
    expect(seen).toEqual([9]);
    reader.push(bytes.subarray((blocks[1]?.offset ?? 0) + 1));
    expect(seen).toEqual([9, 4, 12]);
    expect(reader.blocks).toHaveLength(3);
  });

  it('reads more data than 32 bits count, without keeping it', () => {
    const chunkBytes = 2 ** 30;
    const { bytes, headLengthBytes } = writeArchive(
      makeArchiveSpec({
        entries: [makeTableData({ dumpId: 1, tag: 'a' }), makeTableData({ dumpId: 2, tag: 'b' })],
      }),
    );
    const length = Buffer.alloc(5);
    length.writeUInt32LE(chunkBytes, 1);
    const reader = new ArchiveReader();
    reader.push(bytes.subarray(0, headLengthBytes + 6));
    const data = Buffer.alloc(2 ** 26);
    for (let chunk = 0; chunk < 5; chunk += 1) {
      reader.push(length);
      for (let sent = 0; sent < chunkBytes; sent += data.length) reader.push(data);
    }
    reader.push(bytes.subarray(headLengthBytes + 6));
    const index = reader.end();
    expect(index.blocks[1]?.offset).toBe(headLengthBytes + 6 + 5 * (chunkBytes + 5) + 5);
    expect(patchHead(reader.head as Buffer, index)).toHaveLength(headLengthBytes);
  });

  it('gives each table its range and its COPY statement, in the order of the contents', () => {
    const { index } = read(writeArchive(makeArchiveSpec()).bytes);
    const [orders, empty] = index.blocks;
    expect(tableRanges(index)).toEqual([
      { schema: 'public', table: 'orders', ...at(orders) },
      { schema: 'public', table: 'empty', ...at(empty) },
    ]);
    expect(tableCopies(index).map(({ copyStatement }) => copyStatement)).toEqual([
      'COPY public.orders (id) FROM stdin;\n',
      'COPY public.empty (id) FROM stdin;\n',
    ]);
  });
});

function at(block: ArchiveIndex['blocks'][number] | undefined) {
  return { dumpId: block?.dumpId, offset: block?.offset, lengthBytes: block?.lengthBytes };
}

describe('patching the head', () => {
  it('makes of a piped archive the one that a file would have', () => {
    fc.assert(
      fc.property(anySpec, (spec) => {
        const piped = writeArchive({ ...spec, withOffsets: false });
        const filed = writeArchive({ ...spec, withOffsets: true });
        const { index, head } = read(piped.bytes);
        const patched = patchHead(head, index);
        expect(patched.equals(filed.bytes.subarray(0, filed.headLengthBytes))).toBe(true);
        expect(patched).not.toBe(head);
        // What is patched already stays as it is.
        expect(patchHead(patched, read(filed.bytes).index).equals(patched)).toBe(true);
      }),
      { numRuns: 100 },
    );
  });

  it('refuses the head of another archive', () => {
    const { index, head } = read(writeArchive(makeArchiveSpec()).bytes);
    expect(() => patchHead(head.subarray(1), index)).toThrow(/is not the index's/);
  });

  it('refuses an offset that the field cannot hold', () => {
    const { index, head } = read(writeArchive(makeArchiveSpec({ offsetSizeBytes: 4 })).bytes);
    const blocks = index.blocks.map((block) => ({ ...block, offset: 2 ** 32 }));
    expect(() => patchHead(head, { ...index, blocks })).toThrow(/does not fit into 4 bytes/);
  });
});

describe('a damaged archive', () => {
  const corrupt = expect.objectContaining({ name: 'ArchiveCorrupt', retryable: false });
  const written = writeArchive(makeArchiveSpec());

  it('is corrupt when it is cut at any byte', () => {
    for (let length = 0; length < written.bytes.length; length += 1) {
      expect(() => read(written.bytes.subarray(0, length))).toThrow(corrupt);
    }
  });

  it('is corrupt when any bytes follow its end', () => {
    for (const tail of [[0], [1], [3], [1, 0, 9, 0, 0, 0]]) {
      expect(() => read(Buffer.concat([written.bytes, Buffer.from(tail)]))).toThrow(
        `the archive goes on at byte ${written.bytes.length}, after its last data block`,
      );
    }
  });

  it.each<[string, (bytes: Buffer) => unknown, RegExp]>([
    [
      'an unknown block type',
      (bytes) => bytes.writeUInt8(2, written.blocks[0]?.offset),
      /unknown data block type 2 at byte/,
    ],
    [
      'a block for an entry without data',
      (bytes) => bytes.writeUInt8(7, (written.blocks[0]?.offset ?? 0) + 2),
      /for entry 7, which awaits none/,
    ],
    [
      'a block for an entry that is not there',
      (bytes) => bytes.writeUInt8(200, (written.blocks[0]?.offset ?? 0) + 2),
      /for entry 200, which awaits none/,
    ],
    [
      'a second block for an entry',
      (bytes) => bytes.writeUInt8(9, (written.blocks[1]?.offset ?? 0) + 2),
      /for entry 9, which awaits none/,
    ],
    [
      'large objects where a table is due',
      (bytes) => bytes.writeUInt8(3, written.blocks[0]?.offset),
      /a blobs block at byte \d+ for entry 9 \(TABLE DATA\)/,
    ],
    [
      'a negative chunk length',
      (bytes) => bytes.writeUInt8(1, (written.blocks[0]?.offset ?? 0) + 6),
      /a chunk of -6 bytes/,
    ],
    [
      'a negative zero',
      (bytes) => bytes.writeUInt8(1, (written.blocks[1]?.offset ?? 0) + 6),
      /the data of entry 4 has a malformed integer/,
    ],
  ])('is corrupt with %s', (_, damage, message) => {
    const bytes = Buffer.from(written.bytes);
    damage(bytes);
    expect(() => read(bytes)).toThrow(message);
  });

  it('is corrupt when the data of an entry is missing, and says which', () => {
    const { blocks, bytes } = written;
    const without = Buffer.concat([
      bytes.subarray(0, blocks[1]?.offset),
      bytes.subarray(blocks[2]?.offset),
    ]);
    expect(() => read(without)).toThrow(/without the data of 1 entries.* 4 \(TABLE DATA empty\)/);
  });

  it('is corrupt when a recorded offset is not where the data is', () => {
    const { bytes, blocks, headLengthBytes } = writeArchive(makeArchiveSpec({ withOffsets: true }));
    const field = Buffer.alloc(9);
    field[0] = 2;
    field.writeUInt32LE(blocks[1]?.offset ?? 0, 1);
    const fieldAt = bytes.subarray(0, headLengthBytes).indexOf(field);
    bytes[fieldAt + 1] = (bytes[fieldAt + 1] ?? 0) ^ 1;
    expect(() => read(bytes)).toThrow(/the data of entry 4 is at byte \d+, but the table/);
  });

  it('keeps failing once it has failed', () => {
    const reader = new ArchiveReader();
    expect(() => reader.push(Buffer.from('PGCOPY'))).toThrow(corrupt);
    expect(() => reader.push(written.bytes)).toThrow('does not begin with PGDMP');
    expect(() => reader.end()).toThrow('does not begin with PGDMP');
  });

  it('is refused once its head is larger than allowed', () => {
    expect(() => read(written.bytes, [100], written.headLengthBytes - 1)).toThrow(
      /but may not go beyond byte/,
    );
    expect(read(written.bytes, [100], written.headLengthBytes).index.blocks).toHaveLength(3);
  });

  it('is refused for a text of 2 GB before memory is taken for it', () => {
    const { bytes, headLengthBytes } = writeArchive(makeArchiveSpec({ entries: [makeEntry()] }));
    const textAt = bytes.subarray(0, headLengthBytes).indexOf('orders') - 4;
    bytes.writeUInt32LE(0x7fffffff, textAt);
    const reader = new ArchiveReader();
    expect(() => reader.push(bytes)).toThrow(/wants 2147483647 bytes/);
  });

  it('is refused for two billion entries at once', () => {
    const { bytes, headLengthBytes } = writeArchive(makeArchiveSpec({ entries: [] }));
    bytes.writeUInt32LE(0x7fffffff, headLengthBytes - 4);
    expect(() => read(bytes)).toThrow(/2147483647 entries in the table of contents/);
  });

  it('with flipped bits either fails by name or has an index that holds', () => {
    const anyFlips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), {
      minLength: 1,
      maxLength: 3,
    });
    let accepted = 0;
    fc.assert(
      fc.property(anySpec, anyFlips, anyCuts, (spec, flips, cuts) => {
        const bytes = Buffer.from(writeArchive(spec).bytes);
        for (const [at, mask] of flips) {
          bytes[at % bytes.length] = (bytes[at % bytes.length] as number) ^ mask;
        }
        const outcome = readOrFail(bytes, cuts);
        if (outcome.index === undefined) return outcome.failedByName;
        accepted += 1;
        expectConsistent(bytes, outcome.index);
        return true;
      }),
      { numRuns: 1_000 },
    );
    // Data bytes may change without notice (checksums see that): the branch above must be reached.
    expect(accepted).toBeGreaterThan(0);
  });
});

function readOrFail(bytes: Buffer, cuts: readonly number[]) {
  try {
    return { index: read(bytes, cuts).index, failedByName: false };
  } catch (error) {
    const failedByName = /^Archive(Corrupt|Unsupported)$/.test(errorName(error));
    return { index: undefined, failedByName };
  }
}

/** Re-reads each block by itself: its type, its entry, and that its lengths lead to its end. */
function expectConsistent(bytes: Buffer, index: ArchiveIndex): void {
  const { intSizeBytes } = index.header;
  let position = index.headLengthBytes;
  for (const block of index.blocks) {
    expect(block.offset).toBe(position);
    let at = block.offset;
    const int = () => {
      const magnitude = bytes.readUIntLE(at + 1, Math.min(intSizeBytes, 6));
      const value = bytes[at] === 1 ? -magnitude : magnitude;
      at += 1 + intSizeBytes;
      return value;
    };
    const skipChunks = () => {
      for (let length = int(); length > 0; length = int()) at += length;
    };
    expect(bytes[at]).toBe(block.kind === 'table' ? 1 : 3);
    at += 1;
    expect(int()).toBe(block.dumpId);
    if (block.kind === 'table') skipChunks();
    else while (int() !== 0) skipChunks();
    position = at;
    expect(position - block.offset).toBe(block.lengthBytes);
  }
  expect(position).toBe(bytes.length);
  expect(position).toBe(index.sizeBytes);
  const withData = index.entries.filter((entry) => entry.hasData).map((entry) => entry.dumpId);
  expect(new Set(index.blocks.map((block) => block.dumpId))).toEqual(new Set(withData));
  expect(index.blocks).toHaveLength(withData.length);
}
