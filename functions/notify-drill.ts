import {
  type DatabaseDrill,
  type Drill,
  type Drilled,
  type DrilledDatabase,
  DrillInput,
  type DrillOutcome,
  DrillRecord,
  NotifyDrillEvent,
} from '#contracts/drill.ts';
import { displayName } from '#domain/display-text.ts';
import { drillAlert, unplannedDrillAlert } from '#domain/drill/drill-alert.ts';
import { drillMetrics } from '#domain/drill/drill-metrics.ts';
import {
  drilledSubjects,
  judgeDatabase,
  makeDrillRecord,
  makeUnplannedRecord,
} from '#domain/drill/drill-record.ts';
import { describeFailure } from '#domain/failure-cause.ts';
import { sourceOfInput } from '#domain/input-source.ts';
import { backupKey, drillRecordKey, drillsPrefix, parseDrillKey } from '#domain/names.ts';
import {
  BackupNotFound,
  BackupNotVerified,
  errorName,
  InvalidInput,
  isRetryable,
  UnknownSource,
  WriteConflict,
} from '#errors';
import { readDrillReport } from '#operations/drill/drill-reports.ts';
import { parseRecord } from '#operations/records.ts';
import { sendAlert } from '#operations/send-alert.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideMetrics } from '#runtime/providers/metrics.ts';
import { provideObjects } from '#runtime/providers/objects.ts';

type Needs = 'clock' | 'log' | 'objects' | 'alerts' | 'metrics';
const JSON_TYPE = { contentType: 'application/json' } as const;

/**
 * Judges what the drill found, and says how it ended: marks the backups that came back, writes `drill.json`,
 * sends the alert whichever way it ended, records the metrics. Called again it finds its own record and tells
 * of that one. A mark or a record that could not be written is a note; a report that could not be read for the
 * moment and an alert that could not be sent are tried again.
 */
export const notifyDrill: Handle<NotifyDrillEvent, DrillOutcome, Needs> = async (event, deps) => {
  const { drill, executionArn } = event;
  if (!drill) return tellUnplanned(event, deps);
  const databases: DatabaseDrill[] = [];
  for (const subject of drilledSubjects(await withReports(event, drill, deps), drill)) {
    const { reportKey } = subject;
    const report = reportKey === null ? undefined : await readDrillReport(deps, reportKey);
    databases.push(judgeDatabase(subject, report, drill));
  }
  const endedAt = deps.clock.now();
  const notes = [...drill.notes, ...(await markDrilled(deps, { drill, databases, endedAt }))];
  const { record, recordKey } = await writeRecord(
    deps,
    makeDrillRecord({ event, drill: { ...drill, notes }, databases, endedAt }),
  );
  await sendAlert(deps, drillAlert(record, deps.objects.bucket));
  const { status, error, cause, rtoSeconds, rpoSeconds } = record;
  deps.log.info(LOG.drillEnded, { executionArn, status, error, rtoSeconds, rpoSeconds });
  for (const { of, values } of drillMetrics(record)) recordMetrics(deps, of, values);
  return { status, error: error ?? '', cause: cause ?? '', recordKey };
};

/** Of a server's drill that failed on the way: also the databases whose reports were written before that. */
async function withReports(
  event: NotifyDrillEvent,
  drill: Drill,
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
): Promise<NotifyDrillEvent> {
  if (!event.server || !event.failure || event.results) return event;
  const drilled: DrilledDatabase[] = [];
  try {
    for await (const { key } of objects.list(`${drillsPrefix(drill.source)}${drill.drillId}/`)) {
      const { database, file } = parseDrillKey(key) ?? {};
      if (database === undefined || file !== 'report.json') continue;
      drilled.push({ database, backupId: null, reportKey: key, failed: false });
    }
  } catch (error) {
    if (isRetryable(error)) throw error;
    log.warn(LOG.failed, { while: 'looking for reports of a drill', error: errorName(error) });
  }
  return { ...event, results: [{ drilled }] };
}

/** A drill of a source that there is, which never got as far as a plan, is one that failed: its record says so. */
async function tellUnplanned(
  { input, failure, executionArn, startedAt }: NotifyDrillEvent,
  deps: Pick<Deps, Needs>,
): Promise<DrillOutcome> {
  const source = sourceOfInput(input);
  const error = failure?.Error ?? '';
  const cause = failure ? describeFailure(failure) : '';
  const counts = source !== undefined && isOfSource(error, input);
  const endedAt = deps.clock.now();
  const unplanned =
    counts && failure
      ? makeUnplannedRecord({
          // What is wrong with it may be the very reason.
          input: DrillInput.safeParse(input).data ?? scheduledInput(input),
          source,
          executionArn,
          // Executions that began with an older version of the state machine do not tell.
          startedAt: startedAt ?? endedAt.toISOString(),
          failure,
          endedAt,
        })
      : undefined;
  const written = unplanned && (await writeRecord(deps, unplanned));
  const failed = { source: source ?? 'unknown', error, cause, executionArn };
  const notes = written && written.recordKey === null ? written.record.drill.notes : [];
  await sendAlert(deps, unplannedDrillAlert(failed, notes));
  if (counts) recordMetrics(deps, { source }, { DrillFailed: 1 });
  return { status: 'FAILED', error, cause, recordKey: written?.recordKey ?? null };
}

const NOT_THERE: ReadonlySet<string> = new Set([
  BackupNotFound.errorName,
  BackupNotVerified.errorName,
]);

/**
 * Whether the failure says anything of the source, as far as it can be told: a name that somebody mistyped must not get
 * metrics and records of its own. An input is refused before the plan is looked for, and what is wrong then is the
 * request; so it is where a person named a database or a backup that is not there.
 */
function isOfSource(error: string, input: unknown): boolean {
  if (error === UnknownSource.errorName) return false;
  const { trigger, database, backup } = (input ?? {}) as Readonly<Record<string, unknown>>;
  if (trigger === 'schedule') return true;
  if (error === InvalidInput.errorName) return false;
  const isNamed = database !== undefined || !isChosen(backup);
  return !(NOT_THERE.has(error) && isNamed);
}

/** By the drill itself, not by name. */
function isChosen(backup: unknown): boolean {
  return backup === undefined || backup === 'latest' || backup === 'random';
}

function scheduledInput(input: unknown): Pick<DrillInput, 'trigger'> {
  const { trigger } = (input ?? {}) as { trigger?: unknown };
  return { trigger: trigger === 'schedule' ? 'schedule' : 'manual' };
}

/**
 * Leaves `drilled.json` beside each backup that came back: once, as the bucket refuses anybody who would write
 * anything of a backup again. Returns what is to be noted.
 */
async function markDrilled(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  of: { drill: Drill; databases: readonly DatabaseDrill[]; endedAt: Date },
): Promise<string[]> {
  const { source, drillId } = of.drill;
  const notes: string[] = [];
  for (const { database, backupId, status, report } of of.databases) {
    if (status !== 'PASSED' || backupId === null || !report) continue;
    const { tablesLeftOut = 0 } = report;
    if (tablesLeftOut > 0) {
      notes.push(
        `backup ${backupId} of ${displayName(database)} is not marked as drilled: ${tablesLeftOut} of its tables were left out, as the drill's server lacks what they need`,
      );
      continue;
    }
    const ref = { source, database, backupId };
    const mark: Drilled = {
      version: 1,
      ...ref,
      drillId,
      drilledAt: of.endedAt.toISOString(),
      rtoSeconds: report.rtoSeconds,
    };
    const key = backupKey(ref, 'drilled.json');
    try {
      // Retention may have deleted the backup meanwhile: a mark alone would look like half of one.
      if (!(await objects.head(backupKey(ref, 'verification.json')))) continue;
      const body = JSON.stringify(mark, null, 1);
      await objects.put(key, body, { ...JSON_TYPE, condition: 'absent' });
    } catch (error) {
      // An earlier drill has brought it back as well, or this one is told of again.
      if (errorName(error) === WriteConflict.errorName) continue;
      log.warn(LOG.failed, {
        while: 'marking the backup as drilled',
        key,
        error: errorName(error),
      });
      notes.push(
        `${key} could not be written (${errorName(error)}): retention may delete the backup`,
      );
    }
  }
  return notes;
}

/** Once: what an earlier call has written is what counts. */
async function writeRecord(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  record: DrillRecord,
): Promise<{ record: DrillRecord; recordKey: string | null }> {
  const key = drillRecordKey(record.drill);
  try {
    const written = async () => {
      const found = await objects.get(key);
      return found && { record: parseRecord(DrillRecord, found.body, key), recordKey: key };
    };
    const earlier = await written();
    if (earlier) return earlier;
    const body = JSON.stringify(record, null, 1);
    try {
      await objects.put(key, body, { ...JSON_TYPE, condition: 'absent' });
    } catch (error) {
      // An invocation that Lambda repeats too early runs beside the first.
      const other = errorName(error) === WriteConflict.errorName ? await written() : undefined;
      if (other) return other;
      throw error;
    }
    return { record, recordKey: key };
  } catch (error) {
    log.warn(LOG.failed, { while: 'writing the drill record', key, error: errorName(error) });
    const note = `${key} could not be written (${errorName(error)}): this drill does not count`;
    const drill = { ...record.drill, notes: [...record.drill.notes, note] };
    return { record: { ...record, drill }, recordKey: null };
  }
}

function recordMetrics(
  { metrics, log }: Pick<Deps, 'metrics' | 'log'>,
  ...[of, values]: Parameters<Deps['metrics']['record']>
): void {
  try {
    metrics.record(of, values);
  } catch (error) {
    log.warn(LOG.failed, { while: 'recording the metrics', ...of, error: errorName(error) });
  }
}

export const handler = lambdaHandler(NotifyDrillEvent, notifyDrill, {
  clock: provideClock,
  objects: provideObjects,
  alerts: provideAlerts,
  metrics: provideMetrics,
});
