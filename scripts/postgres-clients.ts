/**
 * Makes the PostgreSQL client programs that everything else uses: `npm run clients`.
 *
 * One build serves the Lambda layer, the task image and the local runner. This file uses Node alone, so that
 * the image's build stage can run it without `npm ci`.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import {
  mkdir,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  findTarballs,
  type MissingClient,
  parseReleases,
  type Release,
  type Tarball,
} from './lib-postgres-tarballs.ts';
import { run } from './lib-run.ts';

const checkout = path.resolve(import.meta.dirname, '..');
const layer = path.join(checkout, 'layers', 'postgres-client');

/** The programs of one major; the layer has no others. */
export const clientPrograms = ['pg_dump', 'pg_dumpall', 'pg_restore', 'psql'] as const;
/** What Amazon Linux 2023, the system under Lambda, has. */
export const lambdaGlibc = '2.34';
/** A fifth of what Lambda allows a function with its layers unzipped (250 MB), and the function is small. */
export const maxSizeBytes = 60_000_000;
/** 16 was the first pg_dump with zstd, which our dumps are made with. */
const OLDEST_USABLE_MAJOR = 16;
/** How long a source that could not be had is not asked for again. */
const RETRY_MISSING_AFTER_HOURS = 24;

/** One major in a clients directory. */
export interface BuiltClient {
  readonly version: string;
  /** Built from the very tarball in versions.json, rather than from another minor release that apt vouches for. */
  readonly pinned: boolean;
  /** The newest glibc symbol version that the programs and their libraries ask for, such as `2.34`. */
  readonly glibc: string;
  /** Digest of everything that the result depends on. */
  readonly key: string;
}

export interface EnsureOptions {
  /** Default `layers/postgres-client/dist/<arch>/postgres-client`, which the layer packages. */
  readonly directory?: string;
  /** Tarballs; default `HOLDFAST_CACHE_DIR`, else `.cache` in the checkout. */
  readonly cacheDirectory?: string;
  /** Link installed clients when none can be built. Default true. */
  readonly fallback?: boolean;
  /** For deployment: only pinned releases, only Lambda's glibc, and what was missing is tried again. */
  readonly deployable?: boolean;
  /** Build again what is there already, such as for newer system libraries. */
  readonly force?: boolean;
  /** Gets plain lines; default standard error. */
  readonly log?: (line: string) => void;
  readonly signal?: AbortSignal;
  /** Default `versions.json` of the layer. */
  readonly releases?: readonly Release[];
  /** Where installed clients are looked for; default `PATH` and `/usr/lib/postgresql/<major>/bin`. */
  readonly installedIn?: readonly string[];
}

export interface EnsuredClients {
  /** Has `<major>/bin/pg_dump` and so on for each of `majors`. */
  readonly directory: string;
  /** Ascending. */
  readonly majors: number[];
  readonly missing: MissingClient[];
  /** Set when nothing could be built: says which installed clients are used instead. */
  readonly fellBackTo?: string;
}

/** The content of `clients.json` in a clients directory. */
interface Inventory {
  readonly clients: Record<string, BuiltClient>;
  readonly missing: (MissingClient & { readonly key: string; readonly triedAt: string })[];
}

/**
 * Makes sure that the client programs are there, building what is missing, and says where.
 * A repeated call costs a few milliseconds; calls in several processes at once wait for each other.
 * A major that cannot be had is not an error but an entry in `missing`; none at all leaves `majors` empty.
 */
export async function ensurePostgresClients(options: EnsureOptions = {}): Promise<EnsuredClients> {
  const directory = options.directory ?? defaultDirectory();
  const releases = options.releases ?? (await readReleases());
  const key = await buildKeys(releases);
  const before = summarize(await readInventory(directory), directory, key, options);
  if (before && !options.force) return before;

  const release = await lock(path.join(workDirectory(directory), 'lock'), options);
  try {
    // Somebody else may have built while we waited.
    const meanwhile = summarize(await readInventory(directory), directory, key, options);
    if (meanwhile && !options.force) return meanwhile;
    const built = await build(directory, releases, key, options);
    if (built.majors.length > 0 || options.fallback === false || options.deployable) return built;
    return await fallBack(built, options);
  } finally {
    release();
  }
}

/** One line per reason, such as `no PostgreSQL client 16, 17: the build needs bison …`. */
export function describeMissing(missing: readonly MissingClient[]): string[] {
  const byReason = Map.groupBy(missing, ({ reason }) => reason);
  return Array.from(
    byReason,
    ([reason, entries]) =>
      `no PostgreSQL client ${entries.map(({ major }) => major).join(', ')}: ${reason}`,
  );
}

/** Node's `process.arch` in the words of AWS and uname, as in the layer's folder. */
export function architecture(): 'x86_64' | 'arm64' {
  if (process.arch === 'x64') return 'x86_64';
  if (process.arch === 'arm64') return 'arm64';
  throw new Error(`no clients for ${process.arch}; Lambda runs on x86_64 and arm64`);
}

/**
 * For the lock, unfinished builds and links: outside the folder that the layer packages, yet on its file system,
 * so that a finished build is renamed into place.
 */
function workDirectory(directory: string): string {
  return `${path.dirname(directory)}.work`;
}

function defaultDirectory(): string {
  return path.join(layer, 'dist', architecture(), 'postgres-client');
}

export async function readReleases(): Promise<Release[]> {
  return parseReleases(await readFile(path.join(layer, 'versions.json'), 'utf8'));
}

/** By major: the digest of what a build's result depends on, apart from the system's own libraries. */
async function buildKeys(releases: readonly Release[]): Promise<Map<number, string>> {
  const script = await readFile(path.join(layer, 'build.sh'));
  return new Map(
    releases.map((release) => {
      const hash = createHash('sha256').update(JSON.stringify([release, process.arch]));
      return [release.major, hash.update(script).digest('hex')];
    }),
  );
}

async function readInventory(directory: string): Promise<Inventory> {
  try {
    const text = await readFile(path.join(directory, 'clients.json'), 'utf8');
    const { clients, missing } = JSON.parse(text) as Inventory;
    const present = Object.entries(clients).filter(([major]) =>
      existsSync(path.join(directory, major, 'bin', 'pg_dump')),
    );
    return { clients: Object.fromEntries(present), missing };
  } catch {
    return { clients: {}, missing: [] };
  }
}

function isUsable(
  client: BuiltClient | undefined,
  key: string | undefined,
  options: EnsureOptions,
): client is BuiltClient {
  return (
    client !== undefined && client.key === key && (!options.deployable || isDeployable(client))
  );
}

export function isDeployable(client: Pick<BuiltClient, 'pinned' | 'glibc'>): boolean {
  return client.pinned && compareVersions(client.glibc, lambdaGlibc) <= 0;
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

/** The result, if the inventory answers for every release; undefined where there is something to do. */
function summarize(
  { clients, missing }: Inventory,
  directory: string,
  keys: ReadonlyMap<number, string>,
  options: EnsureOptions,
): EnsuredClients | undefined {
  const oldest = Date.now() - RETRY_MISSING_AFTER_HOURS * 3_600_000;
  const majors: number[] = [];
  const stillMissing: MissingClient[] = [];
  for (const [major, key] of keys) {
    const known = missing.find((entry) => entry.major === major && entry.key === key);
    if (isUsable(clients[major], key, options)) majors.push(major);
    else if (known && !options.deployable && Date.parse(known.triedAt) > oldest)
      stillMissing.push({ major, reason: known.reason });
    else return undefined;
  }
  // With nothing built, somebody may have installed what was lacking since.
  return majors.length > 0 ? { directory, majors, missing: stillMissing } : undefined;
}

async function build(
  directory: string,
  releases: readonly Release[],
  keys: ReadonlyMap<number, string>,
  options: EnsureOptions,
): Promise<EnsuredClients> {
  const { log = logToStandardError } = options;
  const before = await readInventory(directory);
  // What is good for this machine stays on record, even while something better is wanted and cannot be had.
  const clients = Object.fromEntries(
    Object.entries(before.clients).filter(([major, { key }]) => key === keys.get(Number(major))),
  );
  const wanted = releases.filter(
    ({ major }) => options.force || !isUsable(clients[major], keys.get(major), options),
  );
  // Sources out of reach stay so for a while and are remembered; what went wrong here is tried again.
  const missing: MissingClient[] = [];
  const failed: MissingClient[] = [];

  const staging = path.join(workDirectory(directory), 'building');
  await removeTree(staging); // What an interrupted build left.
  await mkdir(staging, { recursive: true });
  try {
    await ensureBuildPackages(options);
    const sources = await findTarballs(wanted, { ...options, log, temporary: staging });
    missing.push(...sources.missing);
    const versions = sources.tarballs
      .map(({ version }) => version)
      .toSorted()
      .join(' and ');
    if (versions)
      log(`building the PostgreSQL clients ${versions}, half a minute each on two cores`);
    // Side by side: much of the time is configure's, which uses one core.
    await Promise.all(
      sources.tarballs.map(async (tarball) => {
        const { major, version, pinned } = tarball;
        try {
          const prefix = path.join(staging, String(major));
          const glibc = await buildOne(tarball, prefix, staging, options);
          const target = path.join(directory, String(major));
          await mkdir(directory, { recursive: true });
          await removeTree(target);
          await rename(prefix, target);
          clients[major] = { version, pinned, glibc, key: keys.get(major) ?? '' };
        } catch (error) {
          failed.push({ major, reason: messageOf(error) });
        }
      }),
    );
  } catch (error) {
    failed.push(...wanted.map(({ major }) => ({ major, reason: messageOf(error) })));
  } finally {
    await removeTree(staging);
  }
  options.signal?.throwIfAborted();

  if (Object.keys(clients).length > 0) {
    const triedAt = new Date().toISOString();
    const remembered = missing.map((entry) => {
      return { ...entry, key: keys.get(entry.major) ?? '', triedAt };
    });
    await writeInventory(directory, { clients, missing: remembered });
    await removeOthers(directory, clients);
  }
  const lacking = [...missing, ...failed].sort((a, b) => a.major - b.major);
  const majors = releases
    .map(({ major }) => major)
    .filter((major) => !lacking.some((entry) => entry.major === major));
  return { directory, majors, missing: lacking };
}

async function buildOne(
  { file, sha256, version, pinned }: Tarball,
  prefix: string,
  temporary: string,
  { signal, deployable }: EnsureOptions,
): Promise<string> {
  const env = { ...process.env, TMPDIR: temporary, LC_ALL: 'C' };
  const argv = [path.join(layer, 'build.sh'), file, sha256, prefix];
  await run('bash', argv, { env, signal, timeoutSeconds: 1800 });
  const check = [path.join(layer, 'check.sh'), prefix, version];
  const said = await run('bash', check, { env, signal });
  const glibc = /needs GLIBC_([\d.]+)/.exec(said)?.[1];
  if (!glibc) throw new Error(`check.sh said nothing about glibc: ${said}`);
  if (deployable && !isDeployable({ pinned, glibc }))
    throw new Error(
      `the build needs glibc ${glibc}, Lambda has ${lambdaGlibc}; build on Debian 12`,
    );
  return glibc;
}

/** Also while a program that was just stopped still writes there. */
async function removeTree(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

async function writeInventory(directory: string, inventory: Inventory): Promise<void> {
  const file = path.join(directory, 'clients.json');
  await writeFile(`${file}.new`, `${JSON.stringify(inventory, undefined, 2)}\n`);
  await rename(`${file}.new`, file);
}

/** Removes majors and builds that are no longer on record: the layer packages the whole directory. */
async function removeOthers(directory: string, clients: Inventory['clients']): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/^\d+$/.test(name) && !(name in clients))
      await rm(path.join(directory, name), { recursive: true });
  }
}

export async function directorySizeBytes(directory: string): Promise<number> {
  let sizeBytes = 0;
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) sizeBytes += (await stat(path.join(entry.parentPath, entry.name))).size;
  }
  return sizeBytes;
}

// What the build needs.

/** Debian packages, each with the file that shows it is there, on whatever system. */
const buildPackages: readonly (readonly [name: string, ...files: string[]])[] = [
  ['gcc', 'gcc'],
  ['libc6-dev', '/usr/include/stdio.h'],
  ['make', 'make'],
  ['binutils', 'objdump', 'strip'],
  ['bison', 'bison'],
  ['flex', 'flex'],
  ['perl', 'perl'],
  ['pkg-config', 'pkg-config'],
  ['bzip2', 'bzip2'],
  ['libssl-dev', '/usr/include/openssl/ssl.h'],
  ['libzstd-dev', '/usr/include/zstd.h'],
  ['liblz4-dev', '/usr/include/lz4.h'],
  ['zlib1g-dev', '/usr/include/zlib.h'],
];

/** The Debian packages that a build on this machine would lack. */
export function missingBuildPackages(exists: (file: string) => boolean = existsSync): string[] {
  const onPath = foldersOnPath();
  const has = (file: string) =>
    path.isAbsolute(file) ? exists(file) : onPath.some((folder) => exists(path.join(folder, file)));
  return buildPackages.filter(([, ...files]) => !files.every(has)).map(([name]) => name);
}

/** @throws {Error} naming the packages and the command, where this user or system may not install them. */
async function ensureBuildPackages({
  log = logToStandardError,
  signal,
}: EnsureOptions): Promise<void> {
  const packages = missingBuildPackages();
  if (packages.length === 0) return;
  const mayInstall = process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
  if (!mayInstall)
    throw new Error(
      `the build needs ${packages.join(', ')}; run: sudo apt-get install ${packages.join(' ')}`,
    );
  log(`installing what the build of the PostgreSQL clients needs: ${packages.join(' ')}`);
  const apt = (...argv: string[]) =>
    run('apt-get', ['-qq', '-oDPkg::Lock::Timeout=300', ...argv], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      signal,
      timeoutSeconds: 900,
    });
  const install = () => apt('install', '--yes', '--no-install-recommends', ...packages);
  try {
    await install();
  } catch {
    // No package lists, or lists older than the archive: both heal with an update.
    await apt('update');
    await install();
  }
}

// One build at a time.

/**
 * Waits for the lock and returns the function that gives it back.
 * The kernel holds it for a flock(1) that lives as long as our end of its standard input, so that no crash of
 * ours can leave a stale lock behind. Where there is no flock there is no build either, and no lock.
 */
async function lock(
  file: string,
  { log = logToStandardError, signal }: EnsureOptions,
): Promise<() => void> {
  await mkdir(path.dirname(file), { recursive: true });
  const child = spawn('flock', [file, 'sh', '-c', 'echo locked && exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    signal,
  });
  const waiting = setTimeout(
    () => log('waiting for another build of the PostgreSQL clients'),
    1000,
  );
  try {
    await new Promise<void>((resolve, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') resolve();
        else reject(error);
      });
      child.once('exit', () => reject(new Error(`cannot lock ${file}`)));
      child.stdout.once('data', () => resolve());
    });
  } finally {
    clearTimeout(waiting);
  }
  return () => void child.stdin.end();
}

// Without a build.

/** Links the installed clients of each usable major into a directory shaped like a built one. */
async function fallBack(built: EnsuredClients, options: EnsureOptions): Promise<EnsuredClients> {
  const { log = logToStandardError } = options;
  const directory = path.join(workDirectory(built.directory), 'installed');
  const installed = await findInstalledClients(options.installedIn);
  for (const line of describeMissing(built.missing)) log(line);
  if (installed.size === 0) return built;
  await rm(directory, { recursive: true, force: true });
  for (const [major, folder] of installed) {
    const bin = path.join(directory, String(major), 'bin');
    await mkdir(bin, { recursive: true });
    for (const program of clientPrograms)
      await symlink(path.join(folder, program), path.join(bin, program));
  }
  const fellBackTo = Array.from(installed, ([major, folder]) => `${major} in ${folder}`).join(', ');
  log(`using the installed PostgreSQL clients instead: ${fellBackTo}`);
  const majors = [...installed.keys()];
  const missing = built.missing.filter(({ major }) => !installed.has(major));
  return { directory, majors, missing, fellBackTo };
}

/** By major, ascending: a folder with all the programs. Majors without zstd are left out. */
export async function findInstalledClients(
  folders?: readonly string[],
): Promise<Map<number, string>> {
  const found = new Map<number, string>();
  for (const folder of folders ?? (await usualFolders())) {
    const file = path.join(folder, 'pg_dump');
    if (!clientPrograms.every((program) => existsSync(path.join(folder, program)))) continue;
    // Debian's /usr/bin/pg_dump is a script that picks a version by the server that it is told of.
    if (path.basename(await realpath(file)) === 'pg_wrapper') continue;
    const said = await run(file, ['--version'], { timeoutSeconds: 10 }).catch(() => '');
    const major = Number(/\(PostgreSQL\) (\d+)/.exec(said)?.[1]);
    if (major >= OLDEST_USABLE_MAJOR && !found.has(major)) found.set(major, folder);
  }
  return new Map([...found].sort(([a], [b]) => a - b));
}

async function usualFolders(): Promise<string[]> {
  const debian = '/usr/lib/postgresql';
  const versions = await readdir(debian).catch(() => []);
  return [...foldersOnPath(), ...versions.map((version) => path.join(debian, version, 'bin'))];
}

function foldersOnPath(): string[] {
  const { PATH = '' } = process.env;
  return PATH.split(path.delimiter).filter((folder) => folder !== '');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function logToStandardError(line: string): void {
  process.stderr.write(`${line}\n`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'require-all': { type: 'boolean', default: false },
      force: { type: 'boolean', default: false },
      output: { type: 'string' },
    },
  });
  const stop = new AbortController();
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)
    process.once(signal, () => {
      process.exitCode = code;
      stop.abort(new Error(`stopped by ${signal}`));
    });
  const deployable = values['require-all'];
  const { directory, majors, missing } = await ensurePostgresClients({
    ...(values.output === undefined ? {} : { directory: path.resolve(values.output) }),
    deployable,
    force: values.force,
    fallback: false,
    signal: stop.signal,
  });
  const { clients } = await readInventory(directory);
  for (const major of majors) {
    const client = clients[major];
    if (!client) continue;
    const notes = [
      ...(client.pinned ? [] : ['not the pinned release']),
      ...(isDeployable(client) ? [] : ['for this machine only']),
    ];
    const note = notes.length > 0 ? ` (${notes.join(', ')})` : '';
    console.log(
      `${client.version}  glibc ${client.glibc}  ${path.join(directory, String(major))}${note}`,
    );
  }
  const sizeBytes = majors.length > 0 ? await directorySizeBytes(directory) : 0;
  console.log(`${(sizeBytes / 1e6).toFixed(1)} MB in all, of at most ${maxSizeBytes / 1e6} MB`);
  for (const line of describeMissing(missing)) console.log(line);
  const fits = missing.length === 0 && sizeBytes <= maxSizeBytes;
  if (majors.length === 0 || (deployable && !fits)) process.exitCode = 1;
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    logToStandardError(messageOf(error));
    process.exitCode ??= 1;
  }
}
