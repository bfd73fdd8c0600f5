import { beforeAll, expect, test } from 'vitest';
import { systemClock } from '#adapters/clock.ts';
import { makeDatabases } from '#adapters/databases.ts';
import type { DrillOrder } from '#contracts/drill.ts';
import { DrillReport } from '#contracts/drill.ts';
import {
  Connection,
  type DatabaseSelection,
  DrillRules,
  SmokeQuery,
} from '#contracts/source-plan.ts';
import { checkServer } from '#operations/drill/check-server.ts';
import { usePostgres } from '../support/postgres.ts';

const postgres = usePostgres({ major: 17 });

beforeAll(async () => {
  await postgres.query('postgres', 'CREATE DATABASE shop');
  await postgres.query(
    'shop',
    'CREATE TABLE orders AS SELECT n FROM generate_series(1, 5000) AS n',
  );
  await postgres.query('shop', 'ANALYZE orders');
  await postgres.query('postgres', 'CREATE DATABASE tiny');
  await postgres.query('postgres', 'CREATE DATABASE closed');
  await postgres.query('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
  await postgres.query('postgres', `CREATE ROLE reader LOGIN PASSWORD 'of the reader'`);
});

interface Asked {
  readonly user?: { username: string; password: string };
  readonly databases?: DatabaseSelection;
  readonly kind?: 'snapshot' | 'point-in-time';
  readonly newestDataAt?: Date;
  readonly smokeQueries?: SmokeQuery[];
}

async function check({
  user = { username: 'postgres', password: postgres.server.password },
  databases = 'all',
  kind = 'snapshot',
  newestDataAt = new Date(),
  smokeQueries = [
    SmokeQuery.parse({
      name: 'orders',
      database: 'shop',
      query: 'SELECT count(*) FROM orders',
      expect: { atLeast: 6000 },
    }),
  ],
}: Asked = {}): Promise<DrillReport[]> {
  const { host, port } = postgres.server;
  const connection = Connection.parse({
    host,
    port,
    auth: { type: 'secret', secretId: 'of the drill' },
    tls: { mode: 'disable' },
  });
  const rules = DrillRules.parse({});
  const startedAt = new Date().toISOString();
  const subject = {
    type: 'server' as const,
    connection,
    identifier: 'orders-drill',
    databases,
    newestDataAt: newestDataAt.toISOString(),
  };
  const order: DrillOrder = {
    version: 1,
    drill: {
      drillId: '20261121T030000Z-k3v9qd',
      source: 'orders',
      planVersion: 1,
      executionArn: 'arn:aws:states:eu-west-1:123456789012:execution:drill:one',
      startedAt,
      trigger: 'manual',
      reason: null,
      kind,
      targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
      notes: [],
    },
    subject,
    taskToken: 'token',
    createdAt: startedAt,
    begunAt: new Date(Date.parse(startedAt) - 600_000).toISOString(),
    heartbeatSeconds: 300,
    checks: rules.checks,
    smokeQueries,
    task: rules.task,
    network: undefined,
  };
  const reports: DrillReport[] = [];
  await checkServer(
    {
      clock: systemClock,
      databases: makeDatabases({
        region: 'eu-west-1',
        caFile: '',
        secrets: { credentials: async () => user },
      }),
    },
    {
      order,
      server: subject,
      signal: new AbortController().signal,
      onReport: async (report) => void reports.push(DrillReport.parse(report)),
    },
  );
  return reports;
}

test('Every database that takes connections is looked at, the largest first', async () => {
  const reports = await check();
  expect(reports[0]?.database).toBe('shop');
  expect(reports.map(({ database }) => database).sort()).toEqual(['postgres', 'shop', 'tiny']);
  expect(reports[0]).toMatchObject({
    backupId: null,
    restore: null,
    tables: 1,
    rows: 5000,
    checks: {
      restored: null,
      amcheck: { state: 'clean' },
      dataChecksums: { state: 'off', failures: 0 },
      smokeQueries: [{ state: 'failed', actual: '5000' }],
    },
    findings: [
      { class: 'environment', check: 'restore', subject: 'closed' },
      { class: 'data', check: 'smoke-query', subject: 'orders' },
    ],
  });
  expect(reports[1]?.checks.smokeQueries).toEqual([]);
  expect(reports[1]?.findings).toEqual([]);
  // The ten minutes that RDS took are among it.
  expect(reports[0]?.measuredSeconds).toBeGreaterThanOrEqual(600);
  expect(reports[0]?.phases[0]).toMatchObject({ phase: 'restore', seconds: 600 });
});

test('What cannot be looked at is not passed over: each such database is told, with why, and is not called checked', async () => {
  await postgres.query('postgres', 'CREATE DATABASE secret');
  await postgres.query('postgres', 'REVOKE CONNECT ON DATABASE secret FROM PUBLIC');
  await postgres.query('postgres', 'CREATE DATABASE narrow CONNECTION LIMIT 0');
  await postgres.query('postgres', 'CREATE DATABASE half_gone');
  await postgres.query(
    'postgres',
    `UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'half_gone'`,
  );
  try {
    const reports = await check({ user: { username: 'reader', password: 'of the reader' } });
    const names = reports.map(({ database }) => database).sort();
    expect(names).toEqual(['postgres', 'shop', 'tiny']);
    const told = reports.flatMap(({ findings }) =>
      findings.filter((finding) => finding.check === 'restore'),
    );
    expect(new Map(told.map((it) => [it.subject, it.message.split(': ').at(-1)]))).toEqual(
      new Map([
        ['closed', 'it allows no connections'],
        ['narrow', 'its limit of connections is 0'],
        ['half_gone', 'a DROP DATABASE of it was interrupted'],
        ['secret', 'the role reader may not connect to it'],
      ]),
    );
    expect(told.every((finding) => finding.class === 'environment')).toBe(true);
    // One that the plan names is a promise.
    const [first] = await check({
      user: { username: 'reader', password: 'of the reader' },
      databases: ['shop', 'secret'],
      smokeQueries: [],
    });
    expect(first?.findings).toContainEqual(
      expect.objectContaining({ class: 'data', subject: 'secret' }),
    );
    expect(first?.findings.filter(({ subject }) => subject === 'secret')).toHaveLength(1);
    // A superuser can look at those that are merely closed to others.
    const whole = await check({ smokeQueries: [] });
    expect(whole.map(({ database }) => database)).toEqual(
      expect.arrayContaining(['secret', 'narrow']),
    );
  } finally {
    for (const name of ['secret', 'narrow', 'half_gone']) {
      await postgres.query('postgres', `DROP DATABASE IF EXISTS ${name}`);
    }
  }
});

test('A role that may not check is told of, and nothing is called clean', async () => {
  const reports = await check({
    user: { username: 'reader', password: 'of the reader' },
  });
  const tiny = reports.find(({ database }) => database === 'tiny');
  expect(tiny?.checks.amcheck).toMatchObject({
    state: 'skipped',
    reason: expect.stringContaining('permission denied'),
  });
  expect(tiny?.findings).toMatchObject([{ class: 'environment', check: 'amcheck' }]);
});

test('What is asked in every database is asked in those of the plan, and in no other of the server', async () => {
  const query = { name: 'orders', query: 'SELECT count(*) FROM orders', expect: { atLeast: 5000 } };
  const reports = await check({ databases: ['shop'], smokeQueries: [SmokeQuery.parse(query)] });
  expect(reports.flatMap(({ findings }) => findings)).toMatchObject([{ subject: 'closed' }]);
  expect(
    reports.flatMap(({ database, checks }) =>
      checks.smokeQueries.map(({ state }) => ({ database, state })),
    ),
  ).toEqual([{ database: 'shop', state: 'passed' }]);
});

test('A database that the plan or a query names is not on the server: the drill fails by it', async () => {
  const reports = await check({
    databases: ['shop', 'payroll', 'closed'],
    smokeQueries: [
      SmokeQuery.parse({
        name: 'invoices',
        database: 'billing',
        query: 'SELECT count(*) FROM invoices',
        expect: { atLeast: 1 },
      }),
    ],
  });
  expect(reports).toMatchObject([
    {
      database: 'shop',
      findings: ['payroll', 'closed', 'billing'].map((subject) => ({
        class: 'data',
        check: 'restore',
        subject,
      })),
    },
    { findings: [] },
    { findings: [] },
  ]);
});

test('The newest order is as old as the snapshot: its age counts from there, not from the drill', async () => {
  const hours = (count: number) => new Date(Date.now() - count * 3_600_000);
  const ask = (at: Date, kind?: Asked['kind']) =>
    check({
      ...(kind && { kind }),
      newestDataAt: hours(20),
      smokeQueries: [
        SmokeQuery.parse({
          name: 'newest order',
          database: 'shop',
          query: `SELECT '${at.toISOString()}'::timestamptz`,
          expect: { maxAgeMinutes: 120 },
        }),
      ],
    });
  const [fresh] = await ask(hours(21));
  expect(fresh?.checks.smokeQueries).toMatchObject([{ state: 'passed' }]);
  const [stale] = await ask(hours(23));
  expect(stale?.checks.smokeQueries).toMatchObject([{ state: 'failed' }]);
  // A job of the restored server, or a wrong clock. A point in time may be later than RDS had said.
  const [late] = await ask(hours(19));
  expect(late?.checks.smokeQueries).toMatchObject([{ state: 'failed' }]);
  expect(late?.findings.map(({ message }) => message).join()).toContain('later than the backup');
  const [later] = await ask(hours(19), 'point-in-time');
  expect(later?.checks.smokeQueries).toMatchObject([{ state: 'passed' }]);
});

test('A database is frozen, and set to a role of the application: it is checked as the others are', async () => {
  await postgres.query('postgres', 'CREATE ROLE app');
  await postgres.query('postgres', 'CREATE DATABASE frozen');
  try {
    await postgres.query('frozen', 'CREATE TABLE kept AS SELECT 1 AS n');
    for (const setting of [
      'default_transaction_read_only = on',
      `lock_timeout = '1ms'`,
      `role = 'app'`,
    ]) {
      await postgres.query('postgres', `ALTER DATABASE frozen SET ${setting}`);
    }
    const query = { name: 'kept', database: 'frozen', query: 'SELECT n FROM kept' };
    const reports = await check({
      smokeQueries: [SmokeQuery.parse({ ...query, expect: { equals: 1 } })],
    });
    expect(reports.find(({ database }) => database === 'frozen')).toMatchObject({
      checks: {
        amcheck: { state: 'clean', reason: null },
        smokeQueries: [{ name: 'kept', state: 'passed' }],
      },
      findings: [],
    });
  } finally {
    await postgres.query('postgres', 'DROP DATABASE frozen');
    await postgres.query('postgres', 'DROP ROLE app');
  }
});

test('A subscription that came back enabled is told, and fails nothing; one that sleeps is not', async () => {
  await postgres.query('postgres', 'CREATE DATABASE subscriber');
  const subscribe = (name: string) =>
    postgres.query(
      'subscriber',
      `CREATE SUBSCRIPTION ${name} CONNECTION 'host=127.0.0.1 port=1 dbname=x' PUBLICATION p
         WITH (connect = false, slot_name = '${name}')`,
    );
  await subscribe('asleep');
  await subscribe('awake');
  await postgres.query('subscriber', 'ALTER SUBSCRIPTION awake ENABLE');
  try {
    const reports = await check({ smokeQueries: [] });
    const of = reports.find(({ database }) => database === 'subscriber');
    expect(of?.findings.filter(({ check: kind }) => kind === 'restore')).toMatchObject([
      {
        class: 'environment',
        message: expect.stringMatching(/^the subscription awake in subscriber is enabled: /),
      },
    ]);
  } finally {
    for (const name of ['asleep', 'awake']) {
      await postgres.query('subscriber', `ALTER SUBSCRIPTION ${name} DISABLE`);
      await postgres.query('subscriber', `ALTER SUBSCRIPTION ${name} SET (slot_name = NONE)`);
      await postgres.query('subscriber', `DROP SUBSCRIPTION ${name}`);
    }
    await postgres.query('postgres', 'DROP DATABASE subscriber WITH (FORCE)');
  }
});
