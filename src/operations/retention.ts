import * as z from 'zod';
import type { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { Results, Run } from '#contracts/workflow.ts';
import {
  type InventoryBackup,
  type InventoryObject,
  takeInventory,
} from '#domain/backup-inventory.ts';
import { displayName } from '#domain/display-text.ts';
import { drilledAtOf, drilledSnapshots, lastDrilledArchives } from '#domain/drill/last-drilled.ts';
import { backupKey, parseSnapshotId, sourcePrefix } from '#domain/names.ts';
import {
  guardRetention,
  planRetention,
  type RetentionItem,
  type RetentionPlan,
} from '#domain/retention.ts';
import {
  type HoldfastError,
  InvalidEnvironment,
  RetentionGuard,
  SnapshotQuotaReached,
} from '#errors';
import type { Deps, OwnSnapshot } from '#runtime/ports.ts';
import { pastDrills } from './past-drills.ts';
import { loadJob } from './records.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'objects' | 'snapshots' | 'workflow'>;

/** What is to be deleted, and the record that says why. Nothing has been deleted yet. */
export interface SourceRetention {
  readonly record: RetentionPlanRecord;
  /** The first guard that refused a plan: then nothing of the source may be deleted. */
  readonly guard: HoldfastError | undefined;
  readonly backups: readonly InventoryBackup[];
  readonly snapshotIds: readonly string[];
}

/**
 * Plans the retention of everything that a source has: its archives database by database, its
 * snapshots together. Only what carries our marks can be in the plan: a key that parses, with a
 * manifest that names the same backup; a snapshot with our tags *and* a name of ours, as tags are
 * copied along when somebody copies a snapshot to keep it.
 */
export async function planSourceRetention(
  deps: Needs,
  { run, results, plan }: { run: Run; results: Results; plan: SourcePlan },
): Promise<SourceRetention> {
  const now = deps.clock.now();
  const { archives, snapshots: snapshotRules, timezone, dryRun } = plan.retention;
  const objects: InventoryObject[] = [];
  for await (const object of deps.objects.list(sourcePrefix(run.source))) objects.push(object);
  const inventory = takeInventory(run.source, objects);
  let guard: HoldfastError | undefined;
  const guarded = (decide: () => void) => {
    try {
      decide();
    } catch (error) {
      if (!(error instanceof RetentionGuard)) throw error;
      guard ??= error;
    }
  };

  // Records that cannot be read are passed over: then the marks count, as they do where no record goes back so far.
  const drills = await pastDrills(deps, run.source, DRILLS_READ);
  const drilled = lastDrilledArchives(drills);
  const databases: RetentionPlanRecord['databases'] = [];
  const going: InventoryBackup[] = [];
  for (const [database, backups] of inventory.databases) {
    const withheld = withholdArchives(results, database);
    const items: RetentionItem[] = [];
    for (const backup of backups) {
      const running = await isRunning(deps, backup, plan, now);
      const drilledAt = drilledAtOf(backup, drilled.get(database));
      items.push({ ...backup, id: backup.backupId, running, drilledAt });
    }
    const wanted = planRetention({ items, rules: archives, timezone, now, withheld });
    guarded(() => guardRetention(wanted, archives, `database ${displayName(database)}`));
    const byId = new Map(backups.map((backup) => [backup.backupId, backup]));
    const candidates = wanted.delete.flatMap(({ id }) => byId.get(id) ?? []);
    const strangers = guard ? [] : await findStrangers(deps, candidates);
    const final = keepToo(wanted, strangers, 'its manifest names another backup or none');
    going.push(...final.delete.flatMap(({ id }) => byId.get(id) ?? []));
    databases.push({ database, withheld: withheld ?? null, ...decisions(final) });
  }

  const listed = plan.engine.type === 'postgres' ? [] : await deps.snapshots.list(plan);
  const isOurs = ({ snapshotId }: OwnSnapshot) =>
    parseSnapshotId(snapshotId)?.source === run.source;
  const withheld = withholdSnapshots(results);
  const drilledAt = drilledSnapshots(drills);
  const snapshots = planRetention({
    items: listed
      .filter(isOurs)
      .map((own) => ({ ...snapshotItem(own), drilledAt: drilledAt.get(own.snapshotId) })),
    rules: snapshotRules,
    timezone,
    now,
    withheld,
  });
  guarded(() => guardRetention(snapshots, snapshotRules, 'the snapshots'));

  return {
    guard,
    backups: going,
    snapshotIds: snapshots.delete.map(({ id }) => id),
    record: {
      version: 1,
      source: run.source,
      runId: run.runId,
      plannedAt: now.toISOString(),
      dryRun,
      guard: guard?.message ?? null,
      timezone,
      databases,
      snapshots:
        plan.engine.type === 'postgres'
          ? null
          : { withheld: withheld ?? null, ...decisions(snapshots) },
      foreign: {
        objects: inventory.foreignObjects,
        snapshots: listed.filter((snapshot) => !isOurs(snapshot)).map((s) => s.snapshotId),
      },
    },
  };
}

/** Records of drills that are read: five years of monthly ones. */
const DRILLS_READ = 60;

/**
 * A database whose dump failed in this run keeps all it has: old backups are worth most when new ones
 * do not come. A run that was not asked for dumps (or for this database) has learned nothing bad, and
 * the rules count backups, not time, so it may tidy up.
 */
function withholdArchives({ logical }: Results, database: string): string | undefined {
  if (logical.status === 'skipped') return undefined;
  if (logical.status === 'failed') return `this run made no dumps: ${logical.failure.Error}`;
  const failed = logical.databases.find(
    (result) => result.status === 'failed' && result.database === database,
  );
  return failed?.status === 'failed'
    ? `its dump failed in this run: ${failed.failure.Error}`
    : undefined;
}

/** The same for snapshots, but for a reached quota: there, making room is the remedy. */
function withholdSnapshots({ snapshot }: Results): string | undefined {
  if (snapshot.status !== 'failed') return undefined;
  if (snapshot.failure.Error === SnapshotQuotaReached.errorName) return undefined;
  return `the snapshot of this run failed: ${snapshot.failure.Error}`;
}

/** Dumps end at the plan's timeout, verification included; this much later nothing writes any more. */
const SETTLED_AFTER_MINUTES = 60;

/** Whether a backup may still be written or verified: it is young, or its execution goes on. */
async function isRunning(
  { objects, workflow }: Needs,
  backup: InventoryBackup,
  { dump, retention }: SourcePlan,
  now: Date,
): Promise<boolean> {
  if (backup.state === 'verified') return false;
  const ageMinutes = (now.getTime() - backup.time.getTime()) / 60_000;
  if (ageMinutes < dump.timeoutMinutes + SETTLED_AFTER_MINUTES) return true;
  if (ageMinutes < retention.archives.unverifiedGraceHours * 60) return false;
  try {
    const job = await loadJob(objects, backup);
    return job !== undefined && (await workflow.executionStatus(job.executionArn)) === 'RUNNING';
  } catch (error) {
    // A job record that cannot be read belongs to no task that could have been launched from it.
    if (error instanceof InvalidEnvironment) return false;
    throw error;
  }
}

const Marks = z.object({ source: z.string(), database: z.string(), backupId: z.string() });

/** Manifests read at a time. */
const READERS = 8;

/** Backups whose manifest is not about them. Quarantined ones carry our mark in any case. */
async function findStrangers(
  { objects }: Needs,
  backups: readonly InventoryBackup[],
): Promise<string[]> {
  const strangers: string[] = [];
  const queue = backups.filter(
    ({ files, state }) => files.has('manifest.json') && state !== 'quarantined',
  );
  const reader = async () => {
    for (let backup = queue.pop(); backup; backup = queue.pop()) {
      const { source, database, backupId } = backup;
      const found = await objects.get(backupKey(backup, 'manifest.json'));
      const marks = Marks.safeParse(parseJson(found?.body)).data;
      const named = marks ? backupKey(marks, 'manifest.json') : undefined;
      if (named !== backupKey({ source, database, backupId }, 'manifest.json')) {
        strangers.push(backupId);
      }
    }
  };
  await Promise.all(Array.from({ length: READERS }, reader));
  return strangers;
}

function parseJson(body: Buffer | undefined): unknown {
  try {
    return JSON.parse(body?.toString('utf8') ?? '');
  } catch {
    return undefined;
  }
}

/** Moves what was to go back to what stays. */
function keepToo(plan: RetentionPlan, ids: readonly string[], reason: string): RetentionPlan {
  if (ids.length === 0) return plan;
  const rescued = plan.delete.filter(({ id }) => ids.includes(id));
  return {
    keep: [...plan.keep, ...rescued.map((decision) => ({ ...decision, reasons: [reason] }))],
    delete: plan.delete.filter(({ id }) => !ids.includes(id)),
  };
}

/** RDS: `available` can be restored, `failed` cannot; anything else is on its way. */
function snapshotItem({ snapshotId, createdAt, status }: OwnSnapshot): RetentionItem {
  const state =
    status === 'available' ? 'verified' : status === 'failed' ? 'quarantined' : 'unverified';
  return {
    id: snapshotId,
    time: createdAt,
    state,
    sizeBytes: 0,
    running: state === 'unverified',
  };
}

function decisions(
  plan: RetentionPlan,
): Pick<RetentionPlanRecord['databases'][0], 'keep' | 'delete'> {
  const written = (list: RetentionPlan['keep']) =>
    list.map((decision) => ({
      ...decision,
      time: decision.time.toISOString(),
      reasons: [...decision.reasons],
    }));
  return { keep: written(plan.keep), delete: written(plan.delete) };
}
