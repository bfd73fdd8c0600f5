import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { downloadSourceTarballs } from './lib-apt-sources.ts';

/** A release of PostgreSQL as `versions.json` pins it. */
export interface Release {
  readonly major: number;
  readonly version: string;
  readonly sha256: string;
  readonly url: string;
}

/** A source to build from. */
export interface Tarball {
  readonly major: number;
  readonly file: string;
  readonly version: string;
  readonly sha256: string;
  readonly pinned: boolean;
}

export interface MissingClient {
  readonly major: number;
  readonly reason: string;
}

/** @throws {Error} naming the entry that is wrong. */
export function parseReleases(text: string): Release[] {
  const entries = Object.entries(JSON.parse(text) as Record<string, Partial<Release>>);
  return entries.map(([major, { version, sha256, url }]) => {
    if (!version || !new RegExp(`^${major}\\.\\d+$`).test(version))
      throw new Error(`versions.json: ${major}: version ${version} is not a release of ${major}`);
    if (!sha256 || !/^[0-9a-f]{64}$/.test(sha256))
      throw new Error(`versions.json: ${major}: sha256 is not 64 hexadecimal digits`);
    if (!url?.startsWith('https://') || !url.endsWith(`/postgresql-${version}.tar.bz2`))
      throw new Error(`versions.json: ${major}: url does not lead to the tarball of ${version}`);
    return { major: Number(major), version, sha256, url };
  });
}

export interface FindOptions {
  /** Where tarballs are kept; default `HOLDFAST_CACHE_DIR`, else `.cache` in the checkout. */
  readonly cacheDirectory?: string;
  /** Only pinned tarballs will do. */
  readonly deployable?: boolean;
  readonly signal?: AbortSignal;
  readonly log: (line: string) => void;
  /** For what is not worth keeping; the caller removes it. */
  readonly temporary: string;
}

/**
 * One source per release, in this order: the cache, PostgreSQL's download server, the distribution's source
 * package. Each must have the pinned SHA-256, except that for local use another minor release will do when the
 * distribution vouches for it and nothing else can be had.
 */
export async function findTarballs(
  releases: readonly Release[],
  options: FindOptions,
): Promise<{ tarballs: Tarball[]; missing: MissingClient[] }> {
  const { HOLDFAST_CACHE_DIR } = process.env;
  const cache = path.resolve(
    options.cacheDirectory ?? HOLDFAST_CACHE_DIR ?? path.join(import.meta.dirname, '..', '.cache'),
  );
  const tarballs: Tarball[] = [];
  const outOfReach: { release: Release; reason: string }[] = [];
  await Promise.all(
    releases.map(async (release) => {
      const file = cachedFile(cache, release);
      try {
        await ensureCached(release, file, options);
        tarballs.push({ ...release, file, pinned: true });
      } catch (error) {
        outOfReach.push({ release, reason: messageOf(error) });
      }
    }),
  );
  if (outOfReach.length === 0) return { tarballs, missing: [] };

  const hosts = new Set(outOfReach.map(({ release }) => new URL(release.url).host));
  options.log(`${[...hosts].join(', ')} gave no source; asking the distribution for its packages`);
  const sources = await downloadSourceTarballs(
    outOfReach.map(({ release }) => release.major),
    await mkdtemp(path.join(options.temporary, 'sources-')),
    { signal: options.signal },
  ).catch(messageOf);
  const missing: MissingClient[] = [];
  for (const { release, reason } of outOfReach) {
    const { major, version } = release;
    const source = typeof sources === 'string' ? undefined : sources.get(major);
    if (!source) {
      const also = typeof sources === 'string' ? sources : `the distribution has no ${major}`;
      missing.push({ major, reason: `${reason}; and ${also}` });
      continue;
    }
    const sha256 = await sha256Of(source.file);
    const pinned = sha256 === release.sha256;
    if (!pinned && (options.deployable || source.version === version)) {
      const also = `the distribution's ${source.version} has the SHA-256 ${sha256}`;
      missing.push({ major, reason: `${reason}; and ${also} instead of ${release.sha256}` });
      continue;
    }
    if (pinned) await keepInCache(source.file, cachedFile(cache, release));
    else options.log(`no ${version} to be had: using the distribution's signed ${source.version}`);
    tarballs.push({ major, file: source.file, version: source.version, sha256, pinned });
  }
  return { tarballs, missing };
}

function cachedFile(cache: string, { version }: Release): string {
  return path.join(cache, `postgresql-${version}.tar.bz2`);
}

async function ensureCached(release: Release, file: string, options: FindOptions): Promise<void> {
  if (existsSync(file)) {
    if ((await sha256Of(file)) === release.sha256) return;
    options.log(`${file} is not what versions.json pins; fetching it again`);
  }
  await download(release, file, options);
  options.log(`fetched ${release.url}`);
}

async function download(
  { url, sha256 }: Release,
  file: string,
  { signal }: FindOptions,
): Promise<void> {
  // 5 s to answer: a host that is out of reach must not hold up a first try. 2 min for 23 MB.
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(new Error('no answer within 5 seconds')), 5_000);
  const signals = [silence.signal, AbortSignal.timeout(120_000), ...(signal ? [signal] : [])];
  let body: Buffer;
  try {
    const response = await fetch(url, { signal: AbortSignal.any(signals) });
    clearTimeout(timer);
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    body = Buffer.from(await response.arrayBuffer());
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new Error(`${url} cannot be had (${messageOf(cause)})`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  const actual = createHash('sha256').update(body).digest('hex');
  if (actual !== sha256) throw new Error(`${url} has the SHA-256 ${actual} instead of ${sha256}`);
  await mkdir(path.dirname(file), { recursive: true });
  const part = `${file}.${process.pid}.part`;
  await writeFile(part, body);
  await rename(part, file);
}

/** The cache saves time on the next build; without it, this one still works. */
async function keepInCache(file: string, target: string): Promise<void> {
  const part = `${target}.${process.pid}.part`;
  try {
    await mkdir(path.dirname(target), { recursive: true });
    await copyFile(file, part);
    await rename(part, target);
  } catch {
    await rm(part, { force: true });
  }
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
