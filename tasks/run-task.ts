import type { DumpJob } from '#contracts/job.ts';
import { parseJobKey } from '#domain/names.ts';
import { EXIT } from '#domain/task-exit.ts';
import { errorName, HoldfastError, InvalidEnvironment, TaskInterrupted } from '#errors';
import { keepAlive, RunGaveUp } from '#operations/keep-alive.ts';
import { loadJob } from '#operations/records.ts';
import { buildDeps } from '#runtime/deps.ts';
import { readVariable } from '#runtime/environment.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/**
 * What every Fargate program has in common: the job record, heartbeats, SIGTERM, and an exit code from
 * the table in domain/task-exit.ts. Resolves to that code; never rejects. With `unattended`, the work
 * goes on when no run waits for it any more.
 */
export async function runTask(
  work: (job: DumpJob, deps: Deps, signal: AbortSignal) => Promise<void>,
  { unattended = false } = {},
): Promise<number> {
  const stopped = new AbortController();
  // ECS sends SIGTERM and after `stopTimeout` SIGKILL; Spot leaves at most 120 seconds in all.
  process.once('SIGTERM', () =>
    stopped.abort(new TaskInterrupted('the task was stopped by SIGTERM before it was done')),
  );

  let deps: Deps;
  let job: DumpJob;
  try {
    deps = buildDeps(process.env);
    job = await readJob(deps);
  } catch (error) {
    // No token to answer: Handle Task Stopped does it, from the exit code.
    console.error(`${errorName(error)}: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT.unusable;
  }

  try {
    const { taskToken, dump } = job;
    const { heartbeatSeconds } = dump;
    const token = { taskToken, heartbeatSeconds, unattended };
    await keepAlive(deps, token, stopped.signal, (signal) => work(job, deps, signal));
    return EXIT.done;
  } catch (error) {
    return reportFailure(deps, job, error);
  }
}

async function readJob(deps: Deps): Promise<DumpJob> {
  const key = readVariable('HOLDFAST_JOB_KEY', process.env);
  const ref = parseJobKey(key);
  const job = ref && (await loadJob(deps.objects, ref));
  if (!job) throw new InvalidEnvironment(`HOLDFAST_JOB_KEY names no job record: ${key}`);
  return job;
}

async function reportFailure(deps: Deps, job: DumpJob, error: unknown): Promise<number> {
  const message = error instanceof Error ? error.message : String(error);
  const unexpected = !(error instanceof HoldfastError) && error instanceof Error;
  deps.log.error(LOG.failed, {
    database: job.database,
    error: errorName(error),
    cause: message,
    ...(unexpected ? { stack: error.stack } : {}),
  });
  if (error instanceof RunGaveUp) return EXIT.abandoned;
  try {
    await deps.workflow.fail(job.taskToken, errorName(error), message);
  } catch (failure) {
    deps.log.error(LOG.failed, { while: 'reporting the failure', error: errorName(failure) });
  }
  return error instanceof TaskInterrupted ? EXIT.terminated : EXIT.failed;
}
