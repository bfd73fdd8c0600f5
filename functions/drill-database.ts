import { DrillDatabaseEvent } from '#contracts/drill.ts';
import type { Manifest } from '#contracts/manifest.ts';
import type { PlannedRestore } from '#contracts/restore.ts';
import { drillStorageGiB } from '#domain/drill/disk-need.ts';
import { drillSelection, plannedSelection } from '#domain/drill/drill-selection.ts';
import { selectEntries } from '#domain/restore/selection.ts';
import { ObjectMissing } from '#errors';
import { launchDrill } from '#operations/drill/launch-drill.ts';
import { loadManifest } from '#operations/records.ts';
import { openArchive } from '#operations/restore/open-archive.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';

/**
 * Orders the drill of one archive: writes the order, then launches the Fargate task, which answers the token.
 * A retry of the state has a new token, hence a new order in the place of the old one and a new task; the one
 * before has ended and taken its server along. Throws ObjectMissing, ManifestInvalid, DrillTooLarge; where the plan
 * names tables, what `openArchive` throws.
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
  const restore: PlannedRestore = { ...archive.restore, selection: plannedSelection(plan) };
  const selected = await selectedEntries(deps, restore, found.manifest);
  const storageGiB = drillStorageGiB(found.manifest, selected);
  const taskArn = await launchDrill(deps, {
    drill,
    plan,
    name: database,
    subject: { type: 'archive', restore },
    begunAt,
    heartbeatSeconds: archive.task.heartbeatSeconds,
    taskToken,
    storageGiB,
  });
  deps.log.info(LOG.taskLaunched, { source, drillId, database, backupId, storageGiB, taskArn });
  return { taskArn };
};

/**
 * What of the archive is restored where the plan names tables: with the parents of their foreign keys, their
 * partitions, and what else they need, which only its table of contents knows. Undefined: all of it.
 */
async function selectedEntries(
  deps: Pick<Deps, 'objects'>,
  { archive, selection }: PlannedRestore,
  manifest: Manifest,
): Promise<ReadonlySet<number> | undefined> {
  if (selection.tables === undefined) return undefined;
  const { signal } = new AbortController();
  const { head, toc } = await openArchive(deps, { archive, manifest, signal });
  const here = drillSelection(head, toc, selection);
  return here.tables && selectEntries(head, toc, here).ids;
}

export const handler = lambdaHandler(DrillDatabaseEvent, drillDatabase, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  tasks: provideTasks,
});
