import { describe, expect, it } from 'vitest';
import { displayUtc, relativeTime } from '#domain/display-time.ts';

const now = new Date('2026-11-20T12:00:00.000Z');
const at = (seconds: number) => new Date(now.getTime() + seconds * 1000);

describe('a time for a reader', () => {
  it('is in UTC, whatever the zone of the machine', () => {
    expect(displayUtc(new Date('2026-11-20T03:00:00.999+05:30'))).toBe('2026-11-19 21:30:00 UTC');
  });

  it.each([
    [0, '0 s ago'],
    [-8.9, '8 s ago'],
    [-89, '89 s ago'],
    [-90, '1 min ago'],
    [-5_399, '89 min ago'],
    [-5_400, '1 h ago'],
    [-3 * 3600, '3 h ago'],
    [-47.9 * 3600, '47 h ago'],
    [-48 * 3600, '2 days ago'],
    [-400 * 86_400, '400 days ago'],
    [899.2, 'in 15 min'],
    [12 * 3600, 'in 12 h'],
  ])('%s seconds away is "%s"', (seconds, words) => {
    expect(relativeTime(at(seconds), now)).toBe(words);
  });
});
