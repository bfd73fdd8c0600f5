import type {
  PlannedRestore,
  RestoredDatabase,
  RestoreOrder,
  RestorePhase,
  RestoreReport,
} from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { replacedDatabaseName, restoreKey } from '#domain/names.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import { archiveRoles } from '#domain/restore/archive-roles.ts';
import { backupGaps } from '#domain/restore/backup-gaps.ts';
import { doubtWords } from '#domain/restore/doubt-words.ts';
import { chooseRestoreMajor } from '#domain/restore/restore-client.ts';
import { requireSelection, type SelectedEntries } from '#domain/restore/selection.ts';
import { asTargetFull } from '#domain/restore/target-full.ts';
import { errorName, RestoreMismatch } from '#errors';
import { checkRestored } from '#operations/restore/check-restored.ts';
import { cleanUpTarget } from '#operations/restore/clean-up-target.ts';
import { planLoadOrder } from '#operations/restore/load-order.ts';
import { type ArchiveAccess, openArchive } from '#operations/restore/open-archive.ts';
import { PhaseTimes } from '#operations/restore/phase-times.ts';
import {
  markRestored,
  prepareTarget,
  type TargetRequest,
} from '#operations/restore/prepare-target.ts';
import { presentInTarget } from '#operations/restore/present-in-target.ts';
import { progressLog } from '#operations/restore/progress-log.ts';
import { globalsOf, type Proof, readProof } from '#operations/restore/read-proof.ts';
import { restoreArchive } from '#operations/restore/restore-archive.ts';
import { requireRoles } from '#operations/restore/restore-roles.ts';
import { swapDatabase } from '#operations/restore/swap-database.ts';
import { sweepLeftovers } from '#operations/restore/sweep-leftovers.ts';
import { inspectTargetServer, withSession } from '#operations/restore/target-server.ts';
import type { TellProgress } from '#operations/task-progress.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

/** Dropping a database takes seconds; whoever waits for the restore should not wait for somebody's lock. */
const SWEEP_SECONDS = 120;

type Needs = Pick<Deps, 'clock' | 'log' | 'objects' | 'databases' | 'clients'>;

export interface RestoreOptions {
  readonly order: RestoreOrder;
  readonly signal: AbortSignal;
  readonly progressSeconds: number;
  /** Told where the restore is. */
  readonly tell?: TellProgress;
}

/**
 * Restores one archive into one database and checks it. What fails is taken back here, unless the order
 * says to keep it; a task that is killed on the way is cleaned up after by the state machine.
 *
 * Throws the named errors of the archive (ObjectMissing, ChecksumMismatch, ArchiveCorrupt …), of the
 * selection, of the target, RestoreFailed, RestoreMismatch, SwapFailed, or the signal's reason.
 */
export async function restoreDatabase(
  deps: Needs,
  { order, signal, progressSeconds, tell = () => {} }: RestoreOptions,
): Promise<RestoredDatabase> {
  const { restore, connection } = order;
  const began = deps.clock.now().getTime();
  const phases = new PhaseTimes<RestorePhase>(deps, (phase) => tell({ phase }));
  const proof = await readProof(deps, restore);
  const access = await openArchive(deps, { archive: restore.archive, signal, ...proof });
  // First, as it makes room, and frees a target of the same name.
  const enough = AbortSignal.any([signal, AbortSignal.timeout(SWEEP_SECONDS * 1000)]);
  const swept = await sweepLeftovers(deps, connection, restore, enough);
  signal.throwIfAborted();
  const present = await presentInTarget(deps, connection, restore);
  const selected = requireSelection(access.head, access.toc, restore.selection, present);
  deps.log.info(LOG.restoreStarted, {
    restoreId: restore.restoreId,
    database: restore.target.database,
    entries: selected.ids.size,
    archiveBytes: access.sizeBytes,
  });
  const request: TargetRequest = {
    connection,
    restoreId: restore.restoreId,
    mode: restore.target.mode,
    database: restore.target.database,
    head: access.head,
    toc: access.toc,
    ids: selected.ids,
    selection: restore.selection,
    roles: restore.roles,
  };
  // Nothing has been made so far; from here on there is something to take back.
  try {
    const report = await restoreAndCheck(
      deps,
      { order, signal, progressSeconds, tell, access, selected, request, phases, swept },
      proof,
    );
    const reportKey = restoreKey(restore, 'report.json');
    return {
      database: report.database,
      previousDatabase: report.previousDatabase,
      reportKey,
      tables: report.checks.rows.length,
      rows: report.checks.rows.reduce((sum, { actual }) => sum + actual, 0),
      bytesRead: report.bytesRead,
      seconds: (deps.clock.now().getTime() - began) / 1000,
      tolerated: report.tolerated.length,
      warnings: report.warnings.length,
    };
  } catch (error) {
    await takeBack(deps, restore, connection);
    throw asTargetFull(error);
  }
}

interface Work extends RestoreOptions {
  readonly tell: TellProgress;
  readonly access: ArchiveAccess;
  readonly selected: SelectedEntries;
  readonly request: TargetRequest;
  readonly phases: PhaseTimes<RestorePhase>;
  /** What became of what earlier restores had left. */
  readonly swept: readonly string[];
}

async function restoreAndCheck(
  deps: Needs,
  { order, signal, progressSeconds, tell, access, selected, request, phases, swept }: Work,
  proof: Proof,
): Promise<RestoreReport> {
  const { restore, connection } = order;
  const { head, toc } = access;
  const dataOnly = restore.selection.only === 'data';
  deps.log.info(LOG.restorePhase, { restoreId: restore.restoreId, phase: 'prepare' });
  const majors = await deps.clients.majors();
  const { prepared, roles } = await phases.time('prepare', async () => ({
    roles: await withSession(
      deps.databases,
      connection,
      connection.maintenanceDatabase,
      async (session) => {
        // Before anything is made: the less there is to be taken back.
        const { versionNumber } = await inspectTargetServer(session);
        chooseRestoreMajor(toc.header, versionNumber, majors);
        if (dataOnly) return { created: [], warnings: [] };
        const needed = archiveRoles(head, toc, selected.ids);
        const globals = globalsOf(deps, restore, proof.manifest);
        return requireRoles(session, needed, restore.roles, globals, restore.restoreId);
      },
    ),
    prepared: await prepareTarget(deps, request),
  }));
  signal.throwIfAborted();
  const loadOrder = dataOnly
    ? await planLoadOrder(deps, { ...request, ids: selected.ids })
    : { replica: false, levels: undefined, warnings: [] };
  const logProgress = progressLog(deps, restore, progressSeconds);
  const done = await restoreArchive(deps, {
    access,
    ids: selected.ids,
    connection,
    database: request.database,
    versionNumber: prepared.server.versionNumber,
    jobs: restore.jobs,
    roles: restore.roles,
    dataOnly,
    replica: loadOrder.replica,
    dataLevels: loadOrder.levels,
    signal,
    onPhase(phase) {
      deps.log.info(LOG.restorePhase, { restoreId: restore.restoreId, phase });
      tell({ phase });
    },
    onProgress(progress) {
      logProgress(progress);
      tell(progress);
    },
  });
  phases.add(...done.phases);
  signal.throwIfAborted();
  const { checks, warnings } = await phases.time('check', () =>
    checkRestored(deps, {
      connection,
      database: request.database,
      // Of an extension that the target lacks there are no rows to be looked for.
      expected: archiveExpectations(head, toc, without(selected.ids, done.leftOut)),
      expectedRows: proof.verification?.level === 'full' ? proof.verification.tables : undefined,
      dataOnly,
      jobs: restore.jobs,
      signal,
    }),
  );
  let report: RestoreReport = {
    server: {
      version: prepared.server.version,
      versionNumber: prepared.server.versionNumber,
    },
    database: request.database,
    previousDatabase: null,
    archiveBytes: access.sizeBytes,
    bytesRead: done.bytesRead,
    checksum: done.checksum,
    entries: done.entries,
    phases: phases.all(),
    tolerated: [...done.tolerated],
    createdRoles: [...roles.created],
    checks,
    warnings: [
      ...swept,
      ...(done.checksum === 'not-whole' ? [uncompared(restore)] : []),
      ...backupGaps(proof.manifest, restore.selection),
      ...selected.warnings,
      ...roles.warnings,
      ...prepared.warnings,
      ...loadOrder.warnings,
      ...done.warnings,
      ...warnings,
    ],
  };
  // Also of a restore that is not what it should be: the alert tells from it what is wrong.
  await writeReport(deps, restore, report);
  if (checks.problems.length > 0) {
    throw new RestoreMismatch(
      `the restored database is not what it should be: ${list(checks.problems)}`,
    );
  }
  signal.throwIfAborted();
  const late = await markRestored(deps, { ...request, origin: originOf(restore) });
  report = { ...report, warnings: [...report.warnings, ...late] };
  const { swapWith } = restore.target;
  if (swapWith !== null) {
    const swapped = await phases.time('swap', () =>
      swapDatabase(deps, {
        connection,
        restored: request.database,
        original: swapWith,
        previous: replacedDatabaseName(swapWith, deps.clock.now()),
      }),
    );
    report = {
      ...report,
      database: swapWith,
      previousDatabase: swapped.previousDatabase,
      warnings: [...report.warnings, ...swapped.warnings],
      phases: phases.all(),
    };
  }
  await writeReport(deps, restore, report);
  return report;
}

/**
 * The manifest has no checksums of tables, as older versions wrote it, or there is none: damage since the
 * verification would show only where pg_restore cannot read the data, or in row counts.
 */
function uncompared({ backup }: PlannedRestore): string {
  return backup
    ? 'only a part of the archive was read, so that its checksum could not be compared; `holdfast verify` compares it'
    : 'only a part of the archive was read, and no manifest says what the checksums of its tables should be: damaged data show only where pg_restore cannot read them';
}

async function takeBack(deps: Needs, restore: PlannedRestore, connection: Connection) {
  const { restoreId, target, keepOnFailure } = restore;
  try {
    const cleanUp = await cleanUpTarget(deps, { connection, restoreId, target, keepOnFailure });
    deps.log.warn(LOG.restoreCleanedUp, { restoreId, ...cleanUp });
    // A database that was dropped is not there; of one that is as it was, nobody could tell later.
    if (cleanUp.status === 'emptied') {
      await deps.objects.put(
        restoreKey(restore, 'clean-up.json'),
        JSON.stringify(cleanUp, null, 1),
        {
          contentType: 'application/json',
        },
      );
    }
  } catch (error) {
    // Clean Up Restore tries again, and says what is left if it cannot either.
    deps.log.warn(LOG.failed, { restoreId, while: 'cleaning up', error: errorName(error) });
  }
}

async function writeReport(
  { objects }: Pick<Deps, 'objects'>,
  restore: PlannedRestore,
  report: RestoreReport,
): Promise<void> {
  await objects.put(restoreKey(restore, 'report.json'), JSON.stringify(report, null, 1), {
    contentType: 'application/json',
  });
}

/** A week later a comment is all that somebody sees. */
function originOf(restore: PlannedRestore): string {
  const { source, backup, archive } = restore;
  const origin = backup ? `${source}/${backup.database} ${backup.backupId}` : archive.key;
  return `${origin}${doubtWords(restore)}`;
}

function without(ids: ReadonlySet<number>, leftOut: ReadonlySet<number>): ReadonlySet<number> {
  return new Set([...ids].filter((id) => !leftOut.has(id)));
}

function list(problems: readonly string[]): string {
  const shown = problems.slice(0, 5).join('; ');
  return problems.length > 5 ? `${shown}; and ${problems.length - 5} more` : shown;
}
