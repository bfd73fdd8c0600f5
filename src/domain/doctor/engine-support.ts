import type { Answer, EngineLifecycle, Finding } from '#contracts/posture.ts';
import { daysUntil, displayDay, type Note } from './finding.ts';

/**
 * The last day on which the PostgreSQL project releases for a major.
 * Source: https://www.postgresql.org/support/versioning/
 */
export const COMMUNITY_ENDS: ReadonlyMap<number, string> = new Map([
  [12, '2024-11-21'],
  [13, '2025-11-13'],
  [14, '2026-11-12'],
  [15, '2027-11-11'],
  [16, '2028-11-09'],
  [17, '2029-11-08'],
  [18, '2030-11-14'],
]);

/**
 * The last day of standard support at RDS, by the rule that held for 11 and 12: the last of February after the
 * project's own. Only where RDS itself (DescribeDBMajorEngineVersions) gives no date, and the finding says so:
 * RDS moves its dates, and has its calendar at "Release calendars for Amazon RDS for PostgreSQL".
 */
export const RDS_STANDARD_ENDS: ReadonlyMap<number, string> = new Map([
  [12, '2025-02-28'],
  [13, '2026-02-28'],
  [14, '2027-02-28'],
  [15, '2028-02-29'],
  [16, '2029-02-28'],
  [17, '2030-02-28'],
  [18, '2031-02-28'],
]);

/** Why to look twice at a date that RDS did not tell. */
const OWN_DATE =
  "RDS did not tell the date: it is from Holdfast's own table of November 2026, which follows RDS's usual rule";

/** An upgrade of a major wants to be planned: half a year. */
const SOON_DAYS = 180;

/** `17` of `17.5`; NaN where it is no version. */
export function majorOf(engineVersion: string): number {
  return Number(/^\d+/.exec(engineVersion)?.[0] ?? Number.NaN);
}

/** A server that RDS does not run. */
export function judgeCommunitySupport(
  note: Note,
  { major, now }: { major: number; now: Date },
): Finding {
  const ends = dayEnd(COMMUNITY_ENDS.get(major));
  const what = `PostgreSQL ${major}`;
  if (!ends) return noDate(note, what);
  const left = daysUntil(ends, now);
  const until = `${what} is supported until ${displayDay(ends)}`;
  if (left > SOON_DAYS) return note('engine-support', 'ok', until);
  const remedy = 'upgrade with pg_upgrade, or by restoring a backup into a newer server';
  return left > 0
    ? note('engine-support', 'warn', `${until} only`, { why: NO_FIXES_THEN, remedy })
    : note('engine-support', 'fail', `${what} is not supported since ${displayDay(ends)}`, {
        why: NO_FIXES,
        remedy,
      });
}

const NO_FIXES = 'security holes and errors that lose data are not repaired any more';
const NO_FIXES_THEN = 'after that, security holes and errors that lose data are not repaired';

/** A server at RDS. `remedy`: how to find the versions that it can be upgraded to. */
export function judgeRdsSupport(
  note: Note,
  server: {
    readonly major: number;
    readonly lifecycles: Answer<ReadonlyMap<number, EngineLifecycle>>;
    readonly extendedSupport: boolean | undefined;
    readonly now: Date;
    readonly remedy: string;
  },
): Finding {
  const { major, lifecycles, extendedSupport, now, remedy } = server;
  const told = lifecycles.known ? lifecycles.fact.get(major) : undefined;
  const ends = told?.standardEnds ?? dayEnd(RDS_STANDARD_ENDS.get(major));
  const what = `PostgreSQL ${major}`;
  if (!ends) return noDate(note, what);
  const left = daysUntil(ends, now);
  const until = `${what} is in standard support at RDS until ${displayDay(ends)}`;
  const reasons = (why?: string) => ({
    why: [...(why === undefined ? [] : [why]), ...(told?.standardEnds ? [] : [OWN_DATE])].join(
      '; ',
    ),
  });
  if (left > SOON_DAYS) return note('engine-support', 'ok', until, reasons());
  const after =
    extendedSupport === false
      ? 'after that, RDS upgrades the server to the next major by itself'
      : 'after that, RDS Extended Support is charged for each vCPU and hour';
  if (left > 0) {
    return note('engine-support', 'warn', `${until} only`, { ...reasons(after), remedy });
  }
  const over = `${what} is out of standard support at RDS since ${displayDay(ends)}`;
  const extended = told?.extendedEnds;
  if (extended && daysUntil(extended, now) <= 0) {
    return note('engine-support', 'fail', over, {
      why: `Extended Support has ended too, on ${displayDay(extended)}: RDS upgrades it by force`,
      remedy,
    });
  }
  const why =
    extendedSupport === false
      ? 'Extended Support is off: RDS upgrades the server to the next major by itself'
      : `RDS Extended Support is charged for each vCPU and hour${extended ? `, until ${displayDay(extended)}` : ''}`;
  return note('engine-support', 'warn', over, { ...reasons(why), remedy });
}

function noDate(note: Note, what: string): Finding {
  return note('engine-support', 'unknown', `${what}: the end of its support is not known`, {
    why: 'it is older or newer than the dates that this version of Holdfast has',
    remedy: 'look at https://www.postgresql.org/support/versioning/',
  });
}

/** Midnight after the day. */
function dayEnd(day: string | undefined): Date | undefined {
  return day === undefined ? undefined : new Date(Date.parse(`${day}T23:59:59Z`));
}
