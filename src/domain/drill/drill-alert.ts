import type { AlertMessage } from '#contracts/alert-message.ts';
import type { DatabaseDrill, DrillFinding, DrillRecord } from '#contracts/drill.ts';
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
import { failsDrill } from './findings.ts';

/** The message about a drill that ended, whichever way; attributes as in alert-message.ts, `event` is `drill`. */
export function drillAlert(record: DrillRecord, bucket: string): AlertMessage {
  const { drill, status, error, cause, databases, server } = record;
  const passed = status === 'PASSED';
  const failed = databases.filter((database) => database.status === 'FAILED');
  const what = `drill of ${drill.source}`;
  const headline = passed
    ? `${what} passed: back in ${displaySeconds(record.rtoSeconds ?? 0)}`
    : `${what} FAILED: ${displayText(error ?? '', 80)}`;
  const findings = databases.flatMap((database) =>
    database.findings.map((finding) => ({ database, finding })),
  );
  const environment = findings.filter(({ finding }) => !failsDrill(finding));
  const leftOver = server?.cleanUp && LEFT.has(server.cleanUp.status);
  return {
    subject: asciiSubject(`Holdfast: ${headline}`),
    text: joinSections([
      headline,
      section('What', [
        `${KINDS[drill.kind]}, ${passed ? 'all of them good' : `${failed.length} of ${databases.length} not good`}:`,
        ...cutList(databases, databaseLine),
      ]),
      section('Against the targets', [
        targetLine('RTO', record.rtoSeconds, drill.targets.rtoSeconds),
        targetLine('RPO', record.rpoSeconds, drill.targets.rpoSeconds),
      ]),
      section('Why', passed ? [] : [displayText(cause ?? '', CAUSE_IN_TEXT)]),
      section(
        'What was found',
        cutList(
          findings.filter(({ finding }) => failsDrill(finding)),
          findingLine,
        ),
      ),
      section('What to do next', passed ? [] : [nextStep(error ?? '')]),
      section(
        "Of the drill's own server, which says nothing about the backups",
        cutList(environment, findingLine),
      ),
      section(
        'What is left',
        server?.cleanUp && leftOver
          ? [
              `${server.identifier}: ${displayText(server.cleanUp.detail, CAUSE_IN_TEXT)}. Reconcile tries again every hour.`,
            ]
          : [],
      ),
      section(
        'Notes',
        cutList(drill.notes, (note) => displayText(note, CAUSE_IN_TEXT)),
      ),
      section('Links', [
        ...consoleLine(drill.executionArn),
        `Records: s3://${bucket}/drills/${drill.source}/${drill.drillId}/`,
      ]),
    ]),
    json: {
      event: 'drill',
      version: 1,
      status,
      error,
      cause: cause === null ? null : displayText(cause, CAUSE_IN_JSON),
      source: drill.source,
      drillId: drill.drillId,
      executionArn: drill.executionArn,
      kind: drill.kind,
      trigger: drill.trigger,
      databases: databases.length,
      failedDatabases: failed.length,
      rtoSeconds: record.rtoSeconds,
      rpoSeconds: record.rpoSeconds,
      targets: drill.targets,
      findings: findings.length - environment.length,
      environmentFindings: environment.length,
      durationSeconds: record.durationSeconds,
      cleanUp: server?.cleanUp?.status ?? null,
    },
    attributes: {
      event: 'drill',
      status,
      severity: passed ? (environment.length > 0 || leftOver ? 'warning' : 'info') : 'error',
      source: drill.source,
      stage: 'drill',
      error: attributeValue(error ?? 'none'),
    },
  };
}

/** A drill that never got as far as a plan: the input or the plan was wrong, or there is no backup at all. */
export function unplannedDrillAlert(failed: {
  readonly source: string;
  readonly error: string;
  readonly cause: string;
  readonly executionArn: string;
}): AlertMessage {
  const { source, error, cause, executionArn } = failed;
  const headline = `drill of ${source} FAILED before it began: ${displayText(error, 80)}`;
  return {
    subject: asciiSubject(`Holdfast: ${headline}`),
    text: joinSections([
      headline,
      section('What', ['Nothing was rehearsed: nobody knows whether the backups come back.']),
      section('Why', [displayText(cause, CAUSE_IN_TEXT)]),
      section('What to do next', [nextStep(error)]),
      section('Links', consoleLine(executionArn)),
    ]),
    json: {
      event: 'drill',
      version: 1,
      status: 'FAILED',
      source,
      error,
      cause: displayText(cause, CAUSE_IN_JSON),
      executionArn,
    },
    attributes: {
      event: 'drill',
      status: 'FAILED',
      severity: 'error',
      source,
      stage: 'plan',
      error: attributeValue(error),
    },
  };
}

const KINDS: Readonly<Record<DrillRecord['drill']['kind'], string>> = {
  archive: 'Archives, each restored into a server of its own',
  snapshot: 'A snapshot, restored into a temporary RDS server',
  'point-in-time': 'A point in time, restored into a temporary RDS server',
};

/** After these something of the drill is still there, or may be. */
const LEFT: ReadonlySet<string> = new Set(['kept', 'failed', 'not-ours']);

function databaseLine({ database, backupId, status, report, error }: DatabaseDrill): string {
  const which = `${displayName(database)}${backupId === null ? '' : ` ${backupId}`}`;
  const counts = report
    ? `, ${counted(report.tables, 'table')} with ${counted(report.rows, 'row')}, ${displayBytes(report.sizeBytes)}, in ${displaySeconds(report.rtoSeconds)}${report.extrapolated ? ' (extrapolated)' : ''}`
    : '';
  const why = error === null ? '' : ` (${displayText(error, 80)})`;
  return `${status} ${which}${why}${counts}`;
}

function findingLine(of: { database: DatabaseDrill; finding: DrillFinding }): string {
  const { check, subject, message, advice } = of.finding;
  const where = [displayName(of.database.database), ...(subject === null ? [] : [subject])];
  return displayText(`${where.join(' ')}: ${check}: ${message}. ${advice}`, CAUSE_IN_TEXT);
}

function targetLine(name: string, seconds: number | null, targetSeconds: number): string {
  if (seconds === null) {
    return `${name}: was not measured, the target is ${displaySeconds(targetSeconds)}`;
  }
  const verdict = seconds > targetSeconds ? 'MISSED' : 'met';
  return `${name} ${displaySeconds(seconds)} of ${displaySeconds(targetSeconds)}: ${verdict}`;
}
