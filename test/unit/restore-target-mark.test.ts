import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BeforeRestore,
  markAsRestored,
  markInProgress,
  parseMark,
} from '#domain/restore/target-mark.ts';
import { describeObjects, dropStatement } from '#domain/restore/user-objects.ts';

const ID = '20261121T030000Z-k3v9qd';
const before: BeforeRestore = {
  comment: 'the "old"\ncomment; before: {}',
  extensions: ['plpgsql', '"uuid-ossp"'],
  publicSchema: { owner: 'pg_database_owner', grants: [], comment: null },
  defaultPrivileges: [],
};

describe('the mark of a restore', () => {
  it('is read as it was written, with what was there before', () => {
    expect(parseMark(markInProgress(ID))).toEqual({ state: 'in-progress', restoreId: ID });
    expect(parseMark(markInProgress(ID, before))).toEqual({
      state: 'in-progress',
      restoreId: ID,
      before,
    });
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (comment) => {
        const mark = parseMark(markInProgress(ID, { ...before, comment }));
        expect(mark).toMatchObject({ before: { comment } });
      }),
    );
  });

  it('in the end says where the database came from, below the comment that it had', () => {
    const mark = markAsRestored('orders/my shop 20261120T000000Z-aaaaaa', ID, 'my\ncomment');
    expect(mark).toBe(
      `my\ncomment\nrestored by Holdfast from orders/my shop 20261120T000000Z-aaaaaa (restore ${ID})`,
    );
    expect(parseMark(mark)).toEqual({ state: 'restored', restoreId: ID });
  });

  it('replaces the mark of an earlier restore that was backed up with the database', () => {
    const earlier = markAsRestored('a/b c', '20260101T000000Z-bbbbbb', 'comment');
    expect(markAsRestored('o', ID, earlier)).toBe(
      `comment\nrestored by Holdfast from o (restore ${ID})`,
    );
    expect(markAsRestored('o', ID, markInProgress(ID))).not.toContain('in progress');
  });

  it.each([
    null,
    '',
    'a comment',
    `about holdfast restore ${ID}: in progress`,
    `holdfast restore ${ID}: in progress, they say`,
    `holdfast restore ${ID}: in progress; before: {"comment":1}`,
    `holdfast restore ${ID}: in progress; before: {]}`,
    'restored by Holdfast from x (restore )',
  ])('is not seen in %j', (comment) => {
    expect(parseMark(comment)).toBeUndefined();
  });
});

describe('what is found in a database', () => {
  it('is counted by kind and named as far as there is room', () => {
    const tables = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({
      type: 'table',
      identity: `public.${name}`,
    }));
    const others = [
      { type: 'materialized view', identity: 'public.m' },
      { type: 'operator family', identity: 'public.o USING btree' },
      { type: 'operator family', identity: 'public.p USING btree' },
    ];
    expect(describeObjects([...tables, ...others], 1200)).toBe(
      '6 tables (public.a, public.b, public.c, public.d, public.e, …), ' +
        '1 materialized view (public.m), 2 operator families (public.o USING btree, public.p USING btree) ' +
        'and 1,200 large objects',
    );
    expect(describeObjects([])).toBe('');
  });

  it('is dropped by the word that the server has for it', () => {
    expect(dropStatement({ type: 'foreign-data wrapper', identity: 'w' })).toBe(
      'DROP FOREIGN DATA WRAPPER IF EXISTS w CASCADE',
    );
    expect(dropStatement({ type: 'aggregate', identity: 'public.a(integer)' })).toBe(
      'DROP ROUTINE IF EXISTS public.a(integer) CASCADE',
    );
  });
});
