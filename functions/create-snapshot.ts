import type * as z from 'zod';
import { RunEvent, type SnapshotState } from '#contracts/workflow.ts';
import { makeSnapshotId } from '#domain/names.ts';
import { snapshotTags } from '#domain/snapshot-tags.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideSnapshots } from '#runtime/providers/snapshots.ts';

/**
 * Starts the snapshot of a run, or adopts the one that an earlier try started: its id follows from the
 * run alone. Throws the errors of RDS snapshots, UnknownSource, InvalidPlan.
 */
export const createSnapshot: Handle<
  z.infer<typeof RunEvent>,
  SnapshotState,
  'plans' | 'snapshots' | 'clock' | 'log'
> = async ({ run }, deps) => {
  const { plan } = await deps.plans.load(run.source, run.planVersion);
  const now = deps.clock.now();
  const snapshot = await deps.snapshots.create({
    plan,
    snapshotId: makeSnapshotId(run.source, new Date(run.startedAt), run.executionArn),
    tags: snapshotTags(run, now),
    now,
  });
  deps.log.info(snapshot.adopted ? LOG.snapshotAdopted : LOG.snapshotCreated, { ...snapshot });
  return snapshot;
};

export const handler = lambdaHandler(RunEvent, createSnapshot, {
  clock: provideClock,
  plans: providePlans,
  snapshots: provideSnapshots,
});
