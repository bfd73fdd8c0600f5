import type { DrillFinding, DrillOrder, DrillPhase, DrillReport } from '#contracts/drill.ts';
import type { PlannedRestore, RestorePhase, RestoreReport } from '#contracts/restore.ts';
import type { TocEntry } from '#domain/archive/toc.ts';
import { serverMajor } from '#domain/client-choice.ts';
import { displayName } from '#domain/display-text.ts';
import { drillSelection } from '#domain/drill/drill-selection.ts';
import { versionFindings } from '#domain/drill/extension-versions.ts';
import { dataFinding, environmentFinding } from '#domain/drill/findings.ts';
import { recoveryTime } from '#domain/drill/recovery-times.ts';
import { chooseServerMajor } from '#domain/drill/server-major.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import { archiveRoles } from '#domain/restore/archive-roles.ts';
import { archivedDatabase } from '#domain/restore/database-definition.ts';
import { parseGlobals } from '#domain/restore/globals-sql.ts';
import { majorOfVersion } from '#domain/restore/restore-client.ts';
import { requireSelection, type SelectedEntries } from '#domain/restore/selection.ts';
import { sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import { objectOf } from '#domain/restore/statement-failure.ts';
import { isRelation } from '#domain/restore/toc-graph.ts';
import { DrillServerFailed, TargetFull, TargetUnsuitable } from '#errors';
import { checkRestored, type RestoreProblem } from '#operations/restore/check-restored.ts';
import { type ArchiveAccess, openArchive } from '#operations/restore/open-archive.ts';
import { PhaseTimes } from '#operations/restore/phase-times.ts';
import {
  markRestored,
  type PreparedTarget,
  prepareTarget,
  type TargetRequest,
} from '#operations/restore/prepare-target.ts';
import { progressLog } from '#operations/restore/progress-log.ts';
import { globalsOf, type Proof, readProof } from '#operations/restore/read-proof.ts';
import { type RestoredArchive, restoreArchive } from '#operations/restore/restore-archive.ts';
import { findMissingRoles, requireRoles } from '#operations/restore/restore-roles.ts';
import { withSession } from '#operations/restore/target-server.ts';
import type { TellProgress } from '#operations/task-progress.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Databases, Deps, Session, ThrowawayServer } from '#runtime/ports.ts';
import { checkDatabase } from './check-database.ts';
import { findMissingEnvironment } from './missing-environment.ts';

/** There is no `databases` among them: a drill of an archive reaches its own server and no other. */
export type RehearsalNeeds = Pick<
  Deps,
  'clock' | 'log' | 'objects' | 'clients' | 'throwawayServers'
>;

export interface RehearsalOptions {
  readonly order: DrillOrder;
  readonly restore: PlannedRestore;
  readonly signal: AbortSignal;
  readonly progressSeconds: number;
  /** Told where the drill is. */
  readonly tell?: TellProgress;
}

/** Databases that a new server has already; one of the same name is rehearsed under another. */
const TAKEN = new Set(['postgres', 'template0', 'template1']);
const INSTEAD = 'holdfast_drill';

/**
 * Restores one archive into a server that is made for it and ends with it, and looks at what came back.
 *
 * What is not as it was backed up is a finding of class `data`, what the server lacks one of class `environment`.
 * Where the archive cannot be restored at all, the engine's error is thrown: ObjectMissing, ChecksumMismatch,
 * ArchiveCorrupt, RestoreFailed …; DrillServerFailed where the server was the cause; or the signal's reason. The
 * server and its data are gone in any case.
 */
export async function rehearseArchive(
  deps: RehearsalNeeds,
  options: RehearsalOptions,
): Promise<DrillReport> {
  const { order, restore, signal } = options;
  const times = new PhaseTimes<DrillPhase>(deps, (phase) => options.tell?.({ phase }));
  const arrivedAt = deps.clock.now();
  times.add(
    { phase: 'retrieval', seconds: secondsBetween(order.begunAt, order.createdAt) },
    { phase: 'launch', seconds: secondsBetween(order.createdAt, arrivedAt.toISOString()) },
  );
  const proof = await readProof(deps, restore);
  const access = await openArchive(deps, { archive: restore.archive, signal, ...proof });
  const selection = drillSelection(access.head, access.toc, restore.selection);
  const selected = requireSelection(access.head, access.toc, selection);
  const source = sourceMajor(proof, access);
  const { major, note } = chooseServerMajor(source, await deps.throwawayServers.majors());
  const server = await times.time('server', () => deps.throwawayServers.start({ major, signal }));
  try {
    const here = { ...options, restore: { ...restore, selection } };
    const rehearsal = new Rehearsal(deps, here, { access, selected, proof, server, times });
    if (note !== undefined) {
      rehearsal.findings.push(
        environmentFinding(
          'restore',
          null,
          note,
          `add ${source} to layers/postgres-client/versions.json`,
        ),
      );
    }
    return await rehearsal.run();
  } catch (error) {
    signal.throwIfAborted();
    throw (await server.failure()) ?? fullDisk(error) ?? error;
  } finally {
    await server.stop();
  }
}

function sourceMajor({ manifest }: Proof, { toc }: ArchiveAccess): number {
  if (manifest) return serverMajor(manifest.server.versionNumber);
  return majorOfVersion(toc.header.serverVersion) ?? 0;
}

/** The target is the task's own disk: advice about somebody's server would send its reader astray. */
function fullDisk(error: unknown): Error | undefined {
  if (!(error instanceof TargetFull) && sqlStateOf(error) !== '53100') return undefined;
  return new DrillServerFailed("the disk of the drill's server is full", {
    remedy: 'name the tables that stand for the rest in drill.tables, or drill snapshots',
    cause: error,
  });
}

function secondsBetween(from: string, to: string): number {
  return Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
}

interface Given {
  readonly access: ArchiveAccess;
  readonly selected: SelectedEntries;
  readonly proof: Proof;
  readonly server: ThrowawayServer;
  readonly times: PhaseTimes<DrillPhase>;
}

class Rehearsal {
  readonly findings: DrillFinding[] = [];
  readonly #deps: Pick<Deps, 'clock' | 'log' | 'objects' | 'clients'> & { databases: Databases };
  readonly #options: RehearsalOptions;
  readonly #given: Given;
  readonly #database: string;
  readonly #phases: PhaseTimes<RestorePhase>;

  constructor(deps: RehearsalNeeds, options: RehearsalOptions, given: Given) {
    const { clock, log, objects, clients } = deps;
    this.#deps = { clock, log, objects, clients, databases: given.server.databases };
    this.#options = options;
    this.#given = given;
    const { database } = options.restore.target;
    this.#database = TAKEN.has(database) ? INSTEAD : database;
    this.#phases = new PhaseTimes<RestorePhase>(deps);
  }

  async run(): Promise<DrillReport> {
    const { order, restore, signal } = this.#options;
    const { access, server, times, proof, selected } = this.#given;
    const { connection } = server;
    const restored = await times.time('restore', () => this.#restore());
    const { done, prepared, ids } = restored;
    const expected = archiveExpectations(access.head, access.toc, ids);
    const comparesRows = proof.verification?.level === 'full';
    const { checks, warnings, problems } = await times.time('row-checks', () =>
      checkRestored(this.#deps, {
        connection,
        database: this.#database,
        expected,
        expectedRows: comparesRows ? proof.verification?.tables : undefined,
        dataOnly: false,
        jobs: restore.jobs,
        signal,
      }),
    );
    this.findings.push(
      ...problems.map(ofProblem),
      ...this.#ofExtensions(ids, checks.extensions),
      ...versionFindings(proof.manifest?.server.extensions, checks.extensions),
    );
    // What amcheck reads then comes from the disk, and its checksums are looked at.
    await server.restart();
    signal.throwIfAborted();
    const restoredBytes = this.#bytesOf(ids);
    const totalBytes = access.blocks.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    const hasRows = ({ dumpId, desc }: TocEntry) =>
      desc === 'TABLE DATA' && selected.ids.has(dumpId);
    const leftOut = access.toc.entries.filter((it) => hasRows(it) && !ids.has(it.dumpId));
    const isPart = !selected.whole || ids.size < selected.ids.size;
    const looked = await checkDatabase(this.#deps, {
      connection,
      database: this.#database,
      name: restore.target.database,
      order,
      jobs: restore.jobs,
      now: new Date(proof.manifest?.startedAt ?? order.drill.startedAt),
      isPart,
      inArchive: (relation) =>
        access.toc.entries.some(
          (entry) => isRelation(entry) && [entry.tag, objectOf(entry)].includes(relation),
        ),
      phases: times,
      signal,
    });
    this.findings.push(...looked.findings);
    const sizeBytes = await this.#withSession(connection.maintenanceDatabase, (session) =>
      databaseSize(session, this.#database),
    );
    const measuredSeconds = secondsBetween(order.begunAt, this.#deps.clock.now().toISOString());
    const recovery = recoveryTime({
      measuredSeconds,
      restore: this.#phases.all(),
      drill: times.all(),
      restoredBytes,
      totalBytes,
    });
    const { version, versionNumber } = prepared.server;
    const restoreReport: Omit<RestoreReport, 'checks'> = {
      server: { version, versionNumber },
      database: restore.target.database,
      previousDatabase: null,
      archiveBytes: access.sizeBytes,
      bytesRead: done.bytesRead,
      checksum: done.checksum,
      entries: done.entries,
      phases: this.#phases.all(),
      tolerated: [...done.tolerated],
      createdRoles: restored.createdRoles,
      warnings: [...selected.warnings, ...restored.warnings, ...done.warnings, ...warnings],
    };
    return {
      version: 1,
      database: restore.target.database,
      backupId: restore.backup?.backupId ?? null,
      server: { version, versionNumber },
      restore: restoreReport,
      checks: { restored: checks, ...looked.checks },
      phases: times.all(),
      tables: checks.rows.length,
      ...(comparesRows ? {} : { rowsCompared: false as const }),
      rows: checks.rows.reduce((sum, { actual }) => sum + actual, 0),
      sizeBytes,
      begunAt: order.begunAt,
      measuredSeconds,
      ...recovery,
      ...(leftOut.length === 0 ? {} : { tablesLeftOut: leftOut.length }),
      findings: this.findings,
    };
  }

  /** Makes the database and loads the archive, without what this server cannot have. */
  async #restore() {
    const { restore, signal, progressSeconds, tell } = this.#options;
    const { access, selected, server } = this.#given;
    const { head, toc } = access;
    const { connection } = server;
    const begin = (phase: RestorePhase) => {
      this.#deps.log.info(LOG.restorePhase, { restoreId: restore.restoreId, phase });
      tell?.({ phase });
    };
    const logProgress = progressLog(this.#deps, restore, progressSeconds);
    begin('prepare');
    const { ids, prepared, roles, request } = await this.#phases.time('prepare', async () => {
      const missing = await findMissingEnvironment(this.#deps, {
        connection,
        head,
        toc,
        ids: selected.ids,
        signal,
      });
      this.findings.push(...missing.findings);
      const kept = new Set([...selected.ids].filter((id) => !missing.leftOut.has(id)));
      const made = await this.#makeRoles(kept);
      const wanted: TargetRequest = {
        connection,
        restoreId: restore.restoreId,
        mode: 'new',
        database: this.#database,
        head,
        toc,
        ids: kept,
        selection: restore.selection,
        roles: restore.roles,
      };
      return { ids: kept, roles: made, request: wanted, prepared: await this.#prepare(wanted) };
    });
    signal.throwIfAborted();
    const done = await restoreArchive(this.#deps, {
      access,
      ids,
      connection,
      database: this.#database,
      versionNumber: prepared.server.versionNumber,
      jobs: restore.jobs,
      roles: restore.roles,
      signal,
      onPhase: begin,
      onProgress(progress) {
        logProgress(progress);
        tell?.(progress);
      },
    });
    this.#phases.add(...done.phases);
    this.#addTolerated(done, ids);
    const backup = restore.backup;
    const origin = backup ? `${restore.source}/${backup.database} ${backup.backupId}` : 'a drill';
    const late = await markRestored(this.#deps, { ...request, origin });
    return {
      done,
      prepared,
      ids: new Set([...ids].filter((id) => !done.leftOut.has(id))),
      createdRoles: roles.created,
      warnings: [...roles.warnings, ...prepared.warnings, ...late],
    };
  }

  /** As in the source; a role of which the backup says nothing is made all the same, and said. */
  async #makeRoles(ids: ReadonlySet<number>) {
    const { restore } = this.#options;
    const { access, proof, server } = this.#given;
    const needed = archiveRoles(access.head, access.toc, ids);
    const readGlobals = globalsOf(this.#deps, restore, proof.manifest);
    const globals = await readGlobals?.();
    const described = globals === undefined ? undefined : parseGlobals(globals).roles;
    return this.#withSession(server.connection.maintenanceDatabase, async (session) => {
      const missing = await findMissingRoles(session, [...needed.owners, ...needed.named]);
      const unknown = missing.filter((name) => !described?.has(name));
      for (const name of new Set(unknown)) {
        await session.query(`CREATE ROLE ${quoteIdentifier(name)}`);
        this.findings.push(
          environmentFinding(
            'restore',
            name,
            `the role ${displayName(name)} is not in the backup's globals.sql; the drill made one of that name`,
            'create it by hand before a real restore, or restore without owners',
          ),
        );
      }
      const handling = { ...restore.roles, createMissing: true };
      return requireRoles(session, needed, handling, async () => globals ?? '');
    });
  }

  /** With the source's locale or, where this server does not have it, with none. */
  async #prepare(request: TargetRequest): Promise<PreparedTarget> {
    try {
      return await prepareTarget(this.#deps, request);
    } catch (error) {
      if (!(error instanceof TargetUnsuitable)) throw error;
      const { connection, database, head, toc } = request;
      const { encoding = 'UTF8' } = archivedDatabase(head, toc);
      await this.#withSession(connection.maintenanceDatabase, (session) =>
        session.query(
          `CREATE DATABASE ${quoteIdentifier(database)} TEMPLATE template0
           ENCODING ${quoteLiteral(encoding)} LC_COLLATE 'C' LC_CTYPE 'C'`,
        ),
      );
      this.findings.push(
        environmentFinding(
          'restore',
          null,
          `the database was made with the locale C: ${error.message}`,
          'the data are the same; what sorts or compares text by the locale was rehearsed with another one',
        ),
      );
      return prepareTarget(this.#deps, { ...request, mode: 'existing' });
    }
  }

  #addTolerated({ tolerated }: RestoredArchive, ids: ReadonlySet<number>): void {
    for (const { objectType, object, message, advice } of tolerated) {
      this.findings.push(
        environmentFinding(
          objectType === 'EXTENSION' ? 'extensions' : 'restore',
          object,
          `${objectType} ${object}: ${message}`,
          advice,
        ),
      );
    }
    const names = new Set<string>();
    for (const { dumpId, tablespace } of this.#given.access.toc.entries) {
      if (ids.has(dumpId) && tablespace) names.add(tablespace);
    }
    if (names.size === 0) return;
    this.findings.push(
      environmentFinding(
        'restore',
        null,
        `the drill's server has no tablespace ${[...names].map((it) => displayName(it)).join(', ')}; what lies there was restored beside the rest`,
        'nothing is to be done: where a table lies is no part of what it is',
      ),
    );
  }

  /** Each that was to be restored is there, or was said not to be. */
  #ofExtensions(
    ids: ReadonlySet<number>,
    present: readonly { readonly name: string }[],
  ): DrillFinding[] {
    const there = new Set(present.map(({ name }) => name));
    const said = new Set(
      this.findings.filter(({ check }) => check === 'extensions').map(({ subject }) => subject),
    );
    return this.#given.access.toc.entries
      .filter(({ dumpId, desc }) => desc === 'EXTENSION' && ids.has(dumpId))
      .filter(({ tag }) => !there.has(tag) && !said.has(tag))
      .map(({ tag }) =>
        dataFinding('extensions', tag, `the extension ${displayName(tag)} is not there`),
      );
  }

  #bytesOf(ids: ReadonlySet<number>): number {
    const { blocks } = this.#given.access;
    return blocks
      .filter(({ dumpId }) => ids.has(dumpId))
      .reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  }

  #withSession<T>(database: string, use: (session: Session) => Promise<T>): Promise<T> {
    const { connection } = this.#given.server;
    const { signal } = this.#options;
    return withSession(this.#deps.databases, connection, database, use, { signal });
  }
}

function ofProblem({ check, subject, message }: RestoreProblem): DrillFinding {
  return dataFinding(check, subject, message);
}

/** Without what the server has beside it. */
export async function databaseSize(session: Session, database: string): Promise<number> {
  const [row] = await session.query<{ bytes: string }>(
    `SELECT pg_catalog.pg_database_size($1::pg_catalog.name)::pg_catalog.text AS "bytes"`,
    [database],
  );
  return Number(row?.bytes ?? 0);
}
