import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { DrillOrder } from '#contracts/drill.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { backupKey, drillKey } from '#domain/names.ts';
import { drillDatabase } from '#functions/drill-database.ts';
import { makeArchiveSpec, makeEntry, makeTableData, writeArchive } from '#test/archive-writer.ts';
import { makeArchiveDrill, makeDrill } from '#test/fakes/drills.ts';
import {
  type Changes,
  makeDeps,
  makeManifest,
  makePlan,
  makePlans,
  seedBackup,
} from '#test/fakes.ts';

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

  describe('of tables that the plan names', () => {
    const GIB = 1024 ** 3;
    const table = (dumpId: number, tag: string) => makeEntry({ dumpId, tag, desc: 'TABLE' });
    const rows = (dumpId: number, tag: string, of: number, sizeBytes: number) =>
      makeTableData({ dumpId, tag, dependencies: [of], table: [Buffer.alloc(sizeBytes, '1')] });
    const partition = (dumpId: number, tag: string) => [
      table(dumpId, tag),
      makeEntry({
        dumpId: dumpId + 1,
        desc: 'TABLE ATTACH',
        tag,
        definition: `ALTER TABLE ONLY public.log ATTACH PARTITION public.${tag} DEFAULT;\n`,
        dependencies: [dumpId, 40],
      }),
      rows(dumpId + 2, tag, dumpId, 10_000),
    ];
    /** Orders are a tenth of the data, customers, whom they refer to, a half, and two partitions a tenth each. */
    const entries = [
      table(10, 'customers'),
      table(20, 'orders'),
      table(30, 'other'),
      table(40, 'log'),
      ...partition(50, 'log_a'),
      ...partition(60, 'log_b'),
      rows(11, 'customers', 10, 50_000),
      rows(21, 'orders', 20, 10_000),
      rows(31, 'other', 30, 20_000),
      makeEntry({ dumpId: 12, desc: 'CONSTRAINT', tag: 'customers key', dependencies: [10] }),
      makeEntry({
        dumpId: 22,
        desc: 'FK CONSTRAINT',
        tag: 'orders customer',
        dependencies: [20, 10, 12],
      }),
    ];

    async function orderOf(tables: string[]) {
      const deps = makeReady({ drill: { tables } });
      const backupId = archive.restore.backup?.backupId ?? '';
      const ref = { source: 'orders', database: 'shop', backupId };
      const key = backupKey(ref, 'archive.dump');
      const { bytes, headLengthBytes, blocks } = writeArchive(
        makeArchiveSpec({ withOffsets: true, entries }),
      );
      deps.objects.seed(key, bytes);
      const head = bytes.subarray(0, headLengthBytes);
      const stored = await deps.objects.head(key);
      const manifest = makeManifest({
        ...ref,
        databaseSizeBytes: 100 * GIB,
        objects: { archive: { sizeBytes: bytes.length, crc64nvme: stored?.crc64nvme ?? '' } },
        archive: {
          headBytes: headLengthBytes,
          headSha256: createHash('sha256').update(head).digest('hex'),
          blocks: [...blocks],
        },
      });
      deps.objects.seed(backupKey(ref, 'manifest.json'), manifest);
      const restore = {
        ...archive.restore,
        archive: { key, sizeBytes: bytes.length },
      };
      await drillDatabase({ ...event(), archive: { ...archive, restore } }, deps);
      const order = DrillOrder.parse(deps.objects.json(drillKey(drill, 'shop', 'order.json')));
      return { order, storageGiB: deps.tasks.started[0]?.storageGiB };
    }
    const diskOf = async (tables: string[]) => (await orderOf(tables)).storageGiB;

    it('orders them with what they need, which the plan alone says', async () => {
      const { order } = await orderOf(['orders', 'nowhere.*']);
      expect(order.subject).toMatchObject({
        restore: {
          selection: { tables: ['orders', 'nowhere.*'], without: [], withDependencies: true },
        },
      });
    });

    it('counts the tables that their foreign keys refer to, which are restored as well', async () => {
      expect(await diskOf(['other'])).toBe(60);
      // A tenth of its own, and the half that the customers are: 60 GiB of data, 2.5 times.
      expect(await diskOf(['orders'])).toBe(160);
    });

    it('counts the partitions of a partitioned table, whose own name has no data', async () => {
      // With a little for the heads of the blocks.
      expect(await diskOf(['log'])).toBe(61);
      expect(await diskOf(['log_a'])).toBe(36);
    });

    it('passes over names of other databases, and is refused where all of it is wanted and too large', async () => {
      expect(await diskOf(['other', 'nowhere.*'])).toBe(60);
      await expect(diskOf(['nowhere.*'])).rejects.toMatchObject({ name: 'DrillTooLarge' });
    });
  });

  it('launches none when the backup was deleted since', async () => {
    const deps = makeDeps({ plans: makePlans([makePlan({ network })]) });
    await expect(drillDatabase(event(), deps)).rejects.toMatchObject({ name: 'ObjectMissing' });
    expect(deps.tasks.started).toEqual([]);
  });
});
