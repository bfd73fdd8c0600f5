import { ServerOutOfResources, TargetFull } from '#errors';
import { SQLSTATE, sqlStateOf } from './sql-state.ts';

/**
 * Out of disk, wherever a session of a restore noticed it, under the name by which the operator of a target knows
 * it; any other error as it is.
 */
export function asTargetFull(error: unknown): unknown {
  const isFull = error instanceof ServerOutOfResources && sqlStateOf(error) === SQLSTATE.diskFull;
  return isFull ? new TargetFull(error.message, { cause: error }) : error;
}
