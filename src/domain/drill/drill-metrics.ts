import type { DrillRecord } from '#contracts/drill.ts';
import type { MetricValues } from '#contracts/metrics.ts';
import { missesRpo, missesRto } from './drill-record.ts';
import { isWholeDrill } from './whole-drill.ts';

/**
 * What is recorded of a drill: of the source what its alarms look at, of each database its own times. A drill that is
 * not of the whole source can make an alarm go off, and none go out: what is well with it is not recorded. Nor is
 * anything said of a target where the plan has none.
 */
export function drillMetrics(
  record: DrillRecord,
): { of: { source: string; database?: string }; values: MetricValues }[] {
  const { drill, status, databases, rtoSeconds, rpoSeconds } = record;
  const { source, targets } = drill;
  const late = missesRto(record);
  const missed = missesRpo(record);
  const whole = isWholeDrill(record);
  const bad = (name: 'DrillFailed' | 'RtoMissed' | 'RpoMissed', is: boolean): MetricValues =>
    whole || is ? { [name]: is ? 1 : 0 } : {};
  return [
    {
      of: { source },
      values: {
        ...bad('DrillFailed', status === 'FAILED'),
        ...(rtoSeconds === null ? {} : { DrillRto: rtoSeconds }),
        ...(targets.rtoSeconds !== null && (rtoSeconds !== null || late)
          ? bad('RtoMissed', late)
          : {}),
        ...(rpoSeconds === null ? {} : { DrillRpo: rpoSeconds }),
        // Of a database of which nothing can be brought back there is no age, and the target is missed.
        ...(targets.rpoSeconds !== null && (rpoSeconds !== null || missed)
          ? bad('RpoMissed', missed)
          : {}),
      },
    },
    ...databases.map(({ database, report, rpoSeconds: ageSeconds }) => ({
      of: { source, database },
      values: {
        ...(report?.rtoSeconds == null ? {} : { DrillRto: report.rtoSeconds }),
        ...(ageSeconds === null ? {} : { DrillRpo: ageSeconds }),
      },
    })),
  ];
}
