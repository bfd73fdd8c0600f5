import { describe, expect, it } from 'vitest';
import { ServiceUnavailable } from '#errors';
import { type ProgressRecord, withTaskProgress } from '#operations/task-progress.ts';
import { makeDeps } from '#test/fakes.ts';

const record: ProgressRecord = {
  task: 'restore',
  source: 'orders',
  runId: 'run-1',
  database: 'shop/a',
  everySeconds: 15,
};
const KEY = 'progress/orders/run-1/shop=2Fa.json';

/** Deps with a clock that only moves when the test says so, and every record that was written. */
function makeSlowDeps() {
  const deps = makeDeps();
  let now = deps.clock.now().getTime();
  const sleepers = new Set<{ until: number; wake: () => void }>();
  const puts: Record<string, unknown>[] = [];
  const objects = {
    ...deps.objects,
    put: async (key: string, body: Buffer | string) => {
      puts.push({ key, ...JSON.parse(String(body)) });
      return { etag: '"1"', versionId: undefined, crc64nvme: undefined };
    },
  };
  const clock = {
    now: () => new Date(now),
    sleep: (milliseconds: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        const sleeper = { until: now + milliseconds, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          reject(signal.reason);
        });
      }),
  };
  return {
    deps: { log: deps.log, objects, clock },
    puts,
    pass: async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        now += 1000;
        for (const sleeper of sleepers) {
          if (sleeper.until > now) continue;
          sleepers.delete(sleeper);
          sleeper.wake();
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

describe('the progress of a task', () => {
  it('is written every so many seconds as it was last told, also while nothing new is told', async () => {
    const { deps, puts, pass } = makeSlowDeps();
    const result = await withTaskProgress(deps, record, async (tell) => {
      tell({ phase: 'data', done: 1, total: 9, unit: 'bytes' });
      await pass(5);
      tell({ phase: 'data', done: 2, total: 9, unit: 'bytes' });
      await pass(11);
      tell({ phase: 'post-data' });
      await pass(29);
      return 'done';
    });
    expect(result).toBe('done');
    expect(puts).toMatchObject([
      { key: KEY, task: 'restore', database: 'shop/a', phase: 'data', done: 2, total: 9 },
      { phase: 'post-data', done: null },
      { phase: 'post-data' },
    ]);
    const [first, second, third] = puts.map((it) => Date.parse(String(it['updatedAt'])) / 1000);
    expect([(second ?? 0) - (first ?? 0), (third ?? 0) - (second ?? 0)]).toEqual([15, 15]);
    expect(puts[0]?.['phaseStartedAt']).toBe(puts[0]?.['startedAt']);
    expect(puts[1]?.['phaseStartedAt']).toBe(puts[2]?.['phaseStartedAt']);
    expect(puts[1]?.['phaseStartedAt']).not.toBe(puts[0]?.['phaseStartedAt']);
  });

  it('of short work leaves nothing', async () => {
    const { deps, puts, pass } = makeSlowDeps();
    await withTaskProgress(deps, { ...record, followedBy: 'verification' }, async (tell) => {
      tell({ phase: 'data' });
      await pass(14);
    });
    await pass(60);
    expect(puts).toEqual([]);
  });

  it('says at last what the state waits for, where that is another program', async () => {
    const { deps, puts, pass } = makeSlowDeps();
    await withTaskProgress(deps, { ...record, followedBy: 'verification' }, async (tell) => {
      tell({ phase: 'data', done: 4, total: 4, unit: 'tables', bytes: 700 });
      await pass(15);
    });
    await pass(60);
    expect(puts).toMatchObject([
      { phase: 'data', done: 4 },
      { phase: 'verification', done: null, bytes: 700 },
    ]);
  });

  it('that cannot be written is only logged: the work succeeds, or fails as it would', async () => {
    const { deps, pass } = makeSlowDeps();
    const refused = {
      ...deps,
      objects: { ...deps.objects, put: () => Promise.reject(new ServiceUnavailable('no')) },
    };
    const work = (end: () => string) =>
      withTaskProgress(refused, record, async (tell) => {
        tell({ phase: 'data' });
        await pass(40);
        return end();
      });
    expect(await work(() => 'done')).toBe('done');
    const failing = work(() => {
      throw new RangeError('of the work');
    });
    await expect(failing).rejects.toThrow('of the work');
  });

  it('keeps nobody waiting where S3 does not answer', async () => {
    const { deps, pass } = makeSlowDeps();
    const silent = {
      ...deps,
      objects: { ...deps.objects, put: () => new Promise<never>(() => {}) },
    };
    let ended = false;
    const done = withTaskProgress(silent, record, async (tell) => {
      tell({ phase: 'data' });
      await pass(20);
    }).then(() => {
      ended = true;
    });
    await pass(23);
    await done;
    expect(ended).toBe(true);
  });

  it('of an execution whose name makes no key is left out', async () => {
    const { deps, puts, pass } = makeSlowDeps();
    const named = { ...record, runId: 'a name with spaces' };
    await withTaskProgress(deps, named, async (tell) => {
      tell({ phase: 'data' });
      await pass(20);
    });
    expect(puts).toEqual([]);
  });
});
