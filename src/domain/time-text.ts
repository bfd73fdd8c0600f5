import { InvalidInput } from '#errors';

/** A time as ISO 8601 writes it, or a day: its first second. Without a zone it is UTC. */
const TIME = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)(Z|[+-]\d\d:\d\d)?)?$/;

/** The time that a person wrote, in UTC with a `Z`. Throws InvalidInput. */
export function parseTimeText(text: string): string {
  const [, day = '', clock = '00:00', zone = 'Z'] = TIME.exec(text) ?? [];
  const midnight = new Date(`${day}T00:00Z`);
  const time = new Date(`${day}T${clock}${zone}`);
  // JavaScript takes 30 February for 2 March.
  const isReal = !Number.isNaN(midnight.getTime()) && midnight.toISOString().startsWith(day);
  if (!isReal || Number.isNaN(time.getTime())) {
    throw new InvalidInput(`${JSON.stringify(text)} is no time`, {
      remedy: 'write 2026-11-20T12:00:00Z, or 2026-11-20 for its first second (UTC)',
    });
  }
  return time.toISOString();
}
