import { InvalidPlan } from '#errors';
import { instantOf, wallTime } from './time-zone.ts';

/**
 * EventBridge Scheduler's expressions, and when they are due. Written by hand since npm's cron parsers
 * read Unix cron: AWS counts weekdays from 1 = Sunday, has `W` and a year, and differs on the days
 * when the clocks change. There, as AWS documents: a time that does not exist is skipped, one that
 * exists twice is due once.
 */
export interface Schedule {
  readonly expression: string;
  /** IANA name. */
  readonly timezone: string;
}

interface Cron {
  readonly minutes: readonly number[];
  readonly hours: readonly number[];
  readonly months: readonly number[];
  readonly years: readonly number[];
  /** Days of one month on which it is due, ascending. */
  readonly days: (year: number, month: number) => number[];
}

type ParsedSchedule = { readonly cron: Cron } | { readonly periodMilliseconds: number };

const UNIT_MILLISECONDS = { minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
const MONTHS = ['JAN', 'FEB', 'MAR', 'APR', 'MAY', 'JUN', 'JUL', 'AUG', 'SEP', 'OCT', 'NOV', 'DEC'];
const WEEKDAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT'];

/**
 * Reads `cron(minute hour day month weekday year)` or `rate(6 hours)`.
 * Throws InvalidPlan, which names the field and what it may hold.
 */
export function parseSchedule(expression: string): ParsedSchedule {
  const rate = /^rate\(([1-9]\d*) (minute|hour|day)s?\)$/.exec(expression);
  if (rate) {
    const unit = rate[2] as keyof typeof UNIT_MILLISECONDS;
    return { periodMilliseconds: Number(rate[1]) * UNIT_MILLISECONDS[unit] };
  }
  const fields = /^cron\((.+)\)$/.exec(expression)?.[1]?.split(' ') ?? [];
  const [minute, hour, day, month, weekday, year] = fields;
  if (fields.length !== 6 || !minute || !hour || !day || !month || !weekday || !year) {
    throw new InvalidPlan(`schedule ${expression} is neither cron(…) with six fields nor rate(…)`, {
      remedy: 'write cron(0 3 * * ? *) or rate(6 hours)',
    });
  }
  if ((day === '?') === (weekday === '?')) {
    throw new InvalidPlan(`schedule ${expression}: exactly one of day and weekday must be ?`, {
      remedy: 'write cron(0 3 * * ? *) for every day, cron(0 3 ? * SUN *) for Sundays',
    });
  }
  return {
    cron: {
      minutes: numbers({ name: 'minute', first: 0, last: 59 }, minute),
      hours: numbers({ name: 'hour', first: 0, last: 23 }, hour),
      months: numbers({ name: 'month', first: 1, last: 12, words: MONTHS }, month),
      years: numbers({ name: 'year', first: 1970, last: 2199 }, year),
      days: day === '?' ? daysOfWeekdays(weekday) : daysOfMonth(day),
    },
  };
}

/**
 * The last time, at or before `now`, at which a run was due; undefined when there was none.
 * A rate counts from the start of the last run, as Scheduler's own count is not to be had: with no
 * `lastStart` nothing can be said, and a gap has one due time however long it lasts.
 */
export function previousDue(
  { expression, timezone }: Schedule,
  now: Date,
  lastStart?: Date,
): Date | undefined {
  const parsed = parseSchedule(expression);
  if ('periodMilliseconds' in parsed) {
    const due = (lastStart?.getTime() ?? Number.NaN) + parsed.periodMilliseconds;
    return due <= now.getTime() ? new Date(due) : undefined;
  }
  return search(parsed.cron, timezone, now, -1, (due) => due <= now);
}

/** The first time after `now` at which a run is due; undefined when there is none. */
export function nextDue(
  { expression, timezone }: Schedule,
  now: Date,
  lastStart?: Date,
): Date | undefined {
  const parsed = parseSchedule(expression);
  if ('periodMilliseconds' in parsed) {
    if (!lastStart) return undefined;
    const { periodMilliseconds } = parsed;
    const passed = Math.floor((now.getTime() - lastStart.getTime()) / periodMilliseconds);
    return new Date(lastStart.getTime() + (Math.max(passed, 0) + 1) * periodMilliseconds);
  }
  return search(parsed.cron, timezone, now, 1, (due) => due > now);
}

/** Walks the wall calendar from the day of `from`, in the direction, to the first hit. */
function search(
  { years, months, days, hours, minutes }: Cron,
  timezone: string,
  from: Date,
  direction: 1 | -1,
  isHit: (due: Date) => boolean,
): Date | undefined {
  const start = wallTime(from, timezone);
  const ahead = (value: number, limit: number) => (value - limit) * direction >= 0;
  const inOrder = (values: readonly number[]) => (direction === 1 ? values : values.toReversed());
  for (const year of inOrder(years)) {
    if (!ahead(year, start.year)) continue;
    for (const month of inOrder(months)) {
      if (year === start.year && !ahead(month, start.month)) continue;
      for (const day of inOrder(days(year, month))) {
        if (year === start.year && month === start.month && !ahead(day, start.day)) continue;
        for (const hour of inOrder(hours)) {
          for (const minute of inOrder(minutes)) {
            const due = instantOf({ year, month, day, hour, minute }, timezone);
            if (due && isHit(due)) return due;
          }
        }
      }
    }
  }
  return undefined;
}

interface Field {
  readonly name: string;
  readonly first: number;
  readonly last: number;
  /** Words that stand for `first`, `first + 1`, … */
  readonly words?: readonly string[];
}

/** A list of values, ranges and steps: `1,5-7,0/15,*`. Ascending, without repetitions. */
function numbers(field: Field, text: string): number[] {
  const found = new Set<number>();
  for (const item of text.split(',')) {
    const match = /^(?:(\*)|([A-Za-z\d]+)(?:-([A-Za-z\d]+))?)(?:\/([1-9]\d*))?$/.exec(item);
    if (!match) throw invalid(field, text);
    const [, every, low, high, step] = match;
    const from = every || !low ? field.first : valueIn(field, low, text);
    // `5/15` runs from 5 to the field's end; a plain `5` is only 5.
    const upTo = every || step ? field.last : from;
    const to = high ? valueIn(field, high, text) : upTo;
    if (to < from) throw invalid(field, text);
    for (let value = from; value <= to; value += Number(step ?? 1)) found.add(value);
  }
  return [...found].sort((a, b) => a - b);
}

function valueIn(field: Field, word: string, text: string): number {
  const index = field.words?.indexOf(word.toUpperCase()) ?? -1;
  const value = index >= 0 ? index + field.first : Number(word);
  if (!Number.isInteger(value) || value < field.first || value > field.last) {
    throw invalid(field, text);
  }
  return value;
}

function invalid({ name, first, last }: Field, text: string) {
  return new InvalidPlan(`${text} is not a ${name} of a schedule`, {
    remedy: `use ${first} to ${last}, with lists, ranges from low to high and steps: ${first},${first + 2}-${first + 5},*/2`,
  });
}

/** `*`, numbers, `L` (last day), `15W` (the weekday nearest to the 15th), `LW`. */
function daysOfMonth(text: string): Cron['days'] {
  const field: Field = { name: 'day of the month', first: 1, last: 31 };
  const nearest = /^(\d\d?)W$/.exec(text)?.[1];
  if (nearest) {
    const wanted = valueIn(field, nearest, text);
    return (year, month) =>
      wanted <= lastDay(year, month) ? [nearestWeekday(year, month, wanted)] : [];
  }
  if (text === 'LW') return (year, month) => [nearestWeekday(year, month, lastDay(year, month))];
  if (text === 'L') return (year, month) => [lastDay(year, month)];
  const days = numbers(field, text);
  return (year, month) => days.filter((day) => day <= lastDay(year, month));
}

/** Numbers and names (1 = SUN), `L` (Saturday), `6L` (the last Friday), `6#2` (the second Friday). */
function daysOfWeekdays(text: string): Cron['days'] {
  const field: Field = { name: 'weekday', first: 1, last: 7, words: WEEKDAYS };
  const [, word, rule] = /^([A-Za-z]{3}|\d)(L|#[1-5])$/.exec(text) ?? [];
  if (word && rule) {
    const days = daysThatAre([valueIn(field, word, text)]);
    return (year, month) => {
      const all = days(year, month);
      const hit = rule === 'L' ? all.at(-1) : all[Number(rule.slice(1)) - 1];
      return hit === undefined ? [] : [hit];
    };
  }
  return daysThatAre(text === 'L' ? [7] : numbers(field, text));
}

function daysThatAre(weekdays: readonly number[]): Cron['days'] {
  return (year, month) =>
    Array.from({ length: lastDay(year, month) }, (_, index) => index + 1).filter((day) =>
      weekdays.includes(weekdayOf(year, month, day)),
    );
}

/** Monday to Friday, nearest to the day, within the same month. */
function nearestWeekday(year: number, month: number, day: number): number {
  const weekday = weekdayOf(year, month, day);
  if (weekday === 7) return day === 1 ? 3 : day - 1;
  if (weekday === 1) return day === lastDay(year, month) ? day - 2 : day + 1;
  return day;
}

/** 1 = Sunday, as AWS counts. */
function weekdayOf(year: number, month: number, day: number): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 1;
}

function lastDay(year: number, month: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}
