import type { Deps } from './ports.ts';
import { provideAlerts } from './providers/alerts.ts';
import { provideClients } from './providers/clients.ts';
import { provideClock } from './providers/clock.ts';
import { provideDatabases } from './providers/databases.ts';
import { provideLog } from './providers/log.ts';
import { provideMetrics } from './providers/metrics.ts';
import { provideObjects } from './providers/objects.ts';
import { providePlans } from './providers/plans.ts';
import { provideServers } from './providers/servers.ts';
import { provideSnapshots } from './providers/snapshots.ts';
import { provideSurroundings } from './providers/surroundings.ts';
import { provideTasks } from './providers/tasks.ts';
import { provideThrowawayServers } from './providers/throwaway-servers.ts';
import { provideWorkflow } from './providers/workflow.ts';
import { type Environment, type Providers, wireDeps } from './wire-deps.ts';

/** How every side effect is really made. */
const PROVIDERS: Providers<keyof Deps> = {
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
  metrics: provideMetrics,
  throwawayServers: provideThrowawayServers,
  surroundings: provideSurroundings,
};

/**
 * All real side effects, each made when it is first used; `replaced` are made otherwise. For programs that
 * load them all anyway; a function names its own slice to `lambdaHandler`, so that its bundle has nothing else.
 */
export function buildDeps(
  environment: Environment,
  replaced: Partial<Providers<keyof Deps>> = {},
): Deps {
  return wireDeps<keyof Deps>({ ...PROVIDERS, ...replaced }, environment);
}
