import type {
  CreateDBInstanceMessage,
  DBCluster,
  DBClusterSnapshot,
  DBInstance,
  DBSnapshot,
  RestoreDBClusterFromSnapshotMessage,
  RestoreDBClusterToPointInTimeMessage,
  RestoreDBInstanceFromDBSnapshotMessage,
  RestoreDBInstanceToPointInTimeMessage,
  Tag,
} from '@aws-sdk/client-rds';
import type {
  PlannedServerRestore,
  ServerSettings,
  ServerSnapshot,
  SourceServer,
} from '#contracts/restore-server.ts';

/** Our words for a server and its settings, from those of the RDS API and back. */

export function tagsOf(list: readonly Tag[] | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries((list ?? []).map(({ Key = '', Value = '' }) => [Key, Value]));
}

export function sourceInstance(instance: DBInstance): SourceServer {
  return {
    identifier: instance.DBInstanceIdentifier ?? '',
    engine: instance.Engine ?? '',
    engineVersion: instance.EngineVersion ?? '',
    allocatedGiB: instance.AllocatedStorage ?? null,
    resourceId: instance.DbiResourceId ?? null,
    settings: {
      ...ofInstance(instance),
      subnetGroup: instance.DBSubnetGroup?.DBSubnetGroupName ?? null,
      securityGroups: groupIds(instance.VpcSecurityGroups),
      clusterParameterGroup: null,
      optionGroup: instance.OptionGroupMemberships?.[0]?.OptionGroupName ?? null,
      storageType: instance.StorageType ?? null,
      iops: instance.Iops ?? null,
      storageThroughput: instance.StorageThroughput ?? null,
      port: instance.Endpoint?.Port ?? null,
      multiAz: instance.MultiAZ ?? false,
      iamAuthentication: instance.IAMDatabaseAuthenticationEnabled ?? false,
      logExports: instance.EnabledCloudwatchLogsExports ?? [],
      networkType: instance.NetworkType ?? null,
      kmsKeyId: instance.KmsKeyId ?? null,
      copyTagsToSnapshot: instance.CopyTagsToSnapshot ?? false,
      serverless: null,
      deletionProtection: instance.DeletionProtection ?? false,
      tags: tagsOf(instance.TagList),
    },
  };
}

/** Undefined: the cluster has no writer, as one that is headless. */
export function sourceCluster(cluster: DBCluster, writer: DBInstance | undefined): SourceServer {
  const scaling = cluster.ServerlessV2ScalingConfiguration;
  return {
    identifier: cluster.DBClusterIdentifier ?? '',
    engine: cluster.Engine ?? '',
    engineVersion: cluster.EngineVersion ?? '',
    allocatedGiB: null,
    resourceId: cluster.DbClusterResourceId ?? null,
    settings: {
      ...ofInstance(writer ?? {}),
      subnetGroup: cluster.DBSubnetGroup ?? null,
      securityGroups: groupIds(cluster.VpcSecurityGroups),
      clusterParameterGroup: cluster.DBClusterParameterGroup ?? null,
      optionGroup: null,
      // `aurora` is the standard one, and not a value that a restore takes everywhere.
      storageType: cluster.StorageType === 'aurora' ? null : (cluster.StorageType ?? null),
      iops: null,
      storageThroughput: null,
      port: cluster.Port ?? null,
      multiAz: false,
      iamAuthentication: cluster.IAMDatabaseAuthenticationEnabled ?? false,
      logExports: cluster.EnabledCloudwatchLogsExports ?? [],
      networkType: cluster.NetworkType ?? null,
      kmsKeyId: cluster.KmsKeyId ?? null,
      copyTagsToSnapshot: cluster.CopyTagsToSnapshot ?? false,
      serverless: scaling
        ? {
            minCapacity: scaling.MinCapacity ?? 0,
            maxCapacity: scaling.MaxCapacity ?? 0,
            secondsUntilAutoPause: scaling.SecondsUntilAutoPause ?? null,
          }
        : null,
      deletionProtection: cluster.DeletionProtection ?? false,
      tags: tagsOf(cluster.TagList),
    },
  };
}

function ofInstance(instance: DBInstance) {
  return {
    instanceClass: instance.DBInstanceClass ?? null,
    parameterGroup: instance.DBParameterGroups?.[0]?.DBParameterGroupName ?? null,
    caCertificate: instance.CACertificateIdentifier ?? null,
    autoMinorVersionUpgrade: instance.AutoMinorVersionUpgrade ?? true,
    publiclyAccessible: instance.PubliclyAccessible ?? false,
  };
}

function groupIds(groups: DBInstance['VpcSecurityGroups']): string[] {
  return (groups ?? []).flatMap(({ VpcSecurityGroupId: id }) => (id === undefined ? [] : [id]));
}

export function fromInstanceSnapshot(snapshot: DBSnapshot): ServerSnapshot {
  return {
    snapshotId: snapshot.DBSnapshotIdentifier ?? '',
    arn: snapshot.DBSnapshotArn ?? '',
    serverIdentifier: snapshot.DBInstanceIdentifier ?? '',
    resourceId: snapshot.DbiResourceId ?? null,
    ...ofSnapshot(snapshot),
    settings: {
      ...settingsOfSnapshot(snapshot),
      optionGroup: snapshot.OptionGroupName ?? null,
      storageType: snapshot.StorageType ?? null,
      iops: snapshot.Iops ?? null,
      storageThroughput: snapshot.StorageThroughput ?? null,
    },
  };
}

export function fromClusterSnapshot(snapshot: DBClusterSnapshot): ServerSnapshot {
  return {
    snapshotId: snapshot.DBClusterSnapshotIdentifier ?? '',
    arn: snapshot.DBClusterSnapshotArn ?? '',
    serverIdentifier: snapshot.DBClusterIdentifier ?? '',
    resourceId: snapshot.DbClusterResourceId ?? null,
    ...ofSnapshot(snapshot),
    settings: {
      ...settingsOfSnapshot(snapshot),
      optionGroup: null,
      storageType: snapshot.StorageType === 'aurora' ? null : (snapshot.StorageType ?? null),
      iops: null,
      storageThroughput: null,
    },
  };
}

function ofSnapshot(snapshot: DBSnapshot | DBClusterSnapshot) {
  return {
    type: snapshot.SnapshotType ?? 'unknown',
    status: snapshot.Status ?? 'unknown',
    engine: snapshot.Engine ?? '',
    engineVersion: snapshot.EngineVersion ?? '',
    sizeGiB: snapshot.AllocatedStorage ?? null,
    createdAt: snapshot.SnapshotCreateTime,
    tags: tagsOf(snapshot.TagList),
  };
}

function settingsOfSnapshot(snapshot: DBSnapshot | DBClusterSnapshot) {
  return {
    // Aurora says 0 where it does not know.
    port: snapshot.Port || null,
    iamAuthentication: snapshot.IAMDatabaseAuthenticationEnabled ?? false,
    kmsKeyId: snapshot.KmsKeyId ?? null,
  };
}

export function instanceFromSnapshot(
  restore: PlannedServerRestore,
): RestoreDBInstanceFromDBSnapshotMessage {
  return {
    DBInstanceIdentifier: restore.target.identifier,
    DBSnapshotIdentifier: snapshotOf(restore),
    ...instanceSettings(restore.target.settings),
  };
}

export function instanceToPointInTime(
  restore: PlannedServerRestore,
): RestoreDBInstanceToPointInTimeMessage {
  const { time, keptResourceId } = pointInTimeOf(restore);
  return {
    TargetDBInstanceIdentifier: restore.target.identifier,
    ...(keptResourceId === null
      ? { SourceDBInstanceIdentifier: restore.sourceIdentifier }
      : { SourceDbiResourceId: keptResourceId }),
    ...(time === null ? { UseLatestRestorableTime: true } : { RestoreTime: new Date(time) }),
    ...instanceSettings(restore.target.settings),
  };
}

export function clusterFromSnapshot(
  restore: PlannedServerRestore,
): RestoreDBClusterFromSnapshotMessage {
  return {
    DBClusterIdentifier: restore.target.identifier,
    SnapshotIdentifier: snapshotOf(restore),
    Engine: restore.engine,
    // Else RDS takes the default version of the region, whatever the snapshot's is.
    ...known({ EngineVersion: restore.engineVersion }),
    ...clusterSettings(restore.target.settings),
  };
}

export function clusterToPointInTime(
  restore: PlannedServerRestore,
): RestoreDBClusterToPointInTimeMessage {
  const { time, keptResourceId } = pointInTimeOf(restore);
  return {
    DBClusterIdentifier: restore.target.identifier,
    ...(keptResourceId === null
      ? { SourceDBClusterIdentifier: restore.sourceIdentifier }
      : { SourceDbClusterResourceId: keptResourceId }),
    ...(time === null ? { UseLatestRestorableTime: true } : { RestoreToTime: new Date(time) }),
    // A whole copy: a clone would share its pages with the source.
    RestoreType: 'full-copy',
    ...clusterSettings(restore.target.settings),
  };
}

export function writerOfCluster(restore: PlannedServerRestore): CreateDBInstanceMessage {
  const { identifier, writer, settings } = restore.target;
  return {
    DBInstanceIdentifier: writer ?? '',
    DBClusterIdentifier: identifier,
    DBInstanceClass: settings.instanceClass ?? undefined,
    Engine: restore.engine,
    PubliclyAccessible: settings.publiclyAccessible,
    AutoMinorVersionUpgrade: settings.autoMinorVersionUpgrade,
    ...known({
      DBParameterGroupName: settings.parameterGroup,
      CACertificateIdentifier: settings.caCertificate,
    }),
    Tags: tagList(settings.tags),
  };
}

function snapshotOf({ origin }: PlannedServerRestore): string {
  if (origin.type !== 'snapshot') throw new TypeError('the restore is of no snapshot');
  // Shared ones are known by their ARN alone.
  const isShared = origin.snapshotType === 'shared' || origin.snapshotType === 'public';
  return isShared ? origin.arn : origin.snapshotId;
}

function pointInTimeOf({ origin }: PlannedServerRestore) {
  if (origin.type !== 'point-in-time') throw new TypeError('the restore is of no point in time');
  return origin;
}

/** What both calls for instances take. An instance keeps its key: it cannot be named. */
function instanceSettings(settings: ServerSettings) {
  return {
    ...known({
      DBInstanceClass: settings.instanceClass,
      DBParameterGroupName: settings.parameterGroup,
      CACertificateIdentifier: settings.caCertificate,
      Iops: settings.iops,
      StorageThroughput: settings.storageThroughput,
    }),
    MultiAZ: settings.multiAz,
    PubliclyAccessible: settings.publiclyAccessible,
    AutoMinorVersionUpgrade: settings.autoMinorVersionUpgrade,
    ...sharedSettings(settings),
  };
}

/** What both calls for clusters take. */
function clusterSettings(settings: ServerSettings) {
  const { serverless } = settings;
  return {
    ...known({
      DBClusterParameterGroupName: settings.clusterParameterGroup,
      KmsKeyId: settings.kmsKeyId,
    }),
    ...(serverless && {
      ServerlessV2ScalingConfiguration: {
        MinCapacity: serverless.minCapacity,
        MaxCapacity: serverless.maxCapacity,
        ...known({ SecondsUntilAutoPause: serverless.secondsUntilAutoPause }),
      },
    }),
    ...sharedSettings(settings),
  };
}

function sharedSettings(settings: ServerSettings) {
  return {
    ...known({
      DBSubnetGroupName: settings.subnetGroup,
      OptionGroupName: settings.optionGroup,
      StorageType: settings.storageType,
      Port: settings.port,
      NetworkType: settings.networkType,
    }),
    ...(settings.securityGroups.length > 0 ? { VpcSecurityGroupIds: settings.securityGroups } : {}),
    ...(settings.logExports.length > 0 ? { EnableCloudwatchLogsExports: settings.logExports } : {}),
    EnableIAMDatabaseAuthentication: settings.iamAuthentication,
    CopyTagsToSnapshot: settings.copyTagsToSnapshot,
    DeletionProtection: settings.deletionProtection,
    Tags: tagList(settings.tags),
  };
}

/** Without those that RDS is to decide. */
function known<Fields extends Record<string, string | number | null>>(
  fields: Fields,
): { [Name in keyof Fields]?: NonNullable<Fields[Name]> } {
  const entries = Object.entries(fields).filter(([, value]) => value !== null);
  return Object.fromEntries(entries) as { [Name in keyof Fields]?: NonNullable<Fields[Name]> };
}

function tagList(tags: Readonly<Record<string, string>>): Tag[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}
