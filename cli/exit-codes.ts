import {
  AccessDenied,
  BackupNotFound,
  BackupNotVerified,
  CredentialsUnusable,
  DatabaseNotFound,
  DeploymentNotFound,
  InstanceNotFound,
  InvalidEnvironment,
  InvalidInput,
  InvalidPlan,
  NotConfirmed,
  NothingSelected,
  ObjectMissing,
  RetentionGuard,
  RetrievalNeeded,
  RunInProgress,
  ServiceUnavailable,
  SnapshotNotFound,
  TargetNotEmpty,
  Throttled,
  UnknownSource,
} from '#errors';

/**
 * Exit codes of the command, for scripts.
 *
 * | code | meaning |
 * |------|---------|
 * | 0    | done, and all is well |
 * | 1    | done, and it failed: the run, the restore, the verification, a check; also what nobody foresaw |
 * | 2    | the command is not understood |
 * | 3    | there is no such source, database, backup, snapshot or deployment |
 * | 4    | refused: not verified, not confirmed, in Glacier, a guard, a run that is in the way |
 * | 5    | AWS: no credentials, no permission, throttled, not reachable, a record that cannot be read |
 * | 130  | interrupted with Ctrl-C |
 */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  aws: 5,
  interrupted: 130,
} as const;

const CODES = new Map<string, number>(
  (
    [
      [EXIT.usage, [InvalidInput]],
      [
        EXIT.notFound,
        [
          UnknownSource,
          BackupNotFound,
          DatabaseNotFound,
          SnapshotNotFound,
          InstanceNotFound,
          ObjectMissing,
          NothingSelected,
          DeploymentNotFound,
        ],
      ],
      [
        EXIT.refused,
        [
          BackupNotVerified,
          NotConfirmed,
          RetrievalNeeded,
          RetentionGuard,
          RunInProgress,
          TargetNotEmpty,
        ],
      ],
      [
        EXIT.aws,
        [
          CredentialsUnusable,
          AccessDenied,
          Throttled,
          ServiceUnavailable,
          InvalidEnvironment,
          InvalidPlan,
        ],
      ],
    ] as const
  ).flatMap(([code, classes]) => classes.map(({ errorName }) => [errorName, code] as const)),
);

/** The code of an error that stopped the command itself, by the error's name. */
export function exitCodeOf(errorName: string): number {
  return CODES.get(errorName) ?? EXIT.failed;
}
