import type { Monitoring } from '#contracts/source-plan.ts';
import { medianOf, type SizeAnomalyRules } from '../size-anomaly.ts';

/**
 * How many times an archive is larger or smaller than the median of the last verified ones: half the median
 * and double the median are both 2, so that one alarm sees either. 1 while there are fewer than `warmUp`
 * earlier ones, and where the difference is below `minimumBytes`; so it is above `ratio` exactly when
 * {@link judgeSize} finds the size odd.
 *
 * @param earlierBytes sizes of verified backups, newest first; the first `window` of them count
 */
export function sizeRatio(
  sizeBytes: number,
  earlierBytes: readonly number[],
  rules: Pick<SizeAnomalyRules, 'window' | 'warmUp' | 'minimumBytes'>,
): number {
  const median = medianOfLast(earlierBytes, rules);
  if (median === undefined || Math.abs(sizeBytes - median) < rules.minimumBytes) return 1;
  const [less = 0, more = 0] = [sizeBytes, median].toSorted((a, b) => a - b);
  return more / Math.max(less, 1);
}

/**
 * How many times longer a dump took than the median of the last verified ones took; below 1 it was quicker,
 * which is no trouble. 1 while there are fewer than `warmUp` earlier ones, and for a dump that took less than
 * `minimumSeconds`.
 *
 * @param earlierSeconds of verified backups, newest first; the first `window` of them count
 */
export function durationRatio(
  seconds: number,
  earlierSeconds: readonly number[],
  rules: Omit<Monitoring['duration'], 'ratio'>,
): number {
  const median = medianOfLast(earlierSeconds, rules);
  if (median === undefined || seconds < rules.minimumSeconds) return 1;
  return seconds / Math.max(median, 1);
}

/** Undefined: there are too few to judge by. */
function medianOfLast(
  newestFirst: readonly number[],
  { window, warmUp }: { window: number; warmUp: number },
): number | undefined {
  const compared = newestFirst.slice(0, window).toSorted((a, b) => a - b);
  return compared.length < Math.max(warmUp, 1) ? undefined : medianOf(compared);
}
