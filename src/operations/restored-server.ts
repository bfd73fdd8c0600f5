import type { PlannedServerRestore, RestoredServerState } from '#contracts/restore-server.ts';
import { secondsToNextLook, standingOf } from '#domain/restore/server-status.ts';
import { ServerRestoreFailed } from '#errors';
import type { RestoredServer } from '#runtime/ports.ts';

/** What the state machine keeps of the new server. Throws ServerRestoreFailed when RDS has given it up. */
export function restoredServerState(
  restore: PlannedServerRestore,
  server: RestoredServer,
  adopted: boolean,
  now: Date,
): RestoredServerState {
  const { identifier, arn, status, endpoint } = server;
  const standing = standingOf(status);
  if (standing === 'failed') {
    throw new ServerRestoreFailed(`RDS reports the new server ${identifier} as ${status}`, {
      remedy: 'look at its events in the RDS console, correct what is named, then start again',
    });
  }
  return {
    identifier,
    arn,
    // Without an address nobody can connect to it, whatever RDS says.
    status: standing === 'available' && endpoint ? 'available' : 'creating',
    rdsStatus: status,
    adopted,
    host: endpoint?.host ?? null,
    port: endpoint?.port ?? null,
    waitSeconds: secondsToNextLook(elapsedSeconds(restore, now)),
  };
}

/** Since the restore was asked for. */
export function elapsedSeconds({ startedAt }: PlannedServerRestore, now: Date): number {
  return (now.getTime() - Date.parse(startedAt)) / 1000;
}
