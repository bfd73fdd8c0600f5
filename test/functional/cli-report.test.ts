import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REPORT_KEY } from '#domain/names.ts';
import { makeCliDeps, runCommand } from '#test/cli.ts';
import { backupIdAt, seedBackup } from '#test/fakes.ts';
import { openerOf, openFile } from '../../cli/open-file.ts';

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-cli-report-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function depsWithBackup() {
  const deps = makeCliDeps();
  const enabled = { enabled: true, expression: 'rate(1 day)', timezone: 'UTC' };
  deps.surroundings.schedules.set('orders', { known: true, fact: enabled });
  seedBackup(deps.objects, { backupId: backupIdAt('2026-11-20T02:00:00Z') });
  return deps;
}

describe('holdfast report', () => {
  it('saves the page, and says what needs attention beside it', async () => {
    const file = join(directory, 'state.html');
    const { exitCode, stdout, stderr } = await runCommand(['report', '--out', file], {
      deps: depsWithBackup(),
    });
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: `${file}\n` });
    expect(stderr).toBe('amber: orders: No drill has brought its backups back yet\n');
    expect(await readFile(file, 'utf8')).toContain('<h1>Holdfast backup report</h1>');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('has the same for programs', async () => {
    const file = join(directory, 'json.html');
    const { document } = await runCommand(['report', '--out', file, '--json'], {
      deps: depsWithBackup(),
    });
    expect(document).toMatchObject({
      file,
      level: 'amber',
      sources: [{ source: 'orders', level: 'amber', newestVerifiedAt: '2026-11-20T02:00:00.000Z' }],
      attention: [
        { level: 'amber', source: 'orders', toDo: expect.stringContaining('holdfast drill') },
      ],
    });
  });

  it('leaves nobody who could read an older file able to read the new one', async () => {
    const file = join(directory, 'older.html');
    const link = join(directory, 'link.html');
    await writeFile(file, 'old', { mode: 0o644 });
    await chmod(file, 0o644);
    await symlink('older.html', link);
    const reader = await open(file);
    const { exitCode } = await runCommand(['report', '--out', link], { deps: depsWithBackup() });
    expect(exitCode).toBe(0);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(link, 'utf8')).toContain('<h1>Holdfast backup report</h1>');
    // Who had it open has the old one.
    expect(await reader.readFile('utf8')).toBe('old');
    await reader.close();
    expect((await readdir(directory)).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('leaves the older file, and nothing else, where the new one cannot be written whole', async () => {
    const folder = join(directory, 'taken.html');
    await mkdir(folder);
    const before = await readdir(directory);
    const { exitCode, stderr } = await runCommand(['report', '--out', folder], {
      deps: depsWithBackup(),
    });
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${folder} cannot be written (EISDIR)`);
    expect(await readdir(directory)).toEqual(before);
  });

  it('writes into what is no file, as it is', async () => {
    const { exitCode } = await runCommand(['report', '--out', '/dev/null'], {
      deps: depsWithBackup(),
    });
    expect(exitCode).toBe(0);
    expect((await stat('/dev/null')).isCharacterDevice()).toBe(true);
  });

  it('says which file cannot be written', async () => {
    const file = join(directory, 'no/such/folder.html');
    const { exitCode, stderr } = await runCommand(['report', '--out', file], {
      deps: depsWithBackup(),
    });
    expect(exitCode).toBe(2);
    expect(stderr).toContain(`${file} cannot be written (ENOENT)`);
  });

  it('links to the page that the last run left', async () => {
    const deps = depsWithBackup();
    deps.objects.seed(REPORT_KEY, '<!doctype html>');
    const { exitCode, stdout, stderr } = await runCommand(['report', '--link', '--expires', '1h'], {
      deps,
    });
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout: `https://bucket.example/${REPORT_KEY}?signed\n`,
    });
    expect(deps.links.made).toMatchObject([{ key: REPORT_KEY, expiresSeconds: 3600 }]);
    expect(stderr).toContain('works until 2026-11-20 04:00:00 UTC');
  });

  it('has no link before there was a run, none for longer than 12 hours, and none to a file', async () => {
    const deps = depsWithBackup();
    const ended = async (...argv: string[]) =>
      (await runCommand(['report', '--link', ...argv], { deps })).exitCode;
    expect(await ended()).toBe(3);
    expect(await ended('--expires', '13h')).toBe(2);
    expect(await ended('--out', join(directory, 'x.html'))).toBe(2);
  });

  it('opens the page with what the desktop has for it, and with nothing secret', async () => {
    const opener = join(directory, 'xdg-open');
    await writeFile(
      opener,
      `#!/bin/sh\nenv > '${directory}/environment'\necho "$1" > '${directory}/opened'\n`,
    );
    await chmod(opener, 0o755);
    const environment = {
      PATH: `${directory}:/usr/bin:/bin`,
      DISPLAY: ':0',
      AWS_SECRET_ACCESS_KEY: 'not for a browser',
    };
    await openFile('/tmp/a b.html', environment, 'linux');
    expect(await readFile(join(directory, 'opened'), 'utf8')).toBe('/tmp/a b.html\n');
    const passed = await readFile(join(directory, 'environment'), 'utf8');
    expect(passed).toContain('DISPLAY=:0');
    expect(passed).not.toContain('not for a browser');
  });

  it('says where the file is when nothing can open it', async () => {
    const environment = { PATH: directory };
    await rm(join(directory, 'xdg-open'), { force: true });
    await expect(openFile('/tmp/x.html', environment, 'linux')).rejects.toThrow(
      'open /tmp/x.html yourself',
    );
  });

  it.each([
    ['linux', 'xdg-open'],
    ['darwin', 'open'],
    ['win32', 'explorer.exe'],
  ])('knows what opens a file on %s', (platform, path) => {
    expect(openerOf(platform, 'f')).toEqual({ path, args: ['f'] });
  });
});
