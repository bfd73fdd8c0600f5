import type { RestorePhase } from '#contracts/restore.ts';
import { cpuSecondsOf, measure, type Step, type Usage } from './measure.ts';
import { emptyFolder, type Workbench } from './workbench.ts';

export interface Sample extends Usage {
  /** Of the server's processes meanwhile. */
  readonly serverCpuSeconds: number;
  /** Of the local object store meanwhile; on AWS this is S3's. */
  readonly storeCpuSeconds: number;
  /** Of what was made, or read. */
  readonly archiveBytes: number;
  /** Of our restores, by the task's own report. */
  readonly restore?: RestoreFigures;
}

export interface RestoreFigures {
  readonly phaseSeconds: Readonly<Partial<Record<RestorePhase, number>>>;
  /** Of the archive. */
  readonly bytesRead: number;
  /** Table of contents and the data of the wanted tables. */
  readonly neededBytes: number;
}

/** What is learnt after a contender has ended, from what it made. */
export type Outcome = Pick<Sample, 'archiveBytes' | 'restore'>;

/** Measures one run; `check` throws when it did not do what it was to do. Leaves no file. */
export async function takeSample(
  bench: Workbench,
  steps: readonly Step[],
  check: () => Promise<Outcome>,
): Promise<Sample> {
  const { server, storePid, taskDirectory, scratchDirectory } = bench;
  const serverBefore = cpuSecondsOf(server.pid);
  const storeBefore = cpuSecondsOf(storePid);
  const usage = await measure(steps);
  const serverCpuSeconds = cpuSecondsOf(server.pid) - serverBefore;
  const storeCpuSeconds = cpuSecondsOf(storePid) - storeBefore;
  const outcome = await check();
  await emptyFolder(scratchDirectory);
  const left = await emptyFolder(taskDirectory);
  if (left.length > 0) throw new Error(`a task left files: ${left.join(', ')}`);
  return { ...usage, serverCpuSeconds, storeCpuSeconds, ...outcome };
}
