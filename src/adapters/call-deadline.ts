import { AsyncLocalStorage } from 'node:async_hooks';

/** In milliseconds of the system's clock: until when all that is called from here must have ended. */
const deadlines = new AsyncLocalStorage<number>();

/**
 * Does the work with so many milliseconds for all its calls to AWS together: those that would end later end
 * then, with an error. Within another one, the earlier end counts.
 */
export function withinMilliseconds<T>(milliseconds: number, work: () => Promise<T>): Promise<T> {
  return deadlines.run(Date.now() + Math.min(milliseconds, millisecondsLeft()), work);
}

/** Infinity where nobody has set an end; never negative. */
export function millisecondsLeft(): number {
  return Math.max(0, (deadlines.getStore() ?? Infinity) - Date.now());
}
