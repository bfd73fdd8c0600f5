import type * as z from 'zod';
import { CheckRestoredServerEvent, type RestoredServerState } from '#contracts/restore-server.ts';
import { ServerRestoreFailed, ServerRestoreTimeout } from '#errors';
import { elapsedSeconds, restoredServerState } from '#operations/restored-server.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideServers } from '#runtime/providers/servers.ts';

/**
 * How far the new server is. A cluster of Aurora gets its writer here, once it can have one.
 * Throws ServerRestoreFailed, ServerRestoreTimeout when the input's time is up, and what adding the
 * writer throws.
 */
export const checkRestoredServer: Handle<
  z.infer<typeof CheckRestoredServerEvent>,
  RestoredServerState,
  'servers' | 'clock' | 'log'
> = async ({ restore, server: before }, deps) => {
  const { identifier } = restore.target;
  const server = await deps.servers.findRestored(restore);
  if (!server?.ours) {
    throw new ServerRestoreFailed(`the new server ${identifier} is gone`, {
      remedy: 'look in CloudTrail for who deleted it, then start again',
    });
  }
  const now = deps.clock.now();
  const state = restoredServerState(restore, server, before.adopted, now);
  if (state.status === 'available') return state;
  if (elapsedSeconds(restore, now) >= restore.timeoutSeconds) {
    throw new ServerRestoreTimeout(
      `the new server ${identifier} is ${state.rdsStatus} after ${restore.timeoutSeconds / 60} minutes`,
      { remedy: 'start again with more "timeoutMinutes" when RDS is only slow' },
    );
  }
  if (server.needsWriter) {
    await deps.servers.addWriter(restore);
    deps.log.info(LOG.restoreProgress, { identifier, writer: restore.target.writer });
  }
  return state;
};

export const handler = lambdaHandler(CheckRestoredServerEvent, checkRestoredServer, {
  clock: provideClock,
  servers: provideServers,
});
