import { describe, expect, it } from 'vitest';
import { judgeSize, type SizeAnomalyRules } from '#domain/size-anomaly.ts';

const MIB = 1024 * 1024;
const rules: SizeAnomalyRules = {
  action: 'warn',
  ratio: 2,
  minimumBytes: MIB,
  window: 5,
  warmUp: 3,
};

describe('the size of an archive beside the last verified ones', () => {
  it('is odd when it shrank to less than half', () => {
    expect(judgeSize(49 * MIB, [100 * MIB, 102 * MIB, 98 * MIB], rules)).toContain('0.49 times');
  });

  it('is odd when it grew to more than double', () => {
    expect(judgeSize(201 * MIB, [100 * MIB, 102 * MIB, 98 * MIB], rules)).toContain('2.01 times');
  });

  it('is fine exactly at the ratio', () => {
    expect(judgeSize(50 * MIB, [100 * MIB, 100 * MIB, 100 * MIB], rules)).toBeUndefined();
    expect(judgeSize(200 * MIB, [100 * MIB, 100 * MIB, 100 * MIB], rules)).toBeUndefined();
  });

  it('is not judged before the warm-up', () => {
    expect(judgeSize(1, [100 * MIB, 100 * MIB], rules)).toBeUndefined();
  });

  it('is fine while the difference is small in bytes', () => {
    expect(judgeSize(10_000, [100_000, 100_000, 100_000], rules)).toBeUndefined();
  });

  it('is compared with the window only: what is older does not count', () => {
    const earlier = [...Array<number>(5).fill(10 * MIB), ...Array<number>(50).fill(1000 * MIB)];
    expect(judgeSize(10 * MIB, earlier, rules)).toBeUndefined();
  });

  it('is never judged when the plan says ignore', () => {
    expect(judgeSize(1, Array(9).fill(100 * MIB), { ...rules, action: 'ignore' })).toBeUndefined();
  });
});
