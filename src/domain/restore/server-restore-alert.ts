import type { AlertMessage } from '#contracts/alert-message.ts';
import type {
  NotifyServerRestoreEvent,
  PlannedServerRestore,
  ServerCleanUp,
  ServerRestoreRecord,
} from '#contracts/restore-server.ts';
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
import { plainCause } from './server-restore-record.ts';

/** The message about a server's restore that ended; attributes as in alert-message.ts, `event` is `server-restore`. */
export function serverRestoreAlert(record: ServerRestoreRecord, bucket: string): AlertMessage {
  const { restore, server, inspection, status, error, cause, cleanUp } = record;
  const { source, target } = restore;
  const succeeded = status === 'SUCCEEDED';
  const headline = succeeded
    ? `server of ${source} restored: ${target.identifier}`
    : `restore of the server of ${source} FAILED: ${displayText(error ?? '', 80)}`;
  const warnings = [...restore.warnings, ...(inspection?.warnings ?? [])];
  return {
    subject: asciiSubject(`Holdfast: ${headline}`),
    text: joinSections([
      headline,
      section('What', whatLines(record)),
      section('Where', [
        `From ${describeOrigin(restore)}`,
        `To the ${restore.kind} ${target.identifier}${server?.host ? `, ${server.host}:${server.port}` : ''}`,
        `Started ${restore.startedAt}${restore.reason === null ? '' : ` (${displayText(restore.reason, 200)})`}`,
        `Ended ${record.endedAt}, after ${displaySeconds(record.durationSeconds)}`,
      ]),
      section('Why', succeeded ? [] : [displayText(cause ?? '', CAUSE_IN_TEXT)]),
      section('What is left', cleanUp ? [describeCleanUp(cleanUp)] : []),
      section('What to do next', succeeded ? nextLines(restore) : [nextStep(error ?? '')]),
      section(
        'Warnings',
        cutList(warnings, (warning) => displayText(warning, CAUSE_IN_TEXT)),
      ),
      section('Links', [
        ...consoleLine(restore.executionArn),
        `Records: s3://${bucket}/restores/${source}/${restore.restoreId}/`,
      ]),
    ]),
    json: {
      event: 'server-restore',
      version: 1,
      status,
      error,
      cause: cause === null ? null : displayText(cause, CAUSE_IN_JSON),
      source,
      restoreId: restore.restoreId,
      executionArn: restore.executionArn,
      kind: restore.kind,
      origin: restore.origin,
      server: target.identifier,
      host: server?.host ?? null,
      port: server?.port ?? null,
      databases: inspection?.databaseCount ?? null,
      totalBytes: inspection?.totalBytes ?? null,
      durationSeconds: record.durationSeconds,
      warnings: warnings.length,
      cleanUp: cleanUp?.status ?? null,
    },
    attributes: {
      event: 'server-restore',
      status,
      severity: succeeded ? (warnings.length > 0 ? 'warning' : 'info') : 'error',
      source,
      stage: succeeded ? 'none' : 'restore',
      error: attributeValue(error ?? 'none'),
    },
  };
}

/** A restore that never got as far as a plan: the input, the snapshot or the plan was wrong. */
export function unplannedServerRestoreAlert(
  { failure, executionArn }: Pick<NotifyServerRestoreEvent, 'failure' | 'executionArn'>,
  source: string,
): AlertMessage {
  const error = failure?.Error ?? 'none';
  const cause = plainCause(failure?.Cause ?? '');
  const headline = `restore of the server of ${source} FAILED before it began: ${displayText(error, 80)}`;
  return {
    subject: asciiSubject(`Holdfast: ${headline}`),
    text: joinSections([
      headline,
      section('What', ['No server was made, nothing was changed.']),
      section('Why', [displayText(cause, CAUSE_IN_TEXT)]),
      section('What to do next', [nextStep(error)]),
      section('Links', consoleLine(executionArn)),
    ]),
    json: {
      event: 'server-restore',
      version: 1,
      status: 'FAILED',
      error,
      cause: displayText(cause, CAUSE_IN_JSON),
      source,
      executionArn,
    },
    attributes: {
      event: 'server-restore',
      status: 'FAILED',
      severity: 'error',
      source,
      stage: 'run',
      error: attributeValue(error),
    },
  };
}

function describeOrigin({ origin, sourceIdentifier }: PlannedServerRestore): string {
  if (origin.type === 'snapshot') {
    return `the snapshot ${displayName(origin.snapshotId, 255)} (${origin.snapshotType}) of ${origin.serverIdentifier}, made ${origin.createdAt}`;
  }
  return origin.time === null
    ? `${sourceIdentifier} at its latest restorable time, at least ${origin.latest}`
    : `${sourceIdentifier} as it was at ${origin.time}`;
}

function whatLines({ restore, inspection, status }: ServerRestoreRecord): string[] {
  if (!inspection) {
    return [
      status === 'FAILED' ? 'The new server is not ready to be used.' : 'The new server runs.',
    ];
  }
  const { server, databases, databaseCount, totalBytes } = inspection;
  return [
    `PostgreSQL ${server.version} with ${counted(databaseCount, 'database')}, ${displayBytes(totalBytes)}`,
    ...cutList(
      databases,
      ({ database, sizeBytes, tables }) =>
        `Database ${displayName(database)}: ${sizeBytes === null ? 'size unknown' : displayBytes(sizeBytes)}${tables === null ? '' : `, ${counted(tables, 'table')}`}`,
    ),
    `The original, ${restore.sourceIdentifier}, was not touched.`,
  ];
}

function describeCleanUp({ status, detail }: ServerCleanUp): string {
  const words: Readonly<Record<ServerCleanUp['status'], string>> = {
    deleting: 'Nothing:',
    'nothing-left': 'Nothing:',
    'not-ours': 'Nothing of ours:',
    kept: 'A server, which costs money:',
    failed: 'Something is left, for you to remove:',
  };
  return `${words[status]} ${displayText(detail, CAUSE_IN_TEXT)}`;
}

/** What RDS does not take over, and nobody should find out later. */
function nextLines({ target }: PlannedServerRestore): string[] {
  return [
    `Point the application at ${target.identifier}, or copy from it what was lost; roles and passwords are those of the time that was restored.`,
    'Before it replaces the original: set deletion protection, backup retention, monitoring, Performance Insights, the storage limit and read replicas again.',
    'Delete it when nobody needs it: it costs as much as the original.',
  ];
}
