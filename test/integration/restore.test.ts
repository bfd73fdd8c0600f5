import { beforeAll, describe, expect, it } from 'vitest';
import { SourcePlan } from '#contracts/source-plan.ts';
import { type BackupRef, backupKey } from '#domain/names.ts';
import { tableContents } from '#local/sample-database/table-contents.ts';
import { LOCAL } from '#local/stack.ts';
import { dumpToFile } from '#test/dump-to-file.ts';
import { storedBytes } from '#test/failure-case.ts';
import { runClient, withClient } from '#test/postgres.ts';
import { listBackups, type RestoreOutcome, usePipeline } from '#test/stack.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const pipeline = usePipeline();
let backup: BackupRef;
let original: Awaited<ReturnType<typeof contentsOf>>;

beforeAll(async () => {
  const { execution } = await pipeline().run();
  if (execution.status !== 'SUCCEEDED') throw new Error(`no backup: ${execution.cause}`);
  const [backupId = ''] = (await listBackups(pipeline())).keys();
  backup = { source: 'orders', database: 'shop', backupId };
  original = await contentsOf('shop');
});

const query = (database: string, sql: string) =>
  withClient(pipeline().server, database, async (client) => (await client.query(sql)).rows);

/** Schema by pg_dump, and a fingerprint of the rows of every table. */
async function contentsOf(database: string) {
  const { server } = pipeline();
  const dump = await runClient('pg_dump', ['--schema-only', `--dbname=${database}`], { server });
  expect(dump.exitCode).toBe(0);
  return {
    // pg_dump puts a random word into \restrict and \unrestrict.
    schema: dump.stdout.toString().replaceAll(/^\\(un)?restrict .*$/gm, ''),
    tables: await withClient(server, database, tableContents),
    largeObjects: await query(
      database,
      'SELECT oid, md5(lo_get(oid)), lomowner::regrole::text FROM pg_largeobject_metadata ORDER BY oid',
    ),
    sequences: await query(
      database,
      'SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2',
    ),
  };
}

async function databases(): Promise<string[]> {
  const rows = await query('postgres', 'SELECT datname FROM pg_database ORDER BY 1');
  return rows.map(({ datname }) => String(datname));
}

function reportOf({ execution, record }: RestoreOutcome) {
  expect(execution).toMatchObject({ status: 'SUCCEEDED', error: undefined });
  expect(record).toMatchObject({ status: 'SUCCEEDED', error: null, cleanUp: null });
  if (!record?.report) throw new Error('the restore left no report');
  expect(record.report.checks.problems).toEqual([]);
  return record.report;
}

const drop = (database: string) => query('postgres', `DROP DATABASE "${database}" WITH (FORCE)`);

describe('restoring a whole database through the real state machine, functions and task', () => {
  it('makes it again beside the original, equal in schema, rows and large objects', async () => {
    const outcome = await pipeline().restore();
    const report = reportOf(outcome);
    expect(report).toMatchObject({
      checksum: 'matched',
      tolerated: [],
      previousDatabase: null,
      database: expect.stringMatching(/^shop_restored_/),
    });
    expect(report.bytesRead).toBe(report.archiveBytes);
    expect(report.phases.map(({ phase }) => phase)).toEqual([
      'prepare',
      'pre-data',
      'data',
      'post-data',
      'analyze',
      'check',
    ]);
    expect(await contentsOf(report.database)).toEqual(original);
    expect(outcome.alerts.map(({ attributes }) => attributes)).toMatchObject([
      { event: 'restore', status: 'SUCCEEDED' },
    ]);
    await drop(report.database);
  });

  it('checks every row count that the verification has', async () => {
    const { checks, database } = reportOf(await pipeline().restore({ jobs: 1 }));
    const proof = JSON.parse(
      String(storedBytes(pipeline(), backupKey(backup, 'verification.json'))),
    ) as { tables: { schema: string; table: string; rows: number }[] };
    const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
    const counted = proof.tables.map(({ schema, table, rows }) => ({
      name: `${schema}.${table}`,
      rows,
    }));
    const checked = checks.rows.map(({ schema, table, actual }) => ({
      name: `${schema}.${table}`,
      rows: actual,
    }));
    expect(checked.toSorted(byName)).toEqual(counted.toSorted(byName));
    await drop(database);
  });

  it('fills an empty database that is there, and adds to its comment where the data came from', async () => {
    await query('postgres', 'CREATE DATABASE waiting TEMPLATE template0');
    await query('postgres', "COMMENT ON DATABASE waiting IS 'mine'");
    const target = { mode: 'existing', database: 'waiting' };
    const report = reportOf(await pipeline().restore({ target }));
    expect(report.database).toBe('waiting');
    expect(await contentsOf('waiting')).toEqual(original);
    const comment = "SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database";
    expect(await query('postgres', `${comment} WHERE datname = 'waiting'`)).toEqual([
      {
        c: expect.stringMatching(
          /^mine\nrestored by Holdfast from orders\/shop \S+ \(restore \S+\)$/,
        ),
      },
    ]);
    await drop('waiting');
  });

  it('takes the place of the original only when asked, and keeps that under a dated name', async () => {
    // On a copy, as the other tests need the original.
    await query('postgres', 'CREATE DATABASE swapped TEMPLATE template0');
    await query('swapped', 'CREATE TABLE lost_since (id integer)');
    const target = { mode: 'swap', database: 'swapped' };
    const report = reportOf(await pipeline().restore({ target }));
    expect(report.database).toBe('swapped');
    expect(report.previousDatabase).toMatch(/^swapped_before_\d{8}t\d{6}z$/);
    expect(await contentsOf('swapped')).toEqual(original);
    const before = report.previousDatabase ?? '';
    expect(await query(before, 'SELECT count(*)::int AS n FROM lost_since')).toEqual([{ n: 0 }]);
    await drop('swapped');
    await drop(before);
  });

  it('goes to the server of another source, as that plan says', async () => {
    const staging = SourcePlan.parse({
      ...pipeline().plan,
      source: 'staging',
      restore: {
        ...pipeline().plan.restore,
        jobs: 1,
      },
    });
    const { ssm } = pipeline().stack.plane;
    ssm.putParameter(`${LOCAL.planPrefix}staging`, JSON.stringify(staging));
    const target = { source: 'staging', database: 'from_production' };
    const outcome = await pipeline().restore({ target });
    expect(reportOf(outcome).database).toBe('from_production');
    expect(outcome.record?.restore).toMatchObject({ jobs: 1, target: { source: 'staging' } });
    await drop('from_production');
  });

  it('reads an archive that pg_dump alone made, though nobody vouches for it', async () => {
    const { server, stack } = pipeline();
    const major = (await ensurePostgresClients({ log: () => {} })).majors.at(-1) ?? 0;
    // As a shell makes it: `pg_dump --format=custom shop > by-hand.dump`.
    const dump = await dumpToFile(server, 'shop', { way: '>', major });
    await stack.objects.put('imports/by-hand.dump', dump);
    const target = { database: 'from_a_file' };
    const outcome = await pipeline().restore({
      database: undefined,
      archive: 'imports/by-hand.dump',
      target,
    });
    const report = reportOf(outcome);
    expect(await contentsOf('from_a_file')).toEqual(original);
    expect(report.checksum).toBe('matched');
    expect(report.warnings).toEqual([]);
    expect(report.checks.rows.every(({ expected }) => expected === null)).toBe(true);
    const comment = `SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database WHERE datname = 'from_a_file'`;
    expect(await query('postgres', comment)).toEqual([
      { c: expect.stringContaining('imports/by-hand.dump, from an archive that nobody verified') },
    ]);
    expect(outcome.alerts[0]?.byProtocol['email']).toContain('nobody verified it');
    await drop('from_a_file');

    const selection = { tables: ['web.page_views'] };
    const archive = 'imports/by-hand.dump';
    const part = reportOf(
      await pipeline().restore({ database: undefined, archive, target, selection }),
    );
    // A command that needs a manifest is no advice.
    expect(part.warnings).toContainEqual(expect.stringMatching(/no manifest says what/));
    expect(part.warnings.join()).not.toContain('holdfast verify');
    await drop('from_a_file');
  });

  it('says what to run instead when it is given a dump in another format, and makes nothing', async () => {
    const { server, stack } = pipeline();
    const before = await databases();
    const archive = 'imports/plain.sql';
    const { stdout } = await runClient('pg_dump', ['--dbname=shop'], { server });
    await stack.objects.put(archive, stdout);
    const target = { database: 'from_sql' };
    const outcome = await pipeline().restore({ database: undefined, archive, target });
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'ArchiveUnsupported' });
    const text = outcome.alerts[0]?.byProtocol['email'] ?? '';
    expect(text).toContain('imports/plain.sql is SQL text');
    expect(text).toContain('psql --file');
    expect(text).not.toContain('Start the source again');
    expect(await databases()).toEqual(before);
  });

  it('says what the backup itself lacked, as its role might not read it', async () => {
    await query('postgres', 'CREATE DATABASE bridged TEMPLATE template0');
    await query(
      'bridged',
      `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw;
       CREATE USER MAPPING FOR CURRENT_USER SERVER far OPTIONS (user 'u', password 'not-in-any-record')`,
    );
    await query(
      'bridged',
      `CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere password=not-in-any-record' PUBLICATION p
       WITH (connect = false, slot_name = NONE)`,
    );
    const { execution } = await pipeline().run({ databases: ['bridged'] });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });

    const outcome = await pipeline().restore({ database: 'bridged' });

    const report = reportOf(outcome);
    const said = [
      expect.stringMatching(/^not in the backup: options of user mappings .* postgres for far$/),
      expect.stringMatching(/^not in the backup: .*subscriptions not dumped/),
    ];
    expect(report.warnings).toEqual(expect.arrayContaining(said));
    expect(outcome.record?.report?.warnings).toEqual(report.warnings);
    const email = outcome.alerts[0]?.byProtocol['email'];
    expect(email).toContain('not in the backup: options of user mappings');
    expect(outcome.alerts[0]?.attributes).toMatchObject({ severity: 'warning' });
    expect(JSON.stringify(outcome)).not.toContain('not-in-any-record');
    await drop(report.database);
    await query('bridged', 'DROP SUBSCRIPTION sub');
    await drop('bridged');
  });

  it('knows a database by its own names in whatever encoding they are, in every record', async () => {
    await query(
      'postgres',
      "CREATE DATABASE kyoto ENCODING EUC_JP LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    await query('kyoto', 'CREATE SCHEMA 売上; CREATE TABLE 売上.息 AS SELECT 1 AS 番号');
    const known = new Set((await listBackups(pipeline())).keys());
    const { execution } = await pipeline().run({ databases: ['kyoto'] });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    const backups = [...(await listBackups(pipeline())).keys()];
    const backupId = backups.find((id) => !known.has(id)) ?? '';
    const read = (file: 'manifest.json' | 'verification.json') =>
      JSON.parse(
        String(
          storedBytes(pipeline(), backupKey({ ...backup, database: 'kyoto', backupId }, file)),
        ),
      );

    const report = reportOf(await pipeline().restore({ database: 'kyoto' }));

    const name = { schema: '売上', table: '息' };
    expect(read('manifest.json').archive.blocks).toMatchObject([name]);
    expect(read('verification.json').tables).toEqual([{ ...name, rows: 1 }]);
    expect(report.checks.rows).toEqual([{ ...name, expected: 1, actual: 1 }]);
    await drop(report.database);
    await drop('kyoto');
  });

  it('waits for an archive in Glacier, and goes on when S3 has it back', async () => {
    const { store, plane } = pipeline().stack;
    const key = backupKey(backup, 'archive.dump');
    store.setStorageClass(LOCAL.bucket, key, 'GLACIER');
    const outcome = await pipeline().restore({ retrievalTier: 'expedited' });
    const report = reportOf(outcome);
    expect(outcome.alerts.map(({ attributes }) => attributes['event'])).toEqual([
      'retrieval',
      'restore',
    ]);
    expect(plane.bus.history.map((event) => event['detail-type'])).toContain(
      'Object Restore Completed',
    );
    store.setStorageClass(LOCAL.bucket, key, 'STANDARD');
    await drop(report.database);
  });
});

describe('restoring a part of a database', () => {
  it('brings back one table with its rows and indexes, and reads only its bytes', async () => {
    const selection = { tables: ['web.page_views'] };
    const report = reportOf(await pipeline().restore({ selection }));
    const views = original.tables.filter(({ table }) => table === 'web.page_views');
    expect(await withClient(pipeline().server, report.database, tableContents)).toEqual(views);
    expect(report.checksum).toBe('blocks-matched');
    expect(report.warnings).not.toContainEqual(expect.stringContaining('could not be compared'));
    const manifest = JSON.parse(
      String(storedBytes(pipeline(), backupKey(backup, 'manifest.json'))),
    ) as { archive: { headBytes: number; blocks: { table?: string; lengthBytes: number }[] } };
    const block = manifest.archive.blocks.find(({ table }) => table === 'page_views');
    expect(report.bytesRead).toBe(manifest.archive.headBytes + (block?.lengthBytes ?? 0));
    const indexes = `SELECT indexname FROM pg_indexes WHERE schemaname = 'web' AND tablename = 'page_views' ORDER BY 1`;
    expect(await query(report.database, indexes)).toEqual(await query('shop', indexes));
    await drop(report.database);
  });

  it('names what a selected table needs before anything is made', async () => {
    const before = await databases();
    const selection = { tables: ['crm.customers'] };
    const { execution, alerts } = await pipeline().restore({ selection });
    expect(execution).toMatchObject({ status: 'FAILED', error: 'DependencyMissing' });
    expect(execution.cause).toContain('crm.email');
    expect(alerts).toHaveLength(1);
    expect(await databases()).toEqual(before);

    const report = reportOf(
      await pipeline().restore({ selection: { ...selection, withDependencies: true } }),
    );
    const customers = original.tables.filter(({ table }) => table === 'crm.customers');
    const restored = await withClient(pipeline().server, report.database, tableContents);
    expect(restored).toEqual(expect.arrayContaining(customers));
    await drop(report.database);
  });

  it('restores the schema alone, and then the rows alone into it', async () => {
    const target = { database: 'in_two_steps' };
    const first = reportOf(await pipeline().restore({ target, selection: { only: 'schema' } }));
    expect(first.checks.rows).toEqual([]);
    const dump = (await contentsOf('in_two_steps')).schema;
    expect(dump).toBe(original.schema);
    reportOf(
      await pipeline().restore({
        target: { ...target, mode: 'existing' },
        selection: { only: 'data' },
      }),
    );
    expect(await contentsOf('in_two_steps')).toEqual(original);
    await drop('in_two_steps');
  });

  it('says what there is when a name matches nothing', async () => {
    const selection = { tables: ['web.page_view'] };
    const { execution } = await pipeline().restore({ selection });
    expect(execution).toMatchObject({ status: 'FAILED', error: 'NothingSelected' });
    expect(execution.cause).toContain('page_views');
  });
});
