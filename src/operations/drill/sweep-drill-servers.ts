import { leftoverServerAlert } from '#domain/alert-message.ts';
import { AccessDenied, errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps, DrilledServer } from '#runtime/ports.ts';
import { toTheEnd } from '../to-the-end.ts';

type Needs = Pick<Deps, 'log' | 'servers' | 'workflow' | 'alerts'>;

/**
 * Deletes the temporary servers whose drill is over: one that was stopped by hand, or whose clean-up RDS refused
 * until it gave up. Each is deleted by its tags and its name, and told of. What fails for one does not keep
 * the others; then the first failure is thrown. Those of another stage are left to it.
 */
export async function sweepDrillServers(deps: Needs): Promise<{ swept: number }> {
  let swept = 0;
  await toTheEnd(await deps.servers.listDrilled(), async (server) => {
    const status = await statusOf(deps, server);
    if (status === 'RUNNING' || status === 'another stage') return;
    if (await sweep(deps, server)) swept += 1;
  });
  return { swept };
}

/** An account may have several stages, each of which sees the servers of all and may ask for its own drills alone. */
async function statusOf(
  { workflow, log }: Pick<Deps, 'workflow' | 'log'>,
  { executionArn, name }: DrilledServer,
): Promise<string | undefined> {
  try {
    return await workflow.executionStatus(executionArn);
  } catch (error) {
    if (errorName(error) !== AccessDenied.errorName) throw error;
    const { source, restoreId: drillId, target } = name;
    log.warn(LOG.failed, {
      while: 'asking whether a drill is over',
      source,
      drillId,
      ...target,
      executionArn,
      error: errorName(error),
    });
    return 'another stage';
  }
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
