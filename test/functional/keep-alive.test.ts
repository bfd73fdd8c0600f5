import { describe, expect, it } from 'vitest';
import { ServiceUnavailable } from '#errors';
import { keepAlive, RunGaveUp } from '#operations/keep-alive.ts';
import { makeDeps, makeWorkflow } from '#test/fakes.ts';

const token = { taskToken: 'token-1', heartbeatSeconds: 30 };
const never = new AbortController().signal;

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
    const deps = makeDeps();
    const began = deps.clock.now().getTime();
    const beats = deps.workflow.heartbeats;
    const result = await keepAlive(deps, token, never, (signal) =>
      workUntil(() => beats.length >= 6, signal),
    );
    expect(result).toBe('done');
    const elapsed = (deps.clock.now().getTime() - began) / 1000;
    expect(elapsed / beats.length).toBeCloseTo(10, -1);
  });

  it('aborts the work when nobody waits for it any more', async () => {
    const deps = makeDeps();
    deps.workflow.closeToken('token-1');
    const work = keepAlive(deps, token, never, (signal) => workUntil(() => false, signal));
    await expect(work).rejects.toBeInstanceOf(RunGaveUp);
  });

  it('lets unattended work go on when nobody waits for it, without further heartbeats', async () => {
    const deps = makeDeps();
    deps.workflow.closeToken('token-1');
    const unattended = { ...token, unattended: true };
    let turns = 0;
    const work = keepAlive(deps, unattended, never, (signal) =>
      workUntil(() => ++turns > 20, signal),
    );
    await expect(work).resolves.toBe('done');
    expect(deps.workflow.heartbeats).toEqual([]);
  });

  it('goes on when single heartbeats are lost', async () => {
    let beats = 0;
    const workflow = makeWorkflow();
    const heartbeat = async () => {
      if (++beats < 3) throw new ServiceUnavailable('no answer');
      return 'alive' as const;
    };
    const deps = makeDeps({ workflow: { ...workflow, heartbeat } });
    const work = keepAlive(deps, token, never, (signal) => workUntil(() => beats > 4, signal));
    await expect(work).resolves.toBe('done');
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
