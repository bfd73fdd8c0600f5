import { randomBytes } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { chown, lstat, mkdir, open, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { SnapshotFailed } from '#errors';
import type { ServerData } from './control-plane/rds-model.ts';
import { type PostgresServer, startPostgres } from './postgres-server.ts';

export interface ClusterCopyOptions {
  /** Of a superuser of the running server; any database will do. */
  readonly connection: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password: string;
  };
  readonly dataDirectory: string;
  /** Where the copy goes; must not exist. On the same file system as its parent directory. */
  readonly destination: string;
}

export interface ClusterCopy {
  readonly sizeBytes: number;
  /** Write-ahead log position that the copy is recovered to at least, such as `0/3000158`. */
  readonly endLsn: string;
}

/**
 * Copies a running cluster, so that `startPostgres({ dataDirectory: destination })` serves what was
 * committed when the copy ended. The local stand-in for a snapshot of an RDS instance.
 *
 * This is PostgreSQL's low-level backup (15 or newer): pages are copied while they are being written,
 * and the write-ahead log of that time, copied last, makes them whole when the copy is first started.
 * As with any physical copy, unlogged tables come out empty. Owner and modes stay as they are.
 *
 * `destination` appears complete or not at all. Nothing is flushed to disk: it is a test double.
 *
 * @throws SnapshotFailed for anything that went wrong.
 */
export async function copyCluster(options: ClusterCopyOptions): Promise<ClusterCopy> {
  const { dataDirectory, destination } = options;
  if (existsSync(destination)) {
    throw new SnapshotFailed(`${destination} exists already`, {
      remedy: 'choose another destination, or delete that copy first',
    });
  }
  const partial = `${destination}.partial-${randomBytes(4).toString('hex')}`;
  const { host, port, user, password } = options.connection;
  const client = new pg.Client({
    host,
    port,
    user,
    password,
    database: 'postgres',
    connectionTimeoutMillis: 10_000,
    statement_timeout: 120_000,
  });
  // A server that dies meanwhile is reported by the next query; without a listener it would end us.
  client.on('error', () => undefined);
  try {
    await mkdir(dirname(destination), { recursive: true });
    await client.connect();
    const copy = await copyThrough(client, dataDirectory, partial);
    await rename(partial, destination);
    return copy;
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SnapshotFailed(`${dataDirectory} could not be copied: ${reason}`, { cause });
  } finally {
    await client.end();
  }
}

/**
 * Copies a copy, so that a server can run on one and leave the other as it is. `destination` appears
 * complete or not at all.
 *
 * @throws SnapshotFailed for anything that went wrong.
 */
export async function cloneClusterCopy(from: string, destination: string): Promise<void> {
  if (existsSync(join(from, 'postmaster.pid'))) {
    throw new SnapshotFailed(`${from} is in use by a server, so it was not copied`);
  }
  if (existsSync(destination)) throw new SnapshotFailed(`${destination} exists already`);
  const partial = `${destination}.partial-${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(dirname(destination), { recursive: true });
    await copyTree(from, partial, () => true);
    await rename(partial, destination);
  } catch (cause) {
    await rm(partial, { recursive: true, force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SnapshotFailed(`${from} could not be copied: ${reason}`, { cause });
  }
}

/** What the local RDS needs to take snapshots of a real server, and to restore them as real servers. */
export function dataOfServer(
  server: Pick<
    PostgresServer,
    'host' | 'port' | 'user' | 'password' | 'dataDirectory' | 'caCertificateFile'
  >,
): Required<ServerData> {
  return {
    copy: ({ destination }) =>
      copyCluster({ connection: server, dataDirectory: server.dataDirectory, destination }),
    deleteCopy: deleteClusterCopy,
    clone: ({ from, destination }) => cloneClusterCopy(from, destination),
    async serve({ dataDirectory }) {
      const served = await startPostgres({
        dataDirectory,
        password: server.password,
        tls: server.caCertificateFile !== undefined,
        // It lives as long as this process at most.
        settings: { fsync: 'off' },
      });
      const { host, port } = served;
      return {
        host,
        port,
        stop: () => served.stop('immediate'),
        setPassword: (password) => setPassword(served, password),
        ...dataOfServer(served),
      };
    },
  };
}

/** Of the superuser that the server was started with. */
async function setPassword(server: PostgresServer, password: string): Promise<void> {
  const client = new pg.Client({
    connectionString: server.url('postgres'),
    connectionTimeoutMillis: 10_000,
    statement_timeout: 10_000,
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query(
      `ALTER ROLE ${pg.escapeIdentifier(server.user)} PASSWORD ${pg.escapeLiteral(password)}`,
    );
  } finally {
    await client.end();
  }
}

/** Deletes a copy. Refuses what is not a cluster, and one that a server is using. */
export async function deleteClusterCopy(destination: string): Promise<void> {
  if (!existsSync(destination)) return;
  if (!existsSync(join(destination, 'PG_VERSION'))) {
    throw new SnapshotFailed(`${destination} is not a PostgreSQL cluster, so it was not deleted`);
  }
  if (existsSync(join(destination, 'postmaster.pid'))) {
    throw new SnapshotFailed(`${destination} is in use by a server, so it was not deleted`, {
      remedy: 'stop that server first',
    });
  }
  // Renamed first: an interrupted deletion must not leave what looks like a cluster.
  const doomed = `${destination}.deleted-${randomBytes(4).toString('hex')}`;
  await rename(destination, doomed);
  await rm(doomed, { recursive: true, force: true });
}

/** The backup proper. Starts and ends in one session, as PostgreSQL demands. */
async function copyThrough(
  client: pg.Client,
  source: string,
  target: string,
): Promise<ClusterCopy> {
  if ((await readdir(join(source, 'pg_tblspc'))).length > 0) {
    throw new Error('it has tablespaces outside of its data directory, which this cannot copy');
  }
  // Keeps the log of the time of copying from being recycled; vanishes with the session.
  await client.query('SELECT pg_create_physical_replication_slot($1, true, true)', [
    `holdfast_copy_${randomBytes(4).toString('hex')}`,
  ]);
  const label = 'holdfast cluster copy';
  const start = await client.query<{ file: string }>(
    'SELECT pg_walfile_name(pg_backup_start($1, fast => true)) AS file',
    [label],
  );
  let sizeBytes = await copyTree(source, target, isCopied);
  // The control file last, like pg_basebackup: recovery must not end before what it says.
  sizeBytes += await copyFile(join(source, controlFile), join(target, controlFile));

  const stop = await client.query<{ lsn: string; file: string; labelfile: string }>(
    `SELECT lsn, pg_walfile_name(lsn) AS file, labelfile
       FROM pg_backup_stop(wait_for_archive => false)`,
  );
  const [first, last] = [start.rows[0]?.file, stop.rows[0]];
  if (first === undefined || last === undefined) throw new Error('the server gave no answer');
  sizeBytes += await copyTree(
    join(source, 'pg_wal'),
    join(target, 'pg_wal'),
    // Segment names sort by position. The history files say which timeline follows which.
    (name) => name.endsWith('.history') || (isSegment(name) && name >= first && name <= last.file),
  );
  await writeLike(source, join(target, 'backup_label'), last.labelfile);
  return { sizeBytes, endLsn: last.lsn };
}

const controlFile = 'global/pg_control';
const isSegment = (name: string) => /^[0-9A-F]{24}$/.test(name);

/** Directories whose contents belong to the running server, or are copied on their own (pg_wal). */
const keptEmpty =
  /^(pg_wal|pg_replslot|pg_dynshmem|pg_notify|pg_serial|pg_snapshots|pg_stat_tmp|pg_subtrans)\//;
const leftOut =
  /^(postmaster\.(pid|opts)|backup_label|tablespace_map|backup_manifest|current_logfiles)/;
const temporary = /(^|\/)(pgsql_tmp|pg_internal\.init)/;

function isCopied(path: string): boolean {
  const excluded = keptEmpty.test(path) || leftOut.test(path) || temporary.test(path);
  return !excluded && path !== controlFile;
}

/** Copies what is wanted of a directory, by paths relative to it. What vanishes meanwhile is left out. */
async function copyTree(
  source: string,
  target: string,
  isWanted: (path: string) => boolean,
  inside = '',
): Promise<number> {
  let sizeBytes = 0;
  await makeLike(join(source, inside), join(target, inside));
  for (const entry of await readdir(join(source, inside), { withFileTypes: true })) {
    const path = inside === '' ? entry.name : `${inside}/${entry.name}`;
    if (!isWanted(path)) continue;
    try {
      if (entry.isDirectory()) sizeBytes += await copyTree(source, target, isWanted, path);
      else if (entry.isFile()) sizeBytes += await copyFile(join(source, path), join(target, path));
      else throw new Error(`${path} is neither a file nor a directory`);
    } catch (error) {
      // A dropped table or database: the log that we copy later drops it again.
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return sizeBytes;
}

/**
 * Copies a file up to the size it has now. By reading, as the system calls for copying can spin on a file
 * that the server truncates meanwhile. What is appended meanwhile comes from the write-ahead log.
 */
async function copyFile(source: string, target: string): Promise<number> {
  await using input = await open(source, constants.O_RDONLY);
  const { mode, uid, gid, size } = await input.stat();
  await using output = await open(target, 'wx', mode);
  if (process.getuid?.() === 0) await output.chown(uid, gid);
  const buffer = Buffer.allocUnsafe(Math.min(1 << 20, size));
  let copied = 0;
  while (copied < size) {
    const { bytesRead } = await input.read(buffer, 0, Math.min(buffer.length, size - copied));
    if (bytesRead === 0) break;
    await output.writeFile(buffer.subarray(0, bytesRead));
    copied += bytesRead;
  }
  return copied;
}

/** Makes a directory with the mode and owner of another. */
async function makeLike(source: string, target: string): Promise<void> {
  const { mode, uid, gid } = await lstat(source);
  await mkdir(target, { mode, recursive: true });
  if (process.getuid?.() === 0) await chown(target, uid, gid);
}

/** Writes a file with the owner of a directory. */
async function writeLike(directory: string, target: string, text: string): Promise<void> {
  const { uid, gid } = await lstat(directory);
  await writeFile(target, text, { mode: 0o600 });
  if (process.getuid?.() === 0) await chown(target, uid, gid);
}
