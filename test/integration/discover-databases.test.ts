import { spawnSync } from 'node:child_process';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import { classifyClientFailure } from '#domain/pg-errors.ts';
import { quoteLiteral } from '#domain/restore/sql-tokens.ts';
import { markAsRestored } from '#domain/restore/target-mark.ts';
import { discoverDatabases } from '#functions/discover-databases.ts';
import type { PostgresMajor } from '#local/postgres-server.ts';
import { makeClients, makeDeps, makePlan, makePlans, makeRun } from '#test/fakes.ts';
import { usePostgres } from '#test/postgres.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const PASSWORD = 'of-a-test';

/** Preflight and pg_dump must agree: what one calls a problem, the other one stumbles over. */
describe.each<PostgresMajor>([15, 17, 18])('with PostgreSQL %i', (major) => {
  const postgres = usePostgres({ major });

  beforeAll(async () => {
    await postgres.query(
      'postgres',
      `CREATE ROLE "no grants" LOGIN PASSWORD '${PASSWORD}';
       CREATE ROLE reader LOGIN PASSWORD '${PASSWORD}' IN ROLE pg_read_all_data;
       CREATE ROLE app;`,
    );
    for (const name of ['clean', 'tables', 'columns', 'objects', 'secured', 'owned', 'closed']) {
      await postgres.query('postgres', `CREATE DATABASE ${name}`);
    }
    await postgres.query('postgres', 'REVOKE CONNECT ON DATABASE closed FROM PUBLIC');
    await postgres.query('postgres', 'CREATE DATABASE hidden ALLOW_CONNECTIONS false');
    await postgres.query(
      'clean',
      `CREATE SCHEMA empty; REVOKE ALL ON SCHEMA empty FROM PUBLIC;
       CREATE TABLE t (a int); CREATE VIEW v AS SELECT * FROM t; CREATE SEQUENCE s;
       GRANT SELECT ON t, s TO "no grants"; `,
    );
    await postgres.query(
      'tables',
      `CREATE SCHEMA "Sales dept"; CREATE TABLE "Sales dept"."Öde" (a int);
       CREATE TABLE parted (a int) PARTITION BY RANGE (a);
       CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
       CREATE SEQUENCE numbers;`,
    );
    await postgres.query(
      'columns',
      `CREATE TABLE t (a int, b int); GRANT SELECT (a, b) ON t TO "no grants"`,
    );
    await postgres.query(
      'objects',
      `SELECT lo_from_bytea(4242, 'x'); SELECT lo_from_bytea(4243, 'y');
       GRANT SELECT ON LARGE OBJECT 4243 TO PUBLIC;
       CREATE FUNCTION public.pg_has_role(name, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
       ALTER DATABASE objects SET search_path = public, pg_catalog;`,
    );
    await postgres.query(
      'secured',
      `CREATE TABLE tenants (a int); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
       CREATE TABLE plain (a int);`,
    );
    await postgres.query(
      'owned',
      `GRANT app TO reader; CREATE TABLE mine (a int); ALTER TABLE mine OWNER TO app;
       ALTER TABLE mine ENABLE ROW LEVEL SECURITY;`,
    );
  });

  /** Discovers as a role, and dumps each database with a real pg_dump as the same role. */
  async function discoverAs(user: string, names: string[] | null) {
    const { host, port } = postgres.server;
    const plan = makePlan({ connection: { host, port, tls: { mode: 'disable' } } });
    const databases = makeDatabases({
      region: 'eu-west-1',
      caFile: '/nonexistent',
      secrets: { credentials: async () => ({ username: user, password: PASSWORD }) },
    });
    const deps = makeDeps({ databases, plans: makePlans([plan]), clients: makeClients() });
    const discovery = await discoverDatabases({ run: makeRun({ databases: names }) }, deps);

    const { directory, majors } = await ensurePostgresClients();
    const client = majors.find((candidate) => candidate >= Math.max(16, major)) ?? majors.at(-1);
    const found: Record<string, unknown> = {};
    for (const { database, problem } of discovery.databases) {
      const { environment } = await databases.clientEnvironment(plan.connection, database);
      const dump = spawnSync(
        `${directory}/${client}/bin/pg_dump`,
        ['--format=custom', '--compress=0', '--no-password'],
        { env: { PATH: '/usr/bin:/bin', ...environment }, timeout: 120_000 },
      );
      const stderr = dump.stderr.toString().split('\n');
      const dumped =
        dump.status === 0
          ? null
          : classifyClientFailure('pg_dump', { exitCode: dump.status, stderr }).name;
      expect([database, dumped]).toEqual([database, problem?.error ?? null]);
      found[database] = problem?.cause ?? null;
    }
    return { discovery, found };
  }

  it('finds nothing wrong where the role may read everything', async () => {
    const { found } = await discoverAs('reader', ['clean', 'tables', 'columns', 'owned']);
    expect(found).toEqual({ clean: null, tables: null, columns: null, owned: null });
  });

  it('names what a role without grants may not read, quoted, in the words of a GRANT', async () => {
    const { found } = await discoverAs('no grants', ['clean', 'tables', 'columns']);
    expect(found).toEqual({
      clean: null,
      columns: expect.stringContaining('may not read table public.t;'),
      tables:
        'the role "no grants" may not use schema "Sales dept"; read table "Sales dept"."Öde", public.parted, public.parted_1; read sequence public.numbers; run as an administrator: GRANT pg_read_all_data TO "no grants";',
    });
  });

  it('names large objects, which pg_read_all_data does not cover, past a hostile search path', async () => {
    const { found } = await discoverAs('reader', ['objects']);
    expect(found['objects']).toContain('may not read large object 4242, which');
    expect(found['objects']).toContain('GRANT SELECT ON LARGE OBJECT 4242 TO reader;');
  });

  it('does not name large objects where the server does not check their grants', async () => {
    await postgres.query('postgres', 'ALTER ROLE reader SET lo_compat_privileges = on');
    try {
      expect((await discoverAs('reader', ['objects'])).found).toEqual({ objects: null });
    } finally {
      await postgres.query('postgres', 'ALTER ROLE reader RESET lo_compat_privileges');
    }
  });

  it('names tables under row-level security, until the role may bypass it', async () => {
    const { found } = await discoverAs('reader', ['secured']);
    expect(found['secured']).toBe(
      'row-level security would hide rows of public.tenants from the role reader; run as an administrator: ALTER ROLE reader BYPASSRLS;',
    );
    await postgres.query('postgres', 'ALTER ROLE reader BYPASSRLS');
    try {
      expect((await discoverAs('reader', ['secured'])).found).toEqual({ secured: null });
    } finally {
      await postgres.query('postgres', 'ALTER ROLE reader NOBYPASSRLS');
    }
  });

  it('names tables that force row-level security on their owner too', async () => {
    await postgres.query('owned', 'ALTER TABLE mine FORCE ROW LEVEL SECURITY');
    try {
      const { found } = await discoverAs('reader', ['owned']);
      expect(found['owned']).toContain('rows of public.mine');
    } finally {
      await postgres.query('owned', 'ALTER TABLE mine NO FORCE ROW LEVEL SECURITY');
    }
  });

  it('lists what can be dumped, with sizes; no template, none without connections', async () => {
    const { discovery } = await discoverAs('reader', ['c*', 'template?', 'hid*', 'nope']);
    expect(discovery.server.versionNumber).toBeGreaterThanOrEqual(major * 10_000);
    expect(discovery.server.isReplica).toBe(false);
    const names = discovery.databases.map(({ database }) => database);
    expect(names.sort()).toEqual(['clean', 'closed', 'columns', 'nope']);
    const clean = discovery.databases.find(({ database }) => database === 'clean');
    expect(clean?.sizeBytes).toBeGreaterThan(5_000_000);
    expect(discovery.warnings).toEqual([
      'the pattern template? matches no database',
      'the pattern hid* matches no database',
      'closed: the server does not tell its size',
    ]);
  });

  it('takes all but what a restore put beside its original, which it tells', async () => {
    const copy = 'clean_restored_20261120t030000z_k3v9qd';
    const comment = markAsRestored('orders/clean x', '20261120T030000Z-k3v9qd', "the clean's");
    await postgres.query('postgres', `CREATE DATABASE ${copy}`);
    await postgres.query('postgres', `COMMENT ON DATABASE ${copy} IS ${quoteLiteral(comment)}`);
    try {
      const { discovery } = await discoverAs('reader', null);
      const names = discovery.databases.map(({ database }) => database);
      expect(names).toContain('clean');
      expect(names).not.toContain(copy);
      expect(discovery.warnings).toContainEqual(expect.stringContaining(`${copy} is a copy`));
    } finally {
      await postgres.query('postgres', `DROP DATABASE ${copy}`);
    }
  });

  it('warns of what pg_dump leaves out or cannot see', async () => {
    await postgres.query(
      'clean',
      `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER remote FOREIGN DATA WRAPPER w;
       CREATE USER MAPPING FOR app SERVER remote OPTIONS (password 'x');
       CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false);`,
    );
    try {
      const { discovery } = await discoverAs('reader', ['clean']);
      expect(discovery.warnings).toEqual([
        'clean: options of user mappings may be hidden from the role, and missing: app for remote',
        'clean: subscriptions are left out, as the role is no superuser: sub',
      ]);
    } finally {
      await postgres.query('clean', 'ALTER SUBSCRIPTION sub SET (slot_name = NONE)');
      await postgres.query('clean', 'DROP SUBSCRIPTION sub');
      await postgres.query('clean', 'DROP SERVER remote CASCADE; DROP FOREIGN DATA WRAPPER w');
    }
  });
});
