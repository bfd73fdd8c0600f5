import { execFileSync, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommand } from '#test/cli.ts';
import { readCommandTree } from '../../cli/command-tree.ts';
import { buildProgram } from '../../cli/program.ts';

/** Completion as zsh and fish themselves do it; bash is beside the other tests of the command. */

const has = (shell: string) =>
  spawnSync(shell, ['-c', 'exit 0'], { timeout: 120_000 }).status === 0;
const [hasZsh, hasFish] = [has('zsh'), has('fish')];
const absent = (isThere: boolean) => (isThere ? '' : ' (skipped: it is not installed)');

const tree = readCommandTree(
  buildProgram(
    {
      terminal: {
        out() {},
        err() {},
        outIsTty: false,
        errIsTty: false,
        canAsk: false,
        ask: async () => '',
      },
      environment: {},
      signal: new AbortController().signal,
      connect: () => Promise.reject(new Error('nothing is connected')),
    },
    () => {},
  ),
);

let directory = '';
/** A place for each way of loading, with nothing of the user's own. */
const placeOf = (way: string) => join(directory, way);
const environment = (home: string) => ({
  PATH: process.env['PATH'],
  HOME: home,
  XDG_CONFIG_HOME: home,
  XDG_DATA_HOME: home,
  XDG_CACHE_HOME: home,
  LC_ALL: 'C.UTF-8',
  TERM: 'xterm',
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-completion-'));
  const scriptOf = async (shell: string) => (await runCommand(['completion', shell])).stdout;
  await mkdir(join(placeOf('found in fpath'), 'functions'), { recursive: true });
  await mkdir(placeOf('sourced'));
  await mkdir(placeOf('fish'));
  const zsh = await scriptOf('zsh');
  await writeFile(join(placeOf('sourced'), 'holdfast.zsh'), zsh);
  await writeFile(join(placeOf('found in fpath'), 'functions', '_holdfast'), zsh);
  for (const way of WAYS) {
    await writeFile(join(placeOf(way), 'setup.zsh'), `${LOADING[way]}\n${TELLING}`);
  }
  await writeFile(join(directory, 'driver.zsh'), DRIVER);
  await writeFile(join(placeOf('fish'), 'holdfast.fish'), await scriptOf('fish'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const WAYS = ['sourced', 'found in fpath'] as const;
type Way = (typeof WAYS)[number];
const LOADING: Readonly<Record<Way, string>> = {
  // Whether or not the user's own start file has begun completion.
  sourced: 'source ./holdfast.zsh',
  'found in fpath': 'fpath=($PWD/functions $fpath)\nautoload -Uz compinit\ncompinit -u -D',
};

/** What is offered goes to a file; the line on the screen is for people. */
const TELLING = `
compadd() {
  local -a found
  [[ " $* " == *' -'[OAD]' '* ]] && { builtin compadd "$@"; return }
  builtin compadd -O found "$@"
  (( $#found )) && print -rl -- $found >> $PWD/offers
  builtin compadd "$@"
}
complete-and-tell() { zle complete-word; print; print all-offe''red }
zle -N complete-and-tell
bindkey '^I' complete-and-tell
`;

/** Types a line and a tab into a zsh that has a terminal. */
const DRIVER = `
zmodload zsh/zpty
zpty shell zsh -f -i
await() { local line; while zpty -r shell line; do [[ $line == *$1* ]] && return; done; exit 1 }
zpty -w shell "cd \${(q)1}; source ./setup.zsh; print rea''dy"
await ready
zpty -w -n shell "$2"$'\\t'
await all-offered
zpty -d shell
`;

async function completeInZsh(way: Way, line: string): Promise<string[]> {
  const home = placeOf(way);
  const offers = join(home, 'offers');
  await writeFile(offers, '');
  execFileSync('zsh', ['-f', join(directory, 'driver.zsh'), home, line], {
    env: environment(home),
    cwd: home,
    timeout: 120_000,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const printed = await readFile(offers, 'utf8');
  return printed.split('\n').filter((word) => word !== '');
}

/** Each with its description: `list\tthe backups …`. */
function completeInFish(line: string): string[] {
  const program = 'source $argv[1]; complete --do-complete $argv[2]';
  const home = placeOf('fish');
  const printed = execFileSync(
    'fish',
    ['--no-config', '--command', program, join(home, 'holdfast.fish'), line],
    { env: environment(home), encoding: 'utf8', timeout: 120_000 },
  );
  return printed.split('\n').filter((word) => word !== '');
}

const wordsOf = (offers: readonly string[]) =>
  offers.map((offer) => offer.split('\t')[0] ?? '').toSorted();
const names = tree.commands.map(({ name }) => name).toSorted();

/** A line of which the last word is being typed, and what fits there. */
const LINES: readonly (readonly [situation: string, line: string, offered: readonly string[]])[] = [
  ['a command', 'holdfast ', names],
  ['the rest of a command', 'holdfast res', ['restore', 'restore-server']],
  ['a command behind an option with a value', 'holdfast --stage dev li', ['link', 'list']],
  ['an option behind an option', 'holdfast --json list --sn', ['--snapshots']],
  ['an option behind an argument', 'holdfast restore orders/shop --sw', ['--swap']],
  ['an option a second time', 'holdfast restore --table a --tab', ['--table']],
  ['an option of all commands', 'holdfast show orders/shop --jso', ['--json']],
  ['a value of an option', 'holdfast verify x --level ', ['full', 'structure']],
  ['a value of the argument', 'holdfast completion ', ['bash', 'fish', 'zsh']],
  ['nothing for a value that is not known', 'holdfast restore --role ', []],
  ['nothing of other commands', 'holdfast doctor --sw', []],
];

describe.skipIf(!hasZsh)(`zsh${absent(hasZsh)}`, () => {
  it.each(LINES)('offers %s: %s', async (_, line, offered) => {
    expect(wordsOf(await completeInZsh('sourced', line))).toEqual(offered);
  });

  it('offers the same at the first tab when it finds the script by itself', async () => {
    expect(wordsOf(await completeInZsh('found in fpath', 'holdfast res'))).toEqual([
      'restore',
      'restore-server',
    ]);
  });

  it('offers every option of every command', async () => {
    for (const { name, options } of tree.commands) {
      const offered = await completeInZsh('sourced', `holdfast ${name} --`);
      const flags = [...options, ...tree.globalOptions].map(({ flag }) => flag);
      expect([name, wordsOf(offered)]).toEqual([name, flags.toSorted()]);
    }
  });
});

describe.skipIf(!hasFish)(`fish${absent(hasFish)}`, () => {
  it.each(LINES)('offers %s: %s', (_, line, offered) => {
    expect(wordsOf(completeInFish(line))).toEqual(offered);
  });

  it('offers every option of every command, with what it is for', () => {
    for (const { name, options } of tree.commands) {
      const offered = completeInFish(`holdfast ${name} --`);
      const expected = [...options, ...tree.globalOptions].map(
        ({ flag, description }) => `${flag}\t${description}`,
      );
      expect([name, offered.toSorted()]).toEqual([name, expected.toSorted()]);
    }
  });
});
