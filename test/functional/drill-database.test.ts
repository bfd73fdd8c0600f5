import { describe, expect, it } from 'vitest';
import { DrillOrder } from '#contracts/drill.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { drillKey } from '#domain/names.ts';
import { drillDatabase } from '#functions/drill-database.ts';
import { makeArchiveDrill, makeDrill } from '#test/fakes/drills.ts';
import { type Changes, makeDeps, makePlan, makePlans, seedBackup } from '#test/fakes.ts';

const drill = makeDrill();
const archive = makeArchiveDrill();
const event = (taskToken = 'token-1') => ({
  drill,
  archive,
  begunAt: '2026-11-20T10:00:05.000Z',
  taskToken,
});
const network = { subnets: ['subnet-1'], securityGroups: ['sg-1'], assignPublicIp: false };

function makeReady(changes: Changes<SourcePlan> = {}) {
  const deps = makeDeps({ plans: makePlans([makePlan({ network, ...changes })]) });
  seedBackup(deps.objects, archive.restore.backup ?? {});
  return deps;
}

describe('ordering the drill of an archive', () => {
  it('writes the order, then launches the task with the size and disk of drills', async () => {
    const deps = makeReady();
    await drillDatabase(event(), deps);
    const key = drillKey(drill, 'shop', 'order.json');
    const order = DrillOrder.parse(deps.objects.json(key));
    expect(order).toMatchObject({
      subject: { type: 'archive', restore: archive.restore },
      taskToken: 'token-1',
      begunAt: '2026-11-20T10:00:05.000Z',
      checks: { amcheck: 'full' },
      network,
    });
    expect(deps.tasks.started).toMatchObject([
      {
        kind: 'drill',
        orderKey: key,
        source: 'orders',
        task: { cpu: 2048, memoryMiB: 8192 },
        network,
        storageGiB: 21,
      },
    ]);
  });

  it('names no secret and no address of production in the order', async () => {
    const deps = makeReady();
    await drillDatabase(event(), deps);
    const text = JSON.stringify(deps.objects.json(drillKey(drill, 'shop', 'order.json')));
    expect(text).not.toContain('orders.example.internal');
    expect(text).not.toContain('secretId');
  });

  it('goes into the network of drills where the plan has one', async () => {
    const own = { ...network, subnets: ['subnet-isolated'], securityGroups: ['sg-nothing'] };
    const deps = makeReady({ drill: { network: own } });
    await drillDatabase(event(), deps);
    expect(deps.tasks.started).toMatchObject([{ network: own }]);
  });

  it('launches one task a token, however often it is called', async () => {
    const deps = makeReady();
    await drillDatabase(event(), deps);
    await drillDatabase(event(), deps);
    expect(deps.tasks.started).toHaveLength(1);
    await drillDatabase(event('token-2'), deps);
    expect(deps.tasks.started).toHaveLength(2);
  });

  it('launches none when the backup was deleted since', async () => {
    const deps = makeDeps({ plans: makePlans([makePlan({ network })]) });
    await expect(drillDatabase(event(), deps)).rejects.toMatchObject({ name: 'ObjectMissing' });
    expect(deps.tasks.started).toEqual([]);
  });
});
