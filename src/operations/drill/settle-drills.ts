import { DrillOrder, type DrillRecord } from '#contracts/drill.ts';
import type { Failure } from '#contracts/workflow.ts';
import { drillAlert } from '#domain/drill/drill-alert.ts';
import { drillMetrics } from '#domain/drill/drill-metrics.ts';
import { type DrilledSubject, judgeDatabase, makeDrillRecord } from '#domain/drill/drill-record.ts';
import {
  type DrillRef,
  drillKey,
  drillRecordKey,
  drillsPrefix,
  parseBackupId,
  parseDrillKey,
  parseDrillRecordKey,
} from '#domain/names.ts';
import { AccessDenied, DrillFailed, errorName, WriteConflict } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from '../records.ts';
import { sendAlert } from '../send-alert.ts';
import { toTheEnd } from '../to-the-end.ts';
import { readDrillReport } from './drill-reports.ts';

type Needs = Pick<Deps, 'alerts' | 'clock' | 'log' | 'metrics' | 'objects' | 'workflow'>;

/** Beyond the 14 days after which Step Functions ends a drill, and the days that Reconcile may be broken itself. */
const LOOKED_BACK_MILLISECONDS = 30 * 86_400_000;

/** Why a drill has no record: after these statuses nobody else can write one. */
const FAILURES: Readonly<Record<string, Failure>> = {
  ABORTED: {
    Error: DrillFailed.errorName,
    Cause: 'somebody stopped the drill before it was done (its execution was aborted)',
  },
  TIMED_OUT: {
    Error: 'States.Timeout',
    Cause: 'the drill did not end within the time of its execution',
  },
};

/**
 * Ends the drills of a source that were stopped by hand or took too long: their state machine is not there to say so.
 * Each gets its record, of what its tasks had found by then, and its alert, once; their tasks end by themselves, as
 * nobody waits for their token. A drill that had ordered no task leaves nothing that could be found.
 *
 * What fails for one does not keep the others; then the first failure is thrown.
 */
export async function settleDrills(deps: Needs, source: string): Promise<{ settled: number }> {
  const drills = new Map<string, { databases: string[]; isOver: boolean }>();
  const noted = (drillId: string) => {
    const drill = drills.get(drillId) ?? { databases: [], isOver: false };
    drills.set(drillId, drill);
    return drill;
  };
  for await (const { key } of deps.objects.list(drillsPrefix(source))) {
    const record = parseDrillRecordKey(key);
    if (record) noted(record.drillId).isOver = true;
    const ordered = parseDrillKey(key);
    if (ordered?.file === 'order.json') noted(ordered.drillId).databases.push(ordered.database);
  }
  const since = deps.clock.now().getTime() - LOOKED_BACK_MILLISECONDS;
  const open = [...drills].filter(
    ([drillId, { isOver }]) => !isOver && (parseBackupId(drillId)?.time.getTime() ?? 0) >= since,
  );
  let settled = 0;
  await toTheEnd(open, async ([drillId, { databases }]) => {
    if (await settle(deps, { source, drillId }, databases)) settled += 1;
  });
  return { settled };
}

async function settle(deps: Needs, ref: DrillRef, databases: readonly string[]): Promise<boolean> {
  const orders: DrillOrder[] = [];
  for (const database of databases) {
    const key = drillKey(ref, database, 'order.json');
    const found = await deps.objects.get(key);
    if (found) orders.push(parseRecord(DrillOrder, found.body, key));
  }
  const [first] = orders;
  if (!first) return false;
  const { drill } = first;
  const status = await statusOf(deps, drill.executionArn);
  const failure = FAILURES[status ?? ''];
  if (!failure) return false;
  const judged: DrillRecord['databases'] = [];
  for (const subject of await subjectsOf(deps, orders, failure)) {
    const report = subject.reportKey && (await readDrillReport(deps, subject.reportKey));
    judged.push(
      judgeDatabase({ ...subject, failure: report ? null : failure }, report || undefined, drill),
    );
  }
  const notes = [
    ...drill.notes,
    `the execution is ${status}: databases whose turn had not come yet are not listed`,
  ];
  const record = makeDrillRecord({
    event: { failure },
    drill: { ...drill, notes },
    databases: judged,
    endedAt: deps.clock.now(),
  });
  // First the alert: after the record nobody would come back to it.
  await sendAlert(deps, drillAlert(record, deps.objects.bucket));
  try {
    await deps.objects.put(drillRecordKey(ref), JSON.stringify(record, null, 1), {
      contentType: 'application/json',
      condition: 'absent',
    });
  } catch (error) {
    // It was stopped while it told of its end itself.
    if (errorName(error) !== WriteConflict.errorName) throw error;
  }
  for (const { of, values } of drillMetrics(record)) deps.metrics.record(of, values);
  return true;
}

/** A drill of another stage that was copied here is that one's: undefined, as of one that nobody remembers. */
async function statusOf(
  { workflow, log }: Pick<Deps, 'workflow' | 'log'>,
  executionArn: string,
): Promise<string | undefined> {
  try {
    return await workflow.executionStatus(executionArn);
  } catch (error) {
    if (errorName(error) !== AccessDenied.errorName) throw error;
    log.warn(LOG.failed, {
      while: 'asking whether a drill is over',
      executionArn,
      error: errorName(error),
    });
    return undefined;
  }
}

/** Of an archive's drill one an order; of a server's those databases of which there is a report. */
async function subjectsOf(
  { objects }: Pick<Deps, 'objects'>,
  orders: readonly DrillOrder[],
  failure: Failure,
): Promise<DrilledSubject[]> {
  const subjects: DrilledSubject[] = [];
  for (const { drill, subject } of orders) {
    if (subject.type === 'archive') {
      const { target, backup } = subject.restore;
      const { database } = target;
      subjects.push({
        database,
        backupId: backup?.backupId ?? null,
        // The next drill of "alternate" goes by the one before.
        chosenBy: null,
        newestDataAt: undefined,
        reportKey: drillKey(drill, database, 'report.json'),
        failure,
      });
      continue;
    }
    for await (const { key } of objects.list(`${drillsPrefix(drill.source)}${drill.drillId}/`)) {
      const { database, file } = parseDrillKey(key) ?? {};
      if (database === undefined || file !== 'report.json') continue;
      subjects.push({
        database,
        backupId: null,
        chosenBy: null,
        newestDataAt: subject.newestDataAt,
        reportKey: key,
        failure,
      });
    }
  }
  return subjects;
}
