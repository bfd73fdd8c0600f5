import { describe, expect, it } from 'vitest';
import { parseTimeText } from '#domain/time-text.ts';

describe('a time that a person wrote', () => {
  it.each([
    ['2026-11-20', '2026-11-20T00:00:00.000Z'],
    ['2026-11-20T12:00', '2026-11-20T12:00:00.000Z'],
    ['2026-11-20 12:00:30', '2026-11-20T12:00:30.000Z'],
    ['2026-11-20T12:00:00Z', '2026-11-20T12:00:00.000Z'],
    ['2026-11-20T12:00:00.5+02:00', '2026-11-20T10:00:00.500Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000Z'],
  ])('%s is %s', (text, time) => {
    expect(parseTimeText(text)).toBe(time);
  });

  it.each([
    '',
    'yesterday',
    '12:00',
    '2026-02-30',
    '2026-13-01',
    '2026-11-20T25:00',
    '20261120T030000Z',
    '2026-11-20T12:00 UTC',
  ])('%j is none', (text) => {
    expect(() => parseTimeText(text)).toThrow('is no time');
  });
});
