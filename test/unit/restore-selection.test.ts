import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Selection } from '#contracts/restore.ts';
import { parseToc, type TocEntry } from '#domain/archive/toc.ts';
import { describeTables } from '#domain/restore/describe-tables.ts';
import {
  parseSchemaPattern,
  parseTablePattern,
  quotePattern,
} from '#domain/restore/name-pattern.ts';
import { dependencyProbe, requireSelection, selectEntries } from '#domain/restore/selection.ts';
import { type EntrySpec, makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';

/** Ids are the numbers here; `needs` are other entries' ids. */
function entry(
  dumpId: number,
  desc: string,
  name: string,
  overrides: Partial<EntrySpec> & { needs?: number[] } = {},
): EntrySpec {
  const dot = name.indexOf('.');
  const { needs = [], ...rest } = overrides;
  return makeEntry({
    dumpId,
    desc,
    schema: dot === -1 ? undefined : name.slice(0, dot),
    tag: name.slice(dot + 1),
    dependencies: needs,
    ...rest,
  });
}

const rows = (dumpId: number, name: string, table: number): EntrySpec =>
  entry(dumpId, 'TABLE DATA', name, { needs: [table], table: [] });

function archive(entries: readonly EntrySpec[]) {
  const { bytes, headLengthBytes } = writeArchive(makeArchiveSpec({ entries }));
  const head = bytes.subarray(0, headLengthBytes);
  return { head, toc: parseToc(head) };
}

type Wanted = Partial<Selection>;

function select(
  entries: readonly EntrySpec[],
  wanted: Wanted,
  isPresent?: (it: TocEntry) => boolean,
) {
  const { head, toc } = archive(entries);
  return selectEntries(head, toc, Selection.parse(wanted), isPresent);
}

function requireSelected(
  entries: readonly EntrySpec[],
  wanted: Wanted,
  isPresent?: (it: TocEntry) => boolean,
) {
  const { head, toc } = archive(entries);
  return requireSelection(head, toc, Selection.parse(wanted), isPresent);
}

const idsOf = (entries: readonly EntrySpec[], wanted: Wanted) =>
  [...select(entries, wanted).ids].toSorted((a, b) => a - b);

/** A shop: customers, and orders of a type of their own that refer to them. */
const shop: readonly EntrySpec[] = [
  entry(1, 'ENCODING', 'ENCODING'),
  entry(2, 'DATABASE', 'shop'),
  entry(3, 'COMMENT', 'DATABASE shop', { needs: [2] }),
  entry(4, 'DATABASE PROPERTIES', 'shop', { needs: [2] }),
  entry(10, 'SCHEMA', 'sales'),
  entry(11, 'ACL', 'SCHEMA sales', { needs: [10] }),
  entry(12, 'SCHEMA', 'crm'),
  entry(20, 'TYPE', 'sales.state', { needs: [10] }),
  entry(21, 'COMMENT', 'sales.TYPE state', { needs: [20] }),
  entry(22, 'FUNCTION', 'sales.stamp()', { needs: [10] }),
  entry(30, 'TABLE', 'crm.customers', { needs: [12] }),
  entry(31, 'TABLE', 'sales.orders', { needs: [10, 20] }),
  entry(32, 'SEQUENCE', 'sales.orders_id_seq', { needs: [10, 31] }),
  entry(33, 'SEQUENCE OWNED BY', 'sales.orders_id_seq', { needs: [32] }),
  entry(34, 'DEFAULT', 'sales.orders id', { needs: [31, 32] }),
  rows(40, 'crm.customers', 30),
  rows(41, 'sales.orders', 31),
  entry(42, 'SEQUENCE SET', 'sales.orders_id_seq', { needs: [32] }),
  entry(43, 'BLOB METADATA', '5001'),
  entry(44, 'BLOBS', '5001', { needs: [43], blobs: [] }),
  entry(45, 'ACL', 'LARGE OBJECT 5001', { needs: [43] }),
  entry(50, 'CONSTRAINT', 'crm.customers customers_pkey', { needs: [30] }),
  entry(51, 'INDEX', 'sales.orders_by_day', { needs: [31] }),
  entry(52, 'COMMENT', 'sales.INDEX orders_by_day', { needs: [51] }),
  entry(53, 'FK CONSTRAINT', 'sales.orders orders_customer_fkey', { needs: [31, 30, 50] }),
  entry(54, 'TRIGGER', 'sales.orders stamp', { needs: [31, 22] }),
  entry(55, 'ROW SECURITY', 'sales.orders', { needs: [31] }),
  entry(56, 'POLICY', 'sales.orders own', { needs: [31] }),
  entry(57, 'PUBLICATION', 'changes'),
  entry(58, 'PUBLICATION TABLE', 'sales.changes orders', { needs: [57, 31] }),
  entry(59, 'SUBSCRIPTION', 'elsewhere'),
  entry(60, 'EVENT TRIGGER', 'watch', { needs: [22] }),
  entry(62, 'STATISTICS DATA', 'crm.customers', { needs: [30] }),
  entry(61, 'DEFAULT ACL', 'sales.DEFAULT PRIVILEGES FOR TABLES', { needs: [10] }),
];
const ofDatabase = [2, 3, 4];
const allIds = shop.map(({ dumpId }) => dumpId).filter((id) => !ofDatabase.includes(id));

describe('without tables or schemas', () => {
  it('everything is restored but what is about the database itself', () => {
    const { ids, whole, missing, warnings } = select(shop, {});
    expect([...ids]).toEqual(allIds);
    expect({ whole, missing, warnings }).toEqual({ whole: true, missing: [], warnings: [] });
  });

  it('everything is restored whatever the archive says about dependencies', () => {
    const circle = [
      entry(1, 'DATABASE', 'shop'),
      entry(2, 'COMMENT', 'DATABASE of another name', { needs: [1] }),
      entry(3, 'SEQUENCE SET', 'a.s', { needs: [4] }),
      entry(4, 'ROW SECURITY', 'a.t', { needs: [3] }),
    ];
    const { ids, whole, missing } = select(circle, {});
    expect([...ids]).toEqual([3, 4]);
    expect({ whole, missing }).toEqual({ whole: true, missing: [] });
  });

  it('a schema-only restore sets no sequences and makes no large objects', () => {
    const { ids, whole } = select(shop, { only: 'schema' });
    expect(allIds.filter((id) => !ids.has(id))).toEqual([40, 41, 42, 43, 44, 45, 62]);
    expect(whole).toBe(false);
  });

  it('a data-only restore has rows, sequences and large objects, and needs the tables', () => {
    const { ids, missing, tables } = select(shop, { only: 'data' });
    expect([...ids]).toEqual([1, 40, 41, 42, 43, 44, 45]);
    expect(missing.map(({ needed }) => needed.dumpId)).toEqual([30, 31, 32]);
    expect(tables).toEqual([
      { schema: 'crm', table: 'customers', dataDumpId: 40 },
      { schema: 'sales', table: 'orders', dataDumpId: 41 },
    ]);
  });

  it('a data-only restore is fine where the tables are in the target', () => {
    const isRelation = ({ desc }: TocEntry) => desc === 'TABLE' || desc === 'SEQUENCE';
    expect(requireSelected(shop, { only: 'data' }, isRelation).missing).toEqual([]);
    expect(() => requireSelected(shop, { only: 'data' })).toThrow(
      expect.objectContaining({
        name: 'DependencyMissing',
        message: expect.stringContaining('crm.customers needs TABLE crm.customers'),
      }),
    );
  });

  it.each([
    ['indexes', [51, 52]],
    ['constraints', [50, 53]],
    ['triggers', [54, 60]],
    ['policies', [55, 56]],
    ['comments', [21, 52]],
    ['privileges', [11, 45, 61]],
    ['publications', [57, 58]],
    ['subscriptions', [59]],
    ['statistics', [62]],
  ] as const)('without %s, these and what is said of them are left out', (kind, left) => {
    const { ids, missing } = select(shop, { without: [kind] });
    expect(allIds.filter((id) => !ids.has(id))).toEqual(left);
    expect(missing).toEqual([]);
  });

  it('without policies, it is said which tables show all their rows', () => {
    expect(select(shop, { without: ['policies'] }).warnings).toEqual([
      'sales.orders is without its row security: its readers see all rows',
    ]);
  });

  it('without rules, a view keeps its query', () => {
    const view = [
      entry(1, 'VIEW', 'a.v'),
      entry(2, 'RULE', 'a.v _RETURN', { needs: [1] }),
      entry(3, 'RULE', 'a.v on_delete', { needs: [1] }),
    ];
    expect(idsOf(view, { without: ['rules'] })).toEqual([1, 2]);
  });

  it('a schema that is in the target already is not made', () => {
    const { ids, whole } = select(shop, {}, ({ desc, tag }) => desc === 'SCHEMA' && tag === 'crm');
    expect(allIds.filter((id) => !ids.has(id))).toEqual([12]);
    expect(whole).toBe(false);
  });
});

describe('rows', () => {
  it('of an archive of rows alone are sorted by foreign keys, and need no others for that', () => {
    const sorted = [rows(1, 'a.first', 90), entry(2, 'TABLE', 'a.second'), rows(3, 'a.second', 2)];
    const last = { ...rows(3, 'a.second', 2), dependencies: [2, 1] };
    expect(
      requireSelected([...sorted.slice(0, 2), last], { tables: ['a.second'] }).missing,
    ).toEqual([]);
    expect(
      requireSelected([rows(1, 'a.first', 90), { ...last, dependencies: [1] }], {
        tables: ['a.second'],
      }).missing,
    ).toEqual([]);
  });
});

describe('what is left out although something needs it', () => {
  const grouped = [
    entry(1, 'TABLE', 'a.t'),
    entry(2, 'VIEW', 'a.v', { needs: [1] }),
    entry(3, 'CONSTRAINT', 'a.t t_pkey', { needs: [1] }),
    entry(4, 'COMMENT', 'a.CONSTRAINT t_pkey ON t', { needs: [3] }),
    entry(5, 'CONSTRAINT', 'a.t t_other', { needs: [1] }),
    entry(6, 'RULE', 'a.v _RETURN', { needs: [2, 3, 1] }),
    entry(7, 'INDEX', 'a.t_unique', { needs: [1] }),
    entry(8, 'FK CONSTRAINT', 'a.t t_self', { needs: [1, 7] }),
  ];

  it('is restored nevertheless, with what is said of it, and that is said', () => {
    const { ids, warnings, missing } = select(grouped, { without: ['constraints'] });
    expect([...ids]).toEqual([1, 2, 3, 4, 6, 7]);
    expect(warnings).toEqual(['CONSTRAINT a.t t_pkey is restored nevertheless: a.v needs it']);
    expect(missing).toEqual([]);
  });

  it('of a table that is not selected means the table', () => {
    expect(() => requireSelected(grouped, { tables: ['a.v'] })).toThrow('a.v needs TABLE a.t; say');
  });

  it('is left out with what needs it when that is left out too', () => {
    expect(idsOf(grouped, { without: ['indexes'] })).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(idsOf(grouped, { without: ['indexes', 'constraints'] })).toEqual([1, 2, 3, 4, 6]);
  });
});

describe('a selected table', () => {
  it('comes with its parts and its schema, and names what it needs', () => {
    const { ids, missing, dependencies, tables } = select(shop, { tables: ['sales.orders'] });
    expect([...ids]).toEqual([1, 10, 11, 31, 32, 33, 34, 41, 42, 51, 52, 54, 55, 56]);
    expect(missing.map(({ needed, by }) => [needed.tag, by.map(({ tag }) => tag)])).toEqual([
      ['state', ['orders']],
      ['stamp()', ['orders stamp']],
    ]);
    expect(dependencies.map(({ tag }) => tag)).toEqual(['sales']);
    expect(tables).toEqual([{ schema: 'sales', table: 'orders', dataDumpId: 41 }]);
  });

  it('is refused while something is missing, which is named', () => {
    expect(() => requireSelected(shop, { tables: ['sales.orders'] })).toThrow(
      expect.objectContaining({
        name: 'DependencyMissing',
        message:
          'sales.orders needs TYPE sales.state; ' +
          'TRIGGER sales.orders stamp needs FUNCTION sales.stamp(); ' +
          'say "withDependencies": true',
      }),
    );
  });

  it.each([
    ['TABLE', 'public.base', ', or select it too'],
    ['VIEW', 'public.base', ', or select it too'],
    ['EXTENSION', 'hstore', ', or create it first in an empty database, and restore into that'],
    ['FUNCTION', 'public.lim()', ''],
    ['TYPE', 'public.state', ''],
  ])('is told what can be done about a missing %s', (desc, tag, ways) => {
    const toc = [entry(1, desc, tag), entry(2, 'TABLE', 'public.heir', { dependencies: [1] })];
    expect(() => requireSelected(toc, { tables: ['public.heir'] })).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/; say "withDependencies": true[^;]*$/),
        remedy: `say "withDependencies": true${ways}`,
      }),
    );
  });

  it('is named so that the name can be pasted', () => {
    const toc = [
      entry(1, 'TABLE', '', { schema: 'Weird Sch.ema', tag: 'x.y' }),
      entry(2, 'TABLE', 'p.z'),
      entry(3, 'FK CONSTRAINT', '', {
        schema: 'Weird Sch.ema',
        tag: 'x.y a_fkey',
        needs: [1, 2],
        definition: 'ALTER TABLE ONLY "Weird Sch.ema"."x.y"\n    ADD CONSTRAINT a_fkey …',
      }),
    ];
    const pasted = '"Weird Sch.ema"."x.y"';
    const { ids, warnings } = select(toc, { tables: [pasted] });
    expect([...ids]).toEqual([1]);
    expect(warnings).toEqual([`FK CONSTRAINT ${pasted} a_fkey is left out: p.z is not selected`]);
  });

  it('says which foreign key, publications and large objects it goes without', () => {
    expect(select(shop, { tables: ['sales.orders'] }).warnings).toEqual([
      'left out are large objects: they come with the whole database only',
      'FK CONSTRAINT sales.orders orders_customer_fkey is left out: crm.customers is not selected',
      'publications are left out; in the archive they have sales.orders',
    ]);
  });

  it('that may refer to large objects is named', () => {
    const media = [
      entry(1, 'TABLE', 'a.media', { definition: 'CREATE TABLE a.media (\n    content oid\n);\n' }),
      entry(2, 'TABLE', 'a.oids', { definition: 'CREATE TABLE a.oids (\n    oids text\n);\n' }),
      entry(3, 'BLOBS', 'BLOBS', { blobs: [] }),
    ];
    expect(select(media, { schemas: ['a'] }).warnings).toEqual([
      'left out are large objects, which a.media may refer to: they come with the whole database only',
    ]);
  });

  it('has its foreign key when the other table is selected too', () => {
    const both = idsOf(shop, { tables: ['sales.orders', 'crm.customers'] });
    expect(both).toContain(53);
    expect(idsOf(shop, { tables: ['crm.customers'] })).toEqual([1, 12, 30, 40, 50, 62]);
  });

  it('brings what it needs when that is asked for, the tables of its foreign keys with their rows', () => {
    const { ids, missing, dependencies } = select(shop, {
      tables: ['sales.orders'],
      withDependencies: true,
    });
    expect([...ids]).toEqual([
      1, 10, 11, 12, 20, 21, 22, 30, 31, 32, 33, 34, 40, 41, 42, 50, 51, 52, 53, 54, 55, 56, 62,
    ]);
    expect(missing).toEqual([]);
    expect(dependencies.map(({ dumpId }) => dumpId)).toEqual([10, 12, 20, 22, 30]);
  });

  it('without constraints brings no table along for them', () => {
    const wanted = { tables: ['sales.orders'], withDependencies: true };
    const { ids, warnings } = select(shop, { ...wanted, without: ['constraints', 'publications'] });
    expect(ids.has(30)).toBe(false);
    expect(warnings).toEqual([
      'left out are large objects: they come with the whole database only',
    ]);
  });

  it('needs nothing that is in the target', () => {
    const isPresent = ({ desc }: TocEntry) => desc === 'TYPE' || desc === 'FUNCTION';
    const selected = requireSelected(shop, { tables: ['sales.orders'] }, isPresent);
    expect(selected.missing).toEqual([]);
    const wanted = { tables: ['sales.orders'], withDependencies: true };
    const { ids } = select(shop, wanted, isPresent);
    expect([20, 22].filter((id) => ids.has(id))).toEqual([]);
  });

  it('has its foreign key to a table that is in the target', () => {
    const isPresent = ({ desc, tag }: TocEntry) =>
      desc === 'TYPE' || desc === 'FUNCTION' || (desc === 'TABLE' && tag === 'customers');
    const { ids, missing } = select(shop, { tables: ['sales.orders'] }, isPresent);
    expect(missing).toEqual([]);
    expect([30, 50, 53].filter((id) => ids.has(id))).toEqual([53]);
  });

  it('has its schema made only where the target lacks it', () => {
    const wanted = { tables: ['crm.customers'] };
    const isSchema = ({ desc }: TocEntry) => desc === 'SCHEMA';
    expect([...select(shop, wanted, isSchema).ids]).toEqual([1, 30, 40, 50, 62]);
  });

  it('has a probe for what to look for in the target', () => {
    const { head, toc } = archive(shop);
    const selection = Selection.parse({ tables: ['sales.orders'] });
    const probe = dependencyProbe(toc, selectEntries(head, toc, selection));
    expect(probe.map(({ desc, tag }) => `${desc} ${tag}`)).toEqual([
      'SCHEMA sales',
      'TYPE state',
      'FUNCTION stamp()',
    ]);
    const all = selectEntries(head, toc, { ...selection, withDependencies: true });
    expect(dependencyProbe(toc, all).map(({ desc, tag }) => `${desc} ${tag}`)).toEqual([
      'SCHEMA sales',
      'SCHEMA crm',
      'TYPE state',
      'FUNCTION stamp()',
      'TABLE customers',
    ]);
  });

  it('with data only fills what is there', () => {
    const { ids, missing, warnings } = select(shop, { tables: ['sales.orders'], only: 'data' });
    expect([...ids]).toEqual([1, 41, 42]);
    expect(warnings).toEqual([
      'left out are large objects: they come with the whole database only',
    ]);
    expect(missing.map(({ needed }) => needed.tag)).toEqual(['orders', 'orders_id_seq']);
  });

  it('with the schema only has no rows', () => {
    const { ids, tables } = select(shop, { tables: ['crm.customers'], only: 'schema' });
    expect([...ids]).toEqual([1, 12, 30, 50]);
    expect(tables).toEqual([{ schema: 'crm', table: 'customers', dataDumpId: undefined }]);
  });
});

describe('a sequence', () => {
  it('of a serial column can be selected alone, and is owned by nobody then', () => {
    expect(idsOf(shop, { tables: ['sales.orders_id_seq'] })).toEqual([1, 10, 11, 32, 42]);
  });

  it('of another table is what a default needs, not that table', () => {
    const shared = [
      ...shop,
      entry(70, 'TABLE', 'sales.more'),
      entry(71, 'DEFAULT', 'sales.more id', { needs: [70, 32] }),
    ];
    expect(() => requireSelected(shared, { tables: ['sales.more'] })).toThrow(
      'sales.more needs SEQUENCE sales.orders_id_seq; say',
    );
  });

  it('of an identity column cannot', () => {
    const identity = [
      entry(1, 'TABLE', 'a.t'),
      entry(2, 'SEQUENCE', 'a.t_id_seq', {
        needs: [1],
        definition: 'ALTER TABLE a.t ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (…);\n',
      }),
    ];
    expect(idsOf(identity, { tables: ['a.t'] })).toEqual([1, 2]);
    expect(() => requireSelected(identity, { tables: ['a.t_id_seq'] })).toThrow(
      'SEQUENCE a.t_id_seq needs TABLE a.t',
    );
  });
});

describe('a partitioned table', () => {
  const attach = (parent: string, child: string) =>
    `ALTER TABLE ONLY ${parent} ATTACH PARTITION ${child} FOR VALUES IN (1);\n`;
  const parts: readonly EntrySpec[] = [
    entry(1, 'TABLE', 'a.p'),
    entry(2, 'TABLE', 'a.p_1', { needs: [1] }),
    entry(3, 'TABLE', 'a.p_2', { needs: [1] }),
    entry(4, 'TABLE', 'a.p_2_1', { needs: [3] }),
    entry(5, 'TABLE ATTACH', 'a.p_1', { needs: [2, 1], definition: attach('a.p', 'a.p_1') }),
    entry(6, 'TABLE ATTACH', 'a.p_2', { needs: [3, 1], definition: attach('a.p', 'a.p_2') }),
    entry(7, 'TABLE ATTACH', 'a.p_2_1', { needs: [4, 3], definition: attach('a.p_2', 'a.p_2_1') }),
    rows(8, 'a.p_1', 2),
    rows(9, 'a.p_2_1', 4),
    entry(10, 'CONSTRAINT', 'a.p p_pkey', { needs: [1] }),
    entry(11, 'CONSTRAINT', 'a.p_1 p_1_pkey', { needs: [2, 10] }),
    entry(12, 'CONSTRAINT', 'a.p_2 p_2_pkey', { needs: [3, 10] }),
    entry(13, 'CONSTRAINT', 'a.p_2_1 p_2_1_pkey', { needs: [4, 12] }),
    entry(14, 'INDEX ATTACH', 'a.p_1_pkey', {
      needs: [10, 11, 2, 1],
      definition: 'ALTER INDEX a.p_pkey ATTACH PARTITION a.p_1_pkey;\n',
    }),
    entry(15, 'INDEX ATTACH', 'a.p_2_pkey', {
      needs: [10, 12, 3, 1],
      definition: 'ALTER INDEX a.p_pkey ATTACH PARTITION a.p_2_pkey;\n',
    }),
    // pg_dump records the grandparent's as well.
    entry(16, 'INDEX ATTACH', 'a.p_2_1_pkey', {
      needs: [10, 12, 13, 4, 3],
      definition: 'ALTER INDEX a.p_2_pkey ATTACH PARTITION a.p_2_1_pkey;\n',
    }),
    entry(17, 'TRIGGER', 'a.p watch', { needs: [1] }),
    entry(18, 'TRIGGER', 'a.p_1 watch', { needs: [2, 17] }),
    entry(19, 'TABLE', 'a.refers'),
    entry(20, 'FK CONSTRAINT', 'a.refers refers_fkey', { needs: [14, 15, 16, 1, 19, 10] }),
  ];

  it('comes with its partitions, their rows and all that holds them together', () => {
    expect(idsOf(parts, { tables: ['a.p'] })).toEqual(
      Array.from({ length: 18 }, (_, index) => index + 1),
    );
  });

  it('has no rows of its own to fill it with', () => {
    const { tables } = select(parts, { tables: ['a.p'], only: 'data' });
    expect(tables.map(({ table }) => table)).toEqual(['p_1', 'p_2_1']);
  });

  it('that is a partition itself comes with its own partitions', () => {
    expect(idsOf(parts, { tables: ['a.p_2'] })).toEqual([3, 4, 7, 9, 12, 13, 16]);
  });

  it('leaves a partition that is selected alone a table of its own, and says so', () => {
    const { ids, warnings, missing } = select(parts, { tables: ['a.p_1'] });
    expect([...ids]).toEqual([2, 8, 11]);
    expect(missing).toEqual([]);
    expect(warnings).toEqual(['a.p_1 becomes a table of its own: its parent a.p is not selected']);
  });

  it('comes with a partition that brings what it needs, but without the other partitions', () => {
    const wanted = { tables: ['a.p_2_1'], withDependencies: true };
    expect(idsOf(parts, wanted)).toEqual([1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 17]);
  });

  it('comes with all its partitions for a foreign key, whichever was selected', () => {
    const wanted = { tables: ['a.p_1', 'a.refers'], withDependencies: true };
    expect(idsOf(parts, wanted)).toEqual(parts.map(({ dumpId }) => dumpId));
    expect(idsOf(parts, { tables: ['a.p_1', 'a.refers'] })).toEqual([2, 8, 11, 19]);
  });

  it('comes with all its partitions for a view, and for a key that names no index', () => {
    const seen = [
      ...parts.slice(0, 9),
      entry(30, 'VIEW', 'a.v', { needs: [1] }),
      entry(31, 'TABLE', 'a.refers'),
      entry(32, 'FK CONSTRAINT', 'a.refers refers_fkey', { needs: [31, 1] }),
    ];
    const all = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const withDependencies = true;
    expect(idsOf(seen, { tables: ['a.p_1', 'a.v'], withDependencies })).toEqual([...all, 30]);
    expect(idsOf(seen, { tables: ['a.refers', 'a.p_1'], withDependencies })).toEqual([
      ...all,
      31,
      32,
    ]);
  });

  it('may have a partition of its own name in another schema', () => {
    const alike = [
      entry(1, 'TABLE', 'a.p'),
      entry(2, 'TABLE', 'b.p', { needs: [1] }),
      entry(3, 'TABLE ATTACH', 'b.p', { needs: [2, 1], definition: attach('a.p', 'b.p') }),
    ];
    expect(idsOf(alike, { tables: ['b.p'] })).toEqual([2]);
    expect(idsOf(alike, { tables: ['a.p'] })).toEqual([1, 2, 3]);
  });

  it('of an archive from before 14 has its partitions attached where they are made', () => {
    const old = [
      entry(1, 'TABLE', 'a.p', { definition: 'CREATE TABLE a.p (\n)\nPARTITION BY LIST (k);\n' }),
      ...[2, 3].map((id) =>
        entry(id, 'TABLE', `a.p_${id}`, {
          needs: [1],
          definition: `CREATE TABLE a.p_${id} (\n);\n${attach('a.p', `a.p_${id}`)}`,
        }),
      ),
    ];
    const rowTyped = entry(4, 'TABLE', 'a.q');
    const third = { ...old[2], dependencies: [1, 4] } as EntrySpec;
    expect(idsOf([...old.slice(0, 2), third, rowTyped], { tables: ['a.q'] })).toEqual([4]);
    expect(idsOf(old, { tables: ['a.p'] })).toEqual([1, 2, 3]);
    expect(select(old, { tables: ['a.p_2'] }).missing.map(({ needed }) => needed.dumpId)).toEqual([
      1,
    ]);
    expect(idsOf(old, { tables: ['a.p_2'], withDependencies: true })).toEqual([1, 2]);
  });
});

describe('a table that others inherit from', () => {
  const family = [
    entry(1, 'TABLE', 'a.parent'),
    entry(2, 'TABLE', 'a.child', {
      needs: [1],
      definition: 'CREATE TABLE a.child (\n)\nINHERITS (a.parent);\n',
    }),
    rows(3, 'a.parent', 1),
  ];

  it('comes without them, and says so', () => {
    const { ids, warnings } = select(family, { tables: ['a.parent'] });
    expect([...ids]).toEqual([1, 3]);
    expect(warnings).toEqual(['not selected: a.child, inheriting from a.parent']);
  });

  it('is needed by each of them', () => {
    expect(() => requireSelected(family, { tables: ['a.child'] })).toThrow(
      'a.child needs TABLE a.parent',
    );
    expect(idsOf(family, { tables: ['a.child'], withDependencies: true })).toEqual([1, 2, 3]);
  });
});

describe('names that look alike', () => {
  it('give a constraint to the table that its statement names', () => {
    const alike = [
      entry(1, 'TABLE', 'a.x'),
      entry(2, 'TABLE', 'a.x y'),
      entry(3, 'FK CONSTRAINT', 'a.x y z', {
        needs: [1, 2],
        definition: 'ALTER TABLE ONLY a.x\n    ADD CONSTRAINT "y z" FOREIGN KEY (y) …',
      }),
      entry(4, 'FK CONSTRAINT', 'a.x y z', {
        needs: [1, 2],
        definition: 'ALTER TABLE ONLY a."x y"\n    ADD CONSTRAINT z FOREIGN KEY (y) …',
      }),
    ];
    expect(select(alike, { tables: ['a.x'] }).warnings).toEqual([
      'FK CONSTRAINT a.x "y z" is left out: a."x y" is not selected',
    ]);
    expect(idsOf(alike, { tables: ['a.x y'], withDependencies: true })).toEqual([1, 2, 3, 4]);
    expect(select(alike, { tables: ['a."x y"'] }).warnings).toEqual([
      'FK CONSTRAINT a."x y" z is left out: a.x is not selected',
    ]);
  });

  it('give a rule to the table whose whole name and schema it has', () => {
    const rule = [
      entry(1, 'TABLE', 'a.t'),
      entry(2, 'TABLE', 'a.t2'),
      entry(3, 'TABLE', 'b.t2'),
      entry(4, 'RULE', 'a.t2 r', { needs: [1, 2, 3] }),
    ];
    const { ids, missing } = select(rule, { tables: ['a.t2'] });
    expect([...ids]).toEqual([2, 4]);
    expect(missing.map(({ needed }) => needed.dumpId)).toEqual([1, 3]);
  });

  it('give an index to the table that it is on, whatever else it reads', () => {
    const index = [
      entry(1, 'TABLE', 'a.row'),
      entry(2, 'TABLE', 'a.t'),
      entry(3, 'INDEX', 'a.i', {
        needs: [1, 2],
        definition: 'CREATE INDEX i ON ONLY a.t USING btree (((ROW(b))::a."row"));\n',
      }),
    ];
    expect(idsOf(index, { tables: ['a.row'] })).toEqual([1]);
    expect(select(index, { tables: ['a.t'] }).missing.map(({ needed }) => needed.tag)).toEqual([
      'row',
    ]);
  });
});

describe('what the archive does not say', () => {
  const withExtension = (definition: string) => [
    entry(1, 'EXTENSION', 'btree_gist'),
    entry(2, 'TABLE', 'a.t'),
    entry(3, 'CONSTRAINT', 'a.t once', { needs: [2], definition }),
  ];

  it('is that an exclusion constraint on plain values needs btree_gist', () => {
    const scalar = withExtension(
      'ALTER TABLE ONLY a.t\n    ADD CONSTRAINT once EXCLUDE USING gist (id WITH =, at WITH &&);\n',
    );
    expect(() => requireSelected(scalar, { tables: ['a.t'] })).toThrow('EXTENSION btree_gist');
    expect(idsOf(scalar, { tables: ['a.t'], withDependencies: true })).toEqual([1, 2, 3]);
  });

  it('is not asked for where the constraint has ranges alone', () => {
    const ranges = withExtension(
      'ALTER TABLE ONLY a.t\n    ADD CONSTRAINT once EXCLUDE USING gist (at WITH &&);\n',
    );
    expect([...requireSelected(ranges, { tables: ['a.t'] }).ids]).toEqual([2, 3]);
  });
});

describe('a selected schema', () => {
  it('has all that is in it, its privileges and its default privileges', () => {
    const { ids, missing } = select(shop, { schemas: ['sales'] });
    expect([...ids]).toEqual([
      1, 10, 11, 20, 21, 22, 31, 32, 33, 34, 41, 42, 51, 52, 54, 55, 56, 61,
    ]);
    expect(missing).toEqual([]);
  });

  it('may have a dot or a wildcard in its name', () => {
    const dotted = [
      entry(1, 'SCHEMA', 'a*.b', { schema: undefined, tag: 'a*.b' }),
      entry(2, 'SCHEMA', 'ab'),
    ];
    expect(idsOf(dotted, { schemas: ['a*.b'] })).toEqual([1]);
  });

  it('that every database has comes with what is said of it', () => {
    const inPublic = [
      entry(1, 'ACL', 'SCHEMA public', { needs: [99] }),
      entry(2, 'ACL', 'SCHEMA publicly', { needs: [98] }),
      entry(3, 'TABLE', 'public.t', { needs: [99] }),
    ];
    expect(idsOf(inPublic, { schemas: ['public'] })).toEqual([1, 3]);
    expect(idsOf(inPublic, { tables: ['t'] })).toEqual([3]);
  });

  it('leaves statistics out that are about a table elsewhere, and says so', () => {
    const elsewhere = [
      entry(1, 'SCHEMA', 'a'),
      entry(2, 'TABLE', 'b.t'),
      entry(3, 'STATISTICS', 'a.s', { needs: [1, 2] }),
    ];
    const { ids, warnings } = select(elsewhere, { schemas: ['a'] });
    expect([...ids]).toEqual([1]);
    expect(warnings).toEqual(['STATISTICS a.s is left out: b.t is not selected']);
    expect(idsOf(elsewhere, { tables: ['b.t'] })).toEqual([1, 2, 3]);
  });

  it('and a table of another one are both restored', () => {
    const { tables } = select(shop, { schemas: ['crm'], tables: ['sales.orders'] });
    expect(tables.map(({ table }) => table)).toEqual(['customers', 'orders']);
  });
});

describe('rows of a table that an extension makes', () => {
  const extension = [
    entry(1, 'EXTENSION', 'geo'),
    entry(2, 'TABLE DATA', 'public.spatial_ref', { needs: [1], table: [] }),
  ];

  it('can be selected, and need the extension', () => {
    const { ids, tables } = select(extension, {
      tables: ['public.spatial_ref'],
      withDependencies: true,
    });
    expect([...ids]).toEqual([1, 2]);
    expect(tables).toEqual([{ schema: 'public', table: 'spatial_ref', dataDumpId: 2 }]);
    expect(() => requireSelected(extension, { tables: ['spatial_ref'] })).toThrow(
      'public.spatial_ref needs EXTENSION geo',
    );
  });
});

describe('names and patterns', () => {
  const named = ['a.t', 'a.T', 'a.t.u', 'a.u*', 'a.u1', 'b.t', 'My "S".x y', 'a.日本'].map(
    (name, index) => {
      const dot = name.indexOf('.');
      return entry(index + 1, 'TABLE', name, {
        schema: name.slice(0, dot),
        tag: name.slice(dot + 1),
      });
    },
  );
  const found = (pattern: string) =>
    select(named, { tables: [pattern] }).tables.map(({ schema, table }) => `${schema}.${table}`);

  it.each([
    ['a.t', ['a.t']],
    ['a.T', ['a.T']],
    ['"a"."t"', ['a.t']],
    ['a.?', ['a.t', 'a.T']],
    ['a.*', ['a.t', 'a.T', 'a.t.u', 'a.u*', 'a.u1', 'a.日本']],
    ['?.t', ['a.t', 'b.t']],
    ['t', ['a.t', 'b.t']],
    ['*u1', ['a.u1']],
    ['a.t.u', ['a.t.u']],
    ['a."t.u"', ['a.t.u']],
    ['a.u*', ['a.u*']],
    ['a."u*"', ['a.u*']],
    ['a.u"*"', ['a.u*']],
    ['*.u?', ['a.u*', 'a.u1']],
    ['"My ""S"""."x y"', ['My "S".x y']],
    ['My "S".x y', ['My "S".x y']],
    ['a.??', ['a.u*', 'a.u1', 'a.日本']],
    ['a.日*', ['a.日本']],
    ['*', ['a.t', 'a.T', 'a.t.u', 'a.u*', 'a.u1', 'b.t', 'My "S".x y', 'a.日本']],
  ])('%s means what it says', (pattern, expected) => {
    expect(found(pattern)).toEqual(expected);
  });

  it('say where a bare name was found when that is in several schemas', () => {
    expect(select(named, { tables: ['t'] }).warnings).toEqual([
      't is in several schemas: a.t, b.t',
    ]);
    const clear = ['u1', 'T', '*', '?.t'].flatMap((it) => select(named, { tables: [it] }).warnings);
    expect(clear).toEqual([]);
  });

  it.each([
    ['a.b.c.d', '4 parts'],
    ['a."b', 'quote without its end'],
    ['a.', 'empty part'],
    ['.t', 'empty part'],
    ['""', 'empty part'],
  ])('%s is refused', (pattern, reason) => {
    expect(() => parseTablePattern(pattern)).toThrow(
      expect.objectContaining({ name: 'InvalidInput', message: expect.stringContaining(reason) }),
    );
  });

  it('of schemas have one part', () => {
    expect(parseSchemaPattern('"a.b"').matches('a.b')).toBe(true);
    expect(parseSchemaPattern('ten?nt_*').matches('tenant_7')).toBe(true);
    expect(() => parseSchemaPattern('a.b')).toThrow(
      expect.objectContaining({ name: 'InvalidInput' }),
    );
  });

  it('match as the same expression of another kind does', () => {
    const char = fc.constantFrom('a', 'b', '*', '?');
    fc.assert(
      fc.property(
        fc.string({ unit: char, minLength: 1 }),
        fc.string({ unit: char }),
        (text, name) => {
          const expression = text.replaceAll('*', '.*').replaceAll('?', '.');
          expect(parseSchemaPattern(text).matches(name)).toBe(
            new RegExp(`^${expression}$`).test(name),
          );
        },
      ),
    );
  });

  it('in the form that we suggest match their table and no other', () => {
    const name = fc.string({ minLength: 1, unit: 'grapheme' });
    fc.assert(
      fc.property(name, name, name, (schema, table, other) => {
        const pattern = parseTablePattern(quotePattern(schema, table));
        expect(pattern.schema?.matches(schema)).toBe(true);
        expect(pattern.name.matches(table)).toBe(true);
        expect(pattern.name.matches(other)).toBe(other === table);
      }),
    );
  });

  it('do not take forever', () => {
    const started = performance.now();
    expect(parseSchemaPattern('*a'.repeat(500)).matches('a'.repeat(5_000).concat('b'))).toBe(false);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});

describe('nothing to restore', () => {
  it.each([
    [{ tables: ['sales.ordrs'] }, 'nothing called sales.ordrs; did you mean sales.orders?'],
    [{ tables: ['sales.Orders'] }, 'did you mean sales.orders?'],
    [{ tables: ['public.customers'] }, 'did you mean crm.customers?'],
    [{ tables: ['custmers'] }, 'did you mean crm.customers?'],
    [{ schemas: ['sale'] }, 'did you mean sales?'],
    [{ schemas: ['x*'] }, 'nothing called "x*"; it has crm.customers, sales.orders, crm, sales'],
    [{ tables: ['sales.orders', 'nowhere.*'] }, 'nothing called "nowhere.*"'],
  ])('is an error that says what is there: %j', (wanted, message) => {
    expect(() => requireSelected(shop, wanted)).toThrow(
      expect.objectContaining({
        name: 'NothingSelected',
        message: expect.stringContaining(message),
      }),
    );
  });

  it('is none where the archive has nothing to begin with: an empty database comes back empty', () => {
    const empty = [entry(1, 'ENCODING', 'ENCODING'), entry(2, 'DATABASE', 'postgres')];
    expect(requireSelected(empty, {}).tables).toEqual([]);
    expect(requireSelected([], {}).tables).toEqual([]);
  });

  it('is an error as well where all was left out', () => {
    const view = [entry(1, 'ENCODING', 'ENCODING'), entry(2, 'VIEW', 'a.v')];
    expect(() => requireSelected(view, { tables: ['a.v'], only: 'data' })).toThrow(
      expect.objectContaining({
        name: 'NothingSelected',
        message: expect.stringContaining('leaves nothing to restore'),
      }),
    );
  });

  it.each([['sales.or\u001b[31mders'], ['a."\u001b[31m'], ['a.b.c.\u001b[31m']])(
    'does not let a name through that could colour a screen: %j',
    (name) => {
      expect(() => requireSelected(shop, { tables: [name] })).toThrow(
        expect.objectContaining({ message: expect.stringContaining('\\u{1b}[31m') }),
      );
      expect(() => requireSelected(shop, { tables: [name] })).not.toThrow('\u001b');
    },
  );

  it('names no more than one can read', () => {
    const many = Array.from({ length: 5_000 }, (_, index) =>
      entry(index + 1, 'TABLE', `a.t${index}`),
    );
    expect(() => requireSelected(many, { tables: ['quite.different'] })).toThrow('and 4993 more');
  });
});

describe('any archive', () => {
  const kinds = ['TABLE', 'TYPE', 'FUNCTION', 'INDEX', 'CONSTRAINT', 'FK CONSTRAINT', 'VIEW'];
  const kind = fc.constantFrom(
    ...kinds,
    'TRIGGER',
    'COMMENT',
    'SCHEMA',
    'TABLE ATTACH',
    'SEQUENCE',
  );
  /** Each needs some of those before it, as pg_dump sorts them. */
  const anyEntries = fc
    .array(fc.record({ kind, needs: fc.array(fc.nat({ max: 30 }), { maxLength: 4 }) }), {
      minLength: 1,
      maxLength: 30,
    })
    .map((specs) =>
      specs.map((spec, index) => {
        const needs = spec.needs.filter((id) => id > 0 && id <= index);
        const table = needs.find((id) => specs[id - 1]?.kind === 'TABLE');
        const isPart = /CONSTRAINT|TRIGGER/.test(spec.kind) && table !== undefined;
        const name = isPart ? `a.t${table} x${index}` : `a.t${index + 1}`;
        return entry(index + 1, spec.kind, name, { needs });
      }),
    );

  it('is restored whole when nothing is left out', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const { ids, whole, missing } = select(entries, {});
        expect(ids.size).toBe(entries.length);
        expect({ whole, missing }).toEqual({ whole: true, missing: [] });
        expect(select(entries, { without: ['publications'] }).ids.size).toBe(entries.length);
      }),
    );
  });

  it('lacks nothing when a table brings what it needs', () => {
    fc.assert(
      fc.property(anyEntries, (entries) => {
        const { ids, missing, unmatched } = select(entries, {
          tables: ['*'],
          withDependencies: true,
        });
        const isThere = (id: number) => ids.has(id);
        const made = entries.filter(
          ({ dumpId, desc }) =>
            ids.has(dumpId) && ['TABLE', 'VIEW', 'TYPE', 'FUNCTION'].includes(desc),
        );
        expect(missing).toEqual([]);
        expect(made.flatMap(({ dependencies }) => dependencies).every(isThere)).toBe(true);
        expect(unmatched.length === 0).toBe(
          entries.some(({ desc }) => ['TABLE', 'VIEW', 'SEQUENCE'].includes(desc)),
        );
      }),
    );
  });

  it('is followed to its end, also where thousands of tables hang on each other', () => {
    const tables = Array.from({ length: 5_000 }, (_, index) => index * 4 + 1);
    const entries = tables.flatMap((id) => [
      entry(id, 'TABLE', `a.t${id}`, { needs: id > 1 ? [id - 4] : [] }),
      rows(id + 1, `a.t${id}`, id),
      entry(id + 2, 'CONSTRAINT', `a.t${id} pkey`, { needs: [id] }),
      entry(id + 3, 'INDEX', `a.i${id}`, { needs: [id] }),
    ]);
    const { head, toc } = archive(entries);
    const selection = Selection.parse({ tables: ['a.t19997'], withDependencies: true });
    expect(selectEntries(head, toc, selection).ids.size).toBe(20_000);
  });
});

describe('the tables of an archive', () => {
  it('are listed by name, with what their rows take', () => {
    const { toc } = archive([
      ...shop,
      entry(70, 'VIEW', 'crm.names'),
      entry(71, 'MATERIALIZED VIEW', 'crm.counts'),
      entry(72, 'FOREIGN TABLE', 'crm.abroad'),
      entry(73, 'TABLE DATA', 'public.spatial_ref', { table: [] }),
    ]);
    const blocks = [{ dumpId: 41, lengthBytes: 812 }];
    const none = { hasData: false, blockBytes: undefined };
    expect(describeTables(toc, blocks)).toEqual([
      { schema: 'crm', table: 'abroad', kind: 'foreign table', ...none },
      { schema: 'crm', table: 'counts', kind: 'materialized view', ...none },
      { schema: 'crm', table: 'customers', kind: 'table', hasData: true, blockBytes: undefined },
      { schema: 'crm', table: 'names', kind: 'view', ...none },
      {
        schema: 'public',
        table: 'spatial_ref',
        kind: 'table',
        hasData: true,
        blockBytes: undefined,
      },
      { schema: 'sales', table: 'orders', kind: 'table', hasData: true, blockBytes: 812 },
    ]);
  });
});
