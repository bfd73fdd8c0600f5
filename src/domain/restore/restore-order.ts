import type { RestoreOrder } from '#contracts/restore.ts';
import { makeBackupId } from '../names.ts';

/**
 * What the task of an order is known by at ECS (`startedBy`). A second try has another token, hence
 * another subject: what becomes of the first try's task is then of no interest any more.
 */
export function restoreTaskSubject(order: Pick<RestoreOrder, 'restore' | 'taskToken'>): string {
  return makeBackupId(new Date(order.restore.startedAt), order.taskToken);
}
