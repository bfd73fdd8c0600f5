import {
  CreateDBInstanceCommand,
  type DBCluster,
  type DBClusterAutomatedBackup,
  type DBInstance,
  type DBInstanceAutomatedBackup,
  DeleteDBClusterCommand,
  DeleteDBInstanceCommand,
  ModifyDBClusterCommand,
  ModifyDBInstanceCommand,
  paginateDescribeDBClusterAutomatedBackups,
  paginateDescribeDBClusterSnapshots,
  paginateDescribeDBClusters,
  paginateDescribeDBInstanceAutomatedBackups,
  paginateDescribeDBInstances,
  paginateDescribeDBSnapshots,
  type RDSClient,
  RestoreDBClusterFromSnapshotCommand,
  RestoreDBClusterToPointInTimeCommand,
  RestoreDBInstanceFromDBSnapshotCommand,
  RestoreDBInstanceToPointInTimeCommand,
} from '@aws-sdk/client-rds';
import type {
  PlannedServerRestore,
  RestoredServerName,
  RestoreWindow,
  ServerKind,
  ServerSnapshot,
} from '#contracts/restore-server.ts';
import { isDrillServerName, restoredWriterName } from '#domain/names.ts';
import { nameOfSnapshot } from '#domain/restore/server-restore-input.ts';
import { drillOf, isOfRestore } from '#domain/restore/server-settings.ts';
import { standingOf } from '#domain/restore/server-status.ts';
import { InstanceNotFound, TargetNotEmpty } from '#errors';
import type { DrilledServer, RestoredServer, ServerLogin, Servers } from '#runtime/ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';
import {
  clusterFromSnapshot,
  clusterToPointInTime,
  fromClusterSnapshot,
  fromInstanceSnapshot,
  instanceFromSnapshot,
  instanceToPointInTime,
  sourceCluster,
  sourceInstance,
  tagsOf,
  writerOfCluster,
} from './rds-shapes.ts';
import { translateRestoreError } from './server-errors.ts';

/** RDS: 20 to 100 a page. */
const PAGE_SIZE = 100;

/** Instances of RDS and clusters of Aurora, and new ones made of their backups. */
export function makeServers({ client }: { client: RDSClient }): Servers {
  const paging = { client, pageSize: PAGE_SIZE };

  const findInstance = (identifier: string): Promise<DBInstance | undefined> =>
    firstOf(`describe instance ${identifier}`, async function* () {
      const pages = paginateDescribeDBInstances(paging, { DBInstanceIdentifier: identifier });
      for await (const { DBInstances = [] } of pages) yield* DBInstances;
    });
  const findCluster = (identifier: string): Promise<DBCluster | undefined> =>
    firstOf(`describe cluster ${identifier}`, async function* () {
      const pages = paginateDescribeDBClusters(paging, { DBClusterIdentifier: identifier });
      for await (const { DBClusters = [] } of pages) yield* DBClusters;
    });

  async function* snapshots(
    kind: ServerKind,
    filter: { id?: string; server?: string; SnapshotType?: string; IncludeShared?: boolean },
  ): AsyncGenerator<ServerSnapshot> {
    const { id, server, ...rest } = filter;
    if (kind === 'instance') {
      const pages = paginateDescribeDBSnapshots(paging, {
        ...rest,
        ...(id === undefined ? {} : { DBSnapshotIdentifier: id }),
        ...(server === undefined ? {} : { DBInstanceIdentifier: server }),
      });
      for await (const { DBSnapshots = [] } of pages) yield* DBSnapshots.map(fromInstanceSnapshot);
      return;
    }
    const pages = paginateDescribeDBClusterSnapshots(paging, {
      ...rest,
      ...(id === undefined ? {} : { DBClusterSnapshotIdentifier: id }),
      ...(server === undefined ? {} : { DBClusterIdentifier: server }),
    });
    for await (const { DBClusterSnapshots = [] } of pages) {
      yield* DBClusterSnapshots.map(fromClusterSnapshot);
    }
  }

  async function findRestored(restore: RestoredServerName): Promise<RestoredServer | undefined> {
    const { identifier } = restore.target;
    if (restore.kind === 'instance') {
      const instance = await findInstance(identifier);
      return instance && restoredInstance(instance, restore);
    }
    // The writer first: the address is then at least as new as the news that somebody answers there.
    const writer = await findWriter(restore);
    const cluster = await findCluster(identifier);
    return cluster && restoredCluster(cluster, writer, restore);
  }

  const findWriter = ({ target }: RestoredServerName) =>
    target.writer === null ? undefined : findInstance(target.writer);

  /** What an earlier try of the same restore made; a server of somebody else is refused. */
  async function adopt(restore: PlannedServerRestore, cause: unknown): Promise<RestoredServer> {
    const existing = await findRestored(restore);
    if (existing?.ours) return existing;
    throw nameTaken(restore.target.identifier, cause);
  }

  const start = async (restore: PlannedServerRestore): Promise<RestoredServer | undefined> => {
    const isSnapshot = restore.origin.type === 'snapshot';
    if (restore.kind === 'instance') {
      const { DBInstance: made } = isSnapshot
        ? await client.send(
            new RestoreDBInstanceFromDBSnapshotCommand(instanceFromSnapshot(restore)),
          )
        : await client.send(
            new RestoreDBInstanceToPointInTimeCommand(instanceToPointInTime(restore)),
          );
      return made && restoredInstance(made, restore);
    }
    const { DBCluster: made } = isSnapshot
      ? await client.send(new RestoreDBClusterFromSnapshotCommand(clusterFromSnapshot(restore)))
      : await client.send(new RestoreDBClusterToPointInTimeCommand(clusterToPointInTime(restore)));
    return made && restoredCluster(made, undefined, restore);
  };

  /** Asks for it where that was not done yet; what it is, once it is in force. */
  async function ownLogin(restore: RestoredServerName): Promise<ServerLogin | undefined> {
    const { identifier } = restore.target;
    const instance = restore.kind === 'instance' ? await findInstance(identifier) : undefined;
    const cluster = restore.kind === 'cluster' ? await findCluster(identifier) : undefined;
    const found = instance ?? cluster;
    if (!found || !isOfRestore(tagsOf(found.TagList), restore)) {
      throw new InstanceNotFound(`the server ${identifier} is gone, or is not of this drill`);
    }
    const { MasterUsername: user, MasterUserSecret: secret } = found;
    if (!secret) {
      const change = { ManageMasterUserPassword: true, ApplyImmediately: true };
      await (instance
        ? client.send(new ModifyDBInstanceCommand({ DBInstanceIdentifier: identifier, ...change }))
        : client.send(new ModifyDBClusterCommand({ DBClusterIdentifier: identifier, ...change })));
      return undefined;
    }
    const status = instance?.DBInstanceStatus ?? cluster?.Status ?? '';
    const inForce = secret.SecretStatus === 'active' && standingOf(status) === 'available';
    if (!inForce || user === undefined || secret.SecretArn === undefined) return undefined;
    return { user, secretArn: secret.SecretArn };
  }

  async function* drilledServers(): AsyncGenerator<DrilledServer> {
    for await (const { DBInstances = [] } of paginateDescribeDBInstances(paging, {})) {
      for (const instance of DBInstances) {
        // The writer of a cluster goes with its cluster.
        if (instance.DBClusterIdentifier !== undefined) continue;
        const { DBInstanceIdentifier = '', DBInstanceStatus = 'unknown', TagList } = instance;
        yield* drilled('instance', DBInstanceIdentifier, DBInstanceStatus, tagsOf(TagList));
      }
    }
    for await (const { DBClusters = [] } of paginateDescribeDBClusters(paging, {})) {
      for (const { DBClusterIdentifier = '', Status = 'unknown', TagList } of DBClusters) {
        yield* drilled('cluster', DBClusterIdentifier, Status, tagsOf(TagList));
      }
    }
  }

  return {
    async describe(kind, identifier) {
      if (kind === 'instance') {
        const instance = await findInstance(identifier);
        return instance && sourceInstance(instance);
      }
      const cluster = await findCluster(identifier);
      if (!cluster) return undefined;
      const members = cluster.DBClusterMembers ?? [];
      const writer = members.find(({ IsClusterWriter }) => IsClusterWriter)?.DBInstanceIdentifier;
      return sourceCluster(cluster, writer === undefined ? undefined : await findInstance(writer));
    },

    findSnapshot(kind, idOrArn) {
      const type = /^(rds|awsbackup):/.exec(nameOfSnapshot(idOrArn))?.[1];
      return firstOf(
        `describe snapshot ${idOrArn}`,
        () =>
          snapshots(kind, {
            id: idOrArn,
            // RDS asks for the type of one that it, or AWS Backup, named.
            ...(type === undefined ? {} : { SnapshotType: type === 'rds' ? 'automated' : type }),
            ...(idOrArn.startsWith('arn:') && type === undefined ? { IncludeShared: true } : {}),
          }),
        // Of another region, or of the other kind of server: RDS calls that a bad value.
        (error) => isNotFound(error) || awsErrorName(error) === 'InvalidParameterValue',
      );
    },

    async listSnapshots(kind, identifier) {
      const found: ServerSnapshot[] = [];
      try {
        for (const filter of [
          { SnapshotType: 'manual' },
          { SnapshotType: 'automated', server: identifier },
          { SnapshotType: 'awsbackup', server: identifier },
        ]) {
          for await (const snapshot of snapshots(kind, filter)) found.push(snapshot);
        }
      } catch (error) {
        throw translateAwsError(error, `list the snapshots of ${identifier}`);
      }
      return found;
    },

    async restoreWindow(kind, identifier) {
      if (kind === 'instance') {
        const backup = await firstOf(`describe the backups of ${identifier}`, async function* () {
          const pages = paginateDescribeDBInstanceAutomatedBackups(paging, {
            DBInstanceIdentifier: identifier,
          });
          for await (const { DBInstanceAutomatedBackups = [] } of pages) {
            yield* DBInstanceAutomatedBackups.toSorted(activeFirst);
          }
        });
        return backup && windowOf(backup, backup.DbiResourceId);
      }
      const cluster = await findCluster(identifier);
      if (cluster) {
        const { EarliestRestorableTime: earliest, LatestRestorableTime: latest } = cluster;
        return latest && { earliest, latest, keptResourceId: null };
      }
      const backup = await firstOf(`describe the backups of ${identifier}`, async function* () {
        const pages = paginateDescribeDBClusterAutomatedBackups(paging, {
          DBClusterIdentifier: identifier,
        });
        for await (const { DBClusterAutomatedBackups = [] } of pages) {
          yield* DBClusterAutomatedBackups.toSorted(activeFirst);
        }
      });
      return backup && windowOf(backup, backup.DbClusterResourceId);
    },

    async restore(restore) {
      try {
        const made = await start(restore);
        if (made) return { ...made, adopted: false };
      } catch (error) {
        if (!isNameTaken(error)) throw translateRestoreError(error, restore);
        return { ...(await adopt(restore, error)), adopted: true };
      }
      return { ...(await adopt(restore, undefined)), adopted: false };
    },

    findRestored,

    async ownLogin(restore) {
      try {
        return await ownLogin(restore);
      } catch (error) {
        throw translateRestoreError(error, restore);
      }
    },

    async listDrilled() {
      try {
        const found: DrilledServer[] = [];
        for await (const server of drilledServers()) found.push(server);
        return found;
      } catch (error) {
        throw translateAwsError(error, 'list the servers of drills');
      }
    },

    async addWriter(restore) {
      try {
        await client.send(new CreateDBInstanceCommand(writerOfCluster(restore)));
      } catch (error) {
        if (!isNameTaken(error)) throw translateRestoreError(error, restore);
        const existing = await findWriter(restore);
        if (!existing || !isOurMember(existing, restore)) {
          throw nameTaken(restore.target.writer ?? '', error);
        }
      }
    },

    async deleteRestored(restore) {
      const { identifier, writer } = restore.target;
      const existing = await findRestored(restore);
      if (!existing) return 'absent';
      if (!existing.ours) return 'not-ours';
      try {
        if (restore.kind === 'instance') {
          if (existing.status !== 'deleting') {
            await client.send(
              new DeleteDBInstanceCommand({
                DBInstanceIdentifier: identifier,
                SkipFinalSnapshot: true,
                DeleteAutomatedBackups: true,
              }),
            );
          }
          return 'deleting';
        }
        // The instance first: RDS keeps a cluster that has one which is not being deleted.
        const member = await findWriter(restore);
        if (member && isOurMember(member, restore) && member.DBInstanceStatus !== 'deleting') {
          await client.send(
            new DeleteDBInstanceCommand({
              DBInstanceIdentifier: writer ?? '',
              SkipFinalSnapshot: true,
            }),
          );
        }
        const cluster = await findCluster(identifier);
        if (cluster && cluster.Status !== 'deleting') {
          await client.send(
            new DeleteDBClusterCommand({
              DBClusterIdentifier: identifier,
              SkipFinalSnapshot: true,
              DeleteAutomatedBackups: true,
            }),
          );
        }
      } catch (error) {
        // Gone since we looked: what was wanted.
        if (!isNotFound(error)) throw translateRestoreError(error, restore);
      }
      return 'deleting';
    },
  };
}

/** By its tags and its name: both must say so before anything is deleted for it. */
function drilled(
  kind: ServerKind,
  identifier: string,
  status: string,
  tags: Readonly<Record<string, string>>,
): DrilledServer[] {
  const drill = drillOf(tags);
  if (!drill || !isDrillServerName(identifier)) return [];
  const { executionArn, ...of } = drill;
  const writer = kind === 'cluster' ? restoredWriterName(identifier) : null;
  return [{ name: { ...of, kind, target: { identifier, writer } }, executionArn, status }];
}

/** The first of what RDS answers; undefined where it says that there is none. */
async function firstOf<Item>(
  what: string,
  ask: () => AsyncIterable<Item>,
  meansNone: (error: unknown) => boolean = isNotFound,
): Promise<Item | undefined> {
  try {
    for await (const item of ask()) return item;
  } catch (error) {
    if (!meansNone(error)) throw translateAwsError(error, what);
  }
  return undefined;
}

const isNotFound = (error: unknown) =>
  /^DB(Instance|Cluster)(Snapshot|AutomatedBackup)?NotFound(Fault)?$|^DBSnapshotNotFound(Fault)?$/.test(
    awsErrorName(error),
  );
const isNameTaken = (error: unknown) =>
  /^DB(Instance|Cluster)AlreadyExists(Fault)?$/.test(awsErrorName(error));

function nameTaken(identifier: string, cause: unknown) {
  return new TargetNotEmpty(`a server ${identifier} exists that this restore did not make`, {
    remedy: 'name another target.identifier; the existing server was not touched',
    cause,
  });
}

type AutomatedBackup = DBInstanceAutomatedBackup | DBClusterAutomatedBackup;

/** A server that is there has an active one; of one that is gone, the newest that was kept counts. */
function activeFirst(a: AutomatedBackup, b: AutomatedBackup): number {
  const rank = ({ Status, RestoreWindow: window }: AutomatedBackup) =>
    (Status === 'active' ? 1e15 : 0) + (window?.LatestTime?.getTime() ?? 0);
  return rank(b) - rank(a);
}

function windowOf(
  { Status: status, RestoreWindow: window }: AutomatedBackup,
  resourceId: string | undefined,
): RestoreWindow | undefined {
  const { EarliestTime: earliest, LatestTime: latest } = window ?? {};
  const isKept = status === 'retained';
  return latest && { earliest, latest, keptResourceId: isKept ? (resourceId ?? null) : null };
}

function restoredInstance(instance: DBInstance, restore: RestoredServerName): RestoredServer {
  const { Address: host, Port: port } = instance.Endpoint ?? {};
  return {
    identifier: restore.target.identifier,
    arn: instance.DBInstanceArn ?? '',
    status: instance.DBInstanceStatus ?? 'unknown',
    ours: isOfRestore(tagsOf(instance.TagList), restore),
    needsWriter: false,
    endpoint: host === undefined || port === undefined ? undefined : { host, port },
  };
}

/** As far as its writer is: a cluster without one takes no connections. */
function restoredCluster(
  cluster: DBCluster,
  writer: DBInstance | undefined,
  restore: RestoredServerName,
): RestoredServer {
  const { Endpoint: host, Port: port } = cluster;
  const own = cluster.Status ?? 'unknown';
  const isReady = standingOf(own) === 'available';
  return {
    identifier: restore.target.identifier,
    arn: cluster.DBClusterArn ?? '',
    status: isReady ? (writer?.DBInstanceStatus ?? 'without a writer') : own,
    ours: isOfRestore(tagsOf(cluster.TagList), restore),
    needsWriter: isReady && writer === undefined,
    endpoint: host === undefined || port === undefined ? undefined : { host, port },
  };
}

function isOurMember(instance: DBInstance, restore: RestoredServerName): boolean {
  return (
    instance.DBClusterIdentifier === restore.target.identifier &&
    isOfRestore(tagsOf(instance.TagList), restore)
  );
}
