import { errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/** Thrown into an operation whose run no longer waits for it. */
export class RunGaveUp extends Error {
  override readonly name = 'RunGaveUp';
}

/**
 * Sends heartbeats for a waiting state while `work` goes on, three in each heartbeat interval. When the
 * token is closed (the state timed out, the execution was stopped), the heartbeats end, and the signal
 * given to `work` is aborted with {@link RunGaveUp}: what nobody waits for must not go on as if somebody
 * did. With `unattended`, the work goes on all the same: for what is of use without the run.
 */
export async function keepAlive<Result>(
  deps: Pick<Deps, 'clock' | 'log' | 'workflow'>,
  token: { taskToken: string; heartbeatSeconds: number; unattended?: boolean },
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const done = new AbortController();
  const gaveUp = new AbortController();
  const beating = (async () => {
    for (;;) {
      try {
        await deps.clock.sleep((token.heartbeatSeconds * 1000) / 3, done.signal);
      } catch {
        return;
      }
      try {
        if ((await deps.workflow.heartbeat(token.taskToken)) === 'closed') {
          deps.log.warn(LOG.tokenClosed);
          const reason = new RunGaveUp('the run no longer waits for this task');
          if (!token.unattended) gaveUp.abort(reason);
          return;
        }
      } catch (error) {
        // One lost heartbeat is not the end; a lasting outage ends the run by its timeout.
        deps.log.warn(LOG.failed, { error: errorName(error), while: 'sending a heartbeat' });
      }
    }
  })();
  try {
    return await work(AbortSignal.any([signal, gaveUp.signal]));
  } finally {
    done.abort();
    await beating;
  }
}
