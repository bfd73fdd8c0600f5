import { expect, test } from 'vitest';
import { type MeasuredTimes, recoveryTime } from '#domain/drill/recovery-times.ts';

const measured = (changes: Partial<MeasuredTimes> = {}): MeasuredTimes => ({
  measuredSeconds: 100,
  restore: [
    { phase: 'prepare', seconds: 1 },
    { phase: 'pre-data', seconds: 2 },
    { phase: 'data', seconds: 20 },
    { phase: 'post-data', seconds: 10 },
    { phase: 'analyze', seconds: 2 },
  ],
  drill: [
    { phase: 'retrieval', seconds: 30 },
    { phase: 'launch', seconds: 20 },
    { phase: 'server', seconds: 1 },
    { phase: 'restore', seconds: 35 },
    { phase: 'row-checks', seconds: 3 },
    { phase: 'amcheck', seconds: 5 },
    { phase: 'smoke-queries', seconds: 1 },
  ],
  restoredBytes: 1000,
  totalBytes: 1000,
  ...changes,
});

test('The whole archive was restored: what was measured is the time', () => {
  expect(recoveryTime(measured())).toEqual({ rtoSeconds: 100, extrapolated: false });
});

test('A quarter was restored: loading, indexes and checks take four times as long, the rest does not', () => {
  expect(recoveryTime(measured({ restoredBytes: 250 }))).toEqual({
    rtoSeconds: 100 + 3 * (20 + 10 + 2 + 3 + 5),
    extrapolated: true,
  });
});

test('No byte of data was restored: nothing can be extrapolated', () => {
  expect(recoveryTime(measured({ restoredBytes: 0 }))).toEqual({
    rtoSeconds: 100,
    extrapolated: false,
  });
});
