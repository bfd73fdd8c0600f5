import { beforeAll, describe, expect, it } from 'vitest';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { withClient } from '#test/postgres.ts';
import { usePipeline } from '#test/stack.ts';

/** As large as one gate bears; each is a few times what one share, or one of pg_dump's groups, takes. */
const TABLES = 2_000;
const LARGE_OBJECTS = 20_000;
/** A transaction may not hold more locks than the server has room for. */
const TABLES_AT_A_TIME = 500;
const LARGE_OBJECTS_AT_A_TIME = 4_000;

const pipeline = usePipeline({ plan: { databases: ['many'] } });

const query = (database: string, sql: string) =>
  withClient(pipeline().server, database, async (client) => (await client.query(sql)).rows);

async function makeMany(): Promise<void> {
  const reader = quoteIdentifier(pipeline().sample.backup.user);
  await query('postgres', 'CREATE DATABASE many TEMPLATE template0');
  for (let from = 1; from <= TABLES; from += TABLES_AT_A_TIME) {
    await query(
      'many',
      `DO $$ BEGIN FOR n IN ${from}..${from + TABLES_AT_A_TIME - 1} LOOP
         EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY)', n);
         EXECUTE format('INSERT INTO t%s VALUES (%s)', n, n);
       END LOOP; END $$`,
    );
  }
  for (let from = 1; from <= LARGE_OBJECTS; from += LARGE_OBJECTS_AT_A_TIME) {
    await query(
      'many',
      `DO $$ BEGIN FOR n IN ${from}..${from + LARGE_OBJECTS_AT_A_TIME - 1} LOOP
         PERFORM lo_from_bytea(100000 + n, n::text::bytea);
         EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO ${reader}', 100000 + n);
       END LOOP; END $$`,
    );
  }
}

/** Every row and every large object, with its grants. */
const fingerprint = (database: string) =>
  query(
    database,
    `SELECT (SELECT count(*)::int FROM pg_index JOIN pg_class AS i ON i.oid = indexrelid WHERE i.relname ~ '^t\\d+_pkey$') AS keys,
            (SELECT md5(string_agg(relname || (xpath('//id/text()', query_to_xml('SELECT id FROM ' || relname, true, false, '')))[1]::text, ',' ORDER BY relname))
               FROM pg_class WHERE relkind = 'r' AND relname ~ '^t\\d+$') AS rows,
            (SELECT count(*)::int FROM pg_largeobject_metadata) AS objects,
            (SELECT md5(string_agg(m.oid::text || encode(data, 'hex') || lomacl::text, ',' ORDER BY m.oid))
               FROM pg_largeobject_metadata AS m JOIN pg_largeobject AS l ON l.loid = m.oid) AS contents`,
  );

describe(`a database of ${TABLES} tables and ${LARGE_OBJECTS} large objects`, () => {
  beforeAll(makeMany, 240_000);

  it('goes into a backup and comes back, object by object', async () => {
    const { execution, summary } = await pipeline().run();
    expect(execution).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    expect(summary?.databases).toMatchObject([{ status: 'verified', tables: TABLES }]);

    const { record } = await pipeline().restore({ database: 'many' });

    expect(record).toMatchObject({ status: 'SUCCEEDED', error: null });
    const report = record?.report;
    expect(report?.checks).toMatchObject({
      problems: [],
      largeObjects: { expected: LARGE_OBJECTS, actual: LARGE_OBJECTS },
    });
    expect(report?.checks.rows).toHaveLength(TABLES);
    const restored = await fingerprint(report?.database ?? '');
    expect(restored).toMatchObject([{ keys: TABLES, objects: LARGE_OBJECTS }]);
    expect(restored).toEqual(await fingerprint('many'));
  });
});
