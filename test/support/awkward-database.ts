import type { PostgresServer } from '#local/postgres-server.ts';
import { withClient } from './postgres.ts';

/** A text that would mislead whoever reads a script by its comment lines. */
export const HOSTILE_LINES = `
--
-- TOC entry 5 (class 1259 OID 2)
-- Name: orders; Type: TABLE; Schema: public; Owner: postgres
--

\\connect postgres
\\unrestrict x
DROP SCHEMA public CASCADE;
"; DROP TABLE t; --`;

/** With quotes, a semicolon, a comment and a line feed in it. */
export const ODD_NAME = `we"ird; --\n-- TOC entry 7 (class 1 OID 2)\n'x\\`;

const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Extensions that come with PostgreSQL and bring types or operator classes. */
const CONTRIB = [
  'btree_gist',
  'citext',
  'cube',
  'hstore',
  'intarray',
  'isn',
  'ltree',
  'pg_trgm',
  'seg',
  'uuid-ossp',
];
const VIEWS_DEEP = 60;
const PARTITIONS = 100;

/** What makes restores go wrong, in one database. Needs the superuser; makes the role `awkward owner`. */
export async function makeAwkwardDatabase(
  server: PostgresServer,
  database: string,
  options = 'TEMPLATE template0',
): Promise<void> {
  await withClient(server, 'postgres', async (client) => {
    await client.query(
      `DO $$ BEGIN CREATE ROLE "awkward owner"; CREATE ROLE "reader; x";
       EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
    await client.query(`CREATE DATABASE ${quoted(database)} ${options}`);
  });
  await withClient(server, database, async (client) => {
    const { rows } = await client.query<{ major: number }>(
      "SELECT current_setting('server_version_num')::int / 10000 AS major",
    );
    for (const statement of statements(rows[0]?.major ?? 0)) await client.query(statement);
  });
}

function statements(major: number): string[] {
  const odd = quoted(ODD_NAME);
  return [
    `CREATE SCHEMA ${odd} AUTHORIZATION "awkward owner"`,
    `CREATE TABLE ${odd}.${odd} (${odd} int PRIMARY KEY, "select" text DEFAULT E'a\\nb')`,
    `INSERT INTO ${odd}.${odd} SELECT i, repeat(E'\\t\\n\\\\', i) FROM generate_series(1, 50) AS i`,
    `COMMENT ON TABLE ${odd}.${odd} IS $c$${HOSTILE_LINES}$c$`,
    `ALTER TABLE ${odd}.${odd} OWNER TO "awkward owner"`,

    'CREATE TABLE a (id int PRIMARY KEY, b int)',
    'CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a DEFERRABLE)',
    'ALTER TABLE a ADD CONSTRAINT a_b FOREIGN KEY (b) REFERENCES b NOT VALID',
    'INSERT INTO a SELECT i, NULL FROM generate_series(1, 200) AS i',
    'INSERT INTO b SELECT i, 201 - i FROM generate_series(1, 200) AS i',
    'UPDATE a SET b = 201 - id',
    `CREATE TABLE booked (room int, during int4range, CHECK (room > 0),
       EXCLUDE USING gist (during WITH &&))`,
    'INSERT INTO booked SELECT i, int4range(i * 10, i * 10 + 5) FROM generate_series(1, 40) AS i',
    'CREATE TABLE nothing ()',
    'INSERT INTO nothing DEFAULT VALUES',
    `CREATE TABLE kinds (id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 7),
       twice numeric GENERATED ALWAYS AS (half * 2) STORED, half numeric, gone text, kept text COLLATE "C")`,
    'ALTER TABLE kinds DROP COLUMN gone',
    "INSERT INTO kinds (half, kept) SELECT i / 2.0, 'k' || i FROM generate_series(1, 60) AS i",
    'CREATE INDEX kinds_twice ON kinds (twice) WHERE half > 1',
    'CREATE STATISTICS kinds_both ON half, kept FROM kinds',
    'ALTER TABLE kinds ALTER COLUMN kept SET STATISTICS 500',
    'CREATE INDEX kinds_id ON kinds (id)',
    'ALTER TABLE kinds CLUSTER ON kinds_id',

    `CREATE TABLE measured (day int, value text, PRIMARY KEY (day, value)) PARTITION BY RANGE (day)`,
    'CREATE INDEX measured_value ON measured (value)',
    ...Array.from(
      { length: PARTITIONS },
      (_, i) =>
        `CREATE TABLE measured_${i} PARTITION OF measured FOR VALUES FROM (${i * 10}) TO (${i * 10 + 10})`,
    ),
    "INSERT INTO measured SELECT i % 1000, 'v' || i FROM generate_series(0, 4999) AS i",
    'CREATE TABLE hashed (k text, v int) PARTITION BY HASH (k)',
    'CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
    'CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1)',
    "INSERT INTO hashed SELECT 'k' || i, i FROM generate_series(1, 100) AS i",
    'CREATE TABLE parent (id int, CHECK (id > 0) NO INHERIT)',
    'CREATE TABLE child (extra text) INHERITS (parent)',
    "INSERT INTO child SELECT i, 'x' FROM generate_series(1, 10) AS i",

    'CREATE VIEW chain_0 AS SELECT id, half FROM kinds',
    ...Array.from(
      { length: VIEWS_DEEP },
      (_, i) => `CREATE VIEW chain_${i + 1} AS SELECT id, half + 1 AS half FROM chain_${i}`,
    ),
    `CREATE MATERIALIZED VIEW z_first AS SELECT id, half FROM chain_${VIEWS_DEEP}`,
    'CREATE MATERIALIZED VIEW a_second AS SELECT count(*) AS n, sum(half) AS total FROM z_first',
    'CREATE MATERIALIZED VIEW never AS SELECT 1 AS one WITH NO DATA',
    'CREATE UNIQUE INDEX z_first_id ON z_first (id)',
    'CREATE VIEW circular AS SELECT 1 AS n',
    'CREATE RULE instead AS ON INSERT TO circular DO INSTEAD INSERT INTO parent VALUES (NEW.n)',

    `CREATE FUNCTION hostile() RETURNS text LANGUAGE sql AS $f$ SELECT $x$${HOSTILE_LINES}$x$ $f$`,
    `CREATE FUNCTION plain(i int) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN i; -- ;
       END $f$`,
    'CREATE PROCEDURE act(INOUT n int) LANGUAGE sql BEGIN ATOMIC SELECT n + 1; SELECT n + 2; END',
    `CREATE FUNCTION latest() RETURNS SETOF kinds LANGUAGE sql STABLE BEGIN ATOMIC SELECT * FROM kinds; END`,
    'CREATE AGGREGATE joined (text) (SFUNC = textcat, STYPE = text)',
    'CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, PROCEDURE = int4eq)',
    `CREATE OPERATOR CLASS odd_ops FOR TYPE int USING hash AS OPERATOR 1 =, FUNCTION 1 hashint4(int)`,
    "CREATE TYPE mood AS ENUM ('sad', 'so \"so\"', 'it''s ok')",
    'CREATE TYPE pair AS (x int, y mood)',
    'CREATE DOMAIN small AS int CHECK (VALUE < 1000) DEFAULT 1',
    'CREATE TYPE span AS RANGE (subtype = float8)',
    'CREATE TABLE typed (m mood, p pair, s small, r span, arr mood[])',
    `INSERT INTO typed VALUES ('so "so"', (1, 'sad'), 5, span(1, 2), '{sad,"it''s ok"}')`,
    ...CONTRIB.map((name) => `CREATE EXTENSION "${name}" SCHEMA public`),
    `CREATE TABLE contributed (c citext PRIMARY KEY, h hstore, l ltree, q cube, s seg, n isbn, u uuid,
       a int[], EXCLUDE USING gist (a WITH &&, u WITH =))`,
    `INSERT INTO contributed SELECT 'Word' || i, hstore('k', i::text), ('a.b' || i)::ltree, cube(i, i + 1),
       (i || '..' || i + 2)::seg, '978-0-393-04002-9', uuid_generate_v5(uuid_ns_url(), i::text), ARRAY[i]
       FROM generate_series(1, 20) AS i`,
    'CREATE INDEX contributed_trgm ON contributed USING gin ((c::text) gin_trgm_ops)',
    'CREATE INDEX contributed_l ON contributed USING gist (l)',
    "COMMENT ON EXTENSION hstore IS 'ours'",

    'CREATE COLLATION posix_like FROM "POSIX"',
    'CREATE TABLE collated (t text COLLATE posix_like)',
    'CREATE INDEX collated_t ON collated (t COLLATE "C" DESC NULLS LAST)',
    'CREATE TEXT SEARCH CONFIGURATION english_too (COPY = english)',

    `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
       RAISE EXCEPTION 'triggers must not fire while data are loaded'; END $f$`,
    'CREATE TRIGGER touched BEFORE INSERT ON typed FOR EACH ROW EXECUTE FUNCTION touch()',
    'ALTER TABLE typed ENABLE ALWAYS TRIGGER touched',
    'ALTER TABLE booked ENABLE ROW LEVEL SECURITY',
    'ALTER TABLE booked FORCE ROW LEVEL SECURITY',
    'CREATE POLICY own ON booked FOR SELECT TO "reader; x" USING (room < 10)',
    'GRANT SELECT ON booked TO "reader; x"',
    'GRANT UPDATE (room) ON booked TO "reader; x" WITH GRANT OPTION',
    'SET SESSION AUTHORIZATION "reader; x"',
    'GRANT UPDATE (room) ON booked TO "awkward owner"',
    'RESET SESSION AUTHORIZATION',
    'REVOKE ALL ON hashed FROM postgres',
    'REVOKE EXECUTE ON FUNCTION plain FROM PUBLIC',
    'ALTER DEFAULT PRIVILEGES FOR ROLE "awkward owner" GRANT SELECT ON TABLES TO "reader; x"',
    'REVOKE CREATE ON SCHEMA public FROM PUBLIC',

    `CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $f$ BEGIN
       IF current_setting('application_name') = 'holdfast' THEN
         RAISE EXCEPTION 'event triggers must not fire while the rest is made'; END IF; END $f$`,
    'CREATE EVENT TRIGGER forbidden ON ddl_command_start EXECUTE FUNCTION forbid()',
    "COMMENT ON EVENT TRIGGER forbidden IS 'last of all'",
    'CREATE PUBLICATION everything FOR ALL TABLES',
    'CREATE PUBLICATION several FOR TABLE a, b WHERE (id > 1)',
    ...(major >= 15 ? ['CREATE PUBLICATION by_schema FOR TABLES IN SCHEMA public'] : []),
    `CREATE SUBSCRIPTION asleep CONNECTION 'host=192.0.2.1 password=s3cret-word' PUBLICATION several
       WITH (connect = false, slot_name = NONE)`,
    "CREATE FOREIGN DATA WRAPPER nowhere OPTIONS (debug 'true')",
    "CREATE SERVER far FOREIGN DATA WRAPPER nowhere OPTIONS (host '192.0.2.1')",
    "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'x', password 's3cret-word')",
    'CREATE FOREIGN TABLE distant (id int) SERVER far',

    'CREATE SEQUENCE down INCREMENT -5 MINVALUE -1000 MAXVALUE -1 CYCLE',
    "SELECT setval('down', -500)",
    'CREATE SEQUENCE unused',
    'CREATE UNLOGGED TABLE quick (id serial PRIMARY KEY)',
    'INSERT INTO quick SELECT FROM generate_series(1, 30)',

    ...Array.from(
      { length: 3 },
      (_, i) =>
        `SELECT lo_from_bytea(${50_000 + i}, decode(repeat('00ff5c', ${i * 2_000}), 'hex'))`,
    ),
    "SELECT lo_from_bytea(4294967290, 'largest')",
    "COMMENT ON LARGE OBJECT 50001 IS 'a picture'",
    'ALTER LARGE OBJECT 50001 OWNER TO "awkward owner"',
    'GRANT SELECT ON LARGE OBJECT 50000 TO "reader; x"',
    'GRANT SELECT ON LARGE OBJECT 4294967290 TO "reader; x"',
  ];
}
