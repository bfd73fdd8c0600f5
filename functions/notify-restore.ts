import {
  CleanUp,
  NotifyRestoreEvent,
  type RestoreRecord,
  RestoreReport,
} from '#contracts/restore.ts';
import type { Outcome } from '#contracts/workflow.ts';
import { describeFailure, describeThrown } from '#domain/failure-cause.ts';
import { sourceOfInput } from '#domain/input-source.ts';
import { restoreKey } from '#domain/names.ts';
import { restoreAlert, unplannedRestoreAlert } from '#domain/restore/restore-alert.ts';
import { errorName } from '#errors';
import { keepRecord } from '#operations/keep-record.ts';
import { parseRecord } from '#operations/records.ts';
import { sendAlert } from '#operations/send-alert.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideMetrics } from '#runtime/providers/metrics.ts';
import { provideObjects } from '#runtime/providers/objects.ts';

/**
 * Says how the restore ended: to people and machines through SNS, to the bucket as `restore.json`, to the
 * state machine as its outcome. A restore is rare and somebody waits for it: the alert is always sent. A
 * record that could not be written is only logged; an alert that could not be sent is tried again.
 */
export const notifyRestore: Handle<
  NotifyRestoreEvent,
  Outcome,
  'clock' | 'log' | 'objects' | 'alerts' | 'metrics'
> = async (event, deps) => {
  const { restore, failure, executionArn } = event;
  const error = failure?.Error ?? '';
  const cause = failure ? describeFailure(failure) : '';
  if (!restore) {
    const source = sourceOfInput(event.input) ?? 'unknown';
    await sendAlert(deps, unplannedRestoreAlert({ source, error, cause, executionArn }));
    return { status: 'FAILED', error, cause, summaryKey: null };
  }
  const endedAt = deps.clock.now();
  const record: RestoreRecord = {
    version: 1,
    status: failure ? 'FAILED' : 'SUCCEEDED',
    error: failure ? error : null,
    cause: failure ? cause : null,
    endedAt: endedAt.toISOString(),
    durationSeconds: Math.max(0, (endedAt.getTime() - Date.parse(restore.startedAt)) / 1000),
    restore,
    report: await readReport(deps, restore),
    cleanUp: event.cleanUp
      ? await whatWasDone(deps, restore, {
          ...event.cleanUp,
          detail: describeThrown(event.cleanUp.detail),
        })
      : null,
  };
  await sendAlert(deps, restoreAlert(record, deps.objects.bucket));
  const summaryKey = await keepRecord(deps, () => restoreKey(restore, 'restore.json'), record);
  recordDuration(deps, record);
  return { status: record.status, error, cause, summaryKey };
};

/** Where nothing was left for Clean Up Restore: what the task itself had taken back. */
async function whatWasDone(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  restore: RestoreRecord['restore'],
  cleanUp: CleanUp,
): Promise<CleanUp> {
  if (cleanUp.status !== 'nothing-left' || restore.target.mode !== 'existing') return cleanUp;
  const key = restoreKey(restore, 'clean-up.json');
  try {
    const found = await objects.get(key);
    return found ? parseRecord(CleanUp, found.body, key) : cleanUp;
  } catch (error) {
    log.warn(LOG.failed, { while: 'reading what was taken back', error: errorName(error) });
    return cleanUp;
  }
}

/** What the task found, also where it then failed; null when it did not get so far. */
async function readReport(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  restore: RestoreRecord['restore'],
): Promise<RestoreReport | null> {
  const key = restoreKey(restore, 'report.json');
  try {
    const found = await objects.get(key);
    return found ? parseRecord(RestoreReport, found.body, key) : null;
  } catch (error) {
    log.warn(LOG.failed, { while: 'reading the report', error: errorName(error) });
    return null;
  }
}

/** How long it takes to have the data back: of restores that brought them back. */
function recordDuration(
  { metrics, log }: Pick<Deps, 'metrics' | 'log'>,
  { status, durationSeconds, restore }: RestoreRecord,
): void {
  if (status !== 'SUCCEEDED') return;
  try {
    metrics.record({ source: restore.source }, { RestoreDuration: durationSeconds });
  } catch (error) {
    log.error(LOG.failed, { while: 'recording metrics', error: errorName(error) });
  }
}

export const handler = lambdaHandler(NotifyRestoreEvent, notifyRestore, {
  clock: provideClock,
  objects: provideObjects,
  alerts: provideAlerts,
  metrics: provideMetrics,
});
