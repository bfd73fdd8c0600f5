import type { ArchiveDrill, Drill } from '#contracts/drill.ts';
import type { PinnedObject } from '#contracts/restore.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { makeBackupId } from '../names.ts';
import { retrievalPlan } from '../restore/retrieval-plan.ts';
import type { ChosenArchive } from './choose.ts';

/**
 * One archive's rehearsal, as Retrieve Archive and the restore engine understand it: all of the database (or
 * those of the plan's `drill.tables` that it has, with what they need), with its roles, under its own name on a server that is
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
  // Of the whole source: the task knows which of them this database has.
  const { tables } = plan.drill;
  return {
    restore: {
      restoreId: makeBackupId(new Date(drill.startedAt), `${drill.executionArn}/${database}`),
      source: drill.source,
      executionArn: drill.executionArn,
      startedAt: drill.startedAt,
      reason: drill.reason,
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
      selection: {
        ...(tables === undefined ? {} : { tables }),
        without: [],
        // A table alone may need types and functions that nobody thought of when the plan was written.
        withDependencies: tables !== undefined,
      },
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
