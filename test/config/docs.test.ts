import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DrillInput } from '#contracts/drill.ts';
import { RestoreInput, Selection } from '#contracts/restore.ts';
import { ServerRestoreInput, ServerTarget } from '#contracts/restore-server.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import { DrillRules } from '#contracts/source-plan.ts';
import { BackupInput } from '#contracts/workflow.ts';
import { BACKUP_FILES } from '#domain/names.ts';
import { hasNextStep } from '#domain/next-steps.ts';
import { errorCatalogue } from '#errors';
import { everyState, functionOf, type StateMachine } from '../../scripts/check-state-machine.ts';
import { readStatesTable, retriedEverywhere } from '../statemachines/states-table.ts';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');

const NOT_OURS = /^(node_modules|dist|coverage|\.git|\.serverless|\.holdfast|\.cache)$/;
const files = globSync('**/*', {
  cwd: root,
  exclude: (path) => NOT_OURS.test(path.split('/').at(-1) ?? ''),
}).filter((file) => statSync(join(root, file)).isFile());
const documents = files.filter((file) => file.endsWith('.md'));

const { scripts, bin: ownPrograms } = JSON.parse(read('package.json')) as Record<
  'scripts' | 'bin',
  Record<string, string>
>;

/** Outside of code, so that `[x](y)` in an example is none. */
function prose(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, '').replaceAll(/`[^`\n]*`/g, '``');
}

/** As GitHub makes them: lower case, blanks to hyphens, other marks dropped. */
function anchorsOf(document: string): Set<string> {
  const headings = read(document)
    .replaceAll(/^```.*?^```$/gms, '')
    .matchAll(/^#+ (.+)$/gm);
  const slugs = [...headings].map(([, title = '']) =>
    title
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s-]/gu, '')
      .replaceAll(/\s/g, '-'),
  );
  return new Set(slugs);
}

describe.each(documents)('%s', (document) => {
  const text = read(document);

  it('links only to what is there', () => {
    const links = [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    const broken = links
      .filter((link) => !/^(https?|mailto):/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#');
        const target = path === '' ? document : join(dirname(document), path);
        if (!existsSync(join(root, target))) return true;
        return anchor !== undefined && !anchorsOf(target).has(anchor);
      });
    expect(broken).toEqual([]);
  });

  it('names only files that are there', () => {
    const cited = [...text.matchAll(/`((?:[\w.-]+\/)+[\w.-]*)`/g)].map(([, path = '']) => path);
    // What begins with a folder of ours is a path; the rest are keys of objects.
    const missing = cited
      .filter((path) => existsSync(join(root, path.split('/')[0] ?? '')))
      .filter((path) => !NOT_OURS.test(path.split('/')[0] ?? ''))
      .filter((path) => !existsSync(join(root, path)));
    expect(missing).toEqual([]);
  });

  it('has only commands that work in this checkout', () => {
    const commands = [...text.matchAll(/\b(npm|npx) [^`\n#&|]+/g)].map(([command]) => command);
    expect(commands.flatMap(faultsOfCommand)).toEqual([]);
  });
});

/** What is wrong with a command of npm or npx; empty when nothing is. */
function faultsOfCommand(command: string): string[] {
  const [program, ...words] = command.trim().split(/\s+/);
  const args = words.filter((word) => !word.startsWith('--') || word === '--');
  const paths = args.filter((arg) => /^[\w.-]+(\/[\w.-]+)+\.\w+$/.test(arg));
  const faults = paths
    .filter((path) => !existsSync(join(root, path)))
    .map((path) => `${command}: there is no ${path}`);
  if (program === 'npx') {
    const [tool = '', verb] = args;
    if (tool in ownPrograms) return [...faults, ...faultsOfOwn(command, verb)];
    const isThere = existsSync(join(root, 'node_modules/.bin', tool));
    return isThere ? faults : [...faults, `${command}: ${tool} is not installed`];
  }
  const [verb = '', name = ''] = args;
  // Commands of npm itself, and `npm run` alone in a sentence.
  if (['ci', 'install'].includes(verb) || (verb === 'run' && !/^[\w:-]+$/.test(name)))
    return faults;
  const script = verb === 'run' ? name : verb.replace(/\W+$/, '');
  const definition = scripts[script];
  if (definition === undefined) return [...faults, `${command}: there is no script "${script}"`];
  const [, entry] = /^node (\S+)/.exec(definition) ?? [];
  if (!entry) return faults;
  if (!existsSync(join(root, entry))) return [...faults, `${command}: there is no ${entry}`];
  const options = command.split(' -- ')[1]?.matchAll(/--([a-z][a-z-]+)/g) ?? [];
  const unknown = [...options].filter(([, option = '']) => !knowsOption(entry, option));
  return [...faults, ...unknown.map(([option]) => `${command}: ${entry} does not know ${option}`)];
}

/** Of a command of ours: a verb that there is, and options that it or every command has. */
function faultsOfOwn(command: string, verb: string | undefined): string[] {
  const files = ['cli/program.ts', ...(verb ? [`cli/commands/${verb}.ts`] : [])];
  if (!files.every((file) => existsSync(join(root, file)))) return [`${command}: no ${verb}`];
  const texts = files.map(read).join('\n');
  const options = command.match(/--[a-z][a-z-]+/g) ?? [];
  return options
    .filter((option) => !texts.includes(option))
    .map((option) => `${command}: there is no ${option}`);
}

/** Options are keys of `parseArgs`: `'json'`, `json:` or, where it has a hyphen, quoted. */
function knowsOption(entry: string, option: string): boolean {
  return new RegExp(`(^|[\\s{,])'?${option}'?:`, 'm').test(read(entry));
}

describe('the check of commands', () => {
  it('finds scripts, programs, options and files that are not there', () => {
    expect(faultsOfCommand('npm run no-such-thing')).toHaveLength(1);
    expect(faultsOfCommand('npx no-such-thing')).toHaveLength(1);
    expect(faultsOfCommand('npx holdfast no-such-verb')).toHaveLength(1);
    expect(faultsOfCommand('npx holdfast list --no-such-option')).toHaveLength(1);
    expect(faultsOfCommand('npm start -- --no-such-option')).toHaveLength(1);
    expect(faultsOfCommand('npx vitest run test/unit/no-such.test.ts')).toHaveLength(1);
  });
});

const machines = globSync('statemachines/*.asl.json', { cwd: root }).map((file) =>
  file.replace(/^.*\/|\.asl\.json$/g, ''),
);

describe.each(machines)('docs/states.md on %s', (name) => {
  const machine = JSON.parse(read(`statemachines/${name}.asl.json`)) as StateMachine;
  const states = [...everyState(machine)];
  const tasks = states.filter(({ state }) => state.Type === 'Task');
  const table = readStatesTable(name);

  it('has each Task state of the file once, with its function and where its failure goes', () => {
    const told = tasks.map(({ name, state }) => ({
      state: name,
      function: functionOf(state)
        ?.replace(/FunctionArn$/, '')
        .replaceAll(/(?!^)([A-Z])/g, '-$1')
        .toLowerCase(),
      failureGoesTo: state.Catch?.find(({ ErrorEquals }) => ErrorEquals.includes('States.ALL'))
        ?.Next,
    }));
    const rows = table.map(({ state, function: verb, failureGoesTo }) => ({
      state,
      function: verb,
      failureGoesTo,
    }));
    expect(rows).toEqual(expect.arrayContaining(told));
    expect(rows).toHaveLength(told.length);
  });

  it.each(table)('has the timeout and the retries of $state', ({ state, timeout, alsoRetried }) => {
    const found = tasks.find(({ name }) => name === state)?.state;
    expect(timeout).toMatch(
      found?.TimeoutSecondsPath === undefined
        ? new RegExp(`^${found?.TimeoutSeconds} s$`)
        : /^(the plan's `\w+\.timeoutMinutes`|twice what S3 says); heartbeat (`\w+\.heartbeatSeconds`|\d+ h)$/,
    );
    const retried = (found?.Retry ?? []).flatMap(({ ErrorEquals }) => ErrorEquals);
    expect(retried.toSorted()).toEqual([...retriedEverywhere, ...alsoRetried].toSorted());
  });

  it('names every state of the file', () => {
    const text = read('docs/states.md');
    expect(states.map(({ name }) => name).filter((name) => !text.includes(name))).toEqual([]);
  });
});

describe('README.md', () => {
  const section = (title: string) =>
    read('README.md').split(`## ${title}\n`)[1]?.split('\n## ')[0] ?? '';
  const firstCells = (text: string) =>
    [...text.matchAll(/^\| `([^`]+)` \|/gm)].map(([, it = '']) => it);

  it('has every field of the input, and no other', () => {
    expect(firstCells(section('What goes in'))).toEqual(Object.keys(BackupInput.shape));
  });

  it('explains every field of the summary, and no other', () => {
    const table = section('What comes out').split('| Field of the summary |')[1] ?? '';
    const cells = [...table.matchAll(/^\| (`[^|]+`) \|/gm)].map(([, cell = '']) => cell);
    const fields = cells.flatMap((cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, it = '']) => it));
    expect(fields.toSorted()).toEqual(Object.keys(RunSummary.shape).toSorted());
  });

  it('has every file of a backup, and no other', () => {
    const named = firstCells(section('What comes out')).filter((cell) => cell.includes('.'));
    expect(named.toSorted()).toEqual([...BACKUP_FILES].toSorted());
  });
});

describe('docs/restore.md', () => {
  /** The first cells of the table whose first heading is this. */
  const fieldsUnder = (heading: string) => {
    const table = read('docs/restore.md').split(`| ${heading} | Meaning |`)[1]?.split('\n\n')[0];
    return [...(table ?? '').matchAll(/^\| `(\w+)` \|/gm)].map(([, field = '']) => field);
  };

  it.each([
    ['Field of the restore', RestoreInput.shape],
    ['Field of `selection`', Selection.shape],
    ["Field of the server's restore", ServerRestoreInput.shape],
  ])('has under "%s" what the input has, and no other', (heading, shape) => {
    expect(fieldsUnder(heading).toSorted()).toEqual(Object.keys(shape).toSorted());
  });

  it('names every setting of a target', () => {
    const text = read('docs/restore.md');
    const settings = Object.keys(ServerTarget.shape);
    expect(settings.filter((setting) => !text.includes(`\`${setting}\``))).toEqual([]);
  });
});

describe('docs/drills.md', () => {
  const text = read('docs/drills.md');

  it('has every field of the input, and no other', () => {
    const table = text.split('| Field of the drill | Meaning |')[1]?.split('\n\n')[0] ?? '';
    const fields = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, field]) => field);
    expect(fields).toEqual(Object.keys(DrillInput.shape));
  });

  it('has plans that the plan file takes', () => {
    const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block = '']) =>
      parse(block),
    );
    expect(blocks.length).toBeGreaterThan(2);
    for (const { sources } of blocks)
      expect(DrillRules.safeParse(sources.orders.drill).error).toBeUndefined();
  });

  it('names only errors that there are', () => {
    const table = text.split('| Error | Meaning |')[1]?.split('\n\n')[0] ?? '';
    const names = [...table.matchAll(/`([A-Z]\w+)`/g)].map(([, name = '']) => name);
    expect(names.length).toBeGreaterThan(5);
    expect(names.filter((name) => !errorCatalogue.has(name))).toEqual([]);
  });
});

describe('CHANGELOG.md', () => {
  it('begins with the version in package.json', () => {
    const [, newest] = /^## (\S+)/m.exec(read('CHANGELOG.md')) ?? [];
    expect(newest).toBe(JSON.parse(read('package.json')).version);
  });
});

describe('the next steps in alerts', () => {
  it('are there for every error that Holdfast raises', () => {
    const names = [...errorCatalogue.keys()];
    expect(names.length).toBeGreaterThan(30);
    expect(names.filter((name) => !hasNextStep(name))).toEqual([]);
  });
});

describe('the tree', () => {
  /** Of one machine rather than of the project; in pieces, as this file is looked through as well. */
  const foreign = [
    ['registry', 'npmjs'],
    ['registry', 'yarnpkg'],
    ['pypi', 'org'],
    ['deb', 'debian', 'org'],
  ].map((pieces) => pieces.join('\\.'));
  const folders = ['work', 'root', 'farm', 'home'].join('|');
  const isForeign = new RegExp(`${foreign.join('|')}|(^|[\\s"'\`(=:])/(${folders})(/|\\b)`, 'm');
  const texts = files.filter((file) => /\.(md|[cm]?[jt]s|json|ya?ml|sh|sql)$|file$/i.test(file));

  it('names no registry of packages and no folder of one machine', () => {
    expect(texts.length).toBeGreaterThan(150);
    expect(texts.filter((file) => isForeign.test(read(file)))).toEqual([]);
    expect(`see /${'work'}/x`).toMatch(isForeign);
  });

  it('cites only documents that are there', () => {
    const cited = texts.flatMap((file) =>
      [...read(file).matchAll(/(?<![\w/.-])((?:docs\/[\w-]+|[A-Z]{6,})\.md)\b/g)].map(
        ([, path = '']) => ({ file, path }),
      ),
    );
    const isThere = (file: string, path: string) =>
      [path, join(dirname(file), path)].some((it) => existsSync(join(root, it)));
    expect(cited.filter(({ file, path }) => !isThere(file, path))).toEqual([]);
    expect(cited).not.toEqual([]);
  });
});
