import type { RestoreInput } from '#contracts/restore.ts';
import { BackupNotFound, BackupNotVerified } from '#errors';
import type { Inventory, InventoryBackup } from '../backup-inventory.ts';
import { closest } from '../closest.ts';
import { displayName } from '../display-text.ts';

/** So many are named when the wanted one is not there. */
const NAMED = 5;

/**
 * The backup that is meant. `latest` and `before` mean verified ones unless `allowUnverified`; a
 * quarantined one is only ever taken when its id is given.
 * Throws BackupNotFound, BackupNotVerified.
 */
export function chooseBackup(
  inventory: Inventory,
  wanted: Pick<RestoreInput, 'backup' | 'allowUnverified'> & { source: string; database: string },
): InventoryBackup {
  const { source, database, backup, allowUnverified } = wanted;
  const where = `${source}/${displayName(database)}`;
  const backups = inventory.databases.get(database);
  if (!backups || backups.length === 0) {
    const known = [...inventory.databases.keys()];
    const meant = closest(database, known);
    throw new BackupNotFound(`there is no backup of ${where}`, {
      remedy: meant
        ? `did you mean ${displayName(meant)}?`
        : known.length > 0
          ? `there are backups of ${firstOf(known.map((name) => displayName(name)))}`
          : 'the source has no backup at all',
    });
  }
  if (backup !== 'latest' && typeof backup === 'string') {
    const found = backups.find(({ backupId }) => backupId === backup);
    if (!found) {
      throw new BackupNotFound(`there is no backup ${backup} of ${where}`, {
        remedy: `the newest are ${newest(backups)}`,
      });
    }
    requireArchive(found, where);
    if (found.state !== 'verified' && !allowUnverified) {
      throw new BackupNotVerified(`backup ${backup} of ${where} is ${found.state}`, {
        remedy: 'choose another, or say "allowUnverified": true',
      });
    }
    return found;
  }
  const before = backup === 'latest' ? undefined : new Date(backup.before);
  const found = backups.find(
    ({ state, time, files }) =>
      (state === 'verified' || (allowUnverified && state === 'unverified')) &&
      files.has('archive.dump') &&
      (before === undefined || time < before),
  );
  if (found) return found;
  const what = before ? `verified backup from before ${before.toISOString()}` : 'verified backup';
  throw new BackupNotFound(`${where} has no ${what}`, { remedy: `there are ${newest(backups)}` });
}

function requireArchive({ files, backupId }: InventoryBackup, where: string): void {
  if (files.has('archive.dump')) return;
  throw new BackupNotFound(`backup ${backupId} of ${where} has no archive any more`, {
    remedy: 'choose another; the bucket is versioned, its old version may still be there',
  });
}

function newest(backups: readonly InventoryBackup[]): string {
  return firstOf(backups.map(({ backupId, state }) => `${backupId} (${state})`));
}

function firstOf(names: readonly string[]): string {
  const more = names.length - NAMED;
  return `${names.slice(0, NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
