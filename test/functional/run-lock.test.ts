import { describe, expect, it } from 'vitest';
import { runLockKey } from '#domain/names.ts';
import { WriteConflict } from '#errors';
import { acquireRunLock } from '#operations/run-lock.ts';
import type { Objects } from '#runtime/ports.ts';
import { executionArnOf, makeDeps, makeWorkflow } from '#test/fakes.ts';

const KEY = runLockKey('orders');
const OLD_START = '2026-11-20T02:30:00.000Z';

const makeRun = (runId: string, startedAt = '2026-11-20T03:00:00.000Z') => ({
  source: 'orders',
  runId,
  executionArn: executionArnOf(runId),
  startedAt,
});

/** Deps with the lock of run `old` in the bucket, which Step Functions knows under `status`, or not. */
function makeLockedDeps(status?: string, startedAt?: string) {
  const executions = status === undefined ? {} : { [executionArnOf('old')]: status };
  const deps = makeDeps({ workflow: makeWorkflow({ executions }) });
  const { runId, executionArn, startedAt: since } = makeRun('old', startedAt);
  deps.objects.seed(KEY, { version: 1, executionArn, runId, startedAt: since });
  return deps;
}

const holder = (deps: ReturnType<typeof makeLockedDeps>) =>
  (deps.objects.json(KEY) as { runId: string }).runId;

describe('the lock of a source', () => {
  it('is kept by a run that waits to be redriven', async () => {
    const deps = makeLockedDeps('PENDING_REDRIVE');
    await expect(acquireRunLock(deps, makeRun('new'))).rejects.toMatchObject({
      name: 'RunInProgress',
    });
    expect(holder(deps)).toBe('old');
  });

  it('is kept for five minutes from its start by a run that Step Functions does not know yet', async () => {
    // The new run started at another time: it is the old one's age that counts.
    const run = makeRun('new', '2026-11-20T02:00:00.000Z');
    const deps = makeLockedDeps(undefined, OLD_START);
    deps.clock.set(new Date(Date.parse(OLD_START) + 5 * 60_000 - 1));
    await expect(acquireRunLock(deps, run)).rejects.toMatchObject({ name: 'RunInProgress' });
    deps.clock.advance(1);
    await acquireRunLock(deps, run);
    expect(holder(deps)).toBe('new');
  });

  it('is judged anew when another run was quicker, and taken over when that one has ended', async () => {
    const deps = makeLockedDeps('SUCCEEDED');
    deps.workflow.executions.set(executionArnOf('quick'), 'ABORTED');
    let writes = 0;
    const put: Objects['put'] = (key, body, options) => {
      if (++writes === 1) {
        const { source: _, ...quick } = makeRun('quick');
        deps.objects.seed(KEY, { version: 1, ...quick });
      }
      return deps.objects.put(key, body, options);
    };
    await acquireRunLock({ ...deps, objects: { ...deps.objects, put } }, makeRun('new'));
    expect(holder(deps)).toBe('new');
    expect(deps.log.of('run lock taken over')).toMatchObject([{ fields: { from: 'quick' } }]);
  });

  it('is refused to a run whose writes always lose, after three', async () => {
    const deps = makeDeps();
    let writes = 0;
    const put: Objects['put'] = async (key) => {
      if (++writes > 50) throw new Error('it never gives up');
      throw new WriteConflict(`object ${key} exists already`);
    };
    const outcome = acquireRunLock({ ...deps, objects: { ...deps.objects, put } }, makeRun('new'));
    await expect(outcome).rejects.toMatchObject({
      name: 'RunInProgress',
      message: expect.stringContaining('another run of orders was started at the same moment'),
    });
    expect(writes).toBe(3);
  });

  it('that was free is taken without a word of a take-over', async () => {
    const deps = makeDeps();
    await acquireRunLock(deps, makeRun('new'));
    expect(deps.objects.json(KEY)).toEqual({
      version: 1,
      runId: 'new',
      executionArn: executionArnOf('new'),
      startedAt: '2026-11-20T03:00:00.000Z',
    });
    expect(deps.log.of('run lock taken over')).toEqual([]);
  });
});
