import { beforeAll, describe, expect, it } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import type { PostgresServer } from '#local/postgres-server.ts';
import { prepareTarget } from '#operations/restore/prepare-target.ts';
import { newestDumpableMajor, type SharedPostgres, usePostgres } from '#test/postgres.ts';
import {
  accessTo,
  type CopyOptions,
  connectionTo,
  contentsOf,
  dumpOf,
  emptyDatabase,
  restoreInto,
  runProgram,
} from '#test/restored-copy.ts';

const major = await newestDumpableMajor();
/** What RDS has none of: its servers know the default tablespace alone. */
const FAST = 'fast "disk"';
const LARGE = 'large';
const q = (name: string) => `"${name.replaceAll('"', '""')}"`;
// Where a tablespace lies in the file system is all the same here; else a folder of the server's user is needed.
const settings = { allow_in_place_tablespaces: 'on' };

const source = usePostgres({ major, settings });
const bare = usePostgres({ major });

const MAKE = `
  CREATE TABLE orders (id int, note text) TABLESPACE ${q(FAST)};
  ALTER TABLE orders ADD PRIMARY KEY (id) USING INDEX TABLESPACE ${LARGE};
  INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 100) AS n;
  CREATE INDEX orders_note ON orders (note) TABLESPACE ${LARGE};
  CREATE TABLE elsewhere (id int PRIMARY KEY);
  INSERT INTO elsewhere VALUES (1), (2);
  CREATE MATERIALIZED VIEW notes TABLESPACE ${q(FAST)} AS SELECT note FROM orders;
  CREATE TABLE events (id int NOT NULL, at date) PARTITION BY RANGE (id) TABLESPACE ${q(FAST)};
  CREATE INDEX events_at ON events (at) TABLESPACE ${LARGE};
  CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (1) TO (100);
  CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (100) TO (200) TABLESPACE pg_default;
  INSERT INTO events SELECT n, date '2026-11-20' + n FROM generate_series(1, 199) AS n`;

/** Where everything that somebody made lies; '' is the database's own tablespace. */
const PLACES = `
  SELECT c.relname AS name, COALESCE(t.spcname, '') AS place
    FROM pg_class AS c LEFT JOIN pg_tablespace AS t ON t.oid = c.reltablespace
   WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm', 'i', 'I') ORDER BY 1`;

async function placesOf(postgres: SharedPostgres, database: string) {
  const rows = await postgres.query<{ name: string; place: string }>(database, PLACES);
  return new Map(rows.map(({ name, place }) => [name, place]));
}

async function ownPlaceOf(postgres: SharedPostgres, database: string) {
  const [row] = await postgres.query<{ place: string }>(
    'postgres',
    `SELECT spcname AS place FROM pg_database JOIN pg_tablespace AS t ON t.oid = dattablespace
      WHERE datname = $1`,
    [database],
  );
  return row?.place;
}

/** All of a database but where it lies. */
async function withoutPlaces(server: PostgresServer, database: string) {
  const { schema, ...rest } = await contentsOf(server, database);
  const kept = schema.replaceAll(/^SET default_tablespace = .*$|; Tablespace: .*$/gm, '');
  return { ...rest, schema: kept.replaceAll(/\n{2,}/g, '\n') };
}

async function copyTo(postgres: SharedPostgres, database: string, options: CopyOptions = {}) {
  const archive = await dumpOf(source.server, database);
  const copy = await emptyDatabase(postgres);
  return { copy, restored: await restoreInto(postgres.server, copy, archive, options) };
}

beforeAll(async () => {
  for (const name of [FAST, LARGE]) {
    await source.query('postgres', `CREATE TABLESPACE ${q(name)} LOCATION ''`);
  }
  await source.query('postgres', 'CREATE DATABASE spread');
  await source.query('spread', MAKE);
});

describe('tables and indexes in tablespaces', () => {
  it('lie where they lay when the target has the tablespaces', async () => {
    const { copy, restored } = await copyTo(source, 'spread');

    expect([restored.warnings, restored.tolerated]).toEqual([[], []]);
    const places = await placesOf(source, copy);
    expect(Object.fromEntries(places)).toMatchObject({
      orders: FAST,
      orders_pkey: LARGE,
      orders_note: LARGE,
      notes: FAST,
      events: FAST,
      events_1: FAST,
      events_at: LARGE,
      elsewhere: '',
      events_2: '',
    });
    expect(places).toEqual(await placesOf(source, 'spread'));
    expect(await contentsOf(source.server, copy)).toEqual(
      await contentsOf(source.server, 'spread'),
    );
  });

  it('lie in the default one when the target has no other, as pg_restore --no-tablespaces puts them, and that is said', async () => {
    const { copy, restored } = await copyTo(bare, 'spread');

    expect(restored.tolerated).toEqual([]);
    expect(restored.warnings).toHaveLength(2);
    expect(restored.warnings).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/no tablespace "fast \\"disk\\"".*TABLE public\.events/),
        expect.stringMatching(/no tablespace "large".*CONSTRAINT public\.orders orders_pkey/),
      ]),
    );
    expect(new Set((await placesOf(bare, copy)).values())).toEqual(new Set(['']));
    expect(await withoutPlaces(bare.server, copy)).toEqual(
      await withoutPlaces(source.server, 'spread'),
    );
    const theirs = await emptyDatabase(bare);
    await runProgram('pg_restore', ['--no-tablespaces', `--dbname=${theirs}`], {
      server: bare.server,
      input: await dumpOf(source.server, 'spread'),
    });
    expect(await contentsOf(bare.server, copy)).toEqual(await contentsOf(bare.server, theirs));
  });

  it('lie in the default one when the restoring role may not use the others, and that is said', async () => {
    const login = { user: 'no_places', password: 'no-places-password' };
    await source.query(
      'postgres',
      `CREATE ROLE no_places LOGIN CREATEDB PASSWORD 'no-places-password'`,
    );
    const archive = await dumpOf(source.server, 'spread');
    const copy = await emptyDatabase(source, 'OWNER no_places');

    const restored = await restoreInto(source.server, copy, archive, {
      login,
      roles: { noOwner: true },
    });

    expect(restored.warnings).toEqual([
      expect.stringContaining(String.raw`may not create in the tablespace "fast \"disk\"";`),
      expect.stringContaining('may not create in the tablespace "large";'),
    ]);
    expect(new Set((await placesOf(source, copy)).values())).toEqual(new Set(['']));
    expect((await contentsOf(source.server, copy)).tables).toEqual(
      (await contentsOf(source.server, 'spread')).tables,
    );
  });

  it.each(['login', 'role'] as const)(
    'lie where they lay when the one who makes them may use the place: the %s',
    async (who) => {
      const name = `may_use_${who}`;
      await source.query(
        'postgres',
        `CREATE ROLE ${name} LOGIN PASSWORD 'may-use-password';
         GRANT CREATE ON TABLESPACE ${q(FAST)}, ${LARGE} TO ${name}`,
      );
      const archive = await dumpOf(source.server, 'spread');
      const copy = await emptyDatabase(source, `OWNER ${name}`);
      const restored = await restoreInto(source.server, copy, archive, {
        ...(who === 'login'
          ? { login: { user: name, password: 'may-use-password' }, roles: { noOwner: true } }
          : { roles: { role: name } }),
      });
      expect(restored.warnings).toEqual([]);
      expect(await placesOf(source, copy)).toEqual(await placesOf(source, 'spread'));
    },
  );

  it("need no tablespace of a name when that is the target database's own", async () => {
    const archive = await dumpOf(source.server, 'spread');
    const copy = await emptyDatabase(source, `TABLESPACE ${q(FAST)}`);

    // The server refuses to name the default place for a partitioned table.
    const restored = await restoreInto(source.server, copy, archive);

    expect([restored.warnings, restored.tolerated]).toEqual([[], []]);
    const places = await placesOf(source, copy);
    expect([places.get('events'), places.get('orders'), places.get('events_at')]).toEqual([
      '',
      '',
      LARGE,
    ]);
    expect((await contentsOf(source.server, copy)).tables).toEqual(
      (await contentsOf(source.server, 'spread')).tables,
    );
  });
});

describe('a database in a tablespace', () => {
  const restoreId = '20261121T030000Z-k3v9qd';
  beforeAll(async () => {
    await source.query('postgres', `CREATE DATABASE moved TABLESPACE ${LARGE}`);
    await source.query(
      'moved',
      `CREATE TABLE here (id int PRIMARY KEY);
       INSERT INTO here VALUES (1);
       CREATE TABLE named (id int) TABLESPACE pg_default;
       CREATE TABLE parts (id int) PARTITION BY RANGE (id) TABLESPACE pg_default;
       CREATE TABLE part PARTITION OF parts DEFAULT`,
    );
  });

  async function restoreWhole(postgres: SharedPostgres) {
    const { server } = postgres;
    const archive = await dumpOf(source.server, 'moved', { args: ['--create'] });
    const access = await accessTo(archive);
    const prepared = await prepareTarget(
      {
        databases: makeDatabases({
          region: 'eu-west-1',
          caFile: '',
          secrets: {
            credentials: async () => ({ username: server.user, password: server.password }),
          },
        }),
      },
      {
        connection: connectionTo(server),
        restoreId,
        mode: 'new',
        database: 'moved_back',
        head: access.head,
        toc: access.toc,
        ids: new Set(access.toc.entries.map(({ dumpId }) => dumpId)),
        selection: { without: [] },
        roles: { noOwner: false },
      },
    );
    return { prepared, restored: await restoreInto(server, 'moved_back', access) };
  }

  it('comes back in that one where the target has it', async () => {
    const { prepared, restored } = await restoreWhole(source);

    expect([prepared.warnings, restored.warnings, restored.tolerated]).toEqual([[], [], []]);
    expect(await ownPlaceOf(source, 'moved_back')).toBe(LARGE);
    expect(await placesOf(source, 'moved_back')).toEqual(await placesOf(source, 'moved'));
    expect(await contentsOf(source.server, 'moved_back')).toEqual(
      await contentsOf(source.server, 'moved'),
    );
  });

  it("comes back in the server's own where it does not, and that is said", async () => {
    const { prepared, restored } = await restoreWhole(bare);

    expect(prepared.warnings).toEqual([
      'the target has no tablespace large for us: the default one is used',
    ]);
    expect([restored.warnings, restored.tolerated]).toEqual([[], []]);
    expect(await ownPlaceOf(bare, 'moved_back')).toBe('pg_default');
    expect(await withoutPlaces(bare.server, 'moved_back')).toEqual(
      await withoutPlaces(source.server, 'moved'),
    );
  });
});
