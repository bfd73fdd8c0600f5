import type { Deployment } from '#contracts/plan-file.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { TAG_KIND, TAG_STATE } from '#contracts/verification.ts';
import { planSchedules } from '#domain/monitoring/plan-schedules.ts';
import { parameterTier, serializeSourcePlan } from '#domain/plan-file.ts';
import { logicalName } from './roles.ts';

/** The parts of the stack that the plan file decides. */

/** A run's task tokens are worthless after at most a week; the rest is for looking things up. */
const JOBS_EXPIRE_DAYS = 30;
const REQUESTS_EXPIRE_DAYS = 7;
/** Of use only while somebody follows the execution. */
const PROGRESS_EXPIRES_DAYS = 1;

/**
 * The bucket's lifecycle. Retention deletes by its own rules long before; expiry is the last resort
 * against paying for ever, such as for a source that is no longer in the plan.
 */
export function lifecycleRules(lifecycle: Deployment['lifecycle']) {
  const { glacierAfterDays, expireAfterDays } = lifecycle;
  const expire = (Id: string, Prefix: string, ExpirationInDays: number) =>
    ExpirationInDays > 0 ? [{ Id, Status: 'Enabled', Prefix, ExpirationInDays }] : [];
  return [
    // Archives alone: table of contents and manifest stay at hand, so that a backup can be listed and
    // planned with while its data is in Glacier. Unverified ones stay where they can be looked at.
    ...(glacierAfterDays > 0
      ? [
          {
            Id: 'verified-archives-to-glacier',
            Status: 'Enabled',
            Prefix: 'backups/',
            TagFilters: [
              { Key: TAG_KIND, Value: 'archive' },
              { Key: TAG_STATE, Value: 'verified' },
            ],
            Transitions: [{ StorageClass: 'GLACIER', TransitionInDays: glacierAfterDays }],
          },
        ]
      : []),
    ...expire('expire-backups', 'backups/', expireAfterDays),
    ...expire('expire-runs', 'runs/', expireAfterDays),
    ...expire('expire-drills', 'drills/', expireAfterDays),
    ...expire('expire-alerts', 'alerts/', expireAfterDays),
    ...expire('expire-jobs', 'jobs/', JOBS_EXPIRE_DAYS),
    ...expire('expire-requests', 'requests/', REQUESTS_EXPIRE_DAYS),
    // A task that works for a day writes thousands of versions of one small object.
    {
      Id: 'expire-progress',
      Status: 'Enabled',
      Prefix: 'progress/',
      ExpirationInDays: PROGRESS_EXPIRES_DAYS,
      NoncurrentVersionExpiration: { NoncurrentDays: PROGRESS_EXPIRES_DAYS },
    },
    {
      Id: 'old-versions-and-incomplete-uploads',
      Status: 'Enabled',
      NoncurrentVersionExpiration: { NoncurrentDays: lifecycle.expireOldVersionsAfterDays },
      AbortIncompleteMultipartUpload: {
        DaysAfterInitiation: lifecycle.abortIncompleteUploadsAfterDays,
      },
    },
    // S3 does not take this in one rule with days of expiry.
    { Id: 'delete-markers-of-nothing', Status: 'Enabled', ExpiredObjectDeleteMarker: true },
  ];
}

/** Each address gets one mail with a link to confirm. */
export function subscriptions(alertEmails: readonly string[]) {
  return alertEmails.map((Endpoint) => ({ Protocol: 'email', Endpoint }));
}

/** Of each kind of schedule: its logical id and its description but for the source, and what it starts. */
const SCHEDULED = {
  backups: {
    id: 'BackupSchedule',
    Description: 'Backups of',
    machine: 'BackupStateMachine',
    // An hour late is still last night's backup; after that reconcile reports a missed run.
    RetryPolicy: { MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 30 },
  },
  drills: {
    id: 'DrillSchedule',
    Description: 'Drills of',
    machine: 'DrillStateMachine',
    RetryPolicy: { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 100 },
  },
} as const;

/**
 * Per source its parameter, and its schedules where it has some: of backups, and of drills. By hand the same can be made beside the
 * stack, without a deployment (docs/deploy.md).
 */
export function sources(
  plans: readonly SourcePlan[],
  { stage, state }: { stage: string; state: string },
): Record<string, unknown> {
  const resources: Record<string, unknown> = {
    ScheduleGroup: {
      Type: 'AWS::Scheduler::ScheduleGroup',
      Properties: { Name: `holdfast-${stage}` },
    },
  };
  for (const plan of plans) {
    const { source } = plan;
    const value = serializeSourcePlan(plan);
    resources[`Source${logicalName(source)}`] = {
      Type: 'AWS::SSM::Parameter',
      Properties: {
        Name: `/holdfast/${stage}/sources/${source}`,
        Description: `How ${source} is backed up; made from the plan file`,
        Type: 'String',
        Tier: parameterTier(value),
        Value: value,
      },
    };
    for (const { starts, name, schedule } of planSchedules(plan)) {
      const { id, Description, machine, RetryPolicy } = SCHEDULED[starts];
      resources[`${id}${logicalName(source)}`] = {
        Type: 'AWS::Scheduler::Schedule',
        Properties: {
          Name: name,
          GroupName: { Ref: 'ScheduleGroup' },
          Description: `${Description} ${source}`,
          State: state,
          ScheduleExpression: schedule.expression,
          ScheduleExpressionTimezone: schedule.timezone,
          FlexibleTimeWindow: { Mode: 'OFF' },
          Target: {
            Arn: { Ref: machine },
            RoleArn: { 'Fn::GetAtt': ['ScheduleRole', 'Arn'] },
            Input: JSON.stringify({ source, trigger: 'schedule' }),
            RetryPolicy,
            DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['DeadLetterQueue', 'Arn'] } },
          },
        },
      };
    }
  }
  return resources;
}
