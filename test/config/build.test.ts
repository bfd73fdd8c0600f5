import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { build } from '../../scripts/build.ts';
import { packageStack } from '../../scripts/package.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'holdfast-build-'));
  write('functions/greet-all.ts', 'export const handler = async () => "hello";');
  write('tasks/sing/main.ts', 'console.log("la");');
});
afterEach(() => rmSync(root, { recursive: true }));

function write(file: string, text: string): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), text);
}
const buildHere = () => build({ root, out: path.join(root, 'dist') });
const built = (file: string) => path.join(root, 'dist', file);

describe('the build', () => {
  it('makes one bundle of each function and each task', async () => {
    const bundles = await buildHere();
    expect(bundles.map(({ name }) => name)).toEqual(['functions/greet-all', 'tasks/sing']);
    const { handler } = (await import(built('functions/greet-all/index.mjs'))) as {
      handler: () => Promise<string>;
    };
    expect(await handler()).toBe('hello');
    expect(readFileSync(built('tasks/sing.mjs'), 'utf8')).toContain('console.log("la")');
  });

  it('leaves a bundle alone that did not change, and removes one whose source is gone', async () => {
    await buildHere();
    const before = statSync(built('functions/greet-all/index.mjs')).ino;
    rmSync(path.join(root, 'tasks/sing'), { recursive: true });
    await buildHere();
    expect(statSync(built('functions/greet-all/index.mjs')).ino).toBe(before);
    expect(() => statSync(built('tasks/sing.mjs'))).toThrow('ENOENT');
  });

  it('fails for a task without a main.ts, and for code that does not compile', async () => {
    write('tasks/dance/readme.md', 'later');
    await expect(buildHere()).rejects.toThrow('tasks/dance/main.ts');
    rmSync(path.join(root, 'tasks/dance'), { recursive: true });
    write('functions/greet-all.ts', 'import { nobody } from "./nowhere.ts"; nobody();');
    await expect(buildHere()).rejects.toThrow('nowhere.ts');
  });
});

describe('the package', () => {
  const options = { out: path.join(tmpdir(), 'never-written'), offline: true };
  const config = path.resolve(import.meta.dirname, '../../config/holdfast.example.yml');

  it('is refused for a deployment as long as something is missing, such as a plan of your own', async () => {
    await expect(packageStack({ ...options, config, complete: true })).rejects.toThrow(
      /this must not be deployed:[\s\S]*write config\/holdfast.yml/,
    );
  });

  it('names every problem of the plan file before it does anything', async () => {
    write('plan.yml', 'version: 1\nsources:\n  orders:\n    engine: { type: oracle }\n');
    await expect(packageStack({ ...options, config: path.join(root, 'plan.yml') })).rejects.toThrow(
      'sources.orders.engine',
    );
  });

  it('needs a layer that is made for the architecture', async () => {
    const architecture = process.arch === 'arm64' ? 'x86_64' : 'arm64';
    await expect(packageStack({ ...options, config, architecture })).rejects.toThrow(
      `no PostgreSQL clients for ${architecture}`,
    );
  });
});
