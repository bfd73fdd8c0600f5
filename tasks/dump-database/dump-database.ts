import { createHash } from 'node:crypto';
import { type ProgramEnd, startProgram } from '#adapters/programs.ts';
import type { DumpJob } from '#contracts/job.ts';
import type { DataBlock, Manifest, StoredObject } from '#contracts/manifest.ts';
import { TAG_KIND, TAG_STATE } from '#contracts/verification.ts';
import { tableRanges } from '#domain/archive/block-index.ts';
import { readableToc } from '#domain/archive/text-encoding.ts';
import { chooseClientMajor } from '#domain/client-choice.ts';
import { type BackupFile, backupKey } from '#domain/names.ts';
import { classifyClientFailure } from '#domain/pg-errors.ts';
import { ArchiveCorrupt, AuthenticationFailed, DumpFailed } from '#errors';
import { inspectGaps } from '#operations/inspect-databases.ts';
import { manifestDigest } from '#operations/records.ts';
import { findExtensions } from '#operations/restore/catalog-checks.ts';
import type { TellProgress } from '#operations/task-progress.ts';
import { LOG } from '#runtime/log-events.ts';
import type { ClientEnvironment, Deps, PutResult, Session } from '#runtime/ports.ts';
import { TOOL_VERSION } from '#runtime/version.ts';
import { type StreamedArchive, uploadArchive } from './upload-archive.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'objects' | 'databases' | 'clients'>;

export interface DumpOptions {
  readonly job: DumpJob;
  readonly signal: AbortSignal;
  readonly uploadMemoryBytes: number;
  readonly progressSeconds: number;
  /** Told where the dump is. */
  readonly tell?: TellProgress;
}

/** Archive compresses to less than half of what the server counts, indexes and bloat included. */
const ARCHIVE_SHARE = 0.5;
/** Roles of a server with ten thousand users are 2 MB. */
const GLOBALS_LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Makes one backup: archive, table of contents, roles, and last the manifest that makes it one.
 *
 * A failure at any point leaves no manifest, so no backup; the upload is aborted here, and objects that
 * were complete already are removed by Handle Task Stopped (this task may not delete anything).
 * Throws the named errors of the database side, DumpFailed, ArchiveCorrupt, or the signal's reason.
 */
export async function dumpDatabase(deps: Needs, options: DumpOptions): Promise<Manifest> {
  const { job, signal } = options;
  const startedAt = deps.clock.now();
  const majors = await deps.clients.majors();
  const major = chooseClientMajor(job.serverVersion, majors);
  const session = await deps.databases.connect(job.connection, job.database);
  try {
    const server = await openSnapshot(session);
    options.tell?.({ phase: 'pre-data' });
    deps.log.info(LOG.dumpStarted, { database: job.database, major, lsn: server.lsn });

    const gaps = await inspectGaps(session);
    const globals = await dumpGlobals(deps, options, major);
    const dumped = await dumpArchive(deps, options, major, server.snapshotId);
    const { archive, archiveObject, clientVersion, warnings } = dumped;

    const toc = await putFile(deps, job, 'toc.dump', archive.head);
    const roles = await putFile(deps, job, 'globals.sql', globals.sql);
    const { isReplica, lsn, snapshotId, encoding, version, versionNumber, extensions } = server;
    const content: Omit<Manifest, 'sha256'> = {
      version: 1,
      tool: { name: 'holdfast', version: TOOL_VERSION },
      source: job.source,
      database: job.database,
      backupId: job.backupId,
      runId: job.runId,
      executionArn: job.executionArn,
      startedAt: startedAt.toISOString(),
      endedAt: deps.clock.now().toISOString(),
      server: { version, versionNumber, isReplica, lsn, snapshotId, encoding, extensions },
      client: { major, version: clientVersion },
      options: {
        format: 'custom',
        compression: job.dump.compression,
        lockWaitTimeoutSeconds: job.dump.lockWaitTimeoutSeconds,
      },
      databaseSizeBytes: server.sizeBytes,
      objects: {
        archive: stored(backupKey(job, 'archive.dump'), archive.sizeBytes, archiveObject),
        toc,
        globals: roles,
      },
      archive: {
        formatVersion: archive.index.header.formatVersion,
        headBytes: archive.head.length,
        headSha256: archive.headSha256,
        bodySha256: archive.bodySha256,
        tocEntries: archive.index.entries.length,
        blocks: describeBlocks(archive),
      },
      warnings: [...gaps, ...globals.warnings, ...warnings],
    };
    const manifest = { ...content, sha256: manifestDigest(content) };
    // Last, and only while the run still waits: from here on the backup exists.
    signal.throwIfAborted();
    await deps.objects.put(backupKey(job, 'manifest.json'), JSON.stringify(manifest, null, 1), {
      contentType: 'application/json',
      condition: 'absent',
    });
    return manifest;
  } finally {
    await session.close().catch(() => {});
  }
}

/**
 * Opens the transaction whose snapshot the dump uses, and reads the facts that go with it. The session
 * stays open until pg_dump has ended, as its snapshot lives no longer than this transaction.
 */
async function openSnapshot(session: Session) {
  await session.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
  await session.query('SET LOCAL statement_timeout = 0');
  await session.query('SET LOCAL idle_in_transaction_session_timeout = 0');
  const [facts] = await session.query<{
    version: string;
    version_number: number;
    is_replica: boolean;
    snapshot_id: string;
    encoding: string;
    size_bytes: string;
  }>(`SELECT pg_catalog.current_setting('server_version') AS version,
      pg_catalog.current_setting('server_version_num')::int AS version_number,
      pg_catalog.pg_is_in_recovery() AS is_replica,
      pg_catalog.pg_export_snapshot() AS snapshot_id,
      pg_catalog.getdatabaseencoding() AS encoding,
      pg_catalog.pg_database_size(pg_catalog.current_database())::text AS size_bytes`);
  if (!facts) throw new DumpFailed('the server answered nothing about itself');
  return {
    version: facts.version,
    versionNumber: facts.version_number,
    isReplica: facts.is_replica,
    snapshotId: facts.snapshot_id,
    encoding: facts.encoding,
    sizeBytes: Number(facts.size_bytes),
    lsn: await currentLsn(session, facts.is_replica),
    extensions: [...(await findExtensions(session))],
  };
}

/** The WAL position, or null where the server does not tell it (some Aurora versions do not). */
async function currentLsn(session: Session, isReplica: boolean): Promise<string | null> {
  const position = isReplica ? 'pg_last_wal_replay_lsn()' : 'pg_current_wal_lsn()';
  await session.query('SAVEPOINT lsn');
  try {
    const [row] = await session.query<{ lsn: string | null }>(
      `SELECT pg_catalog.${position}::text AS lsn`,
    );
    return row?.lsn ?? null;
  } catch {
    await session.query('ROLLBACK TO SAVEPOINT lsn');
    return null;
  }
}

/** The server's roles and tablespaces as SQL. Without passwords: RDS hides them, and so do we. */
async function dumpGlobals(deps: Needs, { job, signal }: DumpOptions, major: number) {
  const args = ['--globals-only', '--no-role-passwords', '--no-password'];
  const database = job.connection.maintenanceDatabase;
  return withFreshSecret(deps, job, database, async ({ environment, secrets }) => {
    // pg_dumpall ignores PGDATABASE; --database takes a connection string, quoted as libpq asks.
    const quoted = database.replace(/[\\']/g, '\\$&');
    const program = startProgram({
      path: deps.clients.program(major, 'pg_dumpall'),
      args: [...args, `--database=dbname='${quoted}'`],
      environment,
      secrets,
      signal,
    });
    program.stdin.end();
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    for await (const chunk of program.stdout as AsyncIterable<Buffer>) {
      sizeBytes += chunk.length;
      if (sizeBytes <= GLOBALS_LIMIT_BYTES) chunks.push(chunk);
    }
    const end = await program.ended;
    requireSuccess('pg_dumpall', end, signal);
    if (sizeBytes === 0 || sizeBytes > GLOBALS_LIMIT_BYTES) {
      throw new DumpFailed(`pg_dumpall ended well with ${sizeBytes} bytes of roles`);
    }
    return { sql: Buffer.concat(chunks), warnings: end.stderr };
  });
}

interface DumpedArchive {
  readonly archive: StreamedArchive;
  readonly archiveObject: PutResult;
  readonly clientVersion: string;
  readonly warnings: readonly string[];
}

/** Runs pg_dump into the upload. The object is completed only after pg_dump's exit code 0. */
async function dumpArchive(
  deps: Needs,
  options: DumpOptions,
  major: number,
  snapshotId: string,
): Promise<DumpedArchive> {
  const { job, signal } = options;
  const { algorithm, level } = job.dump.compression;
  const args = [
    '--format=custom',
    `--compress=${algorithm}:${level}`,
    '--no-password',
    `--lock-wait-timeout=${job.dump.lockWaitTimeoutSeconds}s`,
    `--snapshot=${snapshotId}`,
  ];
  return withFreshSecret(deps, job, job.database, async ({ environment, secrets }) => {
    const upload = await deps.objects.createUpload(backupKey(job, 'archive.dump'), {
      tags: { [TAG_STATE]: 'unverified', [TAG_KIND]: 'archive' },
    });
    const program = startProgram({
      path: deps.clients.program(major, 'pg_dump'),
      args,
      environment,
      secrets,
      signal,
    });
    program.stdin.end();
    try {
      const archive = await uploadArchive({
        stdout: program.stdout,
        upload,
        estimatedBytes: job.estimatedBytes * ARCHIVE_SHARE,
        memoryBytes: options.uploadMemoryBytes,
        onProgress: progressLog(deps, job.database, options),
      });
      const end = await program.ended;
      requireSuccess('pg_dump', end, signal);
      const archiveObject = await archive.complete();
      const clientVersion = archive.index.header.dumpVersion ?? `${major}`;
      return { archive, archiveObject, clientVersion, warnings: end.stderr };
    } catch (error) {
      const brokeOff = error instanceof ArchiveCorrupt && program.stdout.readableEnded;
      if (!brokeOff) program.stop();
      const end = await program.ended.catch(() => undefined);
      await abortUpload(deps, upload);
      // An archive that breaks off is a symptom; why pg_dump ended is the cause.
      if (brokeOff && end) requireSuccess('pg_dump', end, signal);
      signal.throwIfAborted();
      throw error;
    }
  });
}

async function abortUpload(deps: Needs, upload: { abort(): Promise<void> }): Promise<void> {
  try {
    await upload.abort();
    deps.log.warn(LOG.uploadAborted);
  } catch (error) {
    // Handle Task Stopped and the hourly reconcile abort it again, the lifecycle rule at the latest.
    deps.log.warn(LOG.failed, { while: 'aborting the upload', cause: String(error) });
  }
}

/** Tries once more with a freshly fetched secret when the server rejected the password: rotation. */
async function withFreshSecret<Result>(
  deps: Needs,
  job: DumpJob,
  database: string,
  attempt: (client: ClientEnvironment) => Promise<Result>,
): Promise<Result> {
  try {
    return await attempt(await deps.databases.clientEnvironment(job.connection, database));
  } catch (error) {
    if (!(error instanceof AuthenticationFailed)) throw error;
    const refreshed = { refresh: true };
    return attempt(await deps.databases.clientEnvironment(job.connection, database, refreshed));
  }
}

/** Throws unless the program ended with 0: the signal's reason if we stopped it, else what it said. */
function requireSuccess(program: string, end: ProgramEnd, signal: AbortSignal): void {
  if (end.exitCode === 0) return;
  signal.throwIfAborted();
  throw classifyClientFailure(program, end);
}

async function putFile(
  deps: Needs,
  job: DumpJob,
  file: BackupFile,
  body: Buffer,
): Promise<StoredObject> {
  const key = backupKey(job, file);
  const result = await deps.objects.put(key, body, {
    contentType: file.endsWith('.sql') ? 'application/sql' : 'application/octet-stream',
    condition: 'absent',
    tags: { [TAG_STATE]: 'unverified', [TAG_KIND]: file.startsWith('toc') ? 'toc' : 'globals' },
  });
  const sha256 = createHash('sha256').update(body).digest('hex');
  return { ...stored(key, body.length, result), sha256 };
}

function stored(key: string, sizeBytes: number, put: PutResult): StoredObject {
  return {
    key,
    sizeBytes,
    crc64nvme: put.crc64nvme ?? '',
    ...(put.versionId === undefined ? {} : { versionId: put.versionId }),
  };
}

/** Tables are named as the database names them, in whatever encoding it is. */
function describeBlocks({ head, index, blocks }: StreamedArchive): DataBlock[] {
  const { entries } = readableToc(head);
  const ranges = tableRanges({ entries, blocks: index.blocks });
  const tables = new Map(ranges.map((range) => [range.dumpId, range]));
  return blocks.map(({ dumpId, kind, offset, lengthBytes, crc64nvme }) => {
    const named = tables.get(dumpId);
    return {
      dumpId,
      kind,
      ...(named && { schema: named.schema, table: named.table }),
      offset,
      lengthBytes,
      crc64nvme,
    };
  });
}

/** Logs progress at most every so many seconds: tables done of all, bytes, bytes a second. */
function progressLog(
  deps: Pick<Deps, 'clock' | 'log'>,
  database: string,
  { progressSeconds, tell }: DumpOptions,
) {
  const began = deps.clock.now().getTime();
  let lastLogged = 0;
  let tablesDone = 0;
  return (progress: { bytes: number; block?: { kind: string }; tables: number }) => {
    if (progress.block?.kind === 'table') tablesDone++;
    const { bytes, tables: total } = progress;
    tell?.({ phase: 'data', done: tablesDone, total, unit: 'tables', bytes });
    const elapsed = (deps.clock.now().getTime() - began) / 1000;
    if (elapsed - lastLogged < progressSeconds) return;
    lastLogged = elapsed;
    deps.log.info(LOG.dumpProgress, {
      database,
      tablesDone,
      tablesTotal: progress.tables,
      bytes: progress.bytes,
      bytesPerSecond: Math.round(progress.bytes / Math.max(elapsed, 0.001)),
    });
  };
}
