import type { TaskStoppedEvent } from '#contracts/events.ts';
import {
  type HoldfastErrorClass,
  TaskFailed,
  TaskInterrupted,
  TaskKilled,
  TaskNeverStarted,
} from '#errors';

/**
 * Exit codes of our own tasks.
 *
 * | code | meaning | who answers the waiting state |
 * |---|---|---|
 * | 0 | done; the manifest (or the verification) is written | Verify Backup |
 * | 1 | failed with a named error, which the task itself sent | the task |
 * | 64 | the environment or the job record cannot be used | Handle Task Stopped |
 * | 75 | the run gave up on the task (token closed): stopped by itself | nobody waits |
 * | 137 | killed: out of memory, or SIGKILL after SIGTERM | Handle Task Stopped |
 * | 143 | stopped by SIGTERM: Spot, an operator, a deployment | the task, or Handle Task Stopped |
 * | none | the container never ran | Handle Task Stopped |
 */
export const EXIT = {
  done: 0,
  failed: 1,
  unusable: 64,
  abandoned: 75,
  killed: 137,
  terminated: 143,
} as const;

/** Why a task stopped: undefined for success, else the error to report and its words. */
export interface TaskStop {
  readonly errorClass: HoldfastErrorClass;
  readonly cause: string;
}

/**
 * Classifies an ECS "task stopped" event. `stopCode` is one of TaskFailedToStart,
 * EssentialContainerExited, UserInitiated, ServiceSchedulerInitiated, SpotInterruption,
 * TerminationNotice (ECS API, `Task.stopCode`).
 */
export function classifyTaskStop(detail: TaskStoppedEvent['detail']): TaskStop | undefined {
  const container = detail.containers.find(({ name }) => name === 'holdfast');
  const exitCode = container?.exitCode;
  const reasons = [detail.stopCode, detail.stoppedReason, container?.reason].filter(Boolean);
  const because = reasons.join(': ') || 'no reason given';

  if (exitCode === EXIT.done) return undefined;
  if (detail.stopCode === 'SpotInterruption' || detail.stopCode === 'TerminationNotice') {
    return {
      errorClass: TaskInterrupted,
      cause: `the task's capacity was taken away (${because})`,
    };
  }
  if (exitCode === undefined) {
    return { errorClass: TaskNeverStarted, cause: `the task never started (${because})` };
  }
  if (exitCode === EXIT.killed) {
    return { errorClass: TaskKilled, cause: `the task was killed, exit code 137 (${because})` };
  }
  if (exitCode === EXIT.terminated) {
    return {
      errorClass: TaskInterrupted,
      cause: `the task was stopped, exit code 143 (${because})`,
    };
  }
  return {
    errorClass: TaskFailed,
    cause: `the task ended with exit code ${exitCode} (${because})`,
  };
}
