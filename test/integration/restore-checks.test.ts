import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RestoreChecks } from '#contracts/restore.ts';
import type { TableRows } from '#domain/copy-text.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import { archiveRoles } from '#domain/restore/archive-roles.ts';
import { quoteIdentifier as q } from '#domain/restore/sql-tokens.ts';
import { postgresMajors } from '#local/postgres-server.ts';
import { checkRestored } from '#operations/restore/check-restored.ts';
import { cleanUpTarget } from '#operations/restore/clean-up-target.ts';
import { keepRoles } from '#operations/restore/created-roles.ts';
import { requireRoles } from '#operations/restore/restore-roles.ts';
import { runClient } from '#test/postgres.ts';
import {
  type Dump,
  dropDatabases,
  dump,
  errorOf,
  ID,
  load,
  PASSWORD,
  RESTORER,
  serverOf,
  sql,
  type Target,
  targetOn,
  useTargetServers,
  withSessionOn,
} from '#test/target-servers.ts';

useTargetServers();

describe.each(postgresMajors)('the roles of a restore on PostgreSQL %s', (major) => {
  const member = `mem"ber ${major}`;
  let contents: Dump;
  let globals: string;
  const HANDLING = { createMissing: true, noOwner: false };
  beforeAll(async () => {
    const server = serverOf(major);
    await sql(
      server,
      'postgres',
      `CREATE ROLE ${q(member)} LOGIN BYPASSRLS CONNECTION LIMIT 4
      PASSWORD 'must-not-appear' VALID UNTIL '2099-01-01'; CREATE ROLE grp NOLOGIN;
      GRANT grp TO ${q(member)} WITH ADMIN OPTION; ALTER ROLE ${q(member)} SET work_mem = '7MB'`,
    );
    await sql(server, 'postgres', 'CREATE DATABASE role_source');
    await sql(
      server,
      'role_source',
      `CREATE TABLE public.t (id int); ALTER TABLE public.t OWNER TO ${q(member)};
       CREATE POLICY p ON public.t TO grp USING (true)`,
    );
    contents = await dump(server, 'role_source');
    const run = await runClient('pg_dumpall', ['--globals-only', '--no-role-passwords'], {
      server,
    });
    globals = run.stdout.toString();
    await sql(server, 'postgres', 'DROP DATABASE role_source');
    await sql(server, 'postgres', `DROP ROLE ${q(member)}; DROP ROLE grp`);
  });
  afterAll(() => dropDatabases(serverOf(major)));

  const rolesOf = () => archiveRoles(contents.head, contents.toc, contents.ids);
  const require = (user: string, handling: Partial<Parameters<typeof requireRoles>[2]>) =>
    withSessionOn(targetOn(major, user), (session) =>
      requireRoles(session, rolesOf(), { ...HANDLING, ...handling }, async () => globals),
    );
  const dropRoles = () => sql(serverOf(major), 'postgres', `DROP ROLE ${q(member)}; DROP ROLE grp`);

  it('that are missing are named before the start', async () => {
    const { name, message } = await errorOf(require('postgres', { createMissing: false }));
    expect(name).toBe('RolesMissing');
    expect(message).toContain(`lacks "${member}" (owns objects), grp; `);
    // Owners do not count when all belongs to the restoring role; a policy still names one.
    const other = await errorOf(require('postgres', { createMissing: false, noOwner: true }));
    expect(other.message).toContain('lacks grp; ');
  });

  it('are made as they were, without a password', async () => {
    const { created, warnings } = await require('postgres', {});
    expect(created).toEqual([member, 'grp']);
    expect(warnings).toEqual([expect.stringContaining('cannot log in until a password is set')]);
    const [made] = await sql(
      serverOf(major),
      'postgres',
      `SELECT a.rolcanlogin, a.rolbypassrls, a.rolconnlimit, a.rolsuper, a.rolpassword,
         a.rolvaliduntil::text AS until, r.rolconfig,
         (SELECT admin_option FROM pg_auth_members WHERE member = a.oid) AS admin
       FROM pg_authid AS a JOIN pg_roles AS r ON r.oid = a.oid WHERE a.rolname = $1`,
      [member],
    );
    expect(made).toMatchObject({
      rolcanlogin: true,
      rolbypassrls: true,
      rolconnlimit: 4,
      rolsuper: false,
      rolpassword: null,
      until: expect.stringContaining('2099-01-01'),
      rolconfig: ['work_mem=7MB'],
      admin: true,
    });
    await dropRoles();
  });

  it('are made without what the server refuses, and can be given objects by who made them', async () => {
    const { created, warnings } = await require(RESTORER, {});
    expect(created).toEqual([member, 'grp']);
    expect(warnings.join('\n')).toContain(`the role "${member}" was made without BYPASSRLS`);
    const [able] = await sql(
      serverOf(major),
      'postgres',
      `SELECT pg_has_role($1, $2, $3) AS able`,
      [RESTORER, member, major >= 16 ? 'SET' : 'MEMBER'],
    );
    expect(able).toEqual({ able: true });
    // A second call finds nothing to do.
    expect(await require(RESTORER, {})).toEqual({ created: [], warnings: [] });
    await dropRoles();
  });

  describe('that it made', () => {
    const target = () => targetOn(major, RESTORER);
    const requireFor = (restoreId: string) =>
      withSessionOn(target(), (session) =>
        requireRoles(session, rolesOf(), HANDLING, async () => globals, restoreId),
      );
    const cleanUp = (restoreId = ID, keepOnFailure = false) =>
      cleanUpTarget(target(), {
        connection: target().connection,
        restoreId,
        target: { database: 'never made', mode: 'new' },
        keepOnFailure,
      });
    const present = async () => {
      const rows = await sql<{ name: string }>(
        serverOf(major),
        'postgres',
        'SELECT rolname AS name FROM pg_roles WHERE rolname = ANY ($1) ORDER BY 1',
        [[member, 'grp']],
      );
      return rows.map(({ name }) => name);
    };
    const restored = () => withSessionOn(target(), (session) => keepRoles(session, ID));

    it('go when the restore fails, those of an earlier try too, and of no other restore', async () => {
      expect((await requireFor(ID)).created).toEqual([member, 'grp']);
      expect((await requireFor(ID)).created).toEqual(['grp', member]);
      expect(await cleanUp('another')).toMatchObject({ status: 'nothing-left' });
      expect(await present()).toEqual(['grp', member]);

      // With nothing else of the restore to look at, nobody can want them.
      const { status, detail } = await cleanUp(ID, true);
      expect({ status, detail }).toEqual({
        status: 'nothing-left',
        detail: expect.stringMatching(/; the roles that it made were dropped: grp, "mem"ber \d+"$/),
      });
      expect(await present()).toEqual([]);
      expect(await cleanUp()).toMatchObject({
        status: 'nothing-left',
        detail: expect.not.stringContaining('role'),
      });
    });

    it('stay when it has ended well, whoever cleans up then', async () => {
      await requireFor(ID);
      expect(await restored()).toEqual([]);
      expect(await cleanUp()).toMatchObject({ status: 'nothing-left' });
      expect(await present()).toEqual(['grp', member]);
      await dropRoles();
    });

    it('stay where they own something by now, and are named with what', async () => {
      const server = serverOf(major);
      await requireFor(ID);
      await sql(
        server,
        'postgres',
        `CREATE TABLE public.theirs (id int); ALTER TABLE public.theirs OWNER TO ${q(member)}`,
      );
      const { status, detail } = await cleanUp();
      expect(status).toBe('kept');
      expect(detail).toContain(`"${member}" (`);
      expect(detail).toContain('owner of table public.theirs');
      expect(detail).toContain('the roles that it made were dropped: grp');
      expect(await present()).toEqual([member]);
      await sql(server, 'postgres', 'DROP TABLE public.theirs');
      expect(await cleanUp()).toMatchObject({ status: 'nothing-left' });
      expect(await present()).toEqual([]);
    });

    it('stay where somebody is logged in as one', async () => {
      const server = serverOf(major);
      await requireFor(ID);
      await sql(server, 'postgres', `ALTER ROLE ${q(member)} PASSWORD '${PASSWORD}'`);
      const { databases, connection } = targetOn(major, member);
      const session = await databases.connect(connection, 'postgres');
      const { status, detail } = await cleanUp();
      await session.close();
      expect(status).toBe('kept');
      expect(detail).toContain('somebody is logged in as it (1 sessions)');
      await expect.poll(async () => (await cleanUp()).status).toBe('nothing-left');
      expect(await present()).toEqual([]);
    });

    it('stay where another restore has found and needs them', async () => {
      await requireFor(ID);
      expect(await requireFor('another')).toEqual({ created: [], warnings: [] });
      expect(await cleanUp()).toMatchObject({ status: 'nothing-left' });
      expect(await present()).toEqual(['grp', member]);
      await dropRoles();
    });
  });

  it('are not made at all when one of them cannot be', async () => {
    const server = serverOf(major);
    await sql(server, 'postgres', `CREATE ROLE weak LOGIN PASSWORD '${PASSWORD}'`);
    const { name, message } = await errorOf(require('weak', {}));
    expect(name).toBe('RolesMissing');
    expect(message).toContain('CREATEROLE');
    globals = globals.replaceAll('CREATE ROLE grp;', '');
    const unknown = await errorOf(require('postgres', {}));
    expect(unknown.message).toContain('grp, which globals.sql of the backup does not have either');
    expect(await sql(server, 'postgres', `SELECT FROM pg_roles WHERE rolname = 'grp'`)).toEqual([]);
  });

  it('that exist must be such that the restoring role can act as them', async () => {
    await sql(serverOf(major), 'postgres', `CREATE ROLE ${q(member)}; CREATE ROLE grp`);
    // From 16 on one may inherit from a role without being allowed to act as it.
    const grant = `GRANT ${q(member)} TO ${q(RESTORER)} WITH INHERIT TRUE, SET FALSE`;
    if (major >= 16) await sql(serverOf(major), 'postgres', grant);
    const { name, message } = await errorOf(require(RESTORER, {}));
    expect(name).toBe('InsufficientPrivilege');
    expect(message).toContain(`GRANT ${q(member)} TO "Rest""orer"`);
    expect(await require(RESTORER, { noOwner: true })).toMatchObject({ created: [] });
    await dropRoles();
  });
});

describe.each(postgresMajors)('the checks of a restored database on PostgreSQL %s', (major) => {
  const database = 'che"cked';
  let contents: Dump;
  let target: Target;
  const ROWS: TableRows[] = [
    { schema: 'public', table: 'T', rows: 3 },
    { schema: 'public', table: 'child', rows: 1 },
    { schema: 'public', table: 'hidden', rows: 2 },
    { schema: 'public', table: 'parent', rows: 2 },
    { schema: 'public', table: 'part_1', rows: 2 },
    { schema: 'public', table: 'part_2', rows: 1 },
  ];
  beforeAll(async () => {
    target = targetOn(major);
    const server = serverOf(major);
    await sql(server, 'postgres', 'CREATE DATABASE check_source');
    await sql(
      server,
      'check_source',
      `CREATE TABLE "T" (id serial PRIMARY KEY, n bigint GENERATED BY DEFAULT AS IDENTITY (INCREMENT -2), x int);
       INSERT INTO "T" (x) VALUES (1), (2), (-3);
       ALTER TABLE "T" ADD CONSTRAINT "not valid" CHECK (x > 0) NOT VALID;
       CREATE DOMAIN d AS int; CREATE TABLE uses_d (v d); ALTER DOMAIN d ADD CONSTRAINT dc CHECK (VALUE > 0) NOT VALID;
       CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
       INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (3);
       CREATE TABLE part (id serial, at int) PARTITION BY LIST (at);
       CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
       CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
       INSERT INTO part (at) VALUES (1), (1), (2);
       CREATE INDEX "only one" ON ONLY part (at);
       CREATE TABLE hidden (id int); INSERT INTO hidden VALUES (1), (2);
       ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
       CREATE SEQUENCE unused; SELECT setval('unused', 42);
       CREATE TABLE lags (id serial); INSERT INTO lags VALUES (100);
       SELECT lo_create(0), lo_create(0); CREATE EXTENSION hstore; CREATE PUBLICATION pub;
       ${major >= 18 ? `ALTER TABLE "T" ADD CONSTRAINT lax CHECK (x < 9) NOT ENFORCED; ALTER TABLE "T" ADD CONSTRAINT nn NOT NULL x NOT VALID;` : ''}`,
    );
    contents = await dump(server, 'check_source');
  });
  afterAll(() => dropDatabases(serverOf(major)));

  const check = (changes: Partial<Parameters<typeof checkRestored>[1]> = {}, by: Target = target) =>
    checkRestored(by, {
      connection: by.connection,
      database,
      expected: archiveExpectations(contents.head, contents.toc, contents.ids),
      expectedRows: ROWS,
      dataOnly: false,
      jobs: 3,
      signal: new AbortController().signal,
      ...changes,
    });

  const restore = async (user = 'postgres') => {
    await sql(target.server, 'postgres', `DROP DATABASE IF EXISTS ${q(database)} WITH (FORCE)`);
    await sql(target.server, 'postgres', `CREATE DATABASE ${q(database)} OWNER ${q(user)}`);
    return load(target, database, contents, user, user === 'postgres' ? [] : ['--no-owner']);
  };

  it('find all as it was, and what was odd in the backup already is no problem', async () => {
    const printed = await restore();
    // pg_dump 17 and newer sets what older servers do not know; it does no harm.
    expect(printed.replaceAll(/^.*(transaction_timeout|errors ignored).*\n/gm, '')).toBe('');
    const { checks, warnings } = await check();

    expect(checks.problems).toEqual([]);
    expect(checks.rows.filter(({ expected }) => expected !== null)).toEqual(
      ROWS.map(({ schema, table, rows }) => ({ schema, table, expected: rows, actual: rows })),
    );
    expect(checks.rows.filter(({ expected }) => expected === null).map((it) => it.table)).toEqual([
      'lags',
      'uses_d',
    ]);
    expect(checks).toMatchObject({
      sequences: { checked: 5, behind: [expect.stringContaining('"public"."lags_id_seq"')] },
      invalidIndexes: ['public."only one"'],
      invalidConstraints: [],
      largeObjects: { expected: 2, actual: 2 },
      publications: ['pub'],
      subscriptions: [],
    } satisfies Partial<RestoreChecks>);
    expect(checks.extensions.map(({ name }) => name)).toEqual(['hstore', 'plpgsql']);
    expect(warnings).toEqual([
      expect.stringContaining(
        'no count of the rows of "public"."lags", "public"."uses_d", so that',
      ),
      expect.stringContaining('is behind public.lags.id, as in the backup'),
      expect.stringContaining('partitioned index'),
    ]);
  });

  it.each([
    [
      'a row too few',
      'DELETE FROM parent WHERE id = 1',
      '"public"."parent" has 1 rows instead of 2',
    ],
    ['a row too many', 'INSERT INTO part_2 (at) VALUES (2)', '"part_2" has 2 rows instead of 1'],
    ['a row that a policy hides', 'DELETE FROM hidden WHERE id = 1', '"hidden" has 1 rows'],
    ['a table that is gone', 'DROP TABLE child', 'the table "public"."child" is not there'],
    ['a sequence that stayed behind', `SELECT setval('"T_id_seq"', 1)`, '"T_id_seq" is at 1'],
    ['a descending one', `SELECT setval('"T_n_seq"', -1)`, '"T_n_seq" is behind public."T".n'],
    [
      'one that no column uses',
      `SELECT setval('unused', 41)`,
      '"unused" is at 41, the backup has 42',
    ],
    [
      'an invalid index',
      `UPDATE pg_index SET indisvalid = false WHERE indexrelid = '"T_pkey"'::regclass`,
      'the index public."T_pkey" is invalid',
    ],
    [
      'a constraint that was not validated',
      'ALTER TABLE parent ADD CONSTRAINT c CHECK (id > 0) NOT VALID',
      'the constraint c on public.parent is not validated',
    ],
    [
      'a large object that is missing',
      'SELECT lo_unlink(min(oid)) FROM pg_largeobject_metadata',
      '1 large objects instead of 2',
    ],
    [
      'a subscription that is at work',
      `CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false, slot_name = 's'); ALTER SUBSCRIPTION s ENABLE`,
      'the subscription s is enabled',
    ],
  ])('find %s', async (_, damage, problem) => {
    await restore();
    await sql(target.server, database, damage);
    const { checks } = await check();
    expect(checks.problems).toEqual(expect.arrayContaining([expect.stringContaining(problem)]));
    if (damage.includes('SUBSCRIPTION')) {
      await sql(target.server, database, 'ALTER SUBSCRIPTION s DISABLE');
      await sql(target.server, database, 'ALTER SUBSCRIPTION s SET (slot_name = NONE)');
      await sql(target.server, database, 'DROP SUBSCRIPTION s');
    }
  });

  it('count also what the restoring role may not see itself, or say that they could not', async () => {
    await restore(RESTORER);
    await sql(
      target.server,
      database,
      `ALTER TABLE hidden FORCE ROW LEVEL SECURITY;
      CREATE ROLE no_member_${major}; ALTER TABLE child OWNER TO no_member_${major}`,
    );
    const { checks, warnings } = await check({}, targetOn(major, RESTORER));
    expect(checks.problems).toEqual([]);
    expect(checks.rows.map(({ table }) => table)).toEqual(
      expect.not.arrayContaining(['hidden', 'child']),
    );
    expect(warnings).toEqual(
      expect.arrayContaining([
        expect.stringContaining('the rows of "public"."hidden" could not be counted: '),
        expect.stringContaining('the rows of "public"."child" could not be counted: '),
      ]),
    );
    await sql(
      target.server,
      database,
      `DROP OWNED BY no_member_${major}; DROP ROLE no_member_${major}`,
    );
  });

  it('of data alone leave aside what was in the tables before', async () => {
    await restore();
    await sql(
      target.server,
      database,
      'ALTER TABLE parent ADD CONSTRAINT c CHECK (id > 0) NOT VALID',
    );
    const { checks, warnings } = await check({ dataOnly: true });
    expect(checks.problems).toEqual([]);
    expect(warnings).toContain('the constraint c on public.parent is not validated');
  });
});
