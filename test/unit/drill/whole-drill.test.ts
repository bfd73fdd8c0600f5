import { expect, test } from 'vitest';
import { countsForSource, isWholeDrill, tablesLeftOut } from '#domain/drill/whole-drill.ts';
import { makeDrillReport, makePastDrill } from '#test/fakes/drills.ts';

const whole = makePastDrill();
const leftOut = makePastDrill({ database: { report: makeDrillReport({ tablesLeftOut: 1 }) } });
const part = makePastDrill({ drill: { part: true } });

test('A drill of all that passed counts for its source', () => {
  expect(countsForSource(whole)).toBe(true);
  expect(tablesLeftOut(whole)).toBe(0);
});

test('A table that the drill could not bring back is one that nobody has seen come back', () => {
  expect(leftOut.status).toBe('PASSED');
  expect(countsForSource(leftOut)).toBe(false);
  expect(tablesLeftOut({ databases: [...leftOut.databases, ...leftOut.databases] })).toBe(2);
});

test('A drill of one database of several does not count for the others', () => {
  expect(countsForSource(part)).toBe(false);
});

test('A drill that failed counts for nothing, whole as it is', () => {
  const failed = { ...whole, status: 'FAILED' as const };
  expect(isWholeDrill(failed)).toBe(true);
  expect(countsForSource(failed)).toBe(false);
});

test('A database without a report, and a record of an older version, leave nothing out', () => {
  expect(countsForSource({ status: 'PASSED', databases: [{ report: null }] })).toBe(true);
  expect(countsForSource({ status: 'PASSED' })).toBe(true);
});
