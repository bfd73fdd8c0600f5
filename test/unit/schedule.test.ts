import { CronExpressionParser } from 'cron-parser';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextDue, parseSchedule, previousDue } from '#domain/schedule.ts';
import { InvalidPlan } from '#errors';

const at = (time: string) => new Date(time);
const iso = (date: Date | undefined) => date?.toISOString();

describe('a cron schedule', () => {
  const daily = { expression: 'cron(0 3 * * ? *)', timezone: 'UTC' };

  it('is due at the very minute, and next a day later', () => {
    expect(iso(previousDue(daily, at('2026-11-20T03:00:00Z')))).toBe('2026-11-20T03:00:00.000Z');
    expect(iso(previousDue(daily, at('2026-11-20T02:59:59Z')))).toBe('2026-11-19T03:00:00.000Z');
    expect(iso(nextDue(daily, at('2026-11-20T03:00:00Z')))).toBe('2026-11-21T03:00:00.000Z');
  });

  it.each([
    // AWS counts weekdays from 1 = Sunday; 2026-11-20 is a Friday.
    ['cron(0 3 ? * 1 *)', '2026-11-15T03:00:00.000Z', '2026-11-22T03:00:00.000Z'],
    ['cron(0 3 ? * MON-FRI *)', '2026-11-20T03:00:00.000Z', '2026-11-23T03:00:00.000Z'],
    ['cron(0 3 ? * 6#2 *)', '2026-11-13T03:00:00.000Z', '2026-12-11T03:00:00.000Z'],
    ['cron(0 3 ? * 6L *)', '2026-10-30T03:00:00.000Z', '2026-11-27T03:00:00.000Z'],
    ['cron(0 3 ? * L *)', '2026-11-14T03:00:00.000Z', '2026-11-21T03:00:00.000Z'],
    ['cron(0 3 L * ? *)', '2026-10-31T03:00:00.000Z', '2026-11-30T03:00:00.000Z'],
    // 2026-11-15 is a Sunday, 2026-08-01 a Saturday, 2027-01-31 a Sunday.
    ['cron(0 3 15W * ? *)', '2026-11-16T03:00:00.000Z', '2026-12-15T03:00:00.000Z'],
    ['cron(0 3 1W 8 ? *)', '2026-08-03T03:00:00.000Z', '2027-08-02T03:00:00.000Z'],
    ['cron(0 3 31W 1 ? *)', '2026-01-30T03:00:00.000Z', '2027-01-29T03:00:00.000Z'],
    ['cron(0 3 LW * ? *)', '2026-10-30T03:00:00.000Z', '2026-11-30T03:00:00.000Z'],
    ['cron(0/20 8-10 * * ? *)', '2026-11-20T10:40:00.000Z', '2026-11-21T08:00:00.000Z'],
    ['cron(15,45 */6 * * ? *)', '2026-11-20T06:45:00.000Z', '2026-11-20T12:15:00.000Z'],
    ['cron(0 3 1 JAN,JUL ? *)', '2026-07-01T03:00:00.000Z', '2027-01-01T03:00:00.000Z'],
    ['cron(0 3 29 2 ? *)', '2024-02-29T03:00:00.000Z', '2028-02-29T03:00:00.000Z'],
    ['cron(0 3 * * ? 2027-2028)', undefined, '2027-01-01T03:00:00.000Z'],
    ['cron(0 3 * * ? 2025)', '2025-12-31T03:00:00.000Z', undefined],
    ['cron(0 3 30 2 ? *)', undefined, undefined],
  ])('%s was due %s and is due %s', (expression, previous, next) => {
    const schedule = { expression, timezone: 'UTC' };
    expect(iso(previousDue(schedule, at('2026-11-20T12:00:00Z')))).toBe(previous);
    expect(iso(nextDue(schedule, at('2026-11-20T12:00:00Z')))).toBe(next);
  });

  it('is skipped on the day on which its time does not exist', () => {
    // Berlin, 2026-03-29: 02:00 is followed by 03:00.
    const gap = { expression: 'cron(30 2 * * ? *)', timezone: 'Europe/Berlin' };
    expect(iso(previousDue(gap, at('2026-03-29T12:00:00Z')))).toBe('2026-03-28T01:30:00.000Z');
    expect(iso(nextDue(gap, at('2026-03-28T12:00:00Z')))).toBe('2026-03-30T00:30:00.000Z');
  });

  it('is due once, the first time, on the day on which its time exists twice', () => {
    // Berlin, 2026-10-25: 03:00 is followed by 02:00.
    const twice = { expression: 'cron(30 2 * * ? *)', timezone: 'Europe/Berlin' };
    expect(iso(previousDue(twice, at('2026-10-25T12:00:00Z')))).toBe('2026-10-25T00:30:00.000Z');
    expect(iso(nextDue(twice, at('2026-10-25T00:30:00Z')))).toBe('2026-10-26T01:30:00.000Z');
  });

  it('agrees with a Unix cron parser wherever the two mean the same', () => {
    const list = (min: number, max: number) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min, max }).map(String),
        fc.integer({ min: 2, max: 9 }).map((step) => `*/${step}`),
        fc
          .tuple(fc.integer({ min, max }), fc.integer({ min, max }))
          .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
      );
    fc.assert(
      fc.property(
        list(0, 59),
        list(0, 23),
        list(1, 28),
        list(1, 12),
        fc.date({ min: at('2020-01-01'), max: at('2030-01-01'), noInvalidDate: true }),
        fc.constantFrom('UTC', 'Asia/Kolkata', 'Asia/Tokyo'),
        (minute, hour, day, month, now, timezone) => {
          const schedule = { expression: `cron(${minute} ${hour} ${day} ${month} ? *)`, timezone };
          const options = { tz: timezone, currentDate: now };
          const unix = `${minute} ${hour} ${day} ${month} *`;
          const reference = () => CronExpressionParser.parse(unix, options);
          expect(iso(nextDue(schedule, now))).toBe(reference().next().toDate().toISOString());
          // The reference excludes `now` itself from the past.
          const before = new Date(now.getTime() - 1);
          expect(iso(previousDue(schedule, before))).toBe(
            reference().prev().toDate().toISOString(),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([
    'cron(0 3 * * *)',
    'cron(0 3 * * * *)',
    'cron(0 3 ? * ? *)',
    'cron(60 3 * * ? *)',
    'cron(0 24 * * ? *)',
    'cron(0 3 0 * ? *)',
    'cron(0 3 ? * 8 *)',
    'cron(0 3 ? * FRI-MON *)',
    'cron(0 3 ? * 6#6 *)',
    'cron(0 3 * JANUARY ? *)',
    'cron(0 3 * * ? 1969)',
    'cron(a 3 * * ? *)',
    'cron(1- 3 * * ? *)',
    'cron(*/0 3 * * ? *)',
    'cron(0 3 32W * ? *)',
    'rate(0 hours)',
    'rate(5 weeks)',
    'at(2026-11-20T03:00:00)',
    '0 3 * * *',
  ])('%s is refused', (expression) => {
    expect(() => parseSchedule(expression)).toThrow(InvalidPlan);
  });
});

describe('a rate schedule', () => {
  const sixHours = { expression: 'rate(6 hours)', timezone: 'Europe/Berlin' };

  it('is due one period after the last start, and stays so', () => {
    const start = at('2026-11-20T01:00:00Z');
    expect(previousDue(sixHours, at('2026-11-20T06:59:59Z'), start)).toBeUndefined();
    for (const now of ['2026-11-20T07:00:00Z', '2026-11-22T00:00:00Z']) {
      expect(iso(previousDue(sixHours, at(now), start))).toBe('2026-11-20T07:00:00.000Z');
    }
    expect(iso(nextDue(sixHours, at('2026-11-20T07:00:00Z'), start))).toBe(
      '2026-11-20T13:00:00.000Z',
    );
  });

  it('says nothing when no start is known', () => {
    expect(previousDue(sixHours, at('2026-11-20T07:00:00Z'))).toBeUndefined();
    expect(nextDue(sixHours, at('2026-11-20T07:00:00Z'))).toBeUndefined();
  });
});
