import type { ArchiveDrill, Drill } from '#contracts/drill.ts';
import type { PinnedObject } from '#contracts/restore.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { makeBackupId } from '../names.ts';
import { retrievalPlan } from '../restore/retrieval-plan.ts';
import type { ChosenArchive } from './choose.ts';

/**
 * One archive's rehearsal, as Retrieve Archive and the restore engine understand it: all of the database (of
 * the plan's `drill.tables` see `plannedSelection`), with its roles, under its own name on a server that is
 * empty. The id is the database's own, derived from the execution: asking again plans the same.
 */
export function planArchiveDrill(of: {
  readonly drill: Omit<Drill, 'notes'>;
  readonly plan: SourcePlan;
  readonly chosen: ChosenArchive;
  readonly archive: PinnedObject;
  /** Where the archive lies, and whether it can be read. */
  readonly stored: Parameters<typeof retrievalPlan>[0];
}): ArchiveDrill {
  const { drill, plan, chosen, archive, stored } = of;
  const { database, backupId } = chosen.backup;
  const { heartbeatSeconds, timeoutMinutes } = plan.drill;
  return {
    restore: {
      restoreId: makeBackupId(new Date(drill.startedAt), `${drill.executionArn}/${database}`),
      source: drill.source,
      executionArn: drill.executionArn,
      startedAt: drill.startedAt,
      // The drill has it.
      reason: null,
      backup: { database, backupId },
      trust: 'verified',
      archive,
      target: {
        source: drill.source,
        planVersion: drill.planVersion,
        database,
        mode: 'new',
        swapWith: null,
      },
      // Of the plan's tables Drill Database makes it: they would be in the state once an archive, which has an end.
      selection: { without: [], withDependencies: false },
      // The server has no role but its own.
      roles: { createMissing: true, noOwner: false },
      jobs: plan.restore.jobs,
      keepOnFailure: false,
    },
    // As a restore in earnest asks by default: what it takes is part of the RTO.
    retrieval: retrievalPlan(stored, 'standard'),
    task: { heartbeatSeconds, timeoutSeconds: timeoutMinutes * 60 },
    chosenBy: chosen.chosenBy,
    newestBackupAt: chosen.newestVerified.time.toISOString(),
  };
}
