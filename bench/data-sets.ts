import pg from 'pg';
import type { PostgresServer } from '#local/postgres-server.ts';
import { fillSampleDatabase } from '#local/sample-database/fill-sample-database.ts';

/**
 * - `sample`: the shop of `npm start`. Many tables and types; the archive has a seventh of the size, so
 *   the server's work weighs most.
 * - `keys`: one table of digests, identifiers and numbers. The archive has half of the size, as random
 *   bytes cannot be compressed, so compression and upload weigh most.
 */
export const DATA_SETS = ['sample', 'keys'] as const;
export type DataSet = (typeof DATA_SETS)[number];

export interface FilledDatabase {
  readonly database: string;
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
const KEYS_ROWS_PER_GIGABYTE = 9_100_000;
/** Of the shop, where it is only wanted for its roles. */
const SMALLEST_SCALE = 0.1;

const CREATE_KEYS = `CREATE TABLE readings (id bigint, taken timestamptz, device uuid, digest text, value float8)`;
const FILL_KEYS = `
  INSERT INTO readings
  SELECT n, timestamptz '2025-01-01 00:00+00' + n * interval '1.5 seconds', md5('device ' || n)::uuid,
    md5(n::text), sqrt(n)
  FROM generate_series(1, $1::int) n`;

/** Makes the data in a new server and leaves it with nothing to do but what it is asked. */
export async function fillDatabase(
  server: PostgresServer,
  data: DataSet,
  sizeGigabytes: number,
): Promise<FilledDatabase> {
  const isSample = data === 'sample';
  const scale = isSample ? sizeGigabytes * SAMPLE_SCALE_PER_GIGABYTE : 0;
  const { backup } = await fillSampleDatabase({
    connection: server,
    scale: Math.max(scale, SMALLEST_SCALE),
  });
  const database = isSample ? 'shop' : data;
  if (!isSample) {
    await using admin = await connect(server, 'postgres');
    await admin.client.query(`CREATE DATABASE ${admin.client.escapeIdentifier(database)}`);
  }
  await using filling = await connect(server, database);
  const { client } = filling;
  if (!isSample) {
    await client.query(CREATE_KEYS);
    await client.query(FILL_KEYS, [Math.ceil(sizeGigabytes * KEYS_ROWS_PER_GIGABYTE)]);
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
