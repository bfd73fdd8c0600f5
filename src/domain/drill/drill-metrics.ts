import type { DrillRecord } from '#contracts/drill.ts';
import type { MetricValues } from '#contracts/metrics.ts';

/**
 * What is recorded of a drill: of the source what its alarms look at, of each database its own times. A drill of
 * one database of several can make an alarm go off, and none go out: what is well with it is not recorded.
 */
export function drillMetrics(
  record: DrillRecord,
): { of: { source: string; database?: string }; values: MetricValues }[] {
  const { drill, status, databases, rtoSeconds, rpoSeconds } = record;
  const { source, targets, part = false } = drill;
  const bad = (name: 'DrillFailed' | 'RtoMissed' | 'RpoMissed', is: boolean): MetricValues =>
    part && !is ? {} : { [name]: is ? 1 : 0 };
  return [
    {
      of: { source },
      values: {
        ...bad('DrillFailed', status === 'FAILED'),
        ...(rtoSeconds === null
          ? {}
          : { DrillRto: rtoSeconds, ...bad('RtoMissed', rtoSeconds > targets.rtoSeconds) }),
        ...(rpoSeconds === null
          ? {}
          : { DrillRpo: rpoSeconds, ...bad('RpoMissed', rpoSeconds > targets.rpoSeconds) }),
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
