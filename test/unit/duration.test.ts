import { describe, expect, it } from 'vitest';
import { parseDuration } from '#domain/duration.ts';

describe('a duration', () => {
  it.each([
    ['90s', 90],
    ['15m', 900],
    ['15min', 900],
    ['12h', 43_200],
    ['1h30m', 5_400],
    ['2d', 172_800],
  ])('written as %s is %i seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds);
  });

  it.each(['', '15', 'm', '1.5h', '-1h', '15 m', '1h 30m', 'PT1H', '1h30'])(
    'is not understood as %j',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );
});
