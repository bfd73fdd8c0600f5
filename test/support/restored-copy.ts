import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { makeClients } from '#adapters/clients.ts';
import { systemClock } from '#adapters/clock.ts';
import { makeDatabases } from '#adapters/databases.ts';
import type { RoleHandling } from '#contracts/restore.ts';
import { Connection } from '#contracts/source-plan.ts';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { ObjectMissing } from '#errors';
import type { PostgresServer } from '#local/postgres-server.ts';
import { tableContents } from '#local/sample-database/table-contents.ts';
import { type ArchiveAccess, openArchive } from '#operations/restore/open-archive.ts';
import {
  type RestoreArchiveOptions,
  type RestoredArchive,
  restoreArchive,
} from '#operations/restore/restore-archive.ts';
import type { Databases, Objects } from '#runtime/ports.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';
import { makeMemoryObjects } from './fakes.ts';
import { type SharedPostgres, withClient } from './postgres.ts';

export interface Login {
  readonly user: string;
  readonly password: string;
}

/** The real adapters for one server and one login. */
export async function restoreDeps(server: PostgresServer, login: Login = server) {
  const { directory } = await ensurePostgresClients({ log: () => {} });
  const databases = makeDatabases({
    region: 'eu-west-1',
    caFile: '',
    secrets: {
      credentials: async () => ({ username: login.user, password: login.password }),
    },
  });
  return { databases, clients: makeClients(directory), clock: systemClock };
}

export function connectionTo({ host, port }: PostgresServer): Connection {
  return Connection.parse({
    host,
    port,
    auth: { type: 'secret', secretId: 'target' },
    tls: { mode: 'disable' },
  });
}

/** What a client program of a major prints; throws with its messages unless it ends with 0. */
export async function runProgram(
  program: 'pg_dump' | 'pg_restore',
  args: readonly string[],
  options: {
    readonly server?: PostgresServer;
    readonly major?: number | undefined;
    readonly input?: Buffer;
  } = {},
): Promise<Buffer> {
  const { directory, majors } = await ensurePostgresClients({ log: () => {} });
  const { server, major = majors.at(-1), input } = options;
  const child = spawn(join(directory, String(major), 'bin', program), args, {
    timeout: 120_000,
    env: {
      LC_ALL: 'C',
      PGHOST: server?.host,
      PGPORT: String(server?.port),
      PGUSER: server?.user,
      PGPASSWORD: server?.password,
      PGCONNECT_TIMEOUT: '60',
    },
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [stdout, stderr, [exitCode]] = await Promise.all([
    buffer(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  if (exitCode !== 0) throw new Error(`${program} ended with ${exitCode}: ${stderr}`);
  return stdout;
}

/** An archive as somebody made it with pg_dump alone, whose output was piped: it records no offsets. */
export function dumpOf(
  server: PostgresServer,
  database: string,
  { args = [], major }: { args?: readonly string[]; major?: number } = {},
): Promise<Buffer> {
  return runProgram(
    'pg_dump',
    ['--format=custom', '--compress=zstd:1', ...args, `--dbname=${database}`],
    { server, major },
  );
}

let copies = 0;
/** Makes an empty database, as what prepares the target does; answers its name. */
export async function emptyDatabase(
  postgres: Pick<SharedPostgres, 'query'>,
  options = '',
): Promise<string> {
  copies += 1;
  const name = `copy_${copies}`;
  await postgres.query('postgres', `CREATE DATABASE ${name} TEMPLATE template0 ${options}`);
  return name;
}

const signal = new AbortController().signal;

export async function accessTo(archive: Buffer): Promise<ArchiveAccess> {
  const key = 'imports/some.dump';
  return openArchive(
    { objects: objectsWith(key, archive) },
    { archive: { key, sizeBytes: archive.length }, signal },
  );
}

/** A bucket with one object, to be read only; quicker with large ones than the fake that checks writes. */
function objectsWith(key: string, body: Buffer): Objects {
  const requireKey = (asked: string) => {
    if (asked !== key) throw new ObjectMissing(`no object ${asked}`);
  };
  return {
    ...makeMemoryObjects(),
    async head(asked) {
      requireKey(asked);
      return {
        key,
        sizeBytes: body.length,
        etag: '"some"',
        versionId: undefined,
        crc64nvme: toBase64(crc64Nvme(body)),
        lastModified: new Date(0),
        storageClass: 'STANDARD',
        retrieval: 'none',
        metadata: {},
      };
    },
    async getRange(asked, start, end) {
      requireKey(asked);
      return body.subarray(start, end);
    },
    stream(asked, { start = 0, end = body.length } = {}) {
      requireKey(asked);
      const chunks = function* () {
        for (let at = start; at < end; at += 65_536) {
          yield body.subarray(at, Math.min(end, at + 65_536));
        }
      };
      return Readable.from(chunks(), { objectMode: false });
    },
  };
}

export interface CopyOptions extends Partial<Omit<RestoreArchiveOptions, 'roles'>> {
  readonly roles?: Partial<RoleHandling>;
  readonly login?: Login;
  readonly databases?: Databases;
}

/** Restores an archive, or what `ids` say, into a database that exists. */
export async function restoreInto(
  server: PostgresServer,
  database: string,
  archive: Buffer | ArchiveAccess,
  options: CopyOptions = {},
): Promise<RestoredArchive> {
  const { roles, login, databases, ...rest } = options;
  const access = Buffer.isBuffer(archive) ? await accessTo(archive) : archive;
  const [version] = await withClient(server, 'postgres', async (client) => {
    const { rows } = await client.query<{ number: number }>(
      "SELECT current_setting('server_version_num')::int AS number",
    );
    return rows;
  });
  const deps = await restoreDeps(server, login);
  return restoreArchive(databases ? { ...deps, databases } : deps, {
    access,
    ids: new Set(access.toc.entries.map(({ dumpId }) => dumpId)),
    connection: connectionTo(server),
    database,
    versionNumber: version?.number ?? 0,
    jobs: 4,
    roles: { createMissing: false, noOwner: false, ...roles },
    signal,
    ...rest,
  });
}

/** Everything that a copy of a database must have in common with it. */
export async function contentsOf(server: PostgresServer, database: string) {
  const schema = await runProgram('pg_dump', ['--schema-only', `--dbname=${database}`], { server });
  return withClient(server, database, async (client) => {
    await client.query("SET client_encoding = 'UTF8'");
    const rowsOf = async (query: string) => (await client.query(query)).rows;
    return {
      // pg_dump puts a random word into \restrict, and the server's version into a comment.
      schema: schema
        .toString('latin1')
        .replaceAll(/^\\(un)?restrict .*$/gm, '')
        .replaceAll(/^-- Dumped .*$/gm, ''),
      tables: await tableContents(client),
      largeObjects: await rowsOf(
        `SELECT oid, md5(lo_get(oid)), lomowner::regrole::text, lomacl::text,
                obj_description(oid, 'pg_largeobject') AS comment
           FROM pg_largeobject_metadata ORDER BY oid`,
      ),
      sequences: await rowsOf(
        'SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2',
      ),
      views: await rowsOf(
        `SELECT schemaname, matviewname, ispopulated FROM pg_matviews ORDER BY 1, 2`,
      ),
    };
  });
}

/** Tables and materialized views that nobody has analyzed yet. */
export function unanalyzed(server: PostgresServer, database: string): Promise<string[]> {
  return withClient(server, database, async (client) => {
    const { rows } = await client.query<{ relname: string }>(
      `SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'm', 'p') AND reltuples < 0 AND relpersistence <> 't'
          AND nspname NOT IN ('pg_catalog', 'information_schema')
        ORDER BY 1`,
    );
    return rows.map(({ relname }) => relname);
  });
}
