import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { EXIT } from '#domain/task-exit.ts';
import type { Bundle } from '../scripts/build.ts';
import { type Spread, spread } from './statistics.ts';

export interface BundleCost {
  readonly name: string;
  readonly sizeBytes: number;
  /** Of loading it in a fresh process, without the start of Node itself. */
  readonly loadMilliseconds: Spread;
}

/**
 * Loads each bundle in new processes, in turn with an empty program. A task begins its work when it is
 * loaded: without an environment it ends at once, which is counted.
 */
export async function measureBundles(
  bundles: readonly Bundle[],
  { rounds, warmUp }: { readonly rounds: number; readonly warmUp: boolean },
): Promise<BundleCost[]> {
  const directory = await mkdtemp(path.join(tmpdir(), 'holdfast-bench-load-'));
  try {
    const empty = path.join(directory, 'empty.mjs');
    await writeFile(empty, '');
    const times = new Map<string, number[]>(bundles.map(({ name }) => [name, []]));
    for (let round = warmUp ? 0 : 1; round <= rounds; round++) {
      for (const { name, path: file } of bundles) {
        const bare = await load(empty);
        const loaded = await load(file);
        if (round > 0) times.get(name)?.push(loaded - bare);
      }
    }
    return bundles.map(({ name, sizeBytes }) => {
      return { name, sizeBytes, loadMilliseconds: spread(times.get(name) ?? []) };
    });
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function load(file: string): Promise<number> {
  const began = performance.now();
  const child = spawn(process.execPath, [file], {
    env: { AWS_REGION: 'eu-west-1' },
    stdio: 'ignore',
    timeout: 30_000,
  });
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  if (exitCode !== 0 && exitCode !== EXIT.unusable) {
    throw new Error(`${file} cannot be loaded: exit code ${exitCode}`);
  }
  return performance.now() - began;
}
