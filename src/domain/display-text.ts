/**
 * Text from outside (database names, error causes) made fit to be read: in a line, in an e-mail's
 * subject, in a log. What could break a line, hide characters or turn the direction of reading is
 * shown as its code point.
 */

/** Controls, format characters (bidi, zero width), line separators, lone surrogates, private use. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\u2028\u2029]/gu;

/** One line of at most `limit` characters (code points), without anything unprintable. */
export function displayText(text: string, limit: number): string {
  // Four times the limit is enough for what is cut anyway, and bounds the work on a huge text.
  const flat = text
    .slice(0, limit * 4)
    .normalize('NFC')
    .replace(/[\r\n\t ]+/g, ' ')
    .trim();
  const visible = flat.replace(UNSAFE, (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`);
  const points = Array.from(visible);
  if (points.length <= limit && text.length <= limit * 4) return visible;
  return `${points.slice(0, limit - 1).join('')}…`;
}

/** A name: as it is when it is plain, else quoted, so that its spaces and its end can be seen. */
export function displayName(name: string, limit = 80): string {
  if (/^[A-Za-z0-9_.-]+$/.test(name) && name.length <= limit) return name;
  const spaced = name.replace(/[\r\n\t]/g, (char) => JSON.stringify(char).slice(1, -1));
  return `"${displayText(spaced, limit)}"`;
}

/**
 * An SNS subject: ASCII, no control characters, starts with a letter or digit, under 100 characters.
 * Accents are taken off; what has no ASCII form becomes `?`.
 */
export function asciiSubject(text: string): string {
  const ascii = text
    .slice(0, 1_000)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[^ -~]+/g, '?')
    .replace(/ +/g, ' ')
    .replace(/^[^A-Za-z0-9]+/, '')
    .trim();
  return ascii.length < 100 ? ascii : `${ascii.slice(0, 96)}...`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const;

/** Powers of 1000: `4.2 MB`, `46 MB`. */
export function displayBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(unit > 0 && value < 9.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** `8 s`, `3 min 20 s`, `2 h 5 min`. */
export function displaySeconds(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** `340,000` */
export function displayCount(count: number): string {
  return count.toLocaleString('en-US');
}
