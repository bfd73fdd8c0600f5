import { wallTime } from './time-zone.ts';

/** The names of the calendar periods that an instant falls into, in one time zone. */
export interface Periods {
  /** `2026-11-20` */
  readonly daily: string;
  /** ISO 8601 week, Monday to Sunday, with the week's own year: `2026-W47`. */
  readonly weekly: string;
  /** `2026-11` */
  readonly monthly: string;
  /** `2026` */
  readonly yearly: string;
}

export function periodsOf(instant: Date, timezone: string): Periods {
  const { year, month, day } = wallTime(instant, timezone);
  const monthly = `${year}-${pad(month)}`;
  return {
    daily: `${monthly}-${pad(day)}`,
    weekly: isoWeek(year, month, day),
    monthly,
    yearly: String(year),
  };
}

/** ISO 8601: a week belongs to the year that has its Thursday; week 1 has the year's first one. */
function isoWeek(year: number, month: number, day: number): string {
  const thursday = new Date(Date.UTC(year, month - 1, day));
  const weekday = thursday.getUTCDay() || 7;
  thursday.setUTCDate(thursday.getUTCDate() + 4 - weekday);
  const weekYear = thursday.getUTCFullYear();
  const dayOfYear = (thursday.getTime() - Date.UTC(weekYear, 0, 1)) / 86_400_000;
  return `${weekYear}-W${pad(Math.floor(dayOfYear / 7) + 1)}`;
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
