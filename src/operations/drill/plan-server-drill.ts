import type { Drill, ServerDrill } from '#contracts/drill.ts';
import type { ServerOrigin } from '#contracts/restore-server.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { drillServerName } from '#domain/names.ts';
import { serverOfPlan } from '#domain/restore/server-restore-input.ts';
import { serverTags } from '#domain/restore/server-settings.ts';
import { InvalidPlan } from '#errors';
import type { Deps } from '#runtime/ports.ts';
import { planRestoredServer } from '../plan-restored-server.ts';

export interface ServerDrillRequest {
  readonly plan: SourcePlan;
  readonly planVersion: number;
  readonly drill: Omit<Drill, 'notes'>;
}

/**
 * The temporary server of a drill: of the latest snapshot or the latest restorable time, beside the original and
 * in security groups of its own. It is never public, keeps nothing, and goes when the drill is over.
 *
 * Throws InvalidPlan where the plan names no security groups for it (those of the original would let it reach
 * production), InvalidInput, SnapshotNotFound, ServerRestoreFailed, TargetNotEmpty.
 */
export async function planServerDrill(
  { servers }: Pick<Deps, 'servers'>,
  { plan, planVersion, drill }: ServerDrillRequest,
): Promise<ServerDrill> {
  const { source, drillId, executionArn, startedAt, reason } = drill;
  const { instanceClass, subnetGroup, securityGroups } = plan.drill.server;
  if (!securityGroups) {
    throw new InvalidPlan(`${source} has no drill.server.securityGroups`, {
      remedy:
        'write some that let the drill task in and nothing out: those of the original would let a copy reach production',
    });
  }
  const { kind, identifier } = serverOfPlan(plan);
  const restore = await planRestoredServer(
    { servers },
    {
      restore: {
        restoreId: drillId,
        source,
        planVersion,
        executionArn,
        startedAt,
        reason,
        cleanUp: 'always',
        timeoutSeconds: plan.drill.timeoutMinutes * 60,
      },
      kind,
      identifier,
      origin: drill.kind === 'snapshot' ? { snapshot: 'latest' } : { pointInTime: 'latest' },
      name: drillServerName(identifier, new Date(startedAt)),
      target: {
        securityGroups,
        ...(instanceClass === undefined ? {} : { instanceClass }),
        ...(subnetGroup === undefined ? {} : { subnetGroup }),
        ...(kind === 'instance' ? { multiAz: false } : {}),
        publiclyAccessible: false,
        deletionProtection: false,
      },
      ownTags: serverTags({ source, restoreId: drillId, reason, executionArn }),
      fixedSettings: { logExports: [], copyTagsToSnapshot: false, iamAuthentication: false },
      remedyIfTaken:
        'start the drill again: its name has the second in it; that server was not touched',
    },
  );
  return {
    restore,
    task: {
      heartbeatSeconds: plan.drill.heartbeatSeconds,
      timeoutSeconds: plan.drill.timeoutMinutes * 60,
    },
    newestDataAt: newestDataOf(restore.origin),
  };
}

/** What was written later is not in it. */
function newestDataOf(origin: ServerOrigin): string {
  return origin.type === 'snapshot' ? origin.createdAt : origin.latest;
}
