import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { findTarballs, type Release } from '../../scripts/lib-postgres-tarballs.ts';
import {
  type BuiltClient,
  clientPrograms,
  directorySizeBytes,
  ensurePostgresClients,
  findInstalledClients,
  maxSizeBytes,
} from '../../scripts/postgres-clients.ts';

const layer = path.resolve(import.meta.dirname, '../../layers/postgres-client');
let temporary: string;
let count = 0;

beforeAll(() => {
  temporary = mkdtempSync(path.join(tmpdir(), 'holdfast-clients-'));
});
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

function makeFolder(): string {
  const folder = path.join(temporary, String(++count));
  mkdirSync(folder);
  return folder;
}

// Builds on first use (a minute); `npm test` has done so before.
const clients = await ensurePostgresClients();
const fellBack = clients.fellBackTo !== undefined;

describe.skipIf(fellBack)('the built clients (skipped where none can be built)', () => {
  const recorded = (major: number): BuiltClient => {
    const text = readFileSync(path.join(clients.directory, 'clients.json'), 'utf8');
    return JSON.parse(text).clients[major];
  };

  it('are there for at least one major, and every other has its reason', () => {
    expect(clients.majors).not.toEqual([]);
    const accounted = [...clients.majors, ...clients.missing.map(({ major }) => major)];
    expect(new Set(accounted)).toEqual(new Set([16, 17, 18]));
    expect(accounted).toHaveLength(3);
    for (const { reason } of clients.missing) expect(reason).not.toBe('');
  });

  it.each(clients.majors)(
    'of %i say the version that is on record, program by program',
    (major) => {
      for (const program of clientPrograms) {
        const file = path.join(clients.directory, String(major), 'bin', program);
        const said = execFileSync(file, ['--version'], { encoding: 'utf8', timeout: 120_000 });
        expect(said.trim()).toBe(`${program} (PostgreSQL) ${recorded(major).version}`);
      }
    },
  );

  it.each(clients.majors)(
    'of %i need no newer glibc than 2.34, or than this machine where it is past Debian 12',
    (major) => {
      const header: { glibcVersionRuntime?: string } =
        (process.report.getReport() as { header?: object }).header ?? {};
      const here = Number(header.glibcVersionRuntime?.split('.')[1]);
      expect(here).toBeGreaterThan(0);
      const [, minor] = recorded(major).glibc.split('.').map(Number);
      expect(minor).toBeLessThanOrEqual(here <= 36 ? 34 : here);
      const prefix = path.join(clients.directory, String(major));
      expect(check(prefix, recorded(major).version)).toMatchObject({
        status: 0,
        stdout: `${recorded(major).version} needs GLIBC_${recorded(major).glibc}\n`,
      });
    },
  );

  it('fit a Lambda layer, without symbolic links', async () => {
    expect(await directorySizeBytes(clients.directory)).toBeLessThan(maxSizeBytes);
    const entries = readdirSync(clients.directory, { recursive: true, withFileTypes: true });
    expect(entries.filter((entry) => entry.isSymbolicLink())).toEqual([]);
  });

  it('run from another folder, past other libraries in LD_LIBRARY_PATH, as in a Lambda', () => {
    const major = String(clients.majors.at(-1));
    const moved = path.join(makeFolder(), 'opt');
    cpSync(path.join(clients.directory, major), moved, { recursive: true });
    const decoys = makeFolder();
    for (const library of readdirSync(path.join(moved, 'lib')))
      writeFileSync(path.join(decoys, library), 'not a library');
    const env = { LD_LIBRARY_PATH: decoys };
    for (const program of clientPrograms) {
      const result = spawnSync(path.join(moved, 'bin', program), ['--version'], { env });
      expect({ program, status: result.status, error: String(result.stderr) }).toEqual({
        program,
        status: 0,
        error: '',
      });
    }
  });

  it('are refused by check.sh when a library is missing or the version is another', () => {
    const major = clients.majors.at(-1) ?? 0;
    const { version } = recorded(major);
    const copy = path.join(makeFolder(), 'opt');
    cpSync(path.join(clients.directory, String(major)), copy, { recursive: true });
    expect(check(copy, '18.999')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('instead of version 18.999'),
    });
    // This machine has a libz of its own, which the programs would then take unnoticed.
    rmSync(path.join(copy, 'lib/libz.so.1'));
    expect(check(copy, version)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/libz\.so\.1.* from outside|lacks a library/),
    });
  });

  it('cost a repeated call less than 0.2 seconds and not a word', async () => {
    const log = vi.fn<(line: string) => void>();
    const millis: number[] = [];
    // The best of three: other tests share the machine.
    for (let call = 0; call < 3; call++) {
      const start = performance.now();
      expect(await ensurePostgresClients({ log })).toEqual(clients);
      millis.push(performance.now() - start);
    }
    expect(Math.min(...millis)).toBeLessThan(200);
    expect(log).not.toHaveBeenCalled();
  });
});

function check(prefix: string, version: string) {
  const argv = [path.join(layer, 'check.sh'), prefix, version];
  return spawnSync('bash', argv, { encoding: 'utf8', timeout: 120_000 });
}

/**
 * A release that builds in a second: the files that build.sh uses of PostgreSQL's, around programs which only say
 * their version. It waits in the cache, so that nothing is asked of the network.
 */
function makeRelease({ version = '99.1', configure = ':', broken = false } = {}) {
  const folder = makeFolder();
  const source = path.join(folder, `postgresql-${version}`);
  const write = (file: string, text: string) => {
    mkdirSync(path.dirname(path.join(source, file)), { recursive: true });
    writeFileSync(path.join(source, file), text);
  };
  write('configure', `#!/bin/sh\n${configure}\n`);
  chmodSync(path.join(source, 'configure'), 0o755);
  write('COPYRIGHT', 'none\n');
  write('src/backend/Makefile', 'generated-headers:\n');
  const compile = (target: string, argv: string) =>
    `all:: ; gcc -Wall ${argv} -o ${target} ${target}.c\n`;
  write('src/interfaces/libpq/libpq.so.5.c', 'int answer(void) { return 42; }\n');
  write('src/interfaces/libpq/Makefile', compile('libpq.so.5', '-shared -fPIC'));
  for (const [folderName, ...programs] of [
    ['pg_dump', 'pg_dump', 'pg_dumpall', 'pg_restore'],
    ['psql', 'psql'],
  ] as const) {
    write(
      `src/bin/${folderName}/Makefile`,
      programs.map((program) => compile(program, '')).join(''),
    );
    for (const program of programs) {
      const says = broken ? 'nonsense' : `${program} (PostgreSQL) ${version}`;
      const code = `#include <stdio.h>\nint main(void) { return puts("${says}") < 0; }\n`;
      write(`src/bin/${folderName}/${program}.c`, code);
    }
  }
  const file = path.join(folder, `postgresql-${version}.tar.bz2`);
  execFileSync('tar', ['-cjf', file, '-C', folder, path.basename(source)]);
  const sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
  const url = `https://127.0.0.1:9/postgresql-${version}.tar.bz2`;
  const log = vi.fn<(line: string) => void>();
  const major = Number(version.split('.')[0]);
  const release: Release = { major, version, sha256, url };
  return { cacheDirectory: folder, releases: [release] as const, log };
}

function makeTarget(): string {
  return path.join(makeFolder(), 'x86_64', 'postgres-client');
}

describe.skipIf(fellBack)('a build (skipped where none is possible)', () => {
  const says = (directory: string, major: number) =>
    execFileSync(path.join(directory, String(major), 'bin/pg_dump'), { encoding: 'utf8' }).trim();

  it('is made once, and again when the pin changes, and leaves nothing else', async () => {
    const directory = makeTarget();
    const first = makeRelease({ version: '99.1' });
    expect(await ensurePostgresClients({ directory, ...first })).toEqual({
      directory,
      majors: [99],
      missing: [],
    });
    expect(says(directory, 99)).toBe('pg_dump (PostgreSQL) 99.1');
    expect(first.log).toHaveBeenCalledTimes(1);
    await ensurePostgresClients({ directory, ...first });
    expect(first.log).toHaveBeenCalledTimes(1);

    const second = makeRelease({ version: '99.2' });
    await ensurePostgresClients({ directory, ...second });
    expect(says(directory, 99)).toBe('pg_dump (PostgreSQL) 99.2');

    const successor = makeRelease({ version: '100.0' });
    await ensurePostgresClients({ directory, ...successor });
    expect(readdirSync(directory).toSorted()).toEqual(['100', 'clients.json']);
    expect(readdirSync(path.dirname(directory))).toEqual(['postgres-client']);
    expect(readdirSync(`${path.dirname(directory)}.work`)).toEqual(['lock']);
  });

  it('is made again when its programs were deleted', async () => {
    const directory = makeTarget();
    const release = makeRelease();
    await ensurePostgresClients({ directory, ...release });
    rmSync(path.join(directory, '99'), { recursive: true });
    await ensurePostgresClients({ directory, ...release });
    expect(says(directory, 99)).toBe('pg_dump (PostgreSQL) 99.1');
  });

  it('is made by one of several that ask for it at the same time', async () => {
    const directory = makeTarget();
    const release = makeRelease();
    const results = await Promise.all(
      Array.from({ length: 4 }, () => ensurePostgresClients({ directory, ...release })),
    );
    for (const { majors } of results) expect(majors).toEqual([99]);
    const builds = release.log.mock.calls.filter(([line]) => line.startsWith('building'));
    expect(builds).toHaveLength(1);
  });

  it('that fails its check is not put into place, and does not harm the others', async () => {
    const directory = makeTarget();
    const good = makeRelease({ version: '99.1' });
    const bad = makeRelease({ version: '98.1', broken: true });
    cpSync(
      path.join(bad.cacheDirectory, 'postgresql-98.1.tar.bz2'),
      path.join(good.cacheDirectory, 'postgresql-98.1.tar.bz2'),
    );
    const options = { directory, ...good, releases: [...bad.releases, ...good.releases] };
    const result = await ensurePostgresClients(options);
    expect(result.majors).toEqual([99]);
    expect(result.missing).toEqual([
      { major: 98, reason: expect.stringContaining('instead of version 98.1') },
    ]);
    expect(existsSync(path.join(directory, '98'))).toBe(false);
  });

  it('that is stopped leaves no process and no client behind, and the next one works', async () => {
    const directory = makeTarget();
    const folder = makeFolder();
    const pidFile = path.join(folder, 'pid');
    const slow = makeRelease({ configure: `echo $$ >${pidFile}; exec sleep 60` });
    const stop = new AbortController();
    const patiently = { timeout: 120_000 };
    const building = ensurePostgresClients({ directory, ...slow, signal: stop.signal });
    await expect
      .poll(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8'), patiently)
      .toMatch(/\d\n/);
    stop.abort(new Error('enough'));
    await expect(building).rejects.toThrow('enough');
    const pid = Number(readFileSync(pidFile, 'utf8'));
    await expect.poll(() => isRunning(pid), patiently).toBe(false);
    expect(existsSync(directory)).toBe(false);

    const { majors } = await ensurePostgresClients({ directory, ...makeRelease() });
    expect(majors).toEqual([99]);
  });

  it('stops before it unpacks a tarball that is not the pinned one', async () => {
    const { cacheDirectory } = makeRelease();
    const prefix = path.join(makeFolder(), 'prefix');
    const tarball = path.join(cacheDirectory, 'postgresql-99.1.tar.bz2');
    const argv = [path.join(layer, 'build.sh'), tarball, '0'.repeat(64), prefix];
    const result = spawnSync('bash', argv, { encoding: 'utf8', timeout: 120_000 });
    expect(result.status).toBe(1);
    expect(result.stderr).toContain('does not have the SHA-256');
    expect(existsSync(prefix)).toBe(false);
  });
});

/** Puts an apt-get in front of the PATH that offers one source package, and says where it noted its sources. */
function offerSourcePackage({ version, tarball }: { version: string; tarball: string }): string {
  const folder = makeFolder();
  const [major] = version.split('.');
  const noted = path.join(folder, 'sources');
  const script = `#!/bin/sh
    case "$*" in
      indextargets*)
        echo "Debian|bookworm-updates|http://127.0.0.1:9/not-this/"
        echo "Debian|bookworm|http://127.0.0.1:9/debian/" ;;
      update*) for word; do case $word in *sourcelist=*) cat "\${word#*=}" >${noted} ;; esac; done ;;
      source*postgresql-${major}) cp ${tarball} postgresql-${major}_${version}.orig.tar.bz2 ;;
      *) echo "E: Unable to find a source package for it" >&2; exit 100 ;;
    esac
  `;
  writeFileSync(path.join(folder, 'apt-get'), script, { mode: 0o755 });
  const { PATH } = process.env;
  vi.stubEnv('PATH', `${folder}:${PATH}`);
  return noted;
}

describe("the distribution's source package", () => {
  const withEmptyCache = (release: ReturnType<typeof makeRelease>) => {
    const tarball = path.join(
      release.cacheDirectory,
      `postgresql-${release.releases[0].version}.tar.bz2`,
    );
    return { ...release, tarball, cacheDirectory: makeFolder(), temporary: makeFolder() };
  };

  it('stands in for an unreachable download when it holds the pinned tarball, which is then kept', async () => {
    const { releases, tarball, ...options } = withEmptyCache(makeRelease({ version: '99.1' }));
    const noted = offerSourcePackage({ version: '99.1', tarball });
    const { tarballs, missing } = await findTarballs(releases, { ...options, deployable: true });
    expect(missing).toEqual([]);
    expect(tarballs).toMatchObject([{ version: '99.1', pinned: true }]);
    expect(readFileSync(noted, 'utf8')).toMatch(
      /^deb-src .*http:\/\/127\.0\.0\.1:9\/debian\/ trixie main\ndeb-src .* forky main\n$/,
    );
    expect(readdirSync(options.cacheDirectory)).toEqual(['postgresql-99.1.tar.bz2']);
  });

  it('may be another minor release on this machine, but not in a deployment', async () => {
    const { releases, ...options } = withEmptyCache(makeRelease({ version: '99.1' }));
    const { tarball } = withEmptyCache(makeRelease({ version: '99.2' }));
    offerSourcePackage({ version: '99.2', tarball });
    const local = await findTarballs(releases, options);
    expect(local.tarballs).toMatchObject([{ version: '99.2', pinned: false }]);
    expect(readdirSync(options.cacheDirectory)).toEqual([]);
    const deployed = await findTarballs(releases, {
      ...options,
      temporary: makeFolder(),
      deployable: true,
    });
    expect(deployed.tarballs).toEqual([]);
    expect(deployed.missing).toMatchObject([{ major: 99, reason: expect.stringMatching(/99\.2/) }]);
  });

  it('is refused when it says the pinned version over another tarball', async () => {
    const { releases, ...options } = withEmptyCache(makeRelease({ version: '99.1' }));
    const { tarball } = withEmptyCache(makeRelease({ version: '99.1', broken: true }));
    offerSourcePackage({ version: '99.1', tarball });
    const { tarballs, missing } = await findTarballs(releases, options);
    expect(tarballs).toEqual([]);
    expect(missing[0]?.reason).toContain(`instead of ${releases[0].sha256}`);
  });

  it('may not exist, and the reason then names both ways that were tried', async () => {
    const { releases, tarball, ...options } = withEmptyCache(makeRelease({ version: '99.1' }));
    offerSourcePackage({ version: '98.1', tarball });
    const { missing } = await findTarballs(releases, options);
    expect(missing[0]?.reason).toMatch(
      /127\.0\.0\.1.* cannot be had .*; and the distribution has no 99/,
    );
  });

  it('is asked for instead of a cached tarball that was altered', async () => {
    const release = makeRelease({ version: '99.1' });
    const { tarball, temporary } = withEmptyCache(release);
    const original = path.join(temporary, 'original');
    cpSync(tarball, original);
    writeFileSync(tarball, 'altered');
    offerSourcePackage({ version: '99.1', tarball: original });
    const { tarballs } = await findTarballs(release.releases, { ...release, temporary });
    expect(tarballs).toMatchObject([{ pinned: true }]);
    expect(release.log.mock.calls[0]?.[0]).toContain('is not what versions.json pins');
    expect(readFileSync(tarball)).toEqual(readFileSync(original));
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** A folder of programs that say they are of the version, as an installation has them. */
function makeInstallation(version: string): string {
  const folder = makeFolder();
  for (const program of clientPrograms) {
    const file = path.join(folder, program);
    writeFileSync(file, `#!/bin/sh\necho "${program} (PostgreSQL) ${version} (Debian)"\n`);
    chmodSync(file, 0o755);
  }
  return folder;
}

describe('installed clients', () => {
  it('are linked, and named, when none can be built', async () => {
    const directory = makeTarget();
    const release = makeRelease({ broken: true });
    const installation = makeInstallation('17.3');
    const installedIn = [installation];
    const result = await ensurePostgresClients({ directory, ...release, installedIn });
    expect(result).toMatchObject({ majors: [17], fellBackTo: `17 in ${installation}` });
    expect(result.missing.map(({ major }) => major)).toEqual([99]);
    const linked = path.join(result.directory, '17/bin/pg_restore');
    expect(execFileSync(linked, { encoding: 'utf8' })).toContain('17.3');
    expect(existsSync(path.dirname(directory))).toBe(false);
    expect(release.log.mock.lastCall?.[0]).toContain(installation);
  });

  it('are not used where the caller deploys or does not want them', async () => {
    const installedIn = [makeInstallation('17.3')];
    for (const how of [{ fallback: false }, { deployable: true }]) {
      const release = makeRelease({ broken: true });
      const directory = makeTarget();
      const result = await ensurePostgresClients({ directory, ...release, installedIn, ...how });
      expect(result).toMatchObject({ directory, majors: [], missing: [{ major: 99 }] });
      expect(result).not.toHaveProperty('fellBackTo');
    }
  });

  it('count only when they have zstd, are complete, and are not the Debian script that picks one', async () => {
    const old = makeInstallation('15.9');
    const incomplete = makeInstallation('16.1');
    rmSync(path.join(incomplete, 'psql'));
    const wrapper = makeInstallation('16.2');
    cpSync(path.join(wrapper, 'pg_dump'), path.join(wrapper, 'pg_wrapper'));
    rmSync(path.join(wrapper, 'pg_dump'));
    symlinkSync('pg_wrapper', path.join(wrapper, 'pg_dump'));
    const newest = makeInstallation('18.0');
    const good = makeInstallation('17.3');
    const folders = [old, incomplete, wrapper, newest, good, '/nonexistent'];
    expect([...(await findInstalledClients(folders))]).toEqual([
      [17, good],
      [18, newest],
    ]);
  });
});
