import type { Manifest } from '#contracts/manifest.ts';
import { DrillTooLarge } from '#errors';

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
 * Disk that the drill of an archive needs, in GiB. `selected`: dump ids of what is restored, with all that it brings
 * along; undefined: all of it. Their share of the database is that of their data in the archive.
 *
 * Throws DrillTooLarge where no task can have it.
 */
export function drillStorageGiB(facts: DiskFacts, selected?: ReadonlySet<number>): number {
  const wantedBytes = facts.databaseSizeBytes * shareOf(facts.archive.blocks, selected);
  const needGiB = Math.ceil((wantedBytes * FACTOR) / GIB) + BESIDE_DATA_GIB;
  if (needGiB <= MOST_GIB) return Math.max(needGiB, LEAST_GIB);
  const what = selected ? 'the tables of the drill, with what they need,' : 'the database';
  throw new DrillTooLarge(
    `${what} (${Math.ceil(wantedBytes / GIB)} GiB) would need ${needGiB} GiB of disk, a task has at most ${MOST_GIB}`,
    { remedy: 'name fewer tables that stand for the rest in drill.tables, or drill snapshots' },
  );
}

function shareOf(
  blocks: Manifest['archive']['blocks'],
  selected: ReadonlySet<number> | undefined,
): number {
  const sum = (of: typeof blocks) => of.reduce((total, { lengthBytes }) => total + lengthBytes, 0);
  const total = sum(blocks);
  if (!selected || total === 0) return 1;
  return sum(blocks.filter(({ dumpId }) => selected.has(dumpId))) / total;
}
