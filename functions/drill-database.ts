import { DrillDatabaseEvent } from '#contracts/drill.ts';
import { drillStorageGiB } from '#domain/drill/disk-need.ts';
import { ObjectMissing } from '#errors';
import { launchDrill } from '#operations/drill/launch-drill.ts';
import { loadManifest } from '#operations/records.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';

/**
 * Orders the drill of one archive: writes the order, then launches the Fargate task, which answers the token.
 * A retry of the state has a new token, hence a new order in the place of the old one and a new task; the one
 * before has ended and taken its server along. Throws ObjectMissing, ManifestInvalid, DrillTooLarge.
 */
export const drillDatabase: Handle<
  DrillDatabaseEvent,
  { taskArn: string },
  'clock' | 'log' | 'objects' | 'plans' | 'tasks'
> = async ({ drill, archive, begunAt, taskToken }, deps) => {
  const { source, drillId } = drill;
  const { plan } = await deps.plans.load(source, drill.planVersion);
  const { database } = archive.restore.target;
  const backupId = archive.restore.backup?.backupId ?? '';
  const found = await loadManifest(deps.objects, { source, database, backupId });
  if (!found) {
    throw new ObjectMissing(`backup ${backupId} has no manifest any more`, {
      remedy: 'it was deleted after the drill was planned: start the drill again',
    });
  }
  const storageGiB = drillStorageGiB(found.manifest, archive.restore.selection.tables);
  const taskArn = await launchDrill(deps, {
    drill,
    plan,
    name: database,
    subject: { type: 'archive', restore: archive.restore },
    begunAt,
    heartbeatSeconds: archive.task.heartbeatSeconds,
    taskToken,
    storageGiB,
  });
  deps.log.info(LOG.taskLaunched, { source, drillId, database, backupId, storageGiB, taskArn });
  return { taskArn };
};

export const handler = lambdaHandler(DrillDatabaseEvent, drillDatabase, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  tasks: provideTasks,
});
