import { describe, expect, it } from 'vitest';
import { parseToc } from '#domain/archive/toc.ts';
import {
  archivedDatabase,
  createDatabaseStatement,
  databaseEntries,
} from '#domain/restore/database-definition.ts';
import { makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';

/** As pg_dump 18.6 wrote it for a database called `S h"op`. */
const CREATE = `CREATE DATABASE "S h""op" WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = builtin LOCALE = 'C' BUILTIN_LOCALE = 'C.UTF-8';\n`;
const PROPERTIES = `ALTER DATABASE "S h""op" CONNECTION LIMIT = 7;
ALTER DATABASE "S h""op" IS_TEMPLATE = true;
ALTER DATABASE "S h""op" SET search_path TO 'a', 'b c', E'it''s \\\\';
ALTER DATABASE "S h""op" SET "app.x" TO E'a\\\\b''c';
ALTER DATABASE "S h""op" SET default_transaction_read_only TO 'on';
ALTER ROLE second IN DATABASE "S h""op" SET work_mem TO '5MB';
`;
const ACL = `REVOKE CONNECT,TEMPORARY ON DATABASE "S h""op" FROM PUBLIC;
GRANT CONNECT ON DATABASE "S h""op" TO "o'd \\ r""ole" WITH GRANT OPTION;
SET SESSION AUTHORIZATION "o'd \\ r""ole";
GRANT CONNECT ON DATABASE "S h""op" TO second;
RESET SESSION AUTHORIZATION;
`;

function readArchive(definitions: Readonly<Record<string, string>>, tag = 'S h"op') {
  const tags: Record<string, string> = { ACL: `DATABASE "S h""op"`, COMMENT: `DATABASE "S h""op"` };
  const entries = Object.entries(definitions).map(([desc, definition], i) =>
    makeEntry({ dumpId: i + 1, desc, tag: tags[desc] ?? tag, schema: undefined, definition }),
  );
  const head = writeArchive(makeArchiveSpec({ entries })).bytes;
  return { head, toc: parseToc(head) };
}

function read(definitions: Readonly<Record<string, string>>) {
  const { head, toc } = readArchive(definitions);
  return archivedDatabase(head, toc);
}

describe('what an archive says about its database', () => {
  it('is read whole, and written again under another name', () => {
    const found = read({
      ENCODING: `SET client_encoding = 'UTF8';\n`,
      DATABASE: CREATE,
      COMMENT: `COMMENT ON DATABASE "S h""op" IS 'co\\m''ment; -- x';\n`,
      ACL,
      'DATABASE PROPERTIES': PROPERTIES,
    });

    expect(found).toMatchObject({
      name: 'S h"op',
      owner: 'postgres',
      encoding: 'UTF8',
      comment: "co\\m'ment; -- x",
      warnings: [],
    });
    expect(found.statements.map(({ sql }) => sql('new"one'))).toEqual([
      'REVOKE CONNECT , TEMPORARY ON DATABASE "new""one" FROM PUBLIC',
      `GRANT CONNECT ON DATABASE "new""one" TO "o'd \\ r""ole" WITH GRANT OPTION`,
      'GRANT CONNECT ON DATABASE "new""one" TO second',
      'ALTER DATABASE "new""one" CONNECTION LIMIT = 7',
      'ALTER DATABASE "new""one" IS_TEMPLATE = true',
      `ALTER DATABASE "new""one" SET "search_path" TO 'a', 'b c', E'it''s \\\\'`,
      `ALTER DATABASE "new""one" SET "app.x" TO E'a\\\\b''c'`,
      `ALTER DATABASE "new""one" SET "default_transaction_read_only" TO 'on'`,
      `ALTER ROLE "second" IN DATABASE "new""one" SET "work_mem" TO '5MB'`,
    ]);
    expect(found.statements.map(({ grantor }) => grantor).filter((it) => it)).toEqual([
      `o'd \\ r"ole`,
    ]);
  });

  it('is set early only where it does not stand in the way of the restore', () => {
    const { statements } = read({ DATABASE: CREATE, 'DATABASE PROPERTIES': PROPERTIES, ACL });
    const early = statements.filter(({ when }) => when === 'early').map(({ summary }) => summary);
    expect(early).toEqual(['SET search_path', 'SET app.x']);
  });

  it.each([
    ['another database', `ALTER DATABASE other SET work_mem TO '5MB';`],
    ['another statement', 'DROP DATABASE "S h""op";'],
    ['more than one statement reads', `ALTER DATABASE "S h""op" CONNECTION LIMIT = 7 OWNER TO x;`],
    ['a superuser', 'ALTER ROLE second SUPERUSER;'],
    ['a grant on something else', 'GRANT ALL ON TABLE x TO "S h""op";'],
    ['a grant of a role', 'GRANT postgres TO second;'],
    ['an expression', `ALTER DATABASE "S h""op" SET work_mem TO current_user;`],
  ])('leaves out %s, and says so', (_, statement) => {
    const found = read({ DATABASE: CREATE, 'DATABASE PROPERTIES': statement });
    expect(found.statements).toEqual([]);
    expect(found.warnings).toEqual([
      expect.stringContaining('left out, as it was not understood: '),
    ]);
  });

  it.each([
    'CREATE DATABASE other WITH TEMPLATE = template0;',
    `CREATE DATABASE "S h""op" WITH ENCODING = 'UTF8' ENCODING = 'LATIN1';`,
    `CREATE DATABASE "S h""op" WITH OWNER = a, b;`,
    'SELECT 1;',
  ])('is not taken from a definition that is another one: %s', (definition) => {
    const found = read({ ENCODING: `SET client_encoding = 'LATIN1';`, DATABASE: definition });
    expect(found).toMatchObject({
      encoding: 'LATIN1',
      warnings: ['the definition of the database was not understood'],
    });
    expect([...found.options]).toEqual([]);
  });

  it('is the encoding alone where a foreign archive has no entry for it', () => {
    const found = read({ ENCODING: `SET client_encoding = 'EUC_JP';\n` });
    expect(found).toMatchObject({ name: undefined, encoding: 'EUC_JP', statements: [] });
  });

  it('are its own entries, and none of a table that is called alike', () => {
    const { toc } = readArchive({ DATABASE: CREATE, ACL, TABLE: 'x', 'DATABASE PROPERTIES': '' });
    expect(databaseEntries(toc).map(({ desc }) => desc)).toEqual([
      'DATABASE',
      'ACL',
      'DATABASE PROPERTIES',
    ]);
  });
});

describe('CREATE DATABASE for a target', () => {
  const anyTablespace = { hasTablespace: () => true };
  const options = (pairs: Record<string, string>) => ({
    encoding: 'UTF8',
    options: new Map(Object.entries(pairs)),
  });
  const BUILTIN = { LOCALE_PROVIDER: 'builtin', LOCALE: 'C', BUILTIN_LOCALE: 'C.UTF-8' };

  it('has every option where the server knows it', () => {
    expect(
      createDatabaseStatement('a"b', options(BUILTIN), {
        versionNumber: 180_004,
        ...anyTablespace,
      }),
    ).toEqual({
      sql: `CREATE DATABASE "a""b" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER 'builtin' LOCALE 'C' BUILTIN_LOCALE 'C.UTF-8'`,
      warnings: [],
    });
  });

  it('leaves out what an older server does not know, and warns of another order', () => {
    const { sql, warnings } = createDatabaseStatement('x', options(BUILTIN), {
      versionNumber: 150_018,
      ...anyTablespace,
    });
    expect(sql).toBe(`CREATE DATABASE "x" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`);
    expect(warnings).toEqual([
      expect.stringContaining('no LOCALE_PROVIDER'),
      expect.stringContaining('no BUILTIN_LOCALE'),
    ]);
  });

  it('says nothing where libc is all that an older server has', () => {
    const { sql, warnings } = createDatabaseStatement(
      'x',
      options({ LOCALE_PROVIDER: 'libc', LC_COLLATE: 'C', LC_CTYPE: 'de_DE.UTF-8' }),
      { versionNumber: 140_009, ...anyTablespace },
    );
    expect(sql).toBe(
      `CREATE DATABASE "x" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'de_DE.UTF-8'`,
    );
    expect(warnings).toEqual([]);
  });

  it('uses a tablespace only where the target has it', () => {
    const there = createDatabaseStatement('x', options({ TABLESPACE: 'fast "disk"' }), {
      versionNumber: 180_004,
      hasTablespace: (name) => name === 'fast "disk"',
    });
    const gone = createDatabaseStatement('x', options({ TABLESPACE: 'fast' }), {
      versionNumber: 180_004,
      hasTablespace: () => false,
    });
    expect(there.sql).toMatch(/ TABLESPACE "fast ""disk"""$/);
    expect(gone.sql).not.toContain('TABLESPACE');
    expect(gone.warnings).toHaveLength(1);
  });
});
