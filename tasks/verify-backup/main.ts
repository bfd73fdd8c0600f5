import { settleVerification } from '#operations/verify-backup.ts';
import { backupJob } from '../backup-job.ts';
import { runTask } from '../run-task.ts';

/**
 * The same verification as in the Lambda, for archives that do not fit its fifteen minutes. Reconcile
 * starts it as well, long after the run has given up: the backup is settled whether or not one waits.
 */
process.exitCode = await runTask({
  ...backupJob,
  unattended: true,
  async work(job, deps, signal) {
    await settleVerification(deps, job, signal);
  },
});
