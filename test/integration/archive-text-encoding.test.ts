import { describe, expect, it } from 'vitest';
import { decoderOf } from '#domain/archive/text-encoding.ts';
import { decodeText } from '#domain/archive/toc.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import { archiveRoles } from '#domain/restore/archive-roles.ts';
import { archivedDatabase } from '#domain/restore/database-definition.ts';
import { describeTables } from '#domain/restore/describe-tables.ts';
import { requireSelection } from '#domain/restore/selection.ts';
import { checkRestored } from '#operations/restore/check-restored.ts';
import { usePostgres, withClient } from '#test/postgres.ts';
import {
  accessTo,
  connectionTo,
  dumpOf,
  emptyDatabase,
  restoreDeps,
  restoreInto,
} from '#test/restored-copy.ts';

const ENCODINGS = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((n) => `LATIN${n}`),
  ...[5, 6, 7, 8].map((n) => `ISO_8859_${n}`),
  ...[866, 874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258].map((n) => `WIN${n}`),
  ...['KOI8R', 'KOI8U', 'EUC_JP', 'EUC_KR', 'EUC_CN'],
];
/** So many characters are not decoded here, rare ones: names with them are read as Latin-1, as before. */
const UNKNOWN: Readonly<Record<string, number>> = { EUC_JP: 106, EUC_KR: 3 };

const postgres = usePostgres({ major: 18 });

/** Every byte from 80 on, and for East Asia all pairs, and triples in the third code set. */
function candidates(encoding: string): Buffer[] {
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
  const single = range(0x80, 0x100).map((byte) => Buffer.from([byte]));
  if (!encoding.startsWith('EUC_')) return single;
  const high = range(0xa1, 0xff);
  const lead = encoding === 'EUC_JP' ? [0x8e, ...high] : high;
  const pairs = lead.flatMap((a) => high.map((b) => Buffer.from([a, b])));
  const triples = high.flatMap((a) => high.map((b) => Buffer.from([0x8f, a, b])));
  return encoding === 'EUC_JP' ? [...pairs, ...triples] : pairs;
}

describe('names in an encoding', () => {
  it.each(ENCODINGS)('are read as PostgreSQL reads them: %s', async (encoding) => {
    const all = candidates(encoding);
    const rows = await withClient(postgres.server, 'postgres', async (client) => {
      await client.query(
        `CREATE OR REPLACE FUNCTION pg_temp.read(b bytea, e text) RETURNS text LANGUAGE plpgsql AS
         'BEGIN RETURN convert_from(b, e); EXCEPTION WHEN OTHERS THEN RETURN NULL; END'`,
      );
      const answer = await client.query<{ text: string | null }>(
        `SELECT pg_temp.read(decode(h, 'hex'), $2) AS text FROM unnest($1::text[]) AS h`,
        [all.map((bytes) => bytes.toString('hex')), encoding],
      );
      return answer.rows;
    });
    const decode = decoderOf(encoding) ?? decodeText;
    const pairs = all.flatMap((bytes, i) => {
      const text = rows[i]?.text ?? null;
      return text === null ? [] : [{ bytes, text, ours: decode(bytes) }];
    });
    const other = pairs.filter(({ text, ours }) => text !== ours);
    const wrong = other.filter(({ bytes, ours }) => ours !== bytes.toString('latin1'));
    expect(wrong.map(({ bytes, text, ours }) => [bytes.toString('hex'), text, ours])).toEqual([]);
    expect(other).toHaveLength(UNKNOWN[encoding] ?? 0);
    expect(pairs.length).toBeGreaterThan(80);
  });
});

describe('a backup of a database in EUC_JP', () => {
  const options = "ENCODING EUC_JP LC_COLLATE 'C' LC_CTYPE 'C'";

  it('is selected from, described, restored and checked by the names of its tables', async () => {
    const original = await emptyDatabase(postgres, options);
    await withClient(postgres.server, original, async (client) => {
      await client.query('CREATE SCHEMA "売上"; CREATE ROLE "管理者"');
      for (const table of ['顧客', '注文', '息']) {
        await client.query(
          `CREATE TABLE "売上"."${table}" ("番号" int PRIMARY KEY, "名" text);
           INSERT INTO "売上"."${table}" SELECT n, 'x' FROM generate_series(1, 3) AS n;
           CREATE INDEX "${table}_名" ON "売上"."${table}" ("名");
           GRANT SELECT ON "売上"."${table}" TO "管理者"`,
        );
      }
      await client.query(
        `CREATE VIEW "売上"."一覧" AS SELECT * FROM "売上"."顧客";
         CREATE TABLE "売上"."商品" (id int) PARTITION BY LIST (id);
         CREATE TABLE "売上"."商品一" PARTITION OF "売上"."商品" DEFAULT;
         COMMENT ON DATABASE ${original} IS '売上の記録'`,
      );
    });
    const archive = await dumpOf(postgres.server, original);
    const access = await accessTo(archive);
    const { head, toc } = access;

    expect(describeTables(toc).map(({ schema, table }) => `${schema}.${table}`)).toEqual(
      ['一覧', '商品', '商品一', '息', '注文', '顧客'].map((it) => `売上.${it}`).sort(),
    );
    expect(archivedDatabase(head, toc)).toMatchObject({
      encoding: 'EUC_JP',
      comment: '売上の記録',
    });
    // What is a partition of what stands in statements.
    const parted = { tables: ['売上.商品'], without: [], withDependencies: false };
    const partitions = requireSelection(head, toc, parted).tables;
    expect(partitions.map(({ table }) => table).sort()).toEqual(['商品', '商品一']);
    const selection = { tables: ['売上.顧?', '売上.息'], without: [], withDependencies: false };
    const { ids, tables } = requireSelection(head, toc, selection);
    expect(tables.map(({ table }) => table).sort()).toEqual(['息', '顧客'].sort());
    expect(archiveRoles(head, toc, ids).named).toContain('管理者');

    const copy = await emptyDatabase(postgres, options);
    await restoreInto(postgres.server, copy, access, { ids });
    // As a verification records them, which knows no encoding.
    const expectedRows = tables.map(({ schema, table }, i) => ({
      schema: Buffer.from(eucJp(schema)).toString('latin1'),
      table: table === '息' ? '©' : Buffer.from(eucJp(table)).toString('latin1'),
      rows: 3 + i,
    }));
    const deps = await restoreDeps(postgres.server);
    const { checks } = await checkRestored(deps, {
      connection: connectionTo(postgres.server),
      database: copy,
      expected: archiveExpectations(head, toc, ids),
      expectedRows,
      dataOnly: false,
      jobs: 1,
      signal: new AbortController().signal,
    });
    expect(checks.rows.map(({ expected, actual }) => ({ expected, actual }))).toEqual([
      { expected: 3, actual: 3 },
      { expected: 4, actual: 3 },
    ]);
    expect(checks.problems).toEqual([
      expect.stringMatching(/^"売上"\."(顧客|息)" has 3 rows instead of 4$/),
    ]);
  });
});

/** By PostgreSQL's own words: what a decoder of ours does not have to be right for. */
function eucJp(text: string): Uint8Array {
  const bytes: Readonly<Record<string, string>> = { 売上: 'c7e4bee5', 顧客: 'b8dcb5d2' };
  return Buffer.from(bytes[text] ?? '', 'hex');
}
