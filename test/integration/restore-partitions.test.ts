import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import type { BeforeRestore } from '#domain/restore/target-mark.ts';
import { tableContents } from '#local/sample-database/table-contents.ts';
import { checkRestored } from '#operations/restore/check-restored.ts';
import {
  recordBefore,
  emptyDatabase as takeEverythingOut,
} from '#operations/restore/empty-database.ts';
import {
  newestDumpableMajor,
  type SharedPostgres,
  usePostgres,
  withClient,
} from '#test/postgres.ts';
import {
  accessTo,
  connectionTo,
  contentsOf,
  dumpOf,
  emptyDatabase,
  restoreDeps,
  restoreInto,
  unanalyzed,
} from '#test/restored-copy.ts';

const major = await newestDumpableMajor();

const rowsIn = ({ server }: SharedPostgres, database: string) =>
  withClient(server, database, tableContents);

/**
 * A table of years and days: `years` x `days` partitions with three rows in each, and an index.
 * In two levels, as the time that PostgreSQL takes to attach a partition grows with those beside it.
 */
async function makeEvents(
  postgres: SharedPostgres,
  database: string,
  { years, days, columns }: { years: number; days: number; columns: string },
): Promise<void> {
  await postgres.query('postgres', `CREATE DATABASE ${database}`);
  await withClient(postgres.server, database, async (client) => {
    await client.query(`
      CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL);
      INSERT INTO customers SELECT n, 'customer ' || n FROM generate_series(0, 99) AS n;
      CREATE TABLE events (${columns}, note text)
        PARTITION BY RANGE (id);
      CREATE INDEX events_of_customer ON events (customer_id);
      CREATE TABLE visits (customer_id int REFERENCES customers);
      INSERT INTO visits VALUES (1), (2)`);
    for (let year = 0; year < years; year += 1) {
      const first = year * days * 3;
      await client.query(`CREATE TABLE events_${year} PARTITION OF events
        FOR VALUES FROM (${first}) TO (${first + days * 3}) PARTITION BY RANGE (id)`);
      // Of all in one transaction, the locks would be too many.
      await client.query(`DO $$ BEGIN FOR day IN 0..${days - 1} LOOP
          EXECUTE format('CREATE TABLE events_${year}_%s PARTITION OF events_${year} FOR VALUES FROM (%s) TO (%s)',
            day, ${first} + day * 3, ${first} + day * 3 + 3);
          IF day % 50 = 0 THEN COMMIT; END IF;
        END LOOP; END $$`);
      await client.query(`INSERT INTO events_${year} SELECT n, n % 100, 'event ' || n
        FROM generate_series(${first}, ${first + days * 3 - 1}) AS n`);
    }
  });
}

describe('a table of 5,000 partitions', () => {
  const postgres = usePostgres({ major });

  beforeAll(() =>
    makeEvents(postgres, 'parted', {
      years: 20,
      days: 250,
      columns: 'id int NOT NULL, customer_id int NOT NULL REFERENCES customers',
    }),
  );

  it('is the same afterwards, is checked, and is taken out again', async () => {
    const access = await accessTo(await dumpOf(postgres.server, 'parted'));
    const copy = await emptyDatabase(postgres);
    const deps = await restoreDeps(postgres.server);
    const connection = connectionTo(postgres.server);
    const session = await deps.databases.connect(connection, copy, { unlimited: true });
    const before = await recordBefore(session, null);

    const restored = await restoreInto(postgres.server, copy, access, { jobs: 2 });

    expect([restored.tolerated, restored.warnings]).toEqual([[], []]);
    expect(restored.checksum).toBe('matched');
    const contents = await contentsOf(postgres.server, copy);
    expect(contents.tables).toHaveLength(5002);
    expect(contents.schema.match(/ATTACH PARTITION/g)).toHaveLength(5020 + 5020);
    expect(contents).toEqual(await contentsOf(postgres.server, 'parted'));
    expect(await unanalyzed(postgres.server, copy)).toEqual([]);

    const ids = new Set(access.toc.entries.map(({ dumpId }) => dumpId));
    const { checks, warnings } = await checkRestored(deps, {
      connection,
      database: copy,
      expected: archiveExpectations(access.head, access.toc, ids),
      expectedRows: contents.tables.map(({ table, rows }) => {
        const [schema = '', name = ''] = table.split('.');
        return { schema, table: name, rows };
      }),
      dataOnly: false,
      jobs: 2,
      signal: new AbortController().signal,
    });
    expect([checks.problems, warnings, checks.rows.length]).toEqual([[], [], 5002]);

    expect(await takeEverythingOut(session, before)).toEqual([]);
    await session.close();
    expect((await contentsOf(postgres.server, copy)).tables).toEqual([]);
  });
});

describe('a table with more partitions than the server can lock', () => {
  const source = usePostgres({ major });
  const narrow = usePostgres({
    major,
    settings: {
      max_locks_per_transaction: '10',
      max_connections: '12',
      max_wal_senders: '0',
      max_worker_processes: '1',
      autovacuum: 'off',
    },
  });
  const YEARS = 3;
  const DAYS = 200;

  beforeAll(() =>
    makeEvents(source, 'parted', {
      years: YEARS,
      days: DAYS,
      columns: 'id int PRIMARY KEY, customer_id int NOT NULL',
    }),
  );
  const connect = async (database: string) => {
    const { databases } = await restoreDeps(narrow.server);
    return databases.connect(connectionTo(narrow.server), database, { unlimited: true });
  };

  it('is the same afterwards; statistics are those of its partitions', async () => {
    const copy = await emptyDatabase(narrow);

    const restored = await restoreInto(narrow.server, copy, await dumpOf(source.server, 'parted'), {
      jobs: 1,
    });

    expect(restored.warnings).toEqual([
      '"public"."events" could not be analyzed: out of shared memory; its partitions are, each by itself',
    ]);
    expect(await unanalyzed(narrow.server, copy)).toEqual(['events']);
    // Looked at, but not by pg_dump, which locks them all too.
    const tables = await rowsIn(narrow, copy);
    expect(tables).toHaveLength(YEARS * DAYS + 2);
    expect(tables).toEqual(await rowsIn(source, 'parted'));
    const [row] = await narrow.query<{ partitions: number; indexes: number }>(
      copy,
      `SELECT count(*) FILTER (WHERE relkind = 'r')::int AS partitions,
              count(*) FILTER (WHERE relkind = 'i')::int AS indexes
         FROM pg_class WHERE relispartition`,
    );
    expect(row).toEqual({ partitions: YEARS * DAYS, indexes: YEARS * DAYS * 2 });
  });

  it('is emptied again, whether its rows alone were restored or all of it', async () => {
    const copy = await emptyDatabase(narrow);
    const archive = await dumpOf(source.server, 'parted');
    const access = await accessTo(archive);
    const session = await connect(copy);
    const before = await recordBefore(session, null);
    await restoreInto(narrow.server, copy, access);
    const ids = new Set(access.toc.entries.map(({ dumpId }) => dumpId));
    const loaded: NonNullable<BeforeRestore['loaded']> = {
      tables: archiveExpectations(access.head, access.toc, ids).tables.map(
        ({ schema, table }): [string, string] => [schema, table],
      ),
      largeObjects: false,
    };
    const rows = async () => (await rowsIn(narrow, copy)).reduce((sum, it) => sum + it.rows, 0);
    expect(await rows()).toBe(YEARS * DAYS * 3 + 100 + 2);

    expect(await takeEverythingOut(session, { ...before, loaded })).toEqual([]);
    expect(await rows()).toBe(0);

    expect(await takeEverythingOut(session, before)).toEqual([]);
    await session.close();
    expect(await rowsIn(narrow, copy)).toEqual([]);
  });

  it('does not end the restore of others that find all locks taken for a moment', async () => {
    await source.query('postgres', 'CREATE DATABASE plain');
    const tables = Array.from({ length: 60 }, (_, n) => `t${n}`);
    await source.query(
      'plain',
      `${tables.map((table) => `CREATE TABLE ${table} (id int)`).join('; ')};
       CREATE VIEW all_of_them AS SELECT t0.id FROM ${tables.join(', ')}`,
    );
    const archive = await dumpOf(source.server, 'plain');
    const copy = await emptyDatabase(narrow);

    const restored = await withClient(narrow.server, 'postgres', async (client) => {
      // Those of a session outlive its failed statement.
      const takeAll = client.query(
        'SELECT pg_advisory_lock(n) FROM generate_series(1, 100000) AS n',
      );
      await expect(takeAll).rejects.toThrow('out of shared memory');
      // What it takes to connect.
      await client.query('SELECT pg_advisory_unlock(n) FROM generate_series(1, 8) AS n');
      const restoring = restoreInto(narrow.server, copy, archive);
      restoring.catch(() => undefined);
      await sleep(600);
      await client.query('SELECT pg_advisory_unlock_all()');
      return restoring;
    });

    expect([restored.warnings, restored.tolerated]).toEqual([[], []]);
    expect(await rowsIn(narrow, copy)).toHaveLength(tables.length);
  });

  it('can have no foreign key, and what the server needs for one is said', async () => {
    await source.query(
      'parted',
      'ALTER TABLE events ADD CONSTRAINT of_customer FOREIGN KEY (customer_id) REFERENCES customers',
    );
    const archive = await dumpOf(source.server, 'parted');
    const copy = await emptyDatabase(narrow);

    await expect(restoreInto(narrow.server, copy, archive, { jobs: 1 })).rejects.toThrow(
      /FK CONSTRAINT public\.events of_customer failed: out of shared memory \(SQLSTATE 53200\).*max_locks_per_transaction/,
    );
  });
});
