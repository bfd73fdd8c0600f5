import { expect, test } from 'vitest';
import { type DiskFacts, drillStorageGiB } from '#domain/drill/disk-need.ts';
import { DrillTooLarge } from '#errors';

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

test("Of a part, the disk is that of its share of the archive's data", () => {
  expect(drillStorageGiB(facts(400), new Set([1]))).toBe(110);
  expect(drillStorageGiB(facts(40), new Set([2, 77]))).toBe(90);
  expect(drillStorageGiB(facts(400), new Set())).toBe(21);
  expect(() => drillStorageGiB(facts(400), new Set([1, 2]))).toThrow(
    /the tables of the drill, with what they need, \(360 GiB\)/,
  );
});

test('An archive without data needs what a database of its size does', () => {
  const empty = { databaseSizeBytes: 8_000_000, archive: { blocks: [] } };
  expect(drillStorageGiB(empty, new Set([1]))).toBe(21);
});
