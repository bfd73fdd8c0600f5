import * as z from 'zod';
import { parseBackupId } from '#domain/names.ts';
import { PlannedRestore, PlannedRestoreState, RestoreChecks, RestoreReport } from './restore.ts';
import { PlannedServerRestore, RestoredServerState, ServerCleanUp } from './restore-server.ts';
import { Connection, DrillKind, DrillRules, SourceName, SourcePlan } from './source-plan.ts';
import { Failure } from './workflow.ts';

/**
 * The payloads of `statemachines/drill.asl.json`, and the records of a drill, which lie under
 * `drills/<source>/<drillId>/`: for each database `<database>/order.json` (Drill Database or Drill Server; read
 * by the task) and `<database>/report.json` (the task), and `drill.json` (Notify Drill, or Reconcile). A backup that a drill
 * brought back has `drilled.json` beside its other files.
 */

const BACKUP_WORDS = 'write "latest", "random" or a backup id';

/** What starts a drill, in the console, by schedule or from the CLI. */
export const DrillInput = z.strictObject({
  source: SourceName,
  database: z
    .string()
    .min(1)
    .optional()
    .describe('as it was called when it was backed up; default: each that has a verified backup'),
  kind: DrillKind.optional().describe("default: the plan's drill.kinds in turn"),
  backup: z
    .union(
      [
        z.enum(['latest', 'random']),
        // A refinement that fails speaks for the union.
        z.string().refine((id) => parseBackupId(id) !== undefined, BACKUP_WORDS),
      ],
      BACKUP_WORDS,
    )
    .optional()
    .describe("archives only; default: the plan's drill.choose"),
  reason: z.string().max(200).optional(),
  trigger: z.enum(['manual', 'schedule']).default('manual'),
});
export type DrillInput = z.infer<typeof DrillInput>;

/** Plan Drill is called with the execution's input and the context's own facts. */
export const PlanDrillEvent = z.object({
  input: z.unknown(),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
});
export type PlanDrillEvent = z.infer<typeof PlanDrillEvent>;

export const DrillTargets = z.strictObject({
  rtoSeconds: z
    .int()
    .min(1)
    .nullable()
    .describe('longest that bringing the data back may take; null: it is not judged'),
  rpoSeconds: z
    .int()
    .min(1)
    .nullable()
    .describe('oldest that the newest data that come back may be; null: it is not judged'),
});
export type DrillTargets = z.infer<typeof DrillTargets>;

/** Written by Plan Drill, read by every later state. */
export const Drill = z.strictObject({
  drillId: z.string().describe('in the format of a backup id'),
  source: SourceName,
  planVersion: z.int(),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
  trigger: z.enum(['manual', 'schedule']),
  reason: z.string().nullable(),
  kind: DrillKind,
  targets: DrillTargets,
  notes: z.array(z.string()).describe('such as databases that have no verified backup'),
  part: z
    .literal(true)
    .optional()
    .describe('one database of several was asked for: it says nothing good of the source'),
  unplanned: z
    .literal(true)
    .optional()
    .describe(
      'of a record alone: it failed before there was a plan. `kind` is what was asked for, or archive; planVersion is 0',
    ),
});
export type Drill = z.infer<typeof Drill>;

/**
 * One archive that is rehearsed: one iteration of the Map. `restore` is what Retrieve Archive and the restore
 * engine understand; its target is the server inside the task, its restoreId is the database's own.
 */
export const ArchiveDrill = z.strictObject({
  restore: PlannedRestore,
  retrieval: PlannedRestoreState.shape.retrieval,
  task: PlannedRestoreState.shape.task,
  chosenBy: z.enum(['latest', 'random', 'named']),
  /** When the newest verified backup of the database began: what could be brought back now. */
  newestBackupAt: z.iso.datetime(),
});
export type ArchiveDrill = z.infer<typeof ArchiveDrill>;

/** The server that is rehearsed: restored beside the original, by the states of restore-server. */
export const ServerDrill = z.strictObject({
  restore: PlannedServerRestore,
  task: PlannedRestoreState.shape.task,
  /** When the newest data that can be brought back were written: the snapshot's or the latest restorable time. */
  newestDataAt: z.iso.datetime(),
});
export type ServerDrill = z.infer<typeof ServerDrill>;

/** A database of which no archive can be rehearsed: it fails the drill, as nothing could be brought back. */
export const MissingDrill = z.strictObject({
  database: z.string(),
  backupId: z.string().nullable().describe('the one that cannot be read; null: there is none'),
  failure: Failure,
  /** When its newest verified backup began; null: it has none. */
  newestBackupAt: z.iso.datetime().nullable(),
});
export type MissingDrill = z.infer<typeof MissingDrill>;

/** Plan Drill's result: the whole data of the state from here on. One of `archives` and `server` is there. */
export const PlannedDrillState = z.strictObject({
  drill: Drill,
  archives: z.array(ArchiveDrill),
  missing: z.array(MissingDrill),
  concurrency: z.int().min(1),
  server: ServerDrill.nullable(),
});
export type PlannedDrillState = z.infer<typeof PlannedDrillState>;

export const DrillDatabaseEvent = z.object({
  drill: Drill,
  archive: ArchiveDrill,
  /** When Retrieve Archive was entered or, where nothing is retrieved, this state was. */
  begunAt: z.iso.datetime(),
  taskToken: z.string().min(1),
});
export type DrillDatabaseEvent = z.infer<typeof DrillDatabaseEvent>;

export const DrillServerEvent = z.object({
  drill: Drill,
  server: ServerDrill,
  restored: RestoredServerState,
  taskToken: z.string().min(1),
});
export type DrillServerEvent = z.infer<typeof DrillServerEvent>;

/** What the task checks, and where. */
export const DrillSubject = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('archive').describe('restored into a server of its own inside the task'),
    restore: PlannedRestore,
  }),
  z.strictObject({
    type: z.literal('server').describe('a server that RDS restored'),
    connection: Connection,
    identifier: z.string(),
    /** Of the source: what else the server has is checked for damage, and not by the plan's queries. */
    databases: SourcePlan.shape.databases,
    /** When the newest data on it were written; ages are counted from here. */
    newestDataAt: z.iso.datetime(),
  }),
]);
export type DrillSubject = z.infer<typeof DrillSubject>;

/** `order.json`. Says where a secret is, never what it is; of an archive's drill there is none. */
export const DrillOrder = z.strictObject({
  version: z.literal(1),
  drill: Drill,
  subject: DrillSubject,
  taskToken: z.string().min(1),
  createdAt: z.iso.datetime(),
  /** From here on the time counts that bringing the data back takes. */
  begunAt: z.iso.datetime(),
  heartbeatSeconds: z.int(),
  checks: DrillRules.shape.checks,
  smokeQueries: DrillRules.shape.smokeQueries,
  task: SourcePlan.shape.task,
  network: SourcePlan.shape.network,
});
export type DrillOrder = z.infer<typeof DrillOrder>;

/**
 * What a drill found. `data`: what came back is not what was backed up. `target`: it came back, too late or too
 * old. Both fail the drill. `environment`: the drill's own server lacks something, which says nothing about the
 * backup; it is reported and fails nothing.
 */
export const DrillFinding = z.strictObject({
  class: z.enum(['data', 'target', 'environment']),
  check: z.enum([
    'restore',
    'rows',
    'amcheck',
    'checksums',
    'constraints',
    'indexes',
    'sequences',
    'extensions',
    'large-objects',
    'smoke-query',
    'rto',
    'rpo',
  ]),
  /** The table, index, query … it is about; null: the whole. */
  subject: z.string().nullable(),
  message: z.string(),
  advice: z.string(),
});
export type DrillFinding = z.infer<typeof DrillFinding>;

export const SmokeResult = z.strictObject({
  name: z.string(),
  state: z.enum(['passed', 'failed', 'error', 'timeout']),
  expected: z.string().describe('in words: at least 1000'),
  actual: z.string().nullable().describe('at most 200 characters; null: there is no value'),
  seconds: z.number().min(0),
});
export type SmokeResult = z.infer<typeof SmokeResult>;

export const DrillChecks = z.strictObject({
  /** Rows, sequences, indexes, constraints, extensions, large objects; null: a server's are not compared. */
  restored: RestoreChecks.nullable(),
  amcheck: z.strictObject({
    state: z.enum(['clean', 'damaged', 'skipped']),
    tables: z.int().min(0),
    indexes: z.int().min(0),
    damage: z.array(z.strictObject({ relation: z.string(), message: z.string() })),
    reason: z.string().nullable().describe('why it was skipped'),
    seconds: z.number().min(0),
  }),
  dataChecksums: z.strictObject({
    state: z.enum(['clean', 'failures', 'off']),
    failures: z.int().min(0),
  }),
  smokeQueries: z.array(SmokeResult),
});
export type DrillChecks = z.infer<typeof DrillChecks>;

export const DrillPhase = z.enum([
  'retrieval',
  'launch',
  'server',
  'restore',
  'row-checks',
  'amcheck',
  'smoke-queries',
]);
export type DrillPhase = z.infer<typeof DrillPhase>;

/** `drills/<source>/<drillId>/<database>/report.json`: what the task found in one database. */
export const DrillReport = z.strictObject({
  version: z.literal(1),
  database: z.string(),
  backupId: z.string().nullable(),
  server: z.strictObject({ version: z.string(), versionNumber: z.int() }),
  /** Null where RDS restored it. */
  restore: RestoreReport.omit({ checks: true }).nullable(),
  checks: DrillChecks,
  phases: z.array(z.strictObject({ phase: DrillPhase, seconds: z.number().min(0) })),
  tables: z.int().min(0),
  rowsCompared: z
    .literal(false)
    .optional()
    .describe(
      'the backup was verified by its structure alone, which counts no rows; absent: they were',
    ),
  rows: z.int().min(0).describe("counted; of a server that RDS restored, the planner's estimate"),
  sizeBytes: z.int().min(0).describe('of the database that was restored'),
  /** From here on the time counts; absent from reports of older versions. */
  begunAt: z.iso.datetime().optional(),
  /** From `begunAt` to the end of the checks, as it was for what was restored. */
  measuredSeconds: z.number().min(0),
  /** For the whole database: the same, or, where a part was restored, what that comes to; null: too little was. */
  rtoSeconds: z.number().min(0).nullable(),
  extrapolated: z.boolean(),
  rtoUnknown: z.string().optional().describe('why there is no rtoSeconds'),
  tablesLeftOut: z
    .int()
    .min(0)
    .optional()
    .describe(
      "whose rows the drill's server could not take, as it lacks an extension; absent: none",
    ),
  findings: z.array(DrillFinding),
});
export type DrillReport = z.infer<typeof DrillReport>;

/** What the task answers its token with; a server's drill answers with one a database. */
export const DrilledDatabase = z.strictObject({
  database: z.string(),
  backupId: z.string().nullable(),
  reportKey: z.string(),
  failed: z.boolean().describe('it has findings that fail the drill'),
});
export type DrilledDatabase = z.infer<typeof DrilledDatabase>;

/** One iteration's result, also where the task failed or was killed. */
export const DrillResult = z.union([
  z.strictObject({ drilled: z.array(DrilledDatabase) }),
  z.strictObject({ database: z.string(), backupId: z.string(), failure: Failure }),
]);
export type DrillResult = z.infer<typeof DrillResult>;

export const NotifyDrillEvent = z.object({
  executionArn: z.string(),
  input: z.unknown(),
  /** Of the execution; given where there is no `drill` that has it. */
  startedAt: z.iso.datetime().optional(),
  drill: Drill.optional(),
  archives: z.array(ArchiveDrill).optional(),
  missing: z.array(MissingDrill).optional(),
  server: ServerDrill.nullable().optional(),
  results: z.array(DrillResult).optional(),
  restored: RestoredServerState.optional(),
  cleanUp: ServerCleanUp.optional(),
  failure: Failure.optional(),
});
export type NotifyDrillEvent = z.infer<typeof NotifyDrillEvent>;

/** Written by Notify Drill; the last Choice reads `status`, the Fail state `error` and `cause`. */
export const DrillOutcome = z.strictObject({
  status: z.enum(['PASSED', 'FAILED']),
  error: z.string(),
  cause: z.string(),
  recordKey: z.string().nullable().describe('of drill.json; null: it could not be written'),
});
export type DrillOutcome = z.infer<typeof DrillOutcome>;

/** One database in `drill.json`. */
export const DatabaseDrill = z.strictObject({
  database: z.string(),
  backupId: z.string().nullable(),
  /** Which archive that was; null: none, or a server's. The next drill of "alternate" takes the other. */
  chosenBy: ArchiveDrill.shape.chosenBy.nullable(),
  status: z.enum(['PASSED', 'FAILED']),
  /** Null: the task did not get so far. Of tables those that are not as they were; of each list at most 50. */
  report: DrillReport.omit({ version: true, database: true, backupId: true }).nullable(),
  rpoSeconds: z
    .number()
    .min(0)
    .nullable()
    .describe(
      'age of the newest data that could be brought back; null: there are none, or nobody knows',
    ),
  findings: z.array(DrillFinding).describe("the report's, and those of RTO and RPO"),
  error: z.string().nullable(),
  cause: z.string().nullable(),
});
export type DatabaseDrill = z.infer<typeof DatabaseDrill>;

/** `drills/<source>/<drillId>/drill.json`: what came of it. Written by Notify Drill; of one that was stopped, by Reconcile. */
export const DrillRecord = z.strictObject({
  version: z.literal(1),
  status: z.enum(['PASSED', 'FAILED']),
  /** The one name that stands for all that failed; null: nothing did. */
  error: z.string().nullable(),
  cause: z.string().nullable(),
  drill: Drill,
  endedAt: z.iso.datetime(),
  durationSeconds: z.number().min(0),
  /**
   * Until all databases are back, as many at a time as were rehearsed at a time; null: of one of them nobody knows, or
   * none came back.
   */
  rtoSeconds: z.number().min(0).nullable(),
  /** The oldest of all databases; null: none was measured. As well where nothing of one database can be brought back, whose finding of check `rpo` says so. */
  rpoSeconds: z.number().min(0).nullable(),
  databases: z.array(DatabaseDrill),
  findings: z
    .array(DrillFinding)
    .optional()
    .describe(
      'of all databases together, such as an RTO that none of them alone missed; absent: none',
    ),
  /** Of a server's drill: what it was made of, and what became of it. */
  server: z
    .strictObject({
      identifier: z.string(),
      origin: PlannedServerRestore.shape.origin,
      cleanUp: ServerCleanUp.nullable(),
    })
    .nullable(),
});
export type DrillRecord = z.infer<typeof DrillRecord>;

/** `backups/<source>/<database>/<backupId>/drilled.json`: the first drill that brought this backup back. */
export const Drilled = z.strictObject({
  version: z.literal(1),
  source: z.string(),
  database: z.string(),
  backupId: z.string(),
  drillId: z.string(),
  drilledAt: z.iso.datetime(),
  rtoSeconds: z.number().min(0).nullable(),
});
export type Drilled = z.infer<typeof Drilled>;
