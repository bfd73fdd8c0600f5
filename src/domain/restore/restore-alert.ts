import type { AlertMessage } from '#contracts/alert-message.ts';
import type { CleanUp, PlannedRestore, RestoreRecord } from '#contracts/restore.ts';
import {
  attributeValue,
  CAUSE_IN_JSON,
  CAUSE_IN_TEXT,
  consoleLine,
  counted,
  cutList,
  joinSections,
  section,
} from '../alert-text.ts';
import {
  asciiSubject,
  displayBytes,
  displayName,
  displaySeconds,
  displayText,
} from '../display-text.ts';
import { nextStep } from '../next-steps.ts';

/** The message about a restore that ended; attributes as in alert-message.ts, `event` is `restore`. */
export function restoreAlert(record: RestoreRecord, bucket: string): AlertMessage {
  const { restore, report, status, error, cause } = record;
  const succeeded = status === 'SUCCEEDED';
  const what = `${restore.source}/${displayName(restore.backup?.database ?? restore.archive.key)}`;
  const where = displayName(restoredAs(record) ?? restore.target.database);
  const headline = succeeded
    ? `restore of ${what} done: ${where}`
    : `restore of ${what} FAILED: ${displayText(error ?? '', 80)}`;
  const doubts = doubtLines(restore);
  const warnings = [...doubts, ...(report?.warnings ?? [])];
  const tolerated = report?.tolerated ?? [];
  return {
    subject: asciiSubject(`Holdfast: ${headline}`),
    text: joinSections([
      headline,
      section('What', whatLines(record)),
      section('Where', [
        `From ${restore.archive.key}`,
        `To database ${where} on the server of ${restore.target.source}`,
        `Started ${restore.startedAt}${restore.reason === null ? '' : ` (${displayText(restore.reason, 200)})`}`,
        `Ended ${record.endedAt}, after ${displaySeconds(record.durationSeconds)}`,
      ]),
      section('Why', succeeded ? [] : [displayText(cause ?? '', CAUSE_IN_TEXT)]),
      section('What is left', record.cleanUp ? [describeCleanUp(record.cleanUp)] : []),
      section('What to do next', nextLines(record)),
      section(
        'Statements that did not work and need not have',
        cutList(
          tolerated,
          ({ objectType, object, advice }) =>
            `${objectType} ${displayName(object)}: ${displayText(advice, CAUSE_IN_TEXT)}`,
        ),
      ),
      section(
        'Warnings',
        cutList(warnings, (warning) => displayText(warning, CAUSE_IN_TEXT)),
      ),
      section('Links', [
        ...consoleLine(restore.executionArn),
        `Records: s3://${bucket}/restores/${restore.source}/${restore.restoreId}/`,
      ]),
    ]),
    json: {
      event: 'restore',
      version: 1,
      status,
      error,
      cause: cause === null ? null : displayText(cause, CAUSE_IN_JSON),
      source: restore.source,
      restoreId: restore.restoreId,
      executionArn: restore.executionArn,
      backupId: restore.backup?.backupId ?? null,
      database: restore.backup?.database ?? null,
      trust: restore.trust,
      restoredAs: restoredAs(record),
      targetSource: restore.target.source,
      durationSeconds: record.durationSeconds,
      bytesRead: report?.bytesRead ?? null,
      tolerated: tolerated.length,
      warnings: warnings.length,
      cleanUp: record.cleanUp?.status ?? null,
    },
    attributes: {
      event: 'restore',
      status,
      severity: succeeded ? (warnings.length + tolerated.length > 0 ? 'warning' : 'info') : 'error',
      source: restore.source,
      stage: 'restore',
      error: attributeValue(error ?? 'none'),
    },
  };
}

/** A restore that never got as far as a plan: the input, the backup or the plan was wrong. */
export function unplannedRestoreAlert(failed: {
  readonly source: string;
  readonly error: string;
  readonly cause: string;
  readonly executionArn: string;
}): AlertMessage {
  const { source, error, cause, executionArn } = failed;
  const headline = `restore of ${source} FAILED before it began: ${displayText(error, 80)}`;
  return {
    subject: asciiSubject(`Holdfast: ${headline}`),
    text: joinSections([
      headline,
      section('What', ['Nothing was restored, nothing was changed.']),
      section('Why', [displayText(cause, CAUSE_IN_TEXT)]),
      section('What to do next', [nextStep(error)]),
      section('Links', consoleLine(executionArn)),
    ]),
    json: {
      event: 'restore',
      version: 1,
      status: 'FAILED',
      source,
      error,
      cause: displayText(cause, CAUSE_IN_JSON),
      executionArn,
    },
    attributes: {
      event: 'restore',
      status: 'FAILED',
      severity: 'error',
      source,
      stage: 'run',
      error: attributeValue(error),
    },
  };
}

function doubtLines({ trust }: PlannedRestore): string[] {
  if (trust === 'verified') return [];
  if (trust === 'foreign') return ['the archive is not a backup of ours: nobody verified it'];
  return [`the backup is ${trust}: what was restored may be damaged or incomplete`];
}

/** What was restored and is there; a failed restore may have a report of what was then taken back. */
function restoredAs({ report, status }: RestoreRecord): string | null {
  return status === 'SUCCEEDED' ? (report?.database ?? null) : null;
}

function whatLines({ restore, report, status }: RestoreRecord): string[] {
  if (status === 'FAILED') return ['The restore did not come to its end.'];
  if (!report) return ['Restored.'];
  const rows = report.checks.rows.reduce((sum, { actual }) => sum + actual, 0);
  const tables = report.checks.rows.length;
  return [
    `${counted(tables, 'table')} with ${counted(rows, 'row')} as ${displayName(report.database)}`,
    `Read ${displayBytes(report.bytesRead)} of an archive of ${displayBytes(report.archiveBytes)}`,
    ...(report.previousDatabase === null
      ? []
      : [
          `The database that was there is now ${displayName(report.previousDatabase)}: drop it when nobody needs it.`,
        ]),
    ...(restore.target.mode === 'new'
      ? ['The original was not touched. Point the application at the new name, or rename it.']
      : []),
  ];
}

function describeCleanUp({ status, detail }: CleanUp): string {
  const words: Record<CleanUp['status'], string> = {
    dropped: 'Nothing: the half-restored database was dropped.',
    emptied: 'Nothing: the database is empty again.',
    'nothing-left': 'Nothing.',
    kept: 'Not removed:',
    failed: 'Look yourself, it could not be cleaned up:',
  };
  return `${words[status]}${detail === '' ? '' : ` ${displayText(detail, CAUSE_IN_TEXT)}`}`;
}

function nextLines({ status, error, report }: RestoreRecord): string[] {
  if (status === 'FAILED') return [nextStep(error ?? '')];
  return [
    ...(report?.createdRoles.length
      ? [
          `Set passwords for the roles that were made: ${cutList(report.createdRoles, (role) => displayName(role)).join(', ')}`,
        ]
      : []),
    ...(report?.checks.subscriptions.length
      ? ['Subscriptions arrived disabled: enable them when the publisher is the right one.']
      : []),
  ];
}
