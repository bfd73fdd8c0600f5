import type { MetricValues } from '#contracts/metrics.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { VerifiedDatabase } from '#contracts/workflow.ts';
import { durationRatio, sizeRatio } from './anomaly-ratio.ts';

/** What one run is recorded as: of the source, and of each database that it verified. */
export interface RunMetrics {
  readonly source: MetricValues;
  readonly databases: ReadonlyMap<string, MetricValues>;
}

/** Of each verified backup of earlier runs, newest run first. */
export type EarlierRuns = readonly Pick<RunSummary, 'databases'>[];

const LEVELS: Readonly<Record<string, number>> = { structure: 1, full: 2 };

/**
 * The metrics of a run that has ended. The source's own ratios are the largest of its databases, as alarms
 * are of sources; they are left out where nothing was verified, so that an alarm keeps its state. So is what is well
 * with a part of the source: such a run can make an alarm go off, and none go out.
 *
 * @param plan undefined where it cannot be read: then there are no rules to judge by, and no ratios
 * @param isPart see {@link isPartOfSource}
 */
export function metricsOfRun(
  summary: RunSummary,
  earlier: EarlierRuns,
  plan: Pick<SourcePlan, 'verification' | 'monitoring'> | undefined,
  { isPart = false }: { isPart?: boolean } = {},
): RunMetrics {
  const verified = summary.databases.filter((result) => result.status === 'verified');
  const history = historyOf(earlier);
  const databases = new Map(
    verified.map((result) => [
      result.database,
      metricsOfDatabase(result, history.get(result.database) ?? [], plan),
    ]),
  );
  const each = [...databases.values()];
  const unlessWellInPart = (values: MetricValues, name: keyof MetricValues, limit = 0) =>
    isPart && (values[name] ?? 0) <= limit ? {} : values;
  const failed = summary.problems.filter(({ stage }) => stage !== 'retention').length;
  return {
    databases,
    source: {
      ...unlessWellInPart({ FailedBackups: failed }, 'FailedBackups'),
      ...(summary.durationSeconds === null ? {} : { RunDuration: summary.durationSeconds }),
      ...retentionMetrics(summary.retention),
      ...unlessWellInPart(
        largest('SizeRatio', each),
        'SizeRatio',
        plan?.verification.sizeAnomaly.ratio,
      ),
      ...unlessWellInPart(
        largest('DurationRatio', each),
        'DurationRatio',
        plan?.monitoring.duration.ratio,
      ),
    },
  };
}

/** How many earlier runs there must be to judge each database by the plan's rules. */
export function runsToCompare({
  verification,
  monitoring,
}: Pick<SourcePlan, 'verification' | 'monitoring'>): number {
  return Math.max(verification.sizeAnomaly.window, monitoring.duration.window);
}

function metricsOfDatabase(
  result: VerifiedDatabase,
  earlier: readonly VerifiedDatabase[],
  plan: Pick<SourcePlan, 'verification' | 'monitoring'> | undefined,
): MetricValues {
  const { sizeBytes, dumpSeconds, verifySeconds, rows, level } = result;
  // A backup that was verified at level `structure` has no count of its rows.
  const counted = level === 'full' ? { Rows: rows } : {};
  const ratios = plan && {
    SizeRatio: sizeRatio(
      sizeBytes,
      earlier.map((it) => it.sizeBytes),
      plan.verification.sizeAnomaly,
    ),
    DurationRatio: durationRatio(
      dumpSeconds,
      earlier.map((it) => it.dumpSeconds),
      plan.monitoring.duration,
    ),
  };
  return {
    BackupSize: sizeBytes,
    DumpDuration: dumpSeconds,
    VerifyDuration: verifySeconds,
    ...(dumpSeconds > 0 ? { DumpThroughput: sizeBytes / dumpSeconds } : {}),
    ...counted,
    VerificationLevel: LEVELS[level] ?? 0,
    ...ratios,
  };
}

function historyOf(earlier: EarlierRuns): Map<string, VerifiedDatabase[]> {
  const history = new Map<string, VerifiedDatabase[]>();
  for (const result of earlier.flatMap(({ databases }) => databases)) {
    if (result.status !== 'verified') continue;
    const known = history.get(result.database);
    if (known) known.push(result);
    else history.set(result.database, [result]);
  }
  return history;
}

function retentionMetrics(retention: RunSummary['retention']): MetricValues {
  if (!retention) return {};
  const { status, archives, snapshots } = retention;
  const kept = archives.kept + snapshots.kept;
  const deleted = archives.deleted + snapshots.deleted;
  // A dry run deletes nothing: what it would have deleted is still kept.
  return status === 'applied'
    ? { KeptBackups: kept, DeletedBackups: deleted }
    : { KeptBackups: kept + deleted, DeletedBackups: 0 };
}

function largest(
  name: 'SizeRatio' | 'DurationRatio',
  databases: readonly MetricValues[],
): MetricValues {
  const values = databases.flatMap((metrics) => metrics[name] ?? []);
  return values.length === 0 ? {} : { [name]: Math.max(...values) };
}
