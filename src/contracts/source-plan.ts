import * as z from 'zod';
import { SOURCE_NAME } from '#domain/names.ts';

/**
 * The plan of one source: what is backed up, when, how, and for how long. Written in the plan file
 * under `sources.<name>`, stored as one SSM parameter a source, read by every function.
 */

export const SourceName = z
  .string()
  .regex(SOURCE_NAME, 'use lower-case words joined by hyphens, at most 40 characters: orders-eu');

export const BackupKind = z.enum(['snapshot', 'logical']);
export type BackupKind = z.infer<typeof BackupKind>;

const Engine = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('rds-instance').describe('an RDS for PostgreSQL instance'),
    identifier: z.string().min(1).describe('DBInstanceIdentifier'),
  }),
  z.strictObject({
    type: z.literal('aurora-cluster').describe('an Aurora PostgreSQL cluster'),
    identifier: z.string().min(1).describe('DBClusterIdentifier'),
  }),
  z.strictObject({
    type: z.literal('postgres').describe('any PostgreSQL server; logical backups only'),
  }),
]);

/** How to reach and prove ourselves to the server. Holds where the secret is, never the secret. */
export const Connection = z.strictObject({
  host: z.string().min(1).describe("the server's DNS name: the endpoint of RDS or Aurora"),
  port: z.int().min(1).max(65_535).default(5432),
  user: z.string().min(1).optional().describe("default: the secret's `username`"),
  maintenanceDatabase: z.string().min(1).default('postgres'),
  auth: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('secret'),
      secretId: z
        .string()
        .min(1)
        .describe('name or ARN in Secrets Manager; JSON with username and password'),
    }),
    z.strictObject({ type: z.literal('iam') }).describe('IAM database authentication'),
  ]),
  tls: z
    .strictObject({
      mode: z.enum(['verify-full', 'verify-ca', 'require', 'disable']).default('verify-full'),
      caFile: z
        .string()
        .optional()
        .describe('PEM file in the image and the layer; default: the RDS CA bundle'),
    })
    .prefault({}),
});
export type Connection = z.infer<typeof Connection>;

const DatabaseSelection = z
  .union([
    z.literal('all'),
    z.array(z.string().min(1)).min(1),
    z.strictObject({
      include: z.array(z.string().min(1)).min(1).default(['*']),
      exclude: z.array(z.string().min(1)).default([]),
    }),
  ])
  .describe("'all', a list of names, or patterns with * and ? to include and exclude");
export type DatabaseSelection = z.infer<typeof DatabaseSelection>;

/** A zone that `Intl` knows; the same data are behind EventBridge Scheduler's names. */
const TimeZone = z
  .string()
  .refine(isTimeZone, 'is no time zone; write an IANA name, such as Europe/Berlin or UTC')
  .default('UTC');

function isTimeZone(name: string): boolean {
  // Intl takes an offset such as +02:00 too, but Scheduler wants a name.
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const Schedule = z.strictObject({
  expression: z
    .string()
    .regex(
      /^(cron\(\S+( \S+){5}\)|rate\((1 (minute|hour|day)|([2-9]|[1-9]\d+) (minutes|hours|days))\))$/,
      'write cron(minute hour day month weekday year), as in cron(0 3 * * ? *), or rate(6 hours)',
    )
    .refine((expression) => {
      const [, , day, , weekday] = expression.slice('cron('.length, -1).split(' ');
      return expression.startsWith('rate') || (day === '?') !== (weekday === '?');
    }, 'write ? for the day of the month or for the weekday, and not for both: cron(0 3 * * ? *)')
    .describe('in the syntax of EventBridge Scheduler'),
  timezone: TimeZone.describe('IANA name, such as Europe/Berlin'),
});

const Compression = z.discriminatedUnion('algorithm', [
  z.strictObject({ algorithm: z.literal('zstd'), level: z.int().min(1).max(22).default(1) }),
  z.strictObject({ algorithm: z.literal('gzip'), level: z.int().min(1).max(9).default(6) }),
]);
export type Compression = z.infer<typeof Compression>;

const Dump = z.strictObject({
  compression: Compression.prefault({ algorithm: 'zstd' }),
  lockWaitTimeoutSeconds: z.int().min(1).max(3600).default(60),
  concurrency: z.int().min(1).max(40).default(2).describe('databases of this source at a time'),
  timeoutMinutes: z.int().min(1).max(10_080).default(720).describe('for one database'),
  heartbeatSeconds: z.int().min(3).max(3600).default(300).describe('silence after which it failed'),
});

/** Fargate's sizes: CPU units, and of each the least and the most memory and its step, in MiB. */
const FARGATE_SIZES = new Map([
  [256, { least: 512, most: 2048, step: 512 }],
  [512, { least: 1024, most: 4096, step: 1024 }],
  [1024, { least: 2048, most: 8192, step: 1024 }],
  [2048, { least: 4096, most: 16_384, step: 1024 }],
  [4096, { least: 8192, most: 30_720, step: 1024 }],
  [8192, { least: 16_384, most: 61_440, step: 4096 }],
  [16_384, { least: 32_768, most: 122_880, step: 8192 }],
]);

const Task = z
  .strictObject({
    cpu: z.int().min(256).default(1024).describe('ECS CPU units; 1024 is one vCPU'),
    memoryMiB: z.int().min(512).default(2048).describe('what Fargate has for that many CPU units'),
    spot: z.boolean().default(false).describe('cheaper; AWS may stop the task, the run then fails'),
  })
  .check((context) => {
    const { cpu, memoryMiB } = context.value;
    const size = FARGATE_SIZES.get(cpu);
    // 256 CPU units go with 512, 1024 and 2048 MiB, without the step between.
    const fits =
      size !== undefined &&
      memoryMiB >= size.least &&
      memoryMiB <= size.most &&
      memoryMiB % size.step === 0 &&
      !(cpu === 256 && memoryMiB === 1536);
    if (fits) return;
    context.issues.push({
      code: 'custom',
      input: context.value,
      path: [size ? 'memoryMiB' : 'cpu'],
      message: size
        ? `Fargate has no ${cpu} CPU units with ${memoryMiB} MiB; write ${size.least} to ${size.most} in steps of ${size.step}`
        : `Fargate has no ${cpu} CPU units; write one of ${[...FARGATE_SIZES.keys()].join(', ')}`,
    });
  });

const Network = z.strictObject({
  subnets: z.array(z.string().min(1)).min(1),
  securityGroups: z.array(z.string().min(1)).min(1),
  assignPublicIp: z.boolean().default(false),
});

const retentionRules = {
  keepLast: z.int().min(0).default(7),
  daily: z.int().min(0).default(14).describe('newest of each of the last N days that have one'),
  weekly: z.int().min(0).default(8).describe('ISO weeks'),
  monthly: z.int().min(0).default(12),
  yearly: z.int().min(0).default(2),
  minimumVerified: z.int().min(1).default(3).describe('newest verified never deleted'),
  unverifiedGraceHours: z.int().min(1).default(48),
  maxDeleteShare: z.number().min(0).max(1).default(0.5).describe('more than this: RetentionGuard'),
};
export const RetentionRules = z.strictObject(retentionRules);
export type RetentionRules = z.infer<typeof RetentionRules>;

const Retention = z.strictObject({
  archives: RetentionRules.prefault({}),
  snapshots: RetentionRules.prefault({ keepLast: 3, daily: 7, weekly: 4, monthly: 0, yearly: 0 }),
  timezone: TimeZone.describe('in which days, weeks and months are counted'),
  dryRun: z.boolean().default(false).describe('show the plan, delete nothing'),
});

const Verification = z.strictObject({
  level: z
    .enum(['structure', 'full'])
    .default('full')
    .describe('structure: checksums, contents, offsets; full: every row decoded too'),
  sizeAnomaly: z
    .strictObject({
      action: z.enum(['warn', 'fail', 'ignore']).default('warn'),
      ratio: z.number().min(1).default(2).describe('2: half or double the median'),
      minimumBytes: z.int().min(0).default(1_048_576).describe('smaller differences never count'),
      window: z.int().min(1).max(50).default(7).describe('last verified backups compared with'),
      warmUp: z.int().min(1).default(3).describe('backups needed before it is judged'),
    })
    .prefault({}),
  lambdaMaxBytes: z
    .int()
    .min(0)
    .default(20_000_000_000)
    .describe('larger archives are verified by a Fargate task'),
});

/** Who restores. The role that backs up may read everything and create nothing. */
const Restore = z.strictObject({
  user: z.string().min(1).optional().describe("default: the secret's `username`"),
  auth: Connection.shape.auth
    .optional()
    .describe('of a role that may create databases; default: the one of connection'),
  jobs: z.int().min(1).max(32).default(4).describe('tables, and then indexes, at the same time'),
  timeoutMinutes: z.int().min(1).max(10_080).default(1440),
  heartbeatSeconds: z.int().min(3).max(3600).default(300),
});

export const DrillKind = z.enum(['archive', 'snapshot', 'point-in-time']);
export type DrillKind = z.infer<typeof DrillKind>;
export const DrillChoice = z.enum(['latest', 'random', 'alternate']);
export type DrillChoice = z.infer<typeof DrillChoice>;

const REGULAR_EXPRESSION = 'is no regular expression; write one as JavaScript has it: ^[0-9]+$';

/** What the first column of the first row must be. */
const Expectation = z.union(
  [
    z.strictObject({ equals: z.union([z.string(), z.number(), z.boolean(), z.null()]) }),
    z.strictObject({ atLeast: z.number() }),
    z.strictObject({
      matches: z.string().min(1).max(500).refine(isRegularExpression, REGULAR_EXPRESSION),
    }),
    z.strictObject({
      maxAgeMinutes: z
        .number()
        .positive()
        .describe('of a timestamp, counted from when the backup began'),
    }),
  ],
  'write one of equals, atLeast, matches and maxAgeMinutes',
);
export type Expectation = z.infer<typeof Expectation>;

function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text, 'u') instanceof RegExp;
  } catch {
    return false;
  }
}

export const SmokeQuery = z.strictObject({
  name: z.string().min(1).max(100).describe('as it is reported: newest order'),
  database: z.string().min(1).optional().describe('default: every database of the source'),
  query: z
    .string()
    .min(1)
    .max(10_000)
    .describe('one statement; it runs in a read-only transaction'),
  expect: Expectation,
  timeoutSeconds: z.int().min(1).max(3600).default(60),
});
export type SmokeQuery = z.infer<typeof SmokeQuery>;

/** Rehearsals. The task that rehearses is larger than one that dumps: it runs a server. */
export const DrillRules = z.strictObject({
  schedule: z
    .union([z.literal('none'), Schedule])
    .prefault({ expression: 'cron(0 5 1 * ? *)' })
    .describe("default: monthly; 'none': by hand only"),
  kinds: z
    .array(DrillKind)
    .min(1)
    .default(['archive'])
    .describe('in turn, one a drill; snapshot and point-in-time make a temporary RDS server'),
  choose: DrillChoice.default('alternate').describe(
    'which archive: the latest, a random one of randomDays, or both in turn',
  ),
  randomDays: z.int().min(1).max(3650).default(90),
  maxDatabases: z
    .int()
    .min(1)
    .max(100)
    .default(20)
    .describe('in one drill; those that were drilled longest ago come first'),
  tables: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      'only these, as in a restore, for databases too large for a task; times are extrapolated',
    ),
  targets: z
    .strictObject({
      rtoMinutes: z.int().min(1).default(240).describe('until the data are back'),
      rpoMinutes: z
        .int()
        .min(1)
        .optional()
        .describe(
          'age of the newest data that come back; default: a day, and more where backups are made less often than that',
        ),
    })
    .prefault({}),
  checks: z
    .strictObject({
      amcheck: z
        .enum(['full', 'quick', 'off'])
        .default('full')
        .describe(
          'full: heap, TOAST and B-trees with every row looked up; quick: without the look-up',
        ),
    })
    .prefault({}),
  smokeQueries: z.array(SmokeQuery).max(50).default([]),
  task: Task.prefault({ cpu: 2048, memoryMiB: 8192 }),
  network: Network.optional().describe(
    'of the drill alone, which reaches nothing of production; default: network',
  ),
  server: z
    .strictObject({
      instanceClass: z.string().startsWith('db.').optional().describe("default: the source's"),
      subnetGroup: z.string().min(1).optional(),
      securityGroups: z
        .array(z.string().regex(/^sg-\w+$/))
        .min(1)
        .optional(),
    })
    .prefault({})
    .describe('of the temporary RDS server, which is never public'),
  timeoutMinutes: z.int().min(1).max(10_080).default(720),
  heartbeatSeconds: z.int().min(3).max(3600).default(300),
});
export type DrillRules = z.infer<typeof DrillRules>;

/** When silence or change is an alarm. */
const Monitoring = z.strictObject({
  freshnessHours: z
    .number()
    .positive()
    .optional()
    .describe('oldest that the newest verified backup may be; default: from the schedule'),
  drillAgeDays: z
    .number()
    .positive()
    .optional()
    .describe('since the last drill that passed; default: from its schedule'),
  duration: z
    .strictObject({
      ratio: z.number().min(1).default(3).describe('of the median of the last verified ones'),
      minimumSeconds: z.int().min(0).default(300).describe('shorter dumps never count'),
      window: z.int().min(1).max(50).default(7),
      warmUp: z.int().min(1).default(3),
    })
    .prefault({}),
  snapshotQuotaPercent: z.number().min(1).max(100).default(80).describe("of the region's quota"),
});
export type Monitoring = z.infer<typeof Monitoring>;

const Alerts = z.strictObject({
  on: z.array(z.enum(['success', 'failure'])).default(['success', 'failure']),
});

export const SourcePlan = z
  .strictObject({
    source: SourceName,
    engine: Engine,
    connection: Connection,
    databases: DatabaseSelection.default('all'),
    kinds: z.array(BackupKind).min(1).optional().describe('default: every kind the engine has'),
    schedule: Schedule.optional().describe('none: started by hand or by a request object'),
    dump: Dump.prefault({}),
    task: Task.prefault({}),
    network: Network.optional().describe('of the Fargate task; needed on AWS for logical backups'),
    retention: Retention.prefault({}),
    verification: Verification.prefault({}),
    restore: Restore.prefault({}),
    drill: DrillRules.prefault({}),
    monitoring: Monitoring.prefault({}),
    snapshot: z
      .strictObject({
        pollSeconds: z.int().min(1).max(3600).default(60),
        timeoutMinutes: z.int().min(1).default(720),
      })
      .prefault({}),
    alerts: Alerts.prefault({}),
  })
  .check((context) => {
    const { source, engine, kinds, connection } = context.value;
    if (engine.type === 'postgres' && kinds?.includes('snapshot')) {
      context.issues.push({
        code: 'custom',
        input: kinds,
        path: ['kinds'],
        message: 'a plain server has no RDS snapshots; write kinds: [logical]',
      });
    }
    if (connection.auth.type === 'iam' && connection.user === undefined) {
      context.issues.push({
        code: 'custom',
        input: connection,
        path: ['connection', 'user'],
        message: 'IAM authentication needs the user to connect as; write user: holdfast',
      });
    }
    if (connection.auth.type === 'iam' && connection.tls.mode === 'disable') {
      context.issues.push({
        code: 'custom',
        input: connection,
        path: ['connection', 'tls', 'mode'],
        message: 'IAM authentication needs TLS; write verify-full',
      });
    }
    // RDS: ids of cluster snapshots have at most 63 characters; ours add 33 to the source's name.
    if (engine.type === 'aurora-cluster' && source.length > 30) {
      context.issues.push({
        code: 'custom',
        input: source,
        path: ['source'],
        message:
          'the name of an Aurora source has at most 30 characters (ids of its snapshots: 63)',
      });
    }
  });
export type SourcePlan = z.infer<typeof SourcePlan>;

/** The kinds a run makes when its input names none. */
export function defaultKinds(plan: Pick<SourcePlan, 'kinds' | 'engine'>): BackupKind[] {
  return plan.kinds ?? (plan.engine.type === 'postgres' ? ['logical'] : ['snapshot', 'logical']);
}

/** The connection as the role that restores. */
export function restoreConnection({ connection, restore }: SourcePlan): Connection {
  const { user: backupUser, auth: backupAuth, ...rest } = connection;
  // Another secret brings its own user.
  const user = restore.user ?? (restore.auth ? undefined : backupUser);
  return { ...rest, auth: restore.auth ?? backupAuth, ...(user === undefined ? {} : { user }) };
}
