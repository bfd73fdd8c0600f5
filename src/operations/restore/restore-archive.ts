import type {
  RestorePhase,
  RestoreReport,
  RoleHandling,
  ToleratedStatement,
} from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { TocEntry } from '#domain/archive/toc.ts';
import { serverMajor } from '#domain/client-choice.ts';
import { restoreOrder } from '#domain/restore/entry-order.ts';
import { chooseRestoreMajor } from '#domain/restore/restore-client.ts';
import { objectOf } from '#domain/restore/statement-failure.ts';
import type { Deps } from '#runtime/ports.ts';
import { analyzeTables } from './analyze-tables.ts';
import { SchemaApplier } from './apply-schema.ts';
import { type LoadDataOptions, type LoadedData, loadData } from './load-data.ts';
import type { ArchiveAccess } from './open-archive.ts';

type Needs = Pick<Deps, 'databases' | 'clients' | 'clock'>;

/** How far the phase is: `bytes` of the archive while data are loaded, else `entries` or `tables`. */
export interface RestoreProgress {
  readonly phase: RestorePhase;
  readonly done: number;
  readonly total: number;
  readonly unit: 'entries' | 'bytes' | 'tables';
}

export interface RestoreArchiveOptions {
  readonly access: ArchiveAccess;
  /** Dump ids of the entries to restore. */
  readonly ids: ReadonlySet<number>;
  readonly connection: Connection;
  /** It exists, and has nothing that the entries make. */
  readonly database: string;
  /** `server_version_num` of the target. */
  readonly versionNumber: number;
  readonly jobs: number;
  readonly roles: RoleHandling;
  /** Rows, large objects and sequence values alone, into tables that are there. */
  readonly dataOnly?: boolean;
  /** Load without triggers and foreign keys, for data-only restores; needs a superuser or rds_superuser. */
  readonly replica?: boolean;
  /** Dump ids of tables' rows: a set is loaded when those before it are. Undefined: all at once. */
  readonly dataLevels?: readonly ReadonlySet<number>[] | undefined;
  readonly signal: AbortSignal;
  /** Called as a phase begins. */
  readonly onPhase?: (phase: RestorePhase) => void;
  readonly onProgress?: (progress: RestoreProgress) => void;
}

export interface RestoredArchive {
  readonly phases: RestoreReport['phases'];
  readonly tolerated: readonly ToleratedStatement[];
  /** Of the archive, in all. */
  readonly bytesRead: number;
  readonly checksum: RestoreReport['checksum'];
  readonly entries: RestoreReport['entries'];
  /** Rows and sequence values that were left out, as they belong to an extension that the target does not have. */
  readonly leftOut: ReadonlySet<number>;
  readonly warnings: readonly string[];
}

/**
 * Restores entries of an archive: what tables need and the tables; their rows; then indexes, constraints,
 * privileges and what else is built on them; and statistics for the planner. Nothing is declared good before
 * the checksum of what was read is.
 *
 * Throws RestoreFailed with the phase, the object and the statement; TargetFull, ConnectionLost,
 * DatabaseUnreachable, AuthenticationFailed, TargetUnsuitable, ArchiveUnsupported, ArchiveCorrupt,
 * ChecksumMismatch, or the signal's reason. The database is left as it is then: half restored.
 */
export async function restoreArchive(
  deps: Needs,
  options: RestoreArchiveOptions,
): Promise<RestoredArchive> {
  const { access, ids, connection, database, versionNumber, jobs, roles, signal } = options;
  const { dataOnly = false, replica = false, onProgress } = options;
  const { head, toc, blocks } = access;
  const major = chooseRestoreMajor(toc.header, versionNumber, await deps.clients.majors());
  const order = restoreOrder(toc, ids, { dataOnly });
  const applier = new SchemaApplier(deps, {
    connection,
    database,
    head,
    toc,
    blocks,
    roles,
    replica,
    signal,
  });
  const phases: { phase: RestorePhase; seconds: number }[] = [];
  const phase = async <T>(name: RestorePhase, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    options.onPhase?.(name);
    const startedAt = deps.clock.now().getTime();
    const result = await work().catch(async (error: unknown) => {
      // Whoever says what has failed is not kept from it by what fails now.
      await applier.takeBackLoans().catch(() => {});
      throw error;
    });
    phases.push({ phase: name, seconds: (deps.clock.now().getTime() - startedAt) / 1000 });
    return result;
  };
  const counted = (name: RestorePhase, total: number) => {
    let done = 0;
    return () => {
      done += 1;
      onProgress?.({ phase: name, done, total, unit: 'entries' });
    };
  };

  if (order.preData.length > 0) {
    await phase('pre-data', () =>
      applier.applyInOrder('pre-data', order.preData, counted('pre-data', order.preData.length)),
    );
  }
  // Tables of an extension that the target does not have hold settings of that extension.
  const absent = await applier.withoutExtension([...order.data, ...order.afterData]);
  const data = order.data.filter((entry) => !absent.has(entry));
  const afterData = order.afterData.filter((entry) => !absent.has(entry));
  const dataEntries = [...order.beforeData, ...data, ...afterData];
  const load = async () => {
    // A hundred thousand large objects are made in hundreds of statements.
    await applier.applyInPasses('data', [order.beforeData], jobs);
    const result = await loadInLevels(deps, options.dataLevels ?? [], {
      access,
      major,
      serverMajor: serverMajor(versionNumber),
      ids: idsOf(data),
      connection,
      database,
      jobs,
      roleName: roles.role,
      replica,
      signal,
      onProgress: ({ bytes, totalBytes }) =>
        onProgress?.({ phase: 'data', done: bytes, total: totalBytes, unit: 'bytes' }),
    });
    await applier.applyInPasses('data', [afterData], jobs);
    return result;
  };
  // Without data there is still the head, which may be all there is of the archive, to be compared.
  const loaded = await (dataEntries.length > 0 ? phase('data', load) : load());
  const postCount = order.postData.reduce((sum, pass) => sum + pass.length, 0);
  if (postCount > 0) {
    await phase('post-data', () =>
      applier.applyInPasses('post-data', order.postData, jobs, counted('post-data', postCount)),
    );
  }
  await applier.takeBackLoans();
  const tables = data.filter(({ desc }) => desc === 'TABLE DATA');
  const views = order.postData.flat().filter(({ desc }) => desc === 'MATERIALIZED VIEW DATA');
  const isWhole = tables.length === toc.entries.filter(({ desc }) => desc === 'TABLE DATA').length;
  const analysis =
    tables.length + views.length > 0
      ? await phase('analyze', () =>
          analyzeTables(deps, {
            connection,
            database,
            tables: isWhole ? undefined : [...tables, ...views].map(nameOf),
            roleName: roles.role,
            jobs,
            signal,
            onProgress: (done, total) =>
              onProgress?.({ phase: 'analyze', done, total, unit: 'tables' }),
          }),
        )
      : undefined;

  const applied = dataEntries.length + order.preData.length + postCount;
  return {
    phases,
    tolerated: applier.tolerated,
    bytesRead: access.openedBytes + loaded.bytesRead,
    checksum: loaded.checksum,
    entries: { selected: applied, total: toc.entries.length },
    leftOut: idsOf([...absent]),
    warnings: [
      ...[...absent].map(
        (entry) =>
          `${entry.desc} ${objectOf(entry)} was left out: the table is not there, as its extension is not`,
      ),
      ...applier.warnings,
      ...loaded.warnings,
      ...(analysis?.warnings ?? []),
    ],
  };
}

/** What says least first: of several loads together no more is known than of the least known one. */
const CHECKSUMS = ['not-whole', 'unknown', 'blocks-matched', 'matched'] as const;

/** Loads the sets of the levels one after the other, and first what is in none of them. */
async function loadInLevels(
  deps: Needs,
  levels: readonly ReadonlySet<number>[],
  options: LoadDataOptions,
): Promise<LoadedData> {
  const { ids, access, onProgress } = options;
  const ordered = new Set(levels.flatMap((level) => [...level]));
  const others = new Set([...ids].filter((id) => !ordered.has(id)));
  const wanted = levels.map((level) => new Set([...level].filter((id) => ids.has(id))));
  const groups = [others, ...wanted].filter(({ size }) => size > 0);
  if (groups.length <= 1) return loadData(deps, options);
  const bytesOf = (group: ReadonlySet<number>) =>
    access.blocks.reduce((sum, it) => (group.has(it.dumpId) ? sum + it.lengthBytes : sum), 0);
  const totalBytes = bytesOf(ids);
  const done: LoadedData[] = [];
  let doneBytes = 0;
  for (const group of groups) {
    const before = doneBytes;
    const loaded = await loadData(deps, {
      ...options,
      ids: group,
      onProgress: ({ bytes }) => onProgress?.({ bytes: before + bytes, totalBytes }),
    });
    done.push(loaded);
    doneBytes += bytesOf(group);
  }
  return {
    bytesRead: done.reduce((sum, { bytesRead }) => sum + bytesRead, 0),
    checksum: CHECKSUMS.find((it) => done.some(({ checksum }) => checksum === it)) ?? 'not-whole',
    warnings: [...new Set(done.flatMap(({ warnings }) => warnings))],
  };
}

function nameOf({ schema = '', tag }: TocEntry): { schema: string; table: string } {
  return { schema, table: tag };
}

function idsOf(entries: readonly TocEntry[]): ReadonlySet<number> {
  return new Set(entries.map(({ dumpId }) => dumpId));
}
