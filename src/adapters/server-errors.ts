import type { RestoredServerName } from '#contracts/restore-server.ts';
import {
  type HoldfastErrorClass,
  InstanceNotAvailable,
  InstanceNotFound,
  InvalidInput,
  ServerRestoreFailed,
  SnapshotNotFound,
} from '#errors';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

interface Meaning {
  readonly error: HoldfastErrorClass;
  readonly remedy: string;
}

const OF_INPUT = 'correct what RDS names: fields of "target" replace what is taken from the source';

/**
 * What RDS's refusals of a restore, or of a deletion, mean. The SDK names most of these faults with the
 * suffix `Fault`, the service's answers carry some of them without.
 */
const MEANINGS: readonly (readonly [RegExp, Meaning])[] = [
  [
    /^DB(Cluster)?SnapshotNotFound$/,
    { error: SnapshotNotFound, remedy: 'it was deleted since it was chosen: start again' },
  ],
  [
    /^DB(Instance|Cluster)(AutomatedBackup)?NotFound$/,
    { error: InstanceNotFound, remedy: 'restore a snapshot instead of a point in time' },
  ],
  [
    /^InvalidDB(Instance|Cluster)State$/,
    { error: InstanceNotAvailable, remedy: 'wait until it is available, then start again' },
  ],
  [
    /^(InstanceQuotaExceeded|DBClusterQuotaExceeded|StorageQuotaExceeded)$/,
    {
      error: ServerRestoreFailed,
      remedy:
        'delete servers that nobody needs, or raise the quota of RDS in Service Quotas, then start again',
    },
  ],
  [
    /^(InsufficientDB(Instance|Cluster)Capacity|InsufficientStorageClusterCapacity|StorageTypeNotAvailable|ProvisionedIopsNotAvailableInAZ|InsufficientAvailableIPsInSubnet)$/,
    {
      error: ServerRestoreFailed,
      remedy: 'start again with another target.instanceClass or target.subnetGroup, or later',
    },
  ],
  [
    /^KMSKeyNotAccessible$/,
    {
      error: ServerRestoreFailed,
      remedy:
        "enable the key, and let its policy allow kms:DescribeKey and kms:CreateGrant to the function's role",
    },
  ],
  [
    /^InvalidRestore$/,
    { error: ServerRestoreFailed, remedy: 'choose another snapshot or another point in time' },
  ],
  [
    /^InvalidDB(Cluster)?SnapshotState$/,
    {
      error: ServerRestoreFailed,
      remedy: 'wait until the snapshot is available, then start again',
    },
  ],
  [
    /^PointInTimeRestoreNotEnabled$/,
    {
      error: InvalidInput,
      remedy: 'turn on automated backups; now restore a snapshot: "snapshot":"latest"',
    },
  ],
  [
    /^(InvalidParameter(Value|Combination)|DB(Subnet|Parameter|ClusterParameter|Security)GroupNotFound|OptionGroupNotFound|CertificateNotFound|InvalidSubnet|InvalidVPCNetworkState|InvalidDBSubnetGroup|DBSubnetGroupDoesNotCoverEnoughAZs|DBSubnetGroupNotAllowed|StorageTypeNotSupported|NetworkTypeNotSupported)$/,
    { error: InvalidInput, remedy: OF_INPUT },
  ],
];

/** An exception of RDS under our names; see {@link MEANINGS}. */
export function translateRestoreError(error: unknown, restore: RestoredServerName): unknown {
  const code = awsErrorName(error).replace(/Fault$/, '');
  const [, meaning] = MEANINGS.find(([pattern]) => pattern.test(code)) ?? [];
  const { identifier } = restore.target;
  if (!meaning) return translateAwsError(error, `restore ${identifier}`);
  const { message } = error as Error;
  return new meaning.error(`RDS does not do it for ${identifier}: ${code}: ${message}`, {
    remedy: meaning.remedy,
    cause: error,
  });
}
