import { describe, expect, it } from 'vitest';
import { createSnapshot } from '#functions/create-snapshot.ts';
import { makeDeps, makeRun, makeSnapshots } from '#test/fakes.ts';

describe('the snapshot of a run', () => {
  it('has an id that follows from the run, and tags that say whose it is', async () => {
    const snapshots = makeSnapshots();
    const asked: Parameters<typeof snapshots.create>[0][] = [];
    const create: typeof snapshots.create = (request) => {
      asked.push(request);
      return snapshots.create(request);
    };
    const deps = makeDeps({ snapshots: { ...snapshots, create } });
    const run = makeRun({ reason: 'before release' });
    const state = await createSnapshot({ run }, deps);

    expect(state).toMatchObject({ status: 'creating', adopted: false });
    expect(state.snapshotId).toMatch(/^holdfast-orders-20261120t020000z-[0-9a-z]{6}$/);
    expect(asked).toMatchObject([
      {
        snapshotId: state.snapshotId,
        now: deps.clock.now(),
        tags: {
          'holdfast:managed': 'true',
          'holdfast:source': 'orders',
          'holdfast:run': run.runId,
          'holdfast:reason': 'before release',
        },
      },
    ]);
    expect(deps.log.of('snapshot created')).toHaveLength(1);
  });

  it('is the same one when the state is tried again', async () => {
    const deps = makeDeps();
    const first = await createSnapshot({ run: makeRun() }, deps);
    deps.clock.advance(60_000);
    const second = await createSnapshot({ run: makeRun() }, deps);
    expect(second).toEqual({ ...first, adopted: true });
    expect(deps.snapshots.stored.size).toBe(1);
    expect(deps.log.of('snapshot adopted')).toHaveLength(1);
  });

  it('is another one for another run of the same second', async () => {
    const deps = makeDeps();
    const first = await createSnapshot({ run: makeRun({ runId: 'a' }) }, deps);
    const second = await createSnapshot({ run: makeRun({ runId: 'b' }) }, deps);
    expect(second.snapshotId).not.toBe(first.snapshotId);
  });
});
