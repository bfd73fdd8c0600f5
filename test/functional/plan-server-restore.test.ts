import { describe, expect, it } from 'vitest';
import { planServerRestore } from '#functions/plan-server-restore.ts';
import {
  executionArnOf,
  makeDeps,
  makePlan,
  makePlans,
  makeServerRestore,
  makeServerSnapshot,
  makeSourceServer,
} from '#test/fakes.ts';

const event = (input: object = {}) => ({
  input: { source: 'orders', snapshot: 'latest', ...input },
  executionArn: executionArnOf('restore-1'),
  startedAt: '2026-11-20T03:00:00.000Z',
});
const named = (name: string, text: string) =>
  expect.objectContaining({ name, message: expect.stringContaining(text) });

describe('the plan of a server restore', () => {
  it('names the snapshot, the new server and all its settings', async () => {
    const { restore } = await planServerRestore(event({ reason: 'a look' }), makeDeps());
    expect(restore).toMatchObject({
      restoreId: expect.stringMatching(/^20261120T030000Z-[0-9a-z]{6}$/),
      planVersion: 1,
      reason: 'a look',
      kind: 'instance',
      sourceIdentifier: 'orders-prod',
      origin: { type: 'snapshot', snapshotId: makeServerSnapshot().snapshotId },
      target: {
        identifier: 'orders-prod-restored-20261120t030000z',
        writer: null,
        settings: { subnetGroup: 'private', publiclyAccessible: false },
      },
      cleanUp: 'unfinished',
      timeoutSeconds: 86_400,
    });
    expect(restore.target.settings.tags['holdfast:restore']).toBe(restore.restoreId);
  });

  it('is the same when it is asked for again, also when its server is there by then', async () => {
    const deps = makeDeps();
    const first = await planServerRestore(event(), deps);
    await deps.servers.restore(first.restore);
    expect(await planServerRestore(event(), deps)).toEqual(first);
  });

  it('of a cluster has a writer', async () => {
    const deps = makeDeps({
      plans: makePlans([makePlan({ engine: { type: 'aurora-cluster', identifier: 'orders' } })]),
    });
    const source = makeSourceServer({ engine: 'aurora-postgresql' });
    deps.servers.sources.set('orders', source);
    const input = { snapshot: undefined, pointInTime: 'latest' };
    const { restore } = await planServerRestore(event(input), deps);
    expect(restore).toMatchObject({
      kind: 'cluster',
      engine: 'aurora-postgresql',
      origin: { type: 'point-in-time', time: null },
      target: { writer: 'orders-restored-20261120t030000z-1' },
    });
  });

  it('keeps the warnings about a snapshot of another server', async () => {
    const deps = makeDeps();
    deps.servers.snapshots.push(
      makeServerSnapshot({ snapshotId: 'old', tags: {}, serverIdentifier: 'x', resourceId: null }),
    );
    const { restore } = await planServerRestore(event({ snapshot: 'old' }), deps);
    expect(restore.warnings).toEqual([expect.stringContaining('is of the server x')]);
  });

  it('makes nothing, whatever is wrong', async () => {
    const deps = makeDeps();
    const taken = makeServerRestore({ target: { identifier: 'taken' }, restoreId: 'another' });
    await deps.servers.restore(taken);
    const before = deps.servers.restored.size;
    const cases: [object, string, string][] = [
      [{ target: { identifier: 'taken' } }, 'TargetNotEmpty', 'a server taken exists already'],
      [{ snapshot: 'gone' }, 'SnapshotNotFound', 'has no snapshot gone of an instance'],
      [{ snapshot: 'latest', pointInTime: 'latest' }, 'InvalidInput', 'only one'],
      [{ source: 'unknown' }, 'UnknownSource', 'unknown'],
      [{ target: { clusterParameterGroup: 'x' } }, 'InvalidInput', 'target.parameterGroup'],
    ];
    for (const [input, name, text] of cases) {
      await expect(planServerRestore(event(input), deps)).rejects.toThrow(named(name, text));
    }
    expect(deps.servers.restored.size).toBe(before);
  });

  it('is refused for a Multi-AZ DB cluster, which is no Aurora', async () => {
    const deps = makeDeps({
      plans: makePlans([makePlan({ engine: { type: 'aurora-cluster', identifier: 'multi' } })]),
    });
    deps.servers.sources.set('multi', makeSourceServer({ engine: 'postgres' }));
    await expect(planServerRestore(event(), deps)).rejects.toThrow(
      named('InvalidInput', 'is of the engine postgres, not aurora-postgresql'),
    );
  });
});
