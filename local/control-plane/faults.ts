import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError } from './service-error.ts';

/** `ecs.RunTask`, `states.SendTaskSuccess`, `rds.CreateDBSnapshot`, … */
export type OperationName =
  `${'states' | 'ecs' | 'ssm' | 'secretsmanager' | 'sns' | 'rds'}.${string}`;

export type Fault =
  /** Answers with this error; the operation is not carried out. */
  | { readonly error: string; readonly status?: number; readonly message?: string }
  /** Closes the connection: before the operation is carried out, or after, so that its answer is lost. */
  | { readonly cut: 'before' | 'after' }
  /** Carries the operation out after a while. */
  | { readonly delayMilliseconds: number };

/** Cuts the connection instead of answering. */
export class ConnectionCut extends Error {
  override readonly name = 'ConnectionCut';
}

/** Faults to happen in the next calls, in the order in which they were ordered. */
export class Faults {
  readonly #queues = new Map<string, Fault[]>();

  /** `times`: how many calls it hits; the SDK's own retries count, each is a call. */
  failNext(operation: OperationName, fault: Fault & { readonly times?: number }): void {
    const queue = this.#queues.get(operation) ?? [];
    this.#queues.set(operation, queue);
    for (let i = 0; i < (fault.times ?? 1); i++) queue.push(fault);
  }

  clear(): void {
    this.#queues.clear();
  }

  /** Carries out one call, with the fault that is next for it. */
  async around(operation: string, call: () => Promise<object>): Promise<object> {
    const fault = this.#queues.get(operation)?.shift();
    if (fault === undefined) return call();
    if ('error' in fault) {
      throw new ServiceError(fault.error, fault.message ?? 'injected fault', fault.status ?? 400);
    }
    if ('delayMilliseconds' in fault) {
      await sleep(fault.delayMilliseconds);
      return call();
    }
    if (fault.cut === 'after') await call();
    throw new ConnectionCut();
  }
}
