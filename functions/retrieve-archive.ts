import { type Retrieval, RetrieveArchiveEvent } from '#contracts/restore.ts';
import { restoreKey, retrievalPointerKey } from '#domain/names.ts';
import { retrievalAlert } from '#domain/restore/retrieval-alert.ts';
import { copyDays } from '#domain/restore/retrieval-times.ts';
import { errorName } from '#errors';
import { sendAlert } from '#operations/send-alert.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

type Needs = 'clock' | 'log' | 'objects' | 'workflow' | 'alerts';

/**
 * Asks S3 for an archive that lies in Glacier; the state waits until Resume Restore answers its token.
 * Throws ObjectMissing, RetrievalFailed.
 */
export const retrieveArchive: Handle<
  RetrieveArchiveEvent,
  { retrieval: 'ongoing' | 'done' },
  Needs
> = async ({ restore, retrieval, taskToken }, deps) => {
  const { source, restoreId, archive } = restore;
  const requestedAt = deps.clock.now();
  const record: Retrieval = {
    version: 1,
    restoreId,
    source,
    archive,
    tier: retrieval.tier,
    requestedAt: requestedAt.toISOString(),
    taskToken,
  };
  // Who waits is written before anybody is asked: the event may come before S3's answer to the request,
  // of another restore's retrieval even earlier. The pointer is how the event finds the record.
  const json = { contentType: 'application/json' };
  await deps.objects.put(restoreKey(restore, 'retrieval.json'), JSON.stringify(record), json);
  const pointer = retrievalPointerKey(archive.key, restore, taskToken);
  await deps.objects.put(pointer, JSON.stringify({ archive: archive.key }), json);

  const state = await deps.objects.retrieve(archive.key, {
    tier: retrieval.tier,
    days: copyDays(retrieval.timeoutSeconds),
    ...(archive.versionId === undefined ? {} : { versionId: archive.versionId }),
  });
  deps.log.info(LOG.restoreProgress, {
    source,
    restoreId,
    phase: 'retrieval',
    key: archive.key,
    storageClass: retrieval.storageClass,
    tier: retrieval.tier,
    retrieval: state,
  });
  // Nothing to wait for. The pointer is left to Reconcile, as this function may not delete.
  if (state === 'done') await deps.workflow.succeed(taskToken, { retrieved: true });
  else await tell(deps, { restore, retrieval, requestedAt });
  return { retrieval: state };
};

/** The restore does not depend on it: an alert that could not be sent is only logged. */
async function tell(
  { alerts, log, objects }: Pick<Deps, 'alerts' | 'log' | 'objects'>,
  facts: Omit<Parameters<typeof retrievalAlert>[0], 'bucket'>,
): Promise<void> {
  const message = retrievalAlert({ ...facts, bucket: objects.bucket });
  try {
    await sendAlert({ alerts, log }, message);
  } catch (error) {
    log.error(LOG.failed, { while: 'sending the retrieval alert', error: errorName(error) });
  }
}

export const handler = lambdaHandler(RetrieveArchiveEvent, retrieveArchive, {
  clock: provideClock,
  objects: provideObjects,
  workflow: provideWorkflow,
  alerts: provideAlerts,
});
