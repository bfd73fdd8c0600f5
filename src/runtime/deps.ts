import type { Deps } from './ports.ts';
import { provideAlerts } from './providers/alerts.ts';
import { provideClients } from './providers/clients.ts';
import { provideClock } from './providers/clock.ts';
import { provideDatabases } from './providers/databases.ts';
import { provideLog } from './providers/log.ts';
import { provideObjects } from './providers/objects.ts';
import { providePlans } from './providers/plans.ts';
import { provideServers } from './providers/servers.ts';
import { provideSnapshots } from './providers/snapshots.ts';
import { provideTasks } from './providers/tasks.ts';
import { provideWorkflow } from './providers/workflow.ts';
import { type Environment, wireDeps } from './wire-deps.ts';

/**
 * All real side effects, each made when it is first used. For programs that load them all anyway; a
 * function names its own slice to `lambdaHandler`, so that its bundle has nothing else.
 */
export function buildDeps(environment: Environment): Deps {
  return wireDeps<keyof Deps>(
    {
      clock: provideClock,
      log: provideLog,
      objects: provideObjects,
      plans: providePlans,
      snapshots: provideSnapshots,
      servers: provideServers,
      tasks: provideTasks,
      workflow: provideWorkflow,
      alerts: provideAlerts,
      databases: provideDatabases,
      clients: provideClients,
    },
    environment,
  );
}
