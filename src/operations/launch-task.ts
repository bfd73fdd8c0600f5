import type { DumpJob } from '#contracts/job.ts';
import { jobKey } from '#domain/names.ts';
import type { Deps, TaskKind } from '#runtime/ports.ts';

/** Launches the task that dumps, or verifies, what a job record orders. Returns the task's ARN. */
export async function launchForJob(
  { tasks }: Pick<Deps, 'tasks'>,
  kind: Extract<TaskKind, 'dump-database' | 'verify-backup'>,
  job: DumpJob,
  attempt = 1,
): Promise<string> {
  const { source, runId, backupId: subject, task, network } = job;
  return tasks.run({ kind, orderKey: jobKey(job), source, runId, subject, attempt, task, network });
}
