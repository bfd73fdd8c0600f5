import type { DrillRecord } from '#contracts/drill.ts';
import type { MetricValues } from '#contracts/metrics.ts';

/** What is recorded of a drill: of the source what its alarms look at, of each database its own times. */
export function drillMetrics(
  record: DrillRecord,
): { of: { source: string; database?: string }; values: MetricValues }[] {
  const { drill, status, databases, rtoSeconds, rpoSeconds } = record;
  const { source, targets } = drill;
  return [
    {
      of: { source },
      values: {
        DrillFailed: status === 'FAILED' ? 1 : 0,
        ...(rtoSeconds === null
          ? {}
          : { DrillRto: rtoSeconds, RtoMissed: rtoSeconds > targets.rtoSeconds ? 1 : 0 }),
        ...(rpoSeconds === null
          ? {}
          : { DrillRpo: rpoSeconds, RpoMissed: rpoSeconds > targets.rpoSeconds ? 1 : 0 }),
      },
    },
    ...databases.map(({ database, report, rpoSeconds: ageSeconds }) => ({
      of: { source, database },
      values: {
        ...(report ? { DrillRto: report.rtoSeconds } : {}),
        ...(ageSeconds === null ? {} : { DrillRpo: ageSeconds }),
      },
    })),
  ];
}
