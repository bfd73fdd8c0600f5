import type * as z from 'zod';
import type { PlannedServerRestore, PlannedServerRestoreState } from '#contracts/restore-server.ts';
import { PlanServerRestoreEvent } from '#contracts/restore-server.ts';
import { makeBackupId, restoredServerName, restoredWriterName } from '#domain/names.ts';
import {
  checkTargetFits,
  parseServerRestoreInput,
  serverOfPlan,
} from '#domain/restore/server-restore-input.ts';
import { serverTags, takeOverSettings } from '#domain/restore/server-settings.ts';
import { cleanUpPolicy } from '#domain/restore/server-status.ts';
import { TargetNotEmpty } from '#errors';
import { findOrigin, findServerSource } from '#operations/find-origin.ts';
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
  const { server: source, sought } = await findServerSource(deps, plan.source, kind, identifier);
  const found = await findOrigin(deps, input, sought);
  const time = new Date(startedAt);
  const restoreId = makeBackupId(time, executionArn);
  const reason = input.reason ?? null;
  const { settings, warnings } = takeOverSettings({
    kind,
    identifier,
    source,
    snapshot: found.snapshot,
    target: input.target,
    ownTags: serverTags({ source: plan.source, restoreId, reason }),
  });
  const name = input.target.identifier ?? restoredServerName(identifier, time);
  const restore: PlannedServerRestore = {
    restoreId,
    source: plan.source,
    planVersion: version,
    executionArn,
    startedAt,
    reason,
    kind,
    sourceIdentifier: identifier,
    engine: sought.engine,
    engineVersion: found.snapshot?.engineVersion ?? null,
    origin: found.origin,
    target: {
      identifier: name,
      writer: kind === 'cluster' ? restoredWriterName(name) : null,
      settings,
    },
    warnings: [...found.warnings, ...warnings],
    cleanUp: cleanUpPolicy(input.cleanUpOnFailure),
    timeoutSeconds: input.timeoutMinutes * 60,
  };
  const existing = await deps.servers.findRestored(restore);
  if (existing && !existing.ours) {
    throw new TargetNotEmpty(`a server ${name} exists already`, {
      remedy: 'name another target.identifier; the existing server was not touched',
    });
  }
  deps.log.info(LOG.restorePlanned, { ...restore });
  return { restore };
};

export const handler = lambdaHandler(PlanServerRestoreEvent, planServerRestore, {
  plans: providePlans,
  servers: provideServers,
});
