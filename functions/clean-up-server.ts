import type * as z from 'zod';
import { CleanUpServerEvent, type ServerCleanUp } from '#contracts/restore-server.ts';
import { standingOf } from '#domain/restore/server-status.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideServers } from '#runtime/providers/servers.ts';

/**
 * Deletes what a failed restore left of its new server, as its plan says. A server that runs is kept unless
 * the input asked otherwise: the data are there, only a check of them failed. Nothing but what carries the
 * tags of this restore is ever deleted. Throws InstanceNotAvailable while RDS cannot delete it yet.
 */
export const cleanUpServer: Handle<
  z.infer<typeof CleanUpServerEvent>,
  ServerCleanUp,
  'servers' | 'log'
> = async ({ restore, failure }, deps) => {
  const { identifier } = restore.target;
  const done = await cleanUp(restore, deps);
  deps.log.info(LOG.restoreCleanedUp, { identifier, ...done, after: failure.Error });
  return done;
};

async function cleanUp(
  restore: z.infer<typeof CleanUpServerEvent>['restore'],
  { servers }: Parameters<typeof cleanUpServer>[1],
): Promise<ServerCleanUp> {
  const { identifier, settings } = restore.target;
  const found = await servers.findRestored(restore);
  if (!found) return { status: 'nothing-left', detail: `no server ${identifier} was made` };
  if (!found.ours) {
    return { status: 'not-ours', detail: `${identifier} is of somebody else and was not touched` };
  }
  if (restore.cleanUp === 'never') {
    return { status: 'kept', detail: `${identifier} is ${found.status} and stays, as you asked` };
  }
  if (restore.cleanUp === 'unfinished' && standingOf(found.status) === 'available') {
    return {
      status: 'kept',
      detail: `${identifier} runs, with its data: use it, or delete it when you do not need it`,
    };
  }
  if (settings.deletionProtection) {
    return {
      status: 'kept',
      detail: `${identifier} is protected from deletion, as you asked: delete it yourself`,
    };
  }
  const result = await servers.deleteRestored(restore);
  if (result !== 'deleting') {
    return { status: result === 'absent' ? 'nothing-left' : 'not-ours', detail: identifier };
  }
  return { status: 'deleting', detail: `${identifier} is being deleted` };
}

export const handler = lambdaHandler(CleanUpServerEvent, cleanUpServer, {
  servers: provideServers,
});
