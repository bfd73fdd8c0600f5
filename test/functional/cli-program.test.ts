import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  AccessDenied,
  BackupNotFound,
  BackupNotVerified,
  errorCatalogue,
  RetentionGuard,
  ServiceUnavailable,
  UnknownSource,
} from '#errors';
import { makeCliDeps, runCommand } from '#test/cli.ts';
import { seedBackup } from '#test/fakes.ts';
import { readCommandTree } from '../../cli/command-tree.ts';
import { SHELLS } from '../../cli/completion-scripts.ts';
import { EXIT, exitCodeOf } from '../../cli/exit-codes.ts';
import { readLocalServices } from '../../cli/local-services.ts';
import { buildProgram } from '../../cli/program.ts';

const terminal = {
  out() {},
  err() {},
  outIsTty: false,
  errIsTty: false,
  canAsk: false,
  ask: async () => '',
};
const program = buildProgram(
  {
    terminal,
    environment: {},
    signal: new AbortController().signal,
    connect: () => Promise.reject(new Error('nothing is connected')),
  },
  () => {},
);
const tree = readCommandTree(program);
const names = tree.commands.map(({ name }) => name);
const globalFlags = tree.globalOptions.map(({ flag }) => flag);
const flagsOf = (name: string) =>
  tree.commands.find((it) => it.name === name)?.options.map(({ flag }) => flag) ?? [];

/** `holdfast` commands in a text, one a line. */
const commandsIn = (text: string) =>
  [...text.matchAll(/^ *((?:source <\()?holdfast \S.*)$/gm)].map(([, line = '']) => line);

/** What is wrong with a command in a text; empty when nothing is. */
function faultsOf(line: string): string[] {
  const [, name = ''] = /holdfast (\S+)/.exec(line) ?? [];
  if (!names.includes(name)) return [`${line}: no command ${name}`];
  const used = [...line.matchAll(/ (--[a-z-]+)/g)].map(([, flag = '']) => flag);
  const known = [...flagsOf(name), ...globalFlags];
  return used.filter((flag) => !known.includes(flag)).map((flag) => `${line}: no ${flag}`);
}

describe('the help', () => {
  it.each(names)('of %s has examples that work, and the options of all commands', async (name) => {
    const { exitCode, stdout } = await runCommand([name, '--help']);
    expect(exitCode).toBe(0);
    const [, examples = ''] = stdout.split('\nExamples:\n');
    const commands = commandsIn(examples);
    expect(commands.length).toBeGreaterThan(0);
    expect(commands.flatMap(faultsOf)).toEqual([]);
    expect(commands.filter((line) => !line.includes(`holdfast ${name}`))).toEqual([]);
    for (const flag of globalFlags) expect(stdout).toContain(flag);
  });

  it('of the whole names every command and the exit codes', async () => {
    const { exitCode, stdout } = await runCommand(['--help']);
    expect(exitCode).toBe(0);
    for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
    for (const code of Object.values(EXIT)) expect(stdout).toMatch(new RegExp(`\\b${code} \\w`));
    expect(commandsIn(stdout.split('\nExamples:\n')[1] ?? '').flatMap(faultsOf)).toEqual([]);
  });

  it('is shown, with exit code 2, when there is no command', async () => {
    const { exitCode, stdout, stderr } = await runCommand([]);
    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^Usage: holdfast/);
  });
});

describe('docs/cli.md', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/cli.md'), 'utf8');
  const sections = new Map(
    text
      .split(/^### holdfast /m)
      .slice(1)
      .map((part) => {
        const name = part.slice(0, part.indexOf('\n'));
        return [name, part.split(/^## /m)[0] ?? ''];
      }),
  );
  const firstCells = (part: string) =>
    [...part.matchAll(/^\| `(--[a-z-]+)` \|/gm)].map(([, cell = '']) => cell);

  it('has a section for every command, and none for one that is gone', () => {
    expect([...sections.keys()].toSorted()).toEqual(names.toSorted());
  });

  it.each([...sections.keys()])('has every option of %s once, and no other', (name) => {
    expect(firstCells(sections.get(name) ?? '').toSorted()).toEqual(flagsOf(name).toSorted());
  });

  it('has the options of all commands', () => {
    const [before = ''] = text.split('## Commands');
    const wanted = globalFlags.filter((flag) => flag !== '--help' && flag !== '--version');
    expect(firstCells(before).toSorted()).toEqual(wanted.toSorted());
  });

  it('has only examples that work', () => {
    const blocks = [...text.matchAll(/^```\n(.*?)^```/gms)].map(([, block = '']) => block).join('');
    expect(commandsIn(blocks).length).toBeGreaterThan(10);
    expect(commandsIn(blocks).flatMap(faultsOf)).toEqual([]);
    expect(faultsOf('holdfast lst')).toHaveLength(1);
    expect(faultsOf('holdfast list --sorted')).toHaveLength(1);
  });

  it('has the exit codes as they are', () => {
    const rows = [...text.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map(([, code]) => Number(code));
    expect(rows).toEqual(Object.values(EXIT));
    const source = readFileSync(resolve(import.meta.dirname, '../../cli/exit-codes.ts'), 'utf8');
    const table = [...source.matchAll(/^ \* \| (\d+) +\| (.+?) *\|$/gm)].map(([, code, it]) => [
      code,
      it,
    ]);
    expect([...text.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map(([, code, it]) => [code, it])).toEqual(
      table,
    );
  });
});

describe('the exit code of an error', () => {
  it.each([
    [UnknownSource, 3],
    [BackupNotFound, 3],
    [BackupNotVerified, 4],
    [RetentionGuard, 4],
    [AccessDenied, 5],
    [ServiceUnavailable, 5],
  ])('%o is in the table', (errorClass, code) => {
    expect(exitCodeOf(errorClass.errorName)).toBe(code);
  });

  it('is 1 for what nobody foresaw, and never 0', () => {
    expect(exitCodeOf('TypeError')).toBe(1);
    expect([...errorCatalogue.keys()].filter((name) => exitCodeOf(name) === 0)).toEqual([]);
  });
});

describe('an error', () => {
  const failing = (error: unknown) => {
    const deps = makeCliDeps();
    deps.objects.fault = () => {
      throw error;
    };
    return deps;
  };
  const named = (name: string, message: string) => Object.assign(new Error(message), { name });

  it('is one JSON document with --json, and nothing else', async () => {
    const { exitCode, document, stderr } = await runCommand(['list', 'odrers', '--json']);
    expect([exitCode, stderr]).toEqual([3, '']);
    expect(document).toEqual({
      error: {
        name: 'UnknownSource',
        message: expect.stringContaining('odrers'),
        remedy: expect.stringContaining('Check the name'),
      },
    });
    const usage = await runCommand(['lst', '--json']);
    expect(usage).toMatchObject({ exitCode: 2, stderr: '' });
    expect(usage.document).toMatchObject({
      error: { name: 'InvalidInput', message: expect.stringContaining('did you mean list?') },
    });
  });

  it.each([
    [named('CredentialsProviderError', 'Could not load credentials from any providers')],
    [named('ExpiredTokenException', 'The security token included in the request is expired')],
    [named('UnrecognizedClientException', 'The security token is invalid')],
    [new AccessDenied('AWS refused it', { cause: named('InvalidAccessKeyId', 'no such key') })],
  ])('of credentials says how to sign in: %s', async (error) => {
    const { exitCode, stderr } = await runCommand(['list'], { deps: failing(error) });
    expect(exitCode).toBe(5);
    expect(stderr).toMatch(/^CredentialsUnusable: .*\nsign in again/);
  });

  it('of a missing region says how to name one', async () => {
    const { exitCode, stderr } = await runCommand(['list'], {
      deps: failing(new Error('Region is missing')),
    });
    expect([exitCode, stderr]).toEqual([
      5,
      'InvalidEnvironment: no AWS region is set\ngive --region eu-west-1, or set AWS_REGION\n',
    ]);
  });

  it('that nobody foresaw has its stack with --debug only', async () => {
    const deps = failing(new TypeError('x is not a function', { cause: new Error('deep') }));
    const plain = await runCommand(['list'], { deps });
    expect(plain.exitCode).toBe(1);
    expect(plain.stderr).toMatch(/^TypeError: x is not a function\n/);
    expect(plain.stderr).not.toMatch(/^ {4}at /m);
    const debug = await runCommand(['list', '--debug'], { deps });
    expect(debug.stderr).toMatch(/^ {4}at .*\n[\s\S]*caused by Error: deep/m);
  });

  it('shows what comes from outside with nothing in it that a terminal obeys', async () => {
    const deps = failing(new Error('a\u001b]0;title\u0007\nb\u202e'));
    const { stderr } = await runCommand(['list'], { deps });
    expect(stderr.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    const typed = await runCommand(['show', 'orders/\u001b[2J']);
    expect(typed.stderr).not.toContain('\u001b');
  });
});

describe('the options of all commands', () => {
  it('may stand before and after the command, and --local takes no word from it', async () => {
    const deps = makeCliDeps();
    seedBackup(deps.objects, {});
    for (const argv of [
      ['--json', '--local', 'list', 'orders'],
      ['list', '--local', 'orders', '--json'],
      ['list', 'orders', '--json', '--local=elsewhere', '--stage', 'x'],
    ]) {
      const { exitCode, document } = await runCommand(argv, { deps });
      expect([exitCode, document['omitted']]).toEqual([0, 0]);
    }
  });
});

describe('completion', () => {
  const scriptOf = async (shell: string) => (await runCommand(['completion', shell])).stdout;

  /** What bash offers for a line, of which the last word is being typed. */
  async function complete(...words: string[]): Promise<string[]> {
    const program = `${await scriptOf('bash')}
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const options = { encoding: 'utf8', timeout: 120_000 } as const;
    const printed = execFileSync('bash', ['-c', program, 'bash', ...words], options);
    return printed.split('\n').filter((line) => line !== '');
  }

  it('is registered in bash', async () => {
    const program = `${await scriptOf('bash')}\ncomplete -p holdfast`;
    const printed = execFileSync('bash', ['-c', program], { encoding: 'utf8', timeout: 120_000 });
    expect(printed).toBe('complete -F _holdfast holdfast\n');
  });

  it('offers commands, options of the command and values of options', async () => {
    expect(await complete('holdfast', 're')).toEqual(
      expect.arrayContaining(['restore', 'restore-server', 'retention']),
    );
    expect(await complete('holdfast', '')).toEqual(expect.arrayContaining(names));
    expect(await complete('holdfast', 'restore', 'orders/shop', '--sw')).toEqual(['--swap']);
    expect(await complete('holdfast', '--json', 'list', '--sn')).toEqual(['--snapshots']);
    expect(await complete('holdfast', 'verify', 'x', '--level', '')).toEqual(['structure', 'full']);
    expect(await complete('holdfast', 'completion', '')).toEqual(
      expect.arrayContaining([...SHELLS]),
    );
    expect(await complete('holdfast', 'restore', '--role', '')).toEqual([]);
  });

  it.each(SHELLS)('for %s has every command and every option', async (shell) => {
    const script = await scriptOf(shell);
    const flags = [...names.flatMap(flagsOf), ...globalFlags];
    const written = (flag: string) => (shell === 'fish' ? `-l ${flag.slice(2)} ` : flag);
    expect(names.filter((name) => !script.includes(name))).toEqual([]);
    expect(flags.filter((flag) => !script.includes(written(flag)))).toEqual([]);
  });

  it('knows no other shell', async () => {
    const { exitCode, stderr } = await runCommand(['completion', 'tcsh']);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('bash, zsh, fish');
  });
});

describe('the local services', () => {
  let directory = '';
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-services-'));
  });
  afterEach(() => rm(directory, { recursive: true }));
  const write = (content: object | string) =>
    writeFile(
      join(directory, 'services.json'),
      typeof content === 'string' ? content : JSON.stringify(content),
    );
  const services = {
    version: 1,
    stage: 'local',
    pid: process.pid,
    environment: { AWS_REGION: 'x' },
  };

  it('are found by the file that they leave', async () => {
    await write(services);
    expect(await readLocalServices(directory)).toEqual(services);
  });

  it('are missed, with how to start them, when there is no file, no sense in it, or no process', async () => {
    const refused = {
      name: 'DeploymentNotFound',
      message: expect.stringContaining('npm start -- --keep'),
    };
    await expect(readLocalServices(directory)).rejects.toMatchObject(refused);
    await write('{');
    await expect(readLocalServices(directory)).rejects.toMatchObject(refused);
    // Above the largest id that Linux gives to a process.
    await write({ ...services, pid: 2 ** 22 + 1 });
    await expect(readLocalServices(directory)).rejects.toMatchObject(refused);
  });
});
