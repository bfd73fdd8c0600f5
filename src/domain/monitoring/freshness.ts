import type { SourcePlan } from '#contracts/source-plan.ts';
import { nextDue, type Schedule } from '../schedule.ts';

/** From the start of a run to its verified backup, and then some: 6 h. */
export const FRESHNESS_GRACE_SECONDS = 6 * 3600;
const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;

/** Oldest that the newest verified backup may be; undefined: nothing says when there should be one. */
export function freshnessSeconds({
  monitoring,
  schedule,
}: Pick<SourcePlan, 'monitoring' | 'schedule'>): number | undefined {
  if (monitoring.freshnessHours !== undefined) return monitoring.freshnessHours * HOUR_SECONDS;
  const gap = schedule && longestGapSeconds(schedule);
  return gap === undefined ? undefined : gap + FRESHNESS_GRACE_SECONDS;
}

/**
 * Any year would do: it has both changes of the clocks and months of every length but 29 days. Fixed, so that the
 * same plan makes the same alarms whenever it is deployed.
 */
const GAPS_FROM = new Date('2026-01-01T00:00:00Z');
const GAPS_DAYS = 400;
/** One that is due so often, every hour of a month or every five minutes of a week's office hours, has shown its gaps. */
const MOST_GAPS = 800;

/**
 * The longest time between two runs of a schedule, over 400 days or its first two runs, whichever is longer.
 * Undefined: it is due once, or never again.
 */
export function longestGapSeconds(schedule: Schedule): number | undefined {
  const end = GAPS_FROM.getTime() + GAPS_DAYS * DAY_SECONDS * 1000;
  // A rate counts from the last run; a run at the start of time makes the first gap a whole one.
  let last = nextDue(schedule, GAPS_FROM, GAPS_FROM);
  let longest: number | undefined;
  for (let gaps = 0; last && gaps < MOST_GAPS; gaps += 1) {
    const next = nextDue(schedule, last, last);
    if (!next || (longest !== undefined && next.getTime() > end)) break;
    longest = Math.max(longest ?? 0, (next.getTime() - last.getTime()) / 1000);
    last = next;
  }
  return longest;
}
