import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { beforeAll, expect, it } from 'vitest';
import { TaskProgress } from '#contracts/task-progress.ts';
import { taskProgressPrefix } from '#domain/names.ts';
import { publishServices } from '#local/services-record.ts';
import { withClient } from '#test/postgres.ts';
import { sharedProgram } from '#test/shared-build.ts';
import { usePipeline } from '#test/stack.ts';

const pipeline = usePipeline({ scale: 0.001 });
let program = '';

beforeAll(async () => {
  program = await sharedProgram();
  // The index takes longer than the five seconds between two looks of the command, in a restored copy alone.
  await withClient(pipeline().server, 'shop', (client) =>
    client.query(`
      CREATE TABLE slow (id int);
      INSERT INTO slow VALUES (1);
      CREATE FUNCTION slowly(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
        BEGIN
          IF pg_catalog.current_database() <> 'shop' THEN PERFORM pg_catalog.pg_sleep(9); END IF;
          RETURN $1;
        END $$;
      CREATE INDEX by_slowness ON slow (public.slowly(id))`),
  );
});

/** What the bucket has of an execution, as its tasks left it. */
async function progressOf(runId: string): Promise<TaskProgress[]> {
  const { objects } = pipeline().stack;
  const found: TaskProgress[] = [];
  for await (const { key } of objects.list(taskProgressPrefix({ source: 'orders', runId }))) {
    found.push(TaskProgress.parse(JSON.parse(String((await objects.get(key))?.body))));
  }
  return found;
}

/** The command as it is installed; standard output must be one JSON document. */
async function holdfast(...argv: string[]) {
  const child = spawn(
    process.execPath,
    [program, ...argv, '--json', `--local=${pipeline().directory}`],
    { stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 },
  );
  const [stdout, stderr, [exitCode]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ]);
  expect(exitCode, stderr).toBe(0);
  const { runId } = JSON.parse(stdout) as { runId: string };
  return { stderr, progress: await progressOf(runId) };
}

/** Keeps whoever reads the table waiting, for so long after the first one waits. */
async function whileLocked<Result>(seconds: number, act: () => Promise<Result>): Promise<Result> {
  return withClient(pipeline().server, 'shop', async (client) => {
    await client.query('BEGIN; LOCK TABLE slow IN ACCESS EXCLUSIVE MODE');
    const acting = act();
    const waiters = async () =>
      (await client.query('SELECT FROM pg_locks WHERE NOT granted')).rowCount ?? 0;
    await expect.poll(waiters, { timeout: 60_000, interval: 100 }).toBeGreaterThan(0);
    await client.query('SELECT pg_sleep($1)', [seconds]);
    await client.query('COMMIT');
    return acting;
  });
}

it('The command shows how far the tasks of a run, a restore and a drill are, each under its own execution', async () => {
  const withdraw = await publishServices(pipeline().stack, pipeline().directory);
  try {
    const run = await whileLocked(7, () => holdfast('start', 'orders'));
    expect(run.progress).toMatchObject([
      { task: 'dump', database: 'shop', phase: 'verification', bytes: expect.any(Number) },
    ]);
    expect(run.stderr).toMatch(/^ +\d+ s {4}shop: pre-data, for \d+ s$/m);

    const restore = await holdfast('restore', 'orders/shop');
    expect(restore.progress).toMatchObject([
      {
        task: 'restore',
        database: expect.stringMatching(/^shop_restored_/),
        phase: expect.stringMatching(/^(post-data|analyze|check)$/),
      },
    ]);
    expect(restore.stderr).toMatch(
      /^ +\d+ s {4}shop_restored_\w+: post-data, \d+ of \d+ entries \(\d+ %\), for \d+ s$/m,
    );

    const drill = await holdfast('drill', 'orders');
    expect(drill.progress).toMatchObject([
      { task: 'drill', database: 'shop', phase: expect.stringMatching(/^[a-z-]+$/) },
    ]);
  } finally {
    await withdraw();
  }
});
