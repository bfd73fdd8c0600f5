import { describe, expect, it } from 'vitest';
import { checkSnapshot } from '#functions/check-snapshot.ts';
import {
  makeDeps,
  makePlan,
  makePlans,
  makeRun,
  makeSnapshotState,
  makeSnapshots,
} from '#test/fakes.ts';

const creating = makeSnapshotState({
  status: 'creating',
  progressPercent: 40,
  startedAt: '2026-11-20T03:00:00.000Z',
});

/** RDS at 40 %, and a plan that gives it 30 minutes. */
function makeSlowDeps() {
  const snapshots = { ...makeSnapshots(), describe: async () => creating };
  const plans = makePlans([makePlan({ snapshot: { timeoutMinutes: 30 } })]);
  return makeDeps({ snapshots, plans });
}

const event = { run: makeRun(), snapshot: creating };

describe('a snapshot that is looked at', () => {
  it('is available when RDS says so', async () => {
    const snapshots = makeSnapshots();
    const available = makeSnapshotState();
    const deps = makeDeps({ snapshots: { ...snapshots, describe: async () => available } });
    expect(await checkSnapshot(event, deps)).toEqual(available);
  });

  it('goes on while its time is not up', async () => {
    const deps = makeSlowDeps();
    deps.clock.advance(29.9 * 60_000);
    expect(await checkSnapshot(event, deps)).toEqual(creating);
  });

  it('is given up when its time is up', async () => {
    const deps = makeSlowDeps();
    deps.clock.advance(30 * 60_000);
    await expect(checkSnapshot(event, deps)).rejects.toThrow(
      expect.objectContaining({
        name: 'SnapshotTimeout',
        message: expect.stringContaining('is at 40 % after 30 minutes'),
      }),
    );
  });

  it('that is available is a success, however late', async () => {
    const snapshots = { ...makeSnapshots(), describe: async () => makeSnapshotState() };
    const deps = makeDeps({ snapshots });
    deps.clock.advance(365 * 24 * 3600 * 1000);
    expect(await checkSnapshot(event, deps)).toMatchObject({ status: 'available' });
  });

  it('that is gone is SnapshotFailed', async () => {
    await expect(checkSnapshot(event, makeDeps())).rejects.toThrow(
      expect.objectContaining({ name: 'SnapshotFailed' }),
    );
  });
});
