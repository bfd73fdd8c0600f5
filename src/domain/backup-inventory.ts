import {
  type BackupFile,
  type BackupRef,
  backupKey,
  parseBackupId,
  parseBackupKey,
} from './names.ts';

/** One object of a listing. */
export interface InventoryObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly lastModified: Date;
  readonly storageClass?: string | undefined;
}

/** One backup, as the listing of its folder shows it. */
export interface InventoryBackup extends BackupRef {
  /** The UTC second of its id: when its dump was ordered. */
  readonly time: Date;
  /**
   * `verified`: archive, manifest and verification are there and no quarantine is. `quarantined`: a
   * quarantine record is there, whatever else is. Anything less is `unverified`.
   */
  readonly state: 'verified' | 'unverified' | 'quarantined';
  readonly sizeBytes: number;
  readonly files: ReadonlyMap<BackupFile, InventoryObject>;
}

export interface Inventory {
  /** Newest first within each database; databases by name. */
  readonly databases: ReadonlyMap<string, readonly InventoryBackup[]>;
  /** Objects whose keys are not ours. They are never touched. */
  readonly foreignObjects: number;
}

/** Groups a listing of `backups/<source>/` into backups. Objects of other sources count as foreign. */
export function takeInventory(source: string, objects: Iterable<InventoryObject>): Inventory {
  const folders = new Map<string, { ref: BackupRef; files: Map<BackupFile, InventoryObject> }>();
  let foreignObjects = 0;
  for (const object of objects) {
    const parsed = parseBackupKey(object.key);
    if (!parsed || parsed.source !== source) {
      foreignObjects += 1;
      continue;
    }
    const { file, ...ref } = parsed;
    const folder = folders.get(folderOf(ref)) ?? { ref, files: new Map() };
    folder.files.set(file, object);
    folders.set(folderOf(ref), folder);
  }
  const databases = new Map<string, InventoryBackup[]>();
  for (const { ref, files } of folders.values()) {
    const backup: InventoryBackup = {
      ...ref,
      time: parseBackupId(ref.backupId)?.time ?? new Date(Number.NaN),
      state: stateOf(files),
      sizeBytes: [...files.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      files,
    };
    const known = databases.get(ref.database);
    if (known) known.push(backup);
    else databases.set(ref.database, [backup]);
  }
  const sorted = [...databases]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([database, backups]) => [database, backups.sort(newestFirst)] as const);
  return { databases: new Map(sorted), foreignObjects };
}

function folderOf({ database, backupId }: BackupRef): string {
  return `${backupId}/${database}`;
}

function newestFirst(a: InventoryBackup, b: InventoryBackup): number {
  return a.backupId < b.backupId ? 1 : -1;
}

function stateOf(files: ReadonlyMap<BackupFile, InventoryObject>): InventoryBackup['state'] {
  if (files.has('quarantine.json')) return 'quarantined';
  const whole = ['archive.dump', 'manifest.json', 'verification.json'] as const;
  return whole.every((file) => files.has(file)) ? 'verified' : 'unverified';
}

/**
 * The keys of backups that are to be deleted, in the order of their phases. The proof goes first and
 * the data last, all backups abreast, so that an abort at any point leaves things that no longer
 * count, and never a backup that counts as verified with its data gone. A quarantine mark outlives
 * what it marks.
 */
export function deletionPhases(backups: readonly InventoryBackup[]): string[][] {
  const phases = [
    ['verification.json', 'drilled.json'],
    ['manifest.json'],
    ['archive.dump', 'toc.dump', 'globals.sql'],
    ['quarantine.json'],
  ] as const satisfies BackupFile[][];
  return phases
    .map((phase) =>
      backups.flatMap((backup) =>
        phase.filter((file) => backup.files.has(file)).map((file) => backupKey(backup, file)),
      ),
    )
    .filter((keys) => keys.length > 0);
}
