import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  quoteIdentifier,
  quoteLiteral,
  renderTokens,
  StatementReader,
  sqlStatements,
  sqlTokens,
} from '#domain/restore/sql-tokens.ts';

const read = (sql: string, standardStrings = true) => [...sqlTokens(sql, { standardStrings })];

describe('SQL of an archive, in tokens', () => {
  it('keeps apart what quoting keeps apart', () => {
    expect(read(`GRANT "a ""b"" c;--" E'x\\\\y''z' 'p\\' $q$ $$ ' $q$ -1.5 ü_1`)).toEqual([
      { kind: 'word', text: 'GRANT' },
      { kind: 'name', text: 'a "b" c;--' },
      { kind: 'string', text: `x\\y'z` },
      { kind: 'string', text: 'p\\' },
      { kind: 'string', text: ` $$ ' ` },
      { kind: 'symbol', text: '-' },
      { kind: 'number', text: '1.5' },
      { kind: 'word', text: 'ü_1' },
    ]);
  });

  it('reads backslashes in plain strings as the archive was written', () => {
    expect(read(`'a\\\\b'`, true)).toEqual([{ kind: 'string', text: 'a\\\\b' }]);
    expect(read(`'a\\\\b\\''`, false)).toEqual([{ kind: 'string', text: `a\\b'` }]);
  });

  it("passes over comments and psql's own commands", () => {
    const sql = '\\restrict abc\n-- CREATE ROLE x;\nA /* ; /* ; */ ; */ B;\n\\unrestrict abc\nC';
    expect([...sqlStatements(sql)].map(renderTokens)).toEqual(['A B', 'C']);
  });

  it.each([`GRANT 'x`, 'GRANT "x', 'A /* B'])('refuses a quote without its end: %s', (sql) => {
    expect(() => read(sql)).toThrow(expect.objectContaining({ name: 'ArchiveCorrupt' }));
  });

  it('finds a keyword outside of parentheses only, and no name that looks like one', () => {
    const reader = new StatementReader(read(`x ("to" TO y) "TO" TO z`));
    expect(reader.skipTo('TO')).toBe(true);
    expect(renderTokens(reader.rest)).toBe('TO z');
  });

  it('folds a word to lower case, and no name', () => {
    const reader = new StatementReader(read('Shop "Shop"'));
    expect([reader.name(), reader.name()]).toEqual(['shop', 'Shop']);
  });

  it('writes every name and text so that it is read as itself', () => {
    const text = fc.string({ unit: 'binary', minLength: 1 }).filter((it) => !it.includes('\0'));
    fc.assert(
      fc.property(text, text, (name, value) => {
        const sql = `${quoteIdentifier(name)} ${quoteLiteral(value)}`;
        const tokens = read(sql);
        expect(tokens).toEqual([
          { kind: 'name', text: name },
          { kind: 'string', text: value },
        ]);
        expect(read(renderTokens(tokens))).toEqual(tokens);
      }),
    );
  });
});
