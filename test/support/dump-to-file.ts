import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { PostgresServer } from '#local/postgres-server.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

/** `>`: standard output is an open file, as a shell does it. `--file`: pg_dump opens it. */
export type WayOut = '>' | '--file';

/**
 * What pg_dump leaves in a file of its own making or the shell's. No pipe is in it: pg_dump can go back, or thinks
 * that it can.
 */
export async function dumpToFile(
  server: PostgresServer,
  database: string,
  options: { readonly way: WayOut; readonly args?: readonly string[]; readonly major: number },
): Promise<Buffer> {
  const { way, args = [], major } = options;
  const { directory } = await ensurePostgresClients({ log: () => {} });
  const home = await mkdtemp(join(tmpdir(), 'holdfast-dump-'));
  try {
    const file = join(home, 'some.dump');
    const output = await open(file, 'w');
    try {
      const child = spawn(
        join(directory, String(major), 'bin', 'pg_dump'),
        [
          '--format=custom',
          `--dbname=${database}`,
          ...args,
          ...(way === '--file' ? [`--file=${file}`] : []),
        ],
        {
          timeout: 120_000,
          stdio: ['ignore', way === '>' ? output.fd : 'ignore', 'pipe'],
          env: {
            PGHOST: server.host,
            PGPORT: String(server.port),
            PGUSER: server.user,
            PGPASSWORD: server.password,
            PGCONNECT_TIMEOUT: '60',
          },
        },
      );
      if (!child.stderr) throw new Error('the messages of pg_dump go nowhere');
      const [stderr, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'close')]);
      if (exitCode !== 0) throw new Error(`pg_dump ended with ${exitCode}: ${stderr}`);
    } finally {
      await output.close();
    }
    return await readFile(file);
  } finally {
    await rm(home, { recursive: true });
  }
}
