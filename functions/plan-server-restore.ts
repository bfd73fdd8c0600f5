import type * as z from 'zod';
import type { PlannedServerRestoreState } from '#contracts/restore-server.ts';
import { PlanServerRestoreEvent } from '#contracts/restore-server.ts';
import { makeBackupId, restoredServerName } from '#domain/names.ts';
import {
  checkTargetFits,
  parseServerRestoreInput,
  serverOfPlan,
} from '#domain/restore/server-restore-input.ts';
import { serverTags } from '#domain/restore/server-settings.ts';
import { cleanUpPolicy } from '#domain/restore/server-status.ts';
import { planRestoredServer } from '#operations/plan-restored-server.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideServers } from '#runtime/providers/servers.ts';

/**
 * Which snapshot or point in time becomes which server, with which settings. Looks only: nothing is made
 * before everything is known. The restore's id is derived from the execution, so that asking again plans
 * the same restore.
 * Throws InvalidInput, UnknownSource, InvalidPlan, SnapshotNotFound, ServerRestoreFailed, TargetNotEmpty.
 */
export const planServerRestore: Handle<
  z.infer<typeof PlanServerRestoreEvent>,
  PlannedServerRestoreState,
  'plans' | 'servers' | 'log'
> = async ({ input: rawInput, executionArn, startedAt }, deps) => {
  const input = parseServerRestoreInput(rawInput);
  const { plan, version } = await deps.plans.load(input.source);
  const { kind, identifier } = serverOfPlan(plan);
  checkTargetFits(kind, input.target);
  const time = new Date(startedAt);
  const restoreId = makeBackupId(time, executionArn);
  const reason = input.reason ?? null;
  const { source } = plan;
  const restore = await planRestoredServer(deps, {
    restore: {
      restoreId,
      source,
      planVersion: version,
      executionArn,
      startedAt,
      reason,
      cleanUp: cleanUpPolicy(input.cleanUpOnFailure),
      timeoutSeconds: input.timeoutMinutes * 60,
    },
    kind,
    identifier,
    origin: input,
    name: input.target.identifier ?? restoredServerName(identifier, time),
    target: input.target,
    ownTags: serverTags({ source, restoreId, reason }),
    remedyIfTaken: 'name another target.identifier; the existing server was not touched',
  });
  deps.log.info(LOG.restorePlanned, { ...restore });
  return { restore };
};

export const handler = lambdaHandler(PlanServerRestoreEvent, planServerRestore, {
  plans: providePlans,
  servers: provideServers,
});
