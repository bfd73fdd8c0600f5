import type { DumpJob } from '#contracts/job.ts';
import { parseJobKey } from '#domain/names.ts';
import { loadJob } from '#operations/records.ts';
import type { TaskProgram } from './run-task.ts';

/** The order that dump and verification share: the job record of one backup. */
export const backupJob: Pick<TaskProgram<DumpJob>, 'load' | 'token' | 'fields'> = {
  async load({ objects }, key) {
    const ref = parseJobKey(key);
    return ref && (await loadJob(objects, ref));
  },
  token: ({ taskToken, dump }) => ({ taskToken, heartbeatSeconds: dump.heartbeatSeconds }),
  fields: ({ database }) => ({ database }),
};
