import { expect, test } from 'vitest';
import {
  type MeasuredTimes,
  recoveryTime,
  recoveryTimeOfAll,
  type TimedReport,
} from '#domain/drill/recovery-times.ts';

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

test.each([
  ['no byte', 0, '0 B of 500 GB'],
  ['an empty table', 25, '25 B of 500 GB'],
  ['less than a thousandth', 499_999_999, '500 MB of 500 GB'],
])(
  'Of a large database %s was restored: nobody knows how long the whole takes',
  (_, bytes, told) => {
    const times = measured({ restoredBytes: bytes, totalBytes: 500_000_000_000 });
    expect(recoveryTime(times)).toEqual({
      rtoSeconds: null,
      extrapolated: false,
      rtoUnknown: expect.stringContaining(`${told} of data were restored`),
    });
  },
);

test('A thousandth is enough to tell, and a database without data is whole', () => {
  const least = { restoredBytes: 500_000_000, totalBytes: 500_000_000_000 };
  expect(recoveryTime(measured(least))).toMatchObject({
    rtoSeconds: 100 + 999 * 40,
    extrapolated: true,
  });
  expect(recoveryTime(measured({ restoredBytes: 0, totalBytes: 0 }))).toEqual({
    rtoSeconds: 100,
    extrapolated: false,
  });
});

const HOUR = 3600;
/** Of one that was begun so many seconds after the first. */
const timed = (begunAfter: number, changes: Partial<TimedReport> = {}): TimedReport => ({
  begunAt: new Date(Date.parse('2026-11-20T10:00:00Z') + begunAfter * 1000).toISOString(),
  measuredSeconds: HOUR,
  rtoSeconds: HOUR,
  ...changes,
});

test('Twenty databases of an hour, two at a time: all of them are back after ten hours', () => {
  const reports = Array.from({ length: 20 }, (_, at) => timed(Math.floor(at / 2) * (HOUR + 5)));
  expect(recoveryTimeOfAll(reports.toReversed())).toBe(10 * HOUR);
});

test('Databases that were under way at the same time are back when the slowest is', () => {
  const slow = { measuredSeconds: 3 * HOUR, rtoSeconds: 3 * HOUR };
  expect(recoveryTimeOfAll([timed(0), timed(1, slow), timed(2)])).toBe(3 * HOUR);
});

test('Of a part that was rehearsed the whole counts, also for what waits behind it', () => {
  const part = { rtoSeconds: 5 * HOUR };
  expect(recoveryTimeOfAll([timed(0, part), timed(HOUR + 5)])).toBe(6 * HOUR);
});

test('What was waited for a database that never came back is not in it', () => {
  expect(recoveryTimeOfAll([timed(0), timed(40 * HOUR)])).toBe(2 * HOUR);
});

test('Of one database nobody knows how long it takes: then nobody knows of all', () => {
  expect(recoveryTimeOfAll([timed(0), timed(0, { rtoSeconds: null })])).toBeNull();
  expect(recoveryTimeOfAll([])).toBeNull();
});

test('Reports that do not say when they were begun: it is at least as long as the slowest', () => {
  const old = [60, 90].map((rtoSeconds) => ({ measuredSeconds: rtoSeconds, rtoSeconds }));
  expect(recoveryTimeOfAll(old)).toBe(90);
});
