import { describe, expect, it } from 'vitest';
import { parseToc } from '#domain/archive/toc.ts';
import { archiveRoles, rolesIn } from '#domain/restore/archive-roles.ts';
import {
  membershipOptions,
  parseGlobals,
  plainAttributes,
  specialAttributes,
} from '#domain/restore/globals-sql.ts';
import { makeArchiveSpec, makeEntry, writeArchive } from '#test/archive-writer.ts';

describe('the roles in a definition', () => {
  it.each([
    ['GRANT SELECT(id,"to") ON TABLE public.t TO a,"b ""c"""', ['a', 'b "c"']],
    ['REVOKE GRANT OPTION FOR ALL ON SCHEMA s FROM a;GRANT USAGE ON SCHEMA s TO b', ['a', 'b']],
    ['GRANT ALL ON TABLE "from"."to" TO PUBLIC', []],
    ['GRANT ALL ON FUNCTION s.f("to" s."from", integer) TO x WITH GRANT OPTION', ['x']],
    [
      'SET SESSION AUTHORIZATION g;GRANT ALL ON TABLE t TO x;RESET SESSION AUTHORIZATION;',
      ['g', 'x'],
    ],
    [
      'ALTER DEFAULT PRIVILEGES FOR ROLE "d e" IN SCHEMA s GRANT SELECT ON TABLES TO x',
      ['d e', 'x'],
    ],
    ['ALTER DEFAULT PRIVILEGES FOR ROLE d REVOKE ALL ON FUNCTIONS FROM PUBLIC', ['d']],
    [
      'CREATE POLICY "to" ON s."to" AS RESTRICTIVE FOR SELECT TO a, "B" USING ((owner = CURRENT_USER))',
      ['a', 'B'],
    ],
    [`CREATE POLICY p ON s.t USING ((x ~ 'TO y'))`, []],
    ['CREATE POLICY p ON s.t FOR INSERT TO PUBLIC WITH CHECK (true)', []],
    [`CREATE USER MAPPING FOR u SERVER s OPTIONS (password 'TO x')`, ['u']],
    ['CREATE USER MAPPING FOR PUBLIC SERVER s', []],
    [`ALTER ROLE r IN DATABASE d SET search_path TO 'x'`, ['r']],
  ])('of %s', (sql, roles) => {
    expect([...rolesIn(sql)]).toEqual(roles);
  });
});

describe('the roles of an archive', () => {
  const entries = [
    makeEntry({ dumpId: 1, desc: 'TABLE', tag: 't', definition: 'CREATE TABLE public.t ();' }),
    makeEntry({ dumpId: 2, desc: 'ACL', tag: 'TABLE t', definition: 'GRANT ALL ON TABLE t TO a;' }),
    makeEntry({ dumpId: 3, desc: 'ACL', tag: 'TABLE u', definition: 'GRANT ALL ON TABLE u TO b;' }),
    makeEntry({ dumpId: 4, desc: 'INDEX', tag: 'i', definition: 'CREATE INDEX …;' }),
  ];
  const read = (ids: number[], list = entries) => {
    const head = writeArchive(makeArchiveSpec({ entries: list })).bytes;
    return archiveRoles(head, parseToc(head), new Set(ids));
  };

  it('are those of the entries that are selected', () => {
    expect(read([1, 2])).toEqual({ owners: new Set(['postgres']), named: new Set(['a']) });
  });

  it('own nothing through an index, nor a schema public that is as initdb makes it', () => {
    const asMade = makeEntry({ dumpId: 1, desc: 'SCHEMA', definition: '-- *not* creating schema' });
    expect(read([1, 4], [asMade, ...entries.slice(3)]).owners).toEqual(new Set());
  });
});

/** As pg_dumpall 18.6 wrote it; the password is what an older or another tool could have left in it. */
const GLOBALS = `--
-- PostgreSQL database cluster dump
--

\\restrict LnqKTwXrILYHfre8sjNT1nJuPJnPISGh3I8hJT2qArVxdHdaKdgMVzHf19Cztsg

SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;

CREATE ROLE "o'd \\ r""ole";
ALTER ROLE "o'd \\ r""ole" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;
CREATE ROLE second;
ALTER ROLE second WITH SUPERUSER NOINHERIT NOCREATEROLE CREATEDB LOGIN NOREPLICATION BYPASSRLS CONNECTION LIMIT 3 PASSWORD 'SCRAM-SHA-256$4096:SUPERUSER; DROP' VALID UNTIL '2099-01-01 00:00:00+00';
COMMENT ON ROLE second IS 'CREATE ROLE evil; --';
ALTER ROLE second SET search_path TO 'a', 'b c';

GRANT "o'd \\ r""ole" TO second WITH ADMIN OPTION, INHERIT FALSE GRANTED BY postgres;
GRANT second TO "o'd \\ r""ole" GRANTED BY postgres;
GRANT SET ON PARAMETER work_mem TO second;
CREATE TABLESPACE fast OWNER second LOCATION '/x';

\\unrestrict LnqKTwXrILYHfre8sjNT1nJuPJnPISGh3I8hJT2qArVxdHdaKdgMVzHf19Cztsg
`;

describe('globals.sql', () => {
  it('gives roles and memberships, and nothing else', () => {
    const { roles, memberships } = parseGlobals(GLOBALS);
    expect([...roles.keys()]).toEqual([`o'd \\ r"ole`, 'second']);
    expect(roles.get('second')).toMatchObject({
      connectionLimit: 3,
      validUntil: '2099-01-01 00:00:00+00',
      settings: [{ name: 'search_path', values: ['a', 'b c'] }],
    });
    expect(memberships).toEqual([
      {
        role: `o'd \\ r"ole`,
        member: 'second',
        options: new Map([
          ['ADMIN', true],
          ['INHERIT', false],
        ]),
      },
      { role: 'second', member: `o'd \\ r"ole`, options: new Map() },
    ]);
  });

  it('gives no password to anything that is made of it', () => {
    const { roles, memberships } = parseGlobals(GLOBALS);
    const all = JSON.stringify([...roles.values(), memberships], (_, value: unknown) =>
      value instanceof Map ? [...value] : value,
    );
    expect(all).toContain('2099');
    expect(all).not.toContain('SCRAM');
    expect(plainAttributes(roles.get('second') as never)).toBe(
      `NOINHERIT LOGIN CONNECTION LIMIT 3 VALID UNTIL '2099-01-01 00:00:00+00'`,
    );
    expect(specialAttributes(roles.get('second') as never)).toEqual([
      'CREATEDB',
      'BYPASSRLS',
      'SUPERUSER',
    ]);
  });

  it('has the options of a membership in the words that the target knows', () => {
    const [first, second] = parseGlobals(GLOBALS).memberships as never[];
    expect(membershipOptions(first as never, 180_000)).toBe(' WITH ADMIN TRUE, INHERIT FALSE');
    expect(membershipOptions(first as never, 150_000)).toBe(' WITH ADMIN OPTION');
    expect(membershipOptions(second as never, 180_000)).toBe('');
  });

  it('is read with the backslashes of the server that wrote it', () => {
    const old = `SET standard_conforming_strings = off;\nCREATE ROLE r;\nALTER ROLE r SET "app.x" TO 'a\\\\b';`;
    expect(parseGlobals(old).roles.get('r')?.settings).toEqual([
      { name: 'app.x', values: ['a\\b'] },
    ]);
  });
});
