import { cp, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeThrowawayServers } from '#adapters/throwaway-servers.ts';
import { DrillReport } from '#contracts/drill.ts';
import { SmokeQuery } from '#contracts/source-plan.ts';
import { judgeDatabase } from '#domain/drill/drill-record.ts';
import { type BackupRef, backupKey } from '#domain/names.ts';
import { DrillServerFailed } from '#errors';
import { LOCAL } from '#local/stack.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Databases, Session, ThrowawayServers } from '#runtime/ports.ts';
import {
  type DrillNeeds,
  type DrillPlace,
  makeDrillOrder,
  makeDrillPlace,
  rehearse,
} from '../support/drill-case.ts';
import { withClient } from '../support/postgres.ts';
import { mountSmallFileSystem, whyNoSmallFileSystem } from '../support/small-file-system.ts';
import { listBackups, usePipeline } from '../support/stack.ts';
import { overwrite, runOn } from '../support/throwaway-place.ts';

const pipeline = usePipeline();
let place: DrillPlace;
let backup: BackupRef;

beforeAll(async () => {
  place = await makeDrillPlace(pipeline().stack.objects);
  backup = await backUp('shop');
});
afterEach(() => expectNoServer());
afterAll(() => place.remove());

async function expectNoServer(): Promise<void> {
  expect(await readdir(place.directory)).toEqual([]);
}

async function backUp(database: string): Promise<BackupRef> {
  const known = new Set((await listBackups(pipeline())).keys());
  const { execution } = await pipeline().run({ databases: [database] });
  expect(execution).toMatchObject({ status: 'SUCCEEDED' });
  const backupId = [...(await listBackups(pipeline())).keys()].find((id) => !known.has(id)) ?? '';
  return { source: 'orders', database, backupId };
}

async function sql(database: string, ...statements: string[]): Promise<void> {
  await withClient(pipeline().server, database, async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

async function drill(
  ref: BackupRef = backup,
  changes: Parameters<typeof makeDrillOrder>[2] = {},
  deps: DrillNeeds = place.deps,
): Promise<DrillReport> {
  const order = await makeDrillOrder(pipeline().stack.objects, ref, changes);
  return DrillReport.parse(await rehearse(deps, order));
}

const smoke = (query: string, expectation: object, more: object = {}) =>
  SmokeQuery.parse({ name: 'it', query, expect: expectation, ...more });

/** Acts as a phase of the restore begins. */
function atPhase(phase: string, act: () => void): DrillNeeds {
  const info = (event: string, fields: Record<string, unknown> = {}) => {
    if (event === LOG.restorePhase && fields['phase'] === phase) act();
  };
  return { ...place.deps, log: { ...place.deps.log, info } };
}

test('A drill brings the sample back, finds nothing wrong, and tells what it measured', async () => {
  const report = await drill(backup, {
    smokeQueries: [
      smoke('SELECT count(*) FROM sales.orders', { atLeast: 1000 }),
      smoke('SELECT 1', { equals: 2 }, { database: 'another' }),
    ],
  });
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({
    database: 'shop',
    backupId: backup.backupId,
    restore: { checksum: 'matched', tolerated: [] },
    checks: {
      restored: { problems: [], invalidIndexes: [], largeObjects: { expected: 26, actual: 26 } },
      amcheck: { state: 'clean', damage: [], reason: null },
      dataChecksums: { state: 'clean', failures: 0 },
      smokeQueries: [{ name: 'it', state: 'passed', expected: 'at least 1000' }],
    },
    extrapolated: false,
  });
  expect(Math.floor(report.server.versionNumber / 10_000)).toBe(pipeline().server.major);
  // None of them is in a new server: they come from the backup's globals.sql.
  expect(report.restore?.createdRoles).toEqual(
    expect.arrayContaining(['shop_owner', 'web_app', 'Sales Team', 'report_reader']),
  );
  expect(report.phases.map(({ phase }) => phase)).toEqual([
    'retrieval',
    'launch',
    'server',
    'restore',
    'row-checks',
    'amcheck',
    'smoke-queries',
  ]);
  expect(report.tables).toBeGreaterThan(20);
  expect(report.rows).toBeGreaterThan(6000);
  expect(report.sizeBytes).toBeGreaterThan(8_000_000);
  expect(report.rtoSeconds).toBe(report.measuredSeconds);
  const phaseSeconds = report.phases.reduce((sum, { seconds }) => sum + seconds, 0);
  expect(report.measuredSeconds).toBeGreaterThanOrEqual(phaseSeconds - 0.1);
});

test('A part of the database is rehearsed, its time told for the whole, and nobody cries wolf', async () => {
  const report = await drill(backup, {
    selection: { tables: ['sales.*'], withDependencies: true },
    smokeQueries: [
      smoke('SELECT count(*) FROM sales.orders', { atLeast: 1000 }),
      smoke('SELECT count(*) FROM web.page_views', { atLeast: 1 }, { name: 'views' }),
    ],
  });
  expect(report.extrapolated).toBe(true);
  expect(report.rtoSeconds).toBeGreaterThan(report.measuredSeconds);
  expect(report.findings).toMatchObject([
    { class: 'environment', check: 'smoke-query', subject: 'views' },
  ]);
});

test('The plan names a partitioned table, and tables of other databases: it comes, and these are passed over', async () => {
  const report = await drill(backup, {
    selection: { tables: ['sales.orders', 'nowhere.*'], withDependencies: true },
    smokeQueries: [smoke('SELECT count(*) FROM sales.orders', { atLeast: 1000 })],
  });
  expect(report.findings).toEqual([]);
  expect(report.extrapolated).toBe(true);
  const none = await drill(backup, {
    selection: { tables: ['nowhere.*'], withDependencies: true },
  });
  expect(none.extrapolated).toBe(false);
  expect(none.tables).toBeGreaterThan(20);
});

test('A part is rehearsed, and a table of a query was dropped before the backup: the drill fails', async () => {
  const report = await drill(backup, {
    selection: { tables: ['sales.order_lines', 'sales.dropped'], withDependencies: true },
    smokeQueries: [
      smoke('SELECT count(*) FROM sales.dropped', { atLeast: 1 }, { name: 'dropped' }),
      smoke('SELECT count(*) FROM web.page_views', { atLeast: 1 }, { name: 'left out' }),
    ],
  });
  expect(report.findings).toMatchObject([
    { class: 'data', check: 'smoke-query', subject: 'dropped' },
    { class: 'environment', check: 'smoke-query', subject: 'left out' },
  ]);
});

test('A table was emptied before the backup: the plan notices by its query', async () => {
  await sql('postgres', 'CREATE DATABASE emptied');
  await sql(
    'emptied',
    'CREATE TABLE orders AS SELECT n, now() AS at FROM generate_series(1, 500) AS n',
    'TRUNCATE orders',
  );
  const report = await drill(await backUp('emptied'), {
    smokeQueries: [
      smoke('SELECT count(*) FROM orders', { atLeast: 500 }, { name: 'orders' }),
      smoke('SELECT max(at) FROM orders', { maxAgeMinutes: 60 }, { name: 'newest order' }),
      smoke('SELECT count(*) FROM order_lines', { atLeast: 1 }, { name: 'lines' }),
      smoke('SELECT pg_sleep(30)', { equals: '' }, { name: 'slow', timeoutSeconds: 1 }),
    ],
  });
  expect(report.checks.smokeQueries.map(({ state }) => state)).toEqual([
    'failed',
    'failed',
    'error',
    'timeout',
  ]);
  expect(report.findings).toMatchObject([
    { class: 'data', subject: 'orders', message: 'orders: is 0, expected at least 500' },
    { class: 'data', subject: 'newest order' },
    { class: 'data', subject: 'lines' },
    { class: 'data', subject: 'slow' },
  ]);
});

test('Fewer rows come back than verification counted: the table is named', async () => {
  const { objects } = pipeline().stack;
  const key = backupKey(backup, 'verification.json');
  const found = await objects.get(key);
  const record = JSON.parse(String(found?.body));
  const changed = structuredClone(record);
  const table = changed.tables.find(({ table: name }: { table: string }) => name === 'order_lines');
  table.rows += 7;
  try {
    await objects.put(key, JSON.stringify(changed));
    const report = await drill();
    expect(report.findings).toMatchObject([
      {
        class: 'data',
        check: 'rows',
        subject: '"sales"."order_lines"',
        message: '"sales"."order_lines" has 3,000 rows instead of 3,007',
      },
    ]);
  } finally {
    await objects.put(key, JSON.stringify(record));
  }
});

/** Runs drills on a server that does not bring an extension. */
async function withoutExtension<T>(
  name: string,
  act: (deps: DrillNeeds) => Promise<T>,
): Promise<T> {
  const { major } = pipeline().server;
  const programs = join(place.directory, '..', 'without-extension');
  await cp(join(place.programs, String(major)), join(programs, String(major)), {
    recursive: true,
    dereference: true,
    filter: (path) => !path.endsWith('.a') && !path.endsWith(`/${name}.control`),
  });
  const { directory } = place;
  const throwawayServers = makeThrowawayServers({ programs, directory });
  try {
    return await act({ ...place.deps, throwawayServers });
  } finally {
    await rm(programs, { recursive: true });
  }
}

test('The server lacks an extension: what needs it is left out and told, and nothing fails', async () => {
  const report = await withoutExtension('btree_gist', (deps) => drill(backup, {}, deps));
  expect(report.findings).toMatchObject([
    { class: 'environment', check: 'extensions', subject: 'btree_gist' },
  ]);
  expect(report.findings[0]?.message).toMatch(
    /^the drill's server cannot have the extension btree_gist \(.*\); \d+ objects that need it/,
  );
  expect(report.checks.restored?.extensions.map(({ name }) => name)).not.toContain('btree_gist');
  const counted = report.checks.restored?.rows.length ?? 0;
  expect(report.tablesLeftOut ?? 0).toBe(38 - counted);
  expect(report.checks.amcheck.state).toBe('clean');
});

test('All that a database has needs an extension: of another version it is told, and without it nobody knows how long it takes', async () => {
  await sql('postgres', 'CREATE DATABASE places');
  await sql(
    'places',
    `CREATE EXTENSION hstore VERSION '1.4'`,
    `CREATE TABLE places AS SELECT hstore('n', n::text) AS attrs FROM generate_series(1, 5000) AS n`,
  );
  const places = await backUp('places');
  const other = await drill(places);
  expect(other).toMatchObject({ tables: 1, rows: 5000, extrapolated: false });
  expect(other.rtoSeconds).toBe(other.measuredSeconds);
  expect(other.findings).toMatchObject([
    { class: 'environment', check: 'extensions', subject: 'hstore' },
  ]);
  expect(other.findings[0]?.message).toMatch(/: hstore 1\.\d+, where the source had 1\.4$/);

  const none = await withoutExtension('hstore', (deps) => drill(places, {}, deps));
  expect(none).toMatchObject({ tables: 0, tablesLeftOut: 1, rtoSeconds: null });
  expect(none.rtoUnknown).toMatch(/^0 B of .* of data were restored/);
});

test('The backup was verified by its structure alone: that its rows were not compared is told', async () => {
  const { objects } = pipeline().stack;
  const key = backupKey(backup, 'verification.json');
  const record = String((await objects.get(key))?.body);
  try {
    const { level: _level, ...rest } = JSON.parse(record);
    await objects.put(key, JSON.stringify({ ...rest, level: 'structure' }));
    expect(await drill()).toMatchObject({ rowsCompared: false, findings: [] });
  } finally {
    await objects.put(key, record);
  }
  expect((await drill()).rowsCompared).toBeUndefined();
});

test('A collation and a tablespace that the server lacks are told, and nothing fails', async () => {
  await sql('postgres', 'CREATE DATABASE foreign_parts');
  await sql(
    'foreign_parts',
    `CREATE COLLATION klingon (provider = libc, locale = 'C')`,
    'CREATE TABLE words (word text COLLATE klingon)',
    `INSERT INTO words VALUES ('qapla')`,
    'CREATE VIEW word_count AS SELECT count(*) FROM words',
    'SET allow_in_place_tablespaces = on',
    `CREATE TABLESPACE fast LOCATION ''`,
    'CREATE TABLE plain TABLESPACE fast AS SELECT 1 AS n',
    // As from a machine that has it.
    `UPDATE pg_collation SET collcollate = 'tlh_QO.utf8', collctype = 'tlh_QO.utf8' WHERE collname = 'klingon'`,
  );
  // The column itself needs none to be dumped.
  const ref = await backUp('foreign_parts');
  const report = await drill(ref);
  expect(report.findings).toMatchObject([
    { class: 'environment', check: 'restore', subject: 'klingon' },
    { class: 'environment', check: 'restore', subject: null },
  ]);
  expect(report.findings[1]?.message).toMatch(/has no tablespace fast;/);
  expect(report.findings[0]?.message).toContain('among them the tables public.words');
  expect(report.checks.restored?.rows).toEqual([
    { schema: 'public', table: 'plain', expected: 1, actual: 1 },
  ]);
});

/** Servers that are asked for a locale that there is not, where it was the source's. */
function withoutLocale(servers: ThrowawayServers): ThrowawayServers {
  const changed = (session: Session): Session => ({
    close: () => session.close(),
    query: (text, values) =>
      session.query(
        text.startsWith('CREATE DATABASE') ? text.replace(/C\.UTF-?8/gi, 'tlh_QO.utf8') : text,
        values,
      ),
  });
  return {
    majors: () => servers.majors(),
    async start(options) {
      const server = await servers.start(options);
      const databases: Databases = {
        clientEnvironment: (...args) => server.databases.clientEnvironment(...args),
        connect: async (...args) => changed(await server.databases.connect(...args)),
      };
      return {
        connection: server.connection,
        dataDirectory: server.dataDirectory,
        databases,
        failure: () => server.failure(),
        restart: () => server.restart(),
        stop: () => server.stop(),
      };
    },
  };
}

test('The server lacks the locale of the database: it is rehearsed with another one, and told', async () => {
  const throwawayServers = withoutLocale(place.deps.throwawayServers);
  const report = await drill(backup, {}, { ...place.deps, throwawayServers });
  expect(report.findings).toMatchObject([
    { class: 'environment', check: 'restore', subject: null },
  ]);
  expect(report.findings[0]?.message).toMatch(/made with the locale C: .*tlh_QO/);
  expect(report.checks.restored?.problems).toEqual([]);
});

/** Servers on whose disk a page of an index changes after the restore, before anybody looks. */
function withDamagedIndex(servers: ThrowawayServers, index: string): ThrowawayServers {
  return {
    majors: () => servers.majors(),
    async start(options) {
      const server = await servers.start(options);
      return {
        connection: server.connection,
        dataDirectory: server.dataDirectory,
        databases: server.databases,
        failure: () => server.failure(),
        stop: () => server.stop(),
        async restart() {
          // What is clean in memory is not written again when the server shuts down.
          const [row] = await runOn(
            server,
            backup.database,
            'CHECKPOINT',
            `SELECT pg_relation_filepath('${index}') AS path`,
          );
          const file = join(server.dataDirectory, String(row?.['path']));
          await overwrite(file, 8192 + 4000, Buffer.alloc(4000, 0x7f));
          await server.restart();
        },
      };
    },
  };
}

test('A page of an index is damaged after the restore: the drill fails, and names the index', async () => {
  const throwawayServers = withDamagedIndex(place.deps.throwawayServers, 'sales.order_lines_pkey');
  const report = await drill(backup, {}, { ...place.deps, throwawayServers });
  expect(report.checks.amcheck.state).toBe('damaged');
  expect(report.checks.dataChecksums.state).toBe('failures');
  expect(report.findings).toMatchObject([
    { class: 'data', check: 'amcheck', subject: 'sales.order_lines_pkey' },
    { class: 'data', check: 'checksums' },
  ]);
  const { startedAt, targets } = await makeDrillOrder(pipeline().stack.objects, backup).then(
    (order) => order.drill,
  );
  const judged = judgeDatabase(
    {
      database: backup.database,
      backupId: backup.backupId,
      chosenBy: 'latest',
      newestDataAt: startedAt,
      reportKey: 'report.json',
      failure: null,
    },
    report,
    { startedAt, targets },
  );
  expect(judged).toMatchObject({ status: 'FAILED', error: 'DrillFailed' });
  expect(judged.cause).toContain('sales.order_lines_pkey: invalid page in block 1');
});

test('The server dies in the middle: the drill says that it did, and not that the backup is bad', async () => {
  const kill = async () => {
    const [home = ''] = await readdir(place.directory);
    const status = await readFile(join(place.directory, home, 'data', 'postmaster.pid'), 'utf8');
    process.kill(Number(status.split('\n')[0]), 'SIGKILL');
  };
  const deps = atPhase('data', () => void kill());
  const failed = drill(backup, {}, deps);
  await expect(failed).rejects.toThrow(DrillServerFailed);
  await expect(failed).rejects.toThrow(/ended by itself \(signal SIGKILL\)/);
});

test('The archive was damaged after its verification: the drill fails by that name', async () => {
  const damaged = await backUp('shop');
  const { directory } = pipeline();
  const file = join(directory, 's3', LOCAL.bucket, backupKey(damaged, 'archive.dump'));
  const bytes = await readFile(file);
  const at = bytes.length - 2000;
  await overwrite(file, at, Buffer.from([(bytes[at] ?? 0) ^ 0xff]));
  await expect(drill(damaged)).rejects.toMatchObject({
    name: expect.stringMatching(/^(ChecksumMismatch|ArchiveCorrupt)$/),
  });
});

test('A drill that is stopped ends with the reason', async () => {
  const stop = new AbortController();
  const order = await makeDrillOrder(pipeline().stack.objects, backup);
  const deps = atPhase('data', () => stop.abort(new Error('told to stop')));
  await expect(rehearse(deps, order, stop.signal)).rejects.toThrow('told to stop');
});

test('The backup was deleted after the drill was planned: no server is started for it', async () => {
  const gone = { ...backup, backupId: '20200101T000000Z-aaaaaa' };
  const throwawayServers = {
    majors: () => place.deps.throwawayServers.majors(),
    start: () => Promise.reject(new Error('a server was started')),
  };
  await expect(drill(gone, {}, { ...place.deps, throwawayServers })).rejects.toMatchObject({
    name: 'ObjectMissing',
  });
});

const noSmallDisk = whyNoSmallFileSystem();
test.skipIf(noSmallDisk !== undefined)(
  `The disk of the drill is full: it is told as the drill's own trouble${noSmallDisk === undefined ? '' : ` (skipped: ${noSmallDisk})`}`,
  async () => {
    const disk = mountSmallFileSystem({ uid: 65_534, gid: 65_534 });
    try {
      const { directory } = disk;
      const throwawayServers = makeThrowawayServers({ programs: place.programs, directory });
      const deps = { ...atPhase('data', () => disk.leaveRoom(300_000)), throwawayServers };
      const failed = drill(backup, {}, deps);
      await expect(failed).rejects.toThrow(DrillServerFailed);
      await expect(failed).rejects.toThrow(/disk of the drill's server is full|No space left/);
      expect(await readdir(directory)).toEqual([]);
    } finally {
      disk.unmount();
    }
  },
);
