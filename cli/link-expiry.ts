import { parseDuration } from '#domain/duration.ts';
import { InvalidInput } from '#errors';

/** A link that lives longer is a hole that nobody remembers. */
const LONGEST_SECONDS = 12 * 3600;

/** Seconds that a link is to work: `15m`, `2h`. Throws InvalidInput. */
export function readExpiry(text: string): number {
  const seconds = parseDuration(text);
  if (seconds === undefined || seconds < 1) {
    throw new InvalidInput(`--expires ${JSON.stringify(text)} is no time`, {
      remedy: 'write 15m, 2h or 1h30m',
    });
  }
  if (seconds > LONGEST_SECONDS) {
    throw new InvalidInput(`--expires ${text} is more than 12 hours`, {
      remedy: 'write at most 12h, and make another link later',
    });
  }
  return seconds;
}
