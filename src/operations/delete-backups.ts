import { deletionPhases, type InventoryBackup } from '#domain/backup-inventory.ts';
import { jobKey } from '#domain/names.ts';
import type { Deps } from '#runtime/ports.ts';

/** Deletes backups of one source, proof first and data last, then their job records. */
export async function deleteBackups(
  { objects }: Pick<Deps, 'objects'>,
  backups: readonly InventoryBackup[],
): Promise<void> {
  const [first] = backups;
  if (!first) return;
  for (const keys of deletionPhases(backups)) await objects.delete(keys);
  // Only those that are there: to delete what is not there would leave a delete marker behind.
  const gone = new Set(backups.map(jobKey));
  const jobs: string[] = [];
  for await (const { key } of objects.list(`jobs/${first.source}/`)) {
    if (gone.has(key)) jobs.push(key);
  }
  await objects.delete(jobs);
}
