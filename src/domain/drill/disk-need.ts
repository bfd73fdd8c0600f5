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
 * that of its data in the archive. A pattern that is of no table with data may be of a partitioned one, whose share
 * is not known here: then it is as much as the whole needs, or as a task can have.
 *
 * Throws DrillTooLarge where no task can have it, and InvalidInput for a pattern that is none.
 */
export function drillStorageGiB(facts: DiskFacts, tables?: readonly string[]): number {
  const { share, isGuess } = shareOf(facts.archive.blocks, tables);
  const wantedBytes = facts.databaseSizeBytes * share;
  const needGiB = Math.ceil((wantedBytes * FACTOR) / GIB) + BESIDE_DATA_GIB;
  if (isGuess) return Math.min(Math.max(needGiB, LEAST_GIB), MOST_GIB);
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
): { share: number; isGuess: boolean } {
  const whole = { share: 1, isGuess: false };
  if (!tables) return whole;
  const patterns = tables.map(parseTablePattern);
  const found = new Set<(typeof patterns)[number]>();
  let selected = 0;
  let total = 0;
  for (const { schema, table, lengthBytes } of blocks) {
    total += lengthBytes;
    if (schema === undefined || table === undefined) continue;
    const matching = patterns.filter(
      (pattern) => (pattern.schema?.matches(schema) ?? true) && pattern.name.matches(table),
    );
    for (const pattern of matching) found.add(pattern);
    if (matching.length > 0) selected += lengthBytes;
  }
  if (total === 0) return whole;
  return found.size < patterns.length
    ? { share: 1, isGuess: true }
    : { share: selected / total, isGuess: false };
}
