import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { S3Operation } from '#local/object-store/request.ts';
import type { Pipeline, RunOutcome } from './stack.ts';

/** One alert, of this run, that names the error and tells the cause in words a person can read. */
export function expectOneAlert(outcome: RunOutcome, error: string, cause: string | RegExp): void {
  const { execution, alerts } = outcome;
  expect(execution).toMatchObject({ status: 'FAILED', error });
  expect(alerts).toHaveLength(1);
  expect(alerts[0]?.attributes).toMatchObject({ status: 'FAILED', error });
  expect(JSON.stringify(alerts[0])).toContain(execution.name);
  // The text is wrapped and cleaned for reading; the record has the cause as it was.
  expect(outcome.summary?.problems.map((problem) => problem.cause).join('\n')).toMatch(cause);
}

/** Archives are compressed: no text can be found in them. */
const SEARCHED_BYTES = 4 * 1024 * 1024;

/** Fails when a file that the pipeline wrote has one of the secrets in it, in whatever spelling. */
export async function expectNoSecret(directory: string, secrets: readonly string[]): Promise<void> {
  const files = await readdir(directory, { recursive: true, withFileTypes: true });
  const spellings = secrets.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    Buffer.from(secret).toString('base64'),
  ]);
  const telling: string[] = [];
  let searched = 0;
  for (const file of files.filter((entry) => entry.isFile())) {
    const path = join(file.parentPath, file.name);
    if ((await stat(path)).size > SEARCHED_BYTES) continue;
    const text = await readFile(path);
    searched += 1;
    if (spellings.some((spelling) => text.includes(spelling))) telling.push(path);
  }
  expect(searched).toBeGreaterThan(10);
  expect(telling).toEqual([]);
}

/**
 * Starts something, holds the next such request to the object store back, and acts while it waits there:
 * the rest of the pipeline stands still at a known place, for as long as the test needs.
 */
export async function actWhileHeld<Result>(
  { stack }: Pipeline,
  operation: S3Operation,
  start: () => Promise<Result>,
  act: (running: Promise<Result>) => Promise<void>,
): Promise<Result> {
  const { promise: until, resolve: release } = Promise.withResolvers<void>();
  // What a task tells of its progress stops nothing.
  const held = stack.store.faults.failNext(operation, { until, key: /^(?!progress\/)/ });
  const result = start();
  result.catch(() => undefined);
  try {
    await expect.poll(held, { interval: 20 }).toBe(1);
    await act(result);
  } finally {
    release();
  }
  return result;
}

/** No task and no client program of the pipeline runs any more. */
export async function expectNoProcess(pipeline: Pipeline): Promise<void> {
  const running = async () => [await findTasks(pipeline), await findPrograms(pipeline)];
  await expect.poll(running).toEqual([[], []]);
}

/** Process ids of the pipeline's own tasks. */
export function findTasks({ stack }: Pipeline): Promise<number[]> {
  return findProcesses('/tasks/', [
    `AWS_ENDPOINT_URL_S3=${stack.store.endpoint}`,
    'HOLDFAST_JOB_KEY=',
  ]);
}

/** Process ids of client programs that talk to the pipeline's server. */
export function findPrograms({ server }: Pipeline, name = 'pg_'): Promise<number[]> {
  return findProcesses(name, [`PGPORT=${server.port}`, 'PGAPPNAME=holdfast']);
}

/** By what stands in the command line, and by how variables of the environment begin. */
async function findProcesses(word: string, variables: readonly string[]): Promise<number[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    ids.map(async (id) => {
      try {
        const read = (file: string) => readFile(`/proc/${id}/${file}`, 'utf8');
        const [command, environment] = await Promise.all([read('cmdline'), read('environ')]);
        const set = environment.split('\0');
        return (
          command.includes(word) &&
          variables.every((start) => set.some((variable) => variable.startsWith(start)))
        );
      } catch {
        return false; // It has ended, or is somebody else's.
      }
    }),
  );
  return ids.filter((_, index) => found[index]).map(Number);
}
