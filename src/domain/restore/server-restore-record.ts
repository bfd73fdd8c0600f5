import type { NotifyServerRestoreEvent, ServerRestoreRecord } from '#contracts/restore-server.ts';
import { SOURCE_NAME } from '../names.ts';

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
    cause: failure ? plainCause(failure.Cause) : null,
    endedAt: endedAt.toISOString(),
    durationSeconds: Math.max(0, (endedAt.getTime() - Date.parse(restore.startedAt)) / 1000),
    restore,
    server: server ?? null,
    inspection: inspection ?? null,
    cleanUp: cleanUp ? { ...cleanUp, detail: plainDetail(cleanUp.detail) } : null,
  };
}

/** The message of what a Lambda threw: its cause is JSON `{errorType, errorMessage, trace}`. */
export function plainCause(cause: string): string {
  try {
    const { errorMessage } = JSON.parse(cause) as { errorMessage?: unknown };
    if (typeof errorMessage === 'string') return errorMessage;
  } catch {
    // Step Functions' own errors come as plain text.
  }
  return cause;
}

/** The machine puts what Clean Up Server threw together as `name: cause`. */
function plainDetail(detail: string): string {
  const [, name, cause] = /^([\w.]+): (\{.*)$/s.exec(detail) ?? [];
  return name === undefined || cause === undefined ? detail : `${name}: ${plainCause(cause)}`;
}

/** The source that an input names, were it only to say whose restore could not be planned. */
export function sourceOfRestore(input: unknown): string {
  const { source } = (input ?? {}) as { source?: unknown };
  return typeof source === 'string' && SOURCE_NAME.test(source) ? source : 'unknown';
}
