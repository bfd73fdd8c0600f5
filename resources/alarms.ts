import { type AlarmDefinition, METRIC_NAMESPACE, METRIC_SERVICE } from '#contracts/metrics.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { alarmsOf } from '#domain/monitoring/alarms.ts';
import { logicalName } from './roles.ts';

/** The alarms of every source, and what they stand on. Those of the deployment are in monitoring.yml. */

export interface AlarmContext {
  readonly stage: string;
  /** Of the schedules, as Scheduler has it: `ENABLED`, `DISABLED`. */
  readonly state: string;
  /** Whether alarms call anybody. */
  readonly actionsEnabled: boolean;
}

/**
 * The alarms that a stage has for its sources. Where schedules are disabled, runs come by hand alone: what follows
 * from a schedule would always be red, and is left out.
 */
export function deployedAlarms(
  plans: readonly SourcePlan[],
  { state }: Pick<AlarmContext, 'state'>,
): AlarmDefinition[] {
  return plans
    .map((plan) => (state === 'ENABLED' ? plan : withoutSchedules(plan)))
    .flatMap((plan) => alarmsOf(plan));
}

function withoutSchedules({ schedule: _none, ...plan }: SourcePlan): SourcePlan {
  return { ...plan, drill: { ...plan.drill, schedule: 'none' } };
}

/** `BackupStaleOrdersAlarm` */
export function alarmLogicalId({ kind, source }: Pick<AlarmDefinition, 'kind' | 'source'>): string {
  return `${kind}${logicalName(source)}Alarm`;
}

/** By logical id. */
export function alarms(
  plans: readonly SourcePlan[],
  context: AlarmContext,
): Record<string, unknown> {
  return Object.fromEntries(
    deployedAlarms(plans, context).map((alarm) => [
      alarmLogicalId(alarm),
      alarmResource(alarm, context),
    ]),
  );
}

function alarmResource(alarm: AlarmDefinition, { stage, actionsEnabled }: AlarmContext) {
  return {
    Type: 'AWS::CloudWatch::Alarm',
    Properties: {
      AlarmName: `holdfast-${stage}-${alarm.id}`,
      AlarmDescription: alarm.description,
      ActionsEnabled: actionsEnabled,
      // On the dashboard all the same, red or green.
      ...(alarm.calls.includes('ALARM') && { AlarmActions: [{ Ref: 'AlertTopic' }] }),
      ...(alarm.calls.includes('OK') && { OKActions: [{ Ref: 'AlertTopic' }] }),
      Namespace: METRIC_NAMESPACE,
      MetricName: alarm.metric,
      Dimensions: metricDimensions({ stage, source: alarm.source }).map(([Name, Value]) => ({
        Name,
        Value,
      })),
      Statistic: alarm.statistic,
      Period: alarm.periodSeconds,
      EvaluationPeriods: alarm.evaluationPeriods,
      DatapointsToAlarm: alarm.datapointsToAlarm,
      Threshold: alarm.threshold,
      ComparisonOperator: alarm.comparison,
      TreatMissingData: alarm.missingData,
    },
  };
}

/** As src/adapters/metrics.ts records them: CloudWatch knows a metric by all of its dimensions. */
export function metricDimensions(of: { stage: string; source: string }): [string, string][] {
  return [
    ['service', METRIC_SERVICE],
    ['Stage', of.stage],
    ['Source', of.source],
  ];
}
