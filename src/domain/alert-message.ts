import type { AlertMessage } from '#contracts/alert-message.ts';
import type { RunProblem, RunSummary } from '#contracts/run-summary.ts';
import type { Quarantine } from '#contracts/verification.ts';
import type { DatabaseResult } from '#contracts/workflow.ts';
import { DrillLeftover, MissedRun, VerificationOverdue } from '#errors';
import { type AlertEvent, type AlertStage, fittingFacts, frameAlert } from './alert-frame.ts';
import { CAUSE_IN_JSON, CAUSE_IN_TEXT, counted, cutList, failuresFirst } from './alert-text.ts';
import { displayBytes, displayName, displaySeconds, displayText } from './display-text.ts';
import { type BackupRef, backupPrefix } from './names.ts';
import { nextStep } from './next-steps.ts';

/** The alert of a run that ended. */
export function runAlert(summary: RunSummary, bucket: string): AlertMessage {
  const { status, error, cause, problems, warnings, executionArn } = summary;
  const source = summary.source ?? 'unknown';
  return frameAlert({
    event: 'backup',
    status,
    odd: warnings.length > 0,
    stage: problems[0]?.stage ?? 'none',
    source,
    error,
    cause,
    headline:
      status === 'SUCCEEDED'
        ? `backup of ${source} verified: ${describeParts(summary)}`
        : `backup of ${source} FAILED: ${displayText(error ?? '', 80)}`,
    sections: {
      What: whatLines(summary),
      Where: [
        `Source ${source}, run ${displayText(summary.runId, 80)}${describeTrigger(summary)}`,
        ...(summary.startedAt === null ? [] : [`Started ${summary.startedAt}`]),
        `Ended ${summary.endedAt}${summary.durationSeconds === null ? '' : `, after ${displaySeconds(summary.durationSeconds)}`}`,
      ],
      Why: cutList(problems, describeProblem),
      'What to do next': nextSteps(problems),
      Warnings: cutList(warnings, (warning) => displayText(warning, CAUSE_IN_TEXT)),
    },
    executionArn,
    ...(summary.source === null
      ? {}
      : { records: `s3://${bucket}/runs/${source}/${summary.runId}/` }),
    facts: fittingFacts((listed) => boundedSummary(summary, listed)),
  });
}

/** A backup that no run waits for any more turned out to be bad. */
export function quarantineAlert({
  quarantine,
  executionArn,
}: {
  quarantine: Quarantine;
  executionArn: string | undefined;
}): AlertMessage {
  const { source, database, backupId, error, cause, quarantinedAt } = quarantine;
  return incident({
    event: 'quarantine',
    stage: 'verification',
    source,
    error,
    headline: `a backup of ${source} was quarantined: ${displayText(error, 80)}`,
    what: [
      `Backup ${backupId} of database ${displayName(database)} failed its verification.`,
      'It is kept for a while, but nothing counts on it.',
    ],
    where: [whereOf(quarantine), `Quarantined ${quarantinedAt}`],
    why: cause,
    executionArn,
    facts: { database, backupId, quarantinedAt },
  });
}

/** A scheduled run did not start. */
export function missedRunAlert(missed: {
  source: string;
  due: Date;
  schedule: string;
  lastStart: Date | undefined;
}): AlertMessage {
  const { source, schedule } = missed;
  const due = missed.due.toISOString();
  const lastStart = missed.lastStart?.toISOString() ?? null;
  return incident({
    event: 'missed-run',
    stage: 'schedule',
    source,
    error: MissedRun.errorName,
    headline: `the backup of ${source} due at ${due} did not run`,
    what: [`No run of ${source} has started since ${due}.`],
    where: [`Source ${source}, schedule ${displayText(schedule, 200)}`],
    why: lastStart === null ? 'No run was ever seen.' : `The last run started ${lastStart}.`,
    executionArn: undefined,
    facts: { due, schedule, lastStart },
  });
}

/** A drill's temporary server was found after the drill was over. */
export function leftoverServerAlert(leftover: {
  source: string;
  drillId: string;
  identifier: string;
  executionArn: string;
}): AlertMessage {
  const { source, drillId, identifier, executionArn } = leftover;
  return incident({
    event: 'drill-leftover',
    stage: 'drill',
    source,
    error: DrillLeftover.errorName,
    headline: `a drill of ${source} left a server behind`,
    what: [`The temporary server ${identifier} outlived its drill. It is being deleted now.`],
    where: [`Drill ${drillId} of source ${source}`],
    why: 'The drill was stopped, or RDS refused its clean-up until it gave up.',
    executionArn,
    facts: { drillId, identifier },
  });
}

/** A backup has been waiting for its verification for too long. */
export function verificationOverdueAlert(overdue: {
  ref: BackupRef;
  manifestWrittenAt: Date;
  why: string;
  executionArn: string | undefined;
}): AlertMessage {
  const { ref, why, executionArn } = overdue;
  const { source, database, backupId } = ref;
  const manifestWrittenAt = overdue.manifestWrittenAt.toISOString();
  return incident({
    event: 'verification-overdue',
    stage: 'verification',
    source,
    error: VerificationOverdue.errorName,
    headline: `a backup of ${source} is still not verified`,
    what: [
      `Backup ${backupId} of database ${displayName(database)} was written ${manifestWrittenAt} and is neither verified nor quarantined.`,
    ],
    where: [whereOf(ref)],
    why,
    executionArn,
    facts: { database, backupId, manifestWrittenAt },
  });
}

/** What goes wrong outside a run that could say it. */
function incident(details: {
  event: AlertEvent;
  stage: AlertStage;
  source: string;
  error: string;
  headline: string;
  what: string[];
  where: string[];
  why: string;
  executionArn: string | undefined;
  facts: Record<string, unknown>;
}): AlertMessage {
  const { what, where, why, executionArn = null, ...content } = details;
  return frameAlert({
    ...content,
    status: 'FAILED',
    cause: why,
    sections: { What: what, Where: where },
    executionArn,
  });
}

function whatLines(summary: RunSummary): string[] {
  const { snapshot, databases, retention } = summary;
  const failedFirst = failuresFirst(databases, ({ status }) => status === 'failed');
  return [
    ...(snapshot.status === 'available'
      ? [
          `Snapshot ${snapshot.snapshot.snapshotId}: available${snapshot.snapshot.adopted ? ' (existed already)' : ''}`,
        ]
      : []),
    ...(snapshot.status === 'failed' ? [`Snapshot: failed: ${snapshot.failure.Error}`] : []),
    ...cutList(failedFirst, describeDatabase),
    ...(summary.error !== null && databases.length === 0 && snapshot.status === 'skipped'
      ? ['Nothing was backed up.']
      : []),
    ...(retention
      ? [
          `Retention${retention.status === 'dry-run' ? ' (dry run, nothing was deleted)' : ''}: ${retention.archives.kept} archives kept, ${retention.archives.deleted} deleted (${displayBytes(retention.archives.deletedBytes)}); ${retention.snapshots.kept} snapshots kept, ${retention.snapshots.deleted} deleted`,
        ]
      : []),
    ...(retention && retention.withheld.length > 0
      ? [
          `Nothing was deleted of: ${cutList(retention.withheld, (name) => displayName(name)).join(', ')}`,
        ]
      : []),
  ];
}

function describeParts({ databases, snapshot }: RunSummary): string {
  const parts = [
    ...(databases.length > 0 ? [counted(databases.length, 'database')] : []),
    ...(snapshot.status === 'available' ? ['1 snapshot'] : []),
  ];
  return parts.join(', ');
}

function describeDatabase(result: DatabaseResult): string {
  const name = `Database ${displayName(result.database)}`;
  if (result.status === 'failed')
    return `${name}: failed: ${displayText(result.failure.Error, 80)}`;
  return `${name}: verified (${result.level}), ${displayBytes(result.sizeBytes)}, ${counted(result.tables, 'table')}, ${counted(result.rows, 'row')}, dumped in ${displaySeconds(result.dumpSeconds)}, verified in ${displaySeconds(result.verifySeconds)}; backup ${result.backupId}`;
}

function describeProblem({ stage, database, error, cause }: RunProblem): string {
  const where = database === null ? stage : `database ${displayName(database)}`;
  return `${where}: ${displayText(error, 80)}: ${displayText(cause, CAUSE_IN_TEXT)}`;
}

function describeTrigger({ trigger, reason }: RunSummary): string {
  if (trigger === null) return '';
  const words = { manual: 'by hand', schedule: 'by schedule', request: 'by a request object' };
  return `, started ${words[trigger]}${reason === null ? '' : ` (${displayText(reason, 200)})`}`;
}

/** One step for each kind of error, in the order in which they came. */
function nextSteps(problems: readonly RunProblem[]): string[] {
  const names = [...new Set(problems.map(({ error }) => error))];
  if (names.length === 1) return names.map((name) => nextStep(name));
  return cutList(names, (name) => `${displayText(name, 80)}: ${nextStep(name)}`);
}

function whereOf({ source, database, backupId }: BackupRef): string {
  return `Source ${source}, objects under ${backupPrefix({ source, database, backupId })}`;
}

/** The summary with bounded lists and texts; `omitted` counts what was left out. */
function boundedSummary(summary: RunSummary, listed: number): Record<string, unknown> {
  const cut = (text: string) => displayText(text, CAUSE_IN_JSON);
  const name = (text: string) => displayText(text, 80);
  const first = <Item>(items: readonly Item[]) => items.slice(0, listed);
  const { snapshot, databases, problems, warnings, retention, cause, reason } = summary;
  return {
    ...summary,
    runId: name(summary.runId),
    error: summary.error === null ? null : name(summary.error),
    cause: cause === null ? null : cut(cause),
    reason: reason === null ? null : cut(reason),
    snapshot:
      snapshot.status === 'failed'
        ? {
            status: 'failed',
            error: name(snapshot.failure.Error),
            cause: cut(snapshot.failure.Cause),
          }
        : snapshot,
    databases: first(databases).map((result) =>
      result.status === 'failed'
        ? {
            status: 'failed',
            database: name(result.database),
            error: name(result.failure.Error),
            cause: cut(result.failure.Cause),
          }
        : { ...result, database: name(result.database) },
    ),
    retention: retention && { ...retention, withheld: first(retention.withheld).map(name) },
    problems: first(problems).map((problem) => ({
      ...problem,
      database: problem.database === null ? null : name(problem.database),
      error: name(problem.error),
      cause: cut(problem.cause),
    })),
    warnings: first(warnings).map(cut),
    omitted: {
      databases: Math.max(0, databases.length - listed),
      problems: Math.max(0, problems.length - listed),
      warnings: Math.max(0, warnings.length - listed),
    },
  };
}
