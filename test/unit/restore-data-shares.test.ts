import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DataBlock } from '#domain/archive/block-index.ts';
import { coverWhole, planShares, rangesOf } from '#domain/restore/data-shares.ts';

const MIB = 1024 * 1024;

/** Blocks of these sizes, one after the other. */
function blocksOf(sizes: readonly number[], start = 1000): DataBlock[] {
  let offset = start;
  return sizes.map((lengthBytes, i) => {
    const block = { dumpId: i + 1, kind: 'table' as const, offset, lengthBytes };
    offset += lengthBytes;
    return block;
  });
}

const sizes = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: MIB, max: 500 * MIB })),
  { maxLength: 300 },
);
const jobs = fc.integer({ min: 1, max: 32 });

describe('shares of the data', () => {
  it('have every block once, and those of a share in the order of the archive', () => {
    fc.assert(
      fc.property(sizes, jobs, (list, count) => {
        const shares = planShares(blocksOf(list), count);
        const ids = shares.flatMap(({ blocks }) => blocks.map(({ dumpId }) => dumpId));
        expect(ids.toSorted((a, b) => a - b)).toEqual(list.map((_, i) => i + 1));
        for (const { blocks, weightBytes } of shares) {
          const own = blocks.map(({ dumpId }) => dumpId);
          expect(own).toEqual(own.toSorted((a, b) => a - b));
          expect(weightBytes).toBeGreaterThan(blocks.reduce((sum, it) => sum + it.lengthBytes, 0));
        }
      }),
    );
  });

  it('are few, whatever the number of tables, and the largest comes first', () => {
    fc.assert(
      fc.property(sizes, jobs, (list, count) => {
        const bytes = planShares(blocksOf(list), count).map(({ weightBytes }) => weightBytes);
        expect(bytes.length).toBeLessThanOrEqual(8 * count + 1);
        expect(bytes).toEqual(bytes.toSorted((a, b) => b - a));
      }),
    );
  });

  it('end at about the same time: no worker waits for longer than the largest share takes', () => {
    fc.assert(
      fc.property(sizes, jobs, (list, count) => {
        const shares = planShares(blocksOf(list), count);
        const busy = Array.from({ length: count }, () => 0);
        for (const { weightBytes } of shares) {
          busy[busy.indexOf(Math.min(...busy))] = Math.min(...busy) + weightBytes;
        }
        const total = shares.reduce((sum, it) => sum + it.weightBytes, 0);
        const enough = Math.max(4 * MIB, total / (4 * count));
        const largest = Math.max(2 * enough, ...list.map((size) => 2 * size));
        expect(Math.max(...busy)).toBeLessThanOrEqual(total / count + largest);
      }),
    );
  });

  it('of very many small tables are few, and there is one for every worker', () => {
    const many = (count: number) => blocksOf(Array.from({ length: count }, () => 800));
    expect(planShares(many(100), 4)).toHaveLength(1);
    expect(planShares(many(5000), 4)).toHaveLength(16);
  });

  it('of large objects are for all workers, as each of them takes its time', () => {
    const blocks = blocksOf(Array.from({ length: 100 }, () => 40_000));
    const groups = blocks.map((block) => ({ ...block, kind: 'blobs' as const }));
    expect(planShares(groups, 4).length).toBeGreaterThanOrEqual(8);
  });

  it('leave a huge table alone, and keep the small ones around it together', () => {
    const shares = planShares(blocksOf([10, 900 * MIB, 10, 10]), 4);
    expect(shares.map(({ blocks }) => blocks.map(({ dumpId }) => dumpId))).toEqual([
      [2],
      [1, 3, 4],
    ]);
  });
});

describe('ranges', () => {
  it('join blocks that touch and no others', () => {
    const [a, b, c, d] = blocksOf([10, 20, 30, 40]) as [DataBlock, DataBlock, DataBlock, DataBlock];
    expect(rangesOf([a, b, d])).toEqual([
      { start: 1000, end: 1030 },
      { start: 1060, end: 1100 },
    ]);
    expect(rangesOf([c, a])).toEqual([
      { start: 1030, end: 1060 },
      { start: 1000, end: 1010 },
    ]);
  });

  it('cover a whole when nothing is missing, doubled or over', () => {
    const [a, b] = [
      { start: 5, end: 7 },
      { start: 7, end: 9 },
    ];
    expect(coverWhole([b, a], 5, 9)).toBe(true);
    expect(coverWhole([], 5, 5)).toBe(true);
    expect(coverWhole([a], 5, 9)).toBe(false);
    expect(coverWhole([b], 5, 9)).toBe(false);
    expect(coverWhole([a, a, b], 5, 9)).toBe(false);
    expect(coverWhole([a, b], 5, 10)).toBe(false);
  });
});
