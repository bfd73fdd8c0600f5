import { RetentionRules } from '#contracts/source-plan.ts';
import { planRetention, type RetentionItem } from '#domain/retention.ts';
import { type Spread, spread } from './statistics.ts';

const ITEMS = 10_000;
const HOUR = 3_600_000;

/** Seconds to plan ten thousand backups, one every hour, in a zone with daylight saving time. */
export function measureRetention(rounds: number): Spread {
  const now = new Date('2026-11-20T03:00:00Z');
  const items: RetentionItem[] = Array.from({ length: ITEMS }, (_, index) => ({
    id: String(index),
    time: new Date(now.getTime() - index * HOUR),
    state: index % 50 === 7 ? 'quarantined' : 'verified',
    sizeBytes: 1_000_000_000,
    running: false,
  }));
  const rules = RetentionRules.parse({});
  const seconds = Array.from({ length: rounds }, () => {
    const began = performance.now();
    const { keep, delete: gone } = planRetention({ items, rules, timezone: 'Europe/Berlin', now });
    if (keep.length + gone.length !== ITEMS || gone.length < ITEMS / 2) {
      throw new Error(`planned to keep ${keep.length} and to delete ${gone.length}`);
    }
    return (performance.now() - began) / 1000;
  });
  return spread(seconds);
}
