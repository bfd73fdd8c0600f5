import type {
  DatabaseDrill,
  Drill,
  DrillFinding,
  DrillInput,
  DrillRecord,
  DrillReport,
  DrillTargets,
  NotifyDrillEvent,
} from '#contracts/drill.ts';
import type { Failure } from '#contracts/workflow.ts';
import { BackupNotFound, DrillFailed } from '#errors';
import { displayName, displaySeconds } from '../display-text.ts';
import { describeFailure } from '../failure-cause.ts';
import { drillKey, makeBackupId } from '../names.ts';
import { failsDrill } from './findings.ts';
import { recordedFindings, recordedReport } from './recorded-report.ts';
import { recoveryTimeOfAll } from './recovery-times.ts';

/** What became of the drill of one database, before it is judged. */
export interface DrilledSubject extends Pick<DatabaseDrill, 'database' | 'backupId' | 'chosenBy'> {
  /** When the newest data that could be brought back were written; null: there are none; undefined: nobody knows. */
  readonly newestDataAt: string | null | undefined;
  /** Where its task's report lies, or would lie; null: no task was started. */
  readonly reportKey: string | null;
  readonly failure: Failure | null;
}

/**
 * Every database of the drill with what became of it: those that were drilled, those whose task failed, those
 * that the failure of the whole took along, and those of which there was nothing to drill.
 */
export function drilledSubjects(
  event: Pick<NotifyDrillEvent, 'archives' | 'missing' | 'server' | 'results' | 'failure'>,
  drill: Drill,
): DrilledSubject[] {
  const { archives = [], missing = [], server, results = [], failure } = event;
  const whole: Failure = failure ?? { Error: DrillFailed.errorName, Cause: 'it was not drilled' };
  const failures = new Map(
    results.flatMap((result) => ('failure' in result ? [[result.database, result.failure]] : [])),
  );
  const drilled = results.flatMap((result) => ('drilled' in result ? result.drilled : []));
  const done = new Set(drilled.map(({ database }) => database));
  const ofArchives = archives.map(({ restore, chosenBy, newestBackupAt }): DrilledSubject => {
    const { database, backupId } = restore.backup ?? { database: restore.target.database };
    return {
      database,
      backupId: backupId ?? null,
      chosenBy,
      newestDataAt: newestBackupAt,
      reportKey: drillKey(drill, database, 'report.json'),
      failure: done.has(database) ? null : (failures.get(database) ?? whole),
    };
  });
  const nothing = missing.map(
    ({ database, backupId, failure: why, newestBackupAt }): DrilledSubject => ({
      database,
      backupId,
      chosenBy: null,
      newestDataAt: newestBackupAt,
      reportKey: null,
      failure: why,
    }),
  );
  const ofServer = (server ? drilled : []).map(
    ({ database, backupId, reportKey }): DrilledSubject => ({
      database,
      backupId,
      chosenBy: null,
      newestDataAt: server?.newestDataAt ?? null,
      reportKey,
      failure: null,
    }),
  );
  return [...ofArchives, ...nothing, ...ofServer];
}

/** A report that should be there and is not fails its database: nobody knows what was found. */
export function judgeDatabase(
  subject: DrilledSubject,
  report: DrillReport | undefined,
  { startedAt, targets }: Pick<Drill, 'startedAt' | 'targets'>,
): DatabaseDrill {
  const { database, backupId, chosenBy, newestDataAt, reportKey } = subject;
  const unread: Failure | null =
    reportKey !== null && !report && !subject.failure
      ? { Error: DrillFailed.errorName, Cause: 'the report of its drill cannot be read' }
      : null;
  const failure = subject.failure ?? unread;
  const rpoSeconds =
    newestDataAt == null
      ? null
      : Math.max(0, (Date.parse(startedAt) - Date.parse(newestDataAt)) / 1000);
  const found = [
    ...(report?.findings ?? []),
    ...(report ? rtoFindings(report, targets) : []),
    ...(newestDataAt === null ? [nothingToBringBack(targets)] : rpoFindings(rpoSeconds, targets)),
  ];
  const failing = found.filter((finding) => failsDrill(finding));
  const error = failure?.Error ?? (failing.length > 0 ? DrillFailed.errorName : null);
  return {
    database,
    backupId,
    chosenBy,
    status: error === null ? 'PASSED' : 'FAILED',
    report: report ? recordedReport(report) : null,
    rpoSeconds,
    findings: recordedFindings(found),
    error,
    cause: failure ? describeFailure(failure) : (failing.map(({ message }) => message)[0] ?? null),
  };
}

function rtoFindings(
  { rtoSeconds, extrapolated, phases }: DrillReport,
  targets: DrillTargets,
): DrillFinding[] {
  if (!isAbove(rtoSeconds, targets.rtoSeconds)) return [];
  const [longest] = phases.toSorted((a, b) => b.seconds - a.seconds);
  const took = extrapolated ? 'would have taken' : 'took';
  return [
    {
      class: 'target',
      check: 'rto',
      subject: null,
      message: `it ${took} ${displaySeconds(rtoSeconds ?? 0)} to bring the data back, more than ${displaySeconds(targets.rtoSeconds ?? 0)}`,
      advice: `The longest was ${longest?.phase ?? 'unknown'} with ${displaySeconds(longest?.seconds ?? 0)}: raise restore.jobs, give drill.task more CPU, or raise drill.targets.rtoMinutes if so much time is there.`,
    },
  ];
}

/** Of two that both are there. */
function isAbove(seconds: number | null, targetSeconds: number | null): boolean {
  return seconds !== null && targetSeconds !== null && seconds > targetSeconds;
}

/** Of all databases together; where one alone took too long, that is said of it. */
function wholeRtoFindings(
  rtoSeconds: number | null,
  databases: readonly DatabaseDrill[],
  targets: DrillTargets,
): DrillFinding[] {
  if (!isAbove(rtoSeconds, targets.rtoSeconds) || databases.some(missesRtoAlone)) return [];
  return [
    {
      class: 'target',
      check: 'rto',
      subject: null,
      message: `each of ${databases.length} databases came back in time, all of them took ${displaySeconds(rtoSeconds ?? 0)}, more than ${displaySeconds(targets.rtoSeconds ?? 0)}`,
      advice:
        'Raise dump.concurrency, which is also how many databases are rehearsed at a time, give drill.task more CPU, or raise drill.targets.rtoMinutes if so much time is there.',
    },
  ];
}

function missesRtoAlone({ findings }: DatabaseDrill): boolean {
  return findings.some(({ check }) => check === 'rto');
}

function rpoFindings(rpoSeconds: number | null, targets: DrillTargets): DrillFinding[] {
  if (!isAbove(rpoSeconds, targets.rpoSeconds)) return [];
  return [
    {
      class: 'target',
      check: 'rpo',
      subject: null,
      message: `the newest data that can be brought back are ${displaySeconds(rpoSeconds ?? 0)} old, more than ${displaySeconds(targets.rpoSeconds ?? 0)}`,
      advice:
        'Look why there is no younger verified backup: `holdfast list`. Of a database that is not there any more, exclude the name from databases, or delete its backups.',
    },
  ];
}

function nothingToBringBack(targets: DrillTargets): DrillFinding {
  return {
    class: 'target',
    check: 'rpo',
    subject: null,
    message: `nothing of it can be brought back, whatever its age${targets.rpoSeconds === null ? '' : `; the target is ${displaySeconds(targets.rpoSeconds)}`}`,
    advice:
      'Make a backup of it and look why there was none: `holdfast list`. What need not come back belongs into databases.exclude.',
  };
}

/** Whether data came back, or would have come back, older than the target or not at all. */
export function missesRpo({ databases }: Pick<DrillRecord, 'databases'>): boolean {
  return databases.some(({ findings }) => findings.some(({ check }) => check === 'rpo'));
}

/** Whether bringing everything back took longer than the target, or one database alone did. */
export function missesRto({
  databases,
  findings = [],
}: Pick<DrillRecord, 'databases' | 'findings'>): boolean {
  return databases.some(missesRtoAlone) || findings.some(({ check }) => check === 'rto');
}

/**
 * `drill.json` of one that failed before there was a plan: nothing was rehearsed, so that nobody knows whether the
 * backups come back.
 */
export function makeUnplannedRecord(of: {
  readonly input: Partial<Pick<DrillInput, 'kind' | 'reason' | 'trigger'>>;
  readonly source: string;
  readonly executionArn: string;
  readonly startedAt: string;
  readonly failure: Failure;
  readonly endedAt: Date;
}): DrillRecord {
  const { input, source, executionArn, startedAt, failure, endedAt } = of;
  return makeDrillRecord({
    event: { failure },
    drill: {
      drillId: makeBackupId(new Date(startedAt), executionArn),
      source,
      planVersion: 0,
      executionArn,
      startedAt,
      trigger: input.trigger ?? 'manual',
      reason: input.reason ?? null,
      kind: input.kind ?? 'archive',
      targets: { rtoSeconds: null, rpoSeconds: null },
      notes: [],
      unplanned: true,
    },
    databases: [],
    endedAt,
  });
}

/** `drill.json`. */
export function makeDrillRecord(of: {
  readonly event: Pick<NotifyDrillEvent, 'server' | 'cleanUp' | 'failure'>;
  readonly drill: Drill;
  readonly databases: readonly DatabaseDrill[];
  readonly endedAt: Date;
}): DrillRecord {
  const { event, drill, databases, endedAt } = of;
  const rtoSeconds = recoveryTimeOfAll(databases.flatMap(({ report }) => report ?? []));
  const findings = wholeRtoFindings(rtoSeconds, databases, drill.targets);
  const { error, cause } = verdict(databases, findings, event.failure);
  const ages = databases.flatMap(({ rpoSeconds }) => rpoSeconds ?? []);
  // An age of the others alone would look as if it were that of all.
  const isAgeless = databases.some(
    (it) => it.rpoSeconds === null && missesRpo({ databases: [it] }),
  );
  const { server } = event;
  return {
    version: 1,
    status: error === null ? 'PASSED' : 'FAILED',
    error,
    cause,
    drill,
    endedAt: endedAt.toISOString(),
    durationSeconds: Math.max(0, (endedAt.getTime() - Date.parse(drill.startedAt)) / 1000),
    rtoSeconds,
    rpoSeconds: isAgeless || ages.length === 0 ? null : Math.max(...ages),
    databases: [...databases],
    ...(findings.length > 0 ? { findings } : {}),
    server: server
      ? {
          identifier: server.restore.target.identifier,
          origin: server.restore.origin,
          cleanUp: event.cleanUp ?? null,
        }
      : null,
  };
}

/** The one name that stands for all that failed: its own where all failed by it, else DrillFailed. */
function verdict(
  databases: readonly DatabaseDrill[],
  findings: readonly DrillFinding[],
  failure: Failure | undefined,
): { error: string | null; cause: string | null } {
  if (failure) return { error: failure.Error, cause: describeFailure(failure) };
  const failed = databases.filter(({ status }) => status === 'FAILED');
  if (databases.length === 0) {
    return { error: BackupNotFound.errorName, cause: 'there was nothing to drill' };
  }
  const [first] = failed;
  if (!first) {
    const [found] = findings.filter(failsDrill);
    return found
      ? { error: DrillFailed.errorName, cause: found.message }
      : { error: null, cause: null };
  }
  const names = new Set(failed.map(({ error }) => error));
  const told = `${displayName(first.database)}: ${first.cause ?? ''}`;
  const more = failed.length - 1;
  return {
    error: names.size === 1 ? (first.error ?? DrillFailed.errorName) : DrillFailed.errorName,
    cause: `${failed.length} of ${databases.length} databases failed: ${told}${more > 0 ? ` (and ${more} more)` : ''}`,
  };
}
