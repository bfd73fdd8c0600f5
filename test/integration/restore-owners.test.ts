import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '#adapters/clock.ts';
import type { RoleHandling, Selection, TargetMode } from '#contracts/restore.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import { archiveRoles } from '#domain/restore/archive-roles.ts';
import { requireSelection } from '#domain/restore/selection.ts';
import { quoteIdentifier as q } from '#domain/restore/sql-tokens.ts';
import { type PostgresMajor, postgresMajors } from '#local/postgres-server.ts';
import { checkRestored } from '#operations/restore/check-restored.ts';
import { cleanUpTarget } from '#operations/restore/clean-up-target.ts';
import {
  markRestored,
  prepareTarget,
  type TargetRequest,
} from '#operations/restore/prepare-target.ts';
import { restoreArchive } from '#operations/restore/restore-archive.ts';
import { requireRoles } from '#operations/restore/restore-roles.ts';
import { swapDatabase } from '#operations/restore/swap-database.ts';
import { runClient } from '#test/postgres.ts';
import { accessTo, contentsOf, restoreDeps } from '#test/restored-copy.ts';
import {
  type Dump,
  dropDatabases,
  dump,
  errorOf,
  ID,
  PASSWORD,
  RESTORER,
  serverOf,
  sql,
  targetOn,
  useTargetServers,
  withSessionOn,
} from '#test/target-servers.ts';

useTargetServers();

const SHOP = 'shop';
/** Each owns something, and none of them restores. */
const APP = `a"p'p ü`;
const ROLES = [APP, 'team', 'granted', 'lapsed', 'lender', 'reader'];
const MAKE_ROLES = ROLES.map((role) => `CREATE ROLE ${q(role)}`).join('; ');
const JOIN = ROLES.map((role) => `GRANT ${q(role)} TO ${q(RESTORER)}`).join('; ');

/**
 * What an application makes that owns its database: tables in `public`; beside it roles that may create there,
 * or once might, and a schema of somebody else.
 */
const MAKE_SHOP = `
  CREATE EXTENSION hstore;
  GRANT CREATE ON SCHEMA public TO granted, lapsed;
  GRANT CREATE ON DATABASE ${SHOP} TO lapsed;
  CREATE SCHEMA "Tea.m" AUTHORIZATION team;
  SET ROLE team;
  GRANT USAGE ON SCHEMA "Tea.m" TO PUBLIC;
  GRANT CREATE ON SCHEMA "Tea.m" TO ${q(APP)}, lapsed;
  CREATE TABLE "Tea.m".own (id int PRIMARY KEY);
  INSERT INTO "Tea.m".own SELECT generate_series(1, 20);
  SET ROLE ${q(APP)};
  CREATE DOMAIN price AS int CHECK (VALUE >= 0);
  CREATE TYPE state AS ENUM ('new', 'done');
  CREATE TABLE customers (id serial PRIMARY KEY, name text, attributes hstore);
  INSERT INTO customers (name) SELECT 'c' || n FROM generate_series(1, 50) AS n;
  CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, total price, state state,
    customer int NOT NULL REFERENCES customers);
  INSERT INTO orders (total, state, customer) SELECT n, 'new', n % 50 + 1 FROM generate_series(1, 300) AS n;
  CREATE INDEX ON orders (total);
  CREATE STATISTICS both_of_them ON total, customer FROM orders;
  ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
  CREATE POLICY few ON orders TO reader USING (total < 10);
  ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
  CREATE TABLE "Tea.m".guests (id int PRIMARY KEY REFERENCES customers);
  INSERT INTO "Tea.m".guests SELECT generate_series(1, 10);
  CREATE VIEW totals AS SELECT sum(total) FROM orders;
  CREATE MATERIALIZED VIEW counts AS SELECT count(*) FROM customers;
  CREATE FUNCTION secret() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';
  REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
  CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER touch BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touched();
  CREATE PUBLICATION changes FOR TABLE customers;
  SELECT lo_from_bytea(4711, 'large');
  GRANT SELECT ON LARGE OBJECT 4711 TO reader;
  ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
  GRANT SELECT ON customers TO lender WITH GRANT OPTION;
  REVOKE UPDATE ON customers FROM ${q(APP)};
  COMMENT ON TABLE orders IS 'of the app';
  SET ROLE lender;
  GRANT SELECT ON customers TO reader;
  SET ROLE granted;
  CREATE TABLE of_granted (id int PRIMARY KEY);
  INSERT INTO of_granted VALUES (1), (2);
  SET ROLE lapsed;
  CREATE TABLE of_lapsed (id int PRIMARY KEY);
  CREATE TABLE "Tea.m".of_lapsed (id int PRIMARY KEY);
  INSERT INTO of_lapsed VALUES (1);
  CREATE PUBLICATION of_lapsed_changes FOR TABLE of_lapsed;
  RESET ROLE;
  REVOKE CREATE ON DATABASE ${SHOP} FROM lapsed;
  REVOKE CREATE ON SCHEMA public FROM lapsed;
  REVOKE CREATE ON SCHEMA "Tea.m" FROM lapsed`;

/** Who gave what to whom: pg_dump does not show all of it. */
const GRANTS = `
  SELECT kind, name, owner, format('%s to %s by %s', privilege_type, a.grantee::regrole, a.grantor::regrole) AS given
  FROM (SELECT 'relation' AS kind, oid::regclass::text AS name, relowner::regrole::text AS owner,
               COALESCE(relacl, acldefault('r', relowner)) AS acl
          FROM pg_class WHERE relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('public', 'Tea.m'))
           AND relkind IN ('r', 'v', 'm', 'S')
        UNION ALL
        SELECT 'schema', nspname, nspowner::regrole::text, COALESCE(nspacl, acldefault('n', nspowner))
          FROM pg_namespace WHERE nspname IN ('public', 'Tea.m')
        UNION ALL
        SELECT 'database', '', datdba::regrole::text, COALESCE(datacl, acldefault('d', datdba))
          FROM pg_database WHERE datname = current_database()
        UNION ALL
        SELECT 'function', oid::regprocedure::text, proowner::regrole::text, COALESCE(proacl, acldefault('f', proowner))
          FROM pg_proc WHERE proname IN ('secret', 'touched')
        UNION ALL
        SELECT 'publication', pubname, pubowner::regrole::text, NULL FROM pg_publication
        UNION ALL
        SELECT 'statistics', stxname, stxowner::regrole::text, NULL FROM pg_statistic_ext) AS o
  LEFT JOIN LATERAL aclexplode(acl) AS a ON true ORDER BY 1, 2, 3, 4`;

interface Run {
  readonly user?: string;
  readonly mode?: TargetMode;
  readonly database?: string;
  readonly selection?: Partial<Selection>;
  readonly roles?: Partial<RoleHandling>;
  readonly globals?: () => Promise<string>;
  readonly jobs?: number;
}

/** What the restore task does, step by step; what fails is left as it is. */
async function restoreAs(major: PostgresMajor, contents: Dump, run: Run = {}) {
  const { user = RESTORER, mode = 'new', database = 'copy', globals, jobs = 3 } = run;
  const target = targetOn(major, user);
  const { connection } = target;
  const password = user === 'postgres' ? serverOf(major).password : PASSWORD;
  const deps = await restoreDeps(serverOf(major), { user, password });
  const access = await accessTo(contents.archive);
  const selection: Selection = { without: [], withDependencies: false, ...run.selection };
  const dataOnly = selection.only === 'data';
  const isPresent = ({ section }: { section: string }) => dataOnly && section !== 'data';
  const { ids } = requireSelection(access.head, access.toc, selection, isPresent);
  const roles: RoleHandling = { createMissing: false, noOwner: false, ...run.roles };
  const request: TargetRequest = {
    connection,
    restoreId: ID,
    mode,
    database,
    head: access.head,
    toc: access.toc,
    ids,
    selection,
    roles,
  };
  if (!dataOnly) {
    await withSessionOn(target, (session) =>
      requireRoles(session, archiveRoles(access.head, access.toc, ids), roles, globals, ID),
    );
  }
  const { server } = await prepareTarget(deps, request);
  const { signal } = new AbortController();
  const done = await restoreArchive(deps, {
    access,
    ids,
    connection,
    database,
    versionNumber: server.versionNumber,
    jobs,
    roles,
    dataOnly,
    signal,
  });
  const { checks, warnings } = await checkRestored(deps, {
    connection,
    database,
    expected: archiveExpectations(access.head, access.toc, ids),
    expectedRows: undefined,
    dataOnly,
    jobs,
    signal,
  });
  const late = await markRestored(deps, { ...request, origin: 'imports/some.dump' });
  return {
    tolerated: done.tolerated.map(({ objectType, object }) => `${objectType} ${object}`),
    warnings: [...done.warnings, ...warnings, ...late],
    problems: checks.problems,
  };
}

const WELL = { tolerated: [], problems: [] };

describe.each(postgresMajors)('objects of many owners on PostgreSQL %s', (major) => {
  const query = (database: string, text: string) => sql(serverOf(major), database, text);
  const as = async (database: string) => ({
    ...(await contentsOf(serverOf(major), database)),
    grants: await query(database, GRANTS),
  });
  let contents: Dump;
  let original: Awaited<ReturnType<typeof as>>;

  beforeAll(async () => {
    await query('postgres', MAKE_ROLES);
    await query('postgres', JOIN);
    await query('postgres', `CREATE DATABASE ${SHOP} OWNER ${q(APP)}`);
    await query(SHOP, MAKE_SHOP);
    contents = await dump(serverOf(major), SHOP);
    original = await as(SHOP);
  });
  afterEach(async () => {
    await query('postgres', 'DROP DATABASE IF EXISTS copy WITH (FORCE)');
    await query('postgres', 'DROP DATABASE IF EXISTS before WITH (FORCE)');
  });
  afterAll(() => dropDatabases(serverOf(major)));

  it('belong to them again when a role that is no superuser restores', async () => {
    const { warnings, ...others } = await restoreAs(major, contents);
    expect(others).toEqual(WELL);
    // A policy that is forced hides its rows from the restoring role too, which is told from none.
    expect(warnings.filter((it) => !it.includes('row-level security'))).toEqual([]);
    expect(await as('copy')).toEqual(original);
  });

  it('belong to them again when a superuser restores', async () => {
    expect(await restoreAs(major, contents, { user: 'postgres' })).toMatchObject({ problems: [] });
    expect(await as('copy')).toEqual(original);
  });

  it('take the place of the original afterwards', async () => {
    await query('postgres', `CREATE DATABASE before OWNER ${q(APP)}`);
    await restoreAs(major, contents);
    const { connection, databases } = targetOn(major, RESTORER);
    await swapDatabase(
      { databases, clock: systemClock },
      { connection, restored: 'copy', original: 'before', previous: 'replaced' },
    );
    expect(await as('before')).toEqual(original);
    await query('postgres', 'DROP DATABASE replaced');
  });

  it('go into an empty database that one of them owns', async () => {
    await query('postgres', `CREATE DATABASE copy OWNER ${q(APP)}`);
    await restoreAs(major, contents, { mode: 'existing' });
    expect(await as('copy')).toEqual(original);
  });

  it('leave an empty database as it was when the restore fails', async () => {
    await query('postgres', `CREATE DATABASE copy OWNER ${q(APP)}`);
    const before = await as('copy');
    const broken = contents.archive
      .toString('latin1')
      .replace('ON public.orders USING btree', 'ON public.ordres USING btree');
    const archive = { ...contents, archive: Buffer.from(broken, 'latin1') };
    const { name } = await errorOf(restoreAs(major, archive, { mode: 'existing' }));
    expect(name).toBe('RestoreFailed');
    const target = targetOn(major, RESTORER);
    await cleanUpTarget(target, {
      connection: target.connection,
      restoreId: ID,
      target: { database: 'copy', mode: 'existing' },
      keepOnFailure: false,
    });
    expect(await as('copy')).toEqual(before);
  });

  it('can be one table, and then its rows alone', async () => {
    const tables = { tables: ['public.of_lapsed', '"Tea.m".of_lapsed'], withDependencies: true };
    expect(await restoreAs(major, contents, { selection: { ...tables, only: 'schema' } })).toEqual({
      ...WELL,
      warnings: [],
    });
    const selection = { tables: tables.tables, only: 'data' as const };
    const mode = 'existing';
    expect(await restoreAs(major, contents, { mode, selection })).toMatchObject({ problems: [] });
    expect(await query('copy', 'SELECT id FROM of_lapsed')).toEqual([{ id: 1 }]);
    expect(
      await query(
        'copy',
        `SELECT tableowner, has_schema_privilege('lapsed', schemaname, 'CREATE') AS may
         FROM pg_tables WHERE tablename = 'of_lapsed'`,
      ),
    ).toEqual(Array.from({ length: 2 }, () => ({ tableowner: 'lapsed', may: false })));
  });

  it('lose what is left out, and nobody keeps a right that was lent', async () => {
    const without = ['privileges'] as const;
    await restoreAs(major, contents, { selection: { without: [...without] } });
    const may = `SELECT has_schema_privilege(r, s, 'CREATE') AS may
      FROM unnest('{granted,lapsed}'::text[]) AS r, unnest('{public,Tea.m}'::text[]) AS s`;
    expect(await query('copy', may)).toEqual(Array.from({ length: 4 }, () => ({ may: false })));
  });

  it('are made by a restore that made the roles too', async () => {
    const run = await runClient('pg_dumpall', ['--globals-only', '--no-role-passwords'], {
      server: serverOf(major),
    });
    // Under other names, as the originals have something.
    const renamed = (text: Buffer | string) =>
      text.toString('latin1').replaceAll('lapsed', 'elapse').replaceAll('granted', 'borrows');
    const archive = Buffer.from(renamed(contents.archive), 'latin1');
    const result = await restoreAs(
      major,
      { ...contents, archive },
      { roles: { createMissing: true }, globals: async () => renamed(run.stdout) },
    );
    expect(result).toMatchObject(WELL);
    const owners = await query(
      'copy',
      `SELECT tablename, tableowner FROM pg_tables WHERE tableowner IN ('elapse', 'borrows')`,
    );
    expect(owners).toHaveLength(3);
    await query('postgres', 'DROP DATABASE copy; ');
    await query('postgres', 'DROP ROLE elapse; DROP ROLE borrows');
  });

  it('are given in the name of the owner where nobody may act as who gave them', async () => {
    await query('postgres', `REVOKE lender FROM ${q(RESTORER)}`);
    try {
      const { tolerated } = await restoreAs(major, contents);
      expect(tolerated).toEqual(['ACL public.TABLE customers']);
    } finally {
      await query('postgres', JOIN);
    }
    const given = `SELECT grantor::regrole::text AS by FROM pg_class, aclexplode(relacl) AS a
      WHERE relname = 'customers' AND a.grantee = 'reader'::regrole ORDER BY 1`;
    expect(await query('copy', given)).toEqual([{ by: q(APP) }]);
    expect(await query(SHOP, given)).toEqual([{ by: 'lender' }]);
  });

  it('are refused before anything is made to a role that does not inherit from them', async () => {
    const revoke =
      major >= 16
        ? `GRANT lapsed TO ${q(RESTORER)} WITH INHERIT FALSE`
        : `ALTER ROLE ${q(RESTORER)} NOINHERIT`;
    await query('postgres', revoke);
    const { name, message } = await errorOf(restoreAs(major, contents));
    const helps = / run as an administrator: (.*); or start/.exec(message)?.[1] ?? '';
    await query('postgres', helps);
    expect(name).toBe('InsufficientPrivilege');
    expect(message).toMatch(/is a member of .*lapsed.*, but does not inherit/);
    expect(await restoreAs(major, contents)).toMatchObject(WELL);
  });

  it('are named with what helps where the schema belongs to somebody who does not let them in', async () => {
    await query('postgres', `CREATE DATABASE copy OWNER ${q(RESTORER)}`);
    await query(
      'copy',
      `ALTER SCHEMA public OWNER TO other_role; GRANT CREATE ON SCHEMA public TO ${q(RESTORER)}`,
    );
    const run: Run = { mode: 'existing', selection: { tables: ['public.of_lapsed'] } };
    const { name, message } = await errorOf(restoreAs(major, contents, run));
    expect(name).toBe('RestoreFailed');
    const [, helps = ''] =
      /let the owner of the schema run: (GRANT .*), or restore/.exec(message) ?? [];
    expect(helps).toBe('GRANT CREATE ON SCHEMA "public" TO "lapsed"');
    await query('copy', helps);
    // The same restore starts over.
    expect(await restoreAs(major, contents, run)).toMatchObject(WELL);
  });

  it.each([
    ['schema', RESTORER, 'ALTER SCHEMA public OWNER TO other_role'],
    ['database, and with it of its schema', 'other_role', 'SELECT'],
  ])(
    'are let in by the owner of the %s, where the restoring role may act as that',
    async (_, owner, give) => {
      await query('postgres', `CREATE DATABASE copy OWNER ${q(owner)}`);
      await query(
        'copy',
        `${give}; GRANT CREATE ON SCHEMA public TO ${q(RESTORER)};
       GRANT other_role TO ${q(RESTORER)} ${major >= 16 ? 'WITH INHERIT FALSE, SET TRUE' : ''}`,
      );
      const run: Run = { mode: 'existing', selection: { tables: ['public.of_lapsed'] } };
      expect(await restoreAs(major, contents, run)).toMatchObject(WELL);
      await query('postgres', `REVOKE other_role FROM ${q(RESTORER)}`);
      const may = "SELECT has_schema_privilege('lapsed', 'public', 'CREATE') AS may";
      expect(await query('copy', may)).toEqual([{ may: false }]);
    },
  );
});
