import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type BuildOptions, build as esbuild } from 'esbuild';

export const ROOT = path.resolve(import.meta.dirname, '..');

export interface Bundle {
  /** `functions/plan-backup` or `tasks/dump-database`. */
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
}

const OPTIONS = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // The packages' ESM builds: what is not used can then be left out, about a quarter.
  mainFields: ['module', 'main'],
  conditions: ['module'],
  minify: true,
  // A stack trace in the log can then be read without a source map; it costs 6 %.
  keepNames: true,
  legalComments: 'none',
  // pg loads its native twin only when asked to; we never ask.
  external: ['pg-native'],
  // pg and parts of the SDK call require() when they are loaded; an ES module has none of its own.
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
  // Errors are thrown with their text.
  logLevel: 'silent',
  write: false,
} as const satisfies BuildOptions;

/** What is deployed: every file in functions/, and every folder in tasks/ with a main.ts. */
export async function entryPoints(root = ROOT): Promise<{ name: string; file: string }[]> {
  const functions = (await readdir(path.join(root, 'functions')))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => ({ name: `functions/${file.slice(0, -3)}`, file: `functions/${file}` }));
  const tasks = (await readdir(path.join(root, 'tasks'), { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ name: `tasks/${name}`, file: `tasks/${name}/main.ts` }));
  return [...functions, ...tasks].sort((a, b) => a.name.localeCompare(b.name));
}

/**
 * Bundles every function to `<out>/functions/<verb>/index.mjs` and every task to `<out>/tasks/<name>.mjs`.
 * A file is only replaced when its content changed, and then by one rename: a run or a package that
 * reads the folder at the same time never sees half a file.
 * @throws {Error} when an entry is missing or does not compile.
 */
export async function build({
  root = ROOT,
  out = path.join(ROOT, 'dist'),
} = {}): Promise<Bundle[]> {
  const entries = await entryPoints(root);
  if (entries.length === 0) throw new Error(`there is nothing to build in ${root}`);
  const target = ({ name }: { name: string }) =>
    name.startsWith('functions/') ? `${name}/index` : name;
  const { outputFiles, warnings } = await esbuild({
    ...OPTIONS,
    absWorkingDir: root,
    entryPoints: entries.map((entry) => ({ in: entry.file, out: target(entry) })),
    outdir: out,
    outExtension: { '.js': '.mjs' },
  });
  for (const { text, location } of warnings) console.warn(`${location?.file}: ${text}`);
  const bundles = await Promise.all(
    entries.map(async (entry) => {
      const file = path.join(out, `${target(entry)}.mjs`);
      const built = outputFiles.find((output) => output.path === file);
      if (!built) throw new Error(`esbuild made no ${file}`);
      await replaceWhenChanged(file, built.contents);
      return { name: entry.name, path: file, sizeBytes: built.contents.length };
    }),
  );
  await removeStale(out, new Set(entries.map(({ name }) => name)));
  return bundles;
}

const CLI_ENTRY = 'cli/main.ts';

/**
 * Bundles the operator's command to the one executable file `<out>/cli/holdfast.mjs`. It runs on whatever
 * Node its user has, from 20 on. Undefined when the checkout has none.
 */
export async function buildCli({
  root = ROOT,
  out = path.join(ROOT, 'dist'),
} = {}): Promise<Bundle | undefined> {
  if (!existsSync(path.join(root, CLI_ENTRY))) return undefined;
  const { outputFiles, warnings } = await esbuild({
    ...OPTIONS,
    target: 'node20',
    banner: { js: `#!/usr/bin/env node\n${OPTIONS.banner.js}` },
    absWorkingDir: root,
    entryPoints: [CLI_ENTRY],
  });
  for (const { text, location } of warnings) console.warn(`${location?.file}: ${text}`);
  const [built] = outputFiles;
  if (!built) throw new Error('esbuild made no cli');
  const file = path.join(out, 'cli/holdfast.mjs');
  await replaceWhenChanged(file, built.contents);
  await chmod(file, 0o755);
  return { name: 'cli/holdfast', path: file, sizeBytes: built.contents.length };
}

async function replaceWhenChanged(file: string, contents: Uint8Array): Promise<void> {
  const present = await readFile(file).catch(() => undefined);
  if (present?.equals(contents)) return;
  await mkdir(path.dirname(file), { recursive: true });
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, contents);
  await rename(temporary, file);
}

/** Bundles of functions and tasks that are gone. */
async function removeStale(out: string, current: ReadonlySet<string>): Promise<void> {
  for (const folder of ['functions', 'tasks']) {
    const names = await readdir(path.join(out, folder)).catch(() => []);
    for (const name of names) {
      if (
        current.has(`${folder}/${name.replace(/\.mjs$/, '')}`) ||
        !/^[\w-]+(\.mjs)?$/.test(name)
      ) {
        continue;
      }
      await rm(path.join(out, folder, name), { recursive: true });
    }
  }
}

if (import.meta.main) {
  const started = performance.now();
  const cli = await buildCli();
  const bundles = [...(await build()), ...(cli ? [cli] : [])];
  for (const { name, sizeBytes } of bundles) {
    console.log(`${name.padEnd(32)} ${(sizeBytes / 1024).toFixed(0).padStart(6)} KiB`);
  }
  console.log(`${bundles.length} bundles in ${Math.round(performance.now() - started)} ms`);
}
