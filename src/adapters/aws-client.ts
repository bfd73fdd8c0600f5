import { AsyncLocalStorage } from 'node:async_hooks';
import { millisecondsLeft } from './call-deadline.ts';

/**
 * Eight attempts: with one call in five failing, one in 390,000 calls still fails. Their seven pauses take at most
 * 12.7 s after errors (0.1 s, doubled each time), and 35.5 s where AWS asks us to slow down (0.5 s, doubled): each
 * is at most 10 s. What answers with 503 for ever is given up after that, where the SDK's own 20 s made it 71.5 s.
 */
const ATTEMPTS = 8;
const FIRST_PAUSE_MILLISECONDS = { error: 100, throttling: 500 } as const;
const LONGEST_PAUSE_MILLISECONDS = 10_000;
/** To the response's head; a part of 100 MiB on a slow link fits. */
const REQUEST_MILLISECONDS = 120_000;

interface CallLimits {
  readonly attempts?: number;
  readonly requestMilliseconds?: number;
}

/**
 * The settings that every AWS client shares. Region, credentials and endpoints come from the standard
 * environment, so that nothing here knows whether it runs on AWS or beside a local stand-in.
 */
export function clientConfig({
  attempts = ATTEMPTS,
  requestMilliseconds = REQUEST_MILLISECONDS,
}: CallLimits = {}) {
  return {
    maxAttempts: attempts,
    retryStrategy: retryStrategy(attempts),
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: requestMilliseconds,
      throwOnRequestTimeout: true,
      socketTimeout: 60_000,
    },
  };
}

interface RetryToken {
  getRetryCount(): number;
  /** Milliseconds, which the SDK waits then. */
  getRetryDelay(): number;
}

interface FailedAttempt {
  readonly error?: unknown;
  readonly errorType: 'TRANSIENT' | 'THROTTLING' | 'SERVER_ERROR' | 'CLIENT_ERROR';
  readonly retryAfterHint?: Date;
}

/** What the last attempt of a call failed with, other than that it was given up. */
const failures = new AsyncLocalStorage<{ last?: unknown }>();

/** In the SDK's form. Where it throws, the SDK throws what the last attempt failed with. */
export function retryStrategy(attempts: number, random: () => number = Math.random) {
  const token = (count: number, pause: number): RetryToken => ({
    getRetryCount: () => count,
    getRetryDelay: () => pause,
  });
  return {
    async acquireInitialRetryToken(): Promise<RetryToken> {
      return token(0, 0);
    },
    async refreshRetryTokenForRetry(
      last: RetryToken,
      { error, errorType, retryAfterHint }: FailedAttempt,
    ): Promise<RetryToken> {
      const failure = failures.getStore();
      if (failure && (error as Error | undefined)?.name !== 'AbortError') failure.last = error;
      const count = last.getRetryCount() + 1;
      const isThrottled = errorType === 'THROTTLING';
      if (count >= attempts || !(isThrottled || errorType === 'TRANSIENT')) {
        throw new RangeError('this error is not retried, or not any more');
      }
      const first = FIRST_PAUSE_MILLISECONDS[isThrottled ? 'throttling' : 'error'];
      const pause = Math.min(
        LONGEST_PAUSE_MILLISECONDS,
        Math.max(
          random() * Math.min(LONGEST_PAUSE_MILLISECONDS, first * 2 ** (count - 1)),
          (retryAfterHint?.getTime() ?? 0) - Date.now(),
        ),
      );
      if (pause >= millisecondsLeft()) {
        throw new RangeError('there is no time left for another attempt');
      }
      return token(count, Math.floor(pause));
    },
    recordSuccess() {},
  };
}

type Send = (
  command: unknown,
  options?: { readonly abortSignal?: AbortSignal },
) => Promise<unknown>;

/**
 * The same client, whose calls end when the time of `withinMilliseconds` is up: to the response's head, a body may
 * take longer. A call that is given up ends in what its last attempt failed with, in an AbortError where none had
 * an answer; one without any time left is not made.
 */
export function bounded<Client extends { send: unknown }>(client: Client): Client {
  const send = (client.send as Send).bind(client);
  const boundedSend: Send = async (command, options = {}) => {
    const left = millisecondsLeft();
    if (left === Infinity) return send(command, options);
    const timeUp = new AbortController();
    const timer = setTimeout(() => timeUp.abort(), left);
    if (left === 0) timeUp.abort();
    const signals = [timeUp.signal, ...(options.abortSignal ? [options.abortSignal] : [])];
    const failure: { last?: unknown } = {};
    try {
      return await failures.run(failure, () =>
        send(command, { ...options, abortSignal: AbortSignal.any(signals) }),
      );
    } catch (error) {
      throw (timeUp.signal.aborted && failure.last) || error;
    } finally {
      clearTimeout(timer);
    }
  };
  client.send = boundedSend;
  return client;
}
