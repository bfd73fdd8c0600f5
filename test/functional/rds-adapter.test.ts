import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  CreateDBClusterSnapshotCommand,
  CreateDBSnapshotCommand,
  DBInstanceNotFoundFault,
  DBSnapshotAlreadyExistsFault,
  DBSnapshotNotFoundFault,
  DeleteDBSnapshotCommand,
  DescribeDBClusterSnapshotsCommand,
  DescribeDBSnapshotsCommand,
  InvalidDBClusterStateFault,
  InvalidDBInstanceStateFault,
  InvalidDBSnapshotStateFault,
  RDSClient,
  SnapshotQuotaExceededFault,
} from '@aws-sdk/client-rds';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeSnapshots } from '#adapters/snapshots.ts';
import { makePlan, makeSnapshotState } from '#test/fakes.ts';

const rds = mockClient(RDSClient);
const snapshots = makeSnapshots({ client: new RDSClient({}) });

const NOW = new Date('2026-11-20T02:00:05.000Z');
const ID = 'holdfast-orders-20261120t020000z-k3v9qd';
const ARN = `arn:aws:rds:eu-west-1:123456789012:snapshot:${ID}`;
const TAGS = {
  'holdfast:managed': 'true',
  'holdfast:source': 'orders',
  'holdfast:created-at': '2026-11-20T02:00:01.000Z',
};
const TagList = Object.entries(TAGS).map(([Key, Value]) => ({ Key, Value }));
const request = { plan: makePlan(), snapshotId: ID, tags: TAGS, now: NOW };
const cluster = makePlan({ engine: { type: 'aurora-cluster', identifier: 'orders-cluster' } });
const described = {
  DBSnapshotIdentifier: ID,
  DBSnapshotArn: ARN,
  Status: 'creating',
  PercentProgress: 40,
  AllocatedStorage: 20,
  TagList,
};
const fault = { message: 'because of RDS', $metadata: { httpStatusCode: 400 } };

beforeEach(() => {
  rds.reset();
});

describe('a snapshot of an instance', () => {
  it('is created with its tags', async () => {
    rds.on(CreateDBSnapshotCommand).resolves({ DBSnapshot: { ...described, PercentProgress: 0 } });
    expect(await snapshots.create(request)).toEqual({
      snapshotId: ID,
      arn: ARN,
      kind: 'instance',
      status: 'creating',
      adopted: false,
      startedAt: NOW.toISOString(),
      progressPercent: 0,
      sizeGiB: 20,
    });
    expect(rds).toHaveReceivedCommandWith(CreateDBSnapshotCommand, {
      DBInstanceIdentifier: 'orders-prod',
      DBSnapshotIdentifier: ID,
      Tags: TagList,
    });
  });

  it('that exists with our tags is adopted, with the time of its creation', async () => {
    rds.on(CreateDBSnapshotCommand).rejects(new DBSnapshotAlreadyExistsFault(fault));
    rds.on(DescribeDBSnapshotsCommand).resolves({ DBSnapshots: [described] });
    expect(await snapshots.create(request)).toMatchObject({
      adopted: true,
      progressPercent: 40,
      startedAt: '2026-11-20T02:00:01.000Z',
    });
  });

  it.each([
    ['no tags', []],
    [
      "another source's tags",
      [
        { Key: 'holdfast:managed', Value: 'true' },
        { Key: 'holdfast:source', Value: 'billing' },
      ],
    ],
    ['the source alone', [{ Key: 'holdfast:source', Value: 'orders' }]],
  ])("that exists with %s is somebody else's", async (_, tags) => {
    rds.on(CreateDBSnapshotCommand).rejects(new DBSnapshotAlreadyExistsFault(fault));
    rds.on(DescribeDBSnapshotsCommand).resolves({ DBSnapshots: [{ ...described, TagList: tags }] });
    await expect(snapshots.create(request)).rejects.toThrow(
      expect.objectContaining({ name: 'SnapshotNotOurs' }),
    );
  });

  it.each([
    [new SnapshotQuotaExceededFault(fault), 'SnapshotQuotaReached', 'delete manual snapshots'],
    [new InvalidDBInstanceStateFault(fault), 'InstanceNotAvailable', 'wait until it is available'],
    [new DBInstanceNotFoundFault(fault), 'InstanceNotFound', 'correct engine.identifier'],
    [Object.assign(new Error('slow down'), { name: 'ThrottlingException' }), 'Throttled', ''],
    [Object.assign(new Error('no'), { name: 'AccessDenied' }), 'AccessDenied', 'policy'],
  ])('that RDS refuses with %s is %s', async (error, name, remedy) => {
    rds.on(CreateDBSnapshotCommand).rejects(error);
    await expect(snapshots.create(request)).rejects.toThrow(
      expect.objectContaining({ name, message: expect.stringContaining(remedy) }),
    );
  });

  it('that is available is complete, whatever its percentage says', async () => {
    const available = { ...described, Status: 'available', PercentProgress: 99 };
    rds.on(DescribeDBSnapshotsCommand).resolves({ DBSnapshots: [available] });
    const state = makeSnapshotState({ status: 'creating', adopted: true });
    expect(await snapshots.describe(state)).toMatchObject({
      status: 'available',
      progressPercent: 100,
      adopted: true,
      startedAt: state.startedAt,
    });
  });

  it.each(['failed', 'deleting', 'incompatible-restore'])(
    'that is %s has failed',
    async (Status) => {
      rds.on(DescribeDBSnapshotsCommand).resolves({ DBSnapshots: [{ ...described, Status }] });
      await expect(snapshots.describe(makeSnapshotState())).rejects.toThrow(
        expect.objectContaining({
          name: 'SnapshotFailed',
          message: expect.stringContaining(Status),
        }),
      );
    },
  );

  it.each([
    [
      'an error',
      () => rds.on(DescribeDBSnapshotsCommand).rejects(new DBSnapshotNotFoundFault(fault)),
    ],
    ['an empty list', () => rds.on(DescribeDBSnapshotsCommand).resolves({ DBSnapshots: [] })],
  ])('that is gone, told by %s, has failed', async (_, answer) => {
    answer();
    await expect(snapshots.describe(makeSnapshotState())).rejects.toThrow(
      expect.objectContaining({
        name: 'SnapshotFailed',
        message: expect.stringContaining('is gone'),
      }),
    );
  });
});

describe('a snapshot of a cluster', () => {
  const snapshot = {
    DBClusterSnapshotIdentifier: ID,
    DBClusterSnapshotArn: ARN,
    Status: 'creating',
    TagList,
  };

  it('is created and described by the calls for clusters', async () => {
    rds.on(CreateDBClusterSnapshotCommand).resolves({ DBClusterSnapshot: snapshot });
    rds.on(DescribeDBClusterSnapshotsCommand).resolves({ DBClusterSnapshots: [snapshot] });
    const state = await snapshots.create({ ...request, plan: cluster });
    expect(state).toMatchObject({ kind: 'cluster', snapshotId: ID, sizeGiB: null });
    expect(await snapshots.describe(state)).toEqual(state);
    expect(rds).toHaveReceivedCommandWith(CreateDBClusterSnapshotCommand, {
      DBClusterIdentifier: 'orders-cluster',
    });
  });

  it('of one that is stopped is InstanceNotAvailable', async () => {
    rds.on(CreateDBClusterSnapshotCommand).rejects(new InvalidDBClusterStateFault(fault));
    await expect(snapshots.create({ ...request, plan: cluster })).rejects.toThrow(
      expect.objectContaining({ name: 'InstanceNotAvailable' }),
    );
  });
});

describe('the snapshots of a source', () => {
  it('are those with its tags, on every page, dated even while they are being made', async () => {
    const other = [
      { Key: 'holdfast:managed', Value: 'true' },
      { Key: 'holdfast:source', Value: 'billing' },
    ];
    rds
      .on(DescribeDBSnapshotsCommand, { Marker: undefined })
      .resolves({
        Marker: 'page-2',
        DBSnapshots: [
          {
            ...described,
            Status: 'available',
            SnapshotCreateTime: new Date('2026-11-20T02:03:00Z'),
          },
          { ...described, DBSnapshotIdentifier: 'by-hand', TagList: [] },
        ],
      })
      .on(DescribeDBSnapshotsCommand, { Marker: 'page-2' })
      .resolves({
        DBSnapshots: [
          { ...described, DBSnapshotIdentifier: 'of-billing', TagList: other },
          { ...described, DBSnapshotIdentifier: 'holdfast-orders-20261121t020000z-k3v9qd' },
        ],
      });
    expect(await snapshots.list(makePlan())).toEqual([
      { snapshotId: ID, status: 'available', createdAt: new Date('2026-11-20T02:03:00Z') },
      {
        snapshotId: 'holdfast-orders-20261121t020000z-k3v9qd',
        status: 'creating',
        createdAt: new Date('2026-11-20T02:00:01Z'),
      },
    ]);
    expect(rds).toHaveReceivedCommandWith(DescribeDBSnapshotsCommand, { SnapshotType: 'manual' });
  });

  it('are deleted by id; one that is gone already is as good', async () => {
    rds.on(DeleteDBSnapshotCommand).resolvesOnce({}).rejects(new DBSnapshotNotFoundFault(fault));
    await snapshots.delete(makePlan(), ID);
    await snapshots.delete(makePlan(), ID);
    expect(rds).toHaveReceivedCommandTimes(DeleteDBSnapshotCommand, 2);
  });

  it.each(['by-hand', 'holdfast-billing-20261120t020000z-k3v9qd', 'rds:orders-prod-2026-11-20'])(
    'do not include %s, which is not deleted',
    async (snapshotId) => {
      await expect(snapshots.delete(makePlan(), snapshotId)).rejects.toThrow(
        expect.objectContaining({ name: 'SnapshotNotOurs' }),
      );
      expect(rds.calls()).toHaveLength(0);
    },
  );

  it('that are being copied stay for the next run', async () => {
    rds.on(DeleteDBSnapshotCommand).rejects(new InvalidDBSnapshotStateFault(fault));
    await expect(snapshots.delete(makePlan(), ID)).rejects.toThrow(
      expect.objectContaining({ name: 'ServiceUnavailable', retryable: true }),
    );
  });
});

it.each([
  ['SnapshotQuotaExceeded', 'SnapshotQuotaReached'],
  ['InvalidDBInstanceState', 'InstanceNotAvailable'],
  ['DBInstanceNotFound', 'InstanceNotFound'],
  ['InvalidDBClusterStateFault', 'InstanceNotAvailable'],
])('the code %s, as RDS sends it, is %s', async (code, name) => {
  rds.restore();
  const server = createServer((_, response) => {
    response.writeHead(400, { 'content-type': 'text/xml' });
    response.end(
      `<ErrorResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><Error><Type>Sender</Type><Code>${code}</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
    );
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  const { port } = server.address() as AddressInfo;
  const client = new RDSClient({ endpoint: `http://127.0.0.1:${port}`, maxAttempts: 1 });
  try {
    await expect(makeSnapshots({ client }).create(request)).rejects.toThrow(
      expect.objectContaining({ name }),
    );
  } finally {
    client.destroy();
    server.close();
  }
});
