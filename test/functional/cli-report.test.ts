import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
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
