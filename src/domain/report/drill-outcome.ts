import type { DrillFinding, DrillRecord } from '#contracts/drill.ts';
import { displayCount, displayName, displaySeconds } from '../display-text.ts';
import { countsForSource, tablesLeftOut } from '../drill/whole-drill.ts';

/** What the record of a drill says, in words that the page, a job's summary and a terminal share. */

/** Whether it failed before anything was chosen to be brought back. */
export function failedBeforeItBegan({ drill }: Pick<DrillRecord, 'drill'>): boolean {
  return drill.unplanned === true;
}

/** What it was to bring back; of one that was not planned nobody knows for sure. */
export function kindWords({ drill }: Pick<DrillRecord, 'drill'>): string {
  return drill.unplanned ? 'not planned' : drill.kind;
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

/** Of its databases, and of all of them together (then `database` is null). */
export function allFindings({
  databases,
  findings = [],
}: Pick<DrillRecord, 'databases' | 'findings'>): {
  readonly database: string | null;
  readonly finding: DrillFinding;
}[] {
  return [
    ...findings.map((finding) => ({ database: null, finding })),
    ...databases.flatMap((it) =>
      it.findings.map((finding) => ({ database: it.database, finding })),
    ),
  ];
}

/** Why there is no time; null: there is one, or nobody said. As {@link ageless}, the database's name is fit to be shown. */
export function timeless({
  rtoSeconds,
  databases,
}: Pick<DrillRecord, 'rtoSeconds' | 'databases'>): string | null {
  if (rtoSeconds !== null) return null;
  for (const { database, report } of databases) {
    if (report?.rtoUnknown !== undefined) return `${displayName(database)}: ${report.rtoUnknown}`;
  }
  return null;
}

/** Why there is no age, and what to call that. */
export interface Ageless {
  /** `none` where no age was judged. */
  readonly word: 'missed' | 'none';
  /** In the words of the finding. The database's name is fit to be shown, the rest is as it was found. */
  readonly why: string;
}

/** Of one of which nothing can be brought back, whatever its age; null: there is an age, or nobody looked. */
export function ageless({
  drill,
  rpoSeconds,
  databases,
}: Pick<DrillRecord, 'drill' | 'rpoSeconds' | 'databases'>): Ageless | null {
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
  return {
    word: drill.targets.rpoSeconds === null ? 'none' : 'missed',
    why: `${displayName(first.database)}: ${first.message}${more}`,
  };
}

/** What the time of the source is, where it is not that of its one database; null: it is. */
export function timeWords({
  rtoSeconds,
  databases,
  server,
}: Pick<DrillRecord, 'rtoSeconds' | 'databases' | 'server'>): string | null {
  const alone = databases.flatMap(({ report }) => report?.rtoSeconds ?? []);
  // Of a server all databases are back at the same time.
  if (rtoSeconds === null || alone.length < 2 || server !== null) return null;
  return `until all ${displayCount(alone.length)} databases were back; the slowest alone took ${displaySeconds(Math.max(...alone))}`;
}

/** What of its rows is not proved; null: they were compared, or are not its business. */
export function uncomparedWords({
  report,
}: Pick<DrillRecord['databases'][number], 'report'>): string | null {
  return report?.rowsCompared === false ? 'rows not compared: verified by structure only' : null;
}

/** The same of a whole drill, which may have more databases. */
export function anyUncompared({ databases }: Pick<DrillRecord, 'databases'>): string | null {
  const words = databases.flatMap((it) => uncomparedWords(it) ?? []);
  const [first] = words;
  if (first === undefined) return null;
  return words.length === databases.length
    ? first
    : `${first} (${words.length} of ${databases.length} databases)`;
}
