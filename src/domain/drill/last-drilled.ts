import type { DrillRecord } from '#contracts/drill.ts';
import type { InventoryBackup } from '../backup-inventory.ts';
import { countsForSource } from './whole-drill.ts';

/** Which backup a drill brought back, and when that was. */
export interface LastDrilled {
  readonly id: string;
  readonly at: Date;
}

/** Of each database the backup that a drill brought back last: a mark beside a backup tells of the first time alone. */
export function lastDrilledArchives(
  drills: readonly DrillRecord[],
): ReadonlyMap<string, LastDrilled> {
  const last = new Map<string, LastDrilled>();
  for (const { endedAt, databases } of drills) {
    for (const { database, backupId, status, report } of databases) {
      if (status !== 'PASSED' || backupId === null || !report || report.tablesLeftOut) continue;
      if (!last.has(database)) last.set(database, { id: backupId, at: new Date(endedAt) });
    }
  }
  return last;
}

/** Nothing is written at a snapshot: the records are all there is of what was brought back of it. */
export function drilledSnapshots(drills: readonly DrillRecord[]): ReadonlyMap<string, Date> {
  const drilled = new Map<string, Date>();
  for (const { endedAt, server } of drills.filter(countsForSource)) {
    const origin = server?.origin;
    if (origin?.type !== 'snapshot') continue;
    if (!drilled.has(origin.snapshotId)) drilled.set(origin.snapshotId, new Date(endedAt));
  }
  return drilled;
}

/** When it came back last, as far as that is known: a mark says when it first did. */
export function drilledAtOf(
  { backupId, files }: InventoryBackup,
  last: LastDrilled | undefined,
): Date | undefined {
  const first = files.get('drilled.json')?.lastModified;
  return last?.id === backupId && (!first || first < last.at) ? last.at : first;
}
