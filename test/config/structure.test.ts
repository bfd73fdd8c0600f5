import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = resolve(import.meta.dirname, '../..');
const read = (file: string) => readFileSync(join(root, file), 'utf8');
const LAYERS = ['functions', 'tasks', 'cli', 'src', 'local', 'scripts'];
const sources = LAYERS.flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: root })).toSorted();

interface Import {
  /** As written: `#domain/names.ts`, `node:fs`, `./toc.ts`. */
  readonly from: string;
  /** Erased before the program runs. */
  readonly typeOnly: boolean;
}

/** The imports and re-exports of a module, dynamic ones too. Comments are left out. */
function importsOf(source: string): Import[] {
  const code = withoutComments(source);
  const named = code.matchAll(
    /(?:^|[;}\n])\s*(?:import|export)\s+(type\s)?([\w\s,*${}]*?)\s*from\s*'([^']+)'/g,
  );
  const bare = code.matchAll(/(?:^|[;\n])\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'/g);
  return [
    ...[...named].map(([, type, names = '', from = '']) => {
      const specifiers = /^\{(.*)\}$/s.exec(names.trim())?.[1]?.split(',') ?? [];
      const written = specifiers.map((it) => it.trim()).filter((it) => it !== '');
      const allTypes = written.length > 0 && written.every((it) => it.startsWith('type '));
      return { from, typeOnly: type !== undefined || allTypes };
    }),
    ...[...bare].map(([, first, second]) => ({ from: first ?? second ?? '', typeOnly: false })),
  ];
}

/** Line comments that follow code stay: an address in a string looks like one. */
function withoutComments(source: string): string {
  return source.replaceAll(/\/\*.*?\*\//gs, '').replaceAll(/^\s*\/\/.*$/gm, '');
}

const aliases = JSON.parse(read('package.json')).imports as Record<string, string>;

/** The file in the checkout that an import means, from its root; undefined for a package. */
function targetOf(file: string, from: string): string | undefined {
  if (from.startsWith('.')) return relative(root, resolve(root, dirname(file), from));
  for (const [alias, target] of Object.entries(aliases)) {
    const prefix = alias.replace('*', '');
    if (!(alias.endsWith('*') ? from.startsWith(prefix) : from === alias)) continue;
    return target.replace('./', '').replace('*', from.slice(prefix.length));
  }
  return undefined;
}

/** What ARCHITECTURE.md's map says of one folder. */
interface Row {
  readonly folder: string;
  readonly mayImport: (target: string, typeOnly: boolean) => boolean;
}

/** `all`, `–`, "everything in `src/`", or a list of folders and files of `src/`, some for types alone. */
function readRule(cell: string): Row['mayImport'] {
  if (cell === 'all') return () => true;
  const parts = cell === '–' ? [] : cell.split(', ');
  const rules = parts.map((part): Row['mayImport'] => {
    const [, tree] = /^everything in `(.+\/)`$/.exec(part) ?? [];
    if (tree) return (target) => target.startsWith(tree);
    const [, name, types] = /^`([\w./-]+)`( types)?$/.exec(part) ?? [];
    if (!name) throw new Error(`ARCHITECTURE.md: "${part}" is not understood`);
    return (target, typeOnly) =>
      (target === `src/${name}` || target.startsWith(`src/${name}/`)) && (typeOnly || !types);
  });
  return (target, typeOnly) => rules.some((mayImport) => mayImport(target, typeOnly));
}

function readMap(): Row[] {
  const [, body = ''] = read('ARCHITECTURE.md').split('| Folder | What is in it | May import |');
  return body
    .split('\n')
    .slice(2)
    .slice(0, body.split('\n').slice(2).indexOf(''))
    .flatMap((line) => {
      const [folders = '', , cell = ''] = line.split(' | ').map((it) => it.replace(/^\||\|$/g, ''));
      return [...folders.matchAll(/`([^`]+)`/g)].map(([, folder = '']) => ({
        folder,
        mayImport: readRule(cell.trim()),
      }));
    });
}

const map = readMap();
const rowOf = (file: string) => map.find(({ folder }) => file.startsWith(folder));

/** Why a file may not have its imports; empty when it may. */
function findTrespasses(file: string, source: string): string[] {
  const row = rowOf(file);
  if (!row) return [`${file} is in no folder of the map`];
  return importsOf(source).flatMap(({ from, typeOnly }) => {
    const target = targetOf(file, from);
    if (target === undefined || target === 'src/errors.ts' || target === 'package.json') return [];
    if (target.startsWith(row.folder) || row.mayImport(target, typeOnly)) return [];
    return [`${file} imports ${from}`];
  });
}

describe('the map in ARCHITECTURE.md', () => {
  it('has a row for every folder with code, and no row for one that is gone', () => {
    expect(sources.length).toBeGreaterThan(100);
    expect(sources.filter((file) => !rowOf(file))).toEqual([]);
    expect(map.filter(({ folder }) => !existsSync(join(root, folder)))).toEqual([]);
  });

  it('is the way that imports go', () => {
    expect(sources.flatMap((file) => findTrespasses(file, read(file)))).toEqual([]);
  });

  it('refuses what it does not name', () => {
    const refused: [string, string][] = [
      ['src/domain/x.ts', "import { makeObjects } from '#adapters/objects.ts';"],
      ['src/domain/x.ts', "import { type Deps, wire } from '../runtime/deps.ts';"],
      ['src/adapters/x.ts', "import {\n  plan,\n} from '#operations/retention.ts';"],
      ['src/contracts/x.ts', "export * from '#domain/retention.ts';"],
      ['src/operations/x.ts', "const { handler } = await import('#functions/notify.ts');"],
      ['functions/x.ts', "import '#local/stack.ts';"],
      ['tasks/x.ts', "import { seedBackup } from '#test/fakes.ts';"],
      ['local/x.ts', "import { run } from '../scripts/lib-run.ts';"],
    ];
    const missed = refused.filter(([file, source]) => findTrespasses(file, source).length !== 1);
    expect(missed).toEqual([]);
    const allowed = "import type { Deps } from '#runtime/ports.ts';\n// import '#local/stack.ts';";
    expect(findTrespasses('src/adapters/x.ts', allowed)).toEqual([]);
    expect(findTrespasses('src/domain/x.ts', allowed)).toHaveLength(1);
  });
});

/** What a folder may use of Node and of npm; side effects are the adapters' alone. */
const packages: Record<string, RegExp> = {
  'src/contracts/': /^zod$/,
  'src/domain/': /^(zod|yaml|d3-(array|scale|shape|time-format)|node:(buffer|crypto))$/,
  'src/operations/': /^(zod|node:(buffer|crypto|events|stream))$/,
  'functions/': /^(zod|node:crypto)$/,
  'tasks/': /^(zod|node:(crypto|stream))$/,
};
/** A clock, chance, a timer, the environment or the network. */
const IMPURE =
  /\bprocess\.|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\brandom(Bytes|UUID|Int)\b|\bset(Timeout|Interval|Immediate)\(|\bfetch\(|\bconsole\.(log|info|warn|error|debug)\(/;

describe('the folders of the map', () => {
  it.each(Object.entries(packages))(
    '%s uses no other package than its kind needs',
    (folder, allowed) => {
      const files = sources.filter((file) => file.startsWith(folder));
      const used = files.flatMap((file) =>
        importsOf(read(file))
          .filter(({ from, typeOnly }) => !typeOnly && targetOf(file, from) === undefined)
          .map(({ from }) => `${file}: ${from}`),
      );
      expect(used.filter((it) => !allowed.test(it.split(': ')[1] ?? ''))).toEqual([]);
      expect(files).not.toEqual([]);
    },
  );

  it.each(['src/domain/', 'src/contracts/'])('%s is pure', (folder) => {
    const files = sources.filter((file) => file.startsWith(folder));
    expect(files.filter((file) => IMPURE.test(withoutComments(read(file))))).toEqual([]);
    expect('const now = new Date();').toMatch(IMPURE);
  });

  it.each(['src/', 'functions/', 'tasks/'])('%s does not know whether it runs on AWS', (folder) => {
    const files = sources.filter((file) => file.startsWith(folder));
    const knows =
      /AWS_ENDPOINT|localhost|127\.0\.0\.1|\bis(Local|Test|Offline)\b|'local'|forcePathStyle/i;
    expect(files.filter((file) => knows.test(withoutComments(read(file))))).toEqual([]);
  });

  it('have no drawer for odds and ends', () => {
    const names = globSync('{functions,tasks,src,local,scripts,resources,test,bench}/**', {
      cwd: root,
    });
    const drawer = /(^|\/)(utils?|helpers?|common|misc|shared|lib)(\.\w+)*(\/|$)/;
    expect(names.filter((name) => drawer.test(name))).toEqual([]);
  });
});

describe('the functions', () => {
  const verbs = readdirSync(join(root, 'functions')).map((file) => file.replace(/\.ts$/, ''));

  it('are those that serverless.yml deploys, and nothing else', () => {
    const { functions } = parse(read('serverless.yml'), { logLevel: 'silent' }) as {
      functions: Record<string, { handler: string }>;
    };
    const deployed = Object.values(functions).map(
      ({ handler }) => /^dist\/functions\/([\w-]+)\/index\.handler$/.exec(handler)?.[1] ?? handler,
    );
    expect(deployed.toSorted()).toEqual(verbs.toSorted());
  });

  it.each(verbs)('%s is in the walk of ARCHITECTURE.md', (verb) => {
    const title = verb.replaceAll(
      /(^|-)(\w)/g,
      (_, dash, letter) => `${dash ? ' ' : ''}${letter.toUpperCase()}`,
    );
    expect(read('ARCHITECTURE.md')).toContain(title);
  });
});
