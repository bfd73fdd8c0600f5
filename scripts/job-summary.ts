/**
 * Makes the page of a GitHub job: reads what `holdfast start --json` or `holdfast drill --json` printed from
 * standard input, and writes Markdown. Ends with 1 when that is no document of ours, so that a step
 * which printed nothing is not taken for a success.
 */
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { type DatabaseDrill, type DrillFinding, DrillRecord } from '#contracts/drill.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import type { DatabaseResult } from '#contracts/workflow.ts';
import { counted } from '#domain/alert-text.ts';
import {
  displayBytes,
  displayCount,
  displayName,
  displaySeconds,
  displayText,
} from '#domain/display-text.ts';
import { nextStep } from '#domain/next-steps.ts';
import {
  ageless,
  allFindings,
  failedBeforeItBegan,
  kindWords,
  outcomeWord,
  partWords,
  timeless,
  timeWords,
  uncomparedWords,
} from '#domain/report/drill-outcome.ts';

/** GitHub takes 1 MiB a step. The longest row has 1,000 characters, each at most 9 bytes once written as a number. */
const LISTED = 50;
const NAME_CHARACTERS = 100;
const TEXT_CHARACTERS = 300;

const CommandError = z.object({
  name: z.string(),
  message: z.string(),
  remedy: z.string().nullable(),
});

/** What cli/run-execution.ts prints. */
const FollowedExecution = z.object({
  runId: z.string(),
  startedAt: z.string(),
  consoleUrl: z.string().nullable(),
  input: z.object({ source: z.string() }),
  status: z.string(),
  endedAt: z.string().nullish(),
  record: z.unknown().optional(),
  error: CommandError.optional(),
});
type FollowedExecution = z.infer<typeof FollowedExecution>;

/** What cli/main.ts prints when the command itself could not be done. */
const RefusedCommand = z.object({ error: CommandError });

/** The page; undefined when the document is none that the command prints. */
export function jobSummary(document: unknown): string | undefined {
  const followed = FollowedExecution.safeParse(document);
  if (followed.success) return describeExecution(followed.data);
  const refused = RefusedCommand.safeParse(document);
  if (!refused.success) return undefined;
  return page([heading(false, 'Not done'), describeError(refused.data.error)]);
}

function describeExecution(execution: FollowedExecution): string {
  const { record, error, status, input } = execution;
  const run = RunSummary.safeParse(record);
  if (run.success) return describeRun(execution, run.data);
  const drill = DrillRecord.safeParse(record);
  if (drill.success) return describeDrill(execution, drill.data);
  const good = status === 'SUCCEEDED' || status === 'RUNNING';
  return page([
    heading(good, `Execution for ${literal(input.source)}: ${literal(status)}`),
    facts(factsOf(execution)),
    error && describeError(error),
  ]);
}

function describeRun(execution: FollowedExecution, summary: RunSummary): string {
  const { databases, snapshot, server, problems, warnings, retention, reason } = summary;
  const succeeded = summary.status === 'SUCCEEDED' && execution.status === 'SUCCEEDED';
  const source = literal(summary.source ?? execution.input.source);
  return page([
    heading(succeeded, `Backup of ${source}: ${succeeded ? 'verified' : 'FAILED'}`),
    facts([
      ...factsOf(execution),
      ['Took', summary.durationSeconds === null ? undefined : seconds(summary.durationSeconds)],
      ['Reason', reason === null ? undefined : literal(reason)],
      ['Server', server === null ? undefined : `PostgreSQL ${literal(server.version)}`],
      [
        'Snapshot',
        snapshot.status === 'available'
          ? literal(snapshot.snapshot.snapshotId)
          : snapshot.status === 'failed'
            ? `FAILED: ${literal(snapshot.failure.Error)}`
            : undefined,
      ],
      [
        'Retention',
        retention === null
          ? undefined
          : `${retention.status === 'dry-run' ? 'dry run; ' : ''}${counted(retention.archives.kept, 'archive')} kept, ${displayCount(retention.archives.deleted)} deleted`,
      ],
    ]),
    // Otherwise the problems say it.
    summary.status === 'SUCCEEDED' && execution.error && describeError(execution.error),
    table(
      'Databases',
      ['Database', 'State', 'Size', 'Tables', 'Rows', 'Dumped in', 'Verified in', 'Backup'],
      // Failures first, so that a long list never cuts them off.
      databases.toSorted((a, b) => (a.status < b.status ? -1 : 1)),
      databaseRow,
    ),
    table(
      'Problems',
      ['Where', 'Error', 'Cause', 'What to do'],
      problems,
      ({ stage, database, error, cause }) => [
        database === null ? stage : name(database),
        literal(error),
        literal(cause),
        literal(nextStep(error)),
      ],
    ),
    table('Warnings', ['Warning'], warnings, (warning) => [literal(warning)]),
  ]);
}

function databaseRow(result: DatabaseResult): string[] {
  if (result.status === 'failed') {
    return [name(result.database), `FAILED: ${literal(result.failure.Error)}`, ...nothing(6)];
  }
  return [
    name(result.database),
    `verified (${literal(result.level)})`,
    displayBytes(result.sizeBytes),
    displayCount(result.tables),
    displayCount(result.rows),
    seconds(result.dumpSeconds),
    seconds(result.verifySeconds),
    literal(result.backupId),
  ];
}

function describeDrill(execution: FollowedExecution, record: DrillRecord): string {
  const { drill, databases } = record;
  const word = execution.status === 'SUCCEEDED' ? outcomeWord(record) : 'failed';
  const { targets } = drill;
  const left = partWords(record);
  const noAge = ageless(record);
  const all = timeWords(record);
  const when = failedBeforeItBegan(record) ? ' before it began' : '';
  return page([
    heading(
      word === 'passed in part' ? 'in part' : word === 'passed',
      `Drill of ${literal(drill.source)}: ${word === 'failed' ? `FAILED${when}` : word}`,
    ),
    facts([
      ...factsOf(execution),
      ['Took', seconds(record.durationSeconds)],
      ['Reason', drill.reason === null ? undefined : literal(drill.reason)],
      ['Rehearsed', literal(kindWords(record))],
      [
        'Does not count for the source',
        word === 'failed' || left === null ? undefined : literal(left),
      ],
      [
        'Time to bring it back (RTO)',
        withNote(againstTarget(record.rtoSeconds, targets.rtoSeconds), all) ??
          unmeasured('not measured', timeless(record), targets.rtoSeconds),
      ],
      [
        'Age of the newest data (RPO)',
        againstTarget(record.rpoSeconds, targets.rpoSeconds) ??
          unmeasured(
            noAge ? noAge.word.toUpperCase() : 'not measured',
            noAge?.why ?? null,
            targets.rpoSeconds,
          ),
      ],
    ]),
    execution.error ? describeError(execution.error) : describeFailure(record),
    table(
      'Databases',
      ['Database', 'State', 'Backup', 'RTO', 'RPO', 'Size', 'Tables', 'Rows', 'Cause'],
      databases.toSorted((a, b) => (a.status < b.status ? -1 : 1)),
      (result) => drilledRow(result, noAge?.word.toUpperCase() ?? ''),
    ),
    table(
      'Findings',
      ['Database', 'Kind', 'Check', 'About', 'What was found', 'What to do'],
      allFindings(record),
      findingRow,
    ),
    table('Notes', ['Note'], drill.notes, (note) => [literal(note)]),
  ]);
}

/** Of one that no database explains, as there is none. */
function describeFailure({ databases, error, cause }: DrillRecord): string | undefined {
  if (databases.length > 0 || error === null) return undefined;
  return describeError({ name: error, message: cause ?? '', remedy: nextStep(error) });
}

function drilledRow(result: DatabaseDrill, noAge: string): string[] {
  const { database, status, backupId, report, rpoSeconds, findings, error, cause } = result;
  const isAgeless = rpoSeconds === null && findings.some(({ check }) => check === 'rpo');
  const uncompared = uncomparedWords(result);
  return [
    name(database),
    error === null ? status : `${status}: ${literal(error)}`,
    backupId === null ? '' : literal(backupId),
    report?.rtoSeconds == null ? '' : seconds(report.rtoSeconds),
    rpoSeconds === null ? (isAgeless ? noAge : '') : seconds(rpoSeconds),
    report ? displayBytes(report.sizeBytes) : '',
    report ? displayCount(report.tables) : '',
    report
      ? [displayCount(report.rows), ...(uncompared === null ? [] : [uncompared])].join('; ')
      : '',
    cause === null ? '' : literal(cause),
  ];
}

function findingRow(found: { database: string | null; finding: DrillFinding }): string[] {
  const { class: kind, check, subject, message, advice } = found.finding;
  return [
    found.database === null ? 'all together' : name(found.database),
    kind,
    check,
    subject === null ? '' : literal(subject),
    literal(message),
    literal(advice),
  ];
}

/** Undefined: nothing was measured. */
function againstTarget(measured: number | null, target: number | null): string | undefined {
  if (measured === null) return undefined;
  if (target === null) return `${seconds(measured)}; no target`;
  const verdict = measured > target ? 'MISSED' : 'met';
  return `${seconds(measured)}; target ${seconds(target)} ${verdict}`;
}

function withNote(text: string | undefined, note: string | null): string | undefined {
  return text === undefined || note === null ? text : `${text} (${note})`;
}

function unmeasured(word: string, why: string | null, target: number | null): string {
  const aim = target === null ? 'no target' : `target ${seconds(target)}`;
  return why === null ? `${word}; ${aim}` : `${word}; ${aim}: ${literal(why)}`;
}

type Fact = readonly [title: string, value: string | undefined];

function factsOf({ runId, startedAt, endedAt, consoleUrl }: FollowedExecution): Fact[] {
  // Nothing in it that could end the link or begin another.
  const isPlain = consoleUrl !== null && /^https:\/\/[\w.-]+\/[\w/?=&#:.%-]*$/.test(consoleUrl);
  return [
    ['Run', literal(runId)],
    ['Console', isPlain ? `[execution](${consoleUrl})` : undefined],
    ['Started', literal(startedAt)],
    ['Ended', endedAt ? literal(endedAt) : undefined],
  ];
}

function describeError({ name: error, message, remedy }: z.infer<typeof CommandError>): string {
  return [
    `${literal(error)}: ${literal(message)}`,
    ...(remedy === null ? [] : [`What to do: ${literal(remedy)}`]),
  ].join('\n\n');
}

const MARKS = { good: '✅', 'in part': '⚠️', bad: '❌' } as const;

function heading(outcome: boolean | keyof typeof MARKS, title: string): string {
  const mark = typeof outcome === 'boolean' ? (outcome ? 'good' : 'bad') : outcome;
  return `## ${MARKS[mark]} ${title}`;
}

function facts(rows: readonly Fact[]): string {
  const known = rows.filter((row): row is readonly [string, string] => row[1] !== undefined);
  return tableOf(['', ''], known);
}

/** A titled table, cut where it is long; nothing where it has no rows. */
function table<Item>(
  title: string,
  columns: readonly string[],
  items: readonly Item[],
  rowOf: (item: Item) => string[],
): string | undefined {
  if (items.length === 0) return undefined;
  const more = items.length - LISTED;
  return [
    `### ${title}`,
    tableOf(columns, items.slice(0, LISTED).map(rowOf)),
    ...(more > 0 ? [`and ${displayCount(more)} more`] : []),
  ].join('\n\n');
}

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}

const nothing = (cells: number): string[] => Array.from({ length: cells }, () => '');

function page(parts: readonly (string | undefined | false)[]): string {
  return `${parts.filter((part) => typeof part === 'string').join('\n\n')}\n`;
}

const seconds = displaySeconds;
const name = (text: string): string => literal(displayName(text, NAME_CHARACTERS));

/**
 * Text from outside, so that it is shown and nothing else. Inside `<code>` GitHub makes no mentions,
 * issue links or emoji of it, and as numbers no mark begins a cell, a tag, a link or emphasis.
 */
export function literal(text: string): string {
  const encoded = displayText(text, TEXT_CHARACTERS).replace(
    /[^\p{L}\p{M}\p{N} ]/gu,
    (mark) => `&#${mark.codePointAt(0)};`,
  );
  return `<code>${encoded}</code>`;
}

function parseJson(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const summary = jobSummary(parseJson(await text(process.stdin)));
  console.log(summary ?? page([heading(false, 'The command printed no result; see its step')]));
  if (summary === undefined) process.exitCode = 1;
}
