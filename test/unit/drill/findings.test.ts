import { expect, test } from 'vitest';
import type { DrillChecks, SmokeResult } from '#contracts/drill.ts';
import {
  dataFinding,
  environmentFinding,
  failsDrill,
  integrityFindings,
  smokeFindings,
} from '#domain/drill/findings.ts';

const sound: Pick<DrillChecks, 'amcheck' | 'dataChecksums'> = {
  amcheck: {
    state: 'clean',
    tables: 5,
    indexes: 7,
    damage: [],
    reason: null,
    seconds: 1,
  },
  dataChecksums: { state: 'clean', failures: 0 },
};
const smoke = (changes: Partial<SmokeResult>): SmokeResult => ({
  name: 'orders',
  state: 'passed',
  expected: 'at least 1000',
  actual: '1200',
  seconds: 0.1,
  ...changes,
});

test('Sound data and queries that passed are no finding', () => {
  expect(integrityFindings(sound, [], 'full')).toEqual([]);
  expect(smokeFindings([{ result: smoke({}) }], false)).toEqual([]);
});

test('Of a damaged relation there is one finding, whatever is wrong with it', () => {
  const damage = [
    { relation: 'public.orders', message: 'block 3: torn' },
    { relation: 'public.orders', message: 'block 4: torn' },
    { relation: 'public.orders_pkey', message: 'lacks a row' },
  ];
  const amcheck = { ...sound.amcheck, state: 'damaged' as const, damage };
  const findings = integrityFindings({ ...sound, amcheck }, [], 'full');
  expect(findings).toMatchObject([
    {
      class: 'data',
      check: 'amcheck',
      subject: 'public.orders',
      message: 'public.orders: block 3: torn (and 1 more)',
    },
    {
      class: 'data',
      subject: 'public.orders_pkey',
      message: 'public.orders_pkey: lacks a row',
    },
  ]);
});

test('Pages without their checksums fail the drill', () => {
  const dataChecksums = { state: 'failures', failures: 3 } as const;
  expect(integrityFindings({ ...sound, dataChecksums }, [], 'full')).toMatchObject([
    { class: 'data', check: 'checksums', message: '3 pages did not have their checksums' },
  ]);
});

test('A check that could not be made is of the environment, unless the plan switched it off', () => {
  const amcheck = { ...sound.amcheck, state: 'skipped' as const, reason: 'no amcheck' };
  const unchecked = [{ relation: 'a.b', reason: 'permission denied' }];
  expect(integrityFindings({ ...sound, amcheck }, unchecked, 'full')).toMatchObject([
    { class: 'environment', check: 'amcheck', subject: null },
  ]);
  expect(integrityFindings({ ...sound, amcheck }, [], 'off')).toEqual([]);
  expect(integrityFindings(sound, unchecked, 'full')).toMatchObject([
    { class: 'environment', check: 'amcheck', subject: 'a.b' },
  ]);
});

test.each<[Partial<SmokeResult>, string]>([
  [{ state: 'failed', actual: '12' }, 'orders: is 12, expected at least 1000'],
  [{ state: 'failed', actual: null }, 'orders: is NULL, or has no row, expected at least 1000'],
  [{ state: 'timeout', actual: null, seconds: 60 }, 'orders: no answer after 60 s'],
  [{ state: 'error', actual: 'syntax error' }, 'orders: failed: syntax error'],
])('A query that came to %j fails the drill', (result, message) => {
  expect(smokeFindings([{ result: smoke(result) }], false)).toMatchObject([
    { class: 'data', check: 'smoke-query', subject: 'orders', message },
  ]);
});

test('A value that failed for what its text does not show says why', () => {
  const result = smoke({ state: 'failed', actual: '2999-01-01' });
  expect(smokeFindings([{ result, reason: 'it is later than the backup' }], false)).toMatchObject([
    {
      message: expect.stringMatching(/^orders: is 2999-01-01, .*\(it is later than the backup\)$/),
    },
  ]);
});

test('A query about a table that this drill did not restore says nothing about the data', () => {
  const outcome = {
    result: smoke({ state: 'error', actual: 'relation "x" does not exist' }),
    sqlState: '42P01',
  };
  expect(smokeFindings([outcome], true)).toMatchObject([{ class: 'environment' }]);
  expect(smokeFindings([outcome], false)).toMatchObject([{ class: 'data' }]);
  expect(smokeFindings([{ ...outcome, sqlState: '42601' }], true)).toMatchObject([
    { class: 'data' },
  ]);
});

test('Data and target findings fail a drill, those of the environment do not', () => {
  expect(failsDrill(dataFinding('rows', 'a', 'b'))).toBe(true);
  expect(failsDrill({ ...dataFinding('rto', null, 'b'), class: 'target' })).toBe(true);
  expect(failsDrill(environmentFinding('extensions', 'a', 'b', 'c'))).toBe(false);
});

test('Of a part, a query misses what was not restored; a table that the backup does not have either was lost', () => {
  const missing = (relation: string) => ({
    result: smoke({ state: 'error', actual: `relation "${relation}" does not exist` }),
    sqlState: '42P01',
  });
  const inArchive = (relation: string) => relation === 'sales.orders';
  expect(smokeFindings([missing('sales.orders')], true, inArchive)).toMatchObject([
    { class: 'environment' },
  ]);
  expect(smokeFindings([missing('sales.customers')], true, inArchive)).toMatchObject([
    { class: 'data' },
  ]);
});
