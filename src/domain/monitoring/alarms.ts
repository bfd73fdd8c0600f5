import type { AlarmDefinition } from '#contracts/metrics.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import { possibleDrillKinds } from '../drill/drill-kinds.ts';
import { drillTargets } from '../drill/drill-targets.ts';
import { freshnessSeconds, longestGapSeconds } from './freshness.ts';
import { planSchedules } from './plan-schedules.ts';

/** A drill that failed can be repeated before its absence is an alarm: 7 days. */
export const DRILL_GRACE_SECONDS = 7 * 86_400;

const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;
/**
 * Of what is recorded when something ends: how soon it is seen, and how close together two ends are of which the worse
 * counts. The shortest that metrics of standard resolution have.
 */
const EVENT_PERIOD_SECONDS = 60;

/**
 * What is alarmed about one source. Alarms whose metric a source does not have are left out: of size and
 * duration without dumps, of the snapshots' quota without snapshots, of a schedule without one.
 *
 * - What Reconcile records every hour is looked at in whole hours. BackupStale and DrillStale want two of them, and
 *   take a missing hour for a bad one: CloudWatch fills in what is missing only where it finds too few real
 *   values in a somewhat longer range, so that one late heartbeat calls nobody and a dead one does.
 * - What is recorded when a run or a drill ends keeps its state until the next one (`ignore`): red stays red
 *   until something better has happened.
 * - Whoever records what failed has sent the alert of it before, and records nothing when that did not work: the
 *   alarm of it shows the state, and calls nobody a second time. It calls where the plan wants no such alert, and says
 *   that all is well again where the plan wants no alert of successes. Every drill has its alert, however it ended.
 */
export function alarmsOf(plan: SourcePlan): AlarmDefinition[] {
  return [
    ...silenceAlarms(plan),
    ...runAlarms(plan),
    ...drillAlarms(plan),
    ...surroundingsAlarms(plan),
  ];
}

const HEARTBEAT = { periodSeconds: HOUR_SECONDS } as const;
const SILENCE = {
  ...HEARTBEAT,
  evaluationPeriods: 2,
  datapointsToAlarm: 2,
  missingData: 'breaching',
} as const;

function silenceAlarms(plan: SourcePlan): AlarmDefinition[] {
  const freshness = freshnessSeconds(plan);
  const drillAge = drillAgeSeconds(plan);
  const alarms: AlarmDefinition[] = [];
  if (freshness !== undefined) {
    alarms.push(
      define(plan, {
        ...SILENCE,
        kind: 'BackupStale',
        metric: 'BackupAge',
        threshold: freshness,
        text: `the newest verified backup is older than ${inWords(freshness)}, or nothing has measured its age.`,
      }),
    );
  }
  if (drillAge !== undefined) {
    alarms.push(
      define(plan, {
        ...SILENCE,
        kind: 'DrillStale',
        metric: 'DrillAge',
        threshold: drillAge,
        text: `no drill has passed for ${inWords(drillAge)}, or nothing has measured it.`,
      }),
    );
  }
  return alarms;
}

function runAlarms(plan: SourcePlan): AlarmDefinition[] {
  const { action, ratio: sizeRatio } = plan.verification.sizeAnomaly;
  const { ratio: durationRatio } = plan.monitoring.duration;
  const failed = define(plan, {
    kind: 'BackupsFailed',
    metric: 'FailedBackups',
    threshold: 0,
    text: 'the last run ended without a verified backup of something.',
    calls: callsOfRuns(plan.alerts.on),
  });
  if (!defaultKinds(plan).includes('logical')) return [failed];
  const size = define(plan, {
    kind: 'SizeAnomaly',
    metric: 'SizeRatio',
    threshold: sizeRatio,
    text: `an archive is more than ${sizeRatio} times larger or smaller than the median of the last verified ones.`,
  });
  const duration = define(plan, {
    kind: 'DurationAnomaly',
    metric: 'DurationRatio',
    threshold: durationRatio,
    text: `a dump took more than ${durationRatio} times as long as the median of the last verified ones.`,
  });
  return [failed, ...(action === 'ignore' ? [] : [size]), duration];
}

/** What called when it was bad says so when it is well: whoever keeps a list of calls closes them by that. */
function callsOfRuns(alerts: SourcePlan['alerts']['on']): AlarmDefinition['calls'] {
  if (!alerts.includes('failure')) return ['ALARM', 'OK'];
  return alerts.includes('success') ? [] : ['OK'];
}

function drillAlarms(plan: SourcePlan): AlarmDefinition[] {
  if (possibleDrillKinds(plan).length === 0) return [];
  const { rtoSeconds, rpoSeconds } = drillTargets(plan);
  const texts = {
    DrillFailed: 'the last drill failed: a backup did not come back as it should.',
    RtoMissed: `the last drill took longer than the target of ${rtoSeconds / 60} min.`,
    RpoMissed: `the newest data of the last drill were older than the target of ${(rpoSeconds ?? 0) / 60} min.`,
  };
  const kinds = [
    'DrillFailed',
    'RtoMissed',
    ...(rpoSeconds === null ? [] : ['RpoMissed' as const]),
  ] as const;
  return kinds.map((kind) =>
    define(plan, { kind, metric: kind, threshold: 0, text: texts[kind], calls: [] }),
  );
}

/** What nobody may be asked about has no value, and then no alarm: `missing`. */
function surroundingsAlarms(plan: SourcePlan): AlarmDefinition[] {
  const percent = plan.monitoring.snapshotQuotaPercent;
  const schedules = planSchedules(plan);
  const off = define(plan, {
    ...HEARTBEAT,
    kind: 'ScheduleDisabled',
    metric: 'ScheduleEnabled',
    threshold: 1,
    statistic: 'Minimum',
    comparison: 'LessThanThreshold',
    missingData: 'missing',
    text: `its schedule of ${schedules.map(({ starts }) => starts).join(' or that of ')} is disabled or gone: none will come. The log of reconcile names it.`,
  });
  const quota = define(plan, {
    ...HEARTBEAT,
    kind: 'SnapshotQuotaNear',
    metric: 'SnapshotQuotaUsed',
    threshold: percent,
    comparison: 'GreaterThanOrEqualToThreshold',
    missingData: 'missing',
    text: `the region's manual snapshots use ${percent} % of their quota or more.`,
  });
  return [
    ...(schedules.length > 0 ? [off] : []),
    ...(defaultKinds(plan).includes('snapshot') ? [quota] : []),
  ];
}

/** Unless it says otherwise: of what happens, above the threshold once, and so until the next value; and it calls. */
function define(
  { source }: SourcePlan,
  {
    kind,
    text,
    ...rest
  }: Pick<AlarmDefinition, 'kind' | 'metric' | 'threshold'> &
    Partial<AlarmDefinition> & { text: string },
): AlarmDefinition {
  return {
    id: `${kind}-${source}`,
    kind,
    source,
    description: `${source}: ${text} What to do: docs/operations.md#${kind.toLowerCase()}`,
    statistic: 'Maximum',
    periodSeconds: EVENT_PERIOD_SECONDS,
    evaluationPeriods: 1,
    datapointsToAlarm: 1,
    comparison: 'GreaterThanThreshold',
    missingData: 'ignore',
    calls: ['ALARM', 'OK'],
    ...rest,
  };
}

/** Longest that no drill may have passed; undefined: nothing can be drilled, or says when it should be. */
export function drillAgeSeconds(
  plan: Pick<SourcePlan, 'monitoring' | 'drill' | 'kinds' | 'engine'>,
): number | undefined {
  const { monitoring, drill } = plan;
  if (possibleDrillKinds(plan).length === 0) return undefined;
  if (monitoring.drillAgeDays !== undefined) return monitoring.drillAgeDays * DAY_SECONDS;
  const gap = drill.schedule === 'none' ? undefined : longestGapSeconds(drill.schedule);
  return gap === undefined ? undefined : gap + DRILL_GRACE_SECONDS;
}

function inWords(seconds: number): string {
  const hours = seconds / HOUR_SECONDS;
  return hours > 72 ? `${round(hours / 24)} days` : `${round(hours)} h`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
