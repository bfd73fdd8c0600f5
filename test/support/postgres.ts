import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { buffer, text } from 'node:stream/consumers';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import {
  type PostgresMajor,
  type PostgresOptions,
  type PostgresServer,
  postgresMajors,
  startPostgres,
} from '#local/postgres-server.ts';
import { type clientPrograms, ensurePostgresClients } from '../../scripts/postgres-clients.ts';

export interface SharedPostgres {
  /** Usable in tests and hooks, not while the file is being collected. */
  readonly server: PostgresServer;
  query<Row extends pg.QueryResultRow>(
    database: string,
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
}

/** One server for the tests of a file: started before the first, stopped and deleted after the last. */
export function usePostgres(options: PostgresOptions = {}): SharedPostgres {
  let server: PostgresServer | undefined;
  beforeAll(async () => {
    server = await startPostgres(options);
  });
  afterAll(() => server?.stop('immediate'));
  const started = () => {
    if (server === undefined) throw new Error('the server is not started yet');
    return server;
  };
  return {
    get server() {
      return started();
    },
    query: (database, sql, values) =>
      withClient(started(), database, async (client) => {
        const { rows } = await client.query(sql, values ? [...values] : undefined);
        return rows;
      }),
  };
}

/** Connects as the superuser and disconnects again, whatever happens. */
export async function withClient<T>(
  server: PostgresServer,
  database: string,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({
    host: server.host,
    port: server.port,
    user: server.user,
    password: server.password,
    database,
    connectionTimeoutMillis: 60_000,
  });
  // A server that is killed says so through the running query as well.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

export interface ClientRun {
  readonly exitCode: number | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs pg_dump and its kin of a major against a server; `user` by default is the superuser. */
export async function runClient(
  program: (typeof clientPrograms)[number],
  args: readonly string[],
  on: {
    readonly server: PostgresServer;
    readonly user?: string;
    readonly password?: string;
    readonly input?: Buffer;
  },
): Promise<ClientRun> {
  const { directory } = await ensurePostgresClients();
  const major = await newestClientMajor();
  const child = spawn(join(directory, String(major), 'bin', program), args, {
    timeout: 120_000,
    env: {
      PGHOST: on.server.host,
      PGPORT: String(on.server.port),
      PGUSER: on.user ?? on.server.user,
      PGPASSWORD: on.password ?? on.server.password,
      PGCONNECT_TIMEOUT: '60',
    },
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(on.input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  return { exitCode, stdout, stderr };
}

/** The newest server that the clients of this machine can dump: 18 where clients can be built. */
export async function newestDumpableMajor(): Promise<PostgresMajor> {
  const newest = await newestClientMajor();
  const major = postgresMajors.findLast((candidate) => candidate <= newest);
  if (major === undefined) throw new Error(`pg_dump ${newest} can dump no server we can start`);
  return major;
}

async function newestClientMajor(): Promise<number> {
  const { majors } = await ensurePostgresClients();
  const newest = majors.at(-1);
  if (newest === undefined) {
    throw new Error('there is no pg_dump to test with; run `npm run clients` to see why');
  }
  return newest;
}
