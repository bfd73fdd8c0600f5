import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RunInProgress } from '#errors';

/**
 * Takes a folder for this process alone: two object stores on the same files would not know of each
 * other. Returns the release. Throws RunInProgress while the process that took it is alive.
 */
export async function claimDirectory(directory: string): Promise<() => Promise<void>> {
  const file = join(directory, 'pid');
  await mkdir(directory, { recursive: true });
  for (;;) {
    try {
      const handle = await open(file, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const pid = Number(await readFile(file, 'utf8').catch(() => ''));
    if (pid > 0 && isAlive(pid)) {
      throw new RunInProgress(`process ${pid} is using ${directory}`, {
        remedy: 'wait for it, or choose another folder with --out',
      });
    }
    await rm(file, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
