import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { archiveScript, type ScriptOptions } from '#domain/restore/script.ts';
import { type EntrySpec, makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';

const special = (dumpId: number, desc: string, definition: string) =>
  makeEntry({ dumpId, desc, tag: desc, schema: undefined, definition, section: 'none' });

interface Changes extends ScriptOptions {
  readonly encoding?: string;
  readonly textEncoding?: 'utf8' | 'latin1';
  readonly standardStrings?: 'on' | 'off';
  readonly searchPath?: boolean;
}

function scriptOf(entries: readonly EntrySpec[], changes: Changes = {}) {
  const { encoding = 'UTF8', textEncoding = 'utf8', noOwner = false, searchPath = true } = changes;
  const { bytes, headLengthBytes } = writeArchive(
    makeArchiveSpec({
      textEncoding,
      entries: [
        special(1, 'ENCODING', `SET client_encoding = '${encoding}';\n`),
        special(
          2,
          'STDSTRINGS',
          `SET standard_conforming_strings = '${changes.standardStrings ?? 'on'}';\n`,
        ),
        ...(searchPath
          ? [special(3, 'SEARCHPATH', "SELECT pg_catalog.set_config('search_path', '', false);\n")]
          : []),
        ...entries,
      ],
    }),
  );
  return archiveScript(bytes.subarray(0, headLengthBytes), { noOwner });
}

/** The only entry's statements. */
function statementsOf(changes: Partial<EntrySpec>, options: Changes = {}) {
  return scriptOf([makeEntry({ dumpId: 10, ...changes })], options).statements(10);
}

const sqlOf = (changes: Partial<EntrySpec>, options: Changes = {}) =>
  statementsOf(changes, options).parts.map(({ kind, sql }) => [kind, sql]);

const TABLE = {
  definition: 'CREATE TABLE public.orders (id int);\n',
  dropStatement: 'DROP TABLE public.orders;\n',
};

describe('the statements of an entry', () => {
  it('make it and give it to its owner', () => {
    expect(sqlOf({ ...TABLE, schema: 'a "b"', tag: 'or"ders;', owner: 'web app' })).toEqual([
      ['definition', TABLE.definition],
      ['owner', 'ALTER TABLE "a ""b"""."or""ders;" OWNER TO "web app";'],
    ]);
  });

  it.each([
    ['it has none', { ...TABLE, owner: '' }, {}],
    ['it is one that nobody drops', { ...TABLE, dropStatement: '' }, {}],
    ['nobody is to own anything', TABLE, { noOwner: true }],
    ['it belongs to its table', { ...TABLE, desc: 'INDEX' }, {}],
    ['it is a policy', { ...TABLE, desc: 'POLICY' }, {}],
  ])('leave the owner alone where %s', (_, entry, options) => {
    expect(sqlOf(entry, options)).toEqual([['definition', TABLE.definition]]);
  });

  it.each([
    [
      'FUNCTION',
      'DROP FUNCTION public.f(a integer);\n',
      'ALTER FUNCTION public.f(a integer) OWNER TO "postgres";',
    ],
    [
      'OPERATOR CLASS',
      'DROP OPERATOR CLASS public.ops USING btree;\n',
      'ALTER OPERATOR CLASS public.ops USING btree OWNER TO "postgres";',
    ],
    ['SCHEMA', 'DROP SCHEMA s;\n', 'ALTER SCHEMA "orders" OWNER TO "postgres";'],
    [
      'BLOB',
      "SELECT pg_catalog.lo_unlink('16400');\n",
      'ALTER LARGE OBJECT 16400 OWNER TO "postgres";',
    ],
    [
      'EVENT TRIGGER',
      'DROP EVENT TRIGGER orders;\n',
      'ALTER EVENT TRIGGER "orders" OWNER TO "postgres";',
    ],
  ])('name a %s as its ALTER wants it', (desc, dropStatement, expected) => {
    const tag = desc === 'BLOB' ? '16400' : 'orders';
    const entry = { desc, dropStatement, tag, schema: undefined, definition: 'CREATE it;\n' };
    expect(sqlOf(entry).at(-1)).toEqual(['owner', expected]);
  });

  it('of a kind that nobody has heard of are not guessed', () => {
    expect(() => statementsOf({ ...TABLE, desc: 'NOVELTY' })).toThrow(
      expect.objectContaining({ name: 'ArchiveUnsupported' }),
    );
    expect(sqlOf({ ...TABLE, desc: 'NOVELTY' }, { noOwner: true })).toHaveLength(1);
  });

  it("make a schema without its owner's name where nobody is to own anything", () => {
    const entry = {
      desc: 'SCHEMA',
      tag: 'a b',
      definition: 'CREATE SCHEMA "a b" AUTHORIZATION x;\n',
    };
    expect(sqlOf(entry, { noOwner: true })).toEqual([['definition', 'CREATE SCHEMA "a b";']]);
    const untouched = { ...entry, definition: '-- *not* creating schema\n' };
    expect(sqlOf(untouched, { noOwner: true })).toEqual([
      ['definition', '-- *not* creating schema\n'],
    ]);
  });

  it('say where a table lies and how, but of a partitioned one only afterwards', () => {
    const entry = { ...TABLE, tablespace: 'fast', accessMethod: 'odd' };
    expect(statementsOf(entry).settings).toEqual({
      searchPath: undefined,
      tablespace: 'fast',
      accessMethod: 'odd',
    });
    const partitioned = { ...entry, relationKind: 'p' };
    expect(statementsOf(partitioned).settings.accessMethod).toBeUndefined();
    expect(sqlOf(partitioned).at(-1)).toEqual([
      'access method',
      'ALTER TABLE "public"."orders" SET ACCESS METHOD "odd";',
    ]);
  });

  it('of an old archive look for names in the schema of their entry', () => {
    const path = (schema: string | undefined, searchPath: boolean) =>
      statementsOf({ ...TABLE, schema }, { searchPath }).settings.searchPath;
    expect(path('a"b', false)).toBe('"a""b", pg_catalog');
    expect(path('pg_catalog', false)).toBe('pg_catalog');
    expect(path(undefined, false)).toBeUndefined();
    expect(path('a"b', true)).toBeUndefined();
  });

  it('are the bytes of the archive, whatever stands in them', () => {
    const hostile = fc.string({ unit: 'grapheme', maxLength: 80 });
    fc.assert(
      fc.property(hostile, (text) => {
        const body = `CREATE FUNCTION f() AS $$${text.replaceAll('\0', '')}\n-- TOC entry 5 (class 1 OID 2)\n$$;\n`;
        expect(sqlOf({ definition: body })).toEqual([['definition', body]]);
      }),
    );
  });
});

describe('privileges', () => {
  const ACL = { desc: 'ACL', tag: 'TABLE orders', dropStatement: '' };

  it('are statements of their own, so that one role that is missing takes no other with it', () => {
    const definition = `REVOKE ALL ON TABLE public.orders FROM "a;b";\nGRANT SELECT ON TABLE public.orders TO "a"";\nb";\n`;
    expect(sqlOf({ ...ACL, definition })).toEqual([
      ['privilege', 'REVOKE ALL ON TABLE public.orders FROM "a;b";'],
      ['privilege', 'GRANT SELECT ON TABLE public.orders TO "a"";\nb";'],
    ]);
  });

  it('of a group of large objects are given to each of them', () => {
    const script = scriptOf([
      makeEntry({
        dumpId: 10,
        desc: 'BLOB METADATA',
        tag: '5..4294967295',
        definition: '5\n6\n4294967295\n',
        dropStatement: '-- dummy',
        owner: 'it"s',
      }),
      makeEntry({
        ...ACL,
        dumpId: 11,
        tag: 'LARGE OBJECTS 5..4294967295',
        definition:
          'REVOKE ALL ON LARGE OBJECT 5 FROM postgres;\nGRANT SELECT ON LARGE OBJECT 5 TO "on LARGE OBJECT 9 x; y";\n',
        dependencies: [10],
      }),
    ]);
    expect(script.statements(10).parts.map(({ sql }) => sql)).toEqual([
      "SELECT pg_catalog.lo_create('5');\nSELECT pg_catalog.lo_create('6');\nSELECT pg_catalog.lo_create('4294967295');",
      'ALTER LARGE OBJECT 5 OWNER TO "it""s";\nALTER LARGE OBJECT 6 OWNER TO "it""s";\nALTER LARGE OBJECT 4294967295 OWNER TO "it""s";',
    ]);
    expect(script.statements(11).parts.map(({ sql }) => sql)).toEqual([
      [5, 6, 4294967295]
        .map((oid) => `REVOKE ALL ON LARGE OBJECT ${oid} FROM postgres;`)
        .join('\n'),
      [5, 6, 4294967295]
        .map((oid) => `GRANT SELECT ON LARGE OBJECT ${oid} TO "on LARGE OBJECT 9 x; y";`)
        .join('\n'),
    ]);
    expect(script.statements(10).together).toBe(false);
    expect(script.statements(11).together).toBe(false);
  });

  it('on thousands of large objects do not take thousands of locks at a time', () => {
    const definition = Array.from({ length: 1200 }, (_, i) => `${i + 1}\n`).join('');
    const { parts } = statementsOf({ desc: 'BLOB METADATA', tag: '1..1200', definition });
    expect(parts.map(({ sql }) => sql.split('\n').length)).toEqual([500, 500, 200]);
  });

  it.each(['1; DROP TABLE x', '', 'x', '12345678901'])(
    'are never for a large object "%s"',
    (oid) => {
      expect(() => statementsOf({ desc: 'BLOB METADATA', definition: `${oid} \n` })).toThrow(
        expect.objectContaining({ name: 'ArchiveUnsupported' }),
      );
    },
  );
});

describe('the settings of a session', () => {
  it('read strings as the archive writes them', () => {
    const strings = (standardStrings: 'on' | 'off') =>
      scriptOf([], { standardStrings }).settings.get('standard_conforming_strings');
    expect([strings('on'), strings('off')]).toEqual(['on', 'off']);
  });

  it('leave no time limit, and look into no body of a function', () => {
    const { settings } = scriptOf([]);
    expect(settings.get('statement_timeout')).toBe('0');
    expect(settings.get('check_function_bodies')).toBe('off');
    expect(settings.get('row_security')).toBe('off');
  });
});

describe('texts in the encoding of the dumped database', () => {
  it('go as they are where they are the same in UTF-8', () => {
    expect(sqlOf({ definition: 'CREATE x;' }, { encoding: 'EUC_JP' })).toEqual([
      ['definition', 'CREATE x;'],
    ]);
    expect(sqlOf({ definition: 'CREATE ü;' })).toEqual([['definition', 'CREATE ü;']]);
    expect(sqlOf({ definition: 'CREATE ü;' }, { encoding: 'SQL_ASCII' })).toEqual([
      ['definition', 'CREATE ü;'],
    ]);
  });

  it.each([
    ['LATIN1', 'COMMENT \xfc;', '434f4d4d454e5420fc3b'],
    // It would be well-formed UTF-8, and means something else.
    ['LATIN1', 'COMMENT \xc3\xbc;', '434f4d4d454e5420c3bc3b'],
    ['EUC_JP', 'COMMENT \xc7\xe4;', '434f4d4d454e5420c7e43b'],
    ['SQL_ASCII', 'COMMENT \xff;', '434f4d4d454e5420ff3b'],
    ['UTF8', 'COMMENT \xff;', '434f4d4d454e5420ff3b'],
  ])('go to the server as bytes, which reads them as %s', (encoding, definition, hex) => {
    expect(sqlOf({ definition }, { encoding, textEncoding: 'latin1' })).toEqual([
      [
        'definition',
        'DO LANGUAGE plpgsql $holdfast$ BEGIN EXECUTE pg_catalog.convert_from(' +
          `pg_catalog.decode('${hex}', 'hex'), '${encoding}'); END $holdfast$;`,
      ],
    ]);
  });

  it('are shown as they are meant', () => {
    const shown = (definition: string, encoding: string) =>
      statementsOf({ definition }, { encoding, textEncoding: 'latin1' }).parts[0]?.text;
    expect(shown('COMMENT \xfc;', 'LATIN1')).toBe('COMMENT ü;');
    expect(shown('COMMENT \xc3\xbc;', 'UTF8')).toBe('COMMENT ü;');
  });

  it('name owners in that encoding, too', () => {
    const [, owner] = sqlOf(
      { ...TABLE, owner: 'M\xfcller' },
      { encoding: 'LATIN1', textEncoding: 'latin1' },
    );
    const bytes = Buffer.from('ALTER TABLE "public"."orders" OWNER TO "M\xfcller";', 'latin1');
    expect(owner?.[1]).toContain(`'${bytes.toString('hex')}'`);
  });
});
