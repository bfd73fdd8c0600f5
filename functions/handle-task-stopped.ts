import { DrillOrder } from '#contracts/drill.ts';
import { TaskStoppedEvent } from '#contracts/events.ts';
import { RestoreOrder } from '#contracts/restore.ts';
import { drillTaskSubject } from '#domain/drill/drill-order.ts';
import {
  type BackupRef,
  backupKey,
  backupPrefix,
  parseDrillKey,
  parseJobKey,
  parseRestoreKey,
} from '#domain/names.ts';
import { restoreTaskSubject } from '#domain/restore/restore-order.ts';
import { classifyTaskStop, type TaskStop } from '#domain/task-exit.ts';
import { DumpIncomplete, RestoreFailed, TaskFailed } from '#errors';
import { loadJob, parseRecord } from '#operations/records.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

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
  const orderKey = variableOf(detail, 'HOLDFAST_JOB_KEY');
  const restore = parseRestoreKey(orderKey);
  if (restore && detail.lastStatus === 'STOPPED') return reportRestore(detail, deps, orderKey);
  const drill = parseDrillKey(orderKey);
  if (drill && detail.lastStatus === 'STOPPED') return reportDrill(detail, deps, orderKey);
  const ref = parseJobKey(orderKey);
  if (!ref || detail.lastStatus !== 'STOPPED') {
    deps.log.info(LOG.eventIgnored, { taskArn: detail.taskArn });
    return { outcome: 'ignored' };
  }
  const stop = classifyTaskStop(detail);
  deps.log.info(LOG.taskStopped, { ...ref, cause: stop?.cause ?? 'done' });

  await abortUploads(deps, ref);
  if (await deps.objects.head(backupKey(ref, 'manifest.json'))) {
    // The dump is whole: its verification answers, however its task ended. Unless it was the one to verify.
    const isVerifier = variableOf(detail, 'HOLDFAST_TASK_KIND') === 'verify-backup';
    if (!stop || !isVerifier || (await isSettled(deps, ref))) return { outcome: 'settled' };
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

function variableOf(detail: TaskStoppedEvent['detail'], wanted: string): string {
  const variables = detail.overrides.containerOverrides.flatMap(
    ({ environment }) => environment ?? [],
  );
  return variables.find(({ name }) => name === wanted)?.value ?? '';
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

/** A restore answers for itself. Where it could not, the state machine goes on to the clean-up at once. */
async function reportRestore(
  detail: TaskStoppedEvent['detail'],
  deps: Pick<Deps, Needs>,
  orderKey: string,
) {
  const stop = classifyTaskStop(detail) ?? {
    errorClass: RestoreFailed,
    cause: 'the task ended with exit code 0, but without an answer',
  };
  const found = await deps.objects.get(orderKey);
  const order = found && parseRecord(RestoreOrder, found.body, orderKey);
  // The order of a second try has taken the first one's place: this task is not the one it waits for.
  if (!order || detail.startedBy !== restoreTaskSubject(order)) return { outcome: 'settled' };
  const { source, restoreId } = order.restore;
  const error = stop.errorClass.errorName;
  const answer = await deps.workflow.fail(order.taskToken, error, stop.cause);
  if (answer === 'closed') return { outcome: 'settled' };
  deps.log.error(LOG.failed, { source, restoreId, error, cause: stop.cause });
  return { outcome: error };
}

/** So does a drill. Its server was in the task and has ended with it: there is nothing to clean up. */
async function reportDrill(
  detail: TaskStoppedEvent['detail'],
  deps: Pick<Deps, Needs>,
  orderKey: string,
) {
  const stop = classifyTaskStop(detail) ?? {
    errorClass: TaskFailed,
    cause: 'the task ended with exit code 0, but without an answer',
  };
  const found = await deps.objects.get(orderKey);
  const order = found && parseRecord(DrillOrder, found.body, orderKey);
  if (!order || detail.startedBy !== drillTaskSubject(order)) return { outcome: 'settled' };
  const { source, drillId } = order.drill;
  const error = stop.errorClass.errorName;
  const answer = await deps.workflow.fail(order.taskToken, error, stop.cause);
  if (answer === 'closed') return { outcome: 'settled' };
  deps.log.error(LOG.failed, { source, drillId, error, cause: stop.cause });
  return { outcome: error };
}

async function report(deps: Pick<Deps, Needs>, ref: BackupRef, stop: TaskStop) {
  const job = await loadJob(deps.objects, ref);
  const error = stop.errorClass.errorName;
  const answer = job ? await deps.workflow.fail(job.taskToken, error, stop.cause) : 'closed';
  deps.log.error(LOG.failed, { ...ref, error, cause: stop.cause, token: answer });
  return { outcome: error };
}

export const handler = lambdaHandler(TaskStoppedEvent, handleTaskStopped, {
  objects: provideObjects,
  workflow: provideWorkflow,
});
