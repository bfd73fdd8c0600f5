import {
  engineOf,
  type Kind,
  MASTER_USER,
  type Server,
  type Snapshot,
  tagList,
  terms,
} from './rds-model.ts';

/** Servers and snapshots in the words of the RDS API. */

const KMS_KEY = 'arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-4000-8000-000000000000';

/** What a server has that nobody said anything about: members of DBInstance, or of DBCluster. */
export function ordinaryAttributes(
  kind: Kind,
  engineVersion: string,
  isMember = false,
): Readonly<Record<string, unknown>> {
  const major = engineVersion.split('.')[0];
  const shared = {
    AutoMinorVersionUpgrade: true,
    PubliclyAccessible: false,
    StorageEncrypted: true,
    KmsKeyId: KMS_KEY,
    BackupRetentionPeriod: 7,
    VpcSecurityGroups: [{ VpcSecurityGroupId: 'sg-00000000000000000', Status: 'active' }],
    NetworkType: 'IPV4',
    IAMDatabaseAuthenticationEnabled: false,
    CopyTagsToSnapshot: false,
    DeletionProtection: false,
    EnabledCloudwatchLogsExports: [],
  };
  if (kind === 'cluster') {
    return {
      ...shared,
      DBSubnetGroup: 'default',
      DBClusterParameterGroup: `default.aurora-postgresql${major}`,
      StorageType: 'aurora',
    };
  }
  const family = isMember ? 'aurora-postgresql' : 'postgres';
  return {
    ...shared,
    DBInstanceClass: 'db.t4g.medium',
    DBSubnetGroup: { DBSubnetGroupName: 'default' },
    DBParameterGroups: [groupStatus(`default.${family}${major}`)],
    OptionGroupMemberships: [{ OptionGroupName: `default:${family}-${major}`, Status: 'in-sync' }],
    CACertificateIdentifier: 'rds-ca-rsa2048-g1',
    MultiAZ: false,
    ...(isMember
      ? { StorageType: 'aurora' }
      : { StorageType: 'gp3', Iops: 3000, StorageThroughput: 125 }),
  };
}

export function groupStatus(name: unknown): object {
  return { DBParameterGroupName: name, ParameterApplyStatus: 'in-sync' };
}

export interface Window {
  readonly earliest: Date;
  readonly latest: Date;
}

export function describeServer(
  server: Server,
  { members, window }: { members: readonly Server[]; window: Window | undefined },
): object {
  const { kind, attributes, endpoint } = server;
  const isAurora = kind === 'cluster' || server.clusterIdentifier !== undefined;
  const shared = {
    ...attributes,
    Engine: engineOf(isAurora ? 'cluster' : 'instance'),
    EngineVersion: server.engineVersion,
    AllocatedStorage: server.allocatedGiB,
    LatestRestorableTime: window?.latest,
    MasterUsername: MASTER_USER,
    MasterUserSecret: server.masterSecret && {
      SecretArn: server.masterSecret.arn,
      SecretStatus: server.masterSecret.isActive ? 'active' : 'creating',
    },
    TagList: tagList(server.tags),
  };
  if (kind === 'cluster') {
    return {
      ...shared,
      DBClusterIdentifier: server.identifier,
      DBClusterArn: server.arn,
      DbClusterResourceId: server.resourceId,
      Status: server.status,
      Endpoint: endpoint?.host,
      Port: endpoint?.port,
      ClusterCreateTime: server.created,
      EarliestRestorableTime: window?.earliest,
      DBClusterMembers: members.map(({ identifier }) => ({
        DBInstanceIdentifier: identifier,
        IsClusterWriter: true,
      })),
    };
  }
  return {
    ...shared,
    DBInstanceIdentifier: server.identifier,
    DBInstanceArn: server.arn,
    DbiResourceId: server.resourceId,
    DBInstanceStatus: server.status,
    DBClusterIdentifier: server.clusterIdentifier,
    Endpoint: endpoint && { Address: endpoint.host, Port: endpoint.port },
    InstanceCreateTime: server.created,
  };
}

export function describeSnapshot(snapshot: Snapshot): object {
  const { kind, id, arn, type, server, status, createTime, tags } = snapshot;
  const { prefix, serverName } = terms[kind];
  const { attributes } = server;
  const [options] = (attributes['OptionGroupMemberships'] ?? []) as { OptionGroupName?: string }[];
  return {
    [`${prefix}SnapshotIdentifier`]: id,
    [`${prefix}SnapshotArn`]: arn,
    [`${serverName}Identifier`]: server.identifier,
    [kind === 'cluster' ? 'DbClusterResourceId' : 'DbiResourceId']: server.resourceId,
    SnapshotCreateTime: createTime,
    Engine: engineOf(kind),
    EngineVersion: server.engineVersion,
    AllocatedStorage: server.allocatedGiB,
    Status: status,
    Port: server.endpoint?.port,
    SnapshotType: type,
    PercentProgress: status === 'available' ? 100 : 0,
    KmsKeyId: attributes['KmsKeyId'],
    StorageType: attributes['StorageType'],
    Iops: attributes['Iops'],
    ...(kind === 'cluster' ? {} : { OptionGroupName: options?.OptionGroupName }),
    StorageThroughput: attributes['StorageThroughput'],
    IAMDatabaseAuthenticationEnabled: attributes['IAMDatabaseAuthenticationEnabled'],
    TagList: tagList(tags),
  };
}

export function describeAutomatedBackup(
  server: Server,
  window: Window,
  status: 'active' | 'retained',
): object {
  const isCluster = server.kind === 'cluster';
  const { serverName } = terms[server.kind];
  return {
    [`${serverName}Identifier`]: server.identifier,
    [`${serverName}Arn`]: server.arn,
    [isCluster ? 'DbClusterResourceId' : 'DbiResourceId']: server.resourceId,
    Engine: engineOf(server.kind),
    EngineVersion: server.engineVersion,
    Status: status,
    RestoreWindow: { EarliestTime: window.earliest, LatestTime: window.latest },
  };
}
