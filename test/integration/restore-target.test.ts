import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TargetMode } from '#contracts/restore.ts';
import { quoteIdentifier as q, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import { markInProgress, markOfRole } from '#domain/restore/target-mark.ts';
import { type PostgresServer, postgresMajors } from '#local/postgres-server.ts';
import { cleanUpTarget } from '#operations/restore/clean-up-target.ts';
import { draftName } from '#operations/restore/marked-database.ts';
import {
  markRestored,
  prepareTarget,
  type TargetRequest,
} from '#operations/restore/prepare-target.ts';
import type { Databases } from '#runtime/ports.ts';
import { makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';
import { withClient } from '#test/postgres.ts';
import {
  commentOf,
  type Dump,
  dropDatabases,
  dump,
  dumpOf,
  errorOf,
  HOSTILE,
  ID,
  PASSWORD,
  RESTORER,
  ROLE,
  schemaOf,
  serverOf,
  sql,
  type Target,
  targetOn,
  useTargetServers,
  withSessionOn,
} from '#test/target-servers.ts';

const OTHER_ID = '20261121T040000Z-aaaaaa';

useTargetServers();

function requestOf(
  target: Target,
  contents: Dump,
  changes: Partial<TargetRequest> = {},
): TargetRequest {
  return {
    connection: target.connection,
    restoreId: ID,
    mode: 'new',
    database: HOSTILE,
    head: contents.head,
    toc: contents.toc,
    ids: contents.ids,
    selection: { without: [] },
    roles: { noOwner: false },
    ...changes,
  };
}

/** As one that the restore made. */
async function makeRole(server: PostgresServer): Promise<void> {
  await sql(server, 'postgres', `CREATE ROLE made; COMMENT ON ROLE made IS '${markOfRole(ID)}'`);
}

async function expectRoleKept(server: PostgresServer): Promise<void> {
  const mark = `SELECT shobj_description(oid, 'pg_authid') AS mark FROM pg_authid`;
  expect(await sql(server, 'postgres', `${mark} WHERE rolname = 'made'`)).toEqual([{ mark: null }]);
  await sql(server, 'postgres', 'DROP ROLE made');
}

function cleanUp(target: Target, mode: TargetMode, database = HOSTILE, restoreId = ID) {
  return cleanUpTarget(target, {
    connection: target.connection,
    restoreId,
    target: { database, mode },
    keepOnFailure: false,
  });
}

describe.each(postgresMajors)('a new database on PostgreSQL %s', (major) => {
  const source = `s"ou'rce \\ü`;
  let contents: Dump;
  beforeAll(async () => {
    const server = serverOf(major);
    await sql(
      server,
      'postgres',
      `CREATE DATABASE ${q(source)} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' OWNER ${q(ROLE)}`,
    );
    const name = q(source);
    for (const statement of [
      `ALTER DATABASE ${name} CONNECTION LIMIT 7`,
      `ALTER DATABASE ${name} SET search_path = a, "b c"`,
      `ALTER DATABASE ${name} SET "app.x" = 'a\\b''c'`,
      `ALTER DATABASE ${name} SET default_transaction_read_only = on`,
      `ALTER ROLE other_role IN DATABASE ${name} SET work_mem = '5MB'`,
      `ALTER DATABASE ${name} IS_TEMPLATE true`,
      `COMMENT ON DATABASE ${name} IS 'co\\m''ment'`,
      `REVOKE CONNECT ON DATABASE ${name} FROM PUBLIC`,
      `GRANT CONNECT ON DATABASE ${name} TO ${q(ROLE)}, other_role WITH GRANT OPTION`,
      `SET ROLE other_role; GRANT CONNECT ON DATABASE ${name} TO ${q(RESTORER)}`,
    ]) {
      await sql(server, 'postgres', statement);
    }
    contents = await dump(server, source);
  });
  afterAll(() => dropDatabases(serverOf(major)));

  /** Everything of pg_database that a restore should bring back, in names. */
  const propertiesOf = async (database: string) => {
    const [row] = await sql(
      serverOf(major),
      'postgres',
      `SELECT datdba::regrole::text AS owner, pg_encoding_to_char(encoding) AS encoding,
         datcollate, datctype, datistemplate, datconnlimit,
         ARRAY(SELECT format('%s %s by %s', grantee::regrole, privilege_type, grantor::regrole)
               FROM aclexplode(datacl) ORDER BY 1) AS acl,
         ARRAY(SELECT setrole::regrole::text || setconfig::text FROM pg_db_role_setting
               WHERE setdatabase = d.oid ORDER BY 1) AS settings
       FROM pg_database AS d WHERE datname = $1`,
      [database],
    );
    return row;
  };

  it('has the encoding, locale and settings of the archive while the restore is at work', async () => {
    const target = targetOn(major);
    const { server, before, warnings } = await prepareTarget(target, requestOf(target, contents));

    expect(server).toMatchObject({ isRds: false, isReplica: false, role: 'postgres' });
    expect(Math.floor(server.versionNumber / 10_000)).toBe(major);
    expect({ before, warnings }).toEqual({ before: undefined, warnings: [] });
    expect(await propertiesOf(HOSTILE)).toMatchObject({
      encoding: 'LATIN1',
      datcollate: 'C',
      datistemplate: false,
      datconnlimit: -1,
      acl: [],
      settings: [`-{"search_path=a, \\"b c\\"","app.x=a\\\\b'c"}`],
    });
    expect(await commentOf(target.server, HOSTILE)).toBe(markInProgress(ID));
  });

  it('in the end is as the original was, and says where it came from', async () => {
    const target = targetOn(major);
    const request = requestOf(target, contents);
    await prepareTarget(target, request);
    await makeRole(target.server);
    const warnings = await markRestored(target, { ...request, origin: 'orders/shop 2026' });
    await expectRoleKept(target.server);

    expect(warnings).toEqual([]);
    const [original, restored] = [await propertiesOf(source), await propertiesOf(HOSTILE)];
    expect(restored).toEqual(original);
    expect(original).toMatchObject({ datconnlimit: 7, datistemplate: true });
    expect(await commentOf(target.server, HOSTILE)).toBe(
      `co\\m'ment\nrestored by Holdfast from orders/shop 2026 (restore ${ID})`,
    );
    expect(await cleanUp(target, 'new')).toMatchObject({
      status: 'kept',
      detail: expect.stringContaining('restored and checked to the end'),
    });
    // Also where a swap has given it another name already.
    const swapped = await cleanUpTarget(target, {
      connection: target.connection,
      restoreId: ID,
      target: { database: 'gone', mode: 'swap', swapWith: HOSTILE },
      keepOnFailure: false,
    });
    expect(swapped.status).toBe('kept');
    expect(await propertiesOf(HOSTILE)).toEqual(original);
    await sql(target.server, 'postgres', `ALTER DATABASE ${q(HOSTILE)} IS_TEMPLATE false`);
    await sql(target.server, 'postgres', `DROP DATABASE ${q(HOSTILE)}`);
  });

  it('is made by a role that is no superuser, which says what it could not give', async () => {
    const target = targetOn(major, RESTORER);
    const request = requestOf(target, contents, { database: 'plain' });
    await prepareTarget(target, request);
    const warnings = await markRestored(target, { ...request, origin: 'orders/shop 2026' });

    expect(await propertiesOf('plain')).toMatchObject({ owner: q(RESTORER), datconnlimit: 7 });
    expect(warnings.join('\n')).toContain(`belongs to "Rest"orer", not to`);
    expect(warnings.join('\n')).toContain('the server refused GRANT CONNECT');
    expect(await commentOf(target.server, 'plain')).toContain('restored by Holdfast');
  });

  it('has none of the properties when only tables of it are restored', async () => {
    const target = targetOn(major);
    const request = requestOf(target, contents, {
      database: 'part',
      selection: { tables: ['public.*'], without: [] },
    });
    await prepareTarget(target, request);
    expect(await markRestored(target, { ...request, origin: 'x' })).toEqual([]);
    expect(await propertiesOf('part')).toMatchObject({
      encoding: 'LATIN1',
      owner: 'postgres',
      settings: [],
      acl: [],
    });
  });
});

describe('a new database', () => {
  let contents: Dump;
  beforeAll(async () => {
    await sql(serverOf(18), 'postgres', 'CREATE DATABASE plain_source');
    contents = await dump(serverOf(18), 'plain_source');
  });
  afterAll(() => dropDatabases(serverOf(18)));

  const archiveWith = (definition: string) =>
    dumpOf(
      writeArchive(
        makeArchiveSpec({
          entries: [makeEntry({ desc: 'DATABASE', tag: 'shop', schema: undefined, definition })],
        }),
      ).bytes,
    );

  it('is made anew when the same restore is started again, whoever is in it', async () => {
    const target = targetOn(18);
    const request = requestOf(target, contents);
    await prepareTarget(target, request);
    await sql(
      target.server,
      HOSTILE,
      `CREATE TABLE half (id int); CREATE PUBLICATION p FOR ALL TABLES;
       CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=1' PUBLICATION p WITH (connect = false)`,
    );
    const stays = await withClient(target.server, HOSTILE, async (client) => {
      await client.query('BEGIN; SELECT 1');
      await prepareTarget(target, request);
      return client.query('SELECT 1').then(
        () => 'alive',
        () => 'ended',
      );
    }).catch(() => 'ended');

    expect(stays).toBe('ended');
    expect(await sql(target.server, HOSTILE, 'SELECT 1 FROM pg_class WHERE oid >= 16384')).toEqual(
      [],
    );
    expect(await cleanUp(target, 'new')).toEqual({
      status: 'dropped',
      detail: expect.stringContaining('the database "a"b'),
    });
  });

  it("is refused under a name that is taken, and neither a stranger's nor another restore's is touched", async () => {
    const target = targetOn(18);
    await sql(target.server, 'postgres', `CREATE DATABASE ${q(HOSTILE)}`);
    await sql(target.server, HOSTILE, 'CREATE TABLE precious (id int)');
    const refused = [
      await errorOf(prepareTarget(target, requestOf(target, contents))),
      await errorOf(prepareTarget(target, requestOf(target, contents, { mode: 'swap' }))),
    ];
    const cleaned = [await cleanUp(target, 'new'), await cleanUp(target, 'existing')];
    await sql(
      target.server,
      'postgres',
      `COMMENT ON DATABASE ${q(HOSTILE)} IS ${quoteLiteral(markInProgress(OTHER_ID))}`,
    );
    refused.push(await errorOf(prepareTarget(target, requestOf(target, contents))));
    cleaned.push(await cleanUp(target, 'new'));

    expect(refused.map(({ name }) => name)).toEqual(Array(3).fill('TargetNotEmpty'));
    expect(refused[2]?.message).toContain(OTHER_ID);
    expect(cleaned.map(({ status }) => status)).toEqual(Array(3).fill('nothing-left'));
    expect(await sql(target.server, HOSTILE, 'SELECT * FROM precious')).toEqual([]);
    expect(await cleanUp(target, 'new', HOSTILE, OTHER_ID)).toMatchObject({ status: 'dropped' });
  });

  it('that was cut off before it had its mark is known by its name', async () => {
    const target = targetOn(18);
    await sql(target.server, 'postgres', `CREATE DATABASE ${q(draftName(ID))}`);
    expect(await cleanUp(target, 'new')).toMatchObject({ status: 'nothing-left' });
    expect(await commentOf(target.server, draftName(ID))).toBe('no such database');

    await sql(target.server, 'postgres', `CREATE DATABASE ${q(draftName(ID))}`);
    await prepareTarget(target, requestOf(target, contents));
    expect(await commentOf(target.server, draftName(ID))).toBe('no such database');
    expect(await commentOf(target.server, HOSTILE)).toBe(markInProgress(ID));
    await cleanUp(target, 'new');
  });

  it('may have the very name that drafts have', async () => {
    const target = targetOn(18);
    const database = draftName(ID);
    await sql(target.server, 'postgres', `CREATE DATABASE ${q(database)}`);
    await prepareTarget(target, requestOf(target, contents, { database }));
    expect(await commentOf(target.server, database)).toBe(markInProgress(ID));
    expect(await cleanUp(target, 'new', database)).toMatchObject({ status: 'dropped' });
  });

  it('is refused to a role that may create none, with the statement that helps', async () => {
    const target = targetOn(18, 'poor');
    await sql(target.server, 'postgres', `CREATE ROLE poor LOGIN PASSWORD '${PASSWORD}'`);
    const error = await errorOf(prepareTarget(target, requestOf(target, contents)));
    expect(error.name).toBe('InsufficientPrivilege');
    expect(error.message).toContain('ALTER ROLE "poor" CREATEDB');
    expect(await cleanUp(target, 'new')).toMatchObject({ status: 'nothing-left' });
  });

  it.each([
    ['libc', `LOCALE_PROVIDER = libc LOCALE = 'xx_YY.UTF-8'`],
    ['builtin', `LOCALE_PROVIDER = builtin LOCALE = 'C' BUILTIN_LOCALE = 'nowhere'`],
  ])('with a locale of %s that the target has not is TargetUnsuitable', async (_, locale) => {
    const target = targetOn(18);
    const archive = archiveWith(
      `CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' ${locale};\n`,
    );
    const error = await errorOf(prepareTarget(target, requestOf(target, archive)));
    expect(error.name).toBe('TargetUnsuitable');
    expect(error.message).toContain('target.mode "existing"');
    expect(await commentOf(target.server, HOSTILE)).toBe('no such database');
  });

  it('from a newer server goes to an older one without what that does not know', async () => {
    const archive = archiveWith(
      `CREATE DATABASE shop WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = builtin LOCALE = 'C' BUILTIN_LOCALE = 'C.UTF-8' TABLESPACE = gone;\n`,
    );
    const target = targetOn(15);
    const { warnings } = await prepareTarget(target, requestOf(target, archive));
    expect(warnings.join('\n')).toMatch(/LOCALE_PROVIDER.*BUILTIN_LOCALE.*tablespace gone/s);
    expect(await cleanUp(target, 'new')).toMatchObject({ status: 'dropped' });
  });

  it('of a role to own everything belongs to that role, so that it can make things in it', async () => {
    const target = targetOn(18, RESTORER);
    await withSessionOn(target, (session) => session.query('CREATE ROLE app_owner'));
    await sql(
      target.server,
      'postgres',
      `GRANT app_owner TO ${q(RESTORER)} WITH INHERIT FALSE, SET TRUE`,
    );
    const request = requestOf(target, contents, {
      roles: { noOwner: false, role: 'app_owner' },
    });
    await prepareTarget(target, request);
    await sql(target.server, HOSTILE, 'SET ROLE app_owner; CREATE TABLE public.t (id int)');
    const owner = await sql(
      target.server,
      HOSTILE,
      `SELECT datdba::regrole::text AS owner FROM pg_database WHERE datname = current_database()`,
    );
    expect(owner).toEqual([{ owner: 'app_owner' }]);
    // The restorer has none of its privileges, but may act as it.
    expect(await cleanUp(target, 'new')).toMatchObject({ status: 'dropped' });
  });

  it('cannot have a name that PostgreSQL would cut', async () => {
    const target = targetOn(18);
    const database = 'ü'.repeat(32);
    const error = await errorOf(prepareTarget(target, requestOf(target, contents, { database })));
    expect(error.name).toBe('InvalidInput');
    expect(error.message).toContain('64 bytes');
  });

  it('is not made on a replica', async () => {
    const target = targetOn(18);
    const databases: Databases = {
      ...target.databases,
      connect: async () => ({
        query: async () => [{ isReplica: true, versionNumber: 180_004 }] as never,
        close: async () => {},
      }),
    };
    const error = await errorOf(prepareTarget({ databases }, requestOf(target, contents)));
    expect(error).toMatchObject({ name: 'TargetUnsuitable' });
  });

  it('that is to be kept after a failure is kept, and said where', async () => {
    const target = targetOn(18);
    await prepareTarget(target, requestOf(target, contents));
    const request = {
      connection: target.connection,
      restoreId: ID,
      target: { database: HOSTILE, mode: 'new' as const },
    };
    const kept = await cleanUpTarget(target, { ...request, keepOnFailure: true });
    expect(kept.status).toBe('kept');
    expect(await commentOf(target.server, HOSTILE)).toBe(markInProgress(ID));
    await cleanUpTarget(target, { ...request, keepOnFailure: false });
    expect(await cleanUpTarget(target, { ...request, keepOnFailure: true })).toMatchObject({
      status: 'nothing-left',
    });
  });
});

/** One of nearly every kind of object, with what stands in each other's way. */
const EVERYTHING = `
  SET search_path = public;
  CREATE SCHEMA "My Schema"; CREATE SCHEMA second;
  CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0);
  CREATE TYPE pair AS (a int, b mood); CREATE TYPE span AS RANGE (subtype = int);
  CREATE TYPE shell;
  CREATE EXTENSION hstore; CREATE EXTENSION citext SCHEMA "My Schema";
  CREATE TABLE "T" (id serial PRIMARY KEY, m mood, p positive, h hstore, x "My Schema".citext);
  CREATE TABLE "My Schema".b (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    t int REFERENCES "T" (id), pr pair, s span);
  ALTER TABLE "T" ADD COLUMN b bigint REFERENCES "My Schema".b (id);
  CREATE TABLE parent (id int); CREATE TABLE child (y int) INHERITS (parent);
  CREATE TABLE part (id int, at int) PARTITION BY RANGE (at);
  CREATE TABLE part_sub PARTITION OF part FOR VALUES FROM (0) TO (300) PARTITION BY RANGE (at);
  DO $$ BEGIN FOR i IN 0..149 LOOP
    EXECUTE format('CREATE TABLE second.part_%s PARTITION OF part_sub FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
  END LOOP; END $$;
  CREATE INDEX ON part (id);
  CREATE VIEW v1 AS SELECT id, m FROM "T"; CREATE VIEW second.v2 AS SELECT * FROM v1;
  CREATE MATERIALIZED VIEW mv AS SELECT * FROM second.v2; CREATE SEQUENCE lonely;
  CREATE FUNCTION add(int, int) RETURNS int LANGUAGE sql AS 'SELECT $1 + $2';
  CREATE FUNCTION "odd name"("in" text DEFAULT 'x', VARIADIC v int[] DEFAULT '{}') RETURNS SETOF "T"
    LANGUAGE sql BEGIN ATOMIC SELECT * FROM "T"; END;
  CREATE PROCEDURE proc(IN a int, OUT b int) LANGUAGE plpgsql AS 'BEGIN b := a; END';
  CREATE AGGREGATE total(int) (SFUNC = add, STYPE = int);
  CREATE AGGREGATE nothing(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
  CREATE AGGREGATE hyp(int ORDER BY int) (SFUNC = add, STYPE = int);
  CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = add);
  CREATE OPERATOR @@@ (RIGHTARG = int, FUNCTION = abs);
  CREATE OPERATOR FAMILY fam USING btree;
  CREATE OPERATOR CLASS opc FOR TYPE int USING btree FAMILY fam AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
  CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql AS 'SELECT ROW($1, NULL)::public.pair';
  CREATE CAST (int AS pair) WITH FUNCTION to_pair(int);
  CREATE COLLATION coll (LOCALE = 'C'); CREATE CONVERSION conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
  CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple);
  CREATE TEXT SEARCH CONFIGURATION conf (COPY = simple);
  CREATE STATISTICS stat ON id, m FROM "T";
  CREATE FUNCTION trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER tr BEFORE INSERT ON "T" FOR EACH ROW EXECUTE FUNCTION trg();
  CREATE RULE ru AS ON INSERT TO parent DO ALSO NOTHING;
  ALTER TABLE "T" ENABLE ROW LEVEL SECURITY; CREATE POLICY pol ON "T" USING (true);
  SELECT lo_create(g) FROM generate_series(900001, 902500) AS g;
  COMMENT ON SCHEMA public IS 'changed'; GRANT CREATE ON SCHEMA public TO PUBLIC;
  ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO PUBLIC;
  ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
  ALTER DEFAULT PRIVILEGES GRANT SELECT ON SEQUENCES TO PUBLIC;`;

/** What only a superuser makes; the event trigger refuses every DROP from then on. */
const SUPERUSER_THINGS = `
  CREATE FOREIGN DATA WRAPPER "w r"; CREATE SERVER srv FOREIGN DATA WRAPPER "w r";
  CREATE USER MAPPING FOR PUBLIC SERVER srv; CREATE FOREIGN TABLE ft (id int) SERVER srv;
  CREATE LANGUAGE lang HANDLER plpgsql_call_handler;
  CREATE ACCESS METHOD heap_two TYPE TABLE HANDLER heap_tableam_handler;
  CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal), TO SQL WITH FUNCTION int4recv(internal));
  CREATE PUBLICATION pub FOR ALL TABLES;
  CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 port=1' PUBLICATION pub WITH (connect = false, slot_name = 'orders');
  ALTER SCHEMA public OWNER TO other_role; ALTER SCHEMA second OWNER TO other_role;
  CREATE FUNCTION no_drops() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no drops''; END';
  CREATE EVENT TRIGGER keep ON sql_drop EXECUTE FUNCTION no_drops();`;

describe.each(postgresMajors)('an existing database on PostgreSQL %s', (major) => {
  const database = 'it "is" there';
  let contents: Dump;
  beforeAll(async () => {
    const server = serverOf(major);
    await sql(server, 'postgres', 'CREATE DATABASE plain_source');
    contents = await dump(server, 'plain_source');
  });
  afterAll(() => dropDatabases(serverOf(major)));

  /** Empty but for what whoever runs the server puts into every database. */
  async function makeExisting(owner: string) {
    const server = serverOf(major);
    await sql(server, 'postgres', `DROP DATABASE IF EXISTS ${q(database)} WITH (FORCE)`);
    await sql(server, 'postgres', `CREATE DATABASE ${q(database)} OWNER ${q(owner)}`);
    await sql(server, 'postgres', `COMMENT ON DATABASE ${q(database)} IS 'for "tests"'`);
    await sql(
      server,
      database,
      `CREATE EXTENSION pg_trgm SCHEMA public; GRANT USAGE ON SCHEMA public TO other_role;
       COMMENT ON SCHEMA public IS 'before';
       ALTER DEFAULT PRIVILEGES FOR ROLE ${q(owner)} GRANT SELECT ON TABLES TO other_role`,
    );
    return server;
  }

  it('is as it was before after a restore that failed, whatever was made in it', async () => {
    const target = targetOn(major);
    const server = await makeExisting('postgres');
    const before = await schemaOf(server, database);
    const request = requestOf(target, contents, { mode: 'existing', database });
    await prepareTarget(target, request);
    await sql(server, database, EVERYTHING);
    await sql(server, database, `SET search_path = public; ${SUPERUSER_THINGS}`);
    expect((await schemaOf(server, database)).length).toBeGreaterThan(before.length + 20_000);

    const cleaned = await cleanUp(target, 'existing', database);

    expect(cleaned).toEqual({ status: 'emptied', detail: 'the database "it "is" there"' });
    expect(await schemaOf(server, database)).toBe(before);
    expect(await commentOf(server, database)).toBe('for "tests"');
    const left = await sql(server, database, 'SELECT oid FROM pg_largeobject_metadata');
    expect(left).toEqual([]);
    expect(await cleanUp(target, 'existing', database)).toMatchObject({ status: 'nothing-left' });
  });

  it('is so too when its owner is no superuser', async () => {
    const target = targetOn(major, RESTORER);
    const server = await makeExisting(RESTORER);
    const before = await schemaOf(server, database);
    const request = requestOf(target, contents, { mode: 'existing', database });
    await prepareTarget(target, request);
    await withClient(server, database, async (client) => {
      await client.query(`SET SESSION AUTHORIZATION ${q(RESTORER)}`);
      // Shell types, operator classes and conversions to default encodings are a superuser's.
      const allowed = EVERYTHING.split(/;\n/).filter(
        (it) => !/CREATE OPERATOR (CLASS|FAMILY)|CREATE TYPE shell/.test(it),
      );
      await client.query(allowed.join(';\n'));
    });
    const cleaned = await cleanUp(target, 'existing', database);
    expect(cleaned.status, cleaned.detail).toBe('emptied');
    expect(await schemaOf(server, database)).toBe(before);
  });

  it('is emptied first when a restore that was killed is started again', async () => {
    const target = targetOn(major);
    const server = await makeExisting('postgres');
    const before = await schemaOf(server, database);
    const request = requestOf(target, contents, { mode: 'existing', database });
    const first = await prepareTarget(target, request);
    await sql(server, database, 'CREATE SCHEMA half CREATE TABLE half.t (id int)');
    const second = await prepareTarget(target, request);

    expect(second.before).toEqual(first.before);
    expect(await schemaOf(server, database)).toBe(before);
  });

  it('that was restored to the end keeps its comment and its data, also when the task is then killed', async () => {
    const target = targetOn(major);
    const server = await makeExisting('postgres');
    const request = requestOf(target, contents, { mode: 'existing', database });
    await prepareTarget(target, request);
    await sql(server, database, 'CREATE TABLE restored (id int)');
    await makeRole(server);
    await markRestored(target, { ...request, origin: 'x' });
    await expectRoleKept(server);

    expect(await commentOf(server, database)).toBe(
      `for "tests"\nrestored by Holdfast from x (restore ${ID})`,
    );
    const cleaned = await cleanUp(target, 'existing', database);
    expect(cleaned.status).toBe('kept');
    expect(cleaned.detail).toMatch(/was restored and checked to the end$/);
    expect(await sql(server, database, 'SELECT count(*)::int AS rows FROM restored')).toEqual([
      { rows: 0 },
    ]);
    // Not of another restore.
    expect(await cleanUp(target, 'existing', database, 'another')).toMatchObject({
      status: 'nothing-left',
    });
  });

  it('that has objects is refused with what was found, and stays as it is', async () => {
    const target = targetOn(major);
    const server = await makeExisting('postgres');
    await sql(
      server,
      database,
      `CREATE TABLE public.precious (id int); CREATE SCHEMA "a b"; SELECT lo_create(0)`,
    );
    const request = requestOf(target, contents, { mode: 'existing', database });
    const { name, message } = await errorOf(prepareTarget(target, request));
    expect(name).toBe('TargetNotEmpty');
    expect(message).toContain('1 table (public.precious), 1 schema ("a b") and 1 large object');
    expect(await commentOf(server, database)).toBe('for "tests"');
    expect(await cleanUp(target, 'existing', database)).toMatchObject({ status: 'nothing-left' });
    expect(await sql(server, database, 'SELECT * FROM public.precious')).toEqual([]);
  });
});

describe('an existing database', () => {
  afterAll(() => dropDatabases(serverOf(18)));

  it('must be there', async () => {
    const target = targetOn(18);
    await sql(target.server, 'postgres', 'CREATE DATABASE plain_source');
    const contents = await dump(target.server, 'plain_source');
    const request = requestOf(target, contents, { mode: 'existing', database: 'nowhere' });
    expect(await errorOf(prepareTarget(target, request))).toMatchObject({
      name: 'DatabaseNotFound',
    });
  });

  it.each([
    ['LATIN1', 'UTF8', undefined],
    ['UTF8', 'LATIN1', 'TargetUnsuitable'],
    ['SQL_ASCII', 'UTF8', undefined],
    ['UTF8', 'SQL_ASCII', 'TargetUnsuitable'],
  ])('in %s takes an archive in %s or not', async (encoding, own, expected) => {
    const target = targetOn(18);
    const archive = dumpOf(
      writeArchive(
        makeArchiveSpec({
          entries: [
            makeEntry({ desc: 'ENCODING', definition: `SET client_encoding = '${encoding}';\n` }),
          ],
        }),
      ).bytes,
    );
    const database = `in ${own}`;
    await sql(target.server, 'postgres', `DROP DATABASE IF EXISTS ${q(database)}`);
    await sql(
      target.server,
      'postgres',
      `CREATE DATABASE ${q(database)} TEMPLATE template0 ENCODING '${own}' LOCALE 'C'`,
    );
    const request = requestOf(target, archive, { mode: 'existing', database });
    const name = await prepareTarget(target, request).then(
      () => undefined,
      (error: unknown) => (error as Error).name,
    );
    expect(name).toBe(expected);
  });

  it('of another owner is refused, as it could not be emptied again', async () => {
    const target = targetOn(18, RESTORER);
    await sql(target.server, 'postgres', 'CREATE DATABASE stranger');
    const contents = await dump(target.server, 'stranger');
    const request = requestOf(target, contents, { mode: 'existing', database: 'stranger' });
    const { name, message } = await errorOf(prepareTarget(target, request));
    expect(name).toBe('InsufficientPrivilege');
    expect(message).toContain('GRANT "postgres" TO "Rest""orer"');
  });

  describe('for data alone', () => {
    const TABLES = `CREATE TABLE public.a (id int PRIMARY KEY, b int);
      CREATE TABLE public."B c" (id int PRIMARY KEY, a int REFERENCES public.a (id));
      ALTER TABLE public.a ADD FOREIGN KEY (b) REFERENCES public."B c" (id) DEFERRABLE;
      CREATE TABLE public.kept (a int REFERENCES public.a (id), note text);`;
    const database = 'data only';
    let contents: Dump;
    let ids: ReadonlySet<number>;
    beforeAll(async () => {
      const server = serverOf(18);
      await sql(server, 'postgres', 'CREATE DATABASE data_source');
      await sql(
        server,
        'data_source',
        `${TABLES} INSERT INTO a VALUES (1, NULL), (2, NULL); INSERT INTO "B c" VALUES (1, 2);
         UPDATE a SET b = 1; SELECT lo_create(0)`,
      );
      contents = await dump(server, 'data_source');
      const wanted = contents.toc.entries.filter(
        ({ desc, tag }) => (desc === 'TABLE DATA' && tag !== 'kept') || desc.startsWith('BLOB'),
      );
      ids = new Set(wanted.map(({ dumpId }) => dumpId));
    });
    const makeTarget = async (tables: string) => {
      const server = serverOf(18);
      await sql(server, 'postgres', `DROP DATABASE IF EXISTS ${q(database)}`);
      await sql(server, 'postgres', `CREATE DATABASE ${q(database)}`);
      await sql(server, database, tables);
      const target = targetOn(18);
      const selection = { only: 'data' as const, without: [] };
      return {
        target,
        request: requestOf(target, contents, { mode: 'existing', database, ids, selection }),
      };
    };

    it('has its tables empty again after a failure, and no other', async () => {
      const { target, request } = await makeTarget(
        `${TABLES} INSERT INTO public.kept VALUES (NULL, 'mine')`,
      );
      const { before } = await prepareTarget(target, request);
      expect(before?.loaded).toEqual({
        tables: [
          ['public', 'B c'],
          ['public', 'a'],
        ],
        largeObjects: true,
      });
      await sql(
        target.server,
        database,
        `INSERT INTO a VALUES (1, NULL); INSERT INTO "B c" VALUES (1, 1); UPDATE a SET b = 1;
         SELECT lo_create(0)`,
      );
      const cleaned = await cleanUp(target, 'existing', database);

      expect(cleaned.status, cleaned.detail).toBe('emptied');
      const [rows] = await sql(
        target.server,
        database,
        `SELECT (SELECT count(*) FROM a)::int AS a, (SELECT count(*) FROM "B c")::int AS b,
           (SELECT count(*) FROM kept)::int AS kept,
           (SELECT count(*) FROM pg_largeobject_metadata)::int AS lo`,
      );
      expect(rows).toEqual({ a: 0, b: 0, kept: 1, lo: 0 });
      expect(await commentOf(target.server, database)).toBeNull();
    });

    it('has even its large tables emptied at once, where an empty one refers to them', async () => {
      const { target, request } = await makeTarget(
        TABLES.replace(/CREATE TABLE public.kept.*/, ''),
      );
      await prepareTarget(target, request);
      await sql(target.server, database, 'INSERT INTO a SELECT g FROM generate_series(1, 9) AS g');
      expect(await cleanUp(target, 'existing', database)).toMatchObject({ status: 'emptied' });
      const size = await sql(target.server, database, `SELECT pg_relation_size('a')::int AS size`);
      // DELETE would have left the pages.
      expect(size).toEqual([{ size: 0 }]);
    });

    it('is not taken for empty where a policy hides the rows from the restoring role', async () => {
      const { target, request } = await makeTarget(
        `${TABLES} INSERT INTO a VALUES (1, NULL); ALTER TABLE a OWNER TO ${q(RESTORER)};
         ALTER TABLE a ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
         ALTER TABLE "B c" OWNER TO ${q(RESTORER)}`,
      );
      await sql(target.server, 'postgres', `ALTER DATABASE ${q(database)} OWNER TO ${q(RESTORER)}`);
      const { name, message } = await errorOf(prepareTarget(targetOn(18, RESTORER), request));
      expect(name).toBe('InsufficientPrivilege');
      expect(message).toContain('row-level security');
      expect(await commentOf(target.server, database)).toBeNull();
    });

    it('is refused when a table has rows', async () => {
      const { target, request } = await makeTarget(
        `${TABLES} INSERT INTO a VALUES (1, NULL); ALTER TABLE a ENABLE ROW LEVEL SECURITY`,
      );
      const { name, message } = await errorOf(prepareTarget(target, request));
      expect(name).toBe('TargetNotEmpty');
      expect(message).toContain('has rows in "public"."a";');
      expect(await commentOf(target.server, database)).toBeNull();
    });

    it('is refused when a table is not there', async () => {
      const { target, request } = await makeTarget('CREATE TABLE public.a (id int)');
      const { name, message } = await errorOf(prepareTarget(target, request));
      expect(name).toBe('DependencyMissing');
      expect(message).toContain('lacks "public"."B c",');
    });
  });
});
