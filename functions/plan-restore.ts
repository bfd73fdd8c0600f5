import {
  type PinnedObject,
  type PlannedRestoreState,
  PlanRestoreEvent,
  type RestoreInput,
} from '#contracts/restore.ts';
import { takeInventory } from '#domain/backup-inventory.ts';
import {
  backupKey,
  databasePrefix,
  makeBackupId,
  restoredDatabaseName,
  sourcePrefix,
} from '#domain/names.ts';
import { chooseBackup } from '#domain/restore/choose-backup.ts';
import { parseRestoreInput } from '#domain/restore/restore-input.ts';
import { retrievalPlan } from '#domain/restore/retrieval-plan.ts';
import { BackupNotFound, errorName } from '#errors';
import { loadManifest } from '#operations/records.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps, ListedObject, ObjectHead } from '#runtime/ports.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';

/**
 * What is restored, from where, and where to. The restore's id is derived from the execution, so that
 * asking again plans the same restore.
 * Throws InvalidInput, UnknownSource, InvalidPlan, BackupNotFound, BackupNotVerified.
 */
export const planRestore: Handle<
  PlanRestoreEvent,
  PlannedRestoreState,
  'objects' | 'plans' | 'log'
> = async ({ input: rawInput, executionArn, startedAt }, deps) => {
  const input = parseRestoreInput(rawInput);
  const { source, target, jobs } = input;
  const found = await findArchive(input, deps);
  const targetSource = target.source ?? source;
  const { plan, version } = await deps.plans.load(targetSource);
  const restoreId = makeBackupId(new Date(startedAt), executionArn);
  const original = target.database ?? found.backup?.database ?? input.database ?? '';
  const beside = restoredDatabaseName(original, restoreId);
  const restore: PlannedRestoreState['restore'] = {
    restoreId,
    source,
    executionArn,
    startedAt,
    reason: input.reason ?? null,
    backup: found.backup,
    trust: found.trust,
    archive: found.archive,
    target: {
      source: targetSource,
      planVersion: version,
      database: target.mode === 'swap' ? beside : (target.database ?? beside),
      mode: target.mode,
      swapWith: target.mode === 'swap' ? original : null,
    },
    selection: input.selection,
    roles: input.roles,
    jobs: jobs ?? plan.restore.jobs,
    keepOnFailure: input.keepOnFailure,
  };
  deps.log.info(LOG.restorePlanned, { ...restore, storageClass: found.head.storageClass });
  return {
    restore,
    retrieval: retrievalPlan(found.head, input.retrievalTier),
    task: {
      heartbeatSeconds: plan.restore.heartbeatSeconds,
      timeoutSeconds: plan.restore.timeoutMinutes * 60,
    },
  };
};

interface FoundArchive extends Pick<PlannedRestoreState['restore'], 'backup' | 'trust'> {
  readonly archive: PinnedObject;
  readonly head: ObjectHead;
}

async function findArchive(
  input: RestoreInput,
  deps: Pick<Deps, 'objects' | 'log'>,
): Promise<FoundArchive> {
  const { source, database = '', archive, backup, allowUnverified } = input;
  if (archive !== undefined) {
    return { backup: null, trust: 'foreign', ...(await pin(deps, archive)) };
  }
  const chosen = chooseBackup(await inventoryOf(deps, source, database), {
    source,
    database,
    backup,
    allowUnverified,
  });
  const { backupId, state } = chosen;
  const version = await archiveVersion(deps, { source, database, backupId }, state);
  const pinned = await pin(deps, backupKey(chosen, 'archive.dump'), version);
  return { backup: { database, backupId }, trust: state, ...pinned };
}

/** Of one database; of the whole source when that has none, to say what is there. */
async function inventoryOf({ objects }: Pick<Deps, 'objects'>, source: string, database: string) {
  const own = takeInventory(source, await collect(objects.list(databasePrefix(source, database))));
  if (own.databases.size > 0) return own;
  return takeInventory(source, await collect(objects.list(sourcePrefix(source))));
}

async function collect(listing: AsyncIterable<ListedObject>): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const object of listing) objects.push(object);
  return objects;
}

/** The version that was verified. A backup that nobody vouches for may have no readable manifest. */
async function archiveVersion(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  ref: Parameters<typeof backupKey>[0],
  state: string,
): Promise<string | undefined> {
  try {
    const found = await loadManifest(objects, ref);
    return found?.manifest.objects.archive.versionId;
  } catch (error) {
    if (state === 'verified') throw error;
    log.warn(LOG.failed, { ...ref, while: 'reading the manifest', error: errorName(error) });
    return undefined;
  }
}

async function pin({ objects }: Pick<Deps, 'objects'>, key: string, versionId?: string) {
  const head = await objects.head(key, versionId);
  if (!head) throw new BackupNotFound(`there is no ${key} in ${objects.bucket}`);
  const version = versionId ?? head.versionId;
  const archive: PinnedObject = {
    key,
    sizeBytes: head.sizeBytes,
    ...(version === undefined ? {} : { versionId: version }),
  };
  return { archive, head };
}

export const handler = lambdaHandler(PlanRestoreEvent, planRestore, {
  objects: provideObjects,
  plans: providePlans,
});
