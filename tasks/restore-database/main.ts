import { RestoreOrder } from '#contracts/restore.ts';
import { parseRestoreKey, runIdOfExecution } from '#domain/names.ts';
import { parseRecord } from '#operations/records.ts';
import { withTaskProgress } from '#operations/task-progress.ts';
import { readVariable } from '#runtime/environment.ts';
import { LOG } from '#runtime/log-events.ts';
import { runTask } from '../run-task.ts';
import { restoreDatabase } from './restore-database.ts';

// At once: a request that S3 does not answer would keep a task that is done for minutes.
const exitCode = await runTask<RestoreOrder>({
  async load({ objects }, key) {
    const found = parseRestoreKey(key)?.file === 'order.json' ? await objects.get(key) : undefined;
    return found && parseRecord(RestoreOrder, found.body, key);
  },
  token: ({ taskToken, heartbeatSeconds }) => ({ taskToken, heartbeatSeconds }),
  fields: ({ restore }) => ({ source: restore.source, restoreId: restore.restoreId }),
  async work(order, deps, signal) {
    const progressSeconds = readVariable('HOLDFAST_PROGRESS_SECONDS', process.env);
    const { source, executionArn, target } = order.restore;
    const progress = {
      task: 'restore' as const,
      source,
      runId: runIdOfExecution(executionArn),
      database: target.database,
      everySeconds: progressSeconds,
    };
    const restored = await withTaskProgress(deps, progress, (tell) =>
      restoreDatabase(deps, { order, signal, progressSeconds, tell }),
    );
    await deps.workflow.succeed(order.taskToken, restored);
    deps.log.info(LOG.restoreFinished, { ...restored });
  },
});
process.exit(exitCode);
