import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutHead } from '#domain/archive/cut-head.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { parseToc } from '#domain/archive/toc.ts';
import { makeArchiveSpec, writeArchive } from '#test/archive-writer.ts';

const formats = fc.record({
  minor: fc.integer({ min: 12, max: 16 }),
  intSizeBytes: fc.integer({ min: 4, max: 8 }),
  offsetSizeBytes: fc.integer({ min: 4, max: 8 }),
  withOffsets: fc.boolean(),
});

describe('a cut head', () => {
  it('has the wanted entries, in their order, and those that say how to read them', () => {
    fc.assert(
      fc.property(formats, fc.subarray([7, 9, 4, 12, 5]), (format, ids) => {
        const { bytes, headLengthBytes } = writeArchive(makeArchiveSpec(format));
        const head = bytes.subarray(0, headLengthBytes);
        const toc = parseToc(head);

        const cut = parseToc(cutHead(head, toc, new Set(ids)));

        const wanted = toc.entries.filter(({ dumpId }) => dumpId === 3 || ids.includes(dumpId));
        expect(cut.header).toEqual(toc.header);
        expect(cut.entries.map(({ dumpId, tag, desc }) => [dumpId, tag, desc])).toEqual(
          wanted.map(({ dumpId, tag, desc }) => [dumpId, tag, desc]),
        );
      }),
    );
  });

  it('is an archive with the blocks of its entries behind it', () => {
    const spec = makeArchiveSpec({ withOffsets: true });
    const { bytes, headLengthBytes, blocks } = writeArchive(spec);
    const head = bytes.subarray(0, headLengthBytes);
    const [, block] = blocks;
    const { dumpId = 0, offset = 0, lengthBytes = 0 } = block ?? {};
    const reader = new ArchiveReader();

    reader.push(cutHead(head, parseToc(head), new Set([dumpId])));
    reader.push(bytes.subarray(offset, offset + lengthBytes));

    expect(reader.end().blocks).toMatchObject([{ dumpId, lengthBytes }]);
  });
});
