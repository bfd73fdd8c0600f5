import type { Deployment } from '#contracts/plan-file.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { TAG_KIND, TAG_STATE } from '#contracts/verification.ts';
import { possibleDrillKinds } from '#domain/drill/drill-kinds.ts';
import { parameterTier, serializeSourcePlan } from '#domain/plan-file.ts';
import { logicalName } from './roles.ts';

/** The parts of the stack that the plan file decides. */

/** A run's task tokens are worthless after at most a week; the rest is for looking things up. */
const JOBS_EXPIRE_DAYS = 30;
const REQUESTS_EXPIRE_DAYS = 7;

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
    const { source, schedule, drill } = plan;
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
    const scheduled = (
      of: { Name: string; Description: string; machine: string; RetryPolicy: object },
      { expression, timezone }: NonNullable<typeof schedule>,
    ) => ({
      Type: 'AWS::Scheduler::Schedule',
      Properties: {
        Name: of.Name,
        GroupName: { Ref: 'ScheduleGroup' },
        Description: of.Description,
        State: state,
        ScheduleExpression: expression,
        ScheduleExpressionTimezone: timezone,
        FlexibleTimeWindow: { Mode: 'OFF' },
        Target: {
          Arn: { Ref: of.machine },
          RoleArn: { 'Fn::GetAtt': ['ScheduleRole', 'Arn'] },
          Input: JSON.stringify({ source, trigger: 'schedule' }),
          RetryPolicy: of.RetryPolicy,
          DeadLetterConfig: { Arn: { 'Fn::GetAtt': ['DeadLetterQueue', 'Arn'] } },
        },
      },
    });
    if (schedule) {
      resources[`BackupSchedule${logicalName(source)}`] = scheduled(
        {
          Name: source,
          Description: `Backups of ${source}`,
          machine: 'BackupStateMachine',
          // An hour late is still last night's backup; after that reconcile reports a missed run.
          RetryPolicy: { MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 30 },
        },
        schedule,
      );
    }
    if (drill.schedule !== 'none' && possibleDrillKinds(plan).length > 0) {
      resources[`DrillSchedule${logicalName(source)}`] = scheduled(
        {
          Name: drillScheduleName(source),
          Description: `Drills of ${source}`,
          machine: 'DrillStateMachine',
          RetryPolicy: { MaximumEventAgeInSeconds: 86_400, MaximumRetryAttempts: 100 },
        },
        drill.schedule,
      );
    }
  }
  return resources;
}

/** Scheduler's names have at most 64 characters, a source's 40. A dot, which no source's name has. */
function drillScheduleName(source: string): string {
  return `${source}.drill`;
}
