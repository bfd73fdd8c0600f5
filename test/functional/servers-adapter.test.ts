import {
  CreateDBInstanceCommand,
  DBClusterNotFoundFault,
  DBInstanceAlreadyExistsFault,
  DBInstanceNotFoundFault,
  DBSnapshotNotFoundFault,
  DeleteDBClusterCommand,
  DeleteDBInstanceCommand,
  DescribeDBClusterAutomatedBackupsCommand,
  DescribeDBClusterSnapshotsCommand,
  DescribeDBClustersCommand,
  DescribeDBInstanceAutomatedBackupsCommand,
  DescribeDBInstancesCommand,
  DescribeDBSnapshotsCommand,
  ModifyDBClusterCommand,
  ModifyDBInstanceCommand,
  RDSClient,
  RestoreDBClusterFromSnapshotCommand,
  RestoreDBClusterToPointInTimeCommand,
  RestoreDBInstanceFromDBSnapshotCommand,
  RestoreDBInstanceToPointInTimeCommand,
} from '@aws-sdk/client-rds';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeServers } from '#adapters/servers.ts';
import { makeServerRestore, makeServerSettings } from '#test/fakes.ts';

const rds = mockClient(RDSClient);
const servers = makeServers({ client: new RDSClient({}) });

const fault = { message: 'because of RDS', $metadata: { httpStatusCode: 400 } };
const restore = makeServerRestore();
const { identifier } = restore.target;
const Tags = Object.entries(restore.target.settings.tags).map(([Key, Value]) => ({ Key, Value }));
const arn = `arn:aws:rds:eu-west-1:123456789012:db:${identifier}`;
const made = {
  DBInstanceIdentifier: identifier,
  DBInstanceArn: arn,
  DBInstanceStatus: 'creating',
  TagList: Tags,
};
const pointInTime = {
  type: 'point-in-time',
  time: '2026-11-20T02:00:00.000Z',
  latest: '2026-11-20T02:55:00.000Z',
  keptResourceId: null,
} as const;
const clusterRestore = makeServerRestore({
  kind: 'cluster',
  sourceIdentifier: 'orders-cluster',
  engine: 'aurora-postgresql',
  target: {
    identifier: 'new',
    writer: 'new-1',
    settings: makeServerSettings({
      clusterParameterGroup: 'orders-cluster-17',
      optionGroup: null,
      iops: null,
      storageThroughput: null,
      storageType: 'aurora-iopt1',
      multiAz: false,
      deletionProtection: false,
      serverless: { minCapacity: 0, maxCapacity: 8, secondsUntilAutoPause: 600 },
      tags: restore.target.settings.tags,
    }),
  },
});
const cluster = { DBClusterIdentifier: 'new', Status: 'available', TagList: Tags };
const writer = {
  DBInstanceIdentifier: 'new-1',
  DBClusterIdentifier: 'new',
  DBInstanceStatus: 'available',
  TagList: Tags,
};

beforeEach(() => {
  rds.reset();
});

const named = (name: string, text = '') =>
  expect.objectContaining({ name, message: expect.stringContaining(text) });

describe('the restore of an instance', () => {
  it('from a snapshot names every setting, and lets RDS choose none of the network', async () => {
    rds.on(RestoreDBInstanceFromDBSnapshotCommand).resolves({ DBInstance: made });
    expect(await servers.restore(restore)).toEqual({
      identifier,
      arn,
      status: 'creating',
      ours: true,
      needsWriter: false,
      endpoint: undefined,
      adopted: false,
    });
    expect(rds.commandCalls(RestoreDBInstanceFromDBSnapshotCommand)[0]?.args[0].input).toEqual({
      DBInstanceIdentifier: identifier,
      DBSnapshotIdentifier: 'holdfast-orders-20261120t020000z-k3v9qd',
      DBInstanceClass: 'db.r6g.large',
      DBParameterGroupName: 'orders-17',
      CACertificateIdentifier: 'rds-ca-rsa2048-g1',
      MultiAZ: true,
      PubliclyAccessible: false,
      AutoMinorVersionUpgrade: true,
      DBSubnetGroupName: 'private',
      OptionGroupName: 'default:postgres-17',
      StorageType: 'gp3',
      Port: 5432,
      NetworkType: 'IPV4',
      VpcSecurityGroupIds: ['sg-0aaa'],
      EnableCloudwatchLogsExports: ['postgresql'],
      EnableIAMDatabaseAuthentication: true,
      CopyTagsToSnapshot: true,
      DeletionProtection: false,
      Tags,
    });
  });

  it('from a shared snapshot names it by its ARN', async () => {
    rds.on(RestoreDBInstanceFromDBSnapshotCommand).resolves({ DBInstance: made });
    const shared = 'arn:aws:rds:eu-west-1:210987654321:snapshot:theirs';
    const origin = { ...restore.origin, snapshotId: 'theirs', arn: shared, snapshotType: 'shared' };
    await servers.restore({ ...restore, origin } as typeof restore);
    expect(rds).toHaveReceivedCommandWith(RestoreDBInstanceFromDBSnapshotCommand, {
      DBSnapshotIdentifier: shared,
    });
  });

  it.each([
    [
      pointInTime,
      {
        SourceDBInstanceIdentifier: 'orders-prod',
        RestoreTime: new Date('2026-11-20T02:00:00.000Z'),
      },
    ],
    [
      { ...pointInTime, time: null },
      { SourceDBInstanceIdentifier: 'orders-prod', UseLatestRestorableTime: true },
    ],
    [
      { ...pointInTime, time: null, keptResourceId: 'db-GONE' },
      { SourceDbiResourceId: 'db-GONE', UseLatestRestorableTime: true },
    ],
  ])('to a point in time takes %j', async (origin, expected) => {
    rds.on(RestoreDBInstanceToPointInTimeCommand).resolves({ DBInstance: made });
    await servers.restore(makeServerRestore({ origin }));
    const [call] = rds.commandCalls(RestoreDBInstanceToPointInTimeCommand);
    const {
      SourceDBInstanceIdentifier,
      SourceDbiResourceId,
      RestoreTime,
      UseLatestRestorableTime,
    } = call?.args[0].input ?? {};
    const chosen = {
      SourceDBInstanceIdentifier,
      SourceDbiResourceId,
      RestoreTime,
      UseLatestRestorableTime,
    };
    expect(JSON.parse(JSON.stringify(chosen))).toEqual(JSON.parse(JSON.stringify(expected)));
    expect(call?.args[0].input).toMatchObject({
      TargetDBInstanceIdentifier: identifier,
      DBSubnetGroupName: 'private',
      Tags,
    });
  });

  it('that was asked for before answers with what was made then', async () => {
    rds.on(RestoreDBInstanceFromDBSnapshotCommand).rejects(new DBInstanceAlreadyExistsFault(fault));
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [made] });
    expect(await servers.restore(restore)).toMatchObject({ identifier, adopted: true, ours: true });
  });

  it.each([
    ['no tags', []],
    ['the tags of another restore', [...Tags, { Key: 'holdfast:restore', Value: 'another' }]],
    ['the tags of a snapshot of ours', [...Tags, { Key: 'holdfast:managed', Value: 'true' }]],
  ])('is refused where a server of that name has %s', async (_, TagList) => {
    rds.on(RestoreDBInstanceFromDBSnapshotCommand).rejects(new DBInstanceAlreadyExistsFault(fault));
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [{ ...made, TagList }] });
    await expect(servers.restore(restore)).rejects.toThrow(named('TargetNotEmpty', identifier));
  });

  it.each([
    ['DBSnapshotNotFoundFault', 'SnapshotNotFound', 'start again'],
    ['DBInstanceNotFoundFault', 'InstanceNotFound', 'restore a snapshot'],
    ['DBInstanceAutomatedBackupNotFoundFault', 'InstanceNotFound', 'restore a snapshot'],
    ['InvalidDBInstanceStateFault', 'InstanceNotAvailable', 'wait'],
    ['InstanceQuotaExceededFault', 'ServerRestoreFailed', 'Service Quotas'],
    ['StorageQuotaExceededFault', 'ServerRestoreFailed', 'Service Quotas'],
    ['InsufficientDBInstanceCapacityFault', 'ServerRestoreFailed', 'target.instanceClass'],
    ['KMSKeyNotAccessibleFault', 'ServerRestoreFailed', 'kms:CreateGrant'],
    ['InvalidRestoreFault', 'ServerRestoreFailed', 'another snapshot'],
    ['InvalidDBSnapshotStateFault', 'ServerRestoreFailed', 'wait until the snapshot'],
    ['PointInTimeRestoreNotEnabledFault', 'InvalidInput', 'automated backups'],
    ['DBSubnetGroupNotFoundFault', 'InvalidInput', 'correct what RDS names'],
    ['DBSubnetGroupDoesNotCoverEnoughAZs', 'InvalidInput', 'correct what RDS names'],
    ['DBParameterGroupNotFoundFault', 'InvalidInput', 'correct what RDS names'],
    ['InvalidParameterCombination', 'InvalidInput', 'because of RDS'],
    ['Throttling', 'Throttled', ''],
    ['AccessDenied', 'AccessDenied', 'policy'],
  ])('that RDS refuses with %s is %s', async (code, name, remedy) => {
    const error = Object.assign(new Error('because of RDS'), { name: code });
    rds.on(RestoreDBInstanceFromDBSnapshotCommand).rejects(error);
    await expect(servers.restore(restore)).rejects.toThrow(named(name, remedy));
  });
});

describe('the restore of a cluster', () => {
  it('names its settings, the version and Serverless capacity, and none of an instance', async () => {
    rds
      .on(RestoreDBClusterFromSnapshotCommand)
      .resolves({ DBCluster: { ...cluster, Status: 'creating' } });
    expect(await servers.restore(clusterRestore)).toMatchObject({
      status: 'creating',
      needsWriter: false,
    });
    expect(rds.commandCalls(RestoreDBClusterFromSnapshotCommand)[0]?.args[0].input).toEqual({
      DBClusterIdentifier: 'new',
      SnapshotIdentifier: 'holdfast-orders-20261120t020000z-k3v9qd',
      Engine: 'aurora-postgresql',
      EngineVersion: '17.4',
      DBClusterParameterGroupName: 'orders-cluster-17',
      KmsKeyId: clusterRestore.target.settings.kmsKeyId,
      ServerlessV2ScalingConfiguration: {
        MinCapacity: 0,
        MaxCapacity: 8,
        SecondsUntilAutoPause: 600,
      },
      DBSubnetGroupName: 'private',
      StorageType: 'aurora-iopt1',
      Port: 5432,
      NetworkType: 'IPV4',
      VpcSecurityGroupIds: ['sg-0aaa'],
      EnableCloudwatchLogsExports: ['postgresql'],
      EnableIAMDatabaseAuthentication: true,
      CopyTagsToSnapshot: true,
      DeletionProtection: false,
      Tags,
    });
  });

  it.each([
    [
      pointInTime,
      { SourceDBClusterIdentifier: 'orders-cluster', RestoreToTime: new Date(pointInTime.time) },
    ],
    [
      { ...pointInTime, time: null, keptResourceId: 'cluster-GONE' },
      { SourceDbClusterResourceId: 'cluster-GONE', UseLatestRestorableTime: true },
    ],
  ])('to a point in time is a whole copy: %j', async (origin, expected) => {
    rds.on(RestoreDBClusterToPointInTimeCommand).resolves({ DBCluster: cluster });
    await servers.restore({ ...clusterRestore, origin });
    expect(rds).toHaveReceivedCommandWith(RestoreDBClusterToPointInTimeCommand, {
      DBClusterIdentifier: 'new',
      RestoreType: 'full-copy',
      ...expected,
    });
  });

  it('is done when its writer is', async () => {
    rds
      .on(DescribeDBClustersCommand)
      .resolves({ DBClusters: [{ ...cluster, Endpoint: 'h', Port: 1 }] });
    rds.on(DescribeDBInstancesCommand).rejectsOnce(new DBInstanceNotFoundFault(fault));
    expect(await servers.findRestored(clusterRestore)).toMatchObject({ needsWriter: true });

    rds
      .on(DescribeDBInstancesCommand)
      .resolves({ DBInstances: [{ ...writer, DBInstanceStatus: 'creating' }] });
    expect(await servers.findRestored(clusterRestore)).toMatchObject({
      needsWriter: false,
      status: 'creating',
    });
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [writer] });
    expect(await servers.findRestored(clusterRestore)).toMatchObject({
      status: 'available',
      endpoint: { host: 'h', port: 1 },
    });
  });

  it('gets a writer of the class, in its own name', async () => {
    rds.on(CreateDBInstanceCommand).resolves({});
    await servers.addWriter(clusterRestore);
    expect(rds.commandCalls(CreateDBInstanceCommand)[0]?.args[0].input).toEqual({
      DBInstanceIdentifier: 'new-1',
      DBClusterIdentifier: 'new',
      DBInstanceClass: 'db.r6g.large',
      Engine: 'aurora-postgresql',
      PubliclyAccessible: false,
      AutoMinorVersionUpgrade: true,
      DBParameterGroupName: 'orders-17',
      CACertificateIdentifier: 'rds-ca-rsa2048-g1',
      Tags,
    });
  });

  it.each([
    ['ours', writer, undefined],
    ["another cluster's", { ...writer, DBClusterIdentifier: 'other' }, 'TargetNotEmpty'],
    ["somebody else's", { ...writer, TagList: [] }, 'TargetNotEmpty'],
  ])('finds a writer of that name there, which is %s', async (_, existing, error) => {
    rds.on(CreateDBInstanceCommand).rejects(new DBInstanceAlreadyExistsFault(fault));
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [existing] });
    const outcome = await servers.addWriter(clusterRestore).then(
      () => undefined,
      ({ name }: Error) => name,
    );
    expect(outcome).toBe(error);
  });
});

describe('the deletion of what a restore made', () => {
  it('takes no last snapshot and keeps no backups', async () => {
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [made] });
    rds.on(DeleteDBInstanceCommand).resolves({});
    expect(await servers.deleteRestored(restore)).toBe('deleting');
    expect(rds.commandCalls(DeleteDBInstanceCommand)[0]?.args[0].input).toEqual({
      DBInstanceIdentifier: identifier,
      SkipFinalSnapshot: true,
      DeleteAutomatedBackups: true,
    });
  });

  it.each([
    ['no tags', []],
    ['the source alone', Tags.filter(({ Key }) => Key === 'holdfast:source')],
    ['the tags of another restore', [...Tags, { Key: 'holdfast:restore', Value: 'another' }]],
    ['the tags of another source', [...Tags, { Key: 'holdfast:source', Value: 'billing' }]],
    ["a snapshot's tags", [...Tags, { Key: 'holdfast:managed', Value: 'true' }]],
  ])('never touches a server with %s', async (_, TagList) => {
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [{ ...made, TagList }] });
    rds.on(DescribeDBClustersCommand).resolves({ DBClusters: [{ ...cluster, TagList }] });
    expect(await servers.deleteRestored(restore)).toBe('not-ours');
    expect(await servers.deleteRestored(clusterRestore)).toBe('not-ours');
    expect(rds).not.toHaveReceivedCommand(DeleteDBInstanceCommand);
    expect(rds).not.toHaveReceivedCommand(DeleteDBClusterCommand);
  });

  it('begins with the writer of a cluster', async () => {
    rds.on(DescribeDBClustersCommand).resolves({ DBClusters: [cluster] });
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [writer] });
    rds.on(DeleteDBInstanceCommand).resolves({});
    rds.on(DeleteDBClusterCommand).resolves({});
    expect(await servers.deleteRestored(clusterRestore)).toBe('deleting');
    const deletions = rds.calls().map(({ args }) => args[0].constructor.name);
    expect(deletions.filter((name) => name.startsWith('Delete'))).toEqual([
      'DeleteDBInstanceCommand',
      'DeleteDBClusterCommand',
    ]);
    expect(rds).toHaveReceivedCommandWith(DeleteDBClusterCommand, {
      DBClusterIdentifier: 'new',
      SkipFinalSnapshot: true,
    });
  });

  it('leaves an instance in the name of the writer alone when it is not ours', async () => {
    rds.on(DescribeDBClustersCommand).resolves({ DBClusters: [cluster] });
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [{ ...writer, TagList: [] }] });
    rds.on(DeleteDBClusterCommand).resolves({});
    await servers.deleteRestored(clusterRestore);
    expect(rds).not.toHaveReceivedCommand(DeleteDBInstanceCommand);
  });

  it('that is under way, or done, is as good', async () => {
    rds.on(DescribeDBInstancesCommand).resolves({
      DBInstances: [{ ...made, DBInstanceStatus: 'deleting' }],
    });
    expect(await servers.deleteRestored(restore)).toBe('deleting');
    rds.on(DescribeDBInstancesCommand).rejects(new DBInstanceNotFoundFault(fault));
    expect(await servers.deleteRestored(restore)).toBe('absent');
    expect(rds).not.toHaveReceivedCommand(DeleteDBInstanceCommand);
  });

  it('that RDS cannot do yet is tried again', async () => {
    const error = Object.assign(new Error('creating'), { name: 'InvalidDBInstanceStateFault' });
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [made] });
    rds.on(DeleteDBInstanceCommand).rejects(error);
    await expect(servers.deleteRestored(restore)).rejects.toThrow(named('InstanceNotAvailable'));
  });
});

describe('the login of a restored server', () => {
  const managed = {
    ...made,
    DBInstanceStatus: 'available',
    MasterUsername: 'master',
    MasterUserSecret: { SecretArn: 'arn:of:secret', SecretStatus: 'active' },
  };

  it('is asked for once, and there when its secret is', async () => {
    const describes = rds.on(DescribeDBInstancesCommand);
    rds.on(ModifyDBInstanceCommand).resolves({});
    describes.resolves({ DBInstances: [{ ...made, DBInstanceStatus: 'available' }] });
    expect(await servers.ownLogin(restore)).toBeUndefined();
    const creating = { SecretArn: 'arn:of:secret', SecretStatus: 'creating' };
    describes.resolves({ DBInstances: [{ ...managed, MasterUserSecret: creating }] });
    expect(await servers.ownLogin(restore)).toBeUndefined();
    const resetting = { ...managed, DBInstanceStatus: 'resetting-master-credentials' };
    describes.resolves({ DBInstances: [resetting] });
    expect(await servers.ownLogin(restore)).toBeUndefined();
    describes.resolves({ DBInstances: [managed] });
    expect(await servers.ownLogin(restore)).toEqual({ user: 'master', secretArn: 'arn:of:secret' });
    expect(rds.commandCalls(ModifyDBInstanceCommand).map(({ args }) => args[0].input)).toEqual([
      {
        DBInstanceIdentifier: identifier,
        ManageMasterUserPassword: true,
        ApplyImmediately: true,
      },
    ]);
  });

  it("is a cluster's own", async () => {
    rds.on(DescribeDBClustersCommand).resolves({ DBClusters: [cluster] });
    rds.on(ModifyDBClusterCommand).resolves({});
    expect(await servers.ownLogin(clusterRestore)).toBeUndefined();
    expect(rds).toHaveReceivedCommandWith(ModifyDBClusterCommand, {
      DBClusterIdentifier: 'new',
      ManageMasterUserPassword: true,
    });
  });

  it('is never changed on a server of somebody else', async () => {
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [{ ...managed, TagList: [] }] });
    rds.on(DescribeDBClustersCommand).rejects(new DBClusterNotFoundFault(fault));
    await expect(servers.ownLogin(restore)).rejects.toThrow(named('InstanceNotFound'));
    await expect(servers.ownLogin(clusterRestore)).rejects.toThrow(named('InstanceNotFound'));
    expect(rds).not.toHaveReceivedCommand(ModifyDBInstanceCommand);
  });
});

describe('the servers that drills made', () => {
  const name = 'orders-prod-drill-20261120t030000z';
  const tags = [...Tags, { Key: 'holdfast:drill', Value: 'arn:of:execution' }];

  it('are found by their tags and their names, on every page', async () => {
    rds
      .on(DescribeDBInstancesCommand)
      .resolvesOnce({ DBInstances: [made, { ...made, TagList: tags }], Marker: 'more' })
      .resolves({
        DBInstances: [
          { ...made, DBInstanceIdentifier: name, TagList: tags },
          { ...made, DBInstanceIdentifier: `${name}-2`, TagList: [] },
          { ...made, DBInstanceIdentifier: name, DBClusterIdentifier: 'c', TagList: tags },
        ],
      });
    rds
      .on(DescribeDBClustersCommand)
      .resolves({ DBClusters: [{ ...cluster, DBClusterIdentifier: name, TagList: tags }] });
    const found = await servers.listDrilled();
    expect(found).toMatchObject([
      {
        name: { kind: 'instance', source: 'orders', target: { identifier: name, writer: null } },
        executionArn: 'arn:of:execution',
        status: 'creating',
      },
      { name: { kind: 'cluster', target: { identifier: name, writer: `${name}-1` } } },
    ]);
    expect(found).toHaveLength(2);
  });
});

describe('the snapshots of RDS', () => {
  it.each([
    ['by-hand', { DBSnapshotIdentifier: 'by-hand' }],
    ['rds:orders-prod-2026-11-20-02-05', { SnapshotType: 'automated' }],
    ['awsbackup:job-1', { SnapshotType: 'awsbackup' }],
    ['arn:aws:rds:eu-west-1:210987654321:snapshot:theirs', { IncludeShared: true }],
    [
      'arn:aws:rds:eu-west-1:123456789012:snapshot:rds:orders-prod-2026-11-20-02-05',
      { SnapshotType: 'automated' },
    ],
  ])('are found by their names: %s', async (id, expected) => {
    rds.on(DescribeDBSnapshotsCommand).resolves({ DBSnapshots: [{ DBSnapshotIdentifier: id }] });
    expect(await servers.findSnapshot('instance', id)).toMatchObject({ snapshotId: id });
    const [call] = rds.commandCalls(DescribeDBSnapshotsCommand);
    const { MaxRecords: _size, ...input } = call?.args[0].input ?? {};
    expect(input).toEqual({ DBSnapshotIdentifier: id, ...expected });
  });

  it('that do not exist are undefined; what else goes wrong is not', async () => {
    rds.on(DescribeDBSnapshotsCommand).rejects(new DBSnapshotNotFoundFault(fault));
    expect(await servers.findSnapshot('instance', 'gone')).toBeUndefined();
    const badValue = Object.assign(new Error('another region'), { name: 'InvalidParameterValue' });
    rds.on(DescribeDBSnapshotsCommand).rejects(badValue);
    expect(await servers.findSnapshot('instance', 'arn:…')).toBeUndefined();
    const denied = Object.assign(new Error('no'), { name: 'AccessDenied' });
    rds.on(DescribeDBClusterSnapshotsCommand).rejects(denied);
    await expect(servers.findSnapshot('cluster', 'x')).rejects.toThrow(named('AccessDenied'));
  });

  it('are the manual ones of the region, and the others of the server, on every page', async () => {
    const snapshot = (DBSnapshotIdentifier: string) => ({
      DBSnapshots: [{ DBSnapshotIdentifier }],
    });
    rds
      .on(DescribeDBSnapshotsCommand, { SnapshotType: 'manual' })
      .resolvesOnce({ ...snapshot('one'), Marker: 'more' })
      .resolvesOnce(snapshot('two'))
      .on(DescribeDBSnapshotsCommand, {
        SnapshotType: 'automated',
        DBInstanceIdentifier: 'orders-prod',
      })
      .resolves(snapshot('rds:three'))
      .on(DescribeDBSnapshotsCommand, {
        SnapshotType: 'awsbackup',
        DBInstanceIdentifier: 'orders-prod',
      })
      .resolves(snapshot('awsbackup:four'));
    const found = await servers.listSnapshots('instance', 'orders-prod');
    expect(found.map(({ snapshotId }) => snapshotId)).toEqual([
      'one',
      'two',
      'rds:three',
      'awsbackup:four',
    ]);
  });
});

describe('the window of points in time', () => {
  const at = (day: number) => new Date(Date.UTC(2026, 10, day));
  const window = { EarliestTime: at(1), LatestTime: at(20) };

  it('of an instance is that of its active backup', async () => {
    rds.on(DescribeDBInstanceAutomatedBackupsCommand).resolves({
      DBInstanceAutomatedBackups: [
        { Status: 'retained', RestoreWindow: { LatestTime: at(25) }, DbiResourceId: 'db-OLD' },
        { Status: 'active', RestoreWindow: window, DbiResourceId: 'db-NOW' },
      ],
    });
    expect(await servers.restoreWindow('instance', 'orders-prod')).toEqual({
      earliest: at(1),
      latest: at(20),
      keptResourceId: null,
    });
  });

  it('of an instance that is gone is that of its newest kept backup', async () => {
    rds.on(DescribeDBInstanceAutomatedBackupsCommand).resolves({
      DBInstanceAutomatedBackups: [
        { Status: 'retained', RestoreWindow: { LatestTime: at(5) }, DbiResourceId: 'db-1' },
        { Status: 'retained', RestoreWindow: window, DbiResourceId: 'db-2' },
      ],
    });
    expect(await servers.restoreWindow('instance', 'orders-prod')).toMatchObject({
      keptResourceId: 'db-2',
    });
  });

  it('of a cluster is its own, or that of its kept backup', async () => {
    rds
      .on(DescribeDBClustersCommand)
      .resolvesOnce({
        DBClusters: [{ EarliestRestorableTime: at(1), LatestRestorableTime: at(20) }],
      })
      .rejects(new DBClusterNotFoundFault(fault));
    expect(await servers.restoreWindow('cluster', 'c')).toEqual({
      earliest: at(1),
      latest: at(20),
      keptResourceId: null,
    });
    rds.on(DescribeDBClusterAutomatedBackupsCommand).resolves({
      DBClusterAutomatedBackups: [
        { Status: 'retained', RestoreWindow: window, DbClusterResourceId: 'cluster-1' },
      ],
    });
    expect(await servers.restoreWindow('cluster', 'c')).toMatchObject({
      keptResourceId: 'cluster-1',
    });
  });

  it('is none where there are no backups', async () => {
    rds.on(DescribeDBInstanceAutomatedBackupsCommand).resolves({ DBInstanceAutomatedBackups: [] });
    expect(await servers.restoreWindow('instance', 'orders-prod')).toBeUndefined();
  });
});

describe('a source', () => {
  it('that RDS does not know is undefined', async () => {
    rds.on(DescribeDBInstancesCommand).rejects(new DBInstanceNotFoundFault(fault));
    rds.on(DescribeDBClustersCommand).rejects(new DBClusterNotFoundFault(fault));
    expect(await servers.describe('instance', 'gone')).toBeUndefined();
    expect(await servers.describe('cluster', 'gone')).toBeUndefined();
  });

  it('that is a cluster has the class and the groups of its writer', async () => {
    rds.on(DescribeDBClustersCommand).resolves({
      DBClusters: [
        {
          Engine: 'aurora-postgresql',
          EngineVersion: '16.6',
          StorageType: 'aurora',
          DBClusterParameterGroup: 'cluster-group',
          DBClusterMembers: [
            { DBInstanceIdentifier: 'reader', IsClusterWriter: false },
            { DBInstanceIdentifier: 'writer', IsClusterWriter: true },
          ],
        },
      ],
    });
    rds.on(DescribeDBInstancesCommand, { DBInstanceIdentifier: 'writer' }).resolves({
      DBInstances: [
        {
          DBInstanceClass: 'db.r6g.xlarge',
          DBParameterGroups: [{ DBParameterGroupName: 'group' }],
        },
      ],
    });
    expect(await servers.describe('cluster', 'orders-cluster')).toMatchObject({
      settings: {
        instanceClass: 'db.r6g.xlarge',
        parameterGroup: 'group',
        clusterParameterGroup: 'cluster-group',
        storageType: null,
      },
    });
  });
});
