import * as z from 'zod';

/**
 * Every metric: namespace `Holdfast`, dimensions `service`, `Stage` and `Source`, and `Database` where it is of one. Alarms,
 * dashboard and report are made of these names and no others.
 */
export const METRIC_NAMESPACE = 'Holdfast';
/** Value of the dimension `service`, which the metrics library adds to every metric. */
export const METRIC_SERVICE = 'holdfast';

/** CloudWatch's own names of units. */
export const METRICS = {
  /**
   * Since the newest verified backup began. Of a source: the oldest of its databases, or of its snapshots where it has no
   * dumps. None yet: since it was first seen. Hourly, by Reconcile.
   */
  BackupAge: 'Seconds',
  /** Since the last drill that passed; none yet: since the source was first seen. Hourly, by Reconcile. */
  DrillAge: 'Seconds',
  /** Of the archive. */
  BackupSize: 'Bytes',
  /**
   * Of the archive, to the median of the last verified ones, or the other way round: half and double are both 2.
   * 1 while warming up and for small differences. Of a source: the largest of the run's databases.
   */
  SizeRatio: 'None',
  DumpDuration: 'Seconds',
  /**
   * Of the dump, to the median of the last verified ones; 1 while warming up and for short dumps. Of a source:
   * the largest of the run's databases.
   */
  DurationRatio: 'None',
  VerifyDuration: 'Seconds',
  /** Of the archive, while it was dumped. */
  DumpThroughput: 'Bytes/Second',
  Rows: 'Count',
  /** 1 structure, 2 full. */
  VerificationLevel: 'None',
  RunDuration: 'Seconds',
  /** Databases and snapshots of a run that have no verified backup; no value where a run of a part of the source has 0. */
  FailedBackups: 'Count',
  RestoreDuration: 'Seconds',
  DrillRto: 'Seconds',
  DrillRpo: 'Seconds',
  /** 1: a drill missed the plan's target; 0: it met it. */
  RtoMissed: 'Count',
  RpoMissed: 'Count',
  /** 1: a drill failed, for whatever reason; 0: it passed. */
  DrillFailed: 'Count',
  KeptBackups: 'Count',
  DeletedBackups: 'Count',
  /** Of every object under `backups/<source>/`, current versions. Hourly, by Reconcile. */
  StoredBytes: 'Bytes',
  /** Estimate: what StoredBytes cost in a month, in US dollars, by list prices; see domain/storage-cost.ts. */
  MonthlyCost: 'None',
  /** Manual snapshots in the region, of its quota. Hourly, by Reconcile. */
  SnapshotQuotaUsed: 'Percent',
  /** 1: the schedules that the plan wants, of backups and of drills, are there and enabled; 0: one is not. Hourly, by Reconcile. */
  ScheduleEnabled: 'None',
} as const;
export type MetricName = keyof typeof METRICS;
export type MetricValues = Partial<Readonly<Record<MetricName, number>>>;

/** One alarm, as CloudWatch has it, whatever it is made with. */
export const AlarmDefinition = z.strictObject({
  /** `<AlarmKind>` and the source: docs/operations.md has a section a kind. */
  id: z.string(),
  kind: z.enum([
    'BackupStale',
    'DrillStale',
    'DrillFailed',
    'SizeAnomaly',
    'DurationAnomaly',
    'RtoMissed',
    'RpoMissed',
    'BackupsFailed',
    'ScheduleDisabled',
    'SnapshotQuotaNear',
  ]),
  source: z.string(),
  metric: z.enum(Object.keys(METRICS) as [MetricName, ...MetricName[]]),
  description: z.string(),
  statistic: z.enum(['Maximum', 'Minimum', 'Sum', 'Average']),
  periodSeconds: z.int().multipleOf(60),
  evaluationPeriods: z.int().min(1),
  datapointsToAlarm: z.int().min(1),
  threshold: z.number(),
  comparison: z.enum([
    'GreaterThanThreshold',
    'GreaterThanOrEqualToThreshold',
    'LessThanThreshold',
    'LessThanOrEqualToThreshold',
  ]),
  missingData: z.enum(['breaching', 'notBreaching', 'ignore', 'missing']),
  calls: z
    .array(z.enum(['ALARM', 'OK']))
    .describe('the states that it tells somebody of; of others an alert tells, with more in it'),
});
export type AlarmDefinition = z.infer<typeof AlarmDefinition>;
