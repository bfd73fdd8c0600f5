/** Builds the task image with the Docker engine of this machine: `npm run image -- [--tag NAME] [--platform P]`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { run } from './lib-run.ts';
import { architecture } from './postgres-clients.ts';

/** What Docker calls the architectures. */
const DOCKER_NAMES = { x86_64: 'amd64', arm64: 'arm64' } as const;

const checkout = path.resolve(import.meta.dirname, '..');

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      tag: { type: 'string', default: 'holdfast-tasks:latest' },
      // As in `npm run package`: layer, functions and tasks are of this machine's architecture.
      platform: { type: 'string', default: `linux/${DOCKER_NAMES[architecture()]}` },
    },
  });
  const { tag, platform } = values;
  try {
    await run('docker', ['version', '--format', '{{.Server.Version}}'], { timeoutSeconds: 15 });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `no Docker engine answers here (${why}); run this where one does, such as in CI`,
      { cause: error },
    );
  }
  if (!existsSync(path.join(checkout, 'dist', 'tasks', 'dump-database.mjs')))
    throw new Error('dist/tasks/dump-database.mjs does not exist; run: npm run build');

  const file = path.join(checkout, 'tasks', 'Dockerfile');
  await docker('build', '--file', file, '--tag', tag, '--platform', platform, checkout);
  // The programs start under the restrictions that Fargate runs them with.
  const locked = ['run', '--rm', '--read-only', '--network', 'none', '--platform', platform];
  await docker(...locked, tag, '--check', 'dump-database.mjs');
  await docker(...locked, '--entrypoint', '/opt/postgres-client/18/bin/pg_dump', tag, '--version');
}

/** Shows Docker's own output, and throws when it fails or takes more than half an hour. */
async function docker(...argv: string[]): Promise<void> {
  const child = spawn('docker', argv, { stdio: 'inherit', timeout: 1_800_000 });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`docker ${argv[0]} failed with exit code ${code}`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
