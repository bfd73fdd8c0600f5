import type * as z from 'zod';
import { CheckRestoredServerEvent, type ServerInspection } from '#contracts/restore-server.ts';
import { inspectRestoredServer as inspect } from '#operations/inspect-restored-server.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideDatabases } from '#runtime/providers/databases.ts';
import { providePlans } from '#runtime/providers/plans.ts';

/**
 * Connects to the new server as the source's plan does, and reports what is there. The server has the roles
 * and passwords of the time that was restored.
 * Throws AuthenticationFailed, DatabaseUnreachable, ServerRestoreFailed, UnknownSource, InvalidPlan.
 */
export const inspectRestoredServer: Handle<
  z.infer<typeof CheckRestoredServerEvent>,
  ServerInspection,
  'databases' | 'plans' | 'log'
> = async ({ restore, server }, deps) => {
  const { plan } = await deps.plans.load(restore.source, restore.planVersion);
  const inspection = await inspect(deps, plan, server);
  deps.log.info(LOG.discovered, {
    databases: inspection.databaseCount,
    warnings: inspection.warnings,
  });
  return inspection;
};

export const handler = lambdaHandler(CheckRestoredServerEvent, inspectRestoredServer, {
  plans: providePlans,
  databases: provideDatabases,
});
