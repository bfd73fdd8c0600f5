import { RunLock } from '#contracts/run-lock.ts';
import type { Run } from '#contracts/workflow.ts';
import { runLockKey } from '#domain/names.ts';
import { errorName, RunInProgress } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

type Needs = Pick<Deps, 'objects' | 'workflow' | 'clock' | 'log'>;

/** So often a write may lose to another one before we say so. */
const ATTEMPTS = 3;
/** DescribeExecution is eventually consistent: an execution this young may not be known yet. */
const SETTLED_MILLISECONDS = 5 * 60 * 1000;

/**
 * Makes the run the only one of its source. The lock needs no release, so that no crash can leave one:
 * it counts only while the execution that it names is running. Conditional writes decide between two
 * that come at once: exactly one wins. Asking again for the same execution changes nothing.
 * Throws RunInProgress, which names the run that holds the source.
 */
export async function acquireRunLock(
  deps: Needs,
  run: Pick<Run, 'source' | 'runId' | 'executionArn' | 'startedAt'>,
): Promise<void> {
  const { executionArn, runId, startedAt } = run;
  const key = runLockKey(run.source);
  const body = JSON.stringify({ version: 1, executionArn, runId, startedAt } satisfies RunLock);
  for (let attempt = 1; ; attempt++) {
    const current = await deps.objects.get(key);
    const lock = current && RunLock.safeParse(parseJson(current.body)).data;
    if (lock?.executionArn === executionArn) return;
    if (lock && (await isRunning(deps, lock))) {
      throw new RunInProgress(
        `run ${lock.runId} of ${run.source} has been running since ${lock.startedAt}`,
        { remedy: 'wait for its end, or stop it in Step Functions, then start again' },
      );
    }
    try {
      const condition = current ? { etag: current.head.etag } : 'absent';
      await deps.objects.put(key, body, { contentType: 'application/json', condition });
      if (current) deps.log.info(LOG.lockTakenOver, { source: run.source, from: lock?.runId });
      return;
    } catch (error) {
      if (errorName(error) !== 'WriteConflict') throw error;
      if (attempt < ATTEMPTS) continue;
      throw new RunInProgress(`another run of ${run.source} was started at the same moment`, {
        cause: error,
      });
    }
  }
}

async function isRunning({ workflow, clock }: Needs, lock: RunLock): Promise<boolean> {
  const status = await workflow.executionStatus(lock.executionArn);
  if (status !== undefined) return status === 'RUNNING' || status === 'PENDING_REDRIVE';
  return clock.now().getTime() - Date.parse(lock.startedAt) < SETTLED_MILLISECONDS;
}

/** A lock that nobody can read holds nothing. */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
