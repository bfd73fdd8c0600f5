import { describe, expect, it } from 'vitest';
import { appendedTocLimit, readAppendedToc } from '#domain/archive/appended-toc.ts';
import { parseToc } from '#domain/archive/toc.ts';
import {
  type ArchiveSpec,
  appendToc,
  makeArchiveSpec,
  makeEntry,
  writeArchive,
} from '#test/archive-writer.ts';

/** What pg_dump leaves in a file that only grows: the archive without offsets, then the same with them. */
function prepare(overrides: Partial<ArchiveSpec> = {}) {
  const spec = makeArchiveSpec(overrides);
  const archive = writeArchive(spec);
  const bytes = appendToc(spec);
  const head = bytes.subarray(0, archive.headLengthBytes);
  const toc = parseToc(head);
  const limit = appendedTocLimit(head, toc);
  const endOf = (file: Buffer) => file.subarray(Math.max(head.length, file.length - limit));
  return {
    archive,
    head,
    toc,
    bytes,
    limit,
    read: (file = bytes) => readAppendedToc(head, toc, endOf(file)),
  };
}

const statistics = makeEntry({
  dumpId: 31,
  desc: 'STATISTICS DATA',
  tag: 'orders',
  section: 'data',
  definition: 'SELECT * FROM pg_catalog.pg_restore_relation_stats();\n',
});

describe('the second table of contents at the end of an archive', () => {
  it.each([
    ['of today', {}],
    ['of pg_dump 9.0, with short offsets', { minor: 12, offsetSizeBytes: 4 }],
    ['with integers of 8 bytes', { intSizeBytes: 8 }],
  ])('%s says where the data are', (_, overrides) => {
    const { archive, bytes, limit, read } = prepare(overrides);
    const found = read();
    expect(found?.lengthBytes).toBe(limit);
    expect(bytes.length - limit).toBe(archive.bytes.length);
    const offsets = new Map(
      found?.toc.entries.map(({ dumpId, dataOffset }) => [dumpId, dataOffset]),
    );
    for (const { dumpId, offset } of archive.blocks) expect(offsets.get(dumpId)).toBe(offset);
  });

  it('lacks the definitions that pg_dump writes once', () => {
    const { archive, bytes, limit, read } = prepare({
      entries: [...makeArchiveSpec().entries, statistics],
    });
    const left = 5 + Buffer.byteLength(statistics.definition ?? '');
    expect(read()?.lengthBytes).toBe(limit - left);
    expect(bytes.length - archive.bytes.length).toBe(limit - left);
  });

  it('is known where there are no data, too', () => {
    const entries = [makeEntry({ dumpId: 7 })];
    const { limit, read } = prepare({ entries });
    expect(read()?.lengthBytes).toBe(limit);
  });

  it('is not there in what was written to a pipe', () => {
    const { archive, read } = prepare();
    expect(read(archive.bytes)).toBeUndefined();
  });

  it('is none when a single byte of it is missing, within or at its end', () => {
    const { archive, bytes, read } = prepare();
    const start = archive.bytes.length;
    expect(read(bytes.subarray(0, -1))).toBeUndefined();
    const within = start + 100;
    const without = Buffer.concat([bytes.subarray(0, within), bytes.subarray(within + 1)]);
    expect(read(without)).toBeUndefined();
  });

  it('is that of this archive or none: any other byte but of an offset makes it another', () => {
    const { archive, bytes, head, limit, toc, read } = prepare();
    const start = archive.bytes.length;
    const skipped = head.length - limit;
    const mayDiffer = new Set(
      toc.entries.flatMap(({ dataOffsetAt }) =>
        Array.from({ length: 9 }, (_, at) => start + dataOffsetAt - skipped + at),
      ),
    );
    const taken: number[] = [];
    for (let at = start; at < bytes.length; at += 1) {
      if (mayDiffer.has(at)) continue;
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ 1;
      if (read(damaged) !== undefined) taken.push(at);
    }
    expect(mayDiffer.size).toBe(9 * toc.entries.length);
    expect(taken).toEqual([]);
  });

  it('is refused when it says that a table without data has some', () => {
    const { archive, bytes, head, limit, toc, read } = prepare();
    const without = toc.entries.find(({ hasData }) => !hasData);
    const damaged = Buffer.from(bytes);
    damaged[archive.bytes.length + (without?.dataOffsetAt ?? 0) - (head.length - limit)] = 2;
    expect(() => read(damaged)).toThrow(expect.objectContaining({ name: 'ArchiveCorrupt' }));
  });
});
