import { RestoreDatabaseEvent, type RestoreOrder } from '#contracts/restore.ts';
import { restoreConnection } from '#contracts/source-plan.ts';
import { restoreKey, runIdOfExecution } from '#domain/names.ts';
import { restoreTaskSubject } from '#domain/restore/restore-order.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';

/**
 * Orders one restore: writes the order, then launches the Fargate task, which answers the token. A retry
 * of the state has a new token, hence a new order in the place of the old one and a new task, which begins
 * by clearing away what the one before may have left.
 */
export const restoreDatabase: Handle<
  RestoreDatabaseEvent,
  { taskArn: string },
  'clock' | 'log' | 'objects' | 'plans' | 'tasks'
> = async ({ restore, task, taskToken }, deps) => {
  const { source, restoreId, target, executionArn } = restore;
  const { plan } = await deps.plans.load(target.source, target.planVersion);
  const order: RestoreOrder = {
    version: 1,
    restore,
    taskToken,
    createdAt: deps.clock.now().toISOString(),
    heartbeatSeconds: task.heartbeatSeconds,
    connection: restoreConnection(plan),
    task: plan.task,
    network: plan.network,
  };
  const orderKey = restoreKey({ source, restoreId }, 'order.json');
  await deps.objects.put(orderKey, JSON.stringify(order), { contentType: 'application/json' });
  const taskArn = await deps.tasks.run({
    kind: 'restore-database',
    orderKey,
    source,
    runId: runIdOfExecution(executionArn),
    // One task a token: an invocation that Lambda repeats finds the first one's.
    subject: restoreTaskSubject(order),
    task: plan.task,
    network: plan.network,
  });
  deps.log.info(LOG.taskLaunched, { source, restoreId, database: target.database, taskArn });
  return { taskArn };
};

export const handler = lambdaHandler(RestoreDatabaseEvent, restoreDatabase, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  tasks: provideTasks,
});
