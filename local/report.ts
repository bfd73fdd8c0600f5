import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DrillRecord } from '#contracts/drill.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import { Verification } from '#contracts/verification.ts';
import { displayName, displaySeconds, displayText } from '#domain/display-text.ts';
import { backupKey, drillRecordKey, makeBackupId, runSummaryKey } from '#domain/names.ts';
import {
  ageless,
  allFindings,
  anyUncompared,
  failedBeforeItBegan,
  partWords,
  timeless,
  timeWords,
} from '#domain/report/drill-outcome.ts';
import type { SnsMessage } from './control-plane/sns.ts';
import type { ExecutionView } from './control-plane/step-functions.ts';
import { LOCAL } from './stack.ts';

/** What a run came to, as `npm start -- --json` prints it. */
export interface RunReport {
  readonly status: 'SUCCEEDED' | 'FAILED';
  readonly executionArn: string;
  readonly source: string;
  readonly snapshot: RunSummary['snapshot'] | null;
  readonly backups: readonly BackupReport[];
  readonly failures: readonly { database: string; error: string; cause: string }[];
  readonly retention: RunSummary['retention'];
  readonly notifications: readonly { subject: string; status: string }[];
  /** Null: none was wanted, or it was not planned. */
  readonly drill: DrillRecord | null;
  readonly error: { name: string; cause: string } | null;
}

export interface BackupReport {
  readonly source: string;
  readonly database: string;
  readonly backupId: string;
  readonly sizeBytes: number;
  readonly level: string;
  readonly dumpSeconds: number;
  readonly verifySeconds: number;
  readonly archivePath: string;
  readonly manifestPath: string;
  readonly verificationPath: string;
  /** By `schema.table`. */
  readonly rows: Readonly<Record<string, number>>;
}

/** Reads what the run left in the bucket: the records, not our memory of it, are what is reported. */
export async function readReport(
  directory: string,
  source: string,
  execution: ExecutionView,
  messages: readonly SnsMessage[],
): Promise<RunReport> {
  const bucket = join(directory, 's3', LOCAL.bucket);
  const summaryFile = join(bucket, runSummaryKey(source, execution.name));
  const summary = existsSync(summaryFile)
    ? RunSummary.parse(JSON.parse(await readFile(summaryFile, 'utf8')))
    : undefined;
  const backups: BackupReport[] = [];
  const failures: { database: string; error: string; cause: string }[] = [];
  for (const database of summary?.databases ?? []) {
    if (database.status === 'failed') {
      const { Error: error, Cause: cause } = database.failure;
      failures.push({ database: database.database, error, cause });
      continue;
    }
    const ref = { source, database: database.database, backupId: database.backupId };
    const path = (file: Parameters<typeof backupKey>[1]) => join(bucket, backupKey(ref, file));
    const verificationPath = path('verification.json');
    const proof = Verification.parse(JSON.parse(await readFile(verificationPath, 'utf8')));
    backups.push({
      ...ref,
      sizeBytes: database.sizeBytes,
      level: proof.level,
      dumpSeconds: database.dumpSeconds,
      verifySeconds: database.verifySeconds,
      archivePath: path('archive.dump'),
      manifestPath: path('manifest.json'),
      verificationPath,
      rows: Object.fromEntries(
        proof.tables.map(({ schema, table, rows }) => [`${schema}.${table}`, rows]),
      ),
    });
  }
  return {
    status: execution.status === 'SUCCEEDED' ? 'SUCCEEDED' : 'FAILED',
    executionArn: execution.executionArn,
    source,
    snapshot: summary?.snapshot ?? null,
    backups,
    failures,
    retention: summary?.retention ?? null,
    notifications: messages.map(notification),
    drill: null,
    error: errorOf(execution),
  };
}

/** What the drill of a source left in the bucket; null where it was not even planned. */
export async function readDrill(
  directory: string,
  source: string,
  { executionArn, startDate }: ExecutionView,
): Promise<DrillRecord | null> {
  const drillId = makeBackupId(startDate, executionArn);
  const file = join(directory, 's3', LOCAL.bucket, drillRecordKey({ source, drillId }));
  return existsSync(file) ? DrillRecord.parse(JSON.parse(await readFile(file, 'utf8'))) : null;
}

/** The report of a run and of the drill of what it backed up, which fails both. */
export function withDrill(
  report: RunReport,
  rehearsal: {
    drill: DrillRecord | null;
    execution: ExecutionView;
    messages: readonly SnsMessage[];
  },
): RunReport {
  const { drill, execution, messages } = rehearsal;
  const error = report.error ?? errorOf(execution);
  return {
    ...report,
    status: error ? 'FAILED' : report.status,
    notifications: [...report.notifications, ...messages.map(notification)],
    drill,
    error,
  };
}

function notification({ subject, attributes }: SnsMessage) {
  return { subject: subject ?? '', status: attributes['status'] ?? '' };
}

function errorOf({ status, error, cause }: ExecutionView): RunReport['error'] {
  return status === 'SUCCEEDED' ? null : { name: error ?? status, cause: cause ?? '' };
}

/** One document for all runs: the first run's fields on top, the backups of all, and each run by itself. */
export function combineReports(runs: readonly RunReport[]) {
  const [first] = runs;
  const failed = runs.find(({ status }) => status === 'FAILED');
  return {
    status: failed || !first ? ('FAILED' as const) : ('SUCCEEDED' as const),
    executionArn: first?.executionArn ?? null,
    snapshot: first?.snapshot ?? null,
    backups: runs.flatMap(({ backups }) => backups),
    retention: first?.retention ?? null,
    drill: first?.drill ?? null,
    notifications: runs.flatMap(({ notifications }) => notifications),
    error: failed?.error ?? null,
    runs,
  };
}

/** The summary for a person, as lines. */
export function describeRun(report: RunReport): string[] {
  const lines = [`${report.source}: ${report.status}`];
  const { snapshot } = report;
  if (snapshot?.status === 'available') lines.push(`  snapshot   ${snapshot.snapshot.snapshotId}`);
  if (snapshot?.status === 'failed') {
    lines.push(`  snapshot   FAILED: ${snapshot.failure.Error}: ${snapshot.failure.Cause}`);
  }
  for (const backup of report.backups) {
    const counts = Object.values(backup.rows);
    const rows = counts.reduce((sum, count) => sum + count, 0);
    lines.push(
      `  verified   ${displayName(backup.database)}: ${formatBytes(backup.sizeBytes)}, level ${backup.level}, ` +
        `${counts.length} tables, ${rows.toLocaleString('en')} rows; dump ${backup.dumpSeconds.toFixed(1)} s, verification ${backup.verifySeconds.toFixed(1)} s`,
    );
    for (const [table, count] of largestTables(backup.rows)) {
      lines.push(
        `               ${count.toLocaleString('en').padStart(11)}  ${displayName(table)}`,
      );
    }
  }
  for (const { database, error, cause } of report.failures) {
    lines.push(`  FAILED     ${displayName(database)}: ${error}: ${cause}`);
  }
  if (report.retention) {
    const { archives, snapshots } = report.retention;
    lines.push(
      `  retention  archives: ${archives.kept} kept, ${archives.deleted} deleted; snapshots: ${snapshots.kept} kept, ${snapshots.deleted} deleted`,
    );
  }
  lines.push(...describeDrill(report.drill));
  for (const { subject } of report.notifications) lines.push(`  alert      ${subject}`);
  if (report.error) lines.push(`  error      ${report.error.name}: ${report.error.cause}`);
  return lines;
}

function describeDrill(record: DrillRecord | null): string[] {
  if (!record) return [];
  const { databases, drill, status, error, cause, rtoSeconds, rpoSeconds } = record;
  if (failedBeforeItBegan(record)) {
    return [
      `  drill      FAILED before it began: ${displayText(`${error}: ${cause ?? ''}`, TEXT_CHARACTERS)}`,
    ];
  }
  const against = (seconds: number | null, targetSeconds: number | null, unmeasured: string) =>
    `${seconds === null ? unmeasured : displaySeconds(seconds)}${targetSeconds === null ? ', no target' : ` of ${displaySeconds(targetSeconds)}`}`;
  const names = databases.map(({ database }) => displayName(database)).join(', ');
  const noAge = ageless(record);
  const left = partWords(record);
  const word = status === 'PASSED' && left !== null ? `PASSED in part (${left})` : status;
  const further = [
    ['RTO', timeless(record) ?? timeWords(record)],
    ['RPO', noAge?.why ?? null],
    ['data', anyUncompared(record)],
  ] as const;
  return [
    `  drill      ${word}: ${names}; RTO ${against(rtoSeconds, drill.targets.rtoSeconds, 'not measured')}, RPO ${against(rpoSeconds, drill.targets.rpoSeconds, noAge?.word.toUpperCase() ?? 'not measured')}`,
    ...further.flatMap(([name, words]) =>
      words === null ? [] : [`               ${name}: ${displayText(words, TEXT_CHARACTERS)}`],
    ),
    ...allFindings(record).map(
      ({ database, finding: { class: kind, check, subject, message, advice } }) =>
        `               ${kind}: ${database === null ? 'all together' : displayName(database)}${subject === null ? '' : ` ${displayText(subject, 100)}`}: ${check}: ${displayText(`${message}. ${advice}`, TEXT_CHARACTERS)}`,
    ),
    ...drill.notes.map((note) => `               note: ${displayText(note, TEXT_CHARACTERS)}`),
  ];
}

/** Of a cause, in a line. */
const TEXT_CHARACTERS = 400;

const TABLES_SHOWN = 8;

function largestTables(rows: Readonly<Record<string, number>>): [string, number][] {
  return Object.entries(rows)
    .sort((a, b) => b[1] - a[1])
    .slice(0, TABLES_SHOWN);
}

/** `13.5 MB`; decimal units, as S3 and disks are sold. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
