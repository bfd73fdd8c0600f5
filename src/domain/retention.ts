import type { RetentionRules } from '#contracts/source-plan.ts';
import { RetentionGuard } from '#errors';
import { type Periods, periodsOf } from './retention-periods.ts';

/** One backup or snapshot, as retention sees it. */
export interface RetentionItem {
  readonly id: string;
  readonly time: Date;
  readonly state: 'verified' | 'unverified' | 'quarantined';
  readonly sizeBytes: number;
  /** Being written or verified right now. */
  readonly running: boolean;
  /** When a drill first brought it back; undefined: none did. */
  readonly drilledAt?: Date | undefined;
}

export interface RetentionDecision {
  readonly id: string;
  readonly time: Date;
  readonly state: RetentionItem['state'];
  readonly sizeBytes: number;
  /** Every rule that keeps it, or why it goes. Never empty. */
  readonly reasons: readonly string[];
}

/** Both lists newest first; together they have every item once. */
export interface RetentionPlan {
  readonly keep: readonly RetentionDecision[];
  readonly delete: readonly RetentionDecision[];
}

export interface RetentionRequest {
  /** Of one database, or the snapshots of one source; in any order. */
  readonly items: readonly RetentionItem[];
  readonly rules: RetentionRules;
  /** IANA name; in it days, weeks, months and years are counted. */
  readonly timezone: string;
  readonly now: Date;
  /** Why nothing may be deleted this time: everything is kept, and this is among the reasons. */
  readonly withheld?: string | undefined;
}

/**
 * Decides what is kept and what goes; deletes nothing.
 *
 * - Only verified items count. Of each of the last N days (weeks, months, years) *that have one*, the
 *   newest is kept: after a pause in the backups nothing goes merely because time has passed.
 * - The newest `minimumVerified` verified ones stay, whatever the other rules say.
 * - The newest verified one that a drill has brought back stays: it is the one that is known to work.
 * - Unverified and quarantined ones go when `unverifiedGraceHours` have passed, never while running.
 * - What is dated in the future (a clock was wrong) is kept and takes nobody's place.
 *
 * Example, with `keepLast: 2, daily: 3, weekly: 2, minimumVerified: 1`, the other rules 0, all verified:
 *
 *     Fri 2026-11-20 15:00   last 1 of 2, daily 2026-11-20, weekly 2026-W47, minimum verified 1 of 1
 *     Fri 2026-11-20 03:00   last 2 of 2
 *     Thu 2026-11-19 03:00   daily 2026-11-19
 *     Tue 2026-11-17 03:00   daily 2026-11-17 (Wednesday has none)
 *     Mon 2026-11-16 03:00   goes: no rule keeps it
 *     Sun 2026-11-15 03:00   weekly 2026-W46
 *     Sat 2026-11-14 03:00   goes: no rule keeps it
 */
export function planRetention(request: RetentionRequest): RetentionPlan {
  const { rules, now, withheld } = request;
  const items = request.items.toSorted(
    (a, b) => b.time.getTime() - a.time.getTime() || (a.id < b.id ? 1 : -1),
  );
  const reasonsOf = keepReasons(
    items.filter((item) => item.state === 'verified' && item.time <= now),
    request,
  );
  const keep: RetentionDecision[] = [];
  const gone: RetentionDecision[] = [];
  for (const item of items) {
    const reasons = [...(reasonsOf.get(item) ?? [])];
    if (item.time > now) reasons.push('dated in the future');
    if (item.running) reasons.push('running');
    if (item.state !== 'verified' && ageHours(item, now) < rules.unverifiedGraceHours) {
      reasons.push(`${item.state}, in the ${rules.unverifiedGraceHours} hours of grace`);
    }
    if (withheld !== undefined) reasons.push(`withheld: ${withheld}`);
    const { id, time, state, sizeBytes } = item;
    if (reasons.length > 0) keep.push({ id, time, state, sizeBytes, reasons });
    else gone.push({ id, time, state, sizeBytes, reasons: [whyItGoes(item, request)] });
  }
  return { keep, delete: gone };
}

/** The rules that keep each verified item; `verified` is newest first. */
function keepReasons(
  verified: readonly RetentionItem[],
  { rules, timezone }: RetentionRequest,
): Map<RetentionItem, string[]> {
  const reasons = new Map<RetentionItem, string[]>(verified.map((item) => [item, []]));
  const keepFor = (item: RetentionItem, reason: string) => reasons.get(item)?.push(reason);

  for (const [index, item] of verified.slice(0, rules.keepLast).entries()) {
    keepFor(item, `last ${index + 1} of ${rules.keepLast}`);
  }
  const periods = verified.map((item) => periodsOf(item.time, timezone));
  for (const rule of [
    'daily',
    'weekly',
    'monthly',
    'yearly',
  ] as const satisfies (keyof Periods)[]) {
    const seen = new Set<string>();
    for (const [index, item] of verified.entries()) {
      const period = periods[index]?.[rule] ?? '';
      if (seen.has(period)) continue;
      // Newest first, so the first item of a period is the one that stands for it.
      if (seen.size >= rules[rule]) break;
      seen.add(period);
      keepFor(item, `${rule} ${period}`);
    }
  }
  for (const [index, item] of verified.slice(0, rules.minimumVerified).entries()) {
    keepFor(item, `minimum verified ${index + 1} of ${rules.minimumVerified}`);
  }
  // The newest that is known to come back, and the one of which that was seen last.
  const drilled = verified.filter((item) => item.drilledAt !== undefined);
  const [newest] = drilled;
  const last = drilled.toSorted(lastDrilledFirst)[0];
  if (newest && newest !== last) keepFor(newest, 'newest drilled');
  if (last) keepFor(last, 'last drilled');
  return reasons;
}

function lastDrilledFirst(a: RetentionItem, b: RetentionItem): number {
  return (b.drilledAt?.getTime() ?? 0) - (a.drilledAt?.getTime() ?? 0);
}

function whyItGoes(item: RetentionItem, { now, rules }: RetentionRequest): string {
  if (item.state === 'verified') return 'no rule keeps it';
  const hours = Math.floor(ageHours(item, now));
  return `${item.state} for ${hours} hours, grace is ${rules.unverifiedGraceHours}`;
}

function ageHours(item: RetentionItem, now: Date): number {
  return (now.getTime() - item.time.getTime()) / 3_600_000;
}

/**
 * An ordinary run deletes one verified backup, or two when one leaves `keepLast` and another its
 * period, and with few backups that is a large share. So many are never a reason to stop.
 */
const ORDINARY_DELETES = 2;

/**
 * Throws RetentionGuard when the plan would delete more than `maxDeleteShare` of the verified items:
 * that is what a wrong rule, a wrong clock or the first run under a stricter rule looks like. A share
 * of 0 stops at the first. `what` says whose plan it is: `database "shop"`.
 */
export function guardRetention(plan: RetentionPlan, rules: RetentionRules, what: string): void {
  const isVerified = ({ state }: RetentionDecision) => state === 'verified';
  const going = plan.delete.filter(isVerified).length;
  const verified = plan.keep.filter(isVerified).length + going;
  const allowed =
    rules.maxDeleteShare === 0
      ? 0
      : Math.max(ORDINARY_DELETES, Math.floor(verified * rules.maxDeleteShare));
  if (going <= allowed) return;
  throw new RetentionGuard(
    `retention of ${what} would delete ${going} of ${verified} verified backups, ${allowed} are allowed`,
    {
      remedy:
        'nothing was deleted: read the plan, with dryRun: true if need be, then correct the rules or, if it is right, raise maxDeleteShare for one run',
    },
  );
}
