import { NotifyServerRestoreEvent, type ServerRestoreRecord } from '#contracts/restore-server.ts';
import type { Outcome } from '#contracts/workflow.ts';
import { restoreKey } from '#domain/names.ts';
import {
  serverRestoreAlert,
  unplannedServerRestoreAlert,
} from '#domain/restore/server-restore-alert.ts';
import { recordServerRestore, sourceOfRestore } from '#domain/restore/server-restore-record.ts';
import { errorName } from '#errors';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
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
  const record = recordServerRestore(event, deps.clock.now());
  const message = record
    ? serverRestoreAlert(record, deps.objects.bucket)
    : unplannedServerRestoreAlert(event, sourceOfRestore(event.input));
  await deps.alerts.publish(message);
  deps.log.info(LOG.alertSent, { subject: message.subject, ...message.attributes });
  const { Error: error = '', Cause: cause = '' } = event.failure ?? {};
  return {
    status: event.failure ? 'FAILED' : 'SUCCEEDED',
    error: record?.error ?? error,
    cause: (record?.cause ?? cause).slice(0, CAUSE_LIMIT),
    summaryKey: record ? await writeRecord(deps, record) : null,
  };
};

/** Room in the Fail state, which takes 32,768 characters, and in a readable console. */
const CAUSE_LIMIT = 4_000;

async function writeRecord(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  record: ServerRestoreRecord,
): Promise<string | null> {
  const key = restoreKey(record.restore, 'server.json');
  try {
    await objects.put(key, JSON.stringify(record, null, 1), { contentType: 'application/json' });
    return key;
  } catch (error) {
    log.warn(LOG.failed, { while: 'writing the record of the restore', error: errorName(error) });
    return null;
  }
}

export const handler = lambdaHandler(NotifyServerRestoreEvent, notifyServerRestore, {
  clock: provideClock,
  objects: provideObjects,
  alerts: provideAlerts,
});
