import { ObjectCreatedEvent } from '#contracts/events.ts';
import { parseBackupKey } from '#domain/names.ts';
import { keepAlive } from '#operations/keep-alive.ts';
import { launchForJob } from '#operations/launch-task.ts';
import { loadJob } from '#operations/records.ts';
import { settleVerification } from '#operations/verify-backup.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClients } from '#runtime/providers/clients.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

type Needs = 'clock' | 'log' | 'objects' | 'clients' | 'workflow' | 'alerts' | 'tasks';
type Outcome = 'verified' | 'quarantined' | 'handed-over' | 'ignored';

/**
 * Called by EventBridge when a manifest was created. Verifies here, or hands an archive that is too
 * large for the Lambda's time to a Fargate task. Any other key is not ours to judge.
 */
export const verifyBackup: Handle<ObjectCreatedEvent, { outcome: Outcome }, Needs> = async (
  event,
  deps,
) => {
  const { bucket, object } = event.detail;
  const ref = parseBackupKey(object.key);
  if (ref?.file !== 'manifest.json' || bucket.name !== deps.objects.bucket) {
    deps.log.info(LOG.eventIgnored, { bucket: bucket.name, key: object.key });
    return { outcome: 'ignored' };
  }
  const job = await loadJob(deps.objects, ref);
  if (!job && !(await deps.objects.head(object.key))) {
    // Both gone: retention deleted the backup since, and there is nothing to judge.
    deps.log.info(LOG.eventIgnored, { bucket: bucket.name, key: object.key });
    return { outcome: 'ignored' };
  }
  const archive = await deps.objects.head(object.key.replace(/manifest\.json$/, 'archive.dump'));
  if (job && archive && archive.sizeBytes > job.verification.lambdaMaxBytes) {
    const taskArn = await launchForJob(deps, 'verify-backup', job);
    deps.log.info(LOG.taskLaunched, { backupId: ref.backupId, taskArn });
    return { outcome: 'handed-over' };
  }
  const settle = (signal: AbortSignal) => settleVerification(deps, ref, signal);
  const never = new AbortController().signal;
  if (!job) return { outcome: await settle(never) };
  const { taskToken, dump } = job;
  // Unattended: the run may have given up, but a backup is a backup.
  const token = { taskToken, heartbeatSeconds: dump.heartbeatSeconds, unattended: true };
  return { outcome: await keepAlive(deps, token, never, settle) };
};

export const handler = lambdaHandler(ObjectCreatedEvent, verifyBackup, {
  clock: provideClock,
  objects: provideObjects,
  tasks: provideTasks,
  workflow: provideWorkflow,
  alerts: provideAlerts,
  clients: provideClients,
});
