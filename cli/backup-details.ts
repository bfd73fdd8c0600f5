import { Quarantine, Verification } from '#contracts/verification.ts';
import type { InventoryBackup } from '#domain/backup-inventory.ts';
import { backupKey } from '#domain/names.ts';
import { parseRecord } from '#operations/records.ts';
import type { Deps, ObjectHead } from '#runtime/ports.ts';

/** What a listing does not tell of a backup. */
export interface BackupDetails {
  readonly backup: InventoryBackup;
  /** Undefined: there is no archive (any more). */
  readonly archive: ObjectHead | undefined;
  readonly verification: Verification | undefined;
  readonly quarantine: Quarantine | undefined;
}

/** Backups looked into at the same time: two small requests each. */
const READERS = 16;

export async function readDetails(
  { objects }: Pick<Deps, 'objects'>,
  backup: InventoryBackup,
): Promise<BackupDetails> {
  const record = async <Shape>(
    file: 'verification.json' | 'quarantine.json',
    parse: Parse<Shape>,
  ) => {
    if (!backup.files.has(file)) return undefined;
    const key = backupKey(backup, file);
    const found = await objects.get(key);
    return found && parse(found.body, key);
  };
  const [archive, verification, quarantine] = await Promise.all([
    backup.files.has('archive.dump') ? objects.head(backupKey(backup, 'archive.dump')) : undefined,
    record('verification.json', (body, key) => parseRecord(Verification, body, key)),
    record('quarantine.json', (body, key) => parseRecord(Quarantine, body, key)),
  ]);
  return { backup, archive, verification, quarantine };
}

type Parse<Shape> = (body: Buffer, key: string) => Shape;

/** In the order of the backups. */
export async function readAllDetails(
  deps: Pick<Deps, 'objects'>,
  backups: readonly InventoryBackup[],
): Promise<BackupDetails[]> {
  const details: BackupDetails[] = [];
  const queue = [...backups.entries()];
  const reader = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const [index, backup] = next;
      details[index] = await readDetails(deps, backup);
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return details;
}

/** When a drill first brought it back: then its mark was written. */
export function drilledAt({ files }: InventoryBackup): Date | undefined {
  return files.get('drilled.json')?.lastModified;
}

/** The archive cannot be read before it was brought back from Glacier. */
export function needsRetrieval({ storageClass, retrieval }: ObjectHead): boolean {
  return (storageClass === 'GLACIER' || storageClass === 'DEEP_ARCHIVE') && retrieval !== 'done';
}

/** `STANDARD`, `GLACIER (being retrieved)`. */
export function describeStorage(archive: ObjectHead | undefined): string {
  if (!archive) return '-';
  const { storageClass, retrieval } = archive;
  if (retrieval === 'ongoing') return `${storageClass} (being retrieved)`;
  return retrieval === 'done' ? `${storageClass} (retrieved)` : storageClass;
}

/** How the state of a backup is shown. */
export const STATE_COLOR = {
  verified: 'green',
  unverified: 'yellow',
  quarantined: 'red',
} as const;
