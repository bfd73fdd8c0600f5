import { describe, expect, it } from 'vitest';
import type { DatabaseSelection } from '#contracts/source-plan.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { markAsRestored, markInProgress } from '#domain/restore/target-mark.ts';

const SERVER = ['billing', 'orders', 'orders_eu', 'orders_us', 'postgres', 'rdsadmin'];
const select = (selection: DatabaseSelection, asked: string[] | null = null, server = SERVER) =>
  selectDatabases(selection, asked, server);

describe('the databases of a run', () => {
  it("are all but the provider's own when the plan says all", () => {
    expect(select('all').names).toEqual([
      'billing',
      'orders',
      'orders_eu',
      'orders_us',
      'postgres',
    ]);
  });

  it.each<[string, DatabaseSelection, string[]]>([
    ['a list of names', ['orders', 'billing'], ['billing', 'orders']],
    [
      'a pattern with *',
      { include: ['orders*'], exclude: [] },
      ['orders', 'orders_eu', 'orders_us'],
    ],
    ['a pattern with ?', { include: ['orders_?s'], exclude: [] }, ['orders_us']],
    [
      'patterns with exclusions',
      { include: ['*'], exclude: ['orders_*', 'postgres'] },
      ['billing', 'orders'],
    ],
    [
      'overlapping patterns, each once',
      { include: ['o*', '*s'], exclude: [] },
      ['orders', 'orders_eu', 'orders_us', 'postgres'],
    ],
  ])('follow %s', (_, selection, names) => {
    expect(select(selection)).toEqual({ names, missing: [], unmatched: [], copies: [] });
  });

  it('tell names that do not exist from patterns that match nothing', () => {
    expect(select({ include: ['orders', 'odrers', 'x_*'], exclude: ['y_*'] })).toEqual({
      names: ['orders'],
      missing: ['odrers'],
      unmatched: ['x_*'],
      copies: [],
    });
  });

  it('are those asked for by hand, whatever the plan excludes', () => {
    const selection = { include: ['billing'], exclude: ['orders'] };
    expect(select(selection, ['orders', 'orders_?u']).names).toEqual(['orders', 'orders_eu']);
  });

  it("never include the provider's own, not even by name", () => {
    expect(select('all', ['rdsadmin'])).toMatchObject({ names: [], missing: ['rdsadmin'] });
  });

  describe('among which are some that restores made', () => {
    const id = '20261120T030000Z-k3v9qd';
    const aside = 'shop_restored_20261120t030000z_k3v9qd';
    const done = markAsRestored('orders/shop 20261119T030000Z-aaaaaa', id, 'the shop');
    const from = (existing: { name: string; comment?: string | null }[]) =>
      selectDatabases('all', null, existing);

    it('leave out, for all, what lies beside its original, and say so', () => {
      for (const comment of [done, markInProgress(id)]) {
        const server = [
          { name: 'shop', comment: null },
          { name: aside, comment },
        ];
        expect(from(server)).toMatchObject({ names: ['shop'], copies: [aside] });
      }
    });

    it('have what took the place of the original, was renamed, or is only called so', () => {
      const server = [
        { name: 'shop', comment: done },
        { name: 'shop_checked', comment: done },
        { name: aside, comment: 'not of a restore' },
        { name: 'shop_restored_20250101t000000z_zzzzzz', comment: done },
      ];
      expect(from(server)).toMatchObject({ names: server.map(({ name }) => name), copies: [] });
    });

    it('have it where it is named, or a pattern fits', () => {
      const server = [
        { name: 'shop', comment: null },
        { name: aside, comment: done },
      ];
      const both = ['shop', aside];
      expect(selectDatabases([aside], null, server).names).toEqual([aside]);
      const pattern = { include: ['shop*'], exclude: [] };
      expect(selectDatabases(pattern, null, server)).toMatchObject({ names: both, copies: [] });
      expect(selectDatabases('all', ['shop*'], server)).toMatchObject({ names: both, copies: [] });
    });

    it('are not held up by a comment that claims an endless id', () => {
      const comment = `restored by Holdfast from x (restore ${'9'.repeat(1_000)})`;
      expect(from([{ name: aside, comment }]).names).toEqual([aside]);
    });
  });

  it('match a name with pattern characters exactly', () => {
    const server = ['a*', 'ab', 'a?', 'a.b', 'axb'];
    expect(select(['a*'], null, server).names).toEqual(['a*']);
    expect(select({ include: ['a?'], exclude: [] }, null, server).names).toEqual(['a?']);
    expect(select({ include: ['a.?'], exclude: [] }, null, server).names).toEqual(['a.b']);
  });

  it('differ by upper and lower case and match any character, a line break too', () => {
    expect(select({ include: ['O*'], exclude: [] }, null, ['Orders', 'orders']).names).toEqual([
      'Orders',
    ]);
    expect(select({ include: ['ö?\n*'], exclude: [] }, null, ['ö😀\nx']).names).toEqual(['ö😀\nx']);
  });

  it('are found quickly by a pattern made to backtrack', () => {
    const pattern = `${'*a'.repeat(30)}b`;
    const started = performance.now();
    select({ include: [pattern], exclude: [] }, null, ['a'.repeat(63)]);
    expect(performance.now() - started).toBeLessThan(10_000);
  });
});
