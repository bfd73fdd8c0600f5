import { describe, expect, it } from 'vitest';
import { deletionPhases, type InventoryObject, takeInventory } from '#domain/backup-inventory.ts';
import { type BackupFile, backupKey } from '#domain/names.ts';
import { backupIdAt } from '#test/fakes.ts';

const at = new Date('2026-11-20T03:00:00Z');
const whole = [
  'archive.dump',
  'toc.dump',
  'globals.sql',
  'manifest.json',
  'verification.json',
] as const;

function objectsOf(database: string, day: string, files: readonly BackupFile[]): InventoryObject[] {
  const ref = { source: 'orders', database, backupId: backupIdAt(`${day}T03:00:00Z`) };
  return files.map((file) => ({ key: backupKey(ref, file), sizeBytes: 10, lastModified: at }));
}

describe('an inventory', () => {
  it('groups objects by database, newest backup first', () => {
    const { databases } = takeInventory('orders', [
      ...objectsOf('shop', '2026-11-18', whole),
      ...objectsOf('Łódź "x"', '2026-11-19', whole),
      ...objectsOf('shop', '2026-11-20', whole),
    ]);
    expect([...databases.keys()]).toEqual(['shop', 'Łódź "x"']);
    const shop = databases.get('shop') ?? [];
    expect(shop.map(({ time }) => time.toISOString())).toEqual([
      '2026-11-20T03:00:00.000Z',
      '2026-11-18T03:00:00.000Z',
    ]);
    expect(shop[0]).toMatchObject({ state: 'verified', sizeBytes: 50 });
  });

  it.each<[string, readonly BackupFile[]]>([
    ['verified', whole],
    ['unverified', ['archive.dump']],
    ['unverified', ['archive.dump', 'toc.dump', 'globals.sql', 'manifest.json']],
    ['unverified', ['manifest.json', 'verification.json']],
    ['unverified', ['archive.dump', 'verification.json']],
    ['quarantined', [...whole, 'quarantine.json']],
    ['quarantined', ['quarantine.json']],
  ])('takes for %s: %j', (state, files) => {
    const { databases } = takeInventory('orders', objectsOf('shop', '2026-11-20', files));
    expect(databases.get('shop')?.[0]?.state).toBe(state);
  });

  it('counts what is not ours and never groups it', () => {
    const { databases, foreignObjects } = takeInventory('orders', [
      { key: 'backups/orders/notes.txt', sizeBytes: 1, lastModified: at },
      { key: 'backups/orders/shop/old.dump', sizeBytes: 1, lastModified: at },
      ...objectsOf('shop', '2026-11-20', whole).map((object) => ({
        ...object,
        key: object.key.replace('orders', 'billing'),
      })),
    ]);
    expect(databases.size).toBe(0);
    expect(foreignObjects).toBe(7);
  });
});

describe('the order of deletion', () => {
  it('takes the proof of every backup before the data of any', () => {
    const { databases } = takeInventory('orders', [
      ...objectsOf('shop', '2026-11-18', [...whole, 'drilled.json']),
      ...objectsOf('shop', '2026-11-19', [...whole, 'quarantine.json']),
    ]);
    const files = deletionPhases(databases.get('shop') ?? []).map((keys) =>
      keys.map((key) => key.split('/').at(-1)),
    );
    expect(files).toEqual([
      ['verification.json', 'verification.json', 'drilled.json'],
      ['manifest.json', 'manifest.json'],
      ['archive.dump', 'toc.dump', 'globals.sql', 'archive.dump', 'toc.dump', 'globals.sql'],
      ['quarantine.json'],
    ]);
  });

  it('names only what is there', () => {
    const { databases } = takeInventory(
      'orders',
      objectsOf('shop', '2026-11-18', ['archive.dump']),
    );
    expect(deletionPhases(databases.get('shop') ?? [])).toHaveLength(1);
    expect(deletionPhases([])).toEqual([]);
  });
});
