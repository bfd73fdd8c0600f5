import type { Expectation } from '#contracts/source-plan.ts';
import { displayText } from '../display-text.ts';

export interface Judgement {
  readonly passed: boolean;
  /** In words: `at least 1000`. */
  readonly expected: string;
  /** What is odd about a value that its own text does not show. */
  readonly reason?: string;
}

export interface Circumstances {
  /** What ages are counted from. */
  readonly now: Date;
  /** No data are younger; default: `now`. */
  readonly newestAt?: Date | undefined;
  /** Whether a text matches a regular expression, which comes from the plan and may need years. */
  readonly matches: (text: string, pattern: string) => boolean;
}

/** Of a value: more of it is neither matched nor shown. */
export const VALUE_CHARACTERS = 200;
/** Clocks differ; and of a backup the snapshot is taken a moment after it began. */
const AHEAD_MINUTES = 5;
/** The day of a date begins so long before that of UTC on the first islands to have it (UTC+14). */
const DATE_AHEAD_MINUTES = 14 * 60;

/**
 * Holds the first column of the first row, as the server's text in ISO style, against what the plan expects.
 * `actual`: null for NULL, and where there is no row.
 */
export function judge(
  actual: string | null,
  expectation: Expectation,
  circumstances: Circumstances,
): Judgement {
  const expected = describeExpectation(expectation);
  if ('maxAgeMinutes' in expectation) {
    const at = actual === null ? undefined : readTimestamp(actual);
    if (at === undefined) return { expected, passed: false };
    const { now, newestAt = now } = circumstances;
    const minutesBefore = (time: Date) => (time.getTime() - at.time) / 60_000;
    // It would be young for years, whatever became of the rows that come in.
    if (-minutesBefore(newestAt) > at.aheadMinutes) {
      return { expected, passed: false, reason: FUTURE };
    }
    const ageMinutes = minutesBefore(now);
    return { expected, passed: ageMinutes <= expectation.maxAgeMinutes };
  }
  return { expected, passed: fits(actual, expectation, circumstances) };
}

const FUTURE =
  'it is later than the backup, so that it says nothing about how old the data are: a wrong clock, a made-up row, what a job of the restored server wrote, or a local time, which is read as UTC unless the query gives it a zone (AT TIME ZONE)';

export function describeExpectation(expectation: Expectation): string {
  if ('equals' in expectation) {
    const { equals } = expectation;
    return equals === null ? 'NULL, or no row' : `equal to ${displayText(String(equals), 100)}`;
  }
  if ('atLeast' in expectation) return `at least ${expectation.atLeast}`;
  if ('matches' in expectation) return `a match of ${displayText(expectation.matches, 100)}`;
  return `a time at most ${expectation.maxAgeMinutes} minutes before the backup, and not after it`;
}

function fits(
  actual: string | null,
  expectation: Exclude<Expectation, { maxAgeMinutes: number }>,
  { matches }: Circumstances,
): boolean {
  if ('equals' in expectation) return equalsValue(actual, expectation.equals);
  if (actual === null) return false;
  if ('atLeast' in expectation) {
    const value = readDecimal(actual);
    const least = readDecimal(String(expectation.atLeast));
    return value !== undefined && least !== undefined && compareDecimals(value, least) >= 0;
  }
  return matches(Array.from(actual).slice(0, VALUE_CHARACTERS).join(''), expectation.matches);
}

function equalsValue(actual: string | null, wanted: string | number | boolean | null): boolean {
  if (actual === null || wanted === null) return actual === wanted;
  if (typeof wanted === 'string') return actual === wanted;
  if (typeof wanted === 'boolean') {
    return (wanted ? ['t', 'true'] : ['f', 'false']).includes(actual);
  }
  const [value, other] = [readDecimal(actual), readDecimal(String(wanted))];
  return value !== undefined && other !== undefined && compareDecimals(value, other) === 0;
}

/** A number without loss: `digits` × 10^-`scale`; infinities as they are. */
type Decimal = { readonly digits: bigint; readonly scale: number } | 'infinity' | '-infinity';

/** Far beyond any sensible number: 1e999999 would be a million digits. */
const MOST_EXPONENT = 400;

function readDecimal(text: string): Decimal | undefined {
  const trimmed = text.trim();
  const infinite = /^([+-]?)Infinity$/i.exec(trimmed);
  if (infinite) return infinite[1] === '-' ? '-infinity' : 'infinity';
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(trimmed);
  const [, sign = '', whole = '', fraction = '', power = '0'] = match ?? [];
  const exponent = Number(power);
  if (!match || `${whole}${fraction}` === '' || Math.abs(exponent) > MOST_EXPONENT) {
    return undefined;
  }
  const digits = BigInt(`${whole}${fraction}`) * (sign === '-' ? -1n : 1n);
  const scale = fraction.length - exponent;
  return scale >= 0 ? { digits, scale } : { digits: digits * 10n ** BigInt(-scale), scale: 0 };
}

function compareDecimals(a: Decimal, b: Decimal): number {
  if (typeof a === 'string' || typeof b === 'string') return rank(a) - rank(b);
  const scale = Math.max(a.scale, b.scale);
  const [left, right] = [a, b].map((it) => it.digits * 10n ** BigInt(scale - it.scale));
  if (left === right) return 0;
  return (left ?? 0n) < (right ?? 0n) ? -1 : 1;
}

function rank(value: Decimal): number {
  if (typeof value !== 'string') return 0;
  return value === 'infinity' ? 1 : -1;
}

interface Timestamp {
  /** Milliseconds. */
  readonly time: number;
  /** So far it may lie ahead of the data that it is in. */
  readonly aheadMinutes: number;
}

/**
 * `2026-11-20 03:00:00.123456+00`, also with another offset, or a date alone. Without an offset it is taken as
 * UTC: what a `timestamp` means nobody but the application knows. `infinity` is later than any time.
 */
function readTimestamp(text: string): Timestamp | undefined {
  if (text.trim() === 'infinity') return { time: Infinity, aheadMinutes: 0 };
  const match =
    /^(\d{4,6})(-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(Z|[+-]\d\d(?::?\d\d)?)?)?$/.exec(
      text.trim(),
    );
  if (!match) return undefined;
  const [, year = '', day = '', clock, zone = 'Z'] = match;
  // JavaScript wants the minutes of an offset, and of a year beyond 9999 a sign and six digits.
  const minutes = zone.slice(3).replace(':', '') || '00';
  const offset = zone === 'Z' ? zone : `${zone.slice(0, 3)}:${minutes}`;
  const longYear = year.length === 4 ? year : `+${year.padStart(6, '0')}`;
  const time = Date.parse(`${longYear}${day}T${clock ?? '00:00'}${offset}`);
  if (Number.isNaN(time)) return undefined;
  return { time, aheadMinutes: clock === undefined ? DATE_AHEAD_MINUTES : AHEAD_MINUTES };
}
