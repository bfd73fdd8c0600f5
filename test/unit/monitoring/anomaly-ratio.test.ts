import { describe, expect, it } from 'vitest';
import { durationRatio, sizeRatio } from '#domain/monitoring/anomaly-ratio.ts';
import { judgeSize } from '#domain/size-anomaly.ts';

const MiB = 1_048_576;
const sizeRules = { window: 7, warmUp: 3, minimumBytes: MiB };
const durationRules = { window: 7, warmUp: 3, minimumSeconds: 300 };
const before = [100 * MiB, 90 * MiB, 110 * MiB];

describe('the ratio of sizes', () => {
  it('is the same for half and for double the median', () => {
    expect(sizeRatio(50 * MiB, before, sizeRules)).toBe(2);
    expect(sizeRatio(200 * MiB, before, sizeRules)).toBe(2);
  });

  it('is 1 while there are too few to compare with', () => {
    expect(sizeRatio(1, before.slice(1), sizeRules)).toBe(1);
    expect(sizeRatio(1, [], { ...sizeRules, warmUp: 0 })).toBe(1);
  });

  it('is 1 for a difference below the minimum, however large in itself', () => {
    expect(sizeRatio(9000, [3000, 3000, 3000], sizeRules)).toBe(1);
    expect(sizeRatio(3000 + MiB, [3000, 3000, 3000], sizeRules)).toBeGreaterThan(300);
  });

  it('compares with no more than the window', () => {
    const long = [
      ...Array.from({ length: 7 }, () => 10 * MiB),
      ...Array.from({ length: 20 }, () => MiB),
    ];
    expect(sizeRatio(10 * MiB, long, sizeRules)).toBe(1);
  });

  it('is a number where there was nothing, or is nothing', () => {
    expect(sizeRatio(0, before, sizeRules)).toBe(100 * MiB);
    expect(sizeRatio(2 * MiB, [0, 0, 0], sizeRules)).toBe(2 * MiB);
  });

  it('is above the plan’s ratio exactly when the verification finds the size odd', () => {
    const rules = { ...sizeRules, action: 'warn', ratio: 2 } as const;
    const sizes = [0, 1, 49, 50, 51, 99, 199, 200, 201, 1000].map((size) => size * MiB);
    const odd = sizes.filter((size) => sizeRatio(size, before, rules) > rules.ratio);
    expect(odd).toEqual(sizes.filter((size) => judgeSize(size, before, rules) !== undefined));
    expect(odd).toHaveLength(5);
  });
});

describe('the ratio of durations', () => {
  it('is above 1 for what took longer, and below for what was quicker', () => {
    expect(durationRatio(1800, [600, 500, 700], durationRules)).toBe(3);
    expect(durationRatio(300, [600, 500, 700], durationRules)).toBe(0.5);
  });

  it('is 1 for a short dump, and while there are too few to compare with', () => {
    expect(durationRatio(299, [1, 1, 1], durationRules)).toBe(1);
    expect(durationRatio(9000, [600, 500], durationRules)).toBe(1);
  });
});
