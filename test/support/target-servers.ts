import { afterAll, beforeAll } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import { Connection } from '#contracts/source-plan.ts';
import { type Toc, TocParser } from '#domain/archive/toc.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import {
  type PostgresMajor,
  type PostgresServer,
  postgresMajors,
  startPostgres,
} from '#local/postgres-server.ts';
import type { Databases, Session } from '#runtime/ports.ts';
import { runClient, withClient } from './postgres.ts';

export const ID = '20261121T030000Z-k3v9qd';
/** 63 bytes, the longest there can be, with all that needs care. */
export const HOSTILE = `a"b'c;d -- ü\\%=e${'x'.repeat(46)}`;
export const ROLE = `o'w"n er\\ü`;
/** May create databases and roles, and is no superuser: as the master user of RDS. */
export const RESTORER = 'Rest"orer';
export const PASSWORD = 'restorer-password';
const q = quoteIdentifier;

const servers = new Map<PostgresMajor, PostgresServer>();

/** Servers of every major for the tests of a file, with the roles above. */
export function useTargetServers(): void {
  beforeAll(async () => {
    for (const major of postgresMajors) {
      const server = await startPostgres({ major, settings: { wal_level: 'logical' } });
      servers.set(major, server);
      await sql(
        server,
        'postgres',
        `CREATE ROLE ${q(RESTORER)} LOGIN CREATEDB CREATEROLE PASSWORD '${PASSWORD}';
         CREATE ROLE ${q(ROLE)}; CREATE ROLE other_role`,
      );
    }
  });
  afterAll(() => Promise.all([...servers.values()].map((server) => server.stop('immediate'))));
}

export function serverOf(major: PostgresMajor): PostgresServer {
  const server = servers.get(major);
  if (!server) throw new Error(`PostgreSQL ${major} is not started`);
  return server;
}

export async function sql<Row extends Record<string, unknown>>(
  server: PostgresServer,
  database: string,
  text: string,
  values?: unknown[],
): Promise<Row[]> {
  return withClient(server, database, async (client) => {
    return (await client.query<Row>(text, values)).rows;
  });
}

export interface Target {
  readonly server: PostgresServer;
  readonly connection: Connection;
  readonly databases: Databases;
}

/** The ports as a task has them; `user` by default is the superuser. */
export function targetOn(major: PostgresMajor, user = 'postgres'): Target {
  const server = serverOf(major);
  const password = user === 'postgres' ? server.password : PASSWORD;
  const databases = makeDatabases({
    region: 'eu-west-1',
    caFile: '',
    secrets: { credentials: async () => ({ username: user, password }) },
  });
  const connection = Connection.parse({
    host: server.host,
    port: server.port,
    auth: { type: 'secret', secretId: 'db' },
    tls: { mode: 'disable' },
  });
  return { server, connection, databases };
}

export interface Dump {
  readonly archive: Buffer;
  readonly head: Buffer;
  readonly toc: Toc;
  readonly ids: ReadonlySet<number>;
}

export async function dump(server: PostgresServer, database: string): Promise<Dump> {
  const run = await runClient('pg_dump', ['--format=custom', `--dbname=${conninfo(database)}`], {
    server,
  });
  if (run.exitCode !== 0) throw new Error(run.stderr);
  return dumpOf(run.stdout);
}

export function dumpOf(archive: Buffer): Dump {
  const toc = new TocParser(Number.MAX_SAFE_INTEGER).parse(archive);
  if (!toc) throw new Error('no table of contents');
  return {
    archive,
    head: archive.subarray(0, toc.headLengthBytes),
    toc,
    ids: new Set(toc.entries.map(({ dumpId }) => dumpId)),
  };
}

/** pg_restore as the engine's stand-in: into a database that is there. */
export async function load(
  { server }: Target,
  database: string,
  { archive }: Dump,
  user: string,
  args: string[] = [],
): Promise<string> {
  const password = user === 'postgres' ? server.password : PASSWORD;
  const run = await runClient('pg_restore', [...args, `--dbname=${conninfo(database)}`], {
    server,
    user,
    password,
    input: archive,
  });
  return run.stderr;
}

function conninfo(database: string): string {
  return `dbname='${database.replaceAll(/['\\]/g, '\\$&')}'`;
}

export async function schemaOf(server: PostgresServer, database: string): Promise<string> {
  const run = await runClient('pg_dump', ['--schema-only', `--dbname=${conninfo(database)}`], {
    server,
  });
  if (run.exitCode !== 0) throw new Error(run.stderr);
  // pg_dump puts a random word into \restrict and \unrestrict.
  return run.stdout.toString().replaceAll(/^\\(un)?restrict .*$/gm, '');
}

export async function commentOf(server: PostgresServer, database: string): Promise<unknown> {
  const [row] = await sql(
    server,
    'postgres',
    `SELECT shobj_description(oid, 'pg_database') AS comment FROM pg_database WHERE datname = $1`,
    [database],
  );
  return row ? row['comment'] : 'no such database';
}

export async function dropDatabases(server: PostgresServer): Promise<void> {
  const rows = await sql<{ datname: string }>(
    server,
    'postgres',
    `SELECT datname FROM pg_database WHERE oid >= 16384`,
  );
  for (const { datname } of rows) {
    await sql(server, 'postgres', `ALTER DATABASE ${q(datname)} IS_TEMPLATE false`);
    await sql(server, 'postgres', `DROP DATABASE ${q(datname)} WITH (FORCE)`);
  }
}

export async function errorOf(
  promise: Promise<unknown>,
): Promise<{ name: string; message: string }> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return { name: error.name, message: error.message };
  }
  throw new Error('it did not fail');
}

export async function withSessionOn<T>(
  { databases, connection }: Target,
  use: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await databases.connect(connection, 'postgres');
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}
