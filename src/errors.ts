/**
 * Every error that Holdfast raises, by name.
 *
 * The names are a public interface: the state machine's `Retry` and `Catch` match them, and alerts carry
 * them with the operator's next steps (`domain/next-steps.ts`). Never rethrow one as a plain `Error`.
 * A message is a lower-case fact with its values; `remedy` says what the operator can do.
 */
export interface HoldfastErrorOptions {
  /** What the operator can do, as a sentence. */
  readonly remedy?: string;
  readonly cause?: unknown;
}

export class HoldfastError extends Error {
  override readonly name: string;
  /** Whether the same call may succeed when it is made again. */
  readonly retryable: boolean;
  readonly remedy: string | undefined;

  constructor(name: string, retryable: boolean, fact: string, options: HoldfastErrorOptions = {}) {
    super(options.remedy ? `${fact}; ${options.remedy}` : fact, { cause: options.cause });
    this.name = name;
    this.retryable = retryable;
    this.remedy = options.remedy;
  }
}

/** What a class made by {@link defineError} looks like. */
export interface HoldfastErrorClass {
  new (fact: string, options?: HoldfastErrorOptions): HoldfastError;
  readonly errorName: string;
  readonly retryable: boolean;
}

/** Every error class by its name; tests hold the state machine and the docs against it. */
export const errorCatalogue = new Map<string, HoldfastErrorClass>();

function defineError(errorName: string, { retryable }: { retryable: boolean }): HoldfastErrorClass {
  const errorClass = class extends HoldfastError {
    static readonly errorName = errorName;
    static readonly retryable = retryable;
    constructor(fact: string, options: HoldfastErrorOptions = {}) {
      super(errorName, retryable, fact, options);
    }
  };
  errorCatalogue.set(errorName, errorClass);
  return errorClass;
}

const final = { retryable: false };
const transient = { retryable: true };

// What the operator wrote.
/** The input of an execution is not what Plan Backup understands. */
export const InvalidInput = defineError('InvalidInput', final);
/** A plan file or a stored source plan does not fit its schema. */
export const InvalidPlan = defineError('InvalidPlan', final);
/** No plan is stored for the source that was named. */
export const UnknownSource = defineError('UnknownSource', final);
/** An environment variable that the program needs is missing or malformed. */
export const InvalidEnvironment = defineError('InvalidEnvironment', final);
/** A backup of the same source is still running. */
export const RunInProgress = defineError('RunInProgress', final);
/** No deployment of that stage is known, or it has no such part. */
export const DeploymentNotFound = defineError('DeploymentNotFound', final);
/** Something that cannot be undone was asked for, and nobody confirmed it. */
export const NotConfirmed = defineError('NotConfirmed', final);

// RDS snapshots.
/** The account's quota of manual snapshots in this region is used up. */
export const SnapshotQuotaReached = defineError('SnapshotQuotaReached', final);
/** RDS says that the snapshot failed, or it vanished while it was being made. */
export const SnapshotFailed = defineError('SnapshotFailed', final);
/** The snapshot was still not available when its time was up. */
export const SnapshotTimeout = defineError('SnapshotTimeout', final);
/** A snapshot of the wanted name exists without our tags: it is somebody else's. */
export const SnapshotNotOurs = defineError('SnapshotNotOurs', final);
/** RDS knows no instance or cluster of the identifier in the plan. */
export const InstanceNotFound = defineError('InstanceNotFound', final);
/** The instance or cluster is in a state in which RDS takes no snapshot (stopped, modifying …). */
export const InstanceNotAvailable = defineError('InstanceNotAvailable', transient);

// The database side.
/** The server cannot be reached: refused, timed out, name not found, TLS failed. */
export const DatabaseUnreachable = defineError('DatabaseUnreachable', transient);
/** The server closed the connection while it was in use. */
export const ConnectionLost = defineError('ConnectionLost', transient);
/** The server rejected the user or the password, also after the secret was fetched again. */
export const AuthenticationFailed = defineError('AuthenticationFailed', final);
/** A database that was asked for does not exist on the server. */
export const DatabaseNotFound = defineError('DatabaseNotFound', final);
/** No database is left after the plan's list and patterns were applied. */
export const NoDatabases = defineError('NoDatabases', final);
/** The role may not read something that the dump needs. */
export const InsufficientPrivilege = defineError('InsufficientPrivilege', final);
/** Row-level security would hide rows from the role. */
export const RowLevelSecurity = defineError('RowLevelSecurity', final);
/** No bundled client can dump a server of this major version. */
export const ClientTooOld = defineError('ClientTooOld', final);
/** A table lock was not granted within the plan's lock wait timeout. */
export const LockTimeout = defineError('LockTimeout', transient);
/** The secret is missing, unreadable or not of the shape RDS uses. */
export const SecretUnusable = defineError('SecretUnusable', final);
/** The server answers, but has no memory, no locks, no open files or no disk for what it was asked. */
export const ServerOutOfResources = defineError('ServerOutOfResources', transient);
/** The server cannot read or write its own files, or finds them damaged. */
export const ServerStorageFault = defineError('ServerStorageFault', final);

// The dump task.
/** ECS did not place the task now (capacity, throttling); another try may work. */
export const TaskLaunchFailed = defineError('TaskLaunchFailed', transient);
/** ECS refused the task for good (task definition, role, network, parameters). */
export const TaskRejected = defineError('TaskRejected', final);
/** The task never started: image, secret or network could not be had. */
export const TaskNeverStarted = defineError('TaskNeverStarted', final);
/** The task was killed (exit code 137): out of memory or stopped by force. */
export const TaskKilled = defineError('TaskKilled', final);
/** The task was told to stop (SIGTERM, exit code 143): Spot reclaim, scale-in, an operator. */
export const TaskInterrupted = defineError('TaskInterrupted', transient);
/** The task ended with an exit code that is not in our table. */
export const TaskFailed = defineError('TaskFailed', final);
/** pg_dump or pg_dumpall ended with an error that has no name of its own. */
export const DumpFailed = defineError('DumpFailed', final);
/** A client program did not end within its time. */
export const DumpTimeout = defineError('DumpTimeout', final);
/** The task ended well, but left no manifest: there is no backup. */
export const DumpIncomplete = defineError('DumpIncomplete', final);

// Archives and verification.
/** The bytes are not a PostgreSQL custom-format archive that can be read to its end. */
export const ArchiveCorrupt = defineError('ArchiveCorrupt', final);
/** A format version outside 1.12 to 1.16, another format than custom, or rows that are not in COPY form. */
export const ArchiveUnsupported = defineError('ArchiveUnsupported', final);
/** The manifest is missing, malformed, altered, or names another backup than its key. */
export const ManifestInvalid = defineError('ManifestInvalid', final);
/** An object that the manifest names does not exist. */
export const ObjectMissing = defineError('ObjectMissing', final);
/** An object has another version than the one that was written: somebody replaced it. */
export const ObjectReplaced = defineError('ObjectReplaced', final);
/** An object has another size than the manifest says. */
export const SizeMismatch = defineError('SizeMismatch', final);
/** An object's bytes do not have the checksum that the manifest says. */
export const ChecksumMismatch = defineError('ChecksumMismatch', final);
/** pg_restore and our reader do not see the same table of contents or data. */
export const ContentsMismatch = defineError('ContentsMismatch', final);
/** The backup is much smaller or larger than the last verified ones. */
export const SizeAnomaly = defineError('SizeAnomaly', final);

// Restores.
/** No backup of the database fits what was asked for. */
export const BackupNotFound = defineError('BackupNotFound', final);
/** The backup that was asked for is unverified or quarantined, and that was not allowed. */
export const BackupNotVerified = defineError('BackupNotVerified', final);
/** The target database has user objects, or exists although it was to be new. */
export const TargetNotEmpty = defineError('TargetNotEmpty', final);
/** The target server cannot take the archive: an older major, another encoding, no such locale. */
export const TargetUnsuitable = defineError('TargetUnsuitable', final);
/** The target server is out of disk. */
export const TargetFull = defineError('TargetFull', final);
/** The pattern or name that was asked for matches nothing in the archive. */
export const NothingSelected = defineError('NothingSelected', final);
/** The selected objects need others that are neither selected nor in the target. */
export const DependencyMissing = defineError('DependencyMissing', final);
/** Owners or grantees of the archive do not exist on the target server. */
export const RolesMissing = defineError('RolesMissing', final);
/** A statement or a load of the restore failed, and the database is not whole without it. */
export const RestoreFailed = defineError('RestoreFailed', final);
/** The restored database is not what the verification counted. */
export const RestoreMismatch = defineError('RestoreMismatch', final);
/** The restored database could not take the place of the original, which is where it was. */
export const SwapFailed = defineError('SwapFailed', final);
/** S3 did not bring the archive back from Glacier. */
export const RetrievalFailed = defineError('RetrievalFailed', final);
/** RDS could not make a server from the snapshot or the point in time. */
export const ServerRestoreFailed = defineError('ServerRestoreFailed', final);
/** The restored server was not available when its time was up. */
export const ServerRestoreTimeout = defineError('ServerRestoreTimeout', final);
/** There is no such snapshot, or it is not of this source. */
export const SnapshotNotFound = defineError('SnapshotNotFound', final);
/** The archive lies in Glacier: it cannot be read before it was brought back. */
export const RetrievalNeeded = defineError('RetrievalNeeded', final);

// Drills.
/** A drill brought data back that are not what was backed up, too late, or too old. */
export const DrillFailed = defineError('DrillFailed', final);
/** The server that lives as long as the drill could not be started, or ended by itself. */
export const DrillServerFailed = defineError('DrillServerFailed', final);
/** The temporary server of a drill outlived it, and was deleted when that was noticed. */
export const DrillLeftover = defineError('DrillLeftover', final);
/** The database does not fit on the disk that a task can have. */
export const DrillTooLarge = defineError('DrillTooLarge', final);

// Running the business.
/** The retention plan would delete more than the configured share; nothing was deleted. */
export const RetentionGuard = defineError('RetentionGuard', final);
/** Some of what the run was asked for did not work; the summary lists what did. */
export const BackupIncomplete = defineError('BackupIncomplete', final);
/** A scheduled run did not happen. */
export const MissedRun = defineError('MissedRun', final);
/** A manifest has had no verification for too long. */
export const VerificationOverdue = defineError('VerificationOverdue', final);

// AWS.
/** AWS asked us to slow down, also after our own retries. */
export const Throttled = defineError('Throttled', transient);
/** A service answered 5xx or cut the connection, also after our own retries. */
export const ServiceUnavailable = defineError('ServiceUnavailable', transient);
/** Our role may not make the call. */
export const AccessDenied = defineError('AccessDenied', final);
/** There are no AWS credentials, they have expired, or AWS does not know them. */
export const CredentialsUnusable = defineError('CredentialsUnusable', final);
/** A conditional write lost: the key exists already, or has changed. */
export const WriteConflict = defineError('WriteConflict', final);

/** The name to report for anything that was thrown; `Error` where it carries none of ours. */
export function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'Error';
}

/** Whether the same call may succeed when it is made again. Unknown errors are not retried. */
export function isRetryable(error: unknown): boolean {
  return error instanceof HoldfastError && error.retryable;
}
