import * as z from 'zod';

/**
 * What the doctor asks, what it is answered, and what it says. The facts are AWS's answers, reduced to what
 * is judged; nothing is stored.
 */

/** What is looked at; docs/doctor.md has a section for each. */
export const CHECK_IDS = [
  'backup-age',
  'snapshot-age',
  'quarantine',
  'server',
  'automated-backups',
  'deletion-protection',
  'storage-encryption',
  'public-access',
  'private-subnets',
  'engine-support',
  'minor-upgrades',
  'pending-maintenance',
  'ca-certificate',
  'snapshot-quota',
  'iam-authentication',
  'connection',
  'tls',
  'ca-bundle',
  'role-privileges',
  'client-version',
  'bucket',
  'bucket-versioning',
  'bucket-encryption',
  'bucket-public-access',
  'bucket-tls-policy',
  'bucket-events',
  'bucket-lifecycle',
  'object-lock',
  'mfa-delete',
  'replication',
  'access-logging',
  'plan',
  'schedule',
  'alert-subscription',
  'dead-letter-queue',
  'state-machine',
] as const;
export const CheckId = z.enum(CHECK_IDS);
export type CheckId = z.infer<typeof CheckId>;

/**
 * `fail`: backups are missing, cannot be made, or are open to others. `warn`: they will be, or one mistake is
 * enough. `unknown`: nobody answered. `info`: a choice that one should know of. The worst first.
 */
export const SEVERITIES = ['fail', 'warn', 'unknown', 'info', 'ok'] as const;
export const Severity = z.enum(SEVERITIES);
export type Severity = z.infer<typeof Severity>;

export const FindingGroup = z.enum(['backups', 'server', 'database', 'bucket', 'deployment']);
export type FindingGroup = z.infer<typeof FindingGroup>;

/** Under which heading each check is shown. */
export const GROUP_OF_CHECK: Readonly<Record<CheckId, FindingGroup>> = {
  'backup-age': 'backups',
  'snapshot-age': 'backups',
  quarantine: 'backups',
  server: 'server',
  'automated-backups': 'server',
  'deletion-protection': 'server',
  'storage-encryption': 'server',
  'public-access': 'server',
  'private-subnets': 'server',
  'engine-support': 'server',
  'minor-upgrades': 'server',
  'pending-maintenance': 'server',
  'ca-certificate': 'server',
  'snapshot-quota': 'server',
  'iam-authentication': 'server',
  connection: 'database',
  tls: 'database',
  'ca-bundle': 'database',
  'role-privileges': 'database',
  'client-version': 'database',
  bucket: 'bucket',
  'bucket-versioning': 'bucket',
  'bucket-encryption': 'bucket',
  'bucket-public-access': 'bucket',
  'bucket-tls-policy': 'bucket',
  'bucket-events': 'bucket',
  'bucket-lifecycle': 'bucket',
  'object-lock': 'bucket',
  'mfa-delete': 'bucket',
  replication: 'bucket',
  'access-logging': 'bucket',
  plan: 'deployment',
  schedule: 'deployment',
  'alert-subscription': 'deployment',
  'dead-letter-queue': 'deployment',
  'state-machine': 'deployment',
};

export const Finding = z.strictObject({
  check: CheckId,
  group: FindingGroup,
  severity: Severity,
  /** Null: of the whole deployment. */
  source: z.string().nullable(),
  /** One line: what was found. */
  title: z.string(),
  /** Why it matters, or why it is not known; empty where all is well. */
  why: z.string(),
  /** An exact command, or a step in the console; null where nothing is to be done. */
  remedy: z.string().nullable(),
});
export type Finding = z.infer<typeof Finding>;

/** What `holdfast doctor --json` prints. */
export const DoctorReport = z.strictObject({
  version: z.literal(1),
  stage: z.string(),
  checkedAt: z.iso.datetime(),
  counts: z.record(Severity, z.int().min(0)),
  findings: z.array(Finding).describe('by group, the worst first'),
});
export type DoctorReport = z.infer<typeof DoctorReport>;

/**
 * What became of one question. `denied`: our credentials lack the action. `not-served`: whoever answers does
 * not know the call, as a stand-in may not. `failed`: throttled, unreachable, or an error nobody foresaw.
 */
export type Answer<Fact> =
  | { readonly known: true; readonly fact: Fact }
  | {
      readonly known: false;
      readonly reason: 'denied' | 'not-served' | 'failed';
      /** The IAM action that the question needs: `rds:DescribeDBInstances`. */
      readonly action: string;
      readonly detail: string;
    };
export type Unanswered = Extract<Answer<unknown>, { known: false }>;

/** An RDS instance or Aurora cluster. Undefined: RDS does not say. */
export interface ServerPosture {
  readonly kind: 'instance' | 'cluster';
  readonly identifier: string;
  readonly arn: string;
  /** `postgres`, `aurora-postgresql`. */
  readonly engine: string;
  /** `17.5` */
  readonly engineVersion: string;
  readonly backupRetentionDays: number | undefined;
  readonly deletionProtection: boolean | undefined;
  readonly storageEncrypted: boolean | undefined;
  readonly iamAuthentication: boolean | undefined;
  /** After standard support: true: it is paid for more, false: RDS upgrades by itself. */
  readonly extendedSupport: boolean | undefined;
  /** Ids of the subnets that RDS may place it in. */
  readonly subnets: readonly string[];
  /** The instance itself, or the members of the cluster. */
  readonly instances: readonly InstancePosture[];
}

export interface InstancePosture {
  readonly identifier: string;
  readonly arn: string;
  readonly publiclyAccessible: boolean | undefined;
  readonly autoMinorUpgrade: boolean | undefined;
  readonly caCertificate: string | undefined;
}

export interface EngineLifecycle {
  readonly standardEnds: Date | undefined;
  readonly extendedEnds: Date | undefined;
}

export interface Quota {
  readonly used: number;
  readonly max: number;
}

export interface SnapshotQuotas {
  readonly instance: Quota | undefined;
  readonly cluster: Quota | undefined;
}

export interface MaintenanceAction {
  readonly arn: string;
  /** `system-update`, `db-upgrade`, `ca-certificate-rotation` … */
  readonly action: string;
  readonly description: string;
  /** When RDS does it whether we like it or not. */
  readonly forcedAt: Date | undefined;
  /** When RDS does it unless it is put off. */
  readonly plannedAt: Date | undefined;
}

export interface CertificateAuthority {
  readonly identifier: string;
  readonly ends: Date;
}

export interface BucketPosture {
  readonly bucket: string;
  readonly versioning: Answer<{
    readonly state: 'Enabled' | 'Suspended' | 'Off';
    readonly mfaDelete: boolean;
  }>;
  /** Undefined: none. */
  readonly encryption: Answer<BucketEncryption | undefined>;
  /** Undefined: nothing is blocked. */
  readonly publicAccess: Answer<PublicAccessBlock | undefined>;
  /** The policy's JSON; undefined: there is none. */
  readonly policy: Answer<string | undefined>;
  readonly eventBridge: Answer<boolean>;
  readonly lifecycle: Answer<readonly LifecycleRulePosture[]>;
  /** Undefined: the bucket has no Object Lock. */
  readonly objectLock: Answer<ObjectLockPosture | undefined>;
  /** One entry a rule. */
  readonly replication: Answer<readonly { readonly enabled: boolean; readonly to: string }[]>;
  /** The bucket that the logs go to. */
  readonly accessLogs: Answer<string | undefined>;
}

export interface BucketEncryption {
  /** `AES256`, `aws:kms`, `aws:kms:dsse`. */
  readonly algorithm: string;
  readonly keyId: string | undefined;
  readonly bucketKey: boolean;
}

export interface PublicAccessBlock {
  readonly blockPublicAcls: boolean;
  readonly ignorePublicAcls: boolean;
  readonly blockPublicPolicy: boolean;
  readonly restrictPublicBuckets: boolean;
}

/** One lifecycle rule, its filter flattened: an object must fit all of it. */
export interface LifecycleRulePosture {
  readonly id: string;
  readonly enabled: boolean;
  readonly prefix: string;
  readonly tags: Readonly<Record<string, string>>;
  /** The rule is for some sizes of objects alone. */
  readonly bySize: boolean;
  readonly expireAfterDays: number | undefined;
  readonly expireOldVersionsAfterDays: number | undefined;
  readonly abortUploadsAfterDays: number | undefined;
  readonly transitions: readonly { readonly storageClass: string; readonly afterDays: number }[];
}

export interface ObjectLockPosture {
  readonly mode: string | undefined;
  /** Of objects that come without a retention of their own. */
  readonly defaultDays: number | undefined;
}

export interface SchedulePosture {
  readonly enabled: boolean;
  readonly expression: string;
  readonly timezone: string;
}

export interface StateMachinePosture {
  /** `ACTIVE`, `DELETING`. */
  readonly status: string;
  /** `ALL`, `ERROR`, `FATAL`, `OFF`; undefined: it is not told. */
  readonly logLevel: string | undefined;
}

export interface TopicPosture {
  readonly confirmed: number;
  readonly pending: number;
}

/** Certificates in the file that servers are verified with. */
export interface TrustedCertificates {
  readonly file: string;
  readonly certificates: readonly { readonly subject: string; readonly ends: Date }[];
}
