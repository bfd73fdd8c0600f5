import { DescribeAccountAttributesCommand, type RDSClient } from '@aws-sdk/client-rds';
import { GetScheduleCommand, type SchedulerClient } from '@aws-sdk/client-scheduler';
import type { Answer, Quota, SchedulePosture, SnapshotQuotas } from '#contracts/posture.ts';
import { ask } from './posture-answer.ts';

/** How much of the region's quotas of manual snapshots is used. */
export function askSnapshotQuotas(rds: RDSClient): Promise<Answer<SnapshotQuotas>> {
  return ask('DescribeAccountAttributes', async () => {
    const { AccountQuotas = [] } = await rds.send(new DescribeAccountAttributesCommand({}));
    const quota = (name: string): Quota | undefined => {
      const found = AccountQuotas.find(({ AccountQuotaName }) => AccountQuotaName === name);
      const { Used: used, Max: max } = found ?? {};
      return used === undefined || max === undefined ? undefined : { used, max };
    };
    return { instance: quota('ManualSnapshots'), cluster: quota('ManualClusterSnapshots') };
  });
}

/** Undefined where there is no such schedule. */
export function askSchedule(
  scheduler: SchedulerClient,
  group: string,
  name: string,
): Promise<Answer<SchedulePosture | undefined>> {
  return ask(
    'GetSchedule',
    async () => {
      const answer = await scheduler.send(new GetScheduleCommand({ GroupName: group, Name: name }));
      return {
        enabled: answer.State === 'ENABLED',
        expression: answer.ScheduleExpression ?? '',
        // Scheduler: UTC where none is named.
        timezone: answer.ScheduleExpressionTimezone ?? 'UTC',
      };
    },
    { ResourceNotFoundException: undefined },
  );
}
