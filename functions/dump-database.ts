import type { DumpJob } from '#contracts/job.ts';
import { DumpDatabaseEvent } from '#contracts/workflow.ts';
import { jobKey, makeBackupId } from '#domain/names.ts';
import { errorCatalogue, HoldfastError } from '#errors';
import { launchForJob } from '#operations/launch-task.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';

/**
 * Orders one dump: writes the job record, then launches the Fargate task. The state goes on waiting;
 * the task sends heartbeats, and Verify Backup answers.
 *
 * The backup id is derived from the task token, so an invocation that Lambda repeats orders the same
 * backup again (ECS launches one task for it), while a retry of the state makes a new one.
 */
export const dumpDatabase: Handle<
  DumpDatabaseEvent,
  { backupId: string; taskArn: string },
  'clock' | 'log' | 'objects' | 'plans' | 'tasks'
> = async ({ run, server, database, taskToken, enteredAt }, deps) => {
  // A problem that may have passed is not held against the database: the task will see for itself.
  const problem = database.problem && problemError(database.problem);
  if (problem && !problem.retryable) throw problem;
  const { plan } = await deps.plans.load(run.source, run.planVersion);
  const job: DumpJob = {
    version: 1,
    source: run.source,
    database: database.database,
    backupId: makeBackupId(new Date(enteredAt), taskToken),
    runId: run.runId,
    executionArn: run.executionArn,
    taskToken,
    createdAt: enteredAt,
    connection: plan.connection,
    serverVersion: server.versionNumber,
    estimatedBytes: database.sizeBytes,
    dump: plan.dump,
    verification: plan.verification,
    task: plan.task,
    network: plan.network,
  };
  // Before the task: it reads its orders there, and whoever sees it stop finds whom to tell.
  await deps.objects.put(jobKey(job), JSON.stringify(job), {
    contentType: 'application/json',
    condition: 'absent',
  });
  const taskArn = await launchForJob(deps, 'dump-database', job);
  deps.log.info(LOG.taskLaunched, { database: job.database, backupId: job.backupId, taskArn });
  return { backupId: job.backupId, taskArn };
};

/** What Discover Databases found, under its own name: this database fails, the others go on. */
function problemError({ error, cause }: { error: string; cause: string }): HoldfastError {
  const errorClass = errorCatalogue.get(error);
  return errorClass ? new errorClass(cause) : new HoldfastError(error, false, cause);
}

export const handler = lambdaHandler(DumpDatabaseEvent, dumpDatabase, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  tasks: provideTasks,
});
