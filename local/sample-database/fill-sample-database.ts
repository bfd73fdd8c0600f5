import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { backupRole, sampleRoles } from './sample-roles.ts';
import { tableContents } from './table-contents.ts';

export interface SampleOptions {
  /** Of a superuser. A `PostgresServer` fits. */
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
  };
  /**
   * Multiplies the rows of the big tables of `shop`. At 1, the default, there are 321,998 rows or 47 MB
   * as text; each further unit adds 31 MB, so 32 makes 1 GB.
   */
  readonly scale?: number;
  /** Of the role to make backups with; default: random. */
  readonly backupPassword?: string;
}

export interface SampleSummary {
  /** Rows of each table that stores rows (so partitions, not their parents), by `schema.table`. */
  readonly databases: Readonly<Record<SampleDatabase, Readonly<Record<string, number>>>>;
  /** The least privileged role that can dump everything. */
  readonly backup: { readonly user: string; readonly password: string };
}

export const sampleDatabases = ['shop', 'audit'] as const;
export type SampleDatabase = (typeof sampleDatabases)[number];

/**
 * Makes the roles and the databases `shop` and `audit`, with the same rows in every run.
 * The server must have none of them yet.
 */
export async function fillSampleDatabase(options: SampleOptions): Promise<SampleSummary> {
  const { connection, scale = 1, backupPassword = randomPassword() } = options;
  await withClient({ ...connection, database: 'postgres' }, async (client) => {
    for (const role of sampleRoles) {
      const password = role.name === backupRole ? backupPassword : randomPassword();
      await client.query(
        `CREATE ROLE ${client.escapeIdentifier(role.name)} ${role.attributes}` +
          (role.login ? ` LOGIN PASSWORD ${client.escapeLiteral(password)}` : ''),
      );
    }
    await client.query('GRANT "Sales Team" TO web_app');
    await client.query(`COMMENT ON ROLE "Sales Team" IS 'a group, with a "space"'`);
    for (const database of sampleDatabases) {
      await client.query(`CREATE DATABASE ${database} OWNER shop_owner`);
    }
  });

  const shop = await withClient({ ...connection, database: 'shop' }, async (client) => {
    await client.query("SELECT set_config('sample.scale', $1, false)", [String(scale)]);
    const folder = new URL('shop/', import.meta.url);
    for (const file of (await readdir(folder)).sort()) {
      await client.query(`SET ROLE ${file === '5-access.sql' ? 'NONE' : 'shop_owner'}`);
      await client.query(await readFile(new URL(file, folder), 'utf8'));
    }
    await client.query('RESET ROLE; ANALYZE');
    return rowCounts(client);
  });
  const audit = await withClient({ ...connection, database: 'audit' }, async (client) => {
    await client.query('SET ROLE shop_owner');
    await client.query(await readFile(new URL('audit.sql', import.meta.url), 'utf8'));
    await client.query('RESET ROLE; ANALYZE');
    return rowCounts(client);
  });
  return { databases: { shop, audit }, backup: { user: backupRole, password: backupPassword } };
}

async function rowCounts(client: pg.Client): Promise<Record<string, number>> {
  const contents = await tableContents(client);
  return Object.fromEntries(contents.map(({ table, rows }) => [table, rows]));
}

async function withClient<T>(
  config: pg.ClientConfig,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ ...config, connectionTimeoutMillis: 10_000 });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

function randomPassword(): string {
  return randomBytes(18).toString('base64url');
}
