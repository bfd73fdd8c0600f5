import middy from '@middy/core';
import * as z from 'zod';
import { withinMilliseconds } from '#adapters/call-deadline.ts';
import { errorName, HoldfastError, InvalidInput, isRetryable } from '#errors';
import { LOG } from './log-events.ts';
import type { Deps } from './ports.ts';
import { provideLog } from './providers/log.ts';
import { type Providers, wireDeps } from './wire-deps.ts';

/**
 * Left of a function's time for telling what went wrong. A function that is ended by Lambda has no error's name,
 * which Retry, Catch and the alert go by: a store that answers with 503 for ever must not take all of a minute.
 */
const RESERVED_MILLISECONDS = 5_000;

/** A bare handler: the parsed event and the deps it asked for. */
export type Handle<Event, Result, Needs extends keyof Deps> = (
  event: Event,
  deps: Pick<Deps, Needs>,
) => Promise<Result>;

/** Facts that every log line of an invocation carries, when the event has them. */
function runFields(event: unknown): Record<string, unknown> {
  const run = (event as { run?: { source?: unknown; runId?: unknown } } | null)?.run;
  return run ? { source: run.source, runId: run.runId } : {};
}

/**
 * The one middleware stack: parses the event, builds the deps once per warm start, ends calls to AWS before the
 * function's time does, logs the outcome.
 * Errors leave with their own name, which is what `Retry` and `Catch` in the state machine match.
 *
 * `providers` makes what the handle asks for, no less and no more: what is named there is what the bundle
 * has. The log is the stack's own.
 */
export function lambdaHandler<Schema extends z.ZodType, Result, Needs extends keyof Deps>(
  schema: Schema,
  handle: Handle<z.infer<Schema>, Result, Needs>,
  providers: Providers<Exclude<NoInfer<Needs>, 'log'>>,
) {
  // All but the log, and the log, are all: TypeScript cannot see it.
  const all = { ...providers, log: provideLog } as unknown as Providers<Needs | 'log'>;
  let deps: Pick<Deps, Needs | 'log'> | undefined;
  return middy<unknown, Result>()
    .onError(({ error, event }) => {
      deps?.log.error(LOG.failed, {
        ...runFields(event),
        error: errorName(error),
        cause: error?.message,
        retryable: isRetryable(error),
        ...(error instanceof HoldfastError ? {} : { stack: error?.stack }),
      });
      // Lambda puts the stack into the state's cause, and the run's data ends at 262,144 bytes: with some
      // hundred failed databases it would not reach the alert. The log has it.
      if (error) error.stack = '';
    })
    .handler(async (event, context) => {
      const built = deps ?? wireDeps<Needs | 'log'>(all, process.env);
      deps = built;
      built.log.info(LOG.invoked, runFields(event));
      // Not every caller is Lambda.
      const left = context?.getRemainingTimeInMillis?.() ?? Infinity;
      return withinMilliseconds(left - RESERVED_MILLISECONDS, () =>
        handle(parseEvent(schema, event), built),
      );
    });
}

/** The event as the schema says. Throws InvalidInput with the path and what is wrong there. */
export function parseEvent<Schema extends z.ZodType>(
  schema: Schema,
  event: unknown,
): z.infer<Schema> {
  const result = schema.safeParse(event);
  if (result.success) return result.data;
  throw new InvalidInput(`the event is not understood: ${z.prettifyError(result.error)}`);
}
