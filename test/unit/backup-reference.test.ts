import { describe, expect, it } from 'vitest';
import { parseBackupReference } from '#domain/backup-reference.ts';

const ID = '20261120T030000Z-k3v9qd';

describe('a reference to a backup', () => {
  it.each([
    [`orders/shop/${ID}`, 'shop', ID],
    ['orders/shop/latest', 'shop', 'latest'],
    ['orders/shop', 'shop', 'latest'],
    ['orders/latest', 'latest', 'latest'],
    ['orders/a/b', 'a/b', 'latest'],
    [`orders/a/b/${ID}`, 'a/b', ID],
    ['orders/a/latest/latest', 'a/latest', 'latest'],
    ['orders/with blank; and "quotes"', 'with blank; and "quotes"', 'latest'],
    ['orders//', '/', 'latest'],
  ])('%j is database %j, backup %s', (text, database, backup) => {
    expect(parseBackupReference(text)).toMatchObject({ source: 'orders', database, backup });
  });

  it('keeps what its last part would be as a backup, for a better error', () => {
    expect(parseBackupReference('orders/shop/20261120T03').alternative).toEqual({
      database: 'shop',
      backup: '20261120T03',
    });
    expect(parseBackupReference('orders/shop').alternative).toBeUndefined();
  });

  it.each(['', '/', 'orders', 'orders/', '/shop', 'Orders/shop', '../x'])(
    'is refused as %j, with what to write',
    (text) => {
      expect(() => parseBackupReference(text)).toThrow(/source\/database\/id/);
    },
  );
});
