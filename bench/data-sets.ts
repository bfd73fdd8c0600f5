import pg from 'pg';
import type { PostgresServer } from '#local/postgres-server.ts';
import { fillSampleDatabase } from '#local/sample-database/fill-sample-database.ts';

/**
 * - `orders`: one big table as most are: keys, times, amounts, a state, an address, a line of text. The
 *   archive has a quarter of the size.
 * - `sample`: the shop of `npm start`. Many tables and types, indexes and constraints; the archive has a
 *   seventh of the size, so the server's work weighs most.
 * - `keys`: one big table of digests, identifiers and numbers. The archive has half of the size, as random
 *   bytes cannot be compressed, so compression and upload weigh most.
 */
export const DATA_SETS = ['orders', 'sample', 'keys'] as const;
export type DataSet = (typeof DATA_SETS)[number];

export interface SmallTable {
  readonly schema: string;
  readonly table: string;
}

export interface FilledDatabase {
  readonly database: string;
  /** It needs nothing but its schema to be restored alone. */
  readonly smallTable: SmallTable;
  /** The role to make backups with. */
  readonly backup: { readonly user: string; readonly password: string };
  readonly serverVersion: string;
  /** `server_version_num` */
  readonly serverVersionNumber: number;
  readonly databaseBytes: number;
  /** Of tables with their TOAST, without indexes. */
  readonly tableBytes: number;
}

/** Measured with PostgreSQL 18. */
const SAMPLE_SCALE_PER_GIGABYTE = 27;
const ROWS_PER_GIGABYTE = { orders: 7_300_000, keys: 9_100_000 };
/** Of the shop, where it is only wanted for its roles. */
const SMALLEST_SCALE = 0.1;

/** Of a thousand rows, beside the one table of `orders` and of `keys`. */
const SMALL_TABLE = {
  schema: 'public',
  table: 'shops',
  create: `CREATE TABLE shops (id int PRIMARY KEY, name text)`,
  fill: `INSERT INTO shops SELECT n, 'shop ' || md5(n::text) FROM generate_series(1, 1000) n`,
};
const SMALL_TABLE_OF_SAMPLE: SmallTable = { schema: 'catalogue', table: 'product_changes' };

/** Each table, and how its first `$1` rows are made; the same rows every time. */
const TABLES = {
  keys: {
    create: `CREATE TABLE readings
      (id bigint, taken timestamptz, device uuid, digest text, value float8)`,
    fill: `INSERT INTO readings
      SELECT n, timestamptz '2025-01-01 00:00+00' + n * interval '1.5 seconds',
        md5('device ' || n)::uuid, md5(n::text), sqrt(n)
      FROM generate_series(1, $1::int) n`,
  },
  orders: {
    create: `CREATE TABLE orders (id bigint, customer_id bigint, placed_at timestamptz,
      amount numeric(12, 2), currency char(3), state text, email text, note text)`,
    fill: `INSERT INTO orders
      SELECT n, hash % 500000, timestamptz '2020-01-01 00:00+00' + n * interval '17 seconds',
        (hash % 1000000) / 100.0, (ARRAY['EUR', 'USD', 'GBP', 'CHF'])[1 + hash % 4],
        (ARRAY['placed', 'paid', 'packed', 'shipped', 'returned'])[1 + hash % 5],
        'customer' || hash % 500000 || '@' ||
          (ARRAY['example.com', 'example.org', 'example.net'])[1 + hash % 3],
        concat_ws(' ', words[1 + hash % 16], words[1 + hash / 16 % 16], words[1 + hash / 256 % 16],
          words[1 + hash / 4096 % 16], 'item', hash % 9973, words[1 + hash / 65536 % 16])
      FROM (SELECT string_to_array('please leave with the neighbour or call before you come ' ||
        'fragile glass do not stack', ' ') AS words) w,
        (SELECT n, abs(hashint8(n)::bigint) AS hash FROM generate_series(1, $1::int) n) h`,
  },
};

/** Makes the data in a new server and leaves it with nothing to do but what it is asked. */
export async function fillDatabase(
  server: PostgresServer,
  data: DataSet,
  sizeGigabytes: number,
): Promise<FilledDatabase> {
  const scale = data === 'sample' ? sizeGigabytes * SAMPLE_SCALE_PER_GIGABYTE : 0;
  const { backup } = await fillSampleDatabase({
    connection: server,
    scale: Math.max(scale, SMALLEST_SCALE),
  });
  const database = data === 'sample' ? 'shop' : data;
  if (data !== 'sample') {
    await using admin = await connect(server, 'postgres');
    await admin.client.query(`CREATE DATABASE ${admin.client.escapeIdentifier(database)}`);
  }
  await using filling = await connect(server, database);
  const { client } = filling;
  if (data !== 'sample') {
    await client.query(TABLES[data].create);
    await client.query(TABLES[data].fill, [Math.ceil(sizeGigabytes * ROWS_PER_GIGABYTE[data])]);
    await client.query(SMALL_TABLE.create);
    await client.query(SMALL_TABLE.fill);
  }
  await client.query('VACUUM (FREEZE, ANALYZE)');
  await client.query('CHECKPOINT');
  const { rows } = await client.query<Record<string, string>>(
    `SELECT current_setting('server_version') AS version,
       current_setting('server_version_num') AS version_number,
       pg_database_size(current_database()) AS database_bytes,
       (SELECT sum(pg_table_size(c.oid)) FROM pg_class c
          JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)') AS table_bytes`,
  );
  const [facts = {}] = rows;
  return {
    database,
    smallTable: data === 'sample' ? SMALL_TABLE_OF_SAMPLE : SMALL_TABLE,
    backup,
    serverVersion: facts['version'] ?? '',
    serverVersionNumber: Number(facts['version_number']),
    databaseBytes: Number(facts['database_bytes']),
    tableBytes: Number(facts['table_bytes']),
  };
}

async function connect(server: PostgresServer, database: string) {
  const client = new pg.Client({ connectionString: server.url(database) });
  await client.connect();
  return { client, [Symbol.asyncDispose]: () => client.end() };
}
