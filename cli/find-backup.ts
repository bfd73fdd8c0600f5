import { type Inventory, type InventoryBackup, takeInventory } from '#domain/backup-inventory.ts';
import { parseBackupReference } from '#domain/backup-reference.ts';
import { closest } from '#domain/closest.ts';
import { displayName } from '#domain/display-text.ts';
import { databasePrefix, sourcePrefix } from '#domain/names.ts';
import { chooseBackup } from '#domain/restore/choose-backup.ts';
import { BackupNotFound, BackupNotVerified, errorName } from '#errors';
import type { Deps, ListedObject } from '#runtime/ports.ts';

type Needs = Pick<Deps, 'objects' | 'plans'>;

export interface SoughtBackup {
  readonly source: string;
  readonly database: string;
  /** `latest`, an id, or the last one that began before a time. */
  readonly backup: string | { readonly before: string };
  readonly allowUnverified: boolean;
  /** What to do about a backup that is not verified. */
  readonly remedy: string;
  readonly alternative?: { readonly database: string; readonly backup: string } | undefined;
}

/**
 * The backup to look at: to do so does no harm, so that one that is named by its id need not be verified;
 * `latest` is the newest that counts all the same. Throws as findBackup does, and InvalidInput.
 */
export function findShownBackup(deps: Needs, reference: string): Promise<InventoryBackup> {
  const sought = parseBackupReference(reference);
  const allowUnverified = sought.backup !== 'latest';
  return findBackup(deps, { ...sought, allowUnverified, remedy: 'name it by its id' });
}

/** The verified backup that `source/database/id` or `…/latest` names. `remedy`: for one that is not. */
export function findVerifiedBackup(
  deps: Needs,
  reference: string,
  remedy: string,
): Promise<InventoryBackup> {
  return findBackup(deps, { ...parseBackupReference(reference), allowUnverified: false, remedy });
}

/**
 * The backup that is meant. Throws UnknownSource, BackupNotFound, BackupNotVerified; each with what was
 * probably meant.
 */
export async function findBackup(deps: Needs, sought: SoughtBackup): Promise<InventoryBackup> {
  const { source, database, backup, alternative, allowUnverified } = sought;
  const inventory = await inventoryOf(deps, sought);
  const backups = inventory.databases.get(database) ?? [];
  if (backups.length === 0 && alternative && inventory.databases.has(alternative.database)) {
    throw noSuchId(alternative.backup, inventory.databases.get(alternative.database) ?? []);
  }
  const isId = typeof backup === 'string' && backup !== 'latest';
  if (isId && backups.length > 0 && !backups.some(({ backupId }) => backupId === backup)) {
    throw noSuchId(backup, backups);
  }
  try {
    return chooseBackup(inventory, { source, database, backup, allowUnverified });
  } catch (error) {
    if (errorName(error) !== BackupNotVerified.errorName) throw error;
    const found = backups.find(({ backupId }) => backupId === backup);
    throw new BackupNotVerified(
      `backup ${found?.backupId} of ${source}/${displayName(database)} is ${found?.state}`,
      { remedy: sought.remedy, cause: error },
    );
  }
}

function noSuchId(wanted: string, backups: readonly InventoryBackup[]) {
  const [first] = backups;
  const where = first ? `${first.source}/${displayName(first.database)}` : 'the database';
  const ids = backups.map(({ backupId }) => backupId);
  const meant = closest(wanted, ids);
  const newest = ids.slice(0, 3).join(', ');
  return new BackupNotFound(`there is no backup ${displayName(wanted)} of ${where}`, {
    remedy: meant ? `did you mean ${meant}?` : `the newest are ${newest}`,
  });
}

/** Of the database; of the whole source when that has none, to say what is there. */
async function inventoryOf(deps: Needs, { source, database }: SoughtBackup): Promise<Inventory> {
  const own = takeInventory(
    source,
    await collect(deps.objects.list(databasePrefix(source, database))),
  );
  return own.databases.size > 0 ? own : sourceInventory(deps, source);
}

/**
 * Every backup of a source. One that is no longer in the plan may have some all the same; one that has
 * neither is unknown: throws UnknownSource.
 */
export async function sourceInventory(deps: Needs, source: string): Promise<Inventory> {
  const objects = await collect(deps.objects.list(sourcePrefix(source)));
  if (objects.length === 0) await deps.plans.load(source);
  return takeInventory(source, objects);
}

export async function collect(listing: AsyncIterable<ListedObject>): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const object of listing) objects.push(object);
  return objects;
}
