import type { ArchiveDrill, Drill } from '#contracts/drill.ts';
import type { Manifest } from '#contracts/manifest.ts';
import type { PinnedObject } from '#contracts/restore.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { makeBackupId } from '../names.ts';
import { parseTablePattern } from '../restore/name-pattern.ts';
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
  /** Of the tables with rows in the archive. */
  readonly blocks: Manifest['archive']['blocks'];
  /** Where the archive lies, and whether it can be read. */
  readonly stored: Parameters<typeof retrievalPlan>[0];
}): ArchiveDrill {
  const { drill, plan, chosen, archive, blocks, stored } = of;
  const { database, backupId } = chosen.backup;
  const { heartbeatSeconds, timeoutMinutes } = plan.drill;
  const tables = tablesHere(plan.drill.tables, blocks);
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

/**
 * The patterns that match in this database: `drill.tables` is of the whole source. Undefined, which is all of
 * the database, where none does.
 */
function tablesHere(
  tables: readonly string[] | undefined,
  blocks: Manifest['archive']['blocks'],
): string[] | undefined {
  const here = tables?.filter((text) => {
    const { schema: inSchema, name } = parseTablePattern(text);
    return blocks.some(
      ({ schema, table }) =>
        schema !== undefined &&
        table !== undefined &&
        (inSchema?.matches(schema) ?? true) &&
        name.matches(table),
    );
  });
  return here?.length ? here : undefined;
}
