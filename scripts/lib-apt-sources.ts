import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunOptions, run } from './lib-run.ts';

/** Debian suites that carry the PostgreSQL majors we bundle: 17 is in trixie, 18 in forky. */
const SUITES = ['trixie', 'forky'] as const;
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface SourceTarball {
  readonly file: string;
  /** What the distribution calls the release, such as `17.11`. */
  readonly version: string;
}

/**
 * Downloads the upstream tarballs inside the distribution's source packages `postgresql-<major>`.
 * apt checks the suites' signatures and the files' sums. The machine's own apt settings say where from, and
 * stay untouched: sources, lists and cache live in `directory`. Needs no root.
 * Majors that the suites do not carry are absent from the result.
 * @throws {Error} where there is no Debian apt, or it cannot be reached.
 */
export async function downloadSourceTarballs(
  majors: readonly number[],
  directory: string,
  options: RunOptions = {},
): Promise<Map<number, SourceTarball>> {
  const uri = await archiveUri(options);
  const lists = path.join(directory, 'lists');
  await mkdir(path.join(lists, 'partial'), { recursive: true });
  const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  const entries = SUITES.map((suite) => `deb-src ${signed}${uri} ${suite} main\n`);
  const sourceList = path.join(directory, 'sources.list');
  // An archive's URI may hold a password, hence the mode.
  await writeFile(sourceList, entries.join(''), { mode: 0o600 });
  const settings = [
    `-oDir::Etc::sourcelist=${sourceList}`,
    '-oDir::Etc::sourceparts=-',
    `-oDir::State::lists=${lists}`,
    `-oDir::Cache=${directory}`,
    '-oAcquire::Retries=2',
    '-oAcquire::http::Timeout=15',
    // Root would hand downloads to a user who cannot write here.
    '-oAPT::Sandbox::User=',
  ];
  await run('apt-get', ['update', ...settings], { ...options, timeoutSeconds: 120 });

  const found = new Map<number, SourceTarball>();
  for (const major of majors) {
    const source = `postgresql-${major}`;
    const target = path.join(directory, source);
    await mkdir(target);
    try {
      const argv = ['source', '--download-only', ...settings, source];
      await run('apt-get', argv, { ...options, cwd: target, timeoutSeconds: 300 });
    } catch (error) {
      if (String(error).includes('Unable to find a source package')) continue;
      throw error;
    }
    for (const name of await readdir(target)) {
      const version = /_([0-9.]+)\.orig\.tar\.\w+$/.exec(name)?.[1];
      if (version) found.set(major, { file: path.join(target, name), version });
    }
  }
  return found;
}

/** Where this machine's apt gets its Debian release from. */
async function archiveUri(options: RunOptions): Promise<string> {
  const format = '$(LABEL)|$(RELEASE)|$(REPO_URI)';
  const output = await run('apt-get', ['indextargets', '--format', format], options);
  for (const line of output.split('\n')) {
    const [label, release, uri] = line.split('|');
    // `bookworm`, and neither `bookworm-updates` nor `bookworm-security`.
    if (label === 'Debian' && uri && /^[a-z]+$/.test(release ?? '')) return uri;
  }
  throw new Error('apt knows no Debian archive here; on Debian, run apt-get update first');
}
