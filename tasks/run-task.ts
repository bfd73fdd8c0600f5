import { EXIT } from '#domain/task-exit.ts';
import { errorName, HoldfastError, InvalidEnvironment, TaskInterrupted } from '#errors';
import { keepAlive, RunGaveUp } from '#operations/keep-alive.ts';
import { buildDeps } from '#runtime/deps.ts';
import { readVariable } from '#runtime/environment.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/** What one Fargate program does, and with which order. */
export interface TaskProgram<Order> {
  /** Reads the order under the key that the task was given; undefined when the key names none. */
  readonly load: (deps: Deps, key: string) => Promise<Order | undefined>;
  /** The state that waits for the task. */
  readonly token: (order: Order) => { taskToken: string; heartbeatSeconds: number };
  /** What the log's line about a failure says besides the error. */
  readonly fields: (order: Order) => Record<string, unknown>;
  readonly work: (order: Order, deps: Deps, signal: AbortSignal) => Promise<void>;
  /** The work goes on when no run waits for it any more. */
  readonly unattended?: boolean;
}

/**
 * What every Fargate program has in common: its order, heartbeats, SIGTERM, and an exit code from the
 * table in domain/task-exit.ts. Resolves to that code; never rejects.
 */
export async function runTask<Order>(program: TaskProgram<Order>): Promise<number> {
  const stopped = new AbortController();
  // ECS sends SIGTERM and after `stopTimeout` SIGKILL; Spot leaves at most 120 seconds in all.
  process.once('SIGTERM', () =>
    stopped.abort(new TaskInterrupted('the task was stopped by SIGTERM before it was done')),
  );

  let deps: Deps;
  let order: Order;
  try {
    deps = buildDeps(process.env);
    order = await readOrder(program, deps);
  } catch (error) {
    // No token to answer: Handle Task Stopped does it, from the exit code.
    console.error(`${errorName(error)}: ${error instanceof Error ? error.message : String(error)}`);
    return EXIT.unusable;
  }

  try {
    const token = { ...program.token(order), unattended: program.unattended ?? false };
    await keepAlive(deps, token, stopped.signal, (signal) => program.work(order, deps, signal));
    return EXIT.done;
  } catch (error) {
    return reportFailure(program, deps, order, error);
  }
}

async function readOrder<Order>(program: TaskProgram<Order>, deps: Deps): Promise<Order> {
  const key = readVariable('HOLDFAST_JOB_KEY', process.env);
  const order = await program.load(deps, key);
  if (!order) throw new InvalidEnvironment(`HOLDFAST_JOB_KEY names no order: ${key}`);
  return order;
}

async function reportFailure<Order>(
  program: TaskProgram<Order>,
  deps: Deps,
  order: Order,
  error: unknown,
): Promise<number> {
  const message = error instanceof Error ? error.message : String(error);
  const unexpected = !(error instanceof HoldfastError) && error instanceof Error;
  deps.log.error(LOG.failed, {
    ...program.fields(order),
    error: errorName(error),
    cause: message,
    ...(unexpected ? { stack: error.stack } : {}),
  });
  if (error instanceof RunGaveUp) return EXIT.abandoned;
  try {
    await deps.workflow.fail(program.token(order).taskToken, errorName(error), message);
  } catch (failure) {
    deps.log.error(LOG.failed, { while: 'reporting the failure', error: errorName(failure) });
  }
  return error instanceof TaskInterrupted ? EXIT.terminated : EXIT.failed;
}
