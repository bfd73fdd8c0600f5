import * as z from 'zod';
import type { AlertMessage } from '#contracts/alert-message.ts';
import { RunLock } from '#contracts/run-lock.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { missedRunAlert, verificationOverdueAlert } from '#domain/alert-message.ts';
import { type Inventory, type InventoryBackup, takeInventory } from '#domain/backup-inventory.ts';
import {
  alertMarkerKey,
  parseBackupId,
  parseJobKey,
  runLockKey,
  runSummaryKey,
  sourcePrefix,
} from '#domain/names.ts';
import { previousDue } from '#domain/schedule.ts';
import { errorName } from '#errors';
import type { Deps } from '#runtime/ports.ts';
import { launchForJob } from './launch-task.ts';
import { loadJob, parseRecord } from './records.ts';
import { sendAlert } from './send-alert.ts';
import { toTheEnd } from './to-the-end.ts';

/**
 * The chores that make silence loud, for one source. Each finds what it did an hour ago and does not
 * do it again. An alert is sent first and noted second: sent twice is better than never.
 */
type Needs = Pick<Deps, 'clock' | 'log' | 'objects' | 'tasks' | 'workflow' | 'alerts'>;

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** An event comes within seconds and a Lambda verifies for 15 minutes at most. */
const VERIFY_AGAIN_AFTER = 1 * HOUR;
/** A Fargate task decodes a terabyte in less. */
const VERIFICATION_OVERDUE_AFTER = 6 * HOUR;
/** After the dump's own timeout, at which its task has been stopped. */
const UPLOAD_STALE_AFTER = 1 * HOUR;
/** Scheduler starts within a minute of the time, and tries again for a while when it cannot. */
const RUN_MISSED_AFTER = 1 * HOUR;

export async function listSource({ objects }: Needs, source: string): Promise<Inventory> {
  const listed = [];
  for await (const object of objects.list(sourcePrefix(source))) listed.push(object);
  return takeInventory(source, listed);
}

/**
 * Backups that are written but neither verified nor quarantined: their event was lost, or its handling
 * failed. Each gets one verification task; what is still not verified hours later is an alert.
 */
export async function chaseVerifications(
  deps: Needs,
  inventory: Inventory,
): Promise<{ started: number; overdue: number }> {
  const counts = { started: 0, overdue: 0 };
  const waiting = [...inventory.databases.values()]
    .flat()
    .filter(({ files, state }) => state === 'unverified' && !files.has('verification.json'));
  await toTheEnd(waiting, async (backup) => {
    const written = backup.files.get('manifest.json')?.lastModified;
    if (!written) return;
    const age = deps.clock.now().getTime() - written.getTime();
    if (age < VERIFY_AGAIN_AFTER) return;
    let failure: unknown;
    try {
      if (await verifyAgain(deps, backup)) {
        counts.started += 1;
        return;
      }
    } catch (error) {
      failure = error;
    }
    if (age >= VERIFICATION_OVERDUE_AFTER && (await alertOverdue(deps, backup, written, failure))) {
      counts.overdue += 1;
    }
    if (failure !== undefined) throw failure;
  });
  return counts;
}

/** Starts the one verification task of a backup; false when it was started before or cannot be. */
async function verifyAgain(deps: Needs, backup: InventoryBackup): Promise<boolean> {
  const marker = markerOf(backup, 'verify');
  if (await deps.objects.head(marker)) return false;
  const job = await loadJob(deps.objects, backup);
  if (!job) return false;
  // Before the marker: a launch that failed is tried again, and ECS launches the same task only once.
  // Attempt 2: Verify Backup may have launched the first one, which then came to nothing.
  const taskArn = await launchForJob(deps, 'verify-backup', job, 2);
  await deps.objects.put(marker, stamp(deps, { taskArn }));
  return true;
}

async function alertOverdue(
  deps: Needs,
  backup: InventoryBackup,
  manifestWrittenAt: Date,
  failure: unknown,
): Promise<boolean> {
  const job = failure === undefined ? await loadJob(deps.objects, backup) : undefined;
  const then = job
    ? 'the verification task that was started instead did not settle it'
    : 'its job record is gone, so no task can be started for it';
  const why = failure === undefined ? then : `no task could be started: ${errorName(failure)}`;
  return alertOnce(
    deps,
    markerOf(backup, 'overdue'),
    verificationOverdueAlert({
      ref: backup,
      manifestWrittenAt,
      why: `The event of its manifest was not handled, and ${why}.`,
      executionArn: job?.executionArn,
    }),
  );
}

/** Aborts uploads whose dump can no longer be running; they cost storage and are never completed. */
export async function abortStaleUploads(
  { clock, objects }: Needs,
  { source, dump }: SourcePlan,
): Promise<number> {
  const limit = clock.now().getTime() - dump.timeoutMinutes * MINUTE - UPLOAD_STALE_AFTER;
  const stale = [];
  for await (const upload of objects.uploads(sourcePrefix(source))) {
    if (upload.initiated.getTime() < limit) stale.push(upload);
  }
  await toTheEnd(stale, ({ key, uploadId }) => objects.abortUpload(key, uploadId));
  return stale.length;
}

/** Dumps that were ordered and came to nothing. Their leftovers are retention's; here they are counted. */
export async function countAbandonedJobs(
  { clock, objects }: Needs,
  { source, dump }: SourcePlan,
  inventory: Inventory,
): Promise<number> {
  const limit = clock.now().getTime() - dump.timeoutMinutes * MINUTE;
  let abandoned = 0;
  for await (const { key } of objects.list(`jobs/${source}/`)) {
    const ref = parseJobKey(key);
    if (!ref || (parseBackupId(ref.backupId)?.time.getTime() ?? 0) > limit) continue;
    const backup = inventory.databases
      .get(ref.database)
      ?.find(({ backupId }) => backupId === ref.backupId);
    if (!backup?.files.has('manifest.json')) abandoned += 1;
  }
  return abandoned;
}

const ScheduleSeen = z.object({ schedule: z.string(), since: z.iso.datetime() });

/** Alerts a scheduled run that did not start, once for each time it was due. */
export async function alertMissedRun(
  deps: Needs,
  { source, schedule }: SourcePlan,
  inventory: Inventory,
): Promise<boolean> {
  if (!schedule) return false;
  const described = `${schedule.expression} ${schedule.timezone}`;
  const since = await scheduleKnownSince(deps, source, described);
  const lockKey = runLockKey(source);
  const found = await deps.objects.get(lockKey);
  const lock = found && parseRecord(RunLock, found.body, lockKey);
  const starts = [...inventory.databases.values()].flatMap(([newest]) =>
    newest ? [newest.time.getTime()] : [],
  );
  if (lock) starts.push(Date.parse(lock.startedAt));
  const lastStart = starts.length > 0 ? new Date(Math.max(...starts)) : undefined;

  const latest = new Date(deps.clock.now().getTime() - RUN_MISSED_AFTER);
  const counting = lastStart && lastStart > since ? lastStart : since;
  const due = previousDue(schedule, latest, counting);
  // What was due before this schedule was known (a new source, a changed plan) was due by no schedule.
  if (!due || due <= since) return false;
  if (lastStart && lastStart >= due) return false;
  if (lock && (await wasRunningAt(deps, source, lock, due))) return false;
  const name = `missed-${due.toISOString().slice(0, 16).replace(/\W/g, '')}`;
  return alertOnce(
    deps,
    alertMarkerKey(source, name),
    missedRunAlert({ source, due, schedule: described, lastStart }),
  );
}

/** When this very schedule was first seen; noted here when it is new. */
async function scheduleKnownSince(deps: Needs, source: string, schedule: string): Promise<Date> {
  const key = alertMarkerKey(source, 'schedule');
  const found = await deps.objects.get(key);
  const seen = found && parseRecord(ScheduleSeen, found.body, key);
  if (seen?.schedule === schedule) return new Date(seen.since);
  const since = deps.clock.now();
  await deps.objects.put(key, JSON.stringify({ schedule, since: since.toISOString() }));
  return since;
}

/** Then the run that was due has been refused, and has said so itself (RunInProgress). */
async function wasRunningAt(
  { objects, workflow }: Needs,
  source: string,
  { executionArn, runId }: RunLock,
  due: Date,
): Promise<boolean> {
  if ((await workflow.executionStatus(executionArn)) === 'RUNNING') return true;
  const key = runSummaryKey(source, runId);
  const summary = await objects.get(key);
  if (!summary) return false;
  const { endedAt } = parseRecord(z.object({ endedAt: z.iso.datetime() }), summary.body, key);
  return new Date(endedAt) >= due;
}

async function alertOnce(deps: Needs, marker: string, message: AlertMessage): Promise<boolean> {
  if (await deps.objects.head(marker)) return false;
  await sendAlert(deps, message);
  await deps.objects.put(marker, stamp(deps, { subject: message.subject }));
  return true;
}

function markerOf({ source, database, backupId }: InventoryBackup, what: string): string {
  return alertMarkerKey(source, `${what}-${database}-${backupId}`);
}

function stamp({ clock }: Needs, facts: Record<string, string>): string {
  return JSON.stringify({ at: clock.now().toISOString(), ...facts });
}
