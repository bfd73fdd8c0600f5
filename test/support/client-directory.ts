import { chmod, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

/** A folder of client programs in which a test may put its own in place of a real one. */
export interface ClientDirectory {
  /** Shell commands instead of a program; `"$REAL"` is the real one. */
  replace(program: 'pg_dump' | 'pg_dumpall', commands: string): Promise<void>;
  restore(program: 'pg_dump' | 'pg_dumpall'): Promise<void>;
}

/** Fills `directory` with links to the real programs, under one major: the newest, unless `as` says so. */
export async function makeClientDirectory(
  directory: string,
  { as }: { as?: number } = {},
): Promise<ClientDirectory> {
  const clients = await ensurePostgresClients({ log: () => {} });
  const newest = String(clients.majors.at(-1));
  const real = join(clients.directory, newest, 'bin');
  const bin = join(directory, String(as ?? newest), 'bin');
  await mkdir(bin, { recursive: true });
  for (const program of await readdir(real)) await symlink(join(real, program), join(bin, program));
  return {
    async replace(program, commands) {
      const file = join(bin, program);
      await rm(file);
      await writeFile(file, `#!/bin/sh\nREAL='${join(real, program)}'\n${commands}\n`);
      await chmod(file, 0o755);
    },
    async restore(program) {
      const file = join(bin, program);
      await rm(file);
      await symlink(join(real, program), file);
    },
  };
}
