import { describe, expect, it } from 'vitest';
import { ServiceUnavailable } from '#errors';
import { keepAlive, RunGaveUp } from '#operations/keep-alive.ts';
import type { Workflow } from '#runtime/ports.ts';
import { makeDeps, makeWorkflow } from '#test/fakes.ts';

const token = { taskToken: 'token-1', heartbeatSeconds: 30 };
const never = new AbortController().signal;

/** Deps whose heartbeats are answered by a script. */
const makeBeatingDeps = (heartbeat: Workflow['heartbeat']) =>
  makeDeps({ workflow: { ...makeWorkflow(), heartbeat } });

/** Time enough for a dozen heartbeats of the fake clock. */
async function letTimePass(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Resolves when `until` holds, or throws the signal's reason. */
async function workUntil(until: () => boolean, signal: AbortSignal): Promise<string> {
  while (!until()) {
    signal.throwIfAborted();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return 'done';
}

describe('keeping a waiting state alive', () => {
  it('sends three heartbeats in each interval while the work goes on', async () => {
    const seconds: number[] = [];
    const deps = makeBeatingDeps(async () => {
      seconds.push((deps.clock.now().getTime() - began) / 1000);
      return 'alive';
    });
    const began = deps.clock.now().getTime();
    const result = await keepAlive(deps, token, never, (signal) =>
      workUntil(() => seconds.length >= 6, signal),
    );
    expect(result).toBe('done');
    expect(seconds.slice(0, 6)).toEqual([10, 20, 30, 40, 50, 60]);
  });

  it('aborts the work when nobody waits for it any more', async () => {
    const deps = makeDeps();
    deps.workflow.closeToken('token-1');
    const work = keepAlive(deps, token, never, (signal) => workUntil(() => false, signal));
    await expect(work).rejects.toBeInstanceOf(RunGaveUp);
    expect(deps.log.of('task token closed')).toHaveLength(1);
  });

  it('lets unattended work go on when nobody waits for it, and asks no more', async () => {
    let beats = 0;
    const deps = makeBeatingDeps(async () => {
      beats += 1;
      return 'closed';
    });
    const work = keepAlive(deps, { ...token, unattended: true }, never, async (signal) => {
      await letTimePass();
      signal.throwIfAborted();
      return 'done';
    });
    await expect(work).resolves.toBe('done');
    expect(beats).toBe(1);
  });

  it('goes on when single heartbeats are lost, and says which', async () => {
    let beats = 0;
    const deps = makeBeatingDeps(async () => {
      if (++beats < 3) throw new ServiceUnavailable('no answer');
      return 'alive';
    });
    const work = keepAlive(deps, token, never, (signal) => workUntil(() => beats > 4, signal));
    await expect(work).resolves.toBe('done');
    const lost = { error: 'ServiceUnavailable', while: 'sending a heartbeat' };
    expect(deps.log.of('failed').map(({ fields }) => fields)).toEqual([lost, lost]);
  });

  it.each(['ends', 'fails'])('sends no heartbeat once the work %s', async (how) => {
    let beats = 0;
    const deps = makeBeatingDeps(async () => {
      beats += 1;
      return 'alive';
    });
    const work = keepAlive(deps, token, never, async (signal) => {
      await workUntil(() => beats >= 2, signal);
      if (how === 'fails') throw new Error('the work failed');
    });
    await work.catch(() => undefined);
    const beatsOfTheWork = beats;
    await letTimePass();
    expect(beats).toBe(beatsOfTheWork);
  });

  it('is over only when the heartbeat that is on its way is answered', async () => {
    const answer = Promise.withResolvers<'alive'>();
    let asked = false;
    const deps = makeBeatingDeps(() => {
      asked = true;
      return answer.promise;
    });
    let over = false;
    const work = keepAlive(deps, token, never, (signal) => workUntil(() => asked, signal));
    const watched = work.then(() => {
      over = true;
    });
    await letTimePass();
    expect({ asked, over }).toEqual({ asked: true, over: false });
    answer.resolve('alive');
    await watched;
    expect(over).toBe(true);
  });

  it("passes on the caller's own signal", async () => {
    const stop = new AbortController();
    const work = keepAlive(makeDeps(), token, stop.signal, (signal) =>
      workUntil(() => false, signal),
    );
    stop.abort(new Error('stopped'));
    await expect(work).rejects.toThrow('stopped');
  });
});
