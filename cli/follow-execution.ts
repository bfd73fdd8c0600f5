import { displaySeconds } from '#domain/display-text.ts';
import { ExecutionProgress, type ProgressLine } from '#domain/execution-progress.ts';
import type { ExecutionState, OperatorDeps } from '#runtime/operator-ports.ts';
import type { Output } from './output.ts';

/** Between two looks: the first soon, then ever more slowly. Ten minutes cost about 200 requests. */
const FIRST_LOOK_MILLISECONDS = 500;
const SLOWEST_LOOK_MILLISECONDS = 3_000;

const MARKS = { begun: '→', done: '✓', failed: '✗' } as const satisfies Record<
  ProgressLine['mark'],
  string
>;

/**
 * Tells what an execution does until it ends; the last state is what it ended with. Rejects with the
 * signal's reason when that is aborted: the execution goes on without us.
 */
export async function followExecution(
  { executions, clock }: Pick<OperatorDeps, 'executions' | 'clock'>,
  executionArn: string,
  { out, signal }: { out: Output; signal: AbortSignal },
): Promise<ExecutionState> {
  const began = clock.now().getTime();
  const progress = new ExecutionProgress();
  let seen = 0;
  const tell = async () => {
    for (const event of await executions.transitions(executionArn, seen)) {
      seen = Math.max(seen, event.id);
      for (const { mark, text } of progress.next(event)) {
        const seconds = Math.max(0, (event.time.getTime() - began) / 1000);
        out.note(`${displaySeconds(seconds).padStart(12)}  ${MARKS[mark]} ${text}`);
      }
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
