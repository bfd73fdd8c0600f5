import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { usePostgres, withClient } from '#test/postgres.ts';

const root = resolve(import.meta.dirname, '../..');
const LIMIT_MILLISECONDS = 240_000;
let out = '';

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'holdfast-keep-'));
});
afterAll(() => rm(out, { recursive: true, force: true }));

function start(
  args: readonly string[],
  environment: Record<string, string> = {},
): { child: ChildProcess; text: () => string } {
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { PATH: process.env['PATH'] ?? '', HOME: out, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MILLISECONDS,
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  }
  return { child, text: () => text };
}

describe('npm start -- --keep', () => {
  const postgres = usePostgres();

  it(
    'leaves the services running for the command, until it is told to end',
    async () => {
      const { server } = postgres;
      await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE kept'));
      const url = `postgres://${server.user}@${server.host}:${server.port}/kept`;
      const services = join(out, 'services.json');
      const keeping = start(['scripts/start.ts', '--keep', '--out', out, '--url', url], {
        PGPASSWORD: server.password,
      });
      const closed = once(keeping.child, 'close');
      while (!existsSync(services) && keeping.child.exitCode === null) {
        await new Promise((settle) => setTimeout(settle, 200));
      }
      expect(keeping.text()).toMatch(/\n {2}npx holdfast list --local=/);

      const listing = start(['dist/cli/holdfast.mjs', 'list', '--json', `--local=${out}`]);
      const [listed] = await once(listing.child, 'close');
      expect(listed, listing.text()).toBe(0);
      expect(JSON.parse(listing.text())).toMatchObject({
        backups: [{ database: 'kept', state: 'verified' }],
      });

      keeping.child.kill('SIGTERM');
      const [exitCode] = await closed;
      expect(exitCode, keeping.text()).toBe(0);
      expect(existsSync(services)).toBe(false);
    },
    LIMIT_MILLISECONDS,
  );
});
