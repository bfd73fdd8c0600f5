import type { Readable } from 'node:stream';
import type { AlertMessage } from '#contracts/alert-message.ts';
import type { MetricValues } from '#contracts/metrics.ts';
import type { Answer, SchedulePosture, SnapshotQuotas } from '#contracts/posture.ts';
import type { RetrievalTier } from '#contracts/restore.ts';
import type {
  PlannedServerRestore,
  RestoredServerName,
  RestoreWindow,
  ServerKind,
  ServerSnapshot,
  SourceServer,
} from '#contracts/restore-server.ts';
import type { Connection, SourcePlan } from '#contracts/source-plan.ts';
import type { SnapshotState } from '#contracts/workflow.ts';
import type { HoldfastError } from '#errors';

/**
 * Every side effect of Holdfast, as types. A function asks for the slice it needs
 * (`Pick<Deps, 'clock' | 'objects'>`); `providers/` make the real ones, tests pass fakes.
 * Adapters throw the errors of `#errors` only; AWS's own are translated in one place.
 */
export interface Deps {
  readonly clock: Clock;
  readonly log: Log;
  readonly objects: Objects;
  readonly plans: Plans;
  readonly snapshots: Snapshots;
  readonly servers: Servers;
  readonly tasks: Tasks;
  readonly workflow: Workflow;
  readonly alerts: Alerts;
  readonly databases: Databases;
  readonly clients: Clients;
  readonly metrics: Metrics;
  readonly throwawayServers: ThrowawayServers;
  readonly surroundings: Surroundings;
}

export interface Clock {
  now(): Date;
  /** Resolves after the time, or rejects with the signal's reason. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** Structured log; `event` is one of the stable names in `log-events.ts`. */
export interface Log {
  info(event: string, fields?: Record<string, unknown>): void;
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
}

export interface ObjectHead {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly crc64nvme: string | undefined;
  readonly lastModified: Date;
  /** Of what INTELLIGENT_TIERING has archived: the tier, ARCHIVE_ACCESS or DEEP_ARCHIVE_ACCESS. */
  readonly storageClass: string;
  /** Of an object in Glacier: whether a copy of it is being brought back, or is there to be read. */
  readonly retrieval: 'none' | 'ongoing' | 'done';
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly lastModified: Date;
  /** Undefined where the listing does not say. */
  readonly storageClass?: string | undefined;
}

export interface PutOptions {
  readonly contentType?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** `absent`: fail with WriteConflict when the key exists. An etag: when it is not that one. */
  readonly condition?: 'absent' | { readonly etag: string };
}

export interface PutResult {
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly crc64nvme: string | undefined;
}

/** The bucket. Missing objects are `undefined` from `head` and `get`, never an exception. */
export interface Objects {
  readonly bucket: string;
  head(key: string, versionId?: string): Promise<ObjectHead | undefined>;
  /** The whole body in memory: for records, not archives. Fails above `maxBytes` (default 64 MiB). */
  get(
    key: string,
    options?: { versionId?: string; maxBytes?: number },
  ): Promise<{ body: Buffer; head: ObjectHead } | undefined>;
  /** Bytes `start` to `end` (exclusive). Throws ObjectMissing; RetrievalFailed when it lies in Glacier. */
  getRange(key: string, start: number, end: number, versionId?: string): Promise<Buffer>;
  /** Streams bytes `start` to `end` (exclusive; default: all); a cut connection is resumed where it broke. */
  stream(key: string, options?: { start?: number; end?: number; versionId?: string }): Readable;
  /**
   * Asks S3 to bring an object back from Glacier for some days. `ongoing`: asked before, or now; an Object
   * Restore Completed event tells the end. `done`: it can be read. Throws ObjectMissing, RetrievalFailed.
   */
  retrieve(
    key: string,
    options: { tier: RetrievalTier; days: number; versionId?: string },
  ): Promise<'ongoing' | 'done'>;
  put(key: string, body: Buffer | string, options?: PutOptions): Promise<PutResult>;
  list(prefix: string): AsyncIterable<ListedObject>;
  /** Versions that exist of one key, newest first. */
  versions(key: string): Promise<readonly { versionId: string; deleteMarker: boolean }[]>;
  /** Deletes the current versions (leaves delete markers). Up to any number of keys. */
  delete(keys: readonly string[]): Promise<void>;
  tag(key: string, tags: Readonly<Record<string, string>>, versionId?: string): Promise<void>;
  createUpload(key: string, options: { tags?: Readonly<Record<string, string>> }): Promise<Upload>;
  uploads(prefix: string): AsyncIterable<{ key: string; uploadId: string; initiated: Date }>;
  abortUpload(key: string, uploadId: string): Promise<void>;
}

/** One multipart upload; parts may come in any order. */
export interface Upload {
  readonly uploadId: string;
  putPart(partNumber: number, body: Buffer, crc64nvme: string): Promise<void>;
  /** Fails with WriteConflict when the key exists; S3 checks the size and the full-object checksum. */
  complete(expected: { sizeBytes: number; crc64nvme: string }): Promise<PutResult>;
  abort(): Promise<void>;
}

export interface Plans {
  /** Throws UnknownSource or InvalidPlan. Without a version: the newest. */
  load(source: string, version?: number): Promise<{ plan: SourcePlan; version: number }>;
  /** Throws InvalidPlan; where it is to be told instead, that plan is left out, and the others are there. */
  list(onInvalid?: (error: HoldfastError) => unknown): Promise<readonly SourcePlan[]>;
}

/** RDS manual snapshots of instances and clusters. */
export interface Snapshots {
  create(request: {
    plan: SourcePlan;
    snapshotId: string;
    tags: Readonly<Record<string, string>>;
    now: Date;
  }): Promise<SnapshotState>;
  /** Throws SnapshotFailed when it failed or is gone. */
  describe(snapshot: SnapshotState): Promise<SnapshotState>;
  /** Ours only: those with our tags for the source. */
  list(plan: SourcePlan): Promise<readonly OwnSnapshot[]>;
  delete(plan: SourcePlan, snapshotId: string): Promise<void>;
}

export interface OwnSnapshot {
  readonly snapshotId: string;
  readonly createdAt: Date;
  readonly status: string;
}

/** The server of a restore as it is now. */
export interface RestoredServer {
  readonly identifier: string;
  readonly arn: string;
  /** RDS's own word; see domain/restore/server-status.ts. */
  readonly status: string;
  /** It has the tags of the restore. */
  readonly ours: boolean;
  /** An Aurora cluster that is there without its writer. */
  readonly needsWriter: boolean;
  /** Undefined until it is known. */
  readonly endpoint: { readonly host: string; readonly port: number } | undefined;
}

/** Who may do all on a restored server, and where the password is. */
export interface ServerLogin {
  readonly user: string;
  readonly secretArn: string;
}

/** A server that a drill made, by its tags. */
export interface DrilledServer {
  readonly name: RestoredServerName;
  readonly executionArn: string;
  readonly status: string;
}

/**
 * Servers of RDS: what there is, and new ones made of it. Nothing here changes or deletes a server that
 * does not carry the tags of the restore.
 */
export interface Servers {
  /** Undefined: RDS knows none of that name. */
  describe(kind: ServerKind, identifier: string): Promise<SourceServer | undefined>;
  /** By its id or its ARN; undefined: there is none. */
  findSnapshot(kind: ServerKind, idOrArn: string): Promise<ServerSnapshot | undefined>;
  /** All manual ones of the region, and of the server the automated ones and those of AWS Backup. */
  listSnapshots(kind: ServerKind, identifier: string): Promise<readonly ServerSnapshot[]>;
  /** Undefined: there are no backups that reach a point in time. */
  restoreWindow(kind: ServerKind, identifier: string): Promise<RestoreWindow | undefined>;
  /**
   * Asks RDS for the new server. Idempotent: asked again for the same restore, it answers with what it made.
   * Throws TargetNotEmpty when the name is taken by another server, SnapshotNotFound, InstanceNotFound,
   * InstanceNotAvailable, InvalidInput, ServerRestoreFailed.
   */
  restore(restore: PlannedServerRestore): Promise<RestoredServer & { readonly adopted: boolean }>;
  /** Undefined: there is none. */
  findRestored(restore: RestoredServerName): Promise<RestoredServer | undefined>;
  /**
   * Has RDS give the restored server a password of its own, kept in a secret that goes with the server: that of
   * the original opens it no more. Undefined until it is in force: to be asked again. Throws InstanceNotFound
   * when the server is gone or not this restore's.
   */
  ownLogin(restore: RestoredServerName): Promise<ServerLogin | undefined>;
  /** Servers that drills made and nobody deleted, of any source. */
  listDrilled(): Promise<readonly DrilledServer[]>;
  /** Gives a restored Aurora cluster its one instance. Idempotent. Throws as `restore` does. */
  addWriter(restore: PlannedServerRestore): Promise<void>;
  /**
   * Deletes what the restore made, without a last snapshot. `not-ours`: a server of that name exists that
   * this restore did not make; it was not touched. Throws InstanceNotAvailable when RDS cannot yet.
   */
  deleteRestored(restore: RestoredServerName): Promise<'deleting' | 'absent' | 'not-ours'>;
}

/** The programs in `tasks/`. */
export type TaskKind = 'dump-database' | 'verify-backup' | 'restore-database' | 'drill';

export interface TaskRequest {
  readonly kind: TaskKind;
  /** Of the record that says what the task is to do. */
  readonly orderKey: string;
  readonly source: string;
  /** Of the execution, for the task's tags. */
  readonly runId: string;
  /** The backup or the restore; two requests of the same kind, subject and attempt are the same. */
  readonly subject: string;
  /** From 1; default 1. */
  readonly attempt?: number;
  readonly task: SourcePlan['task'];
  readonly network: SourcePlan['network'];
  /** Of its own disk, 21 to 200 (Fargate); default: what Fargate gives, 20. */
  readonly storageGiB?: number;
}

/** Fargate tasks. */
export interface Tasks {
  /**
   * Throws TaskLaunchFailed or TaskRejected. Idempotent by kind, subject and attempt: asked again, it
   * answers with the task that was launched, which may have ended. Returns the task's ARN.
   */
  run(request: TaskRequest): Promise<string>;
}

/** Step Functions. */
export interface Workflow {
  /** `closed`: the token no longer waits (answered before, timed out, execution over). */
  succeed(taskToken: string, output: unknown): Promise<'answered' | 'closed'>;
  fail(taskToken: string, error: string, cause: string): Promise<'answered' | 'closed'>;
  heartbeat(taskToken: string): Promise<'alive' | 'closed'>;
  /** Undefined when Step Functions does not know the execution. */
  executionStatus(executionArn: string): Promise<string | undefined>;
}

export interface Alerts {
  publish(message: AlertMessage): Promise<void>;
}

/** A session on one database. Values are always bound, never spliced into the text. */
export interface Session {
  query<Row extends Record<string, unknown>>(
    text: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
  close(): Promise<void>;
}

/** Where and as whom a libpq program connects; the password is only in `environment`. */
export interface ClientEnvironment {
  /** PGHOST, PGPORT, PGUSER, PGDATABASE, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT, PGAPPNAME, PGCONNECT_TIMEOUT. */
  readonly environment: Readonly<Record<string, string>>;
  /** What must not appear in anything we write. */
  readonly secrets: readonly string[];
}

export interface Databases {
  /**
   * Throws DatabaseUnreachable, AuthenticationFailed (after one fresh secret), DatabaseNotFound,
   * SecretUnusable. `unlimited`: statements may take any time (an index of a terabyte); closing the
   * session is what ends one.
   */
  connect(
    connection: Connection,
    database: string,
    options?: { unlimited?: boolean },
  ): Promise<Session>;
  /** Fresh credentials for a client program: call it right before each start. */
  clientEnvironment(
    connection: Connection,
    database: string,
    options?: { refresh?: boolean },
  ): Promise<ClientEnvironment>;
}

/** CloudWatch metrics. What is recorded is written at once, as one line of the log. */
export interface Metrics {
  record(of: { source: string; database?: string }, values: MetricValues): void;
}

/** What backups depend on beside the bucket. Nothing is thrown: a question that is not answered says why. */
export interface Surroundings {
  /** AWS's: `eu-west-1`. */
  readonly region: string;
  /** One of the stage's, by its name; undefined: there is none. */
  schedule(name: string): Promise<Answer<SchedulePosture | undefined>>;
  /** Manual snapshots of the account, in the region. */
  snapshotQuotas(): Promise<Answer<SnapshotQuotas>>;
}

/** A PostgreSQL server that lives as long as a drill does, on this machine alone. */
export interface ThrowawayServers {
  /** Majors at hand, ascending. */
  majors(): Promise<readonly number[]>;
  /** Throws DrillServerFailed; nothing is left then. */
  start(options: { major: number; signal: AbortSignal }): Promise<ThrowawayServer>;
}

export interface ThrowawayServer {
  readonly connection: Connection;
  /** Sessions and client environments of this server alone: they know its password and no other. */
  readonly databases: Databases;
  readonly dataDirectory: string;
  /**
   * Why the server is not there any more: DrillServerFailed, with the last lines of its log. Undefined while it
   * runs. Waits a moment, as its sessions break before it has ended.
   */
  failure(): Promise<Error | undefined>;
  /** So that what was written is read from the disk again, and its checksums with it. */
  restart(): Promise<void>;
  /** Ends the server and deletes its data. Idempotent. */
  stop(): Promise<void>;
}

/** The bundled PostgreSQL programs. */
export interface Clients {
  /** Majors at hand, ascending. */
  majors(): Promise<readonly number[]>;
  /** Path of a program, e.g. `program(18, 'pg_dump')`. */
  program(major: number, name: 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'psql'): string;
}
