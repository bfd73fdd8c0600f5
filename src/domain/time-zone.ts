/**
 * Wall clocks of IANA time zones, from the tables that Node brings (Intl). Building a formatter costs
 * a thousand times what using it does, hence the cache.
 */

const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timezone: string): Intl.DateTimeFormat {
  const known = formatters.get(timezone);
  if (known) return known;
  const formatter = new Intl.DateTimeFormat('en-US', {
    timeZone: timezone,
    calendar: 'gregory',
    numberingSystem: 'latn',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  formatters.set(timezone, formatter);
  return formatter;
}

/** What a wall clock shows; months and days count from 1. */
export interface WallTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
}

/** The wall clock of the zone at an instant. Throws RangeError for a zone that Intl does not know. */
export function wallTime(instant: Date, timezone: string): WallTime {
  const wall = { year: 0, month: 0, day: 0, hour: 0, minute: 0 };
  for (const { type, value } of formatterOf(timezone).formatToParts(instant)) {
    if (type in wall) wall[type as keyof WallTime] = Number(value);
  }
  return wall;
}

/** Minutes by which the zone's wall clock is ahead of UTC at the instant. */
function offsetMinutes(instant: number, timezone: string): number {
  const { year, month, day, hour, minute } = wallTime(new Date(instant), timezone);
  return (
    (Date.UTC(year, month - 1, day, hour, minute) - Math.floor(instant / 60_000) * 60_000) / 60_000
  );
}

/**
 * The first instant at which the zone's clock shows this time: where the clock is set back, the
 * earlier of two. Undefined where it never does, in the gap where the clock is set forward.
 */
export function instantOf(wall: WallTime, timezone: string): Date | undefined {
  const asUtc = Date.UTC(wall.year, wall.month - 1, wall.day, wall.hour, wall.minute);
  // No zone is more than 14 hours from UTC, so the two offsets around a change lie within a day.
  const dayMilliseconds = 86_400_000;
  const offsets = new Set([
    offsetMinutes(asUtc - dayMilliseconds, timezone),
    offsetMinutes(asUtc + dayMilliseconds, timezone),
  ]);
  const instants = [...offsets]
    .map((minutes) => asUtc - minutes * 60_000)
    .filter((instant) => instant + offsetMinutes(instant, timezone) * 60_000 === asUtc);
  return instants.length > 0 ? new Date(Math.min(...instants)) : undefined;
}
