import type { Finding } from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { InventoryBackup } from '../backup-inventory.ts';
import { displayName } from '../display-text.ts';
import { displayUtc, relativeTime } from '../display-time.ts';
import { parseSchedule, previousDue, type Schedule } from '../schedule.ts';
import { type Examination, notesOn, shellWord } from './finding.ts';

/** What a run may take where nothing is known of earlier ones, and in any case: Scheduler tries for an hour. */
const GRACE_MILLISECONDS = 3_600_000;

/**
 * The time since which there must be a backup, when one may take `grace` from its due time to its proof.
 * Undefined: none was due yet.
 */
export function requiredSince(
  schedule: Schedule,
  now: Date,
  graceMilliseconds: number,
): Date | undefined {
  const before = new Date(now.getTime() - graceMilliseconds);
  const parsed = parseSchedule(schedule.expression);
  return 'periodMilliseconds' in parsed
    ? new Date(before.getTime() - parsed.periodMilliseconds)
    : previousDue(schedule, before);
}

export interface DatabaseBackups {
  readonly source: string;
  readonly database: string;
  /** Newest first. */
  readonly backups: readonly InventoryBackup[];
  /** Undefined: nothing runs by itself. */
  readonly schedule: SourcePlan['schedule'];
}

/** Whether the last verified backup of a database is as young as the schedule promises. */
export function judgeBackupAge(
  { now }: Pick<Examination, 'now'>,
  { source, database, backups, schedule }: DatabaseBackups,
): Finding {
  const note = notesOn(source);
  const name = displayName(database);
  const newest = backups.find(({ state }) => state === 'verified');
  const start = `holdfast start ${source} --database ${shellWord(database)}`;
  if (!newest) {
    const others = backups.length > 0 ? `, though ${backups.length} that are not` : '';
    return note('backup-age', 'fail', `${name} has no verified backup${others}`, {
      why: 'nothing of it can be restored from an archive',
      remedy:
        backups.length > 0 ? `holdfast list ${source} ${shellWord(database)}; ${start}` : start,
    });
  }
  const age = `the last verified backup of ${name} began ${relativeTime(newest.time, now)}`;
  if (!schedule) return note('backup-age', 'info', `${age}; nothing is scheduled`);
  const proved = newest.files.get('verification.json')?.lastModified ?? newest.time;
  const tookMilliseconds = Math.max(0, proved.getTime() - newest.time.getTime());
  const since = requiredSince(schedule, now, GRACE_MILLISECONDS + 2 * tookMilliseconds);
  if (!since || newest.time >= since) return note('backup-age', 'ok', age);
  return note('backup-age', 'fail', `${age}, and one was due by ${displayUtc(since)}`, {
    why: 'what was written since then is in no archive',
    remedy: `holdfast list ${source} ${shellWord(database)}; ${start}`,
  });
}

/** The same of the snapshots that Holdfast takes; `newest`: of those that are available. */
export function judgeSnapshotAge(
  { now }: Pick<Examination, 'now'>,
  source: string,
  newest: Date | undefined,
  schedule: SourcePlan['schedule'],
): Finding {
  const note = notesOn(source);
  const remedy = `holdfast start ${source} --kinds snapshot`;
  if (!newest) {
    return note('snapshot-age', 'fail', 'there is no snapshot', {
      why: 'the plan wants snapshots, and the server cannot be restored from one',
      remedy,
    });
  }
  const age = `the last snapshot was taken ${relativeTime(newest, now)}`;
  if (!schedule) return note('snapshot-age', 'info', `${age}; nothing is scheduled`);
  const since = requiredSince(schedule, now, GRACE_MILLISECONDS);
  if (!since || newest >= since) return note('snapshot-age', 'ok', age);
  return note('snapshot-age', 'fail', `${age}, and one was due by ${displayUtc(since)}`, {
    why: 'the runs since then have taken none',
    remedy: `holdfast list ${source} --snapshots; ${remedy}`,
  });
}

/** Backups of a source that were found damaged, newest first. */
export function judgeQuarantine(source: string, quarantined: readonly InventoryBackup[]): Finding {
  const note = notesOn(source);
  const [newest] = quarantined;
  if (!newest) return note('quarantine', 'ok', 'no backup is in quarantine');
  const count = quarantined.length;
  const { database, backupId } = newest;
  const title = `${count} backup${count === 1 ? ' is' : 's are'} in quarantine, the newest of ${displayName(database)}`;
  return note('quarantine', 'warn', title, {
    why: 'it was found damaged; it counts for nothing, and its cause may be there still',
    remedy: `holdfast show ${shellWord(`${source}/${database}/${backupId}`)}`,
  });
}
