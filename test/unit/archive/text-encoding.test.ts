import { describe, expect, it } from 'vitest';
import { tableCopies } from '#domain/archive/block-index.ts';
import { decoderOf, readAgain, readableToc } from '#domain/archive/text-encoding.ts';
import { type DecodeText, decodeText, parseToc } from '#domain/archive/toc.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import { selectEntries } from '#domain/restore/selection.ts';
import { makeArchiveSpec, makeEntry, makeTableData, writeArchive } from '#test/archive-writer.ts';

/** 売上 in EUC_JP; all four bytes could be Latin-1. */
const SALES = Buffer.from('c7e4bee5', 'hex');
/** An EUC_JP name whose bytes are UTF-8 as well: 息 is c2a9, which is © there. */
const AMBIGUOUS = Buffer.from('c2a9', 'hex');

function decoder(encoding: string): DecodeText {
  const found = decoderOf(encoding);
  if (!found) throw new Error(`no decoder of ${encoding}`);
  return found;
}

describe('texts of an archive', () => {
  it.each([
    ['EUC_JP', 'c7e4bee5', '売上'],
    ['EUC_JP', '8fa2c3', '￤'],
    ['EUC_KR', 'b8c5c3e2', '매출'],
    ['EUC_CN', 'a1a4cffacadb', '・销售'],
    ['LATIN1', 'c3bc80', 'Ã¼\x80'],
    ['LATIN2', 'b1e6ea', 'ąćę'],
    ['LATIN5', 'd0ddde80', 'Ğİ\u015e\x80'],
    ['WIN1251', 'e7e0eae0e7fb', 'заказы'],
    ['WIN1252', '80', '€'],
    ['KOI8R', 'dac1cbc1dad9', 'заказы'],
    ['KOI8U', 'ae', '╝'],
  ])('in %s are read as that: %s is %s', (encoding, hex, text) => {
    expect(decoder(encoding)(Buffer.from(hex, 'hex'))).toBe(text);
  });

  it('with bytes that their encoding does not have stay apart from each other', () => {
    const read = decoder('EUC_JP');
    expect(read(Buffer.from('ff41', 'hex'))).not.toBe(read(Buffer.from('fe41', 'hex')));
  });

  it.each(['UTF8', 'SQL_ASCII', 'MULE_INTERNAL', 'EUC_TW', 'EUC_JIS_2004', 'constructor'])(
    'in %s are read as far as they tell it themselves',
    (encoding) => expect(decoderOf(encoding)).toBeUndefined(),
  );

  it('are found by the names that records have of them', () => {
    const read = decoder('EUC_JP');
    for (const bytes of [SALES, AMBIGUOUS, Buffer.from('orders'), Buffer.from('c7e4c3bc', 'hex')]) {
      expect(readAgain(decodeText(bytes), read)).toBe(read(bytes));
    }
  });
});

describe('an archive in EUC_JP', () => {
  const name = (bytes: Buffer) => bytes.toString('latin1');
  const makeHead = (encoding: string) => {
    const tables = [SALES, AMBIGUOUS].flatMap((bytes, i) => [
      makeEntry({
        dumpId: 10 + i,
        desc: 'TABLE',
        tag: name(bytes),
        schema: name(SALES),
        definition: `CREATE TABLE "${name(SALES)}"."${name(bytes)}" ();\n`,
      }),
      makeTableData({
        dumpId: 20 + i,
        tag: name(bytes),
        schema: name(SALES),
        dependencies: [10 + i],
        table: [Buffer.from('1\n\\.\n')],
      }),
    ]);
    const spec = makeArchiveSpec({
      textEncoding: 'latin1',
      entries: [
        makeEntry({
          dumpId: 1,
          desc: 'ENCODING',
          definition: `SET client_encoding = '${encoding}';\n`,
        }),
        ...tables,
      ],
    });
    const { bytes, headLengthBytes } = writeArchive(spec);
    return bytes.subarray(0, headLengthBytes);
  };
  const selection = (tables: string[]) => ({ tables, without: [], withDependencies: false });

  it('is selected from by the names that the database has', () => {
    const head = makeHead('EUC_JP');
    const toc = readableToc(head);
    expect(toc.headLengthBytes).toBe(parseToc(head).headLengthBytes);
    const { ids, tables, unmatched } = selectEntries(head, toc, selection(['売上.息']));
    expect({ tables, unmatched }).toEqual({
      tables: [{ schema: '売上', table: '息', dataDumpId: 21 }],
      unmatched: [],
    });
    expect(ids.has(21) && !ids.has(20)).toBe(true);
    expect(selectEntries(head, toc, selection(['売*.??上'])).tables).toEqual([]);
    expect(selectEntries(head, toc, selection(['売*.?'])).tables).toHaveLength(1);
  });

  it.each([
    ['of today, with its names', (head: Buffer) => readableToc(head)],
    ['of an older version, with its bytes', (head: Buffer) => parseToc(head)],
  ])('has the rows that a verification counted: %s', (_, read) => {
    const head = makeHead('EUC_JP');
    const { tables, readName } = archiveExpectations(head, readableToc(head), new Set([20, 21]));
    const recorded = read(head).entries.filter(({ desc }) => desc === 'TABLE DATA');
    expect(recorded).toHaveLength(2);
    expect(recorded.map(({ tag }) => readName(tag))).toEqual(tables.map(({ table }) => table));
  });

  it('is verified by its bytes, and recorded by its names', () => {
    const head = makeHead('EUC_JP');
    const toc = parseToc(head);
    const copies = tableCopies(toc, readableToc(head, toc));
    expect(copies.map(({ schema, table }) => `${schema}.${table}`)).toEqual([
      '売上.売上',
      '売上.息',
    ]);
    expect(copies.map(({ copyStatement }) => copyStatement)).toEqual(
      tableCopies(toc).map(({ copyStatement }) => copyStatement),
    );
  });

  it('is the same as before in an encoding that is read anyway', () => {
    const head = makeHead('UTF8');
    expect(readableToc(head)).toEqual(parseToc(head));
  });
});
