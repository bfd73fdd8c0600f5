import type { AlertMessage } from '#contracts/alert-message.ts';
import type { DatabaseDrill, DrillFinding, DrillRecord } from '#contracts/drill.ts';
import { frameAlert, frameUnplanned, type UnplannedFailure } from '../alert-frame.ts';
import { CAUSE_IN_TEXT, counted, cutList, failuresFirst } from '../alert-text.ts';
import { displayBytes, displayName, displaySeconds, displayText } from '../display-text.ts';
import { missesRpo } from './drill-record.ts';
import { failsDrill } from './findings.ts';

/** The message about a drill that ended, whichever way. */
export function drillAlert(record: DrillRecord, bucket: string): AlertMessage {
  const { drill, status, error, cause, databases, server } = record;
  const passed = status === 'PASSED';
  const failed = databases.filter(isFailed);
  const failedFirst = failuresFirst(databases, isFailed);
  const found = failedFirst.flatMap((database) =>
    database.findings.map((finding) => ({ database, finding })),
  );
  const findings = found.filter(({ finding }) => failsDrill(finding));
  const environment = found.filter(({ finding }) => !failsDrill(finding));
  const cleanUp = server?.cleanUp ?? null;
  const left = server && cleanUp && LEFT.has(cleanUp.status);
  return frameAlert({
    event: 'drill',
    status,
    odd: environment.length > 0 || left === true,
    stage: 'drill',
    source: drill.source,
    error,
    cause,
    headline: passed
      ? `drill of ${drill.source} passed: back in ${displaySeconds(record.rtoSeconds ?? 0)}`
      : `drill of ${drill.source} FAILED: ${displayText(error ?? '', 80)}`,
    sections: {
      What: [
        `${KINDS[drill.kind]}, ${passed ? 'all of them good' : `${failed.length} of ${databases.length} not good`}:`,
        ...cutList(failedFirst, databaseLine),
      ],
      'Against the targets': [
        targetLine('RTO', record.rtoSeconds, drill.targets.rtoSeconds),
        ...rpoLines(record),
      ],
      'What was found': cutList(findings, findingLine),
      'What is left': left
        ? [
            `${server.identifier}: ${displayText(cleanUp.detail, CAUSE_IN_TEXT)}. Reconcile tries again every hour.`,
          ]
        : [],
      "Of the drill's own server, which says nothing about the backups": cutList(
        environment,
        findingLine,
      ),
      Notes: cutList(drill.notes, (note) => displayText(note, CAUSE_IN_TEXT)),
    },
    executionArn: drill.executionArn,
    records: `s3://${bucket}/drills/${drill.source}/${drill.drillId}/`,
    facts: {
      drillId: drill.drillId,
      kind: drill.kind,
      trigger: drill.trigger,
      databases: databases.length,
      failedDatabases: failed.length,
      rtoSeconds: record.rtoSeconds,
      rpoSeconds: record.rpoSeconds,
      targets: drill.targets,
      findings: findings.length,
      environmentFindings: environment.length,
      durationSeconds: record.durationSeconds,
      cleanUp: cleanUp?.status ?? null,
    },
  });
}

/** A drill that never got as far as a plan: the input or the plan was wrong, or there is no backup at all. */
export function unplannedDrillAlert(failed: UnplannedFailure): AlertMessage {
  return frameUnplanned(failed, {
    event: 'drill',
    stage: 'plan',
    about: `drill of ${failed.source}`,
    what: 'Nothing was rehearsed: nobody knows whether the backups come back.',
  });
}

const isFailed = ({ status }: DatabaseDrill): boolean => status === 'FAILED';

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

function rpoLines(record: DrillRecord): string[] {
  const { databases, drill, rpoSeconds } = record;
  const { rpoSeconds: targetSeconds } = drill.targets;
  if (rpoSeconds !== null || !missesRpo(record)) {
    return [targetLine('RPO', rpoSeconds, targetSeconds)];
  }
  const without = databases.filter(
    (it) => it.rpoSeconds === null && missesRpo({ databases: [it] }),
  );
  const [first] = without;
  const more = without.length > 1 ? ` and ${without.length - 1} more` : '';
  const ages = databases.flatMap((it) => it.rpoSeconds ?? []);
  const others = ages.length > 0 ? `; of the others: ${displaySeconds(Math.max(...ages))}` : '';
  return [
    `RPO: MISSED, nothing of ${displayName(first?.database ?? '')}${more} can be brought back; the target is ${displaySeconds(targetSeconds)}${others}`,
  ];
}

function targetLine(name: string, seconds: number | null, targetSeconds: number): string {
  if (seconds === null) {
    return `${name}: was not measured, the target is ${displaySeconds(targetSeconds)}`;
  }
  const verdict = seconds > targetSeconds ? 'MISSED' : 'met';
  return `${name} ${displaySeconds(seconds)} of ${displaySeconds(targetSeconds)}: ${verdict}`;
}
