import { leftoverServerAlert } from '#domain/alert-message.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps, DrilledServer } from '#runtime/ports.ts';
import { toTheEnd } from '../to-the-end.ts';

type Needs = Pick<Deps, 'log' | 'servers' | 'workflow' | 'alerts'>;

/**
 * Deletes the temporary servers whose drill is over: one that was stopped by hand, or whose clean-up RDS refused
 * until it gave up. Each is deleted by its tags and its name, and told of. What fails for one does not keep
 * the others; then the first failure is thrown.
 */
export async function sweepDrillServers(deps: Needs): Promise<{ swept: number }> {
  let swept = 0;
  await toTheEnd(await deps.servers.listDrilled(), async (server) => {
    const status = await deps.workflow.executionStatus(server.executionArn);
    if (status === 'RUNNING') return;
    if (await sweep(deps, server)) swept += 1;
  });
  return { swept };
}

async function sweep(deps: Needs, { name, status, executionArn }: DrilledServer): Promise<boolean> {
  const { source, restoreId, target } = name;
  if (status === 'deleting') return false;
  if ((await deps.servers.deleteRestored(name)) !== 'deleting') return false;
  deps.log.warn(LOG.drillServerSwept, { source, drillId: restoreId, ...target });
  const { identifier } = target;
  await deps.alerts.publish(
    leftoverServerAlert({ source, drillId: restoreId, identifier, executionArn }),
  );
  return true;
}
