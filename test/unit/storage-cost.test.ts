import { describe, expect, it } from 'vitest';
import { monthlyStorageCostUsd, pricedAs } from '#domain/storage-cost.ts';

const GB = 2 ** 30;

describe('the estimate of what storage costs', () => {
  it('is the list price of each class', () => {
    expect(monthlyStorageCostUsd([{ sizeBytes: 100 * GB }], 'eu-west-1')).toBeCloseTo(2.3, 6);
    const ia = [{ sizeBytes: 100 * GB, storageClass: 'STANDARD_IA' }];
    expect(monthlyStorageCostUsd(ia, 'us-east-1')).toBeCloseTo(1.25, 6);
    const both = [{ sizeBytes: 100 * GB }, ...ia];
    expect(monthlyStorageCostUsd(both, 'us-east-1')).toBeCloseTo(3.55, 6);
  });

  it('has the index of what is archived in it', () => {
    const one = (sizeBytes: number) =>
      monthlyStorageCostUsd([{ sizeBytes, storageClass: 'GLACIER' }], 'us-east-1');
    expect(one(1000 * GB)).toBeCloseTo(3.6, 5);
    expect(one(0) * 2 ** 20).toBeCloseTo(32 * 0.0036 + 8 * 0.023, 6);
  });

  it('bills small objects as AWS does where it does', () => {
    const small = (storageClass: string) =>
      monthlyStorageCostUsd([{ sizeBytes: 1, storageClass }], 'eu-west-1');
    expect(small('STANDARD_IA') / small('STANDARD')).toBeGreaterThan(50_000);
  });

  it('takes the dearest price for a class or a region that it does not know', () => {
    const bytes = 10 * GB;
    expect(
      monthlyStorageCostUsd([{ sizeBytes: bytes, storageClass: 'NEW' }], 'mars-1'),
    ).toBeCloseTo(0.23, 6);
  });

  it('says whose prices it counts with', () => {
    expect([pricedAs('eu-west-1'), pricedAs('mars-1'), pricedAs('toString')]).toEqual([
      'eu-west-1',
      'us-east-1',
      'us-east-1',
    ]);
  });

  it('is nothing for nothing', () => {
    expect(monthlyStorageCostUsd([], 'eu-west-1')).toBe(0);
  });
});
