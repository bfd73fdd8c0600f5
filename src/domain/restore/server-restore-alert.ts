import type { AlertMessage } from '#contracts/alert-message.ts';
import type {
  PlannedServerRestore,
  ServerCleanUp,
  ServerDatabaseChecks,
  ServerInspection,
  ServerRestoreRecord,
} from '#contracts/restore-server.ts';
import { frameAlert, frameUnplanned, type UnplannedFailure } from '../alert-frame.ts';
import { CAUSE_IN_TEXT, counted, cutList, whenLines } from '../alert-text.ts';
import { displayBytes, displayCount, displayName, displayText } from '../display-text.ts';

/** The message about a server's restore that ended. */
export function serverRestoreAlert(record: ServerRestoreRecord, bucket: string): AlertMessage {
  const { restore, server, inspection, status, error, cause, cleanUp } = record;
  const { source, target } = restore;
  const succeeded = status === 'SUCCEEDED';
  const warnings = [...restore.warnings, ...(inspection?.warnings ?? [])];
  return frameAlert({
    event: 'server-restore',
    status,
    odd: warnings.length > 0,
    stage: succeeded ? 'none' : 'restore',
    source,
    error,
    cause,
    headline: succeeded
      ? `server of ${source} restored: ${target.identifier}`
      : `restore of the server of ${source} FAILED: ${displayText(error ?? '', 80)}`,
    sections: {
      What: whatLines(record),
      Where: [
        `From ${describeOrigin(restore)}`,
        `To the ${restore.kind} ${target.identifier}${server?.host ? `, ${server.host}:${server.port}` : ''}`,
        ...whenLines(restore, record),
      ],
      'What is left': cleanUp ? [describeCleanUp(cleanUp)] : [],
      ...(succeeded ? { 'What to do next': nextLines(restore) } : {}),
      Warnings: cutList(warnings, (warning) => displayText(warning, CAUSE_IN_TEXT)),
    },
    executionArn: restore.executionArn,
    records: `s3://${bucket}/restores/${source}/${restore.restoreId}/`,
    facts: {
      restoreId: restore.restoreId,
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
  });
}

/** A restore that never got as far as a plan: the input, the snapshot or the plan was wrong. */
export function unplannedServerRestoreAlert(failed: UnplannedFailure): AlertMessage {
  return frameUnplanned(failed, {
    event: 'server-restore',
    stage: 'run',
    about: `restore of the server of ${failed.source}`,
    what: 'No server was made, nothing was changed.',
  });
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
    ...checkedLines(inspection),
    `The original, ${restore.sourceIdentifier}, was not touched.`,
  ];
}

/** What was looked at over SQL; what is odd of it is a warning. Of an older record: nothing. */
function checkedLines({ databases, replicationSlots }: ServerInspection): string[] {
  const looked = databases.flatMap(({ checks }) => checks ?? []);
  if (looked.length === 0) return [];
  const sum = (of: (checks: ServerDatabaseChecks) => number) =>
    looked.reduce((total, checks) => total + of(checks), 0);
  const facts = [
    `${displayCount(sum(({ invalidIndexes }) => invalidIndexes))} indexes invalid`,
    `${displayCount(sum(({ invalidConstraints }) => invalidConstraints))} constraints not validated`,
    `${displayCount(sum(({ sequences }) => sequences.behind))} of ${counted(
      sum(({ sequences }) => sequences.checked),
      'sequence',
    )} behind`,
    counted(
      sum(({ largeObjects }) => largeObjects),
      'large object',
    ),
    counted(
      sum(({ publications }) => publications),
      'publication',
    ),
    `${displayCount(sum(({ subscriptions }) => subscriptions.enabled))} of ${counted(
      sum(({ subscriptions }) => subscriptions.total),
      'subscription',
    )} enabled`,
    counted(replicationSlots?.length ?? 0, 'replication slot'),
  ];
  return [`Looked into ${counted(looked.length, 'database')}: ${facts.join(', ')}`];
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
