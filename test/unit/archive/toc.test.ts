import { describe, expect, it } from 'vitest';
import { parseToc, textAt } from '#domain/archive/toc.ts';
import { makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';

function headOf(spec: Parameters<typeof makeArchiveSpec>[0] = {}): Buffer {
  const { bytes, headLengthBytes } = writeArchive(makeArchiveSpec(spec));
  return bytes.subarray(0, headLengthBytes);
}

describe('the header', () => {
  it.each([12, 13, 14])('of version 1.%i has gzip where the level is not 0', (minor) => {
    expect(parseToc(headOf({ minor, compression: 0 })).header.compression).toBe('none');
    expect(parseToc(headOf({ minor, compression: -1 })).header.compression).toBe('gzip');
  });

  it.each([15, 16])('of version 1.%i names its compression', (minor) => {
    const compressions = [0, 1, 2, 3].map(
      (compression) => parseToc(headOf({ minor, compression })).header.compression,
    );
    expect(compressions).toEqual(['none', 'gzip', 'lz4', 'zstd']);
  });

  it('tells who dumped what and when', () => {
    expect(parseToc(headOf()).header).toEqual({
      formatVersion: '1.16',
      intSizeBytes: 4,
      offsetSizeBytes: 8,
      compression: 'none',
      createdLocal: '2026-12-31T23:59:58',
      database: 'shop',
      serverVersion: '18.4',
      dumpVersion: '18.6 (Debian 18.6-3)',
    });
  });

  it.each([
    ['an older version', 6, 11],
    ['a newer version', 6, 17],
    ['another major version', 5, 2],
    ['the tar format', 10, 3],
  ])('of %s is refused as unsupported', (_, at, value) => {
    const head = headOf();
    head[at] = value;
    expect(() => parseToc(head)).toThrow(expect.objectContaining({ name: 'ArchiveUnsupported' }));
  });

  it.each([
    ['another magic word', 0, 0x71],
    ['integers of 3 bytes', 8, 3],
    ['offsets of 9 bytes', 9, 9],
    ['an unknown compression', 11, 4],
    ['a sign byte of 2', 12, 2],
    ['second 61', 13, 61],
  ])('with %s is corrupt', (_, at, value) => {
    const head = headOf();
    head[at] = value;
    expect(() => parseToc(head)).toThrow(expect.objectContaining({ name: 'ArchiveCorrupt' }));
  });
});

describe('the table of contents', () => {
  it.each([12, 13, 14, 15, 16])('of version 1.%i has what that version records', (minor) => {
    const { entries } = parseToc(headOf({ minor }));
    expect(entries.map(({ dumpId, desc, tag }) => [dumpId, desc, tag])).toEqual([
      [3, 'ENCODING', 'ENCODING'],
      [7, 'TABLE', 'orders'],
      [9, 'TABLE DATA', 'orders'],
      [4, 'TABLE DATA', 'empty'],
      [12, 'BLOBS', 'BLOBS'],
      [5, 'INDEX', 'orders_pkey'],
    ]);
    expect(entries[2]).toMatchObject({
      hasData: true,
      section: 'data',
      schema: 'public',
      owner: 'postgres',
      tableOid: 1259,
      oid: 16385,
      copyStatement: 'COPY public.orders (id) FROM stdin;\n',
      accessMethod: minor >= 14 ? 'heap' : undefined,
      relationKind: minor >= 16 ? 'r' : undefined,
      dataOffset: undefined,
    });
    expect(entries[5]?.dependencies).toEqual([7]);
  });

  it('keeps definitions in the head until they are asked for', () => {
    const head = headOf();
    const definition = parseToc(head).entries[1]?.definition;
    expect(definition && textAt(head, definition)).toBe('CREATE TABLE …;\n');
  });

  it('keeps names apart that are not UTF-8', () => {
    const head = headOf({ entries: [makeEntry({ tag: 'ab' })] });
    head[head.indexOf('ab')] = 0xe9;
    expect(parseToc(head).entries[0]?.tag).toBe('éb');
  });

  it('may have wider integers and shorter offsets', () => {
    const { entries } = parseToc(headOf({ intSizeBytes: 8, offsetSizeBytes: 4 }));
    expect(entries).toHaveLength(6);
  });

  it('with the same dump id twice is corrupt', () => {
    const head = headOf({ entries: [makeEntry({ dumpId: 5 }), makeEntry({ dumpId: 5 })] });
    expect(() => parseToc(head)).toThrow('a second entry 5');
  });

  it('with a zero byte in a text is corrupt', () => {
    const head = headOf();
    head[head.indexOf('orders')] = 0;
    expect(() => parseToc(head)).toThrow('a text with a zero byte');
  });

  it.each([
    ['no data, but a flag for data', 0, 3],
    ['an unknown state', 0, 4],
    ['a set offset of 0', 0, 2],
    ['an offset that is not set, yet there', 1, 1],
  ])('is corrupt where an entry has %s', (_, byte, value) => {
    const head = headOf();
    head[(parseToc(head).entries[2]?.dataOffsetAt ?? 0) + byte] = value;
    expect(() => parseToc(head)).toThrow(/data state \d with offset \d+ in entry 9/);
  });

  it('is corrupt where an entry without data claims some', () => {
    const head = headOf();
    head[parseToc(head).entries[1]?.dataOffsetAt ?? 0] = 1;
    expect(() => parseToc(head)).toThrow(/data state 1 with offset 0 in entry 7/);
  });

  it('with bytes after it is corrupt where a head alone is expected', () => {
    expect(() => parseToc(writeArchive(makeArchiveSpec()).bytes)).toThrow(
      /table of contents ends at byte \d+, not at byte \d+/,
    );
  });

  it('is corrupt when it is cut anywhere', () => {
    const head = headOf();
    for (let length = 0; length < head.length; length += 1) {
      expect(() => parseToc(head.subarray(0, length))).toThrow(
        expect.objectContaining({ name: 'ArchiveCorrupt' }),
      );
    }
  });
});
