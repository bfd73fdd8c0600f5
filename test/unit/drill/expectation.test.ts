import { expect, test } from 'vitest';
import { matchesInTime } from '#adapters/matches-in-time.ts';
import type { Expectation } from '#contracts/source-plan.ts';
import { describeExpectation, judge } from '#domain/drill/expectation.ts';

const NOW = new Date('2026-11-21T03:00:00Z');
const passes = (actual: string | null, expectation: Expectation) =>
  judge(actual, expectation, { now: NOW, matches: matchesInTime }).passed;

test.each<[string | null, string | number | boolean | null, boolean]>([
  ['1000', 1000, true],
  ['1000.00', 1000, true],
  ['1e3', 1000, true],
  ['-0.10', -0.1, true],
  ['9007199254740993', 9007199254740992, false],
  ['1000', '1000', true],
  ['1000.00', '1000', false],
  ['thousand', 1000, false],
  ['', 0, false],
  ['.', 0, false],
  ['NaN', 0, false],
  ['Infinity', 0, false],
  ['t', true, true],
  ['true', true, true],
  ['f', true, false],
  ['false', false, true],
  ['1', true, false],
  [null, null, true],
  [null, '', false],
  [null, 0, false],
  ['', null, false],
  ['null', null, false],
])('The value %j held against equals %j: %j', (actual, equals, passed) => {
  expect(passes(actual, { equals })).toBe(passed);
});

test.each<[string | null, number, boolean]>([
  ['1000', 1000, true],
  ['999', 1000, false],
  ['999.9999999999999999999999', 1000, false],
  ['1000.0000000000000000000001', 1000, true],
  ['9007199254740993', 9007199254740992, true],
  ['9007199254740991', 9007199254740992, false],
  ['-5', -5.5, true],
  ['-6', -5.5, false],
  ['1e25', 1e24, true],
  ['Infinity', 1000, true],
  ['-Infinity', -1000, false],
  ['NaN', -1000, false],
  [' 12 ', 12, true],
  ['1e999999', 1, false],
  ['12 apples', 1, false],
  [null, 0, false],
])('The value %j held against at least %j: %j', (actual, atLeast, passed) => {
  expect(passes(actual, { atLeast })).toBe(passed);
});

test.each<[string | null, string, boolean]>([
  ['v1.2.3', '^v\\d+\\.', true],
  ['x', '^v', false],
  ['日本', '^\\p{L}{2}$', true],
  [null, '.*', false],
  [`${'a'.repeat(250)}z`, 'z$', false],
])('The value %j held against the pattern %j: %j', (actual, matches, passed) => {
  expect(passes(actual, { matches })).toBe(passed);
});

test('A pattern that would need years for the value is ended and does not match', () => {
  const began = performance.now();
  expect(passes('a'.repeat(200), { matches: '^(a+)+$|b' })).toBe(true);
  expect(passes(`${'a'.repeat(199)}!`, { matches: '^(a+)+$' })).toBe(false);
  expect(performance.now() - began).toBeLessThan(25_000);
});

test.each<[string | null, number, boolean]>([
  ['2026-11-21 02:00:00+00', 60, true],
  ['2026-11-21 01:59:59.999999+00', 60, false],
  ['2026-11-21 04:00:00+02', 60, true],
  ['2026-11-20 22:30:00-04:30', 1, true],
  ['2026-11-20 22:00:00-0430', 10, false],
  ['2026-11-21 02:00:00', 60, true],
  ['2026-11-21 01:00:00', 60, false],
  ['2026-11-21', 180, true],
  ['2026-11-20', 180, false],
  ['2026-11-21 03:05:00+00', 1, true],
  ['2026-11-21 03:05:00.001+00', 1, false],
  ['2026-11-21 03:30:00+00', 1000, false],
  ['2999-01-01 00:00:00', 1, false],
  ['20999-01-01 00:00:00+00', 1, false],
  ['2026-11-20', 1, false],
  ['2026-11-22', 1, false],
  ['infinity', 60, false],
  ['0044-03-15 BC', 60, false],
  ['yesterday', 60, false],
  ['2026-13-45 00:00:00', 60, false],
  [null, 60, false],
])('The time %j is at most %j minutes old: %j', (actual, maxAgeMinutes, passed) => {
  expect(passes(actual, { maxAgeMinutes })).toBe(passed);
});

test('A time after the backup is told of as what it is, however young it makes the data look', () => {
  const reasonOf = (actual: string, now = NOW) =>
    judge(actual, { maxAgeMinutes: 60 }, { now, matches: matchesInTime }).reason;
  for (const late of ['2026-11-21 03:06:00+00', '2999-01-01', '12999-06-01 00:00:00', 'infinity']) {
    expect(reasonOf(late)).toMatch(/^it is later than the backup, .*AT TIME ZONE/);
  }
  expect(reasonOf('2026-11-21 01:00:00+00')).toBeUndefined();
  expect(reasonOf('yesterday')).toBeUndefined();
  // Where the day began first it is tomorrow already.
  expect(reasonOf('2026-11-22', new Date('2026-11-21T10:00:00Z'))).toBeUndefined();
  expect(reasonOf('2026-11-22', new Date('2026-11-21T09:59:00Z'))).toBeDefined();
});

test('Of a server that RDS took further than it had said, what is younger for that is no fault', () => {
  const newestAt = new Date('2026-11-21T03:20:00Z');
  const passed = (actual: string) =>
    judge(actual, { maxAgeMinutes: 1 }, { now: NOW, newestAt, matches: matchesInTime }).passed;
  expect(passed('2026-11-21 03:25:00+00')).toBe(true);
  expect(passed('2026-11-21 03:25:01+00')).toBe(false);
});

test('An expectation is told in words', () => {
  expect(describeExpectation({ equals: 'paid' })).toBe('equal to paid');
  expect(describeExpectation({ equals: null })).toBe('NULL, or no row');
  expect(describeExpectation({ atLeast: 1000 })).toBe('at least 1000');
  expect(describeExpectation({ matches: '^v' })).toBe('a match of ^v');
  expect(describeExpectation({ maxAgeMinutes: 90 })).toBe(
    'a time at most 90 minutes before the backup, and not after it',
  );
});
