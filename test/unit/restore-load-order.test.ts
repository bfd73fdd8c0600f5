import { describe, expect, it } from 'vitest';
import { orderByReferences, type Reference } from '#domain/restore/load-order.ts';

const NAMES = ['lines', 'orders', 'customers', 'notes', 'countries'];
const table = (name: string) => ({ dumpId: NAMES.indexOf(name), schema: 'public', table: name });
const refers = (fromTable: string, toTable: string): Reference => ({
  constraint: `${fromTable}_${toTable}_fkey`,
  fromSchema: 'public',
  fromTable,
  toSchema: 'public',
  toTable,
});
const order = (tables: string[], references: Reference[]) =>
  orderByReferences(tables.map(table), references).map((level) =>
    [...level].map((id) => NAMES[id]),
  );

describe('the order in which tables are loaded', () => {
  it('has all in one where nothing refers to anything, and none where there is no table', () => {
    expect(order(['lines', 'orders'], [])).toEqual([['lines', 'orders']]);
    expect(order([], [])).toEqual([]);
  });

  it('has what is referred to first', () => {
    const references = [
      refers('lines', 'orders'),
      refers('orders', 'customers'),
      refers('customers', 'countries'),
      refers('notes', 'orders'),
      refers('notes', 'countries'),
    ];
    expect(order(NAMES, references)).toEqual([
      ['countries'],
      ['customers'],
      ['orders'],
      ['lines', 'notes'],
    ]);
  });

  it('leaves out of account what is not loaded, and references of a table to itself', () => {
    const references = [
      refers('lines', 'orders'),
      refers('orders', 'lines'),
      refers('notes', 'notes'),
    ];
    expect(order(['lines', 'notes'], references)).toEqual([['lines', 'notes']]);
    const elsewhere = [{ ...refers('lines', 'notes'), toSchema: 'audit' }];
    expect(order(['lines', 'notes'], elsewhere)).toEqual([['lines', 'notes']]);
  });

  it('is none where tables refer to each other: these are named with their keys, and no other', () => {
    const references = [
      refers('notes', 'lines'),
      refers('lines', 'orders'),
      refers('orders', 'customers'),
      refers('customers', 'lines'),
      refers('orders', 'countries'),
    ];
    expect(() => order(NAMES, references)).toThrow(
      expect.objectContaining({
        name: 'TargetUnsuitable',
        message: expect.stringMatching(
          /come first: public\.lines \(lines_orders_fkey\), public\.orders \(orders_customers_fkey\), public\.customers \(customers_lines_fkey\); let the restoring role/,
        ),
      }),
    );
  });

  it('is found of thousands that hang on each other', () => {
    const tables = Array.from({ length: 5_000 }, (_, i) => ({
      dumpId: i,
      schema: 's',
      table: `t${i}`,
    }));
    const references = tables.slice(1).map(({ table: name }, i) => ({
      ...refers('x', 'y'),
      fromSchema: 's',
      toSchema: 's',
      fromTable: `t${i}`,
      toTable: name,
    }));
    const began = performance.now();
    const levels = orderByReferences(tables, references);
    expect(levels).toHaveLength(5_000);
    expect([...(levels[0] ?? [])]).toEqual([4_999]);
    expect(performance.now() - began).toBeLessThan(15_000);
  });
});
