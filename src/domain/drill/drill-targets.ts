import type { SourcePlan } from '#contracts/source-plan.ts';
import { freshnessSeconds } from '../monitoring/freshness.ts';

/** A day: nobody who makes backups more often has said that one of yesterday would not do. */
const LEAST_RPO_SECONDS = 86_400;

/**
 * What drills of a source are judged by. Where the plan names no RPO, the newest data may be as old as the newest
 * backup may be before BackupStale, and a day at least: a target that a plan kept to the letter must miss helps nobody.
 * Where nothing says when there should be a backup, the RPO is null: it is measured, and not judged.
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
  const freshness = freshnessSeconds(plan);
  return freshness === undefined ? null : Math.max(LEAST_RPO_SECONDS, Math.ceil(freshness));
}
