import type { DrillOrder } from '#contracts/drill.ts';
import { makeBackupId } from '../names.ts';

/**
 * What the task of an order is known by at ECS (`startedBy`). A second try has another token, hence another
 * subject: what becomes of the first try's task is then of no interest any more.
 */
export function drillTaskSubject(order: {
  readonly drill: Pick<DrillOrder['drill'], 'startedAt'>;
  readonly taskToken: string;
}): string {
  return makeBackupId(new Date(order.drill.startedAt), order.taskToken);
}
