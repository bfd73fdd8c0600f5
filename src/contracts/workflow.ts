import * as z from 'zod';
import { BackupKind, SourceName } from './source-plan.ts';

/**
 * The payloads of `statemachines/backup.asl.json`: for each its writer, its readers, its units. The
 * state's data grows by one field a step: `input`, then `run`, `snapshot`/`logical` settings, `results`,
 * `retention`, `outcome`. At most 262,144 bytes at any point (Step Functions), hence keys, not data.
 */

/** What starts a run: the console's five lines, a schedule, the CLI, or the body of a request object. */
export const BackupInput = z.strictObject({
  source: SourceName,
  databases: z.array(z.string().min(1)).min(1).optional().describe('default: as the plan says'),
  kinds: z.array(BackupKind).min(1).optional().describe('default: as the plan says'),
  reason: z.string().max(200).optional().describe('why by hand, e.g. "before release 4.2"'),
  trigger: z.enum(['manual', 'schedule', 'request']).default('manual'),
});
export type BackupInput = z.infer<typeof BackupInput>;

/** Plan Backup is called with the execution's input and the context's own facts. */
export const PlanBackupEvent = z.object({
  input: z.unknown(),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
});

/** Written by Plan Backup, read by every later state. */
export const Run = z.strictObject({
  source: SourceName,
  runId: z.string().describe("the execution's name"),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
  trigger: z.enum(['manual', 'schedule', 'request']),
  reason: z.string().nullable(),
  kinds: z.array(BackupKind),
  databases: z.array(z.string()).nullable().describe('those asked for; null: as the plan says'),
  planVersion: z
    .int()
    .describe('version of the SSM parameter: the run keeps the plan it began with'),
});
export type Run = z.infer<typeof Run>;

/** Plan Backup's result: the whole data of the state from here on. */
export const PlannedRun = z.strictObject({
  run: Run,
  snapshot: z.strictObject({ wanted: z.boolean(), pollSeconds: z.int() }),
  logical: z.strictObject({
    wanted: z.boolean(),
    concurrency: z.int(),
    heartbeatSeconds: z.int(),
    timeoutSeconds: z.int(),
  }),
});
export type PlannedRun = z.infer<typeof PlannedRun>;

/** Create Snapshot and Check Snapshot write it; Check Snapshot, Choice and Notify read it. */
export const SnapshotState = z.strictObject({
  snapshotId: z.string(),
  arn: z.string(),
  kind: z.enum(['instance', 'cluster']),
  status: z.enum(['creating', 'available']),
  adopted: z.boolean().describe('it existed already with our tags'),
  startedAt: z.iso.datetime(),
  progressPercent: z.int().min(0).max(100),
  sizeGiB: z.int().nullable(),
});
export type SnapshotState = z.infer<typeof SnapshotState>;

export const RunEvent = z.object({ run: Run });
export const CheckSnapshotEvent = z.object({ run: Run, snapshot: SnapshotState });

/** One database as Discover Databases saw it; `problem` makes Dump Database fail at once. */
export const DiscoveredDatabase = z.strictObject({
  database: z.string(),
  sizeBytes: z.int().min(0),
  problem: z.strictObject({ error: z.string(), cause: z.string() }).nullable(),
});
export type DiscoveredDatabase = z.infer<typeof DiscoveredDatabase>;

/** Written by Discover Databases; read by the Map and by Notify. */
export const Discovery = z.strictObject({
  server: z.strictObject({
    version: z.string(),
    versionNumber: z.int().describe('server_version_num'),
    isReplica: z.boolean(),
  }),
  databases: z.array(DiscoveredDatabase),
  warnings: z.array(z.string()),
});
export type Discovery = z.infer<typeof Discovery>;

export const DumpDatabaseEvent = z.object({
  run: Run,
  server: Discovery.shape.server,
  database: DiscoveredDatabase,
  taskToken: z.string().min(1),
  enteredAt: z.iso.datetime().describe("when the state was entered: the backup id's second"),
});
export type DumpDatabaseEvent = z.infer<typeof DumpDatabaseEvent>;

/** What Verify Backup answers the token with: the result of one Map item. */
export const VerifiedDatabase = z.strictObject({
  status: z.literal('verified'),
  database: z.string(),
  backupId: z.string(),
  sizeBytes: z.int(),
  level: z.string(),
  tables: z.int(),
  rows: z.int(),
  dumpSeconds: z.number(),
  verifySeconds: z.number(),
  warnings: z.int(),
});
export type VerifiedDatabase = z.infer<typeof VerifiedDatabase>;

export const Failure = z.object({ Error: z.string(), Cause: z.string().default('') });
export type Failure = z.infer<typeof Failure>;

export const FailedDatabase = z.object({
  status: z.literal('failed'),
  database: z.string(),
  failure: Failure,
});
export const DatabaseResult = z.discriminatedUnion('status', [VerifiedDatabase, FailedDatabase]);
export type DatabaseResult = z.infer<typeof DatabaseResult>;

/** The two branches of "Back Up"; a failed branch carries the failure instead of a result. */
export const Results = z.object({
  snapshot: z.discriminatedUnion('status', [
    z.object({ status: z.literal('skipped') }),
    z.object({ status: z.literal('available'), snapshot: SnapshotState }),
    z.object({ status: z.literal('failed'), failure: Failure }),
  ]),
  logical: z.discriminatedUnion('status', [
    z.object({ status: z.literal('skipped') }),
    z.object({
      status: z.literal('done'),
      discovery: Discovery,
      databases: z.array(DatabaseResult),
    }),
    z.object({ status: z.literal('failed'), failure: Failure }),
  ]),
});
export type Results = z.infer<typeof Results>;

export const ApplyRetentionEvent = z.object({ run: Run, results: Results });

/** Written by Apply Retention (counts; the ids are in the log and in `planKey`). */
export const RetentionResult = z.strictObject({
  status: z.enum(['applied', 'dry-run']),
  archives: z.strictObject({ kept: z.int(), deleted: z.int(), deletedBytes: z.int() }),
  snapshots: z.strictObject({ kept: z.int(), deleted: z.int() }),
  /** At most 20 of each, newest first, for the alert. */
  deletedIds: z.array(z.string()),
  /** Databases whose dump failed in this run: nothing of theirs was deleted. */
  withheld: z.array(z.string()),
  planKey: z.string().describe('the whole plan, kept and deleted with reasons'),
});
export type RetentionResult = z.infer<typeof RetentionResult>;

/** Notify is called at the end with everything there is; Notify Failure with less. */
export const NotifyEvent = z.object({
  executionArn: z.string(),
  input: z.unknown(),
  run: Run.optional(),
  results: Results.optional(),
  retention: z
    .union([RetentionResult, z.object({ status: z.literal('failed'), failure: Failure })])
    .optional(),
  failure: Failure.optional(),
});
export type NotifyEvent = z.infer<typeof NotifyEvent>;

/** Written by Notify; the last Choice reads `status`, the Fail state `error` and `cause`. */
export const Outcome = z.strictObject({
  status: z.enum(['SUCCEEDED', 'FAILED']),
  error: z.string(),
  cause: z.string(),
  summaryKey: z.string().nullable(),
});
export type Outcome = z.infer<typeof Outcome>;
