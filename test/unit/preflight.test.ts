import { describe, expect, it } from 'vitest';
import { type Findings, judgeFindings } from '#domain/preflight.ts';

const NOTHING: Findings = {
  schemas: [],
  tables: [],
  sequences: [],
  largeObjects: [],
  rowSecurity: [],
  unlogged: [],
  userMappings: [],
  subscriptions: [],
};
const SERVER = { role: '"back up"', versionNumber: 170_011 };

const names = (total: number, ...listed: string[]) => listed.map((name) => ({ name, total }));
const judge = (findings: Partial<Findings>, server = SERVER) =>
  judgeFindings('shop', server, { ...NOTHING, ...findings });

describe('the findings in a database', () => {
  it('are no problem when there are none', () => {
    expect(judge({})).toEqual({ problem: null, warnings: [] });
  });

  it('name what the role may not read and the one grant that gives it', () => {
    const findings = {
      schemas: names(1, 'app'),
      tables: names(12, 'app.a', 'app."B c"'),
      sequences: names(1, 'app.s'),
    };
    expect(judge(findings).problem).toEqual({
      error: 'InsufficientPrivilege',
      cause:
        'the role "back up" may not use schema app; read table app.a, app."B c" and 10 more; read sequence app.s; run as an administrator: GRANT pg_read_all_data TO "back up";',
    });
  });

  it('name each grant on a server before 14, which has no pg_read_all_data', () => {
    const old = { ...SERVER, versionNumber: 130_020 };
    const findings = { schemas: names(1, 'app'), tables: names(2, 'app.a', 'app."B c"') };
    expect(judge(findings, old).problem?.cause).toMatch(
      /GRANT USAGE ON SCHEMA app TO "back up"; GRANT SELECT ON TABLE app\.a, app\."B c" TO "back up";$/,
    );
  });

  it('name large objects with a grant of their own', () => {
    expect(judge({ largeObjects: names(2, '16400', '16401') }).problem).toEqual({
      error: 'InsufficientPrivilege',
      cause:
        'the role "back up" may not read large object 16400, 16401, which pg_read_all_data does not cover; run as their owner or an administrator in psql: GRANT SELECT ON LARGE OBJECT 16400, 16401 TO "back up";',
    });
  });

  it('give a command for thousands of large objects', () => {
    expect(judge({ largeObjects: names(5000, '16400') }).problem?.cause).toMatch(
      /16400 and 4999 more, .* SELECT pg_catalog\.format\('GRANT SELECT ON LARGE OBJECT .*\\gexec$/,
    );
  });

  it('name tables under row-level security and how to get past it', () => {
    expect(judge({ rowSecurity: names(1, 'public.tenants') }).problem).toEqual({
      error: 'RowLevelSecurity',
      cause:
        'row-level security would hide rows of public.tenants from the role "back up"; run as an administrator: ALTER ROLE "back up" BYPASSRLS;',
    });
  });

  it('of several sorts are told together, under the name of the first', () => {
    const problem = judge({
      tables: names(1, 'app.a'),
      largeObjects: names(1, '1'),
      rowSecurity: names(1, 'app.b'),
    }).problem;
    expect(problem?.error).toBe('InsufficientPrivilege');
    expect(problem?.cause.split('\n')).toHaveLength(3);
  });

  it('that only make the dump poorer are warnings', () => {
    const judged = judge({
      unlogged: names(1, 'public.cache'),
      userMappings: names(1, 'alice for remote'),
      subscriptions: names(3, 'sub_a', 'sub_b'),
    });
    expect(judged).toEqual({
      problem: null,
      warnings: [
        'shop: on a replica, the rows of unlogged tables are missing from the dump: public.cache',
        'shop: options of user mappings may be hidden from the role, and missing: alice for remote',
        'shop: subscriptions are left out, as the role is no superuser: sub_a, sub_b and 1 more',
      ],
    });
  });
});
