import type * as z from 'zod';
import { type RestoredServerState, ServerRestoreEvent } from '#contracts/restore-server.ts';
import { restoredServerState } from '#operations/restored-server.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideServers } from '#runtime/providers/servers.ts';

/**
 * Asks RDS for the new server, or adopts the one that an earlier try asked for: its name follows from the
 * plan alone, and its tags say whose it is. The source is only read.
 * Throws TargetNotEmpty, SnapshotNotFound, InstanceNotFound, InstanceNotAvailable, InvalidInput,
 * ServerRestoreFailed.
 */
export const restoreServer: Handle<
  z.infer<typeof ServerRestoreEvent>,
  RestoredServerState,
  'servers' | 'clock' | 'log'
> = async ({ restore }, deps) => {
  const { adopted, ...server } = await deps.servers.restore(restore);
  deps.log.info(LOG.restoreStarted, { ...server, adopted });
  return restoredServerState(restore, server, adopted, deps.clock.now());
};

export const handler = lambdaHandler(ServerRestoreEvent, restoreServer, {
  clock: provideClock,
  servers: provideServers,
});
