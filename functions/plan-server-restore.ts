import type * as z from 'zod';
import type {
  PlannedServerRestore,
  PlannedServerRestoreState,
  ServerOrigin,
  ServerRestoreInput,
  ServerSnapshot,
} from '#contracts/restore-server.ts';
import { PlanServerRestoreEvent } from '#contracts/restore-server.ts';
import { makeBackupId, restoredServerName, restoredWriterName } from '#domain/names.ts';
import {
  checkSnapshot,
  latestSnapshot,
  pointInTimeOrigin,
  snapshotOrigin,
} from '#domain/restore/server-origin.ts';
import {
  checkTargetFits,
  parseServerRestoreInput,
  serverOfPlan,
} from '#domain/restore/server-restore-input.ts';
import { serverTags, takeOverSettings } from '#domain/restore/server-settings.ts';
import { cleanUpPolicy } from '#domain/restore/server-status.ts';
import { InvalidInput, SnapshotNotFound, TargetNotEmpty } from '#errors';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideServers } from '#runtime/providers/servers.ts';

/** What a plan of this kind is about, at RDS. */
const ENGINES = { instance: 'postgres', cluster: 'aurora-postgresql' } as const;

/**
 * Which snapshot or point in time becomes which server, with which settings. Looks only: nothing is made
 * before everything is known. The restore's id is derived from the execution, so that asking again plans
 * the same restore.
 * Throws InvalidInput, UnknownSource, InvalidPlan, SnapshotNotFound, ServerRestoreFailed, TargetNotEmpty.
 */
export const planServerRestore: Handle<
  z.infer<typeof PlanServerRestoreEvent>,
  PlannedServerRestoreState,
  'plans' | 'servers' | 'log'
> = async ({ input: rawInput, executionArn, startedAt }, deps) => {
  const input = parseServerRestoreInput(rawInput);
  const { plan, version } = await deps.plans.load(input.source);
  const { kind, identifier } = serverOfPlan(plan);
  checkTargetFits(kind, input.target);
  const source = await deps.servers.describe(kind, identifier);
  const engine = ENGINES[kind];
  if (source && source.engine !== engine) {
    throw new InvalidInput(`${identifier} is of the engine ${source.engine}, not ${engine}`, {
      remedy: 'restore it in the RDS console: this works for RDS instances and Aurora clusters',
    });
  }
  const sought = { source: plan.source, identifier, resourceId: source?.resourceId ?? null };
  const found = await findOrigin(deps, input, { ...sought, kind, engine });
  const time = new Date(startedAt);
  const restoreId = makeBackupId(time, executionArn);
  const reason = input.reason ?? null;
  const { settings, warnings } = takeOverSettings({
    kind,
    identifier,
    source,
    snapshot: found.snapshot,
    target: input.target,
    ownTags: serverTags({ source: plan.source, restoreId, reason }),
  });
  const name = input.target.identifier ?? restoredServerName(identifier, time);
  const restore: PlannedServerRestore = {
    restoreId,
    source: plan.source,
    planVersion: version,
    executionArn,
    startedAt,
    reason,
    kind,
    sourceIdentifier: identifier,
    engine,
    engineVersion: found.snapshot?.engineVersion ?? null,
    origin: found.origin,
    target: {
      identifier: name,
      writer: kind === 'cluster' ? restoredWriterName(name) : null,
      settings,
    },
    warnings: [...found.warnings, ...warnings],
    cleanUp: cleanUpPolicy(input.cleanUpOnFailure),
    timeoutSeconds: input.timeoutMinutes * 60,
  };
  const existing = await deps.servers.findRestored(restore);
  if (existing && !existing.ours) {
    throw new TargetNotEmpty(`a server ${name} exists already`, {
      remedy: 'name another target.identifier; the existing server was not touched',
    });
  }
  deps.log.info(LOG.restorePlanned, { ...restore });
  return { restore };
};

interface FoundOrigin {
  readonly origin: ServerOrigin;
  readonly snapshot: ServerSnapshot | undefined;
  readonly warnings: readonly string[];
}

async function findOrigin(
  { servers }: Pick<Deps, 'servers'>,
  { snapshot: wanted, pointInTime = 'latest' }: ServerRestoreInput,
  sought: Parameters<typeof checkSnapshot>[1] & { readonly kind: 'instance' | 'cluster' },
): Promise<FoundOrigin> {
  const { kind, identifier, source } = sought;
  if (wanted === undefined) {
    const window = await servers.restoreWindow(kind, identifier);
    const origin = pointInTimeOrigin(window, pointInTime, sought);
    return { origin, snapshot: undefined, warnings: [] };
  }
  const snapshot =
    wanted === 'latest'
      ? latestSnapshot(await servers.listSnapshots(kind, identifier), sought)
      : await servers.findSnapshot(kind, wanted);
  if (!snapshot) {
    throw new SnapshotNotFound(`RDS has no snapshot ${wanted} of ${ofKind[kind]} in this region`, {
      remedy: `write "snapshot":"latest" for the newest one of ${source}, or an id that RDS lists`,
    });
  }
  const warnings = checkSnapshot(snapshot, sought);
  return { origin: snapshotOrigin(snapshot), snapshot, warnings };
}

const ofKind = { instance: 'an instance', cluster: 'a cluster' } as const;

export const handler = lambdaHandler(PlanServerRestoreEvent, planServerRestore, {
  plans: providePlans,
  servers: provideServers,
});
