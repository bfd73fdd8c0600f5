import * as z from 'zod';
import { parseBackupId } from '#domain/names.ts';
import { Connection, SourceName, SourcePlan } from './source-plan.ts';
import { Failure } from './workflow.ts';

/**
 * The payloads of `statemachines/restore.asl.json` and the records of a restore, which lie under
 * `restores/<source>/<restoreId>/`: `order.json` (written by Restore Database, read by the task, by Handle
 * Task Stopped and by Clean Up Restore), `retrieval.json` (Retrieve Archive; who waits for Glacier),
 * `clean-up.json` (the task, where it took back what it had put into a database that was there) and `restore.json`
 * (Notify Restore: what came of it).
 */

const BackupId = z
  .string()
  .refine(
    (id) => parseBackupId(id) !== undefined,
    'is no backup id; write 20261120T030000Z-k3v9qd',
  );

/** What pg_restore leaves away on request; the rest of an object stays. */
export const LeftOut = z.enum([
  'indexes',
  'constraints',
  'triggers',
  'policies',
  'rules',
  'comments',
  'privileges',
  'publications',
  'subscriptions',
  'statistics',
]);
export type LeftOut = z.infer<typeof LeftOut>;

/** What of the archive is restored. Everything by default. */
export const Selection = z.strictObject({
  tables: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('"schema.table", * and ? match within a part: ["public.orders", "audit.*"]'),
  schemas: z.array(z.string().min(1)).min(1).optional().describe('names, with * and ?'),
  only: z.enum(['schema', 'data']).optional(),
  without: z.array(LeftOut).default([]),
  withDependencies: z
    .boolean()
    .default(false)
    .describe('also what the selected objects need: types, functions, sequences, parents …'),
});
export type Selection = z.infer<typeof Selection>;

/** Owners and grants. By default they are kept, and a role that is missing is an error before the start. */
export const RoleHandling = z.strictObject({
  createMissing: z
    .boolean()
    .default(false)
    .describe("creates missing roles from the backup's globals.sql: without passwords"),
  noOwner: z.boolean().default(false).describe('everything belongs to the restoring role'),
  role: z.string().min(1).optional().describe('SET ROLE before anything is made: it owns all'),
});
export type RoleHandling = z.infer<typeof RoleHandling>;

/**
 * Where it goes. `new`: a database that does not exist yet. `existing`: one that is there and has no user
 * tables. `swap`: new, and after the checks it takes the place of the original, which stays under a dated name.
 */
export const TargetMode = z.enum(['new', 'existing', 'swap']);
export type TargetMode = z.infer<typeof TargetMode>;

export const RetrievalTier = z.enum(['expedited', 'standard', 'bulk']);
export type RetrievalTier = z.infer<typeof RetrievalTier>;

/** What starts a restore, in the console or from the CLI. */
export const RestoreInput = z
  .strictObject({
    source: SourceName.describe('whose backup; its plan also says where to, by default'),
    database: z.string().min(1).optional().describe('as it was called when it was backed up'),
    backup: z
      .union(
        [
          z.literal('latest'),
          BackupId,
          z.strictObject({ before: z.iso.datetime({ offset: true }) }),
        ],
        'write "latest", a backup id, or {"before":"2026-11-20T12:00:00Z"}',
      )
      .default('latest')
      .describe("'latest' (verified), a backup id, or the last one that began before a time"),
    archive: z
      .string()
      .regex(/^imports\/[A-Za-z0-9/_.=-]+$/, 'write a key under imports/: imports/shop.dump')
      .optional()
      .describe('instead of a backup: a custom-format archive that pg_dump alone made'),
    target: z
      .strictObject({
        source: SourceName.optional().describe("another source's server"),
        database: z.string().min(1).optional().describe('default: shop_restored_<id>'),
        mode: TargetMode.default('new'),
      })
      .prefault({}),
    selection: Selection.prefault({}),
    roles: RoleHandling.prefault({}),
    jobs: z.int().min(1).max(32).optional().describe("default: the plan's restore.jobs"),
    allowUnverified: z.boolean().default(false),
    keepOnFailure: z.boolean().default(false).describe('leaves what there is for you to look at'),
    retrievalTier: RetrievalTier.default('standard').describe('where it lies in Glacier'),
    reason: z.string().max(200).optional(),
  })
  .refine(({ database, archive }) => database !== undefined || archive !== undefined, {
    path: ['database'],
    message: 'say which database: "database": "shop"',
  });
export type RestoreInput = z.infer<typeof RestoreInput>;

/** Plan Restore is called with the execution's input and the context's own facts. */
export const PlanRestoreEvent = z.object({
  input: z.unknown(),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
});
export type PlanRestoreEvent = z.infer<typeof PlanRestoreEvent>;

/** How much the archive can be trusted; `foreign`: made by pg_dump alone, there is no proof. */
export const Trust = z.enum(['verified', 'unverified', 'quarantined', 'foreign']);
export type Trust = z.infer<typeof Trust>;

/** One object as it is to be read: this version and no other. */
export const PinnedObject = z.strictObject({
  key: z.string(),
  versionId: z.string().optional(),
  sizeBytes: z.int().min(0),
});
export type PinnedObject = z.infer<typeof PinnedObject>;

/** Written by Plan Restore; read by every later state and, within the order, by the task. */
export const PlannedRestore = z.strictObject({
  restoreId: z.string(),
  source: SourceName,
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
  reason: z.string().nullable(),
  /** Null for a foreign archive. */
  backup: z
    .strictObject({ database: z.string(), backupId: z.string() })
    .nullable()
    .describe('its records lie beside the archive'),
  trust: Trust,
  archive: PinnedObject,
  target: z.strictObject({
    source: SourceName,
    planVersion: z.int(),
    database: z.string(),
    mode: TargetMode,
    /** The name that `swap` gives it in the end; null otherwise. */
    swapWith: z.string().nullable(),
  }),
  selection: Selection,
  roles: RoleHandling,
  jobs: z.int().min(1),
  keepOnFailure: z.boolean(),
});
export type PlannedRestore = z.infer<typeof PlannedRestore>;

/** Plan Restore's result: the whole data of the state from here on. */
export const PlannedRestoreState = z.strictObject({
  restore: PlannedRestore,
  retrieval: z.strictObject({
    needed: z.boolean(),
    tier: RetrievalTier,
    storageClass: z.string(),
    /** Longest that S3 says it takes, doubled. */
    timeoutSeconds: z.int().min(1),
  }),
  task: z.strictObject({ heartbeatSeconds: z.int(), timeoutSeconds: z.int() }),
});
export type PlannedRestoreState = z.infer<typeof PlannedRestoreState>;

export const RetrieveArchiveEvent = z.object({
  restore: PlannedRestore,
  retrieval: PlannedRestoreState.shape.retrieval,
  taskToken: z.string().min(1),
});
export type RetrieveArchiveEvent = z.infer<typeof RetrieveArchiveEvent>;

/** `restores/<source>/<restoreId>/retrieval.json`, and beside it a marker under the archive's key. */
export const Retrieval = z.strictObject({
  version: z.literal(1),
  restoreId: z.string(),
  source: SourceName,
  archive: PinnedObject,
  tier: RetrievalTier,
  requestedAt: z.iso.datetime(),
  taskToken: z.string().min(1),
});
export type Retrieval = z.infer<typeof Retrieval>;

export const RestoreDatabaseEvent = z.object({
  restore: PlannedRestore,
  task: PlannedRestoreState.shape.task,
  taskToken: z.string().min(1),
});
export type RestoreDatabaseEvent = z.infer<typeof RestoreDatabaseEvent>;

/** `restores/<source>/<restoreId>/order.json`. Says where the secret is, never what it is. */
export const RestoreOrder = z.strictObject({
  version: z.literal(1),
  restore: PlannedRestore,
  taskToken: z.string().min(1),
  createdAt: z.iso.datetime(),
  heartbeatSeconds: z.int(),
  connection: Connection.describe('of the target server, as the role that restores'),
  task: SourcePlan.shape.task,
  network: SourcePlan.shape.network,
});
export type RestoreOrder = z.infer<typeof RestoreOrder>;

/** A statement that failed and need not have worked: reported, not fatal. */
export const ToleratedStatement = z.strictObject({
  sqlState: z.string(),
  objectType: z.string().describe("the archive's own word: EXTENSION, COMMENT, EVENT TRIGGER …"),
  object: z.string(),
  message: z.string(),
  statement: z.string().describe('its beginning'),
  advice: z.string().describe('what it means, and what to do if it matters'),
});
export type ToleratedStatement = z.infer<typeof ToleratedStatement>;

export const RowCheck = z.strictObject({
  schema: z.string(),
  table: z.string(),
  expected: z.int().min(0).nullable().describe('by verification.json; null: it counted none'),
  actual: z.int().min(0),
});
export type RowCheck = z.infer<typeof RowCheck>;

/** What was looked at after the restore; `problems` is empty when all is well. */
export const RestoreChecks = z.strictObject({
  rows: z.array(RowCheck),
  sequences: z.strictObject({ checked: z.int(), behind: z.array(z.string()) }),
  invalidIndexes: z.array(z.string()),
  invalidConstraints: z.array(z.string()),
  extensions: z.array(z.strictObject({ name: z.string(), version: z.string() })),
  largeObjects: z.strictObject({ expected: z.int().nullable(), actual: z.int() }),
  publications: z.array(z.string()),
  subscriptions: z
    .array(z.strictObject({ name: z.string(), enabled: z.boolean() }))
    .describe('a restored subscription is disabled until somebody enables it'),
  problems: z.array(z.string()),
});
export type RestoreChecks = z.infer<typeof RestoreChecks>;

export const RestorePhase = z.enum([
  'retrieval',
  'prepare',
  'pre-data',
  'data',
  'post-data',
  'analyze',
  'check',
  'swap',
]);
export type RestorePhase = z.infer<typeof RestorePhase>;

/** What the task found and did; the larger half of `restore.json`. */
export const RestoreReport = z.strictObject({
  server: z.strictObject({ version: z.string(), versionNumber: z.int() }),
  /** Where the restored data are now. */
  database: z.string(),
  /** What `swap` renamed the original to; null otherwise. */
  previousDatabase: z.string().nullable(),
  archiveBytes: z.int().min(0),
  bytesRead: z.int().min(0).describe('of the archive, its table of contents included'),
  checksum: z
    .enum(['matched', 'blocks-matched', 'not-whole', 'unknown'])
    .describe(
      'matched: of the whole archive; blocks-matched: a part was read, and of every block in it; ' +
        'not-whole: a part was read, of whose blocks it is not known; unknown: there is none to compare with',
    ),
  entries: z.strictObject({ selected: z.int(), total: z.int() }),
  phases: z.array(z.strictObject({ phase: RestorePhase, seconds: z.number().min(0) })),
  tolerated: z.array(ToleratedStatement),
  createdRoles: z.array(z.string()),
  checks: RestoreChecks,
  warnings: z.array(z.string()),
});
export type RestoreReport = z.infer<typeof RestoreReport>;

/** What the task answers its token with; the report itself lies under `reportKey`. */
export const RestoredDatabase = z.strictObject({
  database: z.string(),
  previousDatabase: z.string().nullable(),
  reportKey: z.string(),
  tables: z.int(),
  rows: z.int(),
  bytesRead: z.int(),
  seconds: z.number(),
  tolerated: z.int(),
  warnings: z.int(),
});
export type RestoredDatabase = z.infer<typeof RestoredDatabase>;

export const CleanUpRestoreEvent = z.object({ restore: PlannedRestore, failure: Failure });
export type CleanUpRestoreEvent = z.infer<typeof CleanUpRestoreEvent>;

/** Written by Clean Up Restore, and by the task as `clean-up.json`. */
export const CleanUp = z.strictObject({
  status: z.enum(['dropped', 'emptied', 'nothing-left', 'kept', 'failed']),
  detail: z.string(),
});
export type CleanUp = z.infer<typeof CleanUp>;

export const NotifyRestoreEvent = z.object({
  executionArn: z.string(),
  input: z.unknown(),
  restore: PlannedRestore.optional(),
  restored: RestoredDatabase.optional(),
  cleanUp: CleanUp.optional(),
  failure: Failure.optional(),
});
export type NotifyRestoreEvent = z.infer<typeof NotifyRestoreEvent>;

/** `restores/<source>/<restoreId>/restore.json`: what came of it. Written by Notify Restore. */
export const RestoreRecord = z.strictObject({
  version: z.literal(1),
  status: z.enum(['SUCCEEDED', 'FAILED']),
  error: z.string().nullable(),
  cause: z.string().nullable(),
  endedAt: z.iso.datetime(),
  durationSeconds: z.number().min(0),
  restore: PlannedRestore,
  report: RestoreReport.nullable(),
  cleanUp: CleanUp.nullable(),
});
export type RestoreRecord = z.infer<typeof RestoreRecord>;
