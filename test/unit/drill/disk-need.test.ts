import { expect, test } from 'vitest';
import { type DiskFacts, drillStorageGiB } from '#domain/drill/disk-need.ts';
import { DrillTooLarge, InvalidInput } from '#errors';

const GIB = 1024 ** 3;
const facts = (databaseGiB: number): DiskFacts => ({
  databaseSizeBytes: databaseGiB * GIB,
  archive: {
    blocks: [
      { dumpId: 1, kind: 'table', schema: 'public', table: 'orders', offset: 0, lengthBytes: 100 },
      { dumpId: 2, kind: 'table', schema: 'audit', table: 'log', offset: 100, lengthBytes: 800 },
      { dumpId: 3, kind: 'blobs', offset: 900, lengthBytes: 100 },
    ],
  },
});

test.each([
  [0, 21],
  [0.05, 21],
  [4.4, 21],
  [4.5, 22],
  [40, 110],
  [76, 200],
])('A database of %j GiB needs a disk of %j GiB', (databaseGiB, storageGiB) => {
  expect(drillStorageGiB(facts(databaseGiB))).toBe(storageGiB);
});

test('A database that no task has the disk for is refused, with what can be done', () => {
  const ask = () => drillStorageGiB(facts(77));
  expect(ask).toThrow(DrillTooLarge);
  expect(ask).toThrow(/\(77 GiB\) would need 203 GiB of disk.*drill\.tables/);
});

test("Of some tables only, the disk is that of their share of the archive's data", () => {
  expect(drillStorageGiB(facts(400), ['public.orders'])).toBe(110);
  expect(drillStorageGiB(facts(400), ['orders'])).toBe(110);
  expect(() => drillStorageGiB(facts(400), ['public.orders', 'audit.*'])).toThrow(
    /the tables of the drill \(360 GiB\)/,
  );
});

test('A name of no table with data may be of a partitioned one: the disk is for as much as there may be', () => {
  expect(drillStorageGiB(facts(40), ['public.orders', 'sales.by_month'])).toBe(110);
  expect(drillStorageGiB(facts(400), ['sales.by_month'])).toBe(200);
});

test('An archive without data needs what a database of its size does', () => {
  const empty = { databaseSizeBytes: 8_000_000, archive: { blocks: [] } };
  expect(drillStorageGiB(empty, ['orders'])).toBe(21);
});

test('A pattern that is none is refused as in a restore', () => {
  expect(() => drillStorageGiB(facts(1), ['a.b.c'])).toThrow(InvalidInput);
});
