import { type CleanUp, CleanUpRestoreEvent } from '#contracts/restore.ts';
import { restoreConnection } from '#contracts/source-plan.ts';
import { cleanUpTarget } from '#operations/restore/clean-up-target.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideDatabases } from '#runtime/providers/databases.ts';
import { providePlans } from '#runtime/providers/plans.ts';

/**
 * Takes back what a failed restore left in its target. The task does so itself; this is for one that was
 * killed, or fell silent. Only what carries the mark of this very restore is touched. Idempotent.
 */
export const cleanUpRestore: Handle<
  CleanUpRestoreEvent,
  CleanUp,
  'databases' | 'log' | 'plans'
> = async ({ restore }, deps) => {
  const { restoreId, target, keepOnFailure } = restore;
  const { plan } = await deps.plans.load(target.source, target.planVersion);
  const connection = restoreConnection(plan);
  const cleanUp = await cleanUpTarget(deps, { connection, restoreId, target, keepOnFailure });
  deps.log.info(LOG.restoreCleanedUp, { restoreId, ...cleanUp });
  return cleanUp;
};

export const handler = lambdaHandler(CleanUpRestoreEvent, cleanUpRestore, {
  databases: provideDatabases,
  plans: providePlans,
});
