import type { TaskProgress } from '#contracts/task-progress.ts';
import { taskProgressKey } from '#domain/names.ts';
import { errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/** Where the work is; told as often as it likes. */
export type TellProgress = (
  step: Pick<TaskProgress, 'phase'> &
    Partial<Pick<TaskProgress, 'subject' | 'done' | 'total' | 'unit' | 'bytes'>>,
) => void;

export interface ProgressRecord extends Pick<TaskProgress, 'task' | 'database'> {
  readonly source: string;
  readonly runId: string;
  /** Between two records; work that takes less leaves none. */
  readonly everySeconds: number;
  /** The phase that the state is in when the work is done; undefined: it is done as well. */
  readonly followedBy?: string;
}

/** Nobody waits longer for a record that S3 does not take. */
const LAST_RECORD_MILLISECONDS = 2_000;

/**
 * Does `work`, and keeps writing where it says it is: also when it says nothing, so that silence is told from death.
 * A record that cannot be written is left out; what comes of the work depends on the work alone.
 */
export async function withTaskProgress<Result>(
  deps: Pick<Deps, 'clock' | 'log' | 'objects'>,
  { source, runId, task, database, everySeconds, followedBy }: ProgressRecord,
  work: (tell: TellProgress) => Promise<Result>,
): Promise<Result> {
  const now = () => deps.clock.now().toISOString();
  const startedAt = now();
  let latest: Omit<TaskProgress, 'updatedAt'> | undefined;
  let records = 0;
  const tell: TellProgress = (step) => {
    const { phase, subject = null, done = null, total = null, unit = null, bytes = null } = step;
    const isSame = latest?.phase === phase && latest.subject === subject;
    const phaseStartedAt = isSame && latest ? latest.phaseStartedAt : now();
    const counts = { done, total, unit, bytes };
    latest = { version: 1, task, database, phase, subject, ...counts, startedAt, phaseStartedAt };
  };
  const write = async () => {
    if (latest === undefined) return;
    try {
      const record: TaskProgress = { ...latest, updatedAt: now() };
      const key = taskProgressKey({ source, runId }, database);
      await deps.objects.put(key, JSON.stringify(record), { contentType: 'application/json' });
      records += 1;
    } catch (error) {
      deps.log.warn(LOG.failed, { while: 'writing the progress', error: errorName(error) });
    }
  };
  const over = new AbortController();
  const writing = (async () => {
    for (;;) {
      try {
        await deps.clock.sleep(everySeconds * 1000, over.signal);
      } catch {
        return;
      }
      await write();
    }
  })();
  const atMost = async (writes: Promise<void>) => {
    const written = new AbortController();
    const enough = deps.clock.sleep(LAST_RECORD_MILLISECONDS, written.signal).catch(() => {});
    await Promise.race([writes, enough]);
    // A clock that goes on would keep the process.
    written.abort();
  };
  try {
    const result = await work(tell);
    if (followedBy !== undefined && latest !== undefined) {
      tell({ phase: followedBy, bytes: latest.bytes });
      over.abort();
      await atMost(writing);
      if (records > 0) await atMost(write());
    }
    return result;
  } finally {
    over.abort();
    await atMost(writing);
  }
}
