import { randomBytes } from 'node:crypto';
import { ServiceError } from './service-error.ts';
import { StateError, type TimeoutError } from './state-errors.ts';

interface Waiting {
  succeed(output: unknown): void;
  fail(error: Error): void;
  beat(): void;
}

export interface TokenWait {
  /** The output of SendTaskSuccess; rejects with the error of SendTaskFailure or with a timeout. */
  readonly outcome: Promise<unknown>;
  /** Ends the wait from the inside: the launcher itself failed. */
  fail(error: Error): void;
  /** From now on the token is closed. Idempotent. */
  close(): void;
}

/** As long as real ones are, and with the characters of real ones: not safe in URLs and file names. */
const TOKEN = /^AQC[A-Za-z0-9+/]{597}$/;

/** Format: `AQC`, then 597 characters of base 64. */
export function makeToken(): string {
  return `AQC${randomBytes(448).toString('base64').slice(0, 597)}`;
}

/** The task tokens that wait, and those that did. */
export class TaskTokens {
  readonly #timeoutError: TimeoutError;
  readonly #waiting = new Map<string, Waiting>();
  readonly #closed = new Set<string>();

  constructor(timeoutError: TimeoutError) {
    this.#timeoutError = timeoutError;
  }

  open(
    token: string,
    limits: {
      readonly timeoutMilliseconds: number | undefined;
      readonly heartbeatMilliseconds: number | undefined;
    },
  ): TokenWait {
    const { promise: outcome, resolve, reject } = Promise.withResolvers<unknown>();
    outcome.catch(() => undefined); // whoever waits hears of it; nobody waits after an abort
    let heartbeat: NodeJS.Timeout | undefined;
    const beat = () => {
      clearTimeout(heartbeat);
      if (limits.heartbeatMilliseconds === undefined) return;
      heartbeat = setTimeout(
        () => fail(this.#timeoutError('States.HeartbeatTimeout')),
        limits.heartbeatMilliseconds,
      );
    };
    const timeout =
      limits.timeoutMilliseconds !== undefined
        ? setTimeout(() => fail(this.#timeoutError('States.Timeout')), limits.timeoutMilliseconds)
        : undefined;
    const end = () => {
      clearTimeout(heartbeat);
      clearTimeout(timeout);
      if (this.#waiting.delete(token)) this.#closed.add(token);
    };
    const fail = (error: Error) => {
      end();
      reject(error);
    };
    const succeed = (output: unknown) => {
      end();
      resolve(output);
    };
    this.#waiting.set(token, { succeed, fail, beat });
    beat();
    return { outcome, fail, close: end };
  }

  succeed(token: string, output: unknown): void {
    this.#find(token).succeed(output);
  }

  fail(token: string, error: string | undefined, cause: string | undefined): void {
    this.#find(token).fail(new StateError(error ?? 'States.TaskFailed', cause));
  }

  heartbeat(token: string): void {
    this.#find(token).beat();
  }

  /** Throws what Step Functions answers for a token that does not wait. */
  #find(token: string): Waiting {
    const waiting = this.#waiting.get(token);
    if (waiting) return waiting;
    if (!TOKEN.test(token)) {
      throw new ServiceError('InvalidToken', "Invalid Token: 'Invalid token'");
    }
    if (this.#closed.has(token)) {
      throw new ServiceError(
        'TaskTimedOut',
        "Task Timed Out: 'Provided task does not exist anymore'",
      );
    }
    throw new ServiceError('TaskDoesNotExist', 'Task does not exist');
  }
}
