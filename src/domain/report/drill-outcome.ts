import type { DrillRecord } from '#contracts/drill.ts';
import { displayCount, displayName } from '../display-text.ts';
import { countsForSource, tablesLeftOut } from '../drill/whole-drill.ts';

/** What the record of a drill says, in words that the page, a job's summary and a terminal share. */

/**
 * Whether it failed before anything was chosen to be brought back. One whose server RDS did not restore has no
 * database either: it has a server.
 */
export function failedBeforeItBegan({
  status,
  databases,
  server,
}: Pick<DrillRecord, 'status' | 'databases' | 'server'>): boolean {
  return status === 'FAILED' && databases.length === 0 && server === null;
}

/** One that passed and does not count for its source passed in part. */
export function outcomeWord(record: DrillRecord): 'passed' | 'passed in part' | 'failed' {
  if (record.status === 'FAILED') return 'failed';
  return countsForSource(record) ? 'passed' : 'passed in part';
}

/** What of its source it was not about: `1 table left out`; null: it was about all. */
export function partWords(record: DrillRecord): string | null {
  const left = tablesLeftOut(record);
  const words = [
    ...(record.drill.part ? ['of a part of the source'] : []),
    ...(left > 0 ? [`${displayCount(left)} ${left === 1 ? 'table' : 'tables'} left out`] : []),
  ];
  return words.length > 0 ? words.join(', ') : null;
}

/**
 * Why there is no age though the target is missed, in the words of the finding: nothing of a database can be brought
 * back. Null: there is an age, or nobody looked. The database's name is fit to be shown, the rest is as it was found.
 */
export function ageless({
  rpoSeconds,
  databases,
}: Pick<DrillRecord, 'rpoSeconds' | 'databases'>): string | null {
  if (rpoSeconds !== null) return null;
  const missed = databases.flatMap((it) => {
    const finding = it.findings.find(({ check }) => check === 'rpo');
    return finding ? [{ ...it, message: finding.message }] : [];
  });
  // The age of another is not why there is none.
  const without = missed.filter((it) => it.rpoSeconds === null);
  const [first, ...others] = without.length > 0 ? without : missed;
  if (!first) return null;
  const more = others.length > 0 ? ` (and ${displayCount(others.length)} more)` : '';
  return `${displayName(first.database)}: ${first.message}${more}`;
}
