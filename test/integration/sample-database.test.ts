import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import {
  fillSampleDatabase,
  type SampleSummary,
} from '#local/sample-database/fill-sample-database.ts';
import { backupRole } from '#local/sample-database/sample-roles.ts';
import { tableContents } from '#local/sample-database/table-contents.ts';
import { newestDumpableMajor, runClient, usePostgres, withClient } from '#test/postgres.ts';

// Builds the clients on first use (a minute); `npm test` has done so before.
const major = await newestDumpableMajor();

/** Everything that a restored shop must have in common with the original. */
async function contentsOf(server: PostgresServer) {
  return withClient(server, 'shop', async (client) => {
    const largeObjects = await client.query(
      'SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid',
    );
    const sequences = await client.query(
      'SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2',
    );
    return {
      tables: await tableContents(client),
      largeObjects: largeObjects.rows,
      sequences: sequences.rows,
    };
  });
}

/** What the sample must have, each with a condition that holds in `shop` only if it does. */
const features = {
  'several schemas': `SELECT count(*) >= 8 FROM pg_namespace WHERE nspname !~ '^pg_|^inf'`,
  'a table partitioned by range': `
    SELECT count(*) = 1 FROM pg_partitioned_table WHERE partstrat = 'r'`,
  'a partition that is partitioned by list': `
    SELECT count(*) = 1 FROM pg_partitioned_table JOIN pg_class ON oid = partrelid
    WHERE partstrat = 'l' AND relispartition`,
  'default partitions with rows': `
    SELECT count(*) = 2 FROM pg_partitioned_table JOIN pg_class ON oid = partdefid
    WHERE reltuples > 0`,
  views: `SELECT count(*) >= 2 FROM pg_views WHERE schemaname IN ('sales', 'Größe & Maße')`,
  'a filled and an unfilled materialized view': `
    SELECT count(*) = 2 AND count(DISTINCT ispopulated) = 2 FROM pg_matviews`,
  'a trigger that has fired': `
    SELECT count(*) = 500 FROM catalogue.product_changes WHERE operation = 'UPDATE'`,
  'a function whose body looks like rows': String.raw`
    SELECT count(*) = 1 FROM pg_proc
    WHERE prosrc ~ '\nCOPY evil FROM stdin;\n' AND prosrc ~ '\n\\\.\n'`,
  'enum, domain, composite, range and multirange types': `
    SELECT count(DISTINCT typtype) = 5 FROM pg_type
    WHERE typnamespace IN ('crm'::regnamespace, 'sales'::regnamespace)
      AND typtype IN ('e', 'd', 'c', 'r', 'm')`,
  'generated columns': `SELECT count(*) >= 4 FROM pg_attribute WHERE attgenerated = 's'`,
  'identity columns of both kinds': `
    SELECT count(DISTINCT attidentity) = 2 FROM pg_attribute WHERE attidentity <> ''`,
  'columns of jsonb, bytea, array and XML type': `
    SELECT count(DISTINCT atttypid) = 4 FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relkind = 'r' AND attrelid > 16384
      AND format_type(atttypid, NULL) IN ('jsonb', 'bytea', 'text[]', 'xml')`,
  'bytea with zero bytes': String.raw`
    SELECT count(*) = 500 FROM odd.binary_values WHERE position('\x00'::bytea IN value) = 1`,
  'large objects, one of several MiB and one empty': `
    SELECT count(*) = 26 AND max(length(lo_get(oid))) > 2 << 20 AND min(length(lo_get(oid))) = 0
    FROM pg_largeobject_metadata`,
  'large objects of different owners and privileges': `
    SELECT count(DISTINCT (lomowner, lomacl::text)) >= 3 FROM pg_largeobject_metadata`,
  'comments on many kinds of objects': `
    SELECT count(DISTINCT classoid) >= 7 FROM pg_description WHERE objoid > 16384`,
  'grants on tables to several roles': `
    SELECT count(DISTINCT grantee) >= 3 FROM information_schema.table_privileges
    WHERE table_schema IN ('sales', 'web')`,
  'grants on columns, and by default': `
    SELECT EXISTS (SELECT FROM pg_attribute WHERE attacl IS NOT NULL AND attrelid > 16384)
       AND EXISTS (SELECT FROM pg_default_acl)`,
  'row-level security, forced on the owner and not': `
    SELECT count(*) = 2 AND count(DISTINCT relforcerowsecurity) = 2
    FROM pg_class WHERE relrowsecurity`,
  'names with blanks, quotes, upper case, backslash, line feed and beyond ASCII': String.raw`
    SELECT bool_and(EXISTS (SELECT FROM pg_class WHERE relname ~ trap)) FROM unnest(ARRAY[
      ' ', '"', '''', '[A-Z]', '\\', '\n', '注', '\.', ';', '%', '\.\./', '^.{63}$']) trap`,
  'columns with emoji, quotes and key words': `
    SELECT count(*) = 3 FROM pg_attribute WHERE attname IN ('emoji 🐘', 'Maß (½")', 'from')
      AND attrelid = '"Größe & Maße"."Tabelle ""mit"" ''allem''"'::regclass`,
  'an empty table': `SELECT count(*) = 0 FROM web.nothing_yet`,
  'a big table without a primary key': `
    SELECT count(*) = 0 FROM pg_index WHERE indisprimary AND indrelid = 'web.page_views'::regclass`,
  'tables whose rows have no columns': `
    SELECT (SELECT count(*) FROM odd.zero_columns) = 3
       AND (SELECT count(*) FROM odd.dropped_columns) = 5`,
  'foreign keys in a cycle': `
    SELECT count(*) = 2 FROM pg_constraint WHERE contype = 'f' AND (conrelid, confrelid) IN (
      ('staff.departments'::regclass, 'staff.employees'::regclass),
      ('staff.employees'::regclass, 'staff.departments'::regclass))`,
  'an exclusion constraint': `SELECT count(*) = 1 FROM pg_constraint WHERE contype = 'x'`,
  'an unlogged table': `
    SELECT count(*) = 1 FROM pg_class WHERE relkind = 'r' AND relpersistence = 'u'`,
  'a sequence that has moved on': `SELECT last_value = 71000 FROM sales.invoice_numbers`,
  'NULL beside its escaped form as text': String.raw`
    SELECT count(*) FILTER (WHERE a = '\N') = 1 AND count(*) FILTER (WHERE a IS NULL) = 2
    FROM odd.null_traps`,
  'rows of more than 1 MB of text': `
    SELECT count(*) = 3 FROM odd.long_rows
    WHERE length(long_text) > 1e6 AND length(long_bytes) > 1e6`,
  'infinity, NaN and dates before our era': `
    SELECT bool_or(f = 'NaN') AND bool_or(t = 'infinity') AND bool_or(d < '0001-01-01')
    FROM odd.values_at_the_edge`,
};

// Twice the usual time, as it fills and restores whole databases and machines are busy.
describe('the sample database', () => {
  const postgres = usePostgres({ major });
  const target = usePostgres({ major });
  let sample: SampleSummary;
  let seconds: number;
  const asBackupRole = () => ({ server: postgres.server, ...sample.backup });
  beforeAll(async () => {
    const start = performance.now();
    sample = await fillSampleDatabase({ connection: postgres.server });
    seconds = (performance.now() - start) / 1000;
  });

  it('has over 300,000 rows, in known numbers, and takes no longer to make than somebody waits', () => {
    const { shop, audit } = sample.databases;
    expect(shop).toMatchObject({
      'crm.customers': 20_000,
      'crm.contact_notes': 5000,
      'catalogue.product_changes': 500,
      'sales.order_lines': 150_000,
      'sales.orders_2024_eu': 5287,
      'sales.orders_rest': 21_717,
      'web.page_views': 40_000,
      'web.nothing_yet': 0,
      'odd.zero_columns': 3,
      '日本語.注文': 50,
    });
    const orders = Object.entries(shop).filter(([table]) => table.startsWith('sales.orders_'));
    expect(orders.reduce((sum, [, rows]) => sum + rows, 0)).toBe(100_000);
    expect(Object.values(shop).reduce((sum, rows) => sum + rows, 0)).toBe(321_998);
    expect(audit).toEqual({ 'trail.entries': 5000, 'trail.empty_until_used': 0 });
    expect(seconds).toBeLessThan(90);
  });

  it.each(Object.entries(features))('has %s', async (_feature, condition) => {
    const rows = await postgres.query('shop', `SELECT (${condition}) AS present`);
    expect(rows).toEqual([{ present: true }]);
  });

  it('is restored in full by pg_restore from what the backup role dumped', async () => {
    const globals = ['--globals-only', '--no-role-passwords'];
    const roles = await runClient('pg_dumpall', globals, asBackupRole());
    expect(roles).toMatchObject({ exitCode: 0, stderr: '' });
    const dump = await runClient('pg_dump', ['-Fc', '--compress=1', 'shop'], asBackupRole());
    expect(dump).toMatchObject({ exitCode: 0, stderr: '' });

    const on = { server: target.server };
    // Complains that "postgres" exists, and goes on.
    const created = await runClient('psql', ['postgres'], { ...on, input: roles.stdout });
    expect(created.exitCode).toBe(0);
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-sample-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'shop.dump');
    await writeFile(file, dump.stdout);
    const restored = await runClient(
      'pg_restore',
      ['--create', '--dbname=postgres', '--jobs=2', '--exit-on-error', file],
      on,
    );
    expect(restored).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await contentsOf(target.server)).toEqual(await contentsOf(postgres.server));
  });

  it('is the same in every run and on every server version', async () => {
    const contents = [];
    for (const version of [15, 17] as const) {
      const server = await startPostgres({ major: version });
      try {
        const small = await fillSampleDatabase({ connection: server, scale: 0.01 });
        expect(small.databases.shop).toMatchObject({ 'sales.order_lines': 1500 });
        contents.push(await contentsOf(server));
      } finally {
        await server.stop('immediate');
      }
    }
    expect(contents[0]).toEqual(contents[1]);
  });

  describe('its backup role', () => {
    it('cannot write', async () => {
      const run = await runClient(
        'psql',
        ['-c', 'DELETE FROM web.sessions', 'shop'],
        asBackupRole(),
      );
      expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('denied') });
    });

    it('needs BYPASSRLS: a policy that shows it every row does not help', async () => {
      await postgres.query(
        'shop',
        `ALTER ROLE ${backupRole} NOBYPASSRLS;
         CREATE POLICY all_of_it ON crm.contact_notes FOR SELECT TO ${backupRole} USING (true)`,
      );
      const run = await runClient(
        'pg_dump',
        ['-Fc', '--table=crm.contact_notes', 'shop'],
        asBackupRole(),
      );
      await postgres.query(
        'shop',
        `ALTER ROLE ${backupRole} BYPASSRLS; DROP POLICY all_of_it ON crm.contact_notes`,
      );
      expect(run).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('affected by row-level security policy'),
      });
    });

    it('needs a grant on every single large object', async () => {
      await postgres.query('shop', `REVOKE SELECT ON LARGE OBJECT 880007 FROM ${backupRole}`);
      const run = await runClient('pg_dump', ['-Fc', 'shop'], asBackupRole());
      await postgres.query('shop', `GRANT SELECT ON LARGE OBJECT 880007 TO ${backupRole}`);
      expect(run).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining('permission denied for large object 880007'),
      });
    });
  });
});
