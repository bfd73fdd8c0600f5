import { withTaskProgress } from '#operations/task-progress.ts';
import { readVariable } from '#runtime/environment.ts';
import { LOG } from '#runtime/log-events.ts';
import { backupJob } from '../backup-job.ts';
import { runTask } from '../run-task.ts';
import { dumpDatabase } from './dump-database.ts';

/** By another program, while the state still waits. */
const AFTER_THE_DUMP = 'verification';
const MIB = 1024 * 1024;

process.exitCode = await runTask({
  ...backupJob,
  async work(job, deps, signal) {
    const uploadMemoryBytes = readVariable('HOLDFAST_UPLOAD_MEMORY_MIB', process.env) * MIB;
    const progressSeconds = readVariable('HOLDFAST_PROGRESS_SECONDS', process.env);
    const { source, runId, database } = job;
    const manifest = await withTaskProgress(
      deps,
      {
        task: 'dump',
        source,
        runId,
        database,
        everySeconds: progressSeconds,
        followedBy: AFTER_THE_DUMP,
      },
      (tell) => dumpDatabase(deps, { job, signal, uploadMemoryBytes, progressSeconds, tell }),
    );
    deps.log.info(LOG.dumpFinished, {
      database: manifest.database,
      backupId: manifest.backupId,
      bytes: manifest.objects.archive.sizeBytes,
      blocks: manifest.archive.blocks.length,
      warnings: manifest.warnings.length,
    });
  },
});
