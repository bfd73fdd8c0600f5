import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder that all files of this test run share, and no other run. */
    runDirectory: string;
  }
}

/** Once before all files of a run. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-run-'));
  provide('runDirectory', directory);
  return () => rm(directory, { recursive: true, force: true });
}
