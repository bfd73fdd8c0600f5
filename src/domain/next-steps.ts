/**
 * What the operator does next, by error name. One entry for every error in `src/errors.ts` (a test
 * holds the two together) and for those that Step Functions raises itself.
 */
const NEXT_STEPS: Readonly<Record<string, string>> = {
  InvalidInput: 'Start the execution again with an input such as {"source":"orders"}.',
  InvalidPlan:
    'Correct the plan file at the path that is named, deploy it, and start the source again.',
  UnknownSource:
    'Check the name for a typing error, or add the source to the plan file and deploy it.',
  InvalidEnvironment:
    'Deploy the stack again; if it persists, compare the variable that is named with ARCHITECTURE.md.',
  RunInProgress:
    'Nothing, if the running backup is expected: it goes on undisturbed. Else look at why it takes so long, or stop it and start again.',
  DeploymentNotFound:
    'Name the stage and the region with --stage and --region, or deploy the stack (docs/deploy.md).',
  NotConfirmed: 'Start the command again on a terminal and confirm, or give --yes.',
  SnapshotQuotaReached:
    'Delete manual snapshots that nobody needs, keep fewer in the retention rules, or raise the RDS quota "Manual DB instance snapshots".',
  SnapshotFailed:
    "Look at the instance's events in the RDS console, then start the source again with kinds [snapshot].",
  SnapshotTimeout:
    'Look at the snapshot in the RDS console: it may still become available. If it is merely slow, raise snapshot.timeoutMinutes.',
  SnapshotNotOurs:
    'Rename or delete the snapshot that has our name without our tags, then start the source again.',
  InstanceNotFound: 'Correct engine.identifier in the plan, or remove the source if it is gone.',
  InstanceNotAvailable:
    'Start the instance, or wait until its change is done, then start the source again.',
  DatabaseUnreachable:
    'Check that the server is up and has a connection left, and that security groups, subnets, port and TLS settings let the task reach it.',
  ConnectionLost:
    "Look at the server's log around the time: restart, failover, out of memory or a cancelled session. Then start again.",
  AuthenticationFailed:
    'Put the right user and password into the secret (or grant rds_iam for IAM authentication), then start again.',
  DatabaseNotFound: 'Remove the database from the plan or the input, or create it.',
  NoDatabases: 'Widen `databases` in the plan: no database on the server matches it.',
  InsufficientPrivilege:
    'Give the role what is named above, as an administrator: for a backup pg_read_all_data covers tables from PostgreSQL 14 on, for a restore the plan has restore.auth.',
  RowLevelSecurity:
    'Give the backup role BYPASSRLS, else rows would be missing from the dump without a word.',
  ClientTooOld: 'Add the client of this major version to layers/postgres-client and deploy.',
  LockTimeout:
    'Find the session that holds the lock (pg_locks), move the schedule away from migrations, or raise dump.lockWaitTimeoutSeconds.',
  SecretUnusable:
    'Check that the secret exists, that the task role may read it, and that it is JSON with username and password.',
  ServerOutOfResources:
    "Look at the server's memory, locks and free storage around the time, give it what the cause names, then start again.",
  ServerStorageFault:
    "Read the server's log and look at its disk before anything else is done to it, and keep the backups that you have: its files may be damaged.",
  TaskLaunchFailed:
    'Start again later: Fargate had no room. If it persists, use more subnets, or on-demand instead of Spot.',
  TaskRejected: 'Correct what ECS names above: task definition, role, subnets or security groups.',
  TaskNeverStarted:
    'Check that the image exists and that the subnets reach ECR, CloudWatch Logs and S3 (NAT or VPC endpoints).',
  TaskKilled:
    'Raise memoryMiB in the plan, of task (dumps, verifications, restores) or of drill.task; look at the memory graph of the task.',
  TaskInterrupted: 'Start again. If Spot reclaims it often, set task.spot to false.',
  TaskFailed: "Read the task's log stream in CloudWatch Logs.",
  DumpFailed: "Read pg_dump's messages above and in the task's log stream.",
  DumpTimeout: 'Look for locks and load on the server, or raise dump.timeoutMinutes.',
  DumpIncomplete: "Read the task's log stream: it ended without its last step. Then start again.",
  ArchiveCorrupt:
    'Do not restore from this backup. Start the source again; if it happens twice, keep both archives and report it.',
  ArchiveUnsupported: 'Use one of the bundled clients (16 to 18): this archive comes from another.',
  ManifestInvalid:
    'Find out who wrote to the bucket (CloudTrail data events); restore an older version of the manifest or take a new backup.',
  ObjectMissing:
    'Find out who deleted it (CloudTrail). The bucket is versioned: remove the delete marker, or take a new backup.',
  ObjectReplaced:
    'Find out who wrote to the bucket (CloudTrail). The version that the manifest names may still be there.',
  SizeMismatch: 'Do not restore from this backup. Start the source again.',
  ChecksumMismatch: 'Do not restore from this backup. Start the source again.',
  ContentsMismatch:
    'Do not restore from this backup. Start the source again; if it happens twice, keep both archives and report it.',
  SizeAnomaly:
    "Compare the row counts with the last backup's. If the change is meant, start again after raising verification.sizeAnomaly.ratio.",
  BackupNotFound: 'Run `holdfast list` for what there is, then start again with one of these.',
  BackupNotVerified:
    'Choose a verified backup. If there is no better one, start again with "allowUnverified": true and look closely at the result.',
  TargetNotEmpty:
    'Restore under a new name, or empty the database yourself: Holdfast does not overwrite what it did not make.',
  TargetUnsuitable:
    'Restore to a server of the same major version or a newer one, with the same locale.',
  TargetFull:
    'Give the target server more storage, then start again; "What is left" says whether something is to be removed.',
  NothingSelected: 'Run `holdfast tables` for the names in the archive; * and ? are wildcards.',
  DependencyMissing:
    'Start again with "withDependencies": true, or do what the cause says of each.',
  RolesMissing:
    'Start again with "createMissing": true (roles without passwords), with "noOwner": true, or with "role".',
  RestoreFailed:
    'Read the statement and the reason above; start again when it is mended. "What is left" says whether something is to be removed.',
  RestoreMismatch:
    'Do not use the restored database. Compare the tables that are named with the source; restore the backup before it.',
  SwapFailed:
    'The restored database is whole, and the original is where it was unless the cause says otherwise: see to what is named above, then rename by hand, or start again.',
  RetrievalFailed:
    'Look at the storage class and the restore status of the archive in S3, then start again.',
  ServerRestoreFailed:
    "Read the instance's events in the RDS console; correct what is named, then start again.",
  ServerRestoreTimeout:
    'Large servers take hours: start again with more timeoutMinutes. The new server was deleted unless "cleanUpOnFailure" is false.',
  SnapshotNotFound:
    'Run `holdfast list --snapshots` for what there is, then start again with one of these.',
  RetrievalNeeded:
    'Restore from it: `holdfast restore` brings it back from Glacier itself. Or choose a younger backup.',
  DrillFailed:
    'Open drill.json: each finding says what to do. Until a drill passes, count on an older backup that one brought back.',
  DrillServerFailed:
    "Read the task's log stream. Mostly the task has too little memory or disk: raise drill.task in the plan.",
  DrillLeftover:
    'Nothing, the server is being deleted. If it happens again, look at what the clean-up of the drill that is named was refused.',
  DrillTooLarge:
    'Name the tables that stand for the rest in drill.tables, or rehearse snapshots instead (drill.kinds).',
  RetentionGuard:
    'Nothing was deleted. Read retention.json of the run; correct the rules or, if the plan is right, raise maxDeleteShare for one run.',
  BackupIncomplete: 'See to each failure that is listed, then start the source again.',
  MissedRun:
    'Check that the schedule is enabled and that its dead-letter queue is empty, then start the source by hand.',
  VerificationOverdue:
    'Look at the log of verify-backup and at the dead-letter queue of its event rule. Until it is verified, this backup does not count.',
  Throttled: 'Start again later; if it persists, spread the schedules or raise the quota.',
  ServiceUnavailable: 'Look at the AWS Health Dashboard, then start again.',
  AccessDenied: "Compare the role's policy with the deployed template; look for a denying SCP.",
  CredentialsUnusable:
    'Sign in again (`aws sso login`), or set AWS_PROFILE, then start the command again.',
  WriteConflict:
    'Two writers met: look for a second execution of the same source, then start again.',
  'States.Timeout':
    'The step did not end in its time: read its log, then raise the timeout in the plan or start again.',
  'States.HeartbeatTimeout':
    "The task fell silent: read its log stream and the ECS task's stop reason, then start again.",
  'States.DataLimitExceeded':
    'The run has more databases than one execution can carry: split the source in two.',
};

const IMPORT_AGAIN =
  'What lies under imports/ is not, or no longer, what pg_dump wrote. Make it again with `pg_dump --format=custom --file=FILE`, wait for its exit code 0, and copy it there anew.';

/**
 * Where another step than the general one is right: by the alert's event, for an archive under `imports/`, or on
 * the command line, which refused what it was given.
 */
const ELSEWHERE: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  restore: {
    InvalidInput:
      'Start the execution again with an input such as {"source":"orders","database":"shop"}.',
  },
  'server-restore': {
    InvalidInput:
      'Start the execution again with an input such as {"source":"orders","snapshot":"latest"}.',
  },
  import: {
    InvalidInput:
      'Start the execution again with an input such as {"source":"orders","archive":"imports/shop.dump","target":{"database":"shop"}}.',
    ArchiveCorrupt: IMPORT_AGAIN,
    ArchiveUnsupported:
      'Holdfast restores what `pg_dump --format=custom` wrote, of version 9.0 to 18. For another format do what is named above.',
    ContentsMismatch: IMPORT_AGAIN,
    ChecksumMismatch: IMPORT_AGAIN,
    SizeMismatch:
      'The archive under imports/ became another while the restore was planned: wait until its upload has ended, then start again.',
    ObjectMissing: 'Look what there is under imports/, then start again with a key that exists.',
  },
  'command-line': {
    InvalidInput: 'Correct what is named; `--help` after the command lists what it takes.',
  },
};

/**
 * One sentence or two; for an error that nobody foresaw, where to look.
 *
 * `where`: an alert's event, `import` or `command-line`.
 */
export function nextStep(errorName: string, where = ''): string {
  const elsewhere = Object.hasOwn(ELSEWHERE, where) ? ELSEWHERE[where] : undefined;
  if (elsewhere && Object.hasOwn(elsewhere, errorName)) return elsewhere[errorName] ?? '';
  if (hasNextStep(errorName)) return NEXT_STEPS[errorName] ?? '';
  return 'Nobody foresaw this error. Read the execution and the log of the failed step, and report it.';
}

/** Whether the table has an entry of its own. */
export function hasNextStep(errorName: string): boolean {
  return Object.hasOwn(NEXT_STEPS, errorName);
}
