import type { PlannedRestore } from '#contracts/restore.ts';
import { displayName } from '#domain/display-text.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import type { RestoreProgress } from './restore-archive.ts';

/** Logs progress at most every so many seconds. */
export function progressLog(
  deps: Pick<Deps, 'clock' | 'log'>,
  { restoreId, target }: PlannedRestore,
  everySeconds: number,
) {
  const database = displayName(target.database);
  let lastLogged = deps.clock.now().getTime();
  return (progress: RestoreProgress) => {
    const now = deps.clock.now().getTime();
    if (now - lastLogged < everySeconds * 1000) return;
    lastLogged = now;
    deps.log.info(LOG.restoreProgress, { restoreId, database, ...progress });
  };
}
