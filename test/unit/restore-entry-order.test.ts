import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TocEntry } from '#domain/archive/toc.ts';
import { EntrySchedule, restoreOrder } from '#domain/restore/entry-order.ts';

function makeEntry(dumpId: number, desc: string, changes: Partial<TocEntry> = {}): TocEntry {
  return {
    dumpId,
    desc,
    hasData: false,
    tableOid: 0,
    oid: 0,
    tag: `it ${dumpId}`,
    section: 'pre-data',
    definition: undefined,
    dropStatement: undefined,
    copyStatement: undefined,
    schema: 'public',
    tablespace: undefined,
    accessMethod: undefined,
    relationKind: undefined,
    owner: 'postgres',
    dependencies: [],
    dataOffset: undefined,
    dataOffsetAt: 0,
    ...changes,
  };
}

const postData = (dumpId: number, desc: string, dependencies: readonly number[] = []) =>
  makeEntry(dumpId, desc, { section: 'post-data', dependencies });

const all = (entries: readonly TocEntry[]) => new Set(entries.map(({ dumpId }) => dumpId));
const idsOf = (entries: readonly TocEntry[]) => entries.map(({ dumpId }) => dumpId);

describe('the order of a restore', () => {
  const entries = [
    makeEntry(1, 'ENCODING', { section: 'none' }),
    makeEntry(2, 'DATABASE', { section: 'none', tag: 'shop' }),
    makeEntry(3, 'COMMENT', { section: 'none', tag: 'DATABASE shop' }),
    makeEntry(10, 'TABLE'),
    makeEntry(11, 'COMMENT', { section: 'none', tag: 'TABLE "it 10"', dependencies: [10] }),
    makeEntry(12, 'ACL', { section: 'none', tag: 'TABLE "it 10"', dependencies: [10] }),
    makeEntry(13, 'DEFAULT ACL', { section: 'none' }),
    makeEntry(14, 'BLOB', { tag: '16400' }),
    makeEntry(20, 'TABLE DATA', { section: 'data', hasData: true, dependencies: [10] }),
    makeEntry(21, 'SEQUENCE SET', { section: 'data' }),
    makeEntry(22, 'BLOB METADATA', { section: 'data' }),
    makeEntry(23, 'BLOBS', { section: 'data', hasData: true, dependencies: [22] }),
    makeEntry(24, 'ACL', { section: 'none', tag: 'LARGE OBJECTS 1..2', dependencies: [22] }),
    makeEntry(25, 'STATISTICS DATA', { section: 'data', dependencies: [10] }),
    makeEntry(26, 'COMMENT', { section: 'none', tag: 'LARGE OBJECT 1' }),
    postData(29, 'ROW SECURITY', [10]),
    postData(30, 'INDEX', [10]),
    makeEntry(31, 'COMMENT', { section: 'none', tag: 'INDEX x', dependencies: [30] }),
    makeEntry(32, 'ACL', { section: 'none', tag: 'COLUMN a.b', dependencies: [12] }),
    postData(33, 'EVENT TRIGGER'),
    makeEntry(34, 'COMMENT', { section: 'none', tag: 'EVENT TRIGGER x', dependencies: [33] }),
    postData(35, 'MATERIALIZED VIEW DATA'),
    postData(36, 'STATISTICS DATA', [30]),
  ];

  it('is that of pg_restore: what tables need, rows, the rest, row security, privileges, views, event triggers', () => {
    const order = restoreOrder({ entries }, all(entries));
    expect(idsOf(order.preData)).toEqual([10, 11]);
    expect(idsOf(order.beforeData)).toEqual([14, 22]);
    expect(idsOf(order.data)).toEqual([20, 23]);
    expect(idsOf(order.afterData)).toEqual([21, 24, 25, 26]);
    expect(order.postData.map(idsOf)).toEqual([[30, 31], [29], [12, 13, 32], [35, 36], [33, 34]]);
  });

  it('has only what is wanted', () => {
    const order = restoreOrder({ entries }, new Set([1, 2, 10, 30]));
    expect(idsOf(order.preData)).toEqual([10]);
    expect(order.postData.map(idsOf)).toEqual([[30]]);
    expect([...order.beforeData, ...order.data, ...order.afterData]).toEqual([]);
  });

  it('of data alone has neither tables nor indexes, but large objects and sequence values', () => {
    const order = restoreOrder({ entries }, all(entries), { dataOnly: true });
    expect(idsOf(order.beforeData)).toEqual([14, 22]);
    expect(idsOf(order.data)).toEqual([20, 23]);
    expect(idsOf(order.afterData)).toEqual([21, 24, 26]);
    expect([...order.preData, ...order.postData.flat()]).toEqual([]);
  });
});

describe('the schedule of several sessions', () => {
  /** Tables 1 to 5, and entries from 10 on that need some of them and some of each other. */
  const passes = fc
    .array(
      fc.record({
        desc: fc.constantFrom('INDEX', 'CONSTRAINT', 'FK CONSTRAINT', 'TRIGGER', 'INDEX ATTACH'),
        tables: fc.uniqueArray(fc.integer({ min: 1, max: 5 }), { maxLength: 2 }),
        needs: fc.uniqueArray(fc.integer({ min: 0, max: 30 }), { maxLength: 3 }),
      }),
      { maxLength: 30 },
    )
    .map((list) => {
      const tables = [1, 2, 3, 4, 5].map((id) => makeEntry(id, 'TABLE'));
      const pass = list.map((it, i) =>
        postData(10 + i, it.desc, [
          ...it.tables,
          // Only back, so that there is no circle.
          ...it.needs.filter((need) => need < i).map((need) => 10 + need),
        ]),
      );
      return { toc: { entries: [...tables, ...pass] }, pass, tables };
    });

  it('hands out each once, none before what it needs, and no two that lock each other out', () => {
    fc.assert(
      fc.property(
        passes,
        fc.integer({ min: 1, max: 8 }),
        fc.infiniteStream(fc.nat()),
        ({ toc, pass }, sessions, chance) => {
          const schedule = new EntrySchedule(toc, pass);
          const running: TocEntry[] = [];
          const done = new Set<number>();
          const started: number[] = [];
          const early: number[] = [];
          const clashing: TocEntry[] = [];
          while (done.size < pass.length) {
            const entry = running.length < sessions ? schedule.next() : undefined;
            if (entry) {
              early.push(...entry.dependencies.filter((id) => id >= 10 && !done.has(id)));
              clashing.push(...running.filter((other) => lockOut(entry, other)));
              started.push(entry.dumpId);
              running.push(entry);
            } else {
              const [ended] = running.splice((chance.next().value ?? 0) % running.length, 1);
              schedule.finish(ended as TocEntry);
              done.add((ended as TocEntry).dumpId);
            }
          }
          expect(early).toEqual([]);
          expect(clashing).toEqual([]);
          expect(started.toSorted((a, b) => a - b)).toEqual(idsOf(pass));
          expect(schedule.waiting).toBe(0);
          expect(schedule.next()).toBeUndefined();
        },
      ),
    );
  });

  /** One of them locks a table that both need; an index does not lock. */
  function lockOut(a: TocEntry, b: TocEntry): boolean {
    const common = a.dependencies.filter((id) => id < 10 && b.dependencies.includes(id));
    return common.length > 0 && (a.desc !== 'INDEX' || b.desc !== 'INDEX');
  }

  it('keeps what needs another through one that is not restored', () => {
    const toc = {
      entries: [postData(10, 'INDEX'), postData(11, 'INDEX ATTACH', [10]), postData(12, 'X', [11])],
    };
    const schedule = new EntrySchedule(
      toc,
      toc.entries.filter(({ dumpId }) => dumpId !== 11),
    );
    expect(schedule.next()?.dumpId).toBe(10);
    expect(schedule.next()).toBeUndefined();
    schedule.finish(toc.entries[0] as TocEntry);
    expect(schedule.next()?.dumpId).toBe(12);
  });

  it('begins with what belongs to the largest table, whether it names the table or its rows', () => {
    const toc = {
      entries: [
        makeEntry(1, 'TABLE'),
        makeEntry(2, 'TABLE'),
        makeEntry(3, 'TABLE DATA', { section: 'data', hasData: true, dependencies: [1] }),
        makeEntry(4, 'TABLE DATA', { section: 'data', hasData: true, dependencies: [2] }),
        postData(10, 'INDEX', [1]),
        postData(11, 'INDEX', [2]),
        postData(12, 'INDEX', [4]),
      ],
    };
    const schedule = new EntrySchedule(toc, toc.entries.slice(4), [
      { dumpId: 3, lengthBytes: 100 },
      { dumpId: 4, lengthBytes: 5000 },
    ]);
    expect([schedule.next(), schedule.next(), schedule.next()].map((it) => it?.dumpId)).toEqual([
      11, 12, 10,
    ]);
  });

  it('takes a dependency on the rows of a table for one on the table where locks count', () => {
    const toc = {
      entries: [
        makeEntry(1, 'TABLE'),
        makeEntry(3, 'TABLE DATA', { section: 'data', hasData: true, dependencies: [1] }),
        postData(10, 'TRIGGER', [1]),
        postData(11, 'INDEX', [3]),
      ],
    };
    const schedule = new EntrySchedule(toc, toc.entries.slice(2));
    expect(schedule.next()?.dumpId).toBe(10);
    expect(schedule.next()).toBeUndefined();
  });

  it('ends with dependencies that go round in a circle, too', () => {
    const toc = {
      entries: [postData(10, 'RULE', [12]), postData(11, 'RULE', [10]), postData(12, 'RULE', [11])],
    };
    const schedule = new EntrySchedule(toc, toc.entries);
    const order: number[] = [];
    for (let entry = schedule.next(); entry; entry = schedule.next()) {
      expect(schedule.next()).toBeUndefined();
      order.push(entry.dumpId);
      schedule.finish(entry);
    }
    expect(order).toEqual([10, 11, 12]);
  });

  it('manages ten thousand entries in no time', () => {
    const entries = Array.from({ length: 10_000 }, (_, i) =>
      i < 1000 ? makeEntry(i + 1, 'TABLE') : postData(i + 1, 'INDEX', [(i % 1000) + 1, i - 1000]),
    );
    const pass = entries.slice(1000);
    const schedule = new EntrySchedule({ entries }, pass);
    let count = 0;
    for (let entry = schedule.next(); entry; entry = schedule.next()) {
      schedule.finish(entry);
      count += 1;
    }
    expect(count).toBe(9000);
  });
});
