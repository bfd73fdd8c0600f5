import { readdirSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { portsOf } from './function-ports.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const verbs = readdirSync(path.join(ROOT, 'functions')).map((file) => file.replace(/\.ts$/, ''));

/** The packages that a port's provider brings along. Whatever is not named here needs none of these. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  objects: ['@aws-sdk/client-s3'],
  plans: ['@aws-sdk/client-ssm'],
  snapshots: ['@aws-sdk/client-rds'],
  servers: ['@aws-sdk/client-rds'],
  tasks: ['@aws-sdk/client-ecs'],
  workflow: ['@aws-sdk/client-sfn'],
  alerts: ['@aws-sdk/client-sns'],
  surroundings: ['@aws-sdk/client-rds', '@aws-sdk/client-scheduler'],
  databases: ['@aws-sdk/client-secrets-manager', '@aws-sdk/rds-signer', 'pg'],
};

/** What the modules that an entry reaches import from npm, used or not. */
async function packagesOf(entry: string): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    metafile: true,
    write: false,
    outdir: 'dist',
    logLevel: 'silent',
  });
  const imports = Object.values(metafile.outputs).flatMap((output) => output.imports);
  return [...new Set(imports.map((it) => it.path))];
}

describe('the bundle of a function', () => {
  const known = new Set(Object.values(PACKAGES).flat());

  it.each(verbs)('%s has the clients that its slice needs, and no other', async (verb) => {
    const expected = new Set(portsOf(verb).flatMap((port) => PACKAGES[port] ?? []));
    const found = (await packagesOf(`functions/${verb}.ts`)).filter((name) => known.has(name));
    expect(new Set(found)).toEqual(expected);
  });

  it('is told from one that has all of them', async () => {
    const found = await packagesOf('src/runtime/deps.ts');
    expect(found).toEqual(expect.arrayContaining([...known]));
  });
});
