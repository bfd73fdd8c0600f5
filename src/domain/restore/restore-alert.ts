import type { AlertMessage } from '#contracts/alert-message.ts';
import type { CleanUp, PlannedRestore, RestoreRecord } from '#contracts/restore.ts';
import { frameAlert, frameUnplanned, type UnplannedFailure } from '../alert-frame.ts';
import { CAUSE_IN_TEXT, counted, cutList, whenLines } from '../alert-text.ts';
import { displayBytes, displayName, displayText } from '../display-text.ts';
import { nextStep } from '../next-steps.ts';
import { doubtWords } from './doubt-words.ts';

/** The message about a restore that ended. */
export function restoreAlert(record: RestoreRecord, bucket: string): AlertMessage {
  const { restore, report, status, error, cause, cleanUp } = record;
  const what = `${restore.source}/${displayName(restore.backup?.database ?? restore.archive.key)}`;
  const where = displayName(restoredAs(record) ?? restore.target.database);
  const warnings = [...doubtLines(restore), ...(report?.warnings ?? [])];
  const tolerated = report?.tolerated ?? [];
  return frameAlert({
    event: 'restore',
    status,
    odd: warnings.length + tolerated.length > 0,
    stage: 'restore',
    source: restore.source,
    error,
    cause,
    headline:
      status === 'SUCCEEDED'
        ? `restore of ${what} done${doubtWords(restore)}: ${where}`
        : `restore of ${what} FAILED: ${displayText(error ?? '', 80)}`,
    sections: {
      What: whatLines(record),
      Where: [
        `From ${restore.archive.key}`,
        `To database ${where} on the server of ${restore.target.source}`,
        ...whenLines(restore, record),
      ],
      'What is left': cleanUp ? leftLines(restore, cleanUp) : [],
      ...(status === 'SUCCEEDED' ? { 'What to do next': nextLines(record) } : {}),
      ...(status === 'FAILED' && restore.trust === 'foreign'
        ? { 'What to do next': [nextStep(error ?? '', 'import')] }
        : {}),
      'Statements that did not work and need not have': cutList(
        tolerated,
        ({ objectType, object, advice }) =>
          `${objectType} ${displayName(object)}: ${displayText(advice, CAUSE_IN_TEXT)}`,
      ),
      Warnings: cutList(warnings, (warning) => displayText(warning, CAUSE_IN_TEXT)),
    },
    executionArn: restore.executionArn,
    records: `s3://${bucket}/restores/${restore.source}/${restore.restoreId}/`,
    facts: {
      restoreId: restore.restoreId,
      backupId: restore.backup?.backupId ?? null,
      database: restore.backup?.database ?? null,
      trust: restore.trust,
      restoredAs: restoredAs(record),
      targetSource: restore.target.source,
      durationSeconds: record.durationSeconds,
      bytesRead: report?.bytesRead ?? null,
      tolerated: tolerated.length,
      warnings: warnings.length,
      cleanUp: cleanUp?.status ?? null,
    },
  });
}

/** A restore that never got as far as a plan: the input, the backup or the plan was wrong. */
export function unplannedRestoreAlert(failed: UnplannedFailure): AlertMessage {
  return frameUnplanned(failed, {
    event: 'restore',
    stage: 'run',
    about: `restore of ${failed.source}`,
    what: 'Nothing was restored, nothing was changed.',
  });
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

function leftLines({ target, keepOnFailure }: PlannedRestore, cleanUp: CleanUp): string[] {
  const lines = [describeCleanUp(cleanUp)];
  if (cleanUp.status !== 'failed') return lines;
  const what = target.mode === 'existing' ? 'some of what was restored in it' : 'half restored';
  const where = `The database ${displayName(target.database)} on the server of ${target.source} may be there, ${what}.`;
  lines.push(
    keepOnFailure
      ? where
      : `${where} The next restore to that server takes it back, if you do not.`,
  );
  return lines;
}

function describeCleanUp({ status, detail }: CleanUp): string {
  const words: Record<CleanUp['status'], string> = {
    dropped: 'Nothing: the half-restored database was dropped.',
    emptied: 'Nothing: what the restore had put there was taken out again, from',
    'nothing-left': 'Nothing.',
    kept: 'Not removed:',
    failed: 'Look yourself, it could not be cleaned up:',
  };
  return `${words[status]}${detail === '' ? '' : ` ${displayText(detail, CAUSE_IN_TEXT)}`}`;
}

/** Of a restore that succeeded. */
function nextLines({ report }: RestoreRecord): string[] {
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
