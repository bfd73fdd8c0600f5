import type * as z from 'zod';
import { CheckSnapshotEvent, type SnapshotState } from '#contracts/workflow.ts';
import { SnapshotTimeout } from '#errors';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideSnapshots } from '#runtime/providers/snapshots.ts';

/**
 * How far the run's snapshot is. Throws SnapshotFailed, and SnapshotTimeout when the plan's time is up;
 * the snapshot itself goes on, so that the next run's retention finds it.
 */
export const checkSnapshot: Handle<
  z.infer<typeof CheckSnapshotEvent>,
  SnapshotState,
  'plans' | 'snapshots' | 'clock'
> = async ({ run, snapshot }, deps) => {
  const now = await deps.snapshots.describe(snapshot);
  if (now.status === 'available') return now;

  const { plan } = await deps.plans.load(run.source, run.planVersion);
  const { timeoutMinutes } = plan.snapshot;
  const elapsedMinutes = (deps.clock.now().getTime() - Date.parse(now.startedAt)) / 60_000;
  if (elapsedMinutes < timeoutMinutes) return now;
  throw new SnapshotTimeout(
    `the snapshot ${now.snapshotId} is at ${now.progressPercent} % after ${timeoutMinutes} minutes`,
    { remedy: 'look at it in the RDS console; raise snapshot.timeoutMinutes when it is only slow' },
  );
};

export const handler = lambdaHandler(CheckSnapshotEvent, checkSnapshot, {
  clock: provideClock,
  plans: providePlans,
  snapshots: provideSnapshots,
});
