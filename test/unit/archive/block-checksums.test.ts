import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BlockChecksums } from '#domain/archive/block-checksums.ts';
import type { DataBlock } from '#domain/archive/block-index.ts';
import { crc64Nvme } from '#domain/crc64-nvme.ts';

const HEAD_BYTES = 40;

/** Blocks of these lengths behind a head. */
function blocksOf(lengths: readonly number[]): DataBlock[] {
  let offset = HEAD_BYTES;
  return lengths.map((lengthBytes, i) => {
    const block: DataBlock = { dumpId: i + 1, kind: 'table', offset, lengthBytes };
    offset += lengthBytes;
    return block;
  });
}

/** Bytes that never repeat for long, so that no two pieces are alike. */
function someBytes(lengthBytes: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let i = 0; i < lengthBytes; i += 1) bytes[i] = (i * 31 + (i >> 8) * 17 + (i >> 3)) & 255;
  return bytes;
}

/** `bytes` in pieces of these lengths, over and over until it is used up. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + (lengths[pieces.length % lengths.length] as number));
    pieces.push(piece);
    at += piece.length;
  }
  return pieces;
}

const lengthsOfBlocks = fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 12 });
const lengthsOfChunks = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 });

it('gives each block the checksum of its bytes, and each chunk its own, wherever the chunks are cut', () => {
  fc.assert(
    fc.property(lengthsOfBlocks, lengthsOfChunks, (blockLengths, chunkLengths) => {
      const blocks = blocksOf(blockLengths);
      const bytes = someBytes(blockLengths.reduce((sum, it) => sum + it, 0));
      const seen: [number, bigint][] = [];
      const checksums = new BlockChecksums(blocks, (block, crc) => seen.push([block.dumpId, crc]));

      const chunks = cut(bytes, chunkLengths);
      const crcs = chunks.map((chunk) => checksums.add(chunk));

      expect(crcs).toEqual(chunks.map((chunk) => crc64Nvme(chunk)));
      expect(seen).toEqual(
        blocks.map(({ dumpId, offset, lengthBytes }) => {
          const start = offset - HEAD_BYTES;
          return [dumpId, crc64Nvme(bytes.subarray(start, start + lengthBytes))];
        }),
      );
      expect(checksums.open).toBeUndefined();
    }),
  );
});

it('goes on where the block of its bytes is not known yet', () => {
  const [first, second] = blocksOf([10, 20]) as [DataBlock, DataBlock];
  const bytes = someBytes(30);
  const known: DataBlock[] = [first];
  const seen: bigint[] = [];
  const checksums = new BlockChecksums(known, (_block, crc) => seen.push(crc));

  checksums.add(bytes.subarray(0, 15));
  known.push(second);
  checksums.add(bytes.subarray(15));

  expect(seen).toEqual([crc64Nvme(bytes.subarray(0, 10)), crc64Nvme(bytes.subarray(10))]);
});

it('knows which block has begun and not ended, and how far it is', () => {
  const blocks = blocksOf([10, 20]);
  const bytes = someBytes(30);
  const checksums = new BlockChecksums(blocks, () => {});

  expect(checksums.open).toBeUndefined();
  checksums.add(bytes.subarray(0, 10));
  expect(checksums.open).toBeUndefined();
  checksums.add(bytes.subarray(10, 17));
  expect(checksums.open).toEqual({ block: blocks[1], position: HEAD_BYTES + 17 });
});
