import type { SourcePlan } from '#contracts/source-plan.ts';
import { freshnessSeconds, longestGapSeconds } from '../monitoring/freshness.ts';

/** 24 h. */
const USUAL_RPO_SECONDS = 86_400;
/** Between two daily runs where clocks go back. */
const LONGEST_DAY_SECONDS = 25 * 3600;

/**
 * What drills of a source are judged by. Where the plan names no RPO, it is 24 h for backups that are made each day or
 * oftener. Of rarer ones the newest data may be as old as the newest backup may be before BackupStale: a target that
 * a plan kept to the letter must miss helps nobody. Where nothing says when there should be a backup, the RPO is null:
 * it is measured, and not judged.
 */
export function drillTargets(plan: Pick<SourcePlan, 'drill' | 'monitoring' | 'schedule'>): {
  readonly rtoSeconds: number;
  readonly rpoSeconds: number | null;
} {
  const { rtoMinutes, rpoMinutes } = plan.drill.targets;
  return {
    rtoSeconds: rtoMinutes * 60,
    rpoSeconds: rpoMinutes === undefined ? defaultRpoSeconds(plan) : rpoMinutes * 60,
  };
}

function defaultRpoSeconds(plan: Pick<SourcePlan, 'monitoring' | 'schedule'>): number | null {
  const gap = plan.schedule && longestGapSeconds(plan.schedule);
  if (gap !== undefined && gap <= LONGEST_DAY_SECONDS) return USUAL_RPO_SECONDS;
  const freshness = freshnessSeconds(plan);
  return freshness === undefined ? null : Math.max(USUAL_RPO_SECONDS, Math.ceil(freshness));
}
