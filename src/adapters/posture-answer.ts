import type { Answer } from '#contracts/posture.ts';
import { AccessDenied, errorName } from '#errors';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/**
 * The IAM action that each command needs; docs/doctor.md lists them. S3's do not all have the command's name.
 * Source: the Service Authorization Reference.
 */
export const POSTURE_ACTIONS = {
  DescribeDBInstances: 'rds:DescribeDBInstances',
  DescribeDBClusters: 'rds:DescribeDBClusters',
  DescribePendingMaintenanceActions: 'rds:DescribePendingMaintenanceActions',
  DescribeAccountAttributes: 'rds:DescribeAccountAttributes',
  DescribeCertificates: 'rds:DescribeCertificates',
  DescribeDBMajorEngineVersions: 'rds:DescribeDBMajorEngineVersions',
  GetBucketVersioning: 's3:GetBucketVersioning',
  GetBucketEncryption: 's3:GetEncryptionConfiguration',
  GetPublicAccessBlock: 's3:GetBucketPublicAccessBlock',
  GetBucketPolicy: 's3:GetBucketPolicy',
  GetBucketNotificationConfiguration: 's3:GetBucketNotification',
  GetBucketLifecycleConfiguration: 's3:GetLifecycleConfiguration',
  GetObjectLockConfiguration: 's3:GetBucketObjectLockConfiguration',
  GetBucketReplication: 's3:GetReplicationConfiguration',
  GetBucketLogging: 's3:GetBucketLogging',
  GetSchedule: 'scheduler:GetSchedule',
  GetQueueAttributes: 'sqs:GetQueueAttributes',
  DescribeStateMachine: 'states:DescribeStateMachine',
  ListSubscriptionsByTopic: 'sns:ListSubscriptionsByTopic',
} as const;

/** What a stand-in answers that does not know the call. */
const NOT_SERVED = /^(InvalidAction|UnknownOperation(Exception)?|NotImplemented)$/;

/**
 * The answer to one question. `absences` says which of AWS's errors are an answer all the same, and which:
 * that there is no such thing.
 */
export async function ask<Fact, Absent = never>(
  command: keyof typeof POSTURE_ACTIONS,
  call: () => Promise<Fact>,
  absences: Readonly<Record<string, Absent>> = {},
): Promise<Answer<Fact | Absent>> {
  const action = POSTURE_ACTIONS[command];
  try {
    return { known: true, fact: await call() };
  } catch (error) {
    const name = awsErrorName(error);
    if (Object.hasOwn(absences, name)) return { known: true, fact: absences[name] as Absent };
    if (NOT_SERVED.test(name)) {
      return {
        known: false,
        reason: 'not-served',
        action,
        detail: `nobody answers ${action} here`,
      };
    }
    const translated = translateAwsError(error, command);
    const detail = translated instanceof Error ? translated.message : errorName(translated);
    const reason = translated instanceof AccessDenied ? 'denied' : 'failed';
    return { known: false, reason, action, detail };
  }
}
