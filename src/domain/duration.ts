const UNIT_SECONDS = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 } as const;

/** Seconds of `90s`, `15m`, `15min`, `12h`, `1h30m`, `2d`; undefined when it is no such text. */
export function parseDuration(text: string): number | undefined {
  if (!/^(\d{1,9}(s|min|m|h|d))+$/.test(text)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(s|min|m|h|d)/g)) {
    seconds += Number(count) * UNIT_SECONDS[unit as keyof typeof UNIT_SECONDS];
  }
  return seconds;
}
