import type { SourcePlan } from '#contracts/source-plan.ts';

export type SizeAnomalyRules = SourcePlan['verification']['sizeAnomaly'];

/**
 * Says what is odd about an archive's size beside the median of the last verified ones, or undefined.
 *
 * Odd is a size below the median divided by `ratio` or above the median times `ratio`, when the
 * difference is at least `minimumBytes` (a database of a few kilobytes may double any day). Fewer than
 * `warmUp` earlier backups are no base for a judgement.
 *
 * @param earlierBytes sizes of verified backups, newest first; the first `window` of them count
 */
export function judgeSize(
  sizeBytes: number,
  earlierBytes: readonly number[],
  rules: SizeAnomalyRules,
): string | undefined {
  const compared = earlierBytes.slice(0, rules.window).toSorted((a, b) => a - b);
  if (rules.action === 'ignore' || compared.length < rules.warmUp) return undefined;
  const median = medianOf(compared);
  const odd = sizeBytes < median / rules.ratio || sizeBytes > median * rules.ratio;
  if (!odd || Math.abs(sizeBytes - median) < rules.minimumBytes) return undefined;
  const times = (sizeBytes / Math.max(median, 1)).toFixed(2);
  return `the archive has ${sizeBytes} bytes, ${times} times the median of the last ${compared.length} verified ones (${median} bytes)`;
}

/** Of values in ascending order; 0 of none. */
export function medianOf(sorted: readonly number[]): number {
  const upper = sorted[sorted.length >> 1] ?? 0;
  const lower = sorted[(sorted.length - 1) >> 1] ?? 0;
  return Math.round((lower + upper) / 2);
}
