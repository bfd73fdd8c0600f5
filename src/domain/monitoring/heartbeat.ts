import type { MetricValues } from '#contracts/metrics.ts';
import type { SnapshotQuotas } from '#contracts/posture.ts';
import type { SourceExtent } from '#contracts/source-extent.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import type { Inventory } from '../backup-inventory.ts';

/** Seconds since the newest verified backup began: of the source, and of each database. */
export interface BackupAges {
  readonly source: number;
  readonly databases: ReadonlyMap<string, number>;
}

/**
 * How old the newest verified backups are.
 *
 * Those databases count that the last whole run found, or, before there was one, that have anything in the bucket:
 * a database that was dropped would else keep its source red for as long as its backups are kept. What has no
 * verified backup is as old as it is known; a source without any database as the source is. Sources that are backed up
 * by snapshots alone are as old as the newest one that a run made.
 *
 * @param firstSeen when the source was first seen
 */
export function backupAges(
  plan: Pick<SourcePlan, 'engine' | 'kinds'>,
  {
    inventory,
    extent,
    firstSeen,
    now,
  }: {
    inventory: Inventory;
    extent: Pick<SourceExtent, 'databases' | 'snapshotAt'> | undefined;
    firstSeen: Date;
    now: Date;
  },
): BackupAges {
  const ageOf = (since: Date) => Math.max(0, (now.getTime() - since.getTime()) / 1000);
  const kinds = defaultKinds(plan as SourcePlan);
  if (!kinds.includes('logical')) {
    const newest = extent?.snapshotAt;
    return { source: ageOf(newest ? new Date(newest) : firstSeen), databases: new Map() };
  }
  const known =
    extent?.databases?.map(({ database, since }) => [database, new Date(since)] as const) ??
    [...inventory.databases.keys()].map((database) => [database, firstSeen] as const);
  const databases = new Map(
    known.map(([database, since]) => {
      const newest = inventory.databases
        .get(database)
        ?.find(({ state }) => state === 'verified')?.time;
      return [database, ageOf(newest ?? since)] as const;
    }),
  );
  const source = databases.size === 0 ? ageOf(firstSeen) : Math.max(...databases.values());
  return { source, databases };
}

/** Of the quota that the source's snapshots fall under, in percent; undefined: RDS does not say. */
export function snapshotQuotaPercent(
  { engine }: Pick<SourcePlan, 'engine'>,
  quotas: SnapshotQuotas,
): number | undefined {
  const quota = engine.type === 'aurora-cluster' ? quotas.cluster : quotas.instance;
  return quota && quota.max > 0 ? (100 * quota.used) / quota.max : undefined;
}

/** Every object of the source's backups counts, whole or not. */
export function storedBytes({ databases }: Inventory): MetricValues {
  const backups = [...databases.values()].flat();
  return { StoredBytes: backups.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
