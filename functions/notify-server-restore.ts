import { NotifyServerRestoreEvent } from '#contracts/restore-server.ts';
import type { Outcome } from '#contracts/workflow.ts';
import { describeFailure } from '#domain/failure-cause.ts';
import { sourceOfInput } from '#domain/input-source.ts';
import { restoreKey } from '#domain/names.ts';
import {
  serverRestoreAlert,
  unplannedServerRestoreAlert,
} from '#domain/restore/server-restore-alert.ts';
import { recordServerRestore } from '#domain/restore/server-restore-record.ts';
import { keepRecord } from '#operations/keep-record.ts';
import { sendAlert } from '#operations/send-alert.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';

/**
 * Says how the restore of a server ended: to people and machines through SNS, to the bucket as
 * `server.json`, to the state machine as its outcome. Such a restore is rare and somebody waits for it: the
 * alert is always sent. A record that could not be written is only logged; an alert that could not be sent
 * is tried again by the state machine.
 */
export const notifyServerRestore: Handle<
  NotifyServerRestoreEvent,
  Outcome,
  'clock' | 'log' | 'objects' | 'alerts'
> = async (event, deps) => {
  const { failure, executionArn } = event;
  const error = failure?.Error ?? '';
  const cause = failure ? describeFailure(failure) : '';
  const record = recordServerRestore(event, deps.clock.now());
  if (!record) {
    const source = sourceOfInput(event.input) ?? 'unknown';
    await sendAlert(deps, unplannedServerRestoreAlert({ source, error, cause, executionArn }));
    return { status: 'FAILED', error, cause, summaryKey: null };
  }
  await sendAlert(deps, serverRestoreAlert(record, deps.objects.bucket));
  const summaryKey = await keepRecord(
    deps,
    () => restoreKey(record.restore, 'server.json'),
    record,
  );
  return { status: record.status, error, cause, summaryKey };
};

export const handler = lambdaHandler(NotifyServerRestoreEvent, notifyServerRestore, {
  clock: provideClock,
  objects: provideObjects,
  alerts: provideAlerts,
});
