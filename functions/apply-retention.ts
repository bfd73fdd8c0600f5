import type * as z from 'zod';
import { ApplyRetentionEvent, type RetentionResult } from '#contracts/workflow.ts';
import { encodeDatabaseName, retentionPlanKey } from '#domain/names.ts';
import { deleteBackups } from '#operations/delete-backups.ts';
import { planSourceRetention, type SourceRetention } from '#operations/retention.ts';
import { toTheEnd } from '#operations/to-the-end.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideSnapshots } from '#runtime/providers/snapshots.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

type Needs = 'clock' | 'log' | 'objects' | 'plans' | 'snapshots' | 'workflow';

/**
 * Deletes what the plan's rules do not keep. Everything is planned, and the plan written down, before
 * anything is deleted: one guard that refuses stops it all. Throws RetentionGuard.
 */
export const applyRetention: Handle<
  z.infer<typeof ApplyRetentionEvent>,
  RetentionResult,
  Needs
> = async ({ run, results }, deps) => {
  const { plan } = await deps.plans.load(run.source, run.planVersion);
  const retention = await planSourceRetention(deps, { run, results, plan });
  const { record, backups, snapshotIds, guard } = retention;
  const planKey = retentionPlanKey(run.source, run.runId);
  await deps.objects.put(planKey, JSON.stringify(record, null, 1), {
    contentType: 'application/json',
  });
  const result = resultOf(retention, planKey);
  deps.log.info(LOG.retentionPlanned, { ...result, guard: record.guard });
  if (record.dryRun) return { ...result, status: 'dry-run' };
  if (guard) throw guard;

  await deleteBackups(deps, backups);
  // One that RDS will not let go must not keep the others for ever.
  await toTheEnd(snapshotIds, async (snapshotId) => {
    await deps.snapshots.delete(plan, snapshotId);
    deps.log.info(LOG.snapshotDeleted, { snapshotId });
  });
  deps.log.info(LOG.retentionApplied, { ...result });
  return result;
};

/** Ids named in a result, of backups and of snapshots each. */
const NAMED_IDS = 20;

function resultOf(
  { record, backups, snapshotIds }: SourceRetention,
  planKey: string,
): RetentionResult {
  const kept = record.databases.reduce((sum, { keep }) => sum + keep.length, 0);
  const newestFirst = backups.toSorted((a, b) => b.time.getTime() - a.time.getTime());
  return {
    status: 'applied',
    archives: {
      kept,
      deleted: backups.length,
      deletedBytes: backups.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    },
    snapshots: { kept: record.snapshots?.keep.length ?? 0, deleted: snapshotIds.length },
    deletedIds: [
      ...newestFirst
        .slice(0, NAMED_IDS)
        .map(({ database, backupId }) => `${encodeDatabaseName(database)}/${backupId}`),
      ...snapshotIds.slice(0, NAMED_IDS),
    ],
    withheld: record.databases.flatMap(({ database, withheld }) =>
      withheld === null ? [] : database,
    ),
    planKey,
  };
}

export const handler = lambdaHandler(ApplyRetentionEvent, applyRetention, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  snapshots: provideSnapshots,
  workflow: provideWorkflow,
});
