import type { AlertMessage } from '#contracts/alert-message.ts';
import type { DatabaseDrill, DrillFinding, DrillRecord } from '#contracts/drill.ts';
import { frameAlert, frameUnplanned, type UnplannedFailure } from '../alert-frame.ts';
import { CAUSE_IN_TEXT, counted, cutList, failuresFirst } from '../alert-text.ts';
import { displayBytes, displayName, displaySeconds, displayText } from '../display-text.ts';
import { missesRpo } from './drill-record.ts';
import { failsDrill } from './findings.ts';
import { tablesLeftOut } from './whole-drill.ts';

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
  const whole = (record.findings ?? []).map((finding) => ({ database: null, finding }));
  const left = server && cleanUp && LEFT.has(cleanUp.status);
  return frameAlert({
    event: 'drill',
    status,
    odd: environment.length > 0 || left === true || tablesLeftOut(record) > 0,
    stage: 'drill',
    source: drill.source,
    error,
    cause,
    headline: passed
      ? `drill of ${drill.source} passed${passedWords(record)}`
      : `drill of ${drill.source} FAILED: ${displayText(error ?? '', 80)}`,
    sections: {
      What: [
        `${KINDS[drill.kind]}, ${passed ? goodWords(record) : `${failed.length} of ${databases.length} not good`}:`,
        ...cutList(failedFirst, databaseLine),
      ],
      'Against the targets': [...rtoLines(record), ...rpoLines(record)],
      'What was found': cutList([...whole, ...findings], findingLine),
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
      findings: whole.length + findings.length,
      tablesLeftOut: tablesLeftOut(record),
      environmentFindings: environment.length,
      durationSeconds: record.durationSeconds,
      cleanUp: cleanUp?.status ?? null,
    },
  });
}

/** A drill that never got as far as a plan: the input or the plan was wrong, or there is no backup at all. */
export function unplannedDrillAlert(
  failed: UnplannedFailure,
  notes: readonly string[] = [],
): AlertMessage {
  return frameUnplanned(failed, {
    event: 'drill',
    stage: 'plan',
    about: `drill of ${failed.source}`,
    what: ['Nothing was rehearsed: nobody knows whether the backups come back.', ...notes].join(
      ' ',
    ),
  });
}

type Facts = NonNullable<DatabaseDrill['report']>;

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
    ? `, ${tablesWords(report)} with ${counted(report.rows, 'row')}, ${displayBytes(report.sizeBytes)}, in ${displaySeconds(report.rtoSeconds ?? report.measuredSeconds)}${report.extrapolated ? ' (extrapolated)' : ''}${report.rowsCompared === false ? ', rows not compared: verified by structure only' : ''}`
    : '';
  const why = error === null ? '' : ` (${displayText(error, 80)})`;
  return `${status} ${which}${why}${counts}`;
}

/** `: back in 2 min`, or how much of it is back. */
function passedWords(record: DrillRecord): string {
  if (tablesLeftOut(record) > 0) return ` in part: ${shareWords(record)}`;
  const back = record.rtoSeconds === null ? '' : `: back in ${displaySeconds(record.rtoSeconds)}`;
  return record.drill.part ? ` in part, ${partWords(record)} alone${back}` : back;
}

/** What somebody asked for, as the rest of the source was not looked at. */
function partWords({ databases }: DrillRecord): string {
  const [only] = databases;
  return databases.length === 1 && only
    ? displayName(only.database)
    : counted(databases.length, 'database');
}

function goodWords(record: DrillRecord): string {
  return tablesLeftOut(record) > 0
    ? `${shareWords(record)} came back, which proves the rest in nothing`
    : 'all of them good';
}

function shareWords(record: DrillRecord): string {
  const back = record.databases.reduce((sum, { report }) => sum + (report?.tables ?? 0), 0);
  return `${back} of ${counted(back + tablesLeftOut(record), 'table')}`;
}

function tablesWords({ tables, tablesLeftOut: out = 0 }: Facts): string {
  return out === 0 ? counted(tables, 'table') : `${tables} of ${counted(tables + out, 'table')}`;
}

function findingLine(of: { database: DatabaseDrill | null; finding: DrillFinding }): string {
  const { check, subject, message, advice } = of.finding;
  const name = of.database ? displayName(of.database.database) : 'all databases';
  const where = [name, ...(subject === null ? [] : [subject])];
  return displayText(`${where.join(' ')}: ${check}: ${message}. ${advice}`, CAUSE_IN_TEXT);
}

function rtoLines(record: DrillRecord): string[] {
  const { databases, drill, rtoSeconds } = record;
  const { rtoSeconds: targetSeconds } = drill.targets;
  const unknown = databases.find(({ report }) => report?.rtoUnknown !== undefined);
  if (rtoSeconds === null && unknown) {
    const why = `${displayName(unknown.database)}: ${unknown.report?.rtoUnknown ?? ''}`;
    return [targetLine('RTO', null, targetSeconds), displayText(why, CAUSE_IN_TEXT)];
  }
  const line = targetLine('RTO', rtoSeconds, targetSeconds);
  const measured = databases.flatMap(({ report }) => report?.rtoSeconds ?? []);
  // Of a temporary server all databases are back at the same time.
  if (rtoSeconds === null || measured.length < 2 || record.server) return [line];
  return [
    `${line}; until all ${measured.length} databases are back, the slowest alone ${displaySeconds(Math.max(...measured))}`,
  ];
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
    `RPO: ${targetSeconds === null ? 'none' : 'MISSED'}, nothing of ${displayName(first?.database ?? '')}${more} can be brought back; ${targetWords(targetSeconds)}${others}`,
  ];
}

function targetLine(name: string, seconds: number | null, targetSeconds: number | null): string {
  if (seconds === null) return `${name}: was not measured, ${targetWords(targetSeconds)}`;
  if (targetSeconds === null) return `${name} ${displaySeconds(seconds)}, there is no target`;
  const verdict = seconds > targetSeconds ? 'MISSED' : 'met';
  return `${name} ${displaySeconds(seconds)} of ${displaySeconds(targetSeconds)}: ${verdict}`;
}

function targetWords(targetSeconds: number | null): string {
  return targetSeconds === null
    ? 'there is no target'
    : `the target is ${displaySeconds(targetSeconds)}`;
}
