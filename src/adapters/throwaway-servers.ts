import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import {
  chown,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '#contracts/source-plan.ts';
import { DrillServerFailed, HoldfastError } from '#errors';
import type { Databases, ThrowawayServer, ThrowawayServers } from '#runtime/ports.ts';
import { makeDatabases } from './databases.ts';
import { type ProgramEnd, type RunningProgram, startProgram } from './programs.ts';

export interface ThrowawayServersOptions {
  /** Folder with one folder a major: <dir>/18/bin/postgres. */
  readonly programs: string;
  /** Where data directories are made; it has the room. Of processes of one machine alone. */
  readonly directory: string;
  /** What the server may count on; default: what this process may use. */
  readonly memoryBytes?: number;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The same number on every Linux. */
const NOBODY: Owner = { uid: 65_534, gid: 65_534 };
/** Only what the programs need: our own environment holds credentials. */
const ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC' };
const USER = 'postgres';
const SECRET_ID = 'of the server of this drill';
/** Only the name of the socket depends on it: nothing listens on the network. */
const PORT = 5432;
/** Of a Unix socket's path (sun_path of unix(7), with its zero byte). */
const SOCKET_PATH_BYTES = 108;
const INITDB_SECONDS = 120;
const START_SECONDS = 60;
/** A checkpoint of all that was loaded, to a disk that may be slow. */
const SHUTDOWN_SECONDS = 600;
/**
 * A database brings along what it was set to: a library that this server does not have would let nobody in, and a
 * role of the application's may not check anything.
 */
const STARTUP_OPTIONS = [
  'session_preload_libraries=',
  'local_preload_libraries=',
  'default_transaction_read_only=off',
  'lock_timeout=0',
  'role=none',
]
  .map((setting) => `-c ${setting}`)
  .join(' ');
const IMMEDIATE_SECONDS = 5;
/** Between a session that breaks and the end of the server that broke it. */
const FAILURE_SECONDS = 3;
const LOG_LINES = 8;
const NEVER_RAN: ProgramEnd = { exitCode: null, signal: null, stderr: [] };
const MIB = 1024 ** 2;

/** The kernel stops the server when this process is killed and cannot: util-linux has the program for that. */
const endWithParent = existsSync('/usr/bin/setpriv')
  ? ['/usr/bin/setpriv', '--pdeathsig', 'QUIT', '--']
  : [];
/** A process of the server that is just being killed may still make a file: then once more. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 } as const;
/** Its data, its socket and nothing else; the process that it belongs to is in the name. */
const HOME = /^server-(\d+)-\w+$/;
/** Where the path of the home is too long for a socket: a directory of its own, which says whose it is. */
const SOCKET_HOME = /^holdfast-drill-(\d+)-\w+$/;
const OWNER_LINK = 'home';

/**
 * PostgreSQL servers inside this process's own container. They listen on a Unix socket in a directory of their
 * own and nowhere else, know one password that is made up here, and end with this process. PostgreSQL refuses
 * to run as root: root runs it as `nobody`, who then must be able to reach the programs.
 */
export function makeThrowawayServers(options: ThrowawayServersOptions): ThrowawayServers {
  const programs = resolve(options.programs);
  const majors = async () => {
    const names = await readdir(programs).catch(() => []);
    return names
      .filter((name) => /^\d+$/.test(name) && existsSync(join(programs, name, 'bin', 'postgres')))
      .map(Number)
      .sort((a, b) => a - b);
  };
  return {
    majors,
    async start({ major, signal }) {
      const known = await majors();
      if (!known.includes(major)) {
        throw new DrillServerFailed(
          `there is no PostgreSQL ${major} server in ${programs}, only ${known.join(', ') || 'none'}`,
        );
      }
      const server = new Server(
        join(programs, String(major), 'bin'),
        resolve(options.directory),
        options.memoryBytes ?? usableMemoryBytes(),
      );
      try {
        await server.start(signal);
        return server;
      } catch (error) {
        await server.stop();
        throw error;
      }
    },
  };
}

/** In a container its limit, where it has one. */
function usableMemoryBytes(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * Settings for data that need not outlive the machine. A quarter of the memory is for pages; each of several
 * index builds at a time gets a thirty-second.
 */
export function serverSettings(memoryBytes: number): Record<string, string> {
  const share = (part: number, least: number, most: number) =>
    `${Math.min(Math.max(Math.floor(memoryBytes / part / MIB), least), most)}MB`;
  return {
    listen_addresses: '',
    unix_socket_permissions: '0700',
    fsync: 'off',
    full_page_writes: 'off',
    synchronous_commit: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_wal_size: '4GB',
    checkpoint_timeout: '30min',
    shared_buffers: share(4, 32, 4096),
    maintenance_work_mem: share(32, 16, 1024),
    // A container's /dev/shm is small, and not always writable.
    dynamic_shared_memory_type: 'mmap',
    max_connections: '150',
    // A restore locks all that one statement or one index build of a partitioned table touches.
    max_locks_per_transaction: '1024',
    // A child that was killed (out of memory) ends the server, so that the drill does not go on with half of it.
    restart_after_crash: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Statements and rows stay out of the log; what ends the server is in it.
    log_min_messages: 'log',
    log_min_error_statement: 'panic',
    log_checkpoints: 'off',
  };
}

class Server implements ThrowawayServer {
  readonly databases: Databases;
  readonly #binaries: string;
  readonly #directory: string;
  readonly #memoryBytes: number;
  readonly #password = randomBytes(24).toString('base64url');
  readonly #owner = serverOwner();
  #home = '';
  #socketDirectory = '';
  #program: RunningProgram | undefined;
  #end: ProgramEnd | undefined;
  #stopping: Promise<void> | undefined;

  constructor(binaries: string, directory: string, memoryBytes: number) {
    this.#binaries = binaries;
    this.#directory = directory;
    this.#memoryBytes = memoryBytes;
    this.databases = makeDatabases({
      region: '',
      caFile: '',
      startupOptions: STARTUP_OPTIONS,
      // No other password is known here: nothing that a drill does can ask Secrets Manager for one.
      secrets: { credentials: async () => ({ username: USER, password: this.#password }) },
    });
  }

  get dataDirectory(): string {
    return join(this.#home, 'data');
  }

  get connection(): Connection {
    return {
      host: this.#socketDirectory,
      port: PORT,
      user: USER,
      maintenanceDatabase: 'postgres',
      auth: { type: 'secret', secretId: SECRET_ID },
      tls: { mode: 'disable' },
    };
  }

  async start(signal: AbortSignal): Promise<void> {
    try {
      await this.#makeHome();
    } catch (error) {
      if (error instanceof HoldfastError) throw error;
      throw new DrillServerFailed(
        `${this.#directory} cannot be used for the drill's server: ${String(error)}`,
        { cause: error },
      );
    }
    await this.#initialise(signal);
    await this.#launch(signal);
  }

  async restart(): Promise<void> {
    if (this.#end) throw this.#failed('ended by itself');
    this.#program?.send('SIGINT');
    const ended = await this.#endsWithin(SHUTDOWN_SECONDS);
    if (ended?.exitCode !== 0) throw this.#failed('did not shut down as it should');
    await this.#launch();
  }

  async failure(): Promise<HoldfastError | undefined> {
    if (this.#stopping) return undefined;
    const ended = await this.#endsWithin(FAILURE_SECONDS);
    return ended ? this.#failed('ended by itself') : undefined;
  }

  stop(): Promise<void> {
    this.#stopping ??= (async () => {
      this.#program?.send('SIGQUIT');
      if (!(await this.#endsWithin(IMMEDIATE_SECONDS))) {
        const children = childrenOf(this.#program?.pid);
        this.#program?.send('SIGKILL');
        killProcesses(children);
        await this.#endsWithin(IMMEDIATE_SECONDS);
      }
      for (const path of this.#disposable()) await rm(path, REMOVAL);
      running.delete(this);
    })();
    return this.#stopping;
  }

  /** The same at the end of the process, when nothing else runs any more. */
  stopNow(): void {
    const children = childrenOf(this.#program?.pid);
    this.#program?.send('SIGQUIT');
    // The server removes this file as its last act. (Its process id stays ours until we are gone.)
    const statusFile = join(this.dataDirectory, 'postmaster.pid');
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let waited = 0; waited < 3000 && existsSync(statusFile); waited += 10) {
      Atomics.wait(pause, 0, 0, 10);
    }
    if (existsSync(statusFile)) {
      this.#program?.send('SIGKILL');
      killProcesses(children);
    }
    for (const path of this.#disposable()) rmSync(path, REMOVAL);
  }

  #disposable(): string[] {
    return [...new Set([this.#home, this.#socketDirectory])].filter((path) => path !== '');
  }

  async #makeHome(): Promise<void> {
    await mkdir(this.#directory, { recursive: true });
    await sweep(this.#directory);
    this.#home = await mkdtemp(join(this.#directory, `server-${process.pid}-`));
    running.add(this);
    installExitHook();
    this.#socketDirectory = this.#home;
    if (Buffer.byteLength(join(this.#home, `.s.PGSQL.${PORT}.lock`)) >= SOCKET_PATH_BYTES) {
      this.#socketDirectory = await mkdtemp(join(tmpdir(), `holdfast-drill-${process.pid}-`));
      await symlink(this.#home, join(this.#socketDirectory, OWNER_LINK));
    }
    const owner = this.#owner;
    if (!owner) return;
    for (const path of this.#disposable()) await chown(path, owner.uid, owner.gid);
    for (const path of [this.dataDirectory, join(this.#binaries, 'postgres')]) {
      const barrier = barrierTo(path, owner);
      if (barrier === undefined) continue;
      throw new DrillServerFailed(
        `PostgreSQL does not run as root, and the user of id ${owner.uid} may not enter ${barrier}`,
        { remedy: 'run the task as an ordinary user, or use a directory outside of private homes' },
      );
    }
  }

  async #initialise(signal: AbortSignal): Promise<void> {
    const passwordFile = join(this.#home, 'password');
    await writeFile(passwordFile, `${this.#password}\n`, { mode: 0o600 });
    if (this.#owner) await chown(passwordFile, this.#owner.uid, this.#owner.gid);
    try {
      const program = startProgram({
        path: join(this.#binaries, 'initdb'),
        args: [
          `--pgdata=${this.dataDirectory}`,
          `--username=${USER}`,
          `--pwfile=${passwordFile}`,
          '--auth=scram-sha-256',
          '--encoding=UTF8',
          '--locale=C',
          '--data-checksums',
          '--no-sync',
          '--no-instructions',
        ],
        environment: ENVIRONMENT,
        secrets: [this.#password],
        owner: this.#owner,
        signal: AbortSignal.any([signal, AbortSignal.timeout(INITDB_SECONDS * 1000)]),
      });
      program.stdin.end();
      program.stdout.resume();
      const end = await program.ended.catch((cause: unknown) => {
        throw new DrillServerFailed(`initdb cannot be run: ${String(cause)}`, { cause });
      });
      signal.throwIfAborted();
      if (end.exitCode === 0) return;
      throw new DrillServerFailed(`initdb ended with ${endOf(end)}: ${lastLines(end)}`);
    } finally {
      await rm(passwordFile, { force: true });
    }
  }

  async #launch(signal?: AbortSignal): Promise<void> {
    const settings = {
      ...serverSettings(this.#memoryBytes),
      unix_socket_directories: this.#socketDirectory,
      port: String(PORT),
    };
    const [path = '', ...args] = [
      ...endWithParent,
      join(this.#binaries, 'postgres'),
      '-D',
      this.dataDirectory,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ];
    this.#end = undefined;
    const program = startProgram({
      path,
      args,
      environment: ENVIRONMENT,
      secrets: [this.#password],
      owner: this.#owner,
    });
    this.#program = program;
    program.stdin.end();
    program.stdout.resume();
    program.ended.then(
      (end) => {
        this.#end = end;
      },
      (error: unknown) => {
        this.#end = { exitCode: null, signal: null, stderr: [String(error)] };
      },
    );
    await this.#isReady(program, signal);
  }

  async #isReady(program: RunningProgram, signal: AbortSignal | undefined): Promise<void> {
    const statusFile = join(this.dataDirectory, 'postmaster.pid');
    const deadline = performance.now() + START_SECONDS * 1000;
    while (performance.now() < deadline) {
      signal?.throwIfAborted();
      if (this.#end) throw this.#failed('ended at once');
      // Line 1 is the process (a stale file names another one), line 8 the status: what pg_ctl waits for.
      const lines = (await readFile(statusFile, 'utf8').catch(() => '')).split('\n');
      if (Number(lines[0]) === program.pid && lines[7]?.trim() === 'ready') return;
      await sleep(20);
    }
    throw this.#failed(`was not ready after ${START_SECONDS} s`);
  }

  async #endsWithin(seconds: number): Promise<ProgramEnd | undefined> {
    const program = this.#program;
    if (!program) return NEVER_RAN;
    const waited = new AbortController();
    const time = sleep(seconds * 1000, undefined, { signal: waited.signal }).catch(() => {});
    await Promise.race([program.ended.catch(() => {}), time]);
    waited.abort();
    // `end` is set by the same promise, in a callback that was there before.
    return this.#end;
  }

  #failed(what: string): HoldfastError {
    const end = this.#end;
    const how = end ? ` (${endOf(end)})` : '';
    const said = end ? `: ${lastLines(end)}` : '';
    return new DrillServerFailed(`the drill's server ${what}${how}${said}`);
  }
}

const running = new Set<Server>();
let exitHookInstalled = false;

function installExitHook(): void {
  if (exitHookInstalled) return;
  exitHookInstalled = true;
  process.on('exit', () => {
    for (const server of running) server.stopNow();
  });
}

/** Deletes what a process left that was killed: locally, as a container goes with its disk. */
async function sweep(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (isLeftOver(HOME, name)) await rm(join(directory, name), REMOVAL);
  }
  await sweepSockets(directory).catch(() => {
    // What lies in everybody's directory may be somebody else's, and is no reason not to drill.
  });
}

/** Only of homes in `directory`: processes of other containers may have the same ids, and use the same tmpdir. */
async function sweepSockets(directory: string): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!isLeftOver(SOCKET_HOME, name)) continue;
    const path = join(tmpdir(), name);
    const home = await readlink(join(path, OWNER_LINK)).catch(() => undefined);
    if (home !== undefined && dirname(home) === directory) await rm(path, REMOVAL).catch(() => {});
  }
}

function isLeftOver(pattern: RegExp, name: string): boolean {
  const pid = Number(pattern.exec(name)?.[1]);
  return pid > 0 && !isThere(pid);
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** The user to run the server as; undefined unless we are root. */
function serverOwner(): Owner | undefined {
  return process.getuid?.() === 0 ? NOBODY : undefined;
}

/** The first directory above a path that the user may not pass through. */
function barrierTo(path: string, owner: Owner): string | undefined {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    const { mode, uid, gid } = statSync(parent);
    const mayPass = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
    if ((mode & mayPass) === 0) return parent;
    if (parent === dirname(parent)) return undefined;
  }
}

function childrenOf(pid: number | undefined): number[] {
  try {
    const list = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // it is gone, or this is not Linux: children notice by themselves
  }
}

function killProcesses(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}

function endOf({ exitCode, signal }: ProgramEnd): string {
  return exitCode === null ? `signal ${signal ?? 'unknown'}` : `exit code ${exitCode}`;
}

function lastLines({ stderr }: ProgramEnd): string {
  return stderr.slice(-LOG_LINES).join(' / ') || 'it said nothing';
}
