import { displaySeconds } from '#domain/display-text.ts';
import { ExecutionProgress, type ProgressLine } from '#domain/execution-progress.ts';
import { runIdOfExecution } from '#domain/names.ts';
import type { ExecutionState, OperatorDeps } from '#runtime/operator-ports.ts';
import type { Output } from './output.ts';
import { ProgressReader } from './progress-reader.ts';

/**
 * Between two looks: the first soon, then ever more slowly. Ten minutes cost about 200 requests of Step Functions, and
 * 60 of S3 while a task works.
 */
const FIRST_LOOK_MILLISECONDS = 500;
const SLOWEST_LOOK_MILLISECONDS = 3_000;

const MARKS = { begun: '→', done: '✓', failed: '✗' } as const satisfies Record<
  ProgressLine['mark'],
  string
>;

/**
 * Tells what an execution does until it ends, and within its long states how far their tasks are; the last state is
 * what it ended with. Rejects with the signal's reason when that is aborted: the execution goes on without us.
 */
export async function followExecution(
  { executions, clock, objects }: Pick<OperatorDeps, 'executions' | 'clock' | 'objects'>,
  executionArn: string,
  { source, out, signal }: { source: string; out: Output; signal: AbortSignal },
): Promise<ExecutionState> {
  const began = clock.now().getTime();
  const progress = new ExecutionProgress();
  const reader = new ProgressReader({ objects, clock }, source, runIdOfExecution(executionArn));
  let seen = 0;
  const tell = async () => {
    for (const event of await executions.transitions(executionArn, seen)) {
      seen = Math.max(seen, event.id);
      for (const { mark, text } of progress.next(event)) {
        const seconds = Math.max(0, (event.time.getTime() - began) / 1000);
        out.note(`${displaySeconds(seconds).padStart(12)}  ${MARKS[mark]} ${text}`);
      }
    }
    for (const text of await reader.lines(progress.open())) {
      const seconds = Math.max(0, (clock.now().getTime() - began) / 1000);
      out.note(`${displaySeconds(seconds).padStart(12)}    ${text}`);
    }
  };
  for (
    let pause = FIRST_LOOK_MILLISECONDS;
    ;
    pause = Math.min(pause * 1.5, SLOWEST_LOOK_MILLISECONDS)
  ) {
    // First the status: what happened before the end is then all there to be told.
    const state = await executions.describe(executionArn);
    await tell();
    if (state && state.status !== 'RUNNING' && state.status !== 'PENDING_REDRIVE') return state;
    await clock.sleep(pause, signal);
  }
}
