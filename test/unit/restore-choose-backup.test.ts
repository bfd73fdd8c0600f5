import { describe, expect, it } from 'vitest';
import { takeInventory } from '#domain/backup-inventory.ts';
import { backupKey } from '#domain/names.ts';
import { chooseBackup } from '#domain/restore/choose-backup.ts';
import { backupIdAt } from '#test/fakes.ts';

const at = new Date('2026-11-20T03:00:00Z');
const backupId = backupIdAt('2026-11-20T03:00:00Z');

function inventoryOf(...databases: string[]) {
  return takeInventory(
    'orders',
    databases.flatMap((database) =>
      (['archive.dump', 'manifest.json', 'verification.json'] as const).map((file) => ({
        key: backupKey({ source: 'orders', database, backupId }, file),
        sizeBytes: 10,
        lastModified: at,
      })),
    ),
  );
}

const wanted = { source: 'orders', backup: 'latest', allowUnverified: false } as const;

function refusalOf(inventory: ReturnType<typeof inventoryOf>, database: string): unknown {
  try {
    return chooseBackup(inventory, { ...wanted, database });
  } catch (error) {
    return error;
  }
}

describe('a database of which there is no backup', () => {
  it('is answered with the names that there are, each in full', () => {
    const inventory = inventoryOf('billing', 'warehouse', 'reports', 'archive', 'people', 'sixth');
    expect(refusalOf(inventory, 'nosuch')).toMatchObject({
      name: 'BackupNotFound',
      remedy: 'there are backups of archive, billing, people, reports, sixth and 1 more',
    });
  });

  it('is answered with the name that was meant', () => {
    expect(refusalOf(inventoryOf('billing', 'warehouse'), 'biling')).toMatchObject({
      remedy: 'did you mean billing?',
    });
  });

  it('is answered with nothing where there is nothing', () => {
    expect(refusalOf(inventoryOf(), 'shop')).toMatchObject({
      remedy: 'the source has no backup at all',
    });
  });
});
