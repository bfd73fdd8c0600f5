import * as z from 'zod';
import { SourceName } from './source-plan.ts';
import { Discovery, Failure } from './workflow.ts';

/**
 * The payloads of `statemachines/restore-server.asl.json`, which restores a whole RDS instance or Aurora
 * cluster beside the original, and its record `restores/<source>/<restoreId>/server.json`.
 */

/** An RDS instance, or an Aurora cluster with its writer. */
export const ServerKind = z.enum(['instance', 'cluster']);
export type ServerKind = z.infer<typeof ServerKind>;

/** API reference, CreateDBInstance: a letter, then letters, digits and single hyphens; stored in lower case. */
export const ServerIdentifier = z
  .string()
  .regex(
    /^(?=.{1,63}$)[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$/,
    'write 1 to 63 letters, digits and single hyphens, first a letter: orders-restored',
  )
  .toLowerCase();

const SNAPSHOT_WORDS = 'write "latest", the id of a snapshot, or its ARN';
const TIME_WORDS = 'write "latest", or a time such as "2026-11-20T12:00:00Z"';

/** A snapshot's id, as RDS lists it (`rds:…` automated, `awsbackup:…` by AWS Backup), or its ARN. */
const SnapshotName = z
  .string()
  .regex(
    /^(arn:aws[\w-]*:rds:[a-z0-9-]+:\d{12}:(cluster-)?snapshot:)?((rds|awsbackup):)?[A-Za-z][A-Za-z0-9.-]{0,254}$/,
    SNAPSHOT_WORDS,
  );

/** RDS: keys to 128 and values to 256 characters. */
const Tags = z
  .record(z.string().min(1).max(128), z.string().max(256))
  .refine(
    (tags) => Object.keys(tags).every((key) => !/^(aws|holdfast):/i.test(key)),
    "target.tags has a key that begins with aws: or holdfast:, which are Amazon's and ours",
  );

/** What of the new server is not as it is at the source. */
export const ServerTarget = z.strictObject({
  identifier: ServerIdentifier.optional().describe('default: <source>-restored-<UTC second>'),
  instanceClass: z.string().startsWith('db.', 'write a class: db.r6g.large').optional(),
  subnetGroup: z.string().min(1).optional().describe('DB subnet group: decides the VPC'),
  securityGroups: z
    .array(z.string().regex(/^sg-\w+$/, 'is no security group; write sg-0123456789abcdef0'))
    .min(1)
    .optional(),
  parameterGroup: z.string().min(1).optional().describe('of the instance; of the Aurora writer'),
  clusterParameterGroup: z.string().min(1).optional().describe('Aurora only'),
  optionGroup: z.string().min(1).optional().describe('instances only'),
  kmsKeyId: z.string().min(1).optional().describe('Aurora only: an instance keeps its key'),
  multiAz: z.boolean().optional().describe('instances only'),
  tags: Tags.optional().describe("beside the source's own"),
  publiclyAccessible: z.boolean().default(false),
  deletionProtection: z.boolean().default(false),
});
export type ServerTarget = z.infer<typeof ServerTarget>;

/** What starts the restore of a server, in the console or from the CLI. */
export const ServerRestoreInput = z
  .strictObject({
    source: SourceName.describe("whose server; left out, it is read from our own snapshot's id"),
    snapshot: z.union([z.literal('latest'), SnapshotName], { error: SNAPSHOT_WORDS }).optional(),
    pointInTime: z
      .union([z.literal('latest'), z.iso.datetime({ offset: true, error: TIME_WORDS })], {
        error: TIME_WORDS,
      })
      .optional(),
    target: ServerTarget.prefault({}),
    cleanUpOnFailure: z
      .boolean()
      .optional()
      .describe(
        'true: deletes the new server after any failure; false: never; default: unless it runs',
      ),
    timeoutMinutes: z
      .int()
      .min(1)
      .max(4320)
      .default(1440)
      .describe('for RDS to make the server; large ones take hours'),
    reason: z.string().max(200).optional(),
  })
  .check((context) => {
    const { snapshot, pointInTime } = context.value;
    if ((snapshot === undefined) !== (pointInTime === undefined)) return;
    context.issues.push({
      code: 'custom',
      input: context.value,
      path: ['snapshot'],
      message:
        snapshot === undefined
          ? 'the input has neither a snapshot nor a pointInTime'
          : 'the input has both a snapshot and a pointInTime: only one can be restored',
    });
  });
export type ServerRestoreInput = z.infer<typeof ServerRestoreInput>;

/** Plan Server Restore is called with the execution's input and the context's own facts. */
export const PlanServerRestoreEvent = z.object({
  input: z.unknown(),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
});

/** How a server is set up. Null: RDS decides. Of the writer, where it is an Aurora cluster's. */
export const ServerSettings = z.strictObject({
  instanceClass: z.string().nullable(),
  subnetGroup: z.string().nullable(),
  securityGroups: z.array(z.string()),
  parameterGroup: z.string().nullable(),
  clusterParameterGroup: z.string().nullable().describe('Aurora only'),
  optionGroup: z.string().nullable().describe('instances only'),
  caCertificate: z.string().nullable(),
  storageType: z.string().nullable(),
  iops: z.int().nullable(),
  storageThroughput: z.int().nullable().describe('MiB/s'),
  port: z.int().nullable(),
  multiAz: z.boolean(),
  autoMinorVersionUpgrade: z.boolean(),
  iamAuthentication: z.boolean(),
  logExports: z.array(z.string()),
  networkType: z.string().nullable(),
  kmsKeyId: z.string().nullable(),
  copyTagsToSnapshot: z.boolean(),
  serverless: z
    .strictObject({
      minCapacity: z.number(),
      maxCapacity: z.number(),
      secondsUntilAutoPause: z.int().nullable(),
    })
    .nullable()
    .describe('Aurora Serverless v2, in ACUs'),
  publiclyAccessible: z.boolean(),
  deletionProtection: z.boolean(),
  tags: z.record(z.string(), z.string()),
});
export type ServerSettings = z.infer<typeof ServerSettings>;

/** A server of RDS as it is now. */
export interface SourceServer {
  readonly identifier: string;
  /** `postgres`, `aurora-postgresql`. */
  readonly engine: string;
  readonly engineVersion: string;
  readonly allocatedGiB: number | null;
  readonly resourceId: string | null;
  readonly settings: ServerSettings;
}

/** A snapshot as RDS describes it; what it says of the server's settings. */
export interface ServerSnapshot {
  readonly snapshotId: string;
  readonly arn: string;
  /** `manual`, `automated`, `awsbackup`, `shared`, … */
  readonly type: string;
  readonly status: string;
  readonly serverIdentifier: string;
  readonly resourceId: string | null;
  readonly engine: string;
  readonly engineVersion: string;
  readonly sizeGiB: number | null;
  /** Undefined while it is being made. */
  readonly createdAt: Date | undefined;
  readonly tags: Readonly<Record<string, string>>;
  readonly settings: Pick<
    ServerSettings,
    'optionGroup' | 'storageType' | 'iops' | 'storageThroughput' | 'port' | 'iamAuthentication'
  > & { readonly kmsKeyId: string | null };
}

/** Between these a server can be restored; also of one that is gone and whose backups were kept. */
export interface RestoreWindow {
  readonly earliest: Date | undefined;
  readonly latest: Date;
  /** Of a server that is gone, by which its kept backups are restored. */
  readonly keptResourceId: string | null;
}

/** What the server is made of. */
export const ServerOrigin = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('snapshot'),
    snapshotId: z.string(),
    arn: z.string(),
    snapshotType: z.string(),
    createdAt: z.iso.datetime(),
    serverIdentifier: z.string(),
    sizeGiB: z.int().nullable(),
  }),
  z.strictObject({
    type: z.literal('point-in-time'),
    time: z.iso.datetime().nullable().describe('null: the latest restorable one'),
    latest: z.iso.datetime().describe('the latest restorable one when this was planned'),
    keptResourceId: z.string().nullable(),
  }),
]);
export type ServerOrigin = z.infer<typeof ServerOrigin>;

/** After which failures the new server is deleted. `unfinished`: unless RDS made it and it runs. */
export const CleanUpPolicy = z.enum(['always', 'unfinished', 'never']);
export type CleanUpPolicy = z.infer<typeof CleanUpPolicy>;

/** Written by Plan Server Restore; read by every later state. */
export const PlannedServerRestore = z.strictObject({
  restoreId: z.string(),
  source: SourceName,
  planVersion: z.int(),
  executionArn: z.string(),
  startedAt: z.iso.datetime(),
  reason: z.string().nullable(),
  kind: ServerKind,
  sourceIdentifier: z.string(),
  engine: z.string(),
  engineVersion: z.string().nullable().describe("the snapshot's; null: the source's own"),
  origin: ServerOrigin,
  target: z.strictObject({
    identifier: z.string(),
    writer: z.string().nullable().describe("the Aurora cluster's one instance"),
    settings: ServerSettings,
  }),
  warnings: z.array(z.string()),
  cleanUp: CleanUpPolicy,
  timeoutSeconds: z.int().min(1),
});
export type PlannedServerRestore = z.infer<typeof PlannedServerRestore>;

/** What finds the server of a restore again, and tells it from anybody else's. */
export type RestoredServerName = Pick<PlannedServerRestore, 'restoreId' | 'source' | 'kind'> & {
  readonly target: Pick<PlannedServerRestore['target'], 'identifier' | 'writer'>;
};

/** Plan Server Restore's result: the whole data of the state from here on. */
export const PlannedServerRestoreState = z.strictObject({ restore: PlannedServerRestore });
export type PlannedServerRestoreState = z.infer<typeof PlannedServerRestoreState>;

export const ServerRestoreEvent = z.object({ restore: PlannedServerRestore });

/** Restore Server and Check Restored Server write it; Choice, Wait and the inspection read it. */
export const RestoredServerState = z.strictObject({
  identifier: z.string(),
  arn: z.string(),
  status: z.enum(['creating', 'available']),
  rdsStatus: z.string().describe("RDS's own word"),
  adopted: z.boolean().describe('an earlier try of this restore made it'),
  host: z.string().nullable(),
  port: z.int().nullable(),
  waitSeconds: z.int().min(1).describe('until it is looked at again'),
});
export type RestoredServerState = z.infer<typeof RestoredServerState>;

export const CheckRestoredServerEvent = z.object({
  restore: PlannedServerRestore,
  server: RestoredServerState,
});

/** What the catalogs of one database say; the names are in the warnings. Large ones stay within the payload so. */
export const ServerDatabaseChecks = z.strictObject({
  invalidIndexes: z.int().min(0),
  invalidConstraints: z.int().min(0),
  sequences: z.strictObject({ checked: z.int().min(0), behind: z.int().min(0) }),
  extensions: z.int().min(0),
  publications: z.int().min(0),
  subscriptions: z.strictObject({ total: z.int().min(0), enabled: z.int().min(0) }),
  largeObjects: z.int().min(0),
  collationMismatches: z.int().min(0),
});
export type ServerDatabaseChecks = z.infer<typeof ServerDatabaseChecks>;

/** Written by Inspect Restored Server: what the server says of itself over SQL. */
export const ServerInspection = z.strictObject({
  server: Discovery.shape.server,
  /** The largest first, at most 100. */
  databases: z.array(
    z.strictObject({
      database: z.string(),
      sizeBytes: z.int().min(0).nullable().describe('null: the server does not tell it'),
      tables: z.int().min(0).nullable().describe('null: it was not opened'),
      checks: ServerDatabaseChecks.optional().describe('not where it was not opened'),
    }),
  ),
  /** Of all databases, each version once, the most used first; at most 100. */
  extensions: z
    .array(
      z.strictObject({
        name: z.string(),
        version: z.string(),
        available: z.string().nullable().describe("the server's own version; null: it has none"),
        databases: z.int().min(1).describe('that have it'),
      }),
    )
    .optional(),
  replicationSlots: z.array(z.string()).optional().describe('at most 20'),
  databaseCount: z.int().min(0),
  totalBytes: z.int().min(0),
  warnings: z.array(z.string()),
});
export type ServerInspection = z.infer<typeof ServerInspection>;

export const CleanUpServerEvent = z.object({ restore: PlannedServerRestore, failure: Failure });

/** Written by Clean Up Server. */
export const ServerCleanUp = z.strictObject({
  status: z.enum(['deleting', 'nothing-left', 'not-ours', 'kept', 'failed']),
  detail: z.string(),
});
export type ServerCleanUp = z.infer<typeof ServerCleanUp>;

export const NotifyServerRestoreEvent = z.object({
  executionArn: z.string(),
  input: z.unknown(),
  restore: PlannedServerRestore.optional(),
  server: RestoredServerState.optional(),
  inspection: ServerInspection.optional(),
  cleanUp: ServerCleanUp.optional(),
  failure: Failure.optional(),
});
export type NotifyServerRestoreEvent = z.infer<typeof NotifyServerRestoreEvent>;

/** `restores/<source>/<restoreId>/server.json`: what came of it. Written by Notify Server Restore. */
export const ServerRestoreRecord = z.strictObject({
  version: z.literal(1),
  status: z.enum(['SUCCEEDED', 'FAILED']),
  error: z.string().nullable(),
  cause: z.string().nullable(),
  endedAt: z.iso.datetime(),
  durationSeconds: z.number().min(0),
  restore: PlannedServerRestore,
  server: RestoredServerState.nullable(),
  inspection: ServerInspection.nullable(),
  cleanUp: ServerCleanUp.nullable(),
});
export type ServerRestoreRecord = z.infer<typeof ServerRestoreRecord>;
