import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Selection } from '#contracts/restore.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { parseToc, type Toc, type TocEntry } from '#domain/archive/toc.ts';
import { quotePattern } from '#domain/restore/name-pattern.ts';
import {
  type IsPresent,
  requireSelection,
  type SelectedEntries,
  selectEntries,
} from '#domain/restore/selection.ts';
import { isRelation } from '#domain/restore/toc-graph.ts';
import type { PostgresMajor } from '#local/postgres-server.ts';
import { fillSampleDatabase } from '#local/sample-database/fill-sample-database.ts';
import { type SharedPostgres, usePostgres, withClient } from '#test/postgres.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const clients = await ensurePostgresClients();
const execute = promisify(execFile);

/**
 * Everything that can hang on something else: functions in defaults, checks, policies, generated columns and
 * indexes; shared, owned and identity sequences; row types; views that need a primary key; partitions
 * of partitions; foreign keys to unique indexes and to partitioned tables; statistics in another schema.
 */
const ENTANGLED = `
CREATE EXTENSION hstore; CREATE EXTENSION pg_trgm; CREATE EXTENSION btree_gist; CREATE EXTENSION postgres_fdw;
CREATE SCHEMA lib; CREATE SCHEMA app; CREATE SCHEMA "My Schema";
COMMENT ON SCHEMA public IS 'mine';
CREATE TYPE lib.mood AS ENUM ('a', 'b');
CREATE DOMAIN lib.positive AS int CHECK (VALUE > 0);
CREATE TYPE lib.pair AS (m lib.mood, p lib.positive);
CREATE COLLATION lib.plain (locale = 'C', provider = libc);
CREATE FUNCTION lib.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$;
CREATE FUNCTION lib.seven() RETURNS int LANGUAGE sql IMMUTABLE RETURN 7;
CREATE FUNCTION lib.fine(int) RETURNS boolean LANGUAGE sql IMMUTABLE RETURN true;
CREATE SEQUENCE lib.shared; SELECT setval('lib.shared', 5);
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE FOREIGN TABLE app.abroad (id int) SERVER elsewhere;

CREATE TABLE app.parent (
  id serial PRIMARY KEY, m lib.mood, p lib.pair, d int DEFAULT lib.seven(), h hstore,
  s int DEFAULT nextval('lib.shared'), x int UNIQUE, CONSTRAINT fine CHECK (lib.fine(d)));
INSERT INTO app.parent (m, p, h, x) SELECT 'a', ROW('b'::lib.mood, n)::lib.pair, 'k=>v', n FROM generate_series(1, 9) n;
COMMENT ON TABLE app.parent IS 'of "many"'; COMMENT ON COLUMN app.parent.m IS 'mood';
COMMENT ON CONSTRAINT fine ON app.parent IS 'always';
CREATE INDEX by_mood ON app.parent (m); COMMENT ON INDEX app.by_mood IS 'few';
CREATE INDEX by_function ON app.parent (lib.fine(x));
ALTER TABLE app.parent CLUSTER ON by_mood;
CREATE TRIGGER stamp BEFORE UPDATE ON app.parent FOR EACH ROW EXECUTE FUNCTION lib.stamp();
COMMENT ON TRIGGER stamp ON app.parent IS 'off'; ALTER TABLE app.parent DISABLE TRIGGER stamp;
CREATE STATISTICS app.together ON id, x FROM app.parent;
CREATE STATISTICS lib.far_off ON (x + 1) FROM app.parent;
GRANT SELECT ON app.parent TO public; GRANT SELECT (id) ON app.parent TO public;
GRANT USAGE ON SCHEMA app TO public; GRANT USAGE ON TYPE lib.mood TO public;
ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO public;

CREATE TABLE app.child (
  number int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  parent_id int REFERENCES app.parent, self int REFERENCES app.child);
INSERT INTO app.child (parent_id) SELECT n FROM generate_series(1, 9) n;
CREATE RULE stay AS ON DELETE TO app.child DO INSTEAD NOTHING; COMMENT ON RULE stay ON app.child IS 'r';
ALTER TABLE app.child ENABLE ROW LEVEL SECURITY;
CREATE POLICY fine ON app.child USING (lib.fine(number)); COMMENT ON POLICY fine ON app.child IS 'p';
ALTER TABLE app.child ADD CONSTRAINT later CHECK (lib.fine(number)) NOT VALID;
CREATE TABLE app.heir (extra int) INHERITS (app.parent);
INSERT INTO app.heir (m, x) VALUES ('b', 77);
CREATE TABLE app.typed OF lib.pair;
CREATE TABLE app.row_typed (c app.child);
CREATE TABLE app.collated (a text COLLATE lib.plain);
CREATE TABLE app.generated (a int, b int GENERATED ALWAYS AS (lib.fine(a)::int) STORED);
CREATE TABLE app.like_child (LIKE app.child); CREATE INDEX ON app.like_child ((ROW(number, 1, 2)::app.child));
CREATE TABLE app.fuzzy (a text); CREATE INDEX ON app.fuzzy USING gin (a gin_trgm_ops);
CREATE TABLE app.booked (room int, at int4range, EXCLUDE USING gist (room WITH =, at WITH &&));
CREATE TABLE app.owner (a int NOT NULL); CREATE SEQUENCE app.owned OWNED BY app.owner.a;
CREATE UNIQUE INDEX owner_a ON app.owner (a); ALTER TABLE app.owner REPLICA IDENTITY USING INDEX owner_a;
CREATE TABLE app.refers_to_index (a int REFERENCES app.owner (a));
INSERT INTO app.owner VALUES (1); INSERT INTO app.refers_to_index VALUES (1);
CREATE RULE other AS ON INSERT TO app.fuzzy DO INSTEAD INSERT INTO app.owner VALUES (1) ON CONFLICT (a) DO NOTHING;
CREATE FUNCTION lib.counts() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM app.owner; END;
CREATE FUNCTION app.takes_row(app.parent) RETURNS int LANGUAGE sql AS 'select 1';
CREATE TABLE app.x (a int PRIMARY KEY, b int);
CREATE TABLE app."x y" (a int PRIMARY KEY CONSTRAINT z REFERENCES app.x);
ALTER TABLE app.x ADD CONSTRAINT "y z" FOREIGN KEY (b) REFERENCES app."x y";

CREATE VIEW app.v AS SELECT id, lib.fine(d) FROM app.parent;
CREATE TRIGGER instead INSTEAD OF INSERT ON app.v FOR EACH ROW EXECUTE FUNCTION lib.stamp();
CREATE VIEW app.v2 AS SELECT * FROM app.v;
CREATE RULE swallow AS ON INSERT TO app.v2 DO INSTEAD NOTHING;
CREATE VIEW app.grouped AS SELECT p.id, p.x, p.d FROM app.parent p GROUP BY p.id;
CREATE VIEW app.on_grouped AS SELECT * FROM app.grouped;
CREATE VIEW app.with_default AS SELECT 1 AS a; ALTER VIEW app.with_default ALTER a SET DEFAULT lib.seven();
CREATE MATERIALIZED VIEW app.m AS SELECT * FROM app.v2; CREATE INDEX ON app.m (id);
CREATE MATERIALIZED VIEW app.m2 AS SELECT * FROM app.m;
CREATE MATERIALIZED VIEW app.m_grouped AS SELECT p.id, p.x FROM app.parent p GROUP BY p.id;

CREATE TABLE app.part (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k);
CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES FROM (0) TO (10);
CREATE TABLE app.part_2 PARTITION OF app.part FOR VALUES FROM (10) TO (20) PARTITION BY LIST (id);
CREATE TABLE app.part_2a PARTITION OF app.part_2 FOR VALUES IN (1);
CREATE TABLE app.part_2b PARTITION OF app.part_2 DEFAULT;
CREATE INDEX part_k ON app.part (k);
CREATE TRIGGER stamp AFTER INSERT ON app.part FOR EACH ROW EXECUTE FUNCTION lib.stamp();
ALTER TABLE app.part_1 DISABLE TRIGGER stamp;
INSERT INTO app.part VALUES (1, 1), (1, 11), (2, 12);
CREATE TABLE app.refers_to_part (id int, k int, FOREIGN KEY (id, k) REFERENCES app.part);
INSERT INTO app.refers_to_part VALUES (1, 1), (2, 12);
CREATE TABLE app.ring (id int, k int, p int, q int, PRIMARY KEY (id, k), FOREIGN KEY (p, q) REFERENCES app.ring)
  PARTITION BY LIST (k);
CREATE TABLE app.ring_1 PARTITION OF app.ring FOR VALUES IN (1); CREATE TABLE app.ring_2 PARTITION OF app.ring DEFAULT;
INSERT INTO app.ring VALUES (1, 2, NULL, NULL), (1, 1, 1, 2);
CREATE TABLE app.serial (id serial, k int) PARTITION BY LIST (k); CREATE TABLE app.serial_1 PARTITION OF app.serial DEFAULT;
CREATE TABLE lib.counted (id int GENERATED ALWAYS AS IDENTITY, k int) PARTITION BY LIST (k);
CREATE TABLE app.counted_1 PARTITION OF lib.counted DEFAULT;
CREATE TABLE app.lonely (a int, b int) PARTITION BY LIST (b);
CREATE TABLE app.lonely_1 PARTITION OF app.lonely (FOREIGN KEY (a) REFERENCES app.owner (a)) DEFAULT;

CREATE TABLE "My Schema"."My.Table" ("A b" int); INSERT INTO "My Schema"."My.Table" VALUES (1);
CREATE TABLE "My Schema".one (id int PRIMARY KEY, other int);
CREATE TABLE "My Schema".two (id int PRIMARY KEY, other int REFERENCES "My Schema".one);
ALTER TABLE "My Schema".one ADD FOREIGN KEY (other) REFERENCES "My Schema".two;
INSERT INTO "My Schema".one VALUES (1, NULL); INSERT INTO "My Schema".two VALUES (2, 1);
UPDATE "My Schema".one SET other = 2;
CREATE TABLE public.plain (a int REFERENCES app.owner (a)); INSERT INTO public.plain VALUES (1);
CREATE PUBLICATION changes FOR TABLE app.parent, app.child; CREATE PUBLICATION all_of_it FOR ALL TABLES;
CREATE FUNCTION lib.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION lib.watch();
SELECT lo_from_bytea(5555, 'large'); COMMENT ON LARGE OBJECT 5555 IS 'lo';
`;

/** A database, its archive, and what comes of restoring parts of it with pg_restore alone. */
class Original {
  readonly #postgres: SharedPostgres;
  readonly #programs: string;
  readonly #directory: string;
  readonly database: string;
  #restored = 0;
  head!: Buffer;
  toc!: Toc;

  constructor(postgres: SharedPostgres, client: number, directory: string, database: string) {
    this.#postgres = postgres;
    this.#programs = join(clients.directory, String(client), 'bin');
    this.#directory = directory;
    this.database = database;
  }

  get #archive(): string {
    return join(this.#directory, `${this.database}.dump`);
  }

  async dump(): Promise<void> {
    await this.#run('pg_dump', '--format=custom', '--file', this.#archive, this.database);
    const reader = new ArchiveReader({ onBlock: () => undefined });
    reader.push(await readFile(this.#archive));
    reader.end();
    this.head = reader.head as Buffer;
    this.toc = parseToc(this.head);
  }

  /** Dump ids that pg_restore itself would restore with these options. */
  async listed(...options: string[]): Promise<number[]> {
    const { stdout } = await this.#run('pg_restore', '--list', ...options, this.#archive);
    return [...stdout.matchAll(/^(\d+);/gm)].map(([, id]) => Number(id));
  }

  /** Into a new database, or one that `restoreInto` made; fails at the first error or warning. */
  async restore(selected: SelectedEntries, into?: string): Promise<string> {
    const name = into ?? (await this.emptyDatabase());
    const listFile = join(this.#directory, `${name}.list`);
    const lines = this.toc.entries.filter(({ dumpId }) => selected.ids.has(dumpId));
    await writeFile(listFile, lines.map(({ dumpId }) => `${dumpId};\n`).join(''));
    const { stderr } = await this.#run(
      'pg_restore',
      '--exit-on-error',
      '--use-list',
      listFile,
      '--dbname',
      name,
      this.#archive,
    );
    if (stderr !== '') throw new Error(stderr);
    return name;
  }

  async emptyDatabase(): Promise<string> {
    this.#restored += 1;
    const name = `restored_${this.database}_${this.#restored}`;
    await this.#postgres.query('postgres', `CREATE DATABASE ${name} TEMPLATE template0`);
    return name;
  }

  /** Schema and rows as pg_dump writes them, its lines sorted: what was made in another order is equal. */
  async describe(database: string, ...options: string[]): Promise<string[]> {
    const { stdout } = await this.#run('pg_dump', ...options, database);
    const lines = stdout.split('\n').filter((line) => !/^(--.*|\\(un)?restrict .*|)$/.test(line));
    return lines.toSorted();
  }

  select(wanted: Partial<Selection>): SelectedEntries {
    return selectEntries(this.head, this.toc, Selection.parse(wanted));
  }

  require(wanted: Partial<Selection>, isPresent?: IsPresent): SelectedEntries {
    return requireSelection(this.head, this.toc, Selection.parse(wanted), isPresent);
  }

  #run(program: 'pg_dump' | 'pg_restore', ...args: string[]) {
    const { host, port, user, password } = this.#postgres.server;
    return execute(join(this.#programs, program), args, {
      timeout: 120_000,
      maxBuffer: 2 ** 28,
      env: {
        PGHOST: host,
        PGPORT: String(port),
        PGUSER: user,
        PGPASSWORD: password,
        PGCONNECT_TIMEOUT: '60',
      },
    });
  }
}

async function expectSame(original: Original, restored: string, ...options: string[]) {
  const was = await original.describe(original.database, ...options);
  expect(was.length).toBeGreaterThan(10);
  expect(await original.describe(restored, ...options)).toEqual(was);
}

/** `--table` of pg_dump takes the same quotes as we do. */
const tableOption = ({ schema = '', tag }: TocEntry) =>
  `--table="${[schema, tag].map((it) => it.replaceAll('"', '""')).join('"."')}"`;

const majors = ([17, 18] as const satisfies PostgresMajor[]).filter((it) =>
  clients.majors.includes(it),
);

it('there is a client to test with', () => {
  expect(majors).not.toEqual([]);
});

describe.each(majors)('archives of client %i', (major) => {
  const postgres = usePostgres({ major });
  let directory: string;
  let shop: Original;
  let entangled: Original;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'restore-selection-'));
    const { server } = postgres;
    await fillSampleDatabase({ connection: server, scale: 0.01 });
    await postgres.query('postgres', 'CREATE DATABASE entangled');
    await withClient(server, 'entangled', (client) => client.query(ENTANGLED));
    shop = new Original(postgres, major, directory, 'shop');
    entangled = new Original(postgres, major, directory, 'entangled');
    await shop.dump();
    await entangled.dump();
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  describe('where pg_restore has an option for it', () => {
    it.each<[Partial<Selection>, string[]]>([
      [{}, []],
      [{ only: 'schema' }, ['--schema-only']],
      [{ only: 'data' }, ['--data-only']],
      [{ without: ['comments'] }, ['--no-comments']],
      [{ without: ['privileges'] }, ['--no-privileges']],
      [{ without: ['publications'] }, ['--no-publications']],
      [{ without: ['subscriptions'] }, ['--no-subscriptions']],
      ...(major >= 18
        ? [[{ without: ['policies'] }, ['--no-policies']] as [Partial<Selection>, string[]]]
        : []),
    ])('%j is the same as %j', async (wanted, options) => {
      for (const original of [shop, entangled]) {
        const settings = ['ENCODING', 'STDSTRINGS', 'SEARCHPATH'];
        const ours = original.toc.entries
          .filter(
            ({ dumpId, desc }) =>
              original.select(wanted).ids.has(dumpId) && !settings.includes(desc),
          )
          .map(({ dumpId }) => dumpId);
        expect(ours).toEqual(await original.listed(...options));
      }
    });

    it.each(['crm', 'odd', '日本語'])('the schema %s has all that --schema has', async (schema) => {
      const { ids } = shop.select({ schemas: [schema] });
      const listed = await shop.listed('--schema', schema);
      // A foreign key to another schema is left out by us, and would fail there.
      const foreign = shop.toc.entries.filter(({ desc }) => desc === 'FK CONSTRAINT');
      const expected = listed.filter((id) => !foreign.some(({ dumpId }) => dumpId === id));
      expect(listed.length).toBeGreaterThan(1);
      expect(expected.filter((id) => !ids.has(id))).toEqual([]);
    });
  });

  describe('of the sample shop, restored by pg_restore alone into an empty database,', () => {
    it.each<[string, Partial<Selection>, string[]]>([
      ['a table without dependencies', { tables: ['web.page_views'] }, ['--table=web.page_views']],
      ['both ends of foreign keys', { tables: ['staff.*'] }, ['--schema=staff']],
      ['a schema', { schemas: ['crm'] }, ['--schema=crm']],
      ['names that break tools', { schemas: ['odd'] }, ['--schema=odd']],
      ['tables with such names', { tables: ['odd.*'] }, ['--table=odd.*']],
      [
        'two schemas by a pattern, one by its name',
        { schemas: ['*aff', 'Größe & Maße', '日?語'] },
        ['--schema=staff', '--schema="Größe & Maße"', '--schema=日本語'],
      ],
      [
        'a table with enum, domain and composite columns',
        { tables: ['crm.customers'], withDependencies: true },
        ['--table=crm.customers'],
      ],
      [
        'a table with a trigger',
        { tables: ['catalogue.products'], withDependencies: true },
        ['--table=catalogue.products', '--table=catalogue.products_id_seq'],
      ],
      [
        'a partitioned table',
        { tables: ['sales.orders'], withDependencies: true },
        ['--table=sales.orders*', '--table=crm.customers'],
      ],
      [
        'a partition of a partition',
        { tables: ['sales.orders_2024_eu'], withDependencies: true },
        ['--table=sales.orders_2024_eu'],
      ],
      [
        'an exclusion constraint',
        { tables: ['sales.price_periods'], withDependencies: true },
        ['--table=sales.price_periods'],
      ],
      [
        'a view with all that it reads',
        { tables: ['sales.open_orders'], withDependencies: true },
        ['--table=sales.open_orders', '--table=crm.customers', '--table=sales.orders*'],
      ],
      [
        'a materialized view over another one',
        { tables: ['sales.not_refreshed'], withDependencies: true },
        ['--table=sales.not_refreshed', '--table=sales.turnover'],
      ],
      ['everything', {}, ['--large-objects']],
    ])('%s is what it was', async (_, wanted, options) => {
      const restored = await shop.restore(shop.require(wanted));
      await expectSame(shop, restored, ...options);
    });

    it('a table with a foreign key alone is the same but for the key', async () => {
      const selected = shop.require({ tables: ['staff.departments'] });
      const restored = await shop.restore(selected);
      const key = /departments_head_id_fkey|^ALTER TABLE ONLY staff\.departments$/;
      const original = await shop.describe('shop', '--table=staff.departments');
      const lines = await shop.describe(restored, '--table=staff.departments');
      expect(original.filter((line) => key.test(line))).toHaveLength(3);
      expect(lines.filter((line) => !key.test(line))).toEqual(
        original.filter((line) => !key.test(line)),
      );
      expect(lines.filter((line) => key.test(line))).toHaveLength(1);
      expect(selected.warnings).toContain(
        'FK CONSTRAINT staff.departments departments_head_id_fkey is left out: staff.employees is not selected',
      );
    });

    it('a partition alone is a table of its own, made with what the target has', async () => {
      const isPresent = ({ desc, schema, tag }: TocEntry) =>
        (desc === 'SCHEMA' && tag === 'sales') ||
        (desc === 'DOMAIN' && schema === 'sales' && tag === 'amount');
      const selected = shop.require({ tables: ['sales.orders_2023'] }, isPresent);
      const database = await shop.emptyDatabase();
      await postgres.query(database, 'CREATE SCHEMA sales');
      await postgres.query(database, 'CREATE DOMAIN sales.amount AS numeric(12, 2)');
      await shop.restore(selected, database);
      const count = 'SELECT count(*) FROM sales.orders_2023';
      const rows = await postgres.query(database, count);
      expect(rows).toEqual(await postgres.query('shop', count));
      expect(await postgres.query(database, 'SELECT inhrelid FROM pg_inherits')).toEqual([]);
      const keys = `SELECT conname FROM pg_constraint
        WHERE contype = 'p' AND conrelid = 'sales.orders_2023'::regclass`;
      expect(await postgres.query(database, keys)).toEqual([{ conname: 'orders_2023_pkey' }]);
    });

    it('the schema and then the rows together are everything', async () => {
      const isRelationThere: IsPresent = (entry) => isRelation(entry);
      // As with pg_restore's --data-only, rows do not come in the order of the foreign keys.
      const without = ['constraints' as const];
      const restored = await shop.restore(shop.require({ only: 'schema', without }));
      await shop.restore(shop.require({ only: 'data' }, isRelationThere), restored);
      await expectSame(shop, restored, '--large-objects', '--section=pre-data', '--section=data');
    });

    it('all without what can be left out has the rows, and none of that', async () => {
      const without = Selection.shape.without.unwrap().element.options;
      const restored = await shop.restore(shop.require({ without }));
      const left = await postgres.query(
        restored,
        `SELECT conname AS name FROM pg_constraint JOIN pg_namespace n ON n.oid = connamespace
          WHERE contype IN ('f', 'p', 'u', 'x') AND nspname NOT IN ('pg_catalog', 'information_schema')
         UNION ALL SELECT indexname FROM pg_indexes WHERE schemaname NOT LIKE 'pg\\_%'
         UNION ALL SELECT tgname FROM pg_trigger UNION ALL SELECT polname FROM pg_policy
         UNION ALL SELECT rulename FROM pg_rules WHERE schemaname <> 'pg_catalog'
         UNION ALL SELECT stxname FROM pg_statistic_ext
         UNION ALL SELECT description FROM pg_description WHERE objoid >= 16384
            AND classoid NOT IN ('pg_extension'::regclass) AND NOT EXISTS (
              SELECT FROM pg_depend d WHERE d.classid = classoid AND d.objid = objoid AND d.deptype = 'e')`,
      );
      expect(left).toEqual([]);
      const count = 'SELECT count(*), sum(total) FROM sales.orders';
      expect(await postgres.query(restored, count)).toEqual(await postgres.query('shop', count));
    });
  });

  describe('of a database where everything hangs on something,', () => {
    const relations = () => entangled.toc.entries.filter(isRelation);
    /** Dozens of restores, so for the newest client alone. */
    const thorough = majors.slice(-1).filter((newest) => newest === major);

    it.each(thorough)(
      'each relation with what it needs is what it was',
      { timeout: 240_000 },
      async () => {
        const original = relations();
        expect(original.length).toBeGreaterThan(45);
        for (const relation of original) {
          const name = quotePattern(relation.schema ?? '', relation.tag);
          const selected = entangled.require({ tables: [name], withDependencies: true });
          const restored = await entangled.restore(selected);
          const option = tableOption(relation);
          const was = await entangled.describe('entangled', option);
          expect({ name, is: await entangled.describe(restored, option) }).toEqual({
            name,
            is: was,
          });
          await postgres.query('postgres', `DROP DATABASE ${restored}`);
        }
      },
    );

    it.each(thorough)(
      'each relation alone is restored, or what it lacks is named',
      {
        timeout: 240_000,
      },
      async () => {
        const refused: string[] = [];
        for (const relation of relations()) {
          const name = quotePattern(relation.schema ?? '', relation.tag);
          const selected = entangled.select({ tables: [name] });
          if (selected.missing.length > 0) {
            refused.push(
              `${name} needs ${selected.missing.map(({ needed }) => needed.tag).join()}`,
            );
            continue;
          }
          const restored = await entangled.restore(selected);
          const [there] = await postgres.query(restored, 'SELECT to_regclass($1) AS name', [
            `"${relation.schema}"."${relation.tag}"`,
          ]);
          expect({ name, there: there?.['name'] }).toEqual({ name, there: expect.any(String) });
          await postgres.query('postgres', `DROP DATABASE ${restored}`);
        }
        expect(refused.toSorted()).toEqual([
          'app.abroad needs elsewhere',
          'app.booked needs btree_gist',
          'app.child needs fine(integer)',
          'app.child_number_seq needs child',
          'app.collated needs plain',
          'app.fuzzy needs pg_trgm,owner',
          'app.generated needs fine(integer)',
          'app.grouped needs parent',
          'app.heir needs hstore,mood,pair,fine(integer),seven(),shared,parent,parent_id_seq',
          'app.like_child needs child',
          'app.m needs v2',
          'app.m2 needs m',
          'app.m_grouped needs parent',
          'app.on_grouped needs grouped',
          'app.parent needs hstore,mood,pair,fine(integer),seven(),shared,stamp()',
          'app.part needs stamp()',
          'app.row_typed needs child',
          'app.serial_1 needs serial_id_seq',
          'app.typed needs mood,positive,pair',
          'app.v needs fine(integer),parent,stamp()',
          'app.v2 needs v',
          'app.with_default needs seven()',
          'lib.counted_id_seq needs counted',
        ]);
      },
    );

    it.each<[string, Partial<Selection>, string[]]>([
      [
        'a schema with what it needs',
        { schemas: ['lib'], withDependencies: true },
        ['--schema=lib'],
      ],
      [
        'a partition and what refers to all of them',
        { tables: ['app.part_1', 'app.refers_to_part'], withDependencies: true },
        ['--table=app.part*', '--table=app.refers_to_part'],
      ],
      ['a name with a dot', { tables: ['My Schema.My.Table'] }, ['--table="My Schema"."My.Table"']],
      ['tables that refer to each other', { tables: ['"My Schema".*'] }, ['--schema="My Schema"']],
      [
        'a table of the schema that is always there',
        { tables: ['plain'], withDependencies: true },
        ['--table=public.plain'],
      ],
      [
        'all tables with what they need',
        { tables: ['*'], withDependencies: true },
        ['--table=app.*', '--table="My Schema".*', '--table=public.*'],
      ],
    ])('%s is what it was', async (_, wanted, options) => {
      const restored = await entangled.restore(entangled.require(wanted));
      await expectSame(entangled, restored, ...options);
    });

    it.each(Selection.shape.without.unwrap().element.options.map((it) => [it]))(
      'all without %s is restored without an error',
      async (kind) => {
        const selected = entangled.require({ without: [kind] });
        const restored = await entangled.restore(selected);
        const count = 'SELECT count(*) FROM app.grouped';
        expect(await postgres.query(restored, count)).toEqual(
          await postgres.query('entangled', count),
        );
      },
    );

    it('what something else cannot be made without is kept, and that is said', () => {
      expect(entangled.select({ without: ['indexes', 'constraints'] }).warnings).toEqual([
        'CONSTRAINT app.parent parent_pkey is restored nevertheless: app.m_grouped needs it',
      ]);
      expect(entangled.select({ without: ['indexes'] }).warnings).toEqual([
        expect.stringMatching(/^INDEX app\.owner_a is restored nevertheless: .* needs it$/),
      ]);
    });
  });
});
