import type { Manifest } from '#contracts/manifest.ts';
import { DrillTooLarge } from '#errors';
import { parseTablePattern } from '../restore/name-pattern.ts';

export type DiskFacts = Pick<Manifest, 'databaseSizeBytes'> & {
  readonly archive: Pick<Manifest['archive'], 'blocks'>;
};

const GIB = 1024 ** 3;
/** Fargate's ephemeral storage: what RunTask takes. */
const LEAST_GIB = 21;
const MOST_GIB = 200;
/** The image, which lies on the same disk, and the server's WAL (max_wal_size 4 GB, which it may exceed). */
const BESIDE_DATA_GIB = 10;
/** Of the restored data: sorts of index builds need as much again as the largest table, for a while. */
const FACTOR = 2.5;

/**
 * Disk that the drill of an archive needs, in GiB. `tables`: as in drill.tables; a table's share of the database is
 * that of its data in the archive.
 *
 * Throws DrillTooLarge where no task can have it, and InvalidInput for a pattern that is none.
 */
export function drillStorageGiB(facts: DiskFacts, tables?: readonly string[]): number {
  const wantedBytes = facts.databaseSizeBytes * shareOf(facts.archive.blocks, tables);
  const needGiB = Math.ceil((wantedBytes * FACTOR) / GIB) + BESIDE_DATA_GIB;
  if (needGiB <= MOST_GIB) return Math.max(needGiB, LEAST_GIB);
  const what = tables ? 'the tables of the drill' : 'the database';
  throw new DrillTooLarge(
    `${what} (${Math.ceil(wantedBytes / GIB)} GiB) would need ${needGiB} GiB of disk, a task has at most ${MOST_GIB}`,
    { remedy: 'name fewer tables that stand for the rest in drill.tables, or drill snapshots' },
  );
}

function shareOf(
  blocks: Manifest['archive']['blocks'],
  tables: readonly string[] | undefined,
): number {
  if (!tables) return 1;
  const patterns = tables.map(parseTablePattern);
  let selected = 0;
  let total = 0;
  for (const { schema, table, lengthBytes } of blocks) {
    total += lengthBytes;
    if (schema === undefined || table === undefined) continue;
    const isSelected = patterns.some(
      (pattern) => (pattern.schema?.matches(schema) ?? true) && pattern.name.matches(table),
    );
    if (isSelected) selected += lengthBytes;
  }
  return total === 0 ? 1 : selected / total;
}
