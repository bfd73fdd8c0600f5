import type { NotifyServerRestoreEvent, ServerRestoreRecord } from '#contracts/restore-server.ts';
import { describeFailure, describeThrown } from '../failure-cause.ts';

/** What came of the restore; undefined where it was never planned. */
export function recordServerRestore(
  { restore, server, inspection, cleanUp, failure }: NotifyServerRestoreEvent,
  endedAt: Date,
): ServerRestoreRecord | undefined {
  if (!restore) return undefined;
  return {
    version: 1,
    status: failure ? 'FAILED' : 'SUCCEEDED',
    error: failure?.Error ?? null,
    cause: failure ? describeFailure(failure) : null,
    endedAt: endedAt.toISOString(),
    durationSeconds: Math.max(0, (endedAt.getTime() - Date.parse(restore.startedAt)) / 1000),
    restore,
    server: server ?? null,
    inspection: inspection ?? null,
    cleanUp: cleanUp ? { ...cleanUp, detail: describeThrown(cleanUp.detail) } : null,
  };
}
