import * as z from 'zod';
import {
  type ArchiveDrill,
  type Drill,
  type DrillRecord,
  type MissingDrill,
  PlanDrillEvent,
  type PlannedDrillState,
} from '#contracts/drill.ts';
import { SourceExtent } from '#contracts/source-extent.ts';
import type { DrillKind, SourcePlan } from '#contracts/source-plan.ts';
import { takeInventory } from '#domain/backup-inventory.ts';
import { type ChosenArchive, chooseArchives, type DrillChoices } from '#domain/drill/choose.ts';
import { kindOfDrill, parseDrillInput } from '#domain/drill/drill-input.ts';
import { possibleDrillKinds } from '#domain/drill/drill-kinds.ts';
import { drillTargets } from '#domain/drill/drill-targets.ts';
import { planArchiveDrill } from '#domain/drill/plan-archive-drill.ts';
import { backupKey, makeBackupId, sourceExtentKey, sourcePrefix } from '#domain/names.ts';
import { BackupNotFound, errorName, isRetryable, ObjectMissing } from '#errors';
import { planServerDrill } from '#operations/drill/plan-server-drill.ts';
import { pastDrills } from '#operations/past-drills.ts';
import { loadManifest, parseRecord } from '#operations/records.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps, ListedObject } from '#runtime/ports.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideServers } from '#runtime/providers/servers.ts';

type Needs = 'clock' | 'log' | 'objects' | 'plans' | 'servers';

/**
 * Records of earlier drills that are looked at for what is next; a year of monthly ones. They hold no rows, so that
 * one is some KB a database; those of older versions, of 20 databases of 2,000 tables, 5.7 MB and 60 ms each.
 */
const PAST_DRILLS = 12;

/**
 * All that a drill plans is the state's data, which ends at 262,144 bytes: with so many and 100 archives that fail,
 * each for a long reason, there is room left. Beyond that no state could catch it, and nobody would be told. One
 * missing database fails the drill as well.
 */
const MISSING_TOLD = 50;
/** The notes go with each archive. */
const MISSING_NOTED = 10;

/**
 * What is rehearsed. Ids and choices are derived from the execution, so that asking again plans the same
 * drill. A database whose backup cannot be planned for is missing; the others are rehearsed without it.
 * Throws InvalidInput, UnknownSource, InvalidPlan, BackupNotFound, BackupNotVerified; of a server's drill what
 * `planServerDrill` throws.
 */
export const planDrill: Handle<PlanDrillEvent, PlannedDrillState, Needs> = async (
  { input: rawInput, executionArn, startedAt },
  deps,
) => {
  const input = parseDrillInput(rawInput);
  const { source } = input;
  const { plan, version } = await deps.plans.load(source);
  const past = await pastDrills(deps, source, PAST_DRILLS);
  const drill: Omit<Drill, 'notes'> = {
    drillId: makeBackupId(new Date(startedAt), executionArn),
    source,
    planVersion: version,
    executionArn,
    startedAt,
    trigger: input.trigger,
    reason: input.reason ?? null,
    kind: kindOfDrill(input, possibleDrillKinds(plan), lastKind(past)),
    targets: drillTargets(plan),
  };
  // Of archives as many at a time as are dumped at a time; each has a task of its own.
  const state = { archives: [], missing: [], concurrency: plan.dump.concurrency, server: null };
  if (drill.kind !== 'archive') {
    const server = await planServerDrill(deps, { plan, planVersion: version, drill });
    deps.log.info(LOG.drillPlanned, { ...drill, server: server.restore.target.identifier });
    return { ...state, drill: { ...drill, notes: [] }, server };
  }
  const listed: ListedObject[] = [];
  for await (const object of deps.objects.list(sourcePrefix(source))) listed.push(object);
  const inventory = takeInventory(source, listed);
  const choices = chooseArchives({
    inventory,
    past,
    input,
    rules: plan.drill,
    known: await databasesOfLastRun(deps, source),
    selection: plan.databases,
    now: new Date(startedAt),
    seed: executionArn,
  });
  const planned = await planArchives(deps, { drill, plan, choices });
  const { archives } = planned;
  const missing = planned.missing.slice(0, MISSING_TOLD);
  const more = planned.missing.length - missing.length;
  const notes = [
    ...choices.notes,
    ...missing.slice(0, MISSING_NOTED).map(({ failure }) => `nothing to drill: ${failure.Cause}`),
    ...(more > 0 ? [`nothing to drill of ${more} databases that are not listed either`] : []),
  ];
  deps.log.info(LOG.drillPlanned, {
    ...drill,
    backups: archives.map(({ restore }) => restore.backup),
    missing: planned.missing.map(({ database }) => database),
  });
  const whole: Drill = { ...drill, notes, ...(choices.isPart ? { part: true } : {}) };
  return { ...state, drill: whole, archives, missing };
};

/** Of one that was never planned nobody knows what it would have been. */
function lastKind(past: readonly DrillRecord[]): DrillKind | undefined {
  return past.find(({ drill }) => !drill.unplanned)?.drill.kind;
}

/** What is asked of the extent here; the rest may be of another version. */
const LastRun = z.object({ databases: SourceExtent.shape.databases });

/** None where no run has told of them, or its record is broken, of which Reconcile tells. */
async function databasesOfLastRun(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  source: string,
): Promise<string[]> {
  const key = sourceExtentKey(source);
  const found = await objects.get(key);
  if (!found) return [];
  try {
    const { databases } = parseRecord(LastRun, found.body, key);
    return (databases ?? []).map(({ database }) => database);
  } catch (error) {
    log.warn(LOG.failed, { while: 'reading the last run', key, error: errorName(error) });
    return [];
  }
}

async function planArchives(
  deps: Pick<Deps, Needs>,
  of: { drill: Omit<Drill, 'notes'>; plan: SourcePlan; choices: DrillChoices },
): Promise<{ archives: ArchiveDrill[]; missing: MissingDrill[] }> {
  const archives: ArchiveDrill[] = [];
  const missing = of.choices.missing.map(
    ({ database, reason }): MissingDrill => ({
      database,
      backupId: null,
      failure: { Error: BackupNotFound.errorName, Cause: reason },
      newestBackupAt: null,
    }),
  );
  for (const chosen of of.choices.archives) {
    try {
      const found = await findArchive(deps, chosen);
      archives.push(planArchiveDrill({ ...of, chosen, ...found }));
    } catch (error) {
      if (isRetryable(error)) throw error;
      const { database, backupId } = chosen.backup;
      missing.push({
        database,
        backupId,
        failure: { Error: errorName(error), Cause: (error as Error).message },
        newestBackupAt: chosen.newestVerified.time.toISOString(),
      });
    }
  }
  return { archives, missing };
}

/** The version of the archive that was verified. Throws ObjectMissing, ManifestInvalid. */
async function findArchive({ objects }: Pick<Deps, 'objects'>, { backup }: ChosenArchive) {
  const found = await loadManifest(objects, backup);
  if (!found) throw new ObjectMissing(`backup ${backup.backupId} has no manifest any more`);
  const key = backupKey(backup, 'archive.dump');
  const { versionId } = found.manifest.objects.archive;
  const stored = await objects.head(key, versionId);
  if (!stored) throw new ObjectMissing(`there is no ${key} in ${objects.bucket}`);
  const version = versionId ?? stored.versionId;
  const pinned = version === undefined ? {} : { versionId: version };
  return { archive: { key, sizeBytes: stored.sizeBytes, ...pinned }, stored };
}

export const handler = lambdaHandler(PlanDrillEvent, planDrill, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  servers: provideServers,
});
