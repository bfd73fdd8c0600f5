import { DrillOrder } from '#contracts/drill.ts';
import { parseDrillKey, runIdOfExecution } from '#domain/names.ts';
import { parseRecord } from '#operations/records.ts';
import { withTaskProgress } from '#operations/task-progress.ts';
import { readVariable } from '#runtime/environment.ts';
import { runTask } from '../run-task.ts';
import { drill } from './drill.ts';

// At once: a request that S3 does not answer would keep a task that is done for minutes.
const exitCode = await runTask<DrillOrder>({
  async load({ objects }, key) {
    const found = parseDrillKey(key)?.file === 'order.json' ? await objects.get(key) : undefined;
    return found && parseRecord(DrillOrder, found.body, key);
  },
  token: ({ taskToken, heartbeatSeconds }) => ({ taskToken, heartbeatSeconds }),
  fields: ({ drill: { source, drillId } }) => ({ source, drillId }),
  async work(order, deps, signal) {
    const progressSeconds = readVariable('HOLDFAST_PROGRESS_SECONDS', process.env);
    const { subject } = order;
    const { source, executionArn } = order.drill;
    const progress = {
      task: 'drill' as const,
      source,
      runId: runIdOfExecution(executionArn),
      database: subject.type === 'server' ? subject.identifier : subject.restore.target.database,
      everySeconds: progressSeconds,
    };
    const result = await withTaskProgress(deps, progress, (tell) =>
      drill(deps, { order, signal, progressSeconds, tell }),
    );
    await deps.workflow.succeed(order.taskToken, result);
  },
});
process.exit(exitCode);
