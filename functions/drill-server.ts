import { DrillServerEvent } from '#contracts/drill.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { InstanceNotAvailable, ServerRestoreFailed } from '#errors';
import { launchDrill } from '#operations/drill/launch-drill.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideServers } from '#runtime/providers/servers.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';

/**
 * Orders the checks of a server that RDS restored for a drill. First RDS gives it a password of its own, so that
 * the task needs no secret of production: InstanceNotAvailable until that is in force, and the state tries again.
 * Then the order is written and the Fargate task launched, which answers the token. Throws InstanceNotFound,
 * ServerRestoreFailed.
 */
export const drillServer: Handle<
  DrillServerEvent,
  { taskArn: string },
  'clock' | 'log' | 'objects' | 'plans' | 'servers' | 'tasks'
> = async ({ drill, server, restored, taskToken }, deps) => {
  const { source, drillId, planVersion } = drill;
  const { identifier } = server.restore.target;
  const { host, port } = restored;
  if (host === null || port === null) {
    throw new ServerRestoreFailed(`RDS calls ${identifier} available, and names no address`);
  }
  const login = await deps.servers.ownLogin(server.restore);
  if (!login) {
    throw new InstanceNotAvailable(`${identifier} does not have its own password yet`, {
      remedy: 'it is asked again in a while',
    });
  }
  const { plan } = await deps.plans.load(source, planVersion);
  const connection: Connection = {
    host,
    port,
    user: login.user,
    maintenanceDatabase: plan.connection.maintenanceDatabase,
    auth: { type: 'secret', secretId: login.secretArn },
    tls: plan.connection.tls,
  };
  const taskArn = await launchDrill(deps, {
    drill,
    plan,
    name: identifier,
    subject: {
      type: 'server',
      connection,
      identifier,
      databases: plan.databases,
      newestDataAt: server.newestDataAt,
    },
    // RDS's own work is the larger part of what bringing the data back takes.
    begunAt: drill.startedAt,
    heartbeatSeconds: server.task.heartbeatSeconds,
    taskToken,
  });
  deps.log.info(LOG.taskLaunched, { source, drillId, identifier, taskArn });
  return { taskArn };
};

export const handler = lambdaHandler(DrillServerEvent, drillServer, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  servers: provideServers,
  tasks: provideTasks,
});
