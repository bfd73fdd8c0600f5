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
}

/** Nobody waits longer for a record that S3 does not take. */
const LAST_RECORD_MILLISECONDS = 2_000;

/**
 * Does `work`, and keeps writing where it says it is: also when it says nothing, so that silence is told from death.
 * A record that cannot be written is left out; what comes of the work depends on the work alone.
 */
export async function withTaskProgress<Result>(
  deps: Pick<Deps, 'clock' | 'log' | 'objects'>,
  { source, runId, task, database, everySeconds }: ProgressRecord,
  work: (tell: TellProgress) => Promise<Result>,
): Promise<Result> {
  const now = () => deps.clock.now().toISOString();
  const startedAt = now();
  let latest: TaskProgress | undefined;
  const tell: TellProgress = ({ phase, subject = null, done, total, unit, bytes }) => {
    const isSame = latest?.phase === phase && latest.subject === subject;
    const time = now();
    latest = {
      version: 1,
      task,
      database,
      phase,
      subject,
      done: done ?? null,
      total: total ?? null,
      unit: unit ?? null,
      bytes: bytes ?? null,
      startedAt,
      phaseStartedAt: isSame && latest ? latest.phaseStartedAt : time,
      updatedAt: time,
    };
  };
  const over = new AbortController();
  const writing = (async () => {
    for (;;) {
      try {
        await deps.clock.sleep(everySeconds * 1000, over.signal);
      } catch {
        return;
      }
      try {
        if (latest === undefined) continue;
        const body = JSON.stringify({ ...latest, updatedAt: now() } satisfies TaskProgress);
        const key = taskProgressKey({ source, runId }, database);
        await deps.objects.put(key, body, { contentType: 'application/json' });
      } catch (error) {
        deps.log.warn(LOG.failed, { while: 'writing the progress', error: errorName(error) });
      }
    }
  })();
  try {
    return await work(tell);
  } finally {
    over.abort();
    await Promise.race([writing, deps.clock.sleep(LAST_RECORD_MILLISECONDS)]);
  }
}
