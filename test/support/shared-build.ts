import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';
import { build, buildCli } from '../../scripts/build.ts';

/** Bundling everything takes ten seconds of two processors, and several times that on a busy machine. */
const LIMIT_SECONDS = 500;

/** The folder with the bundles of this checkout, as `build` leaves it. Nobody may change anything in it. */
export function sharedBundles(): Promise<string> {
  return oncePerRun('bundles', async (out) => {
    await build({ out });
    return out;
  });
}

/** The operator's command of this checkout, in one file. Nobody may change it. */
export function sharedProgram(): Promise<string> {
  return oncePerRun('program', async (out) => (await buildCli({ out }))?.path ?? '');
}

/**
 * What the first test file of the run made that asked for it: the others, which run beside it in other
 * processes, wait for that.
 */
async function oncePerRun(name: string, make: (out: string) => Promise<string>): Promise<string> {
  const out = join(inject('runDirectory'), name);
  const outcome = `${out}.json`;
  const isFirst = await mkdir(out).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') return false;
      throw error;
    },
  );
  if (isFirst) {
    const said = await make(out).then(
      (made) => ({ made }),
      (error: unknown) => ({ failed: String(error) }),
    );
    await writeFile(outcome, JSON.stringify(said), { flag: 'wx' });
  }
  for (let waited = 0; waited < LIMIT_SECONDS; waited += 0.1) {
    // Empty while it is being written.
    const text = await readFile(outcome, 'utf8').catch(() => '');
    if (text !== '') {
      const { made, failed } = JSON.parse(text) as { made?: string; failed?: string };
      if (made !== undefined) return made;
      throw new Error(`the ${name} of this run could not be built: ${failed}`);
    }
    await sleep(100);
  }
  throw new Error(`the ${name} of this run were not built within ${LIMIT_SECONDS} s`);
}
