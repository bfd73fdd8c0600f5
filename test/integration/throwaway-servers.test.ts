import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { makeThrowawayServers, serverSettings } from '#adapters/throwaway-servers.ts';
import { DrillServerFailed } from '#errors';
import type { ThrowawayServer } from '#runtime/ports.ts';
import { mountSmallFileSystem, whyNoSmallFileSystem } from '../support/small-file-system.ts';
import { makeThrowawayPlace, runOn, type ThrowawayPlace } from '../support/throwaway-place.ts';

const { signal } = new AbortController();
let place: ThrowawayPlace;
const started: ThrowawayServer[] = [];
beforeAll(async () => {
  place = await makeThrowawayPlace();
});
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
  await expectEmpty(place.directory);
});
afterAll(() => place.remove());

async function expectEmpty(directory: string): Promise<void> {
  expect(await readdir(directory)).toEqual([]);
}

async function start(major = 18): Promise<ThrowawayServer> {
  const server = await place.servers.start({ major, signal });
  started.push(server);
  return server;
}

async function pidOf({ dataDirectory }: ThrowawayServer): Promise<number> {
  return Number((await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

function isThere(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

test('Majors are those with a server', async () => {
  expect(await place.servers.majors()).toEqual([15, 17, 18]);
  const none = makeThrowawayServers({ programs: '/nonexistent', directory: place.directory });
  expect(await none.majors()).toEqual([]);
});

test.skipIf(process.getuid?.() !== 0)(
  'Code that a backup brings along cannot read the environment of the task (needs root)',
  async () => {
    const server = await start();
    const read = (file: string) =>
      runOn(
        server,
        'postgres',
        `CREATE TEMP TABLE seen (line text); COPY seen FROM PROGRAM 'tr "\\0" x < ${file}'`,
      );
    // It runs programs, and sees its own.
    await read('/proc/self/environ');
    await expect(read(`/proc/${process.pid}/environ`)).rejects.toThrow(/program .* failed/);
  },
);

test('A server has checksums, listens on no network, and wants a password', async () => {
  const server = await start();
  expect(
    await runOn(
      server,
      'postgres',
      `SELECT current_setting('data_checksums') AS checksums, current_setting('listen_addresses') AS addresses,
              current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync`,
    ),
  ).toEqual([{ checksums: 'on', addresses: '', encoding: 'UTF8', fsync: 'off' }]);
  const { environment, secrets } = await server.databases.clientEnvironment(
    server.connection,
    'postgres',
  );
  expect(environment['PGHOST']).toBe(server.connection.host);
  expect(secrets).toHaveLength(1);
  const hba = await readFile(join(server.dataDirectory, 'pg_hba.conf'), 'utf8');
  const methods = hba.split('\n').filter((line) => /^(local|host)/.test(line));
  expect(methods.every((line) => line.endsWith('scram-sha-256'))).toBe(true);
  expect(await readdir(server.connection.host)).not.toContain('password');
});

test('A restart keeps what was written, and drops what was in memory', async () => {
  const server = await start(15);
  const before = await pidOf(server);
  await runOn(server, 'postgres', 'CREATE TABLE kept AS SELECT 42 AS answer');
  await server.restart();
  expect(await runOn(server, 'postgres', 'SELECT answer FROM kept')).toEqual([{ answer: 42 }]);
  expect(await pidOf(server)).not.toBe(before);
});

test('Stopping ends the server at once, whatever it does, and deletes its data; again it does nothing', async () => {
  const server = await start();
  const pid = await pidOf(server);
  const busy = runOn(server, 'postgres', 'SELECT pg_sleep(60)').catch((error: Error) => error);
  await server.stop();
  await server.stop();
  expect(isThere(pid)).toBe(false);
  expect(existsSync(server.dataDirectory)).toBe(false);
  expect(await busy).toBeInstanceOf(Error);
  expect(await server.failure()).toBeUndefined();
});

test('A server that is killed says so by name, with the last lines of its log', async () => {
  const server = await start();
  expect(await server.failure()).toBeUndefined();
  process.kill(await pidOf(server), 'SIGKILL');
  const failure = await server.failure();
  expect(failure).toBeInstanceOf(DrillServerFailed);
  expect(failure?.message).toMatch(
    /^the drill's server ended by itself \(signal SIGKILL\): .*ready/,
  );
  await expect(server.restart()).rejects.toThrow(DrillServerFailed);
});

test('A process of the server is killed, as when memory is short: the whole server ends', async () => {
  const server = await start();
  const busy = runOn(server, 'postgres', 'SELECT pg_sleep(60)').catch((error: Error) => error);
  await expect
    .poll(() =>
      runOn(server, 'postgres', `SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`),
    )
    .toHaveLength(1);
  const [row] = await runOn(
    server,
    'postgres',
    `SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`,
  );
  process.kill(Number(row?.['pid']), 'SIGKILL');
  expect(await busy).toBeInstanceOf(Error);
  const failure = await server.failure();
  expect(failure?.message).toMatch(/was terminated by signal 9: Killed/);
});

test('A major that is not at hand, and programs that cannot be run, are named', async () => {
  await expect(place.servers.start({ major: 16, signal })).rejects.toThrow(
    /^there is no PostgreSQL 16 server in .*, only 15, 17, 18$/,
  );
  const programs = join(place.directory, '..', 'broken');
  await mkdir(join(programs, '18', 'bin'), { recursive: true });
  for (const name of ['initdb', 'postgres']) {
    await writeFile(join(programs, '18', 'bin', name), '#!/bin/sh\necho no >&2\nexit 3\n', {
      mode: 0o755,
    });
  }
  const broken = makeThrowawayServers({ programs, directory: place.directory });
  await expect(broken.start({ major: 18, signal })).rejects.toThrow(
    'initdb ended with exit code 3: no',
  );
});

test('A drill that is stopped while its server starts leaves nothing', async () => {
  const stop = new AbortController();
  const starting = place.servers.start({ major: 18, signal: stop.signal });
  setTimeout(() => stop.abort(new Error('told to stop')), 100);
  await expect(starting).rejects.toThrow('told to stop');
});

test('The directory is too long for a socket: the socket lies elsewhere, and goes too', async () => {
  const directory = join(place.directory, '..', 'long', 'x'.repeat(100));
  const servers = makeThrowawayServers({ programs: place.programs, directory });
  const server = await servers.start({ major: 18, signal });
  started.push(server);
  expect(await runOn(server, 'postgres', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
  const { host } = server.connection;
  expect(host.startsWith(directory)).toBe(false);
  await server.stop();
  expect(existsSync(host)).toBe(false);
  expect(await readdir(directory)).toEqual([]);
});

const CHILD = `
  import { makeThrowawayServers } from '#adapters/throwaway-servers.ts';
  const [programs, directory] = process.argv.slice(1);
  const servers = makeThrowawayServers({ programs, directory });
  const server = await servers.start({ major: 18, signal: new AbortController().signal });
  console.log(server.dataDirectory);
  setInterval(() => {}, 1000);`;

test('The process is killed: its server ends with it, and the next drill deletes its data', async () => {
  const child = spawn(
    process.execPath,
    ['--input-type=module-typescript', '--eval', CHILD, place.programs, place.directory],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const dataDirectory = String(line).trim();
  const pid = Number(
    (await readFile(join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0],
  );
  expect(await readlink(`/proc/${pid}/cwd`)).toBe(dataDirectory);
  child.kill('SIGKILL');
  await once(child, 'close');
  await expect.poll(() => isThere(pid)).toBe(false);
  expect(existsSync(dataDirectory)).toBe(true);
  const server = await start();
  expect(existsSync(dataDirectory)).toBe(false);
  expect(existsSync(server.dataDirectory)).toBe(true);
});

test('The process is killed whose socket lay elsewhere: the next drill there deletes that, and nobody else does', async () => {
  const directory = join(place.directory, '..', 'long', 'y'.repeat(100));
  const child = spawn(
    process.execPath,
    [
      '--input-type=module-typescript',
      '--eval',
      CHILD.replace('server.dataDirectory', 'server.connection.host'),
      place.programs,
      directory,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const socketDirectory = String(line).trim();
  child.kill('SIGKILL');
  await once(child, 'close');
  expect(socketDirectory.startsWith(directory)).toBe(false);
  const other = await start();
  await other.stop();
  expect(existsSync(socketDirectory)).toBe(true);
  const servers = makeThrowawayServers({ programs: place.programs, directory });
  const server = await servers.start({ major: 18, signal });
  started.push(server);
  expect(existsSync(socketDirectory)).toBe(false);
  expect(await runOn(server, 'postgres', 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

test('The process ends without stopping it: the server and its data go all the same', async () => {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module-typescript',
      '--eval',
      CHILD.replace(/setInterval.*/, 'process.exit(0);'),
      place.programs,
      place.directory,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  await once(child, 'close');
  expect(existsSync(String(line).trim())).toBe(false);
});

const noSmallDisk = whyNoSmallFileSystem();
test.skipIf(noSmallDisk !== undefined)(
  `A disk without room is named${noSmallDisk === undefined ? '' : ` (skipped: ${noSmallDisk})`}`,
  async () => {
    const disk = mountSmallFileSystem({ uid: 65_534, gid: 65_534 });
    try {
      disk.leaveRoom(4 * 1024 ** 2);
      const servers = makeThrowawayServers({
        programs: place.programs,
        directory: disk.directory,
      });
      const failing = servers.start({ major: 18, signal });
      await expect(failing).rejects.toThrow(DrillServerFailed);
      await expect(failing).rejects.toThrow(/No space left on device/);
      expect(await readdir(disk.directory)).toEqual([]);
    } finally {
      disk.unmount();
    }
  },
);

test('Memory is given out by what there is, within bounds', () => {
  const of = (memoryBytes: number) => {
    const { shared_buffers, maintenance_work_mem } = serverSettings(memoryBytes);
    return [shared_buffers, maintenance_work_mem];
  };
  expect(of(512 * 1024 ** 2)).toEqual(['128MB', '16MB']);
  expect(of(8 * 1024 ** 3)).toEqual(['2048MB', '256MB']);
  expect(of(120 * 1024 ** 3)).toEqual(['4096MB', '1024MB']);
});
