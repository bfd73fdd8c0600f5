import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { maxPartBytes, maxParts, minPartBytes, partSizeBytes } from '#domain/part-size.ts';

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;
const TiB = 1024 ** 4;

function sumOfParts(count: number, estimatedBytes: number): number {
  let sum = 0;
  for (let part = 1; part <= count; part += 1) sum += partSizeBytes(part, estimatedBytes);
  return sum;
}

describe('the size of a part', () => {
  it.each([
    [1, 0, 8 * MiB],
    [9_000, 1 * GiB, 8 * MiB],
    [1, 100 * GiB, 12 * MiB],
    [9_001, 100 * GiB, 24 * MiB],
    [9_050, 100 * GiB, 24 * MiB],
    [9_051, 100 * GiB, 48 * MiB],
    [10_000, 100 * GiB, 5 * GiB],
    [1, 1_000 * TiB, 5 * GiB],
  ])('for part %i of an estimate of %i bytes is %i', (part, estimate, size) => {
    expect(partSizeBytes(part, estimate)).toBe(size);
  });

  it('never leaves what S3 takes', () => {
    const anyPart = fc.integer({ min: 1, max: maxParts });
    const anyEstimate = fc.integer({ min: -1, max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(anyPart, anyEstimate, (part, estimate) => {
        const size = partSizeBytes(part, estimate);
        expect(size).toBeGreaterThanOrEqual(minPartBytes);
        expect(size).toBeLessThanOrEqual(maxPartBytes);
        expect(Number.isInteger(size / MiB)).toBe(true);
      }),
    );
  });

  it('takes an archive of the estimated size in 9,000 parts', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 * TiB }), (estimate) => {
        expect(sumOfParts(9_000, estimate)).toBeGreaterThanOrEqual(estimate);
      }),
      { numRuns: 50 },
    );
  });

  it('takes 20 times an estimate up to 128 GiB', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 128 * GiB }), (estimate) => {
        expect(sumOfParts(maxParts, estimate)).toBeGreaterThanOrEqual(20 * estimate);
      }),
      { numRuns: 100 },
    );
  });

  it('takes 3 times an estimate up to 2 TiB', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 * TiB }), (estimate) => {
        expect(sumOfParts(maxParts, estimate)).toBeGreaterThanOrEqual(3 * estimate);
      }),
      { numRuns: 100 },
    );
  });

  it('of part 10,001 is an error that says what to do', () => {
    expect(() => partSizeBytes(10_001, GiB)).toThrow(
      expect.objectContaining({ name: 'DumpFailed', remedy: expect.stringContaining('split') }),
    );
  });
});
