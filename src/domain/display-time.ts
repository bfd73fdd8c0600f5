/** Points in time for a reader: always UTC, and how long ago. */

/** `2026-11-20 03:00:00 UTC` */
export function displayUtc(time: Date): string {
  return `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Of each unit the seconds, and up to how many of the next smaller one are still told in that. */
const UNITS = [
  { seconds: 1, name: 's', upTo: 90 },
  { seconds: 60, name: 'min', upTo: 90 },
  { seconds: 3600, name: 'h', upTo: 48 },
  { seconds: 86_400, name: 'days', upTo: Number.POSITIVE_INFINITY },
] as const;

/** `8 s ago`, `75 min ago`, `3 h ago`, `12 days ago`; of the future: `in 15 min`. */
export function relativeTime(time: Date, now: Date): string {
  const elapsedSeconds = (now.getTime() - time.getTime()) / 1000;
  // Of a time to come the last second that has begun counts as well: 15 minutes are told as 15.
  return elapsedSeconds < 0
    ? `in ${displayAge(Math.ceil(-elapsedSeconds))}`
    : `${displayAge(elapsedSeconds)} ago`;
}

/** `8 s`, `75 min`, `3 h`, `12 days`: one unit, rounded down, as ages are told. */
export function displayAge(seconds: number): string {
  for (const unit of UNITS) {
    const count = Math.floor(seconds / unit.seconds);
    if (count < unit.upTo) return `${count} ${unit.name}`;
  }
  return '';
}
