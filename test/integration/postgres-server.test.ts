import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startPostgres } from '#local/postgres-server.ts';
import { withClient } from '#test/postgres.ts';

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-server-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o755);
  return folder;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('a local PostgreSQL', () => {
  it('takes its password and no other, and leaves no process and no file when it stops', async () => {
    const server = await startPostgres();
    onTestFinished(() => server.stop());
    const answer = await withClient(server, 'postgres', async (client) => {
      const { rows } = await client.query(
        `SELECT current_setting('server_version_num')::integer / 10000 AS major,
                current_setting('server_encoding') AS encoding, current_setting('TimeZone') AS zone,
                current_setting('listen_addresses') AS host,
                current_setting('unix_socket_directories') AS sockets`,
      );
      return rows;
    });
    expect(answer).toEqual([
      { major: 18, encoding: 'UTF8', zone: 'UTC', host: '127.0.0.1', sockets: '' },
    ]);
    const { host, port, user } = server;
    const stranger = new pg.Client({ host, port, user, password: 'guess', database: 'postgres' });
    await expect(stranger.connect()).rejects.toMatchObject({ code: '28P01' });

    const parent = dirname(server.dataDirectory);
    expect(await readdir(parent)).toEqual(['data', 'data.log']);
    await server.stop();
    expect(server.isRunning).toBe(false);
    expect(isRunning(server.pid)).toBe(false);
    expect(existsSync(parent)).toBe(false);
    await server.stop();
  });

  it('recovers what was committed when it is killed and started again on its directory', async () => {
    const dataDirectory = join(await makeFolder(), 'new', 'data');
    const first = await startPostgres({ major: 15, dataDirectory });
    onTestFinished(() => first.stop('immediate'));
    await withClient(first, 'postgres', (client) =>
      client.query('CREATE TABLE kept AS SELECT 42 AS answer'),
    );
    await first.kill();
    expect(first.isRunning).toBe(false);

    const second = await startPostgres({ dataDirectory, password: first.password });
    onTestFinished(() => second.stop());
    expect(second.major).toBe(15);
    const answer = await withClient(second, 'postgres', (client) => client.query('TABLE kept'));
    expect(answer.rows).toEqual([{ answer: 42 }]);
    await second.stop();
    expect(await readFile(join(dataDirectory, 'PG_VERSION'), 'utf8')).toBe('15\n');
  });

  it('deletes no directory that was there before it when it cannot start', async () => {
    const dataDirectory = join(await makeFolder(), 'data');
    await mkdir(dataDirectory);
    const options = { dataDirectory, keep: false, settings: { no_such_setting: 'on' } };
    await expect(startPostgres(options)).rejects.toMatchObject({ name: 'DatabaseUnreachable' });
    expect(existsSync(dataDirectory)).toBe(true);
    await expect(startPostgres({ dataDirectory })).rejects.toMatchObject({
      name: 'InvalidEnvironment',
      message: 'an existing data directory was given without its password',
    });
    await expect(startPostgres({ dataDirectory, major: 17 })).rejects.toMatchObject({
      message: `${dataDirectory} belongs to PostgreSQL 18, not to 17`,
    });
  });

  it('says what its log says when it does not start', async () => {
    await expect(startPostgres({ settings: { shared_buffers: '1kB' } })).rejects.toMatchObject({
      name: 'DatabaseUnreachable',
      message: expect.stringMatching(/ended with 1: .*outside the valid range/),
    });
  });

  it('serves TLS that a client can verify in full', async () => {
    const server = await startPostgres({ tls: true });
    onTestFinished(() => server.stop());
    const { host, port, user, password } = server;
    const ca = await readFile(server.caCertificateFile ?? '', 'utf8');
    const client = new pg.Client({ host, port, user, password, database: 'postgres', ssl: { ca } });
    await client.connect();
    const { rows } = await client.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    await client.end();
    expect(rows).toEqual([{ ssl: true }]);
  });
});

describe('when the program that started a PostgreSQL goes', () => {
  async function startProgram(): Promise<{ program: ChildProcess; pid: number; folder: string }> {
    const module = new URL('../../local/postgres-server.ts', import.meta.url).href;
    const source = `
      import { startPostgres } from ${JSON.stringify(module)};
      process.once('SIGUSR2', () => { throw new Error('unexpected'); });
      setTimeout(() => {}, 60_000);
      const server = await startPostgres();
      console.log(JSON.stringify({ pid: server.pid, dataDirectory: server.dataDirectory }));`;
    const program = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void program.kill('SIGKILL'));
    const [line] = await once(createInterface(program.stdout), 'line');
    const { pid, dataDirectory } = JSON.parse(line);
    const folder = dirname(dataDirectory);
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    return { program, pid, folder };
  }

  it.each([
    ['by an interrupt', 'SIGINT'],
    ['by being told to end', 'SIGTERM'],
    ['by an exception', 'SIGUSR2'],
  ] as const)('%s, the server and its files go first', async (_how, signal) => {
    const { program, pid, folder } = await startProgram();
    const ended = once(program, 'exit');
    program.kill(signal);
    await ended;
    expect(existsSync(folder)).toBe(false);
    // Whoever inherits the ended process may take a moment to reap it.
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it.runIf(existsSync('/usr/bin/setpriv'))(
    'by force, the server goes too (only where there is setpriv)',
    async () => {
      const { program, pid } = await startProgram();
      program.kill('SIGKILL');
      await expect.poll(() => isRunning(pid)).toBe(false);
    },
  );
});
