import { readVariable } from '#runtime/environment.ts';
import { LOG } from '#runtime/log-events.ts';
import { backupJob } from '../backup-job.ts';
import { runTask } from '../run-task.ts';
import { dumpDatabase } from './dump-database.ts';

const MIB = 1024 * 1024;

process.exitCode = await runTask({
  ...backupJob,
  async work(job, deps, signal) {
    const manifest = await dumpDatabase(deps, {
      job,
      signal,
      uploadMemoryBytes: readVariable('HOLDFAST_UPLOAD_MEMORY_MIB', process.env) * MIB,
      progressSeconds: readVariable('HOLDFAST_PROGRESS_SECONDS', process.env),
    });
    deps.log.info(LOG.dumpFinished, {
      database: manifest.database,
      backupId: manifest.backupId,
      bytes: manifest.objects.archive.sizeBytes,
      blocks: manifest.archive.blocks.length,
      warnings: manifest.warnings.length,
    });
  },
});
