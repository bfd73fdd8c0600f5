import { TaskStoppedEvent } from '#contracts/events.ts';
import { type BackupRef, backupKey, backupPrefix, parseJobKey } from '#domain/names.ts';
import { classifyTaskStop, type TaskStop } from '#domain/task-exit.ts';
import { DumpIncomplete } from '#errors';
import { loadJob } from '#operations/records.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

type Needs = 'log' | 'objects' | 'workflow';

/**
 * Called by EventBridge when one of our tasks has stopped. A task that could not report for itself
 * (killed, out of memory, never started) is reported here, so its run fails within seconds and not at
 * the end of the heartbeat. What a dump left behind without a manifest is removed; an upload that is
 * still open is aborted in any case (where the answer to its creation was lost, a second one was made).
 */
export const handleTaskStopped: Handle<TaskStoppedEvent, { outcome: string }, Needs> = async (
  { detail },
  deps,
) => {
  const ref = jobOf(detail);
  if (!ref || detail.lastStatus !== 'STOPPED') {
    deps.log.info(LOG.eventIgnored, { taskArn: detail.taskArn });
    return { outcome: 'ignored' };
  }
  const stop = classifyTaskStop(detail);
  deps.log.info(LOG.taskStopped, { ...ref, cause: stop?.cause ?? 'done' });

  await abortUploads(deps, ref);
  if (await deps.objects.head(backupKey(ref, 'manifest.json'))) {
    if (!stop || (await isSettled(deps, ref))) return { outcome: 'settled' };
    // The dump is whole, but the task that was to verify it is gone.
    return report(deps, ref, stop);
  }
  // Judged already, and the manifest was taken away since: what is there is evidence.
  if (await isSettled(deps, ref)) return { outcome: 'settled' };
  await removeLeftovers(deps, ref);
  return report(
    deps,
    ref,
    stop ?? {
      errorClass: DumpIncomplete,
      cause: 'the task ended with exit code 0, but there is no manifest',
    },
  );
};

function jobOf(detail: TaskStoppedEvent['detail']): BackupRef | undefined {
  const variables = detail.overrides.containerOverrides.flatMap(
    ({ environment }) => environment ?? [],
  );
  return parseJobKey(variables.find(({ name }) => name === 'HOLDFAST_JOB_KEY')?.value ?? '');
}

async function isSettled({ objects }: Pick<Deps, 'objects'>, ref: BackupRef): Promise<boolean> {
  return (
    (await objects.head(backupKey(ref, 'verification.json'))) !== undefined ||
    (await objects.head(backupKey(ref, 'quarantine.json'))) !== undefined
  );
}

async function abortUploads({ objects, log }: Pick<Deps, Needs>, ref: BackupRef) {
  for await (const { key, uploadId } of objects.uploads(backupPrefix(ref))) {
    await objects.abortUpload(key, uploadId);
    log.warn(LOG.uploadAborted, { key });
  }
}

async function removeLeftovers({ objects }: Pick<Deps, Needs>, ref: BackupRef) {
  const keys: string[] = [];
  for await (const { key } of objects.list(backupPrefix(ref))) keys.push(key);
  if (keys.length > 0) await objects.delete(keys);
}

async function report(deps: Pick<Deps, Needs>, ref: BackupRef, stop: TaskStop) {
  const job = await loadJob(deps.objects, ref);
  const error = stop.errorClass.errorName;
  const answer = job ? await deps.workflow.fail(job.taskToken, error, stop.cause) : 'closed';
  deps.log.error(LOG.failed, { ...ref, error, cause: stop.cause, token: answer });
  return { outcome: error };
}

export const handler = lambdaHandler(TaskStoppedEvent, handleTaskStopped);
