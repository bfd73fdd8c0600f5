import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ServerRestoreRecord } from '#contracts/restore-server.ts';
import { usePostgres } from '#test/postgres.ts';
import { type ServerRestoreRun, useServerRestores } from '#test/server-restore.ts';

const source = usePostgres();
const restores = useServerRestores(source);
const plane = () => restores().plane;
const ours = (of: string) => [
  { Key: 'holdfast:managed', Value: 'true' },
  { Key: 'holdfast:source', Value: of },
];
const rowsNow = async () => {
  const [row] = await source.query<{ rows: number }>(
    'postgres',
    'SELECT count(*)::integer AS rows FROM orders',
  );
  return row?.rows ?? -1;
};
const addRow = () => source.query('postgres', 'INSERT INTO orders DEFAULT VALUES');
const rowsOf = async (record: ServerRestoreRecord | undefined) => {
  const sql = 'SELECT count(*)::integer AS rows FROM orders';
  return (await restores().query<{ rows: number }>(record, sql))[0]?.rows;
};
const instances = () => plane().rds.restores.identifiers();
/** Directories of servers that were restored. */
const serverDirectories = async () => {
  const folder = join(restores().directory, 'snapshots/.servers');
  return existsSync(folder) ? readdir(folder) : [];
};

beforeAll(async () => {
  await source.query(
    'postgres',
    'CREATE TABLE orders (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY)',
  );
  await source.query('postgres', 'CREATE DATABASE shop');
  await addRow();
  await restores().takeSnapshot('instance', 'orders-prod', 'holdfast-orders-one', ours('orders'));
});

afterEach(async () => {
  plane().faults.clear();
  restores().serve = undefined;
  plane().rds.restores.serverQuota = 40;
  await plane().rds.restores.close();
});

/** The source is described, and named as what is restored from; nothing else is ever asked of it. */
function expectSourceUntouched({ calls }: ServerRestoreRun): void {
  const names = new Set(['orders-prod', 'billing-prod', 'billing-prod-a']);
  const touching = calls.filter(
    ({ operation, input }) =>
      !/^(Describe|Restore)/.test(operation) &&
      Object.values(input).some((value) => typeof value === 'string' && names.has(value)),
  );
  expect(touching).toEqual([]);
  expect(calls.map(({ operation }) => operation)).not.toContainEqual(
    expect.stringMatching(/^(Modify|Reboot|Stop|Promote|Switchover|Failover)/),
  );
}

function expectFailed(run: ServerRestoreRun, error: string, cause: RegExp): void {
  expect(run.execution).toMatchObject({ status: 'FAILED', error });
  expect(run.execution.cause).toMatch(cause);
  expect(run.alerts).toHaveLength(1);
  expect(run.alerts[0]).toMatchObject({ attributes: { status: 'FAILED', error } });
  expectSourceUntouched(run);
}

describe('an instance', () => {
  it('is restored from its latest snapshot, with the rows of that time and the settings of today', async () => {
    const rowsThen = await rowsNow();
    await addRow();
    const run = await restores().run({ source: 'orders', snapshot: 'latest', reason: 'a test' });

    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    const { record } = run;
    expect(await rowsOf(record)).toBe(rowsThen);
    expect(await rowsNow()).toBe(rowsThen + 1);
    expect(record).toMatchObject({
      status: 'SUCCEEDED',
      server: { status: 'available', adopted: false },
      restore: {
        reason: 'a test',
        sourceIdentifier: 'orders-prod',
        origin: { snapshotId: 'holdfast-orders-one', snapshotType: 'manual' },
        target: { identifier: expect.stringMatching(/^orders-prod-restored-\d{8}t\d{6}z$/) },
        warnings: [],
      },
      inspection: { server: { isReplica: false }, databaseCount: 2, warnings: [] },
    });
    expect(record?.inspection?.databases.map(({ database }) => database).toSorted()).toEqual([
      'postgres',
      'shop',
    ]);
    expect(record?.inspection?.databases).toContainEqual(
      expect.objectContaining({ database: 'postgres', tables: 1 }),
    );
    const made = await restores().deps.servers.describe(
      'instance',
      record?.restore.target.identifier ?? '',
    );
    expect(made?.settings).toMatchObject({
      instanceClass: 'db.r6g.large',
      subnetGroup: 'private',
      securityGroups: ['sg-0aaa'],
      parameterGroup: 'orders',
      optionGroup: 'default:postgres-18',
      caCertificate: 'rds-ca-ecc384-g1',
      storageType: 'gp3',
      multiAz: true,
      autoMinorVersionUpgrade: false,
      iamAuthentication: true,
      logExports: ['postgresql'],
      copyTagsToSnapshot: true,
      publiclyAccessible: false,
      deletionProtection: false,
    });
    expect(made?.settings.tags).toEqual({
      team: 'shop',
      'holdfast:managed': 'restore',
      'holdfast:source': 'orders',
      'holdfast:restore': record?.restore.restoreId,
      'holdfast:reason': 'a test',
    });
    expect(run.alerts).toMatchObject([
      { attributes: { event: 'server-restore', status: 'SUCCEEDED', severity: 'info' } },
    ]);
    expect(run.alerts[0]?.text).toContain('The original, orders-prod, was not touched.');
    expectSourceUntouched(run);
  });

  it('is restored from an automated snapshot that is named, with settings that were given', async () => {
    const snapshot = await plane().rds.takeAutomatedSnapshot('instance', 'orders-prod');
    const rowsThen = await rowsNow();
    await addRow();
    const run = await restores().run({
      source: 'orders',
      snapshot,
      target: {
        identifier: 'Orders-Look',
        instanceClass: 'db.t4g.large',
        subnetGroup: 'elsewhere',
        securityGroups: ['sg-0bbb'],
        parameterGroup: 'quiet',
        multiAz: false,
        publiclyAccessible: true,
        tags: { ticket: '4711' },
      },
    });

    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(await rowsOf(run.record)).toBe(rowsThen);
    const made = await restores().deps.servers.describe('instance', 'orders-look');
    expect(made?.settings).toMatchObject({
      instanceClass: 'db.t4g.large',
      subnetGroup: 'elsewhere',
      securityGroups: ['sg-0bbb'],
      parameterGroup: 'quiet',
      multiAz: false,
      publiclyAccessible: true,
      tags: { team: 'shop', ticket: '4711', 'holdfast:managed': 'restore' },
    });
  });

  it("is restored from somebody else's snapshot by its ARN", async () => {
    await restores().takeSnapshot('instance', 'orders-prod', 'before-the-migration');
    const run = await restores().run({
      source: 'orders',
      snapshot: 'arn:aws:rds:eu-west-1:123456789012:snapshot:before-the-migration',
    });
    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(await rowsOf(run.record)).toBe(await rowsNow());
    expect(run.record?.restore.warnings).toEqual([]);
    expectSourceUntouched(run);
  });

  it('is restored to its latest restorable time', async () => {
    await addRow();
    const rowsThen = await rowsNow();
    const run = await restores().run({ source: 'orders', pointInTime: 'latest' });
    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(await rowsOf(run.record)).toBe(rowsThen);
    expect(run.calls).toContainEqual({
      operation: 'RestoreDBInstanceToPointInTime',
      input: expect.objectContaining({
        SourceDBInstanceIdentifier: 'orders-prod',
        UseLatestRestorableTime: true,
      }),
    });
    expectSourceUntouched(run);
  });

  it('is restored to a point in time', async () => {
    await restores().takeSnapshot('instance', 'orders-prod', 'before-the-mistake');
    const rowsThen = await rowsNow();
    const time = new Date();
    await addRow();
    const run = await restores().run({ source: 'orders', pointInTime: time.toISOString() });
    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(await rowsOf(run.record)).toBe(rowsThen);
    expect(run.record?.restore.origin).toMatchObject({ time: time.toISOString() });
    expectSourceUntouched(run);
  });

  it('is not restored to a time that RDS does not reach, and the message says which it does', async () => {
    const run = await restores().run({
      source: 'orders',
      pointInTime: '2020-01-01T00:00:00+02:00',
    });
    expectFailed(
      run,
      'InvalidInput',
      /cannot be restored to 2019-12-31T22:00:00.000Z: only from 20\S+Z to 20\S+Z/,
    );
    expect(run.calls.map(({ operation }) => operation)).not.toContainEqual(
      expect.stringMatching(/^Restore/),
    );
  });

  it('that is gone is restored from its snapshot, once the input says where to', async () => {
    plane().rds.restores.removeServer('instance', 'orders-prod', { keepBackups: true });
    try {
      const input = { source: 'orders', snapshot: 'holdfast-orders-one' };
      const missing = await restores().run(input);
      expectFailed(missing, 'InvalidInput', /target\.subnetGroup, target\.securityGroups/);

      const target = { subnetGroup: 'private', securityGroups: ['sg-0ccc'] };
      const run = await restores().run({ ...input, target });
      expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
      expect(run.record?.restore.warnings).toEqual([expect.stringContaining('parameterGroup')]);

      const other = { ...target, identifier: 'orders-prod' };
      const kept = await restores().run({ source: 'orders', pointInTime: 'latest', target: other });
      expect(kept.execution).toMatchObject({ status: 'SUCCEEDED' });
      expect(await rowsOf(kept.record)).toBe(await rowsNow());
    } finally {
      await plane().rds.restores.close();
      restores().register();
    }
  });
});

describe('an Aurora cluster', () => {
  it('is restored from a snapshot, with one writer of the same class', async () => {
    await restores().takeSnapshot('cluster', 'billing-prod', 'billing-one', ours('billing'));
    const rowsThen = await rowsNow();
    await addRow();
    const run = await restores().run({ source: 'billing', snapshot: 'latest' });

    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(await rowsOf(run.record)).toBe(rowsThen);
    const { identifier = '', writer } = run.record?.restore.target ?? {};
    expect(writer).toBe(`${identifier}-1`);
    const made = await restores().deps.servers.describe('cluster', identifier);
    expect(made?.settings).toMatchObject({
      instanceClass: 'db.serverless',
      subnetGroup: 'private',
      clusterParameterGroup: 'billing',
      serverless: { minCapacity: 0.5, maxCapacity: 4 },
    });
    expectSourceUntouched(run);
  });

  it('is restored to a point in time', async () => {
    const rowsThen = await rowsNow();
    const run = await restores().run({ source: 'billing', pointInTime: 'latest' });
    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(await rowsOf(run.record)).toBe(rowsThen);
    expectSourceUntouched(run);
  });

  it('whose writer never comes up is deleted, the writer before the cluster', async () => {
    restores().serve = () => Promise.reject(new Error('no capacity'));
    const run = await restores().run({ source: 'billing', pointInTime: 'latest' });
    expectFailed(run, 'ServerRestoreFailed', /as incompatible-restore/);
    const deletions = run.calls.filter(({ operation }) => operation.startsWith('Delete'));
    expect(deletions.map(({ operation }) => operation)).toEqual([
      'DeleteDBInstance',
      'DeleteDBCluster',
    ]);
    await expect.poll(instances).toEqual([]);
  });
});

describe('a restore that fails', () => {
  it('leaves no server behind', async () => {
    restores().serve = () => Promise.reject(new Error('the volume is broken'));
    const run = await restores().run({ source: 'orders', snapshot: 'latest' });
    expectFailed(run, 'ServerRestoreFailed', /as incompatible-restore/);
    expect(run.record).toMatchObject({ status: 'FAILED', cleanUp: { status: 'deleting' } });
    await expect.poll(instances).toEqual([]);
    await expect.poll(serverDirectories).toEqual([]);
  });

  it('leaves the server when the input says so', async () => {
    restores().serve = () => Promise.reject(new Error('the volume is broken'));
    const run = await restores().run({
      source: 'orders',
      snapshot: 'latest',
      cleanUpOnFailure: false,
    });
    expectFailed(run, 'ServerRestoreFailed', /incompatible-restore/);
    expect(run.record?.cleanUp).toMatchObject({ status: 'kept' });
    expect(instances()).toEqual([run.record?.restore.target.identifier]);
  });

  it('because RDS needs too long is given up, and its server deleted', async () => {
    const held = Promise.withResolvers<never>();
    // It may be given up before anybody waits for it.
    held.promise.catch(() => undefined);
    restores().serve = () => held.promise;
    const running = restores().run({ source: 'orders', snapshot: 'latest', timeoutMinutes: 30 });
    await expect.poll(instances).toHaveLength(1);
    restores().passTime(31 * 60_000);
    const run = await running;
    restores().passTime(-31 * 60_000);
    held.reject(new Error('the test is over'));
    expectFailed(run, 'ServerRestoreTimeout', /is creating after 30 minutes/);
    expect(run.record?.cleanUp).toMatchObject({ status: 'deleting' });
    await expect.poll(instances).toEqual([]);
  });

  it('because the name is taken touches the server of that name in no way', async () => {
    const target = { identifier: 'billing-prod-a' };
    const run = await restores().run({ source: 'orders', snapshot: 'latest', target });
    expectFailed(run, 'TargetNotEmpty', /billing-prod-a exists already/);
    expect(run.calls.filter(({ operation }) => !operation.startsWith('Describe'))).toEqual([]);
  });

  it('because the name was taken at the last moment does not delete that server', async () => {
    const target = { identifier: 'late-comer' };
    plane().faults.failNext('rds.RestoreDBInstanceFromDBSnapshot', { delayMilliseconds: 2_000 });
    const running = restores().run({ source: 'orders', snapshot: 'latest', target });
    const { server } = source;
    const seen = () => restores().deps.log.of('restore planned').at(-1)?.fields['target'];
    await expect.poll(seen, { interval: 5 }).toMatchObject(target);
    plane().rds.registerInstance({
      identifier: 'late-comer',
      engineVersion: '18',
      host: server.host,
      port: server.port,
      copy: () => Promise.resolve(),
      deleteCopy: () => Promise.resolve(),
    });
    const run = await running;
    plane().rds.restores.removeServer('instance', 'late-comer');
    expectFailed(run, 'TargetNotEmpty', /late-comer exists that this restore did not make/);
    expect(run.record?.cleanUp).toMatchObject({ status: 'not-ours' });
    expect(run.calls.filter(({ operation }) => operation.startsWith('Delete'))).toEqual([]);
  });

  it('because the quota is used up says what to do', async () => {
    plane().rds.restores.serverQuota = 0;
    const run = await restores().run({ source: 'orders', snapshot: 'latest' });
    expectFailed(run, 'ServerRestoreFailed', /InstanceQuotaExceeded.*Service Quotas/);
    expect(run.record?.cleanUp).toMatchObject({ status: 'nothing-left' });
  });

  it('because RDS cannot use the key says what to do', async () => {
    plane().faults.failNext('rds.RestoreDBInstanceFromDBSnapshot', {
      error: 'KMSKeyNotAccessibleFault',
    });
    const run = await restores().run({ source: 'orders', snapshot: 'latest' });
    expectFailed(run, 'ServerRestoreFailed', /KMSKeyNotAccessible.*kms:CreateGrant/);
  });

  it('is cleaned up later where RDS cannot delete the server yet', async () => {
    restores().serve = () => Promise.reject(new Error('the volume is broken'));
    plane().faults.failNext('rds.DeleteDBInstance', { error: 'InvalidDBInstanceState', times: 2 });
    const run = await restores().run({ source: 'orders', snapshot: 'latest' });
    expectFailed(run, 'ServerRestoreFailed', /incompatible-restore/);
    expect(run.record?.cleanUp).toMatchObject({ status: 'deleting' });
    await expect.poll(instances).toEqual([]);
  });
});

describe('a restored server that cannot be looked into', () => {
  const withOldPassword = async (input: object) => {
    await source.query('postgres', "ALTER ROLE holdfast_backup PASSWORD 'of last week'");
    await restores().takeSnapshot('instance', 'orders-prod', 'of-last-week', ours('orders'));
    await source.query('postgres', "ALTER ROLE holdfast_backup PASSWORD 'the password of today'");
    const run = await restores().run({ source: 'orders', snapshot: 'of-last-week', ...input });
    const { DeleteDBSnapshotCommand, RDSClient } = await import('@aws-sdk/client-rds');
    const { endpoint, environment } = plane();
    const client = new RDSClient({
      endpoint,
      credentials: {
        accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    });
    await client.send(new DeleteDBSnapshotCommand({ DBSnapshotIdentifier: 'of-last-week' }));
    client.destroy();
    return run;
  };

  it('is kept, as only its passwords are of the time that was restored', async () => {
    const run = await withOldPassword({});
    expectFailed(
      run,
      'AuthenticationFailed',
      /the roles and passwords of the time that was restored/,
    );
    expect(run.record?.cleanUp).toMatchObject({ status: 'kept' });
    expect(run.alerts[0]?.text).toContain('which costs money');
    expect(instances()).toHaveLength(1);
  });

  it('is deleted where the input asks for that', async () => {
    const run = await withOldPassword({ cleanUpOnFailure: true });
    expectFailed(run, 'AuthenticationFailed', /passwords of the time/);
    expect(run.record?.cleanUp).toMatchObject({ status: 'deleting' });
    await expect.poll(instances).toEqual([]);
  });
});

describe('a restore whose answers get lost', () => {
  it('makes one server and adopts it', async () => {
    plane().faults.failNext('rds.RestoreDBInstanceFromDBSnapshot', { cut: 'after' });
    plane().faults.failNext('rds.DescribeDBInstances', { error: 'Throttling', times: 2 });
    const run = await restores().run({ source: 'orders', snapshot: 'latest' });
    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(run.record?.server).toMatchObject({ adopted: true });
    expect(instances()).toHaveLength(1);
    expectSourceUntouched(run);
  });

  it('gives an Aurora cluster one writer', async () => {
    plane().faults.failNext('rds.CreateDBInstance', { cut: 'after' });
    const run = await restores().run({ source: 'billing', pointInTime: 'latest' });
    expect(run.execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(instances()).toHaveLength(2);
  });
});

describe('what cannot be restored', () => {
  it.each([
    [
      'a snapshot that RDS does not have',
      { source: 'orders', snapshot: 'no-such' },
      'SnapshotNotFound',
      /has no snapshot no-such/,
    ],
    [
      "another source's snapshot",
      { source: 'billing', snapshot: 'holdfast-orders-one' },
      'SnapshotNotFound',
      /no snapshot holdfast-orders-one of a cluster/,
    ],
    [
      'a server that is not at RDS',
      { source: 'plain', snapshot: 'latest' },
      'InvalidInput',
      /is a plain PostgreSQL server/,
    ],
    ['nothing', { source: 'orders' }, 'InvalidInput', /neither a snapshot nor a pointInTime/],
    [
      'another key',
      { source: 'orders', snapshot: 'latest', target: { kmsKeyId: 'alias/other' } },
      'InvalidInput',
      /under the key that it has/,
    ],
  ])('is %s', async (_, input, error, cause) => {
    const run = await restores().run(input);
    expectFailed(run, error, cause);
    expect(run.record).toBeUndefined();
    expect(run.alerts[0]?.text).toContain('No server was made');
  });
});

it('a copy of a copy can be snapshotted and restored again', async () => {
  const run = await restores().run({ source: 'orders', snapshot: 'latest' });
  const { identifier = '' } = run.record?.restore.target ?? {};
  await restores().takeSnapshot('instance', identifier, 'of-the-restored');
  const again = await restores().run({
    source: 'orders',
    snapshot: 'of-the-restored',
    target: { identifier: 'again' },
  });
  expect(again.execution).toMatchObject({ status: 'SUCCEEDED' });
  expect(await rowsOf(again.record)).toBe(await rowsOf(run.record));
  expect(again.record?.restore.warnings).toEqual([
    expect.stringContaining(`is of the server ${identifier}, not of orders-prod`),
  ]);
});

it('a subscription comes back with the blocks, enabled as it was: the alert and the record warn of it', async () => {
  await source.query(
    'shop',
    `CREATE SUBSCRIPTION from_prod CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p
       WITH (connect = false, slot_name = 'theirs')`,
  );
  await source.query('shop', 'ALTER SUBSCRIPTION from_prod ENABLE');
  try {
    await restores().takeSnapshot('instance', 'orders-prod', 'holdfast-orders-sub', ours('orders'));
  } finally {
    await source.query('shop', 'ALTER SUBSCRIPTION from_prod DISABLE');
    await source.query('shop', 'ALTER SUBSCRIPTION from_prod SET (slot_name = NONE)');
    await source.query('shop', 'DROP SUBSCRIPTION from_prod');
  }
  const { record, alerts } = await restores().run({
    source: 'orders',
    snapshot: 'holdfast-orders-sub',
  });
  const shop = record?.inspection?.databases.find(({ database }) => database === 'shop');
  expect(shop?.checks?.subscriptions).toEqual({ total: 1, enabled: 1 });
  expect(record?.inspection?.warnings[0]).toMatch(/^shop: enabled subscriptions: from_prod\. /);
  expect(alerts[0]?.attributes['severity']).toBe('warning');
  expect(alerts[0]?.text).toContain("They may pull from production's publisher");
});
