import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseReleases } from '../../scripts/lib-postgres-tarballs.ts';
import { isDeployable, missingBuildPackages } from '../../scripts/postgres-clients.ts';

const checkout = path.resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(path.join(checkout, file), 'utf8');

describe('versions.json', () => {
  it('pins one release of each major from 16, the first with zstd, to 18', () => {
    const releases = parseReleases(read('layers/postgres-client/versions.json'));
    expect(releases.map(({ major }) => major)).toEqual([16, 17, 18]);
    for (const { version, url } of releases) {
      expect(url).toBe(
        `https://ftp.postgresql.org/pub/source/v${version}/postgresql-${version}.tar.bz2`,
      );
    }
  });

  const good = {
    version: '17.11',
    sha256: 'd'.repeat(64),
    url: 'https://ftp.postgresql.org/pub/source/v17.11/postgresql-17.11.tar.bz2',
  };
  it.each([
    ['the release of another major', { version: '18.1' }, /17: version 18\.1 is not a release/],
    ['a version that is only a major', { version: '17' }, /17: version 17 is not a release/],
    ['no version', { version: undefined }, /17: version undefined/],
    ['a digest that was cut', { sha256: 'd'.repeat(63) }, /17: sha256 is not 64/],
    ['the tarball of another release', { version: '17.10' }, /17: url does not lead to/],
    ['an address without TLS', { url: good.url.replace('https', 'http') }, /17: url does not/],
  ])('is rejected with %s', (_, change, message) => {
    const text = JSON.stringify({ 17: { ...good, ...change } });
    expect(() => parseReleases(text)).toThrow(message);
  });
});

describe('a built client', () => {
  it.each([
    ['2.34', true],
    ['2.4', true],
    ['2.17', true],
    ['2.35', false],
    ['2.100', false],
    ['3.0', false],
  ])('that needs glibc %s may go to Lambda: %s', (glibc, expected) => {
    expect(isDeployable({ pinned: true, glibc })).toBe(expected);
  });

  it('may not go to Lambda when it is not of the pinned release', () => {
    expect(isDeployable({ pinned: false, glibc: '2.34' })).toBe(false);
  });
});

describe('the build packages', () => {
  it('are all named on a machine that has none', () => {
    const missing = missingBuildPackages(() => false);
    expect(missing).toEqual(expect.arrayContaining(['bison', 'flex', 'gcc', 'libssl-dev']));
  });

  it('are named one by one where some are there', () => {
    const missing = missingBuildPackages((file) => !/\/(bison|zstd\.h)$/.test(file));
    expect(missing).toEqual(['bison', 'libzstd-dev']);
  });
});

describe('the task image', () => {
  const dockerfile = read('tasks/Dockerfile');
  const instructions = dockerfile
    .replaceAll(/^#.*\n/gm, '')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' '));
  const copied = instructions
    .filter(([verb, first]) => verb === 'COPY' && !first?.startsWith('--from'))
    .flatMap((words) => words.slice(1, -1));

  it('starts from images pinned by digest, or from its own stages', () => {
    const bases = instructions.filter(([verb]) => verb === 'FROM');
    const stages = bases.map(([, , , stage]) => stage);
    const foreign = bases.map(([, image]) => image).filter((image) => !stages.includes(image));
    expect(foreign).toEqual([
      expect.stringMatching(/\/node:24\.\d+\.\d+-bookworm-slim@sha256:[0-9a-f]{64}$/),
    ]);
  });

  it('runs as a user that is not root, and starts Node without a shell', () => {
    const last = (verb: string) => instructions.findLast(([first]) => first === verb)?.slice(1);
    expect(last('USER')?.join(' ')).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(last('ENTRYPOINT')?.join(' ')).toBe('["node", "--max-semi-space-size=1"]');
    expect(last('CMD')).toEqual(['["dump-database.mjs"]']);
  });

  it('copies files that exist, and what npm run build makes', () => {
    const made = copied.filter((file) => file.startsWith('dist/'));
    const kept = copied.filter((file) => !file.startsWith('dist/'));
    expect(made).toEqual(['dist/tasks/*.mjs']);
    expect(kept).not.toEqual([]);
    expect(kept.filter((file) => !existsSync(path.join(checkout, file)))).toEqual([]);
  });

  it('lets exactly the copied files through .dockerignore', () => {
    const rules = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(rules[0]).toBe('*');
    expect(rules.slice(1).toSorted()).toEqual(copied.map((file) => `!${file}`).toSorted());
  });

  it('copies every script that the build stage imports, none of which needs npm ci', () => {
    for (const script of copied.filter((file) => file.startsWith('scripts/'))) {
      const imports = Array.from(read(script).matchAll(/from '([^']+)'/g), ([, from = '']) => from);
      for (const from of imports.filter((name) => !name.startsWith('node:')))
        expect(copied).toContain(path.posix.join('scripts', from));
    }
  });

  it('has the clients and the authorities of RDS where the tasks look for them', () => {
    const environment = read('src/runtime/environment.ts');
    for (const file of ['/opt/postgres-client', '/opt/rds-ca/global-bundle.pem']) {
      expect(environment).toContain(`'${file}'`);
      expect(instructions.map((words) => words.at(-1)?.replace(/\/$/, ''))).toContain(file);
    }
  });
});
