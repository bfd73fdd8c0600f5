import {
  CreateDBClusterSnapshotCommand,
  CreateDBSnapshotCommand,
  type DBClusterSnapshot,
  type DBSnapshot,
  DeleteDBClusterSnapshotCommand,
  DeleteDBSnapshotCommand,
  paginateDescribeDBClusterSnapshots,
  paginateDescribeDBSnapshots,
  type RDSClient,
  type Tag,
} from '@aws-sdk/client-rds';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { SnapshotState } from '#contracts/workflow.ts';
import { parseBackupId, parseSnapshotId } from '#domain/names.ts';
import { isOurs, SNAPSHOT_TAG, type Tags } from '#domain/snapshot-tags.ts';
import {
  InstanceNotAvailable,
  InstanceNotFound,
  ServiceUnavailable,
  SnapshotFailed,
  SnapshotNotOurs,
  SnapshotQuotaReached,
} from '#errors';
import type { OwnSnapshot, Snapshots } from '#runtime/ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/** RDS: 20 to 100 a page. */
const PAGE_SIZE = 100;
/** Statuses on the way to `available`; everything else that is not `available` is a failure. */
const UNDER_WAY = new Set(['creating', 'pending', 'copying', 'modifying', 'backing-up']);

/** What RDS tells of a snapshot, the same for instances and clusters. */
interface RdsSnapshot {
  readonly snapshotId: string;
  readonly arn: string;
  readonly status: string;
  readonly progressPercent: number;
  readonly sizeGiB: number | undefined;
  readonly createdAt: Date | undefined;
  readonly tags: Tags;
}

/** RDS has two sets of calls that differ in nothing but their names. */
interface Dialect {
  create(snapshotId: string, identifier: string, tags: Tag[]): Promise<RdsSnapshot>;
  /** One snapshot, or every manual one of the region. */
  find(snapshotId?: string): AsyncIterable<RdsSnapshot>;
  delete(snapshotId: string): Promise<void>;
}

/** Manual snapshots of RDS instances and Aurora clusters. */
export function makeSnapshots(options: { client: RDSClient }): Snapshots {
  const dialects = {
    instance: instanceDialect(options.client),
    cluster: clusterDialect(options.client),
  };

  async function lookUp(kind: SnapshotState['kind'], snapshotId: string) {
    try {
      for await (const snapshot of dialects[kind].find(snapshotId)) return snapshot;
    } catch (error) {
      if (!/^DB(Cluster)?SnapshotNotFound/.test(awsErrorName(error))) {
        throw translateAwsError(error, `describe snapshot ${snapshotId}`);
      }
    }
    throw new SnapshotFailed(`the snapshot ${snapshotId} is gone`, {
      remedy: 'look in CloudTrail for who deleted it, then start the run again',
    });
  }

  return {
    async create({ plan, snapshotId, tags, now }) {
      const { kind, identifier } = target(plan);
      try {
        const list = Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
        const made = await dialects[kind].create(snapshotId, identifier, list);
        return toState(made, { kind, startedAt: now.toISOString(), adopted: false });
      } catch (error) {
        if (!/^DB(Cluster)?SnapshotAlreadyExists/.test(awsErrorName(error))) {
          throw translateCreateError(error, plan.source, identifier);
        }
      }
      // An earlier try of this very run made it, and its answer was lost on the way.
      const existing = await lookUp(kind, snapshotId);
      if (!isOurs(existing.tags, plan.source)) {
        throw new SnapshotNotOurs(
          `a snapshot ${snapshotId} exists without the tags of ${plan.source}`,
          { remedy: 'rename or delete it, then start the run again' },
        );
      }
      const startedAt = existing.tags[SNAPSHOT_TAG.createdAt] ?? now.toISOString();
      return toState(existing, { kind, startedAt, adopted: true });
    },

    async describe(state) {
      return toState(await lookUp(state.kind, state.snapshotId), state);
    },

    // By tag, not by instance: an instance may be replaced or renamed, its snapshots remain ours.
    async list(plan) {
      const own: OwnSnapshot[] = [];
      try {
        for await (const snapshot of dialects[target(plan).kind].find()) {
          const { snapshotId, status, tags } = snapshot;
          const createdAt = creationTime(snapshot);
          if (isOurs(tags, plan.source) && createdAt) own.push({ snapshotId, createdAt, status });
        }
      } catch (error) {
        throw translateAwsError(error, `list the snapshots of ${plan.source}`);
      }
      return own;
    },

    async delete(plan, snapshotId) {
      if (parseSnapshotId(snapshotId)?.source !== plan.source) {
        throw new SnapshotNotOurs(`the snapshot ${snapshotId} is none of ${plan.source}`);
      }
      try {
        await dialects[target(plan).kind].delete(snapshotId);
      } catch (error) {
        const name = awsErrorName(error);
        if (/^DB(Cluster)?SnapshotNotFound/.test(name)) return;
        if (!/^InvalidDB(Cluster)?SnapshotState/.test(name)) {
          throw translateAwsError(error, `delete snapshot ${snapshotId}`);
        }
        throw new ServiceUnavailable(`the snapshot ${snapshotId} is in use and cannot be deleted`, {
          remedy: 'let the copy or restore that reads it end; the next run tries again',
          cause: error,
        });
      }
    },
  };
}

function target({ source, engine }: SourcePlan) {
  switch (engine.type) {
    case 'rds-instance':
      return { kind: 'instance', identifier: engine.identifier } as const;
    case 'aurora-cluster':
      return { kind: 'cluster', identifier: engine.identifier } as const;
    case 'postgres':
      throw new InstanceNotFound(`${source} is a plain PostgreSQL server, which has no snapshots`);
  }
}

function toState(
  { snapshotId, arn, status, progressPercent, sizeGiB }: RdsSnapshot,
  { kind, startedAt, adopted }: Pick<SnapshotState, 'kind' | 'startedAt' | 'adopted'>,
): SnapshotState {
  const available = status === 'available';
  if (!available && !UNDER_WAY.has(status)) {
    throw new SnapshotFailed(`RDS reports the snapshot ${snapshotId} as ${status}`, {
      remedy: "look at the instance's events in the RDS console, then start the run again",
    });
  }
  return {
    snapshotId,
    arn,
    kind,
    status: available ? 'available' : 'creating',
    adopted,
    startedAt,
    progressPercent: available ? 100 : Math.min(Math.max(Math.trunc(progressPercent), 0), 100),
    sizeGiB: sizeGiB ?? null,
  };
}

/** RDS has no time for a snapshot that is being made; our tag and the id itself have. */
function creationTime({ createdAt, tags, snapshotId }: RdsSnapshot): Date | undefined {
  const tagged = new Date(tags[SNAPSHOT_TAG.createdAt] ?? Number.NaN);
  if (createdAt) return createdAt;
  if (!Number.isNaN(tagged.getTime())) return tagged;
  const { backupId = '' } = parseSnapshotId(snapshotId) ?? {};
  return parseBackupId(backupId)?.time;
}

/**
 * The SDK names these faults with the suffix `Fault`, the service's answers carry them without.
 *
 * | RDS | error |
 * |---|---|
 * | SnapshotQuotaExceeded | SnapshotQuotaReached |
 * | DBInstanceNotFound, DBClusterNotFound | InstanceNotFound |
 * | InvalidDBInstanceState, InvalidDBClusterState | InstanceNotAvailable |
 */
function translateCreateError(error: unknown, source: string, identifier: string): unknown {
  const cause = error;
  const { message } = error as Error;
  switch (awsErrorName(error).replace(/Fault$/, '')) {
    case 'SnapshotQuotaExceeded':
      return new SnapshotQuotaReached(`no manual snapshot of ${source} can be made: ${message}`, {
        remedy: 'delete manual snapshots that nobody needs, or ask for a higher RDS quota',
        cause,
      });
    case 'DBInstanceNotFound':
    case 'DBClusterNotFound':
      return new InstanceNotFound(`RDS knows no ${identifier}: ${message}`, {
        remedy: `correct engine.identifier in the plan of ${source}`,
        cause,
      });
    case 'InvalidDBInstanceState':
    case 'InvalidDBClusterState':
      return new InstanceNotAvailable(`${identifier} takes no snapshot now: ${message}`, {
        remedy: 'wait until it is available, or start it when it is stopped',
        cause,
      });
    default:
      return translateAwsError(error, `create a snapshot of ${identifier}`);
  }
}

function instanceDialect(client: RDSClient): Dialect {
  return {
    async create(snapshotId, identifier, tags) {
      const { DBSnapshot } = await client.send(
        new CreateDBSnapshotCommand({
          DBSnapshotIdentifier: snapshotId,
          DBInstanceIdentifier: identifier,
          Tags: tags,
        }),
      );
      return fromInstance(DBSnapshot ?? {});
    },
    async *find(snapshotId) {
      const pages = paginateDescribeDBSnapshots(
        { client, pageSize: PAGE_SIZE },
        snapshotId ? { DBSnapshotIdentifier: snapshotId } : { SnapshotType: 'manual' },
      );
      for await (const { DBSnapshots = [] } of pages) yield* DBSnapshots.map(fromInstance);
    },
    async delete(snapshotId) {
      await client.send(new DeleteDBSnapshotCommand({ DBSnapshotIdentifier: snapshotId }));
    },
  };
}

function clusterDialect(client: RDSClient): Dialect {
  return {
    async create(snapshotId, identifier, tags) {
      const { DBClusterSnapshot } = await client.send(
        new CreateDBClusterSnapshotCommand({
          DBClusterSnapshotIdentifier: snapshotId,
          DBClusterIdentifier: identifier,
          Tags: tags,
        }),
      );
      return fromCluster(DBClusterSnapshot ?? {});
    },
    async *find(snapshotId) {
      const pages = paginateDescribeDBClusterSnapshots(
        { client, pageSize: PAGE_SIZE },
        snapshotId ? { DBClusterSnapshotIdentifier: snapshotId } : { SnapshotType: 'manual' },
      );
      for await (const { DBClusterSnapshots = [] } of pages) {
        yield* DBClusterSnapshots.map(fromCluster);
      }
    },
    async delete(snapshotId) {
      await client.send(
        new DeleteDBClusterSnapshotCommand({ DBClusterSnapshotIdentifier: snapshotId }),
      );
    },
  };
}

function fromInstance(snapshot: DBSnapshot): RdsSnapshot {
  return {
    snapshotId: snapshot.DBSnapshotIdentifier ?? '',
    arn: snapshot.DBSnapshotArn ?? '',
    ...common(snapshot),
  };
}

function fromCluster(snapshot: DBClusterSnapshot): RdsSnapshot {
  return {
    snapshotId: snapshot.DBClusterSnapshotIdentifier ?? '',
    arn: snapshot.DBClusterSnapshotArn ?? '',
    ...common(snapshot),
  };
}

function common(snapshot: DBSnapshot | DBClusterSnapshot) {
  const pairs = (snapshot.TagList ?? []).map(({ Key = '', Value = '' }) => [Key, Value] as const);
  return {
    status: snapshot.Status ?? 'unknown',
    progressPercent: snapshot.PercentProgress ?? 0,
    sizeGiB: snapshot.AllocatedStorage,
    createdAt: snapshot.SnapshotCreateTime,
    tags: Object.fromEntries(pairs),
  };
}
