import type { DrillRecord, DrillTargets } from '#contracts/drill.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import { defaultKinds } from '#contracts/source-plan.ts';
import { HoldfastError } from '#errors';
import type { InventoryBackup } from '../backup-inventory.ts';
import { displayName } from '../display-text.ts';
import { drillTargets } from '../drill/drill-targets.ts';
import { drilledAtOf, lastDrilledArchives } from '../drill/last-drilled.ts';
import { countsForSource } from '../drill/whole-drill.ts';
import { resultsOfSummary } from '../results-of-summary.ts';
import {
  guardRetention,
  planRetention,
  type RetentionDecision,
  type RetentionItem,
  type RetentionPlan,
} from '../retention.ts';
import { nextDue } from '../schedule.ts';
import { monthlyBackupCostUsd, pricedAs } from '../storage-cost.ts';
import {
  type Attention,
  findAttention,
  findSourceAttention,
  type Level,
  worstLevel,
} from './attention.ts';
import {
  isOnServer,
  type NewestBackup,
  type ReportRecords,
  type SourceRecords,
  type UnreadableRecord,
  type UntoldRun,
} from './report-records.ts';

/** Everything that the page shows, decided; the page only lays it out. Lists are bounded by {@link SHOWN}. */
export interface ReportModel {
  readonly generatedAt: Date;
  readonly bucket: string;
  readonly region: string;
  readonly level: Level;
  /** Red first, then by source. */
  readonly attention: readonly Attention[];
  /** Worst first, then by name. */
  readonly sources: readonly SourceReport[];
  readonly storedBytes: number;
  /** As the metric MonthlyCost has it. */
  readonly monthlyCostUsd: number;
  /** Whose list prices that is by. */
  readonly pricedAs: string;
  readonly unreadable: readonly UnreadableRecord[];
}

export interface SourceReport {
  readonly source: string;
  readonly level: Level;
  readonly hasPlan: boolean;
  /** `snapshots`: it is backed up by RDS's alone. */
  readonly backedUpBy: 'archives' | 'snapshots';
  /** Of the database that is worst off, or of the snapshots; null: one of them has none. */
  readonly newestVerifiedAt: Date | null;
  readonly schedule: string | null;
  readonly nextRunAt: Date | null;
  readonly scheduleState: ScheduleState;
  readonly untold: UntoldRun | null;
  readonly lastRun: RunSummary | null;
  /** Newest first. */
  readonly runs: readonly RunSummary[];
  /** Those in most need first, then the largest. */
  readonly databases: readonly DatabaseReport[];
  readonly furtherDatabases: number;
  /** Of those, how many are not green. */
  readonly furtherInNeed: number;
  readonly backupCount: number;
  readonly storedBytes: number;
  readonly monthlyCostUsd: number;
  readonly drills: DrillsReport;
  readonly snapshots: readonly SnapshotReport[];
  readonly furtherSnapshots: number;
  readonly foreignObjects: number;
}

/** `unknown`: nobody answered; `none`: none is planned, or whatever runs here has none. */
export type ScheduleState = 'enabled' | 'disabled' | 'missing' | 'none' | 'unknown';

export interface DatabaseReport {
  readonly database: string;
  readonly level: Level;
  /** False: the last whole run did not find it; its backups stay until retention is done with them. */
  readonly isOnServer: boolean;
  readonly newest: { readonly backup: InventoryBackup; readonly facts: NewestBackup | null } | null;
  readonly counts: Readonly<Record<InventoryBackup['state'], number>>;
  readonly storedBytes: number;
  /** Newest first. */
  readonly marks: readonly BackupMark[];
  /** Of the archives that were verified, oldest first. */
  readonly archiveBytes: readonly Point[];
  readonly dumpSeconds: readonly Point[];
  readonly retention: RetentionReport;
}

export interface Point {
  readonly time: Date;
  readonly value: number;
}

/** How long retention keeps a backup: the longest of its tiers. */
export const TIERS = ['yearly', 'monthly', 'weekly', 'daily', 'last', 'none'] as const;
export type Tier = (typeof TIERS)[number];

export interface BackupMark {
  readonly backupId: string;
  readonly time: Date;
  readonly state: InventoryBackup['state'];
  readonly sizeBytes: number;
  readonly tier: Tier;
  readonly drilled: boolean;
  readonly reasons: readonly string[];
}

/** What retention would do if it ran now. */
export interface RetentionReport {
  /** False: there are no rules, so nothing can be told. */
  readonly known: boolean;
  readonly kept: number;
  /** Newest first. */
  readonly deletes: readonly RetentionDecision[];
  readonly furtherDeletes: number;
  readonly deletedBytes: number;
  /** Why nothing of it goes all the same; null: it would. */
  readonly held: string | null;
}

export interface DrillsReport {
  /** Newest first. */
  readonly records: readonly DrillRecord[];
  /** Of each null: it is not judged. */
  readonly targets: DrillTargets | null;
  /** Of all of the source: one that passed in part does not count. */
  readonly lastPassedAt: Date | null;
}

export interface SnapshotReport {
  readonly snapshotId: string;
  readonly time: Date;
  readonly state: string;
  readonly reasons: readonly string[];
}

/** What one page shows of each kind; the rest is counted. */
export const SHOWN = {
  databases: 24,
  runs: 10,
  drills: 12,
  snapshots: 12,
  deletes: 8,
  tables: 10,
  attention: 40,
} as const;

/** Decides what the report says. Pure: the same records give the same report. */
export function makeReport(records: ReportRecords): ReportModel {
  const attention = findAttention(records);
  const levelOf = (source: string, database?: string) =>
    worstLevel(
      attention.filter(
        (it) => it.source === source && (database === undefined || it.database === database),
      ),
    );
  const sources = records.sources
    .map((it) => reportSource(it, records, levelOf))
    .sort((a, b) => rank(a.level) - rank(b.level) || (a.source < b.source ? -1 : 1));
  return {
    generatedAt: records.now,
    bucket: records.bucket,
    region: records.region,
    level: sources.length === 0 ? 'amber' : worstLevel(attention),
    attention,
    sources,
    storedBytes: sum(sources.map((it) => it.storedBytes)),
    monthlyCostUsd: sum(sources.map((it) => it.monthlyCostUsd)),
    pricedAs: pricedAs(records.region),
    unreadable: records.unreadable,
  };
}

type LevelOf = (source: string, database?: string) => Level;

/**
 * The databases of a source that the page shows, in its order: those in most need first, then the largest. What is
 * read of each can only make its need greater, so that it may be chosen before anything is read of it.
 */
export function shownDatabases(
  records: SourceRecords,
  of: Pick<ReportRecords, 'now' | 'plansUnknown'>,
): string[] {
  const attention = findSourceAttention(records, of);
  const needOf = (database: string) =>
    rank(worstLevel(attention.filter((it) => it.database === database)));
  return [...backupsOf(records)]
    .map(([database, backups]) => ({ database, need: needOf(database), bytes: bytesOf(backups) }))
    .sort((a, b) => a.need - b.need || b.bytes - a.bytes)
    .slice(0, SHOWN.databases)
    .map(({ database }) => database);
}

/** By database; one that the last whole run found and nothing ever backed up has none. */
function backupsOf(records: SourceRecords): Map<string, readonly InventoryBackup[]> {
  const backups = new Map(records.inventory.databases);
  if (backedUpBy(records) === 'snapshots') return backups;
  for (const { database } of records.extent?.databases ?? []) {
    if (!backups.has(database)) backups.set(database, []);
  }
  return backups;
}

function backedUpBy({ plan }: SourceRecords): SourceReport['backedUpBy'] {
  return !plan || defaultKinds(plan).includes('logical') ? 'archives' : 'snapshots';
}

function reportSource(
  records: SourceRecords,
  { now, region }: Pick<ReportRecords, 'now' | 'region'>,
  levelOf: LevelOf,
): SourceReport {
  const { source, plan, inventory, runs, untold } = records;
  const all = retainAll(records, now);
  const databases = [...backupsOf(records)]
    .map(([database, backups]) => reportDatabase(database, backups, records, levelOf, all))
    .sort((a, b) => rank(a.level) - rank(b.level) || b.storedBytes - a.storedBytes);
  const further = databases.slice(SHOWN.databases);
  const snapshots = snapshotsOf(records);
  const scheduleState = scheduleStateOf(records);
  return {
    source,
    level: levelOf(source),
    hasPlan: plan !== undefined,
    backedUpBy: backedUpBy(records),
    newestVerifiedAt:
      backedUpBy(records) === 'snapshots'
        ? newestSnapshotAt(records, snapshots)
        : oldestNewest(databases),
    schedule: plan?.schedule ? `${plan.schedule.expression} ${plan.schedule.timezone}` : null,
    nextRunAt:
      scheduleState === 'enabled' || scheduleState === 'unknown' ? nextRunOf(records, now) : null,
    scheduleState,
    untold: untold ?? null,
    lastRun: runs[0] ?? null,
    runs: runs.slice(0, SHOWN.runs),
    databases: databases.slice(0, SHOWN.databases),
    furtherDatabases: further.length,
    furtherInNeed: further.filter(({ level }) => level !== 'green').length,
    backupCount: sum(databases.map((it) => it.marks.length)),
    storedBytes: sum(databases.map((it) => it.storedBytes)),
    monthlyCostUsd: monthlyBackupCostUsd(inventory, region),
    drills: {
      records: records.drills.slice(0, SHOWN.drills),
      targets: targetsOf(records),
      lastPassedAt: lastPassedAt(records.drills),
    },
    snapshots: snapshots.slice(0, SHOWN.snapshots),
    furtherSnapshots: Math.max(0, snapshots.length - SHOWN.snapshots),
    foreignObjects: inventory.foreignObjects,
  };
}

/** Of the databases that are on the server, the one whose newest verified backup is the oldest. */
function oldestNewest(databases: readonly DatabaseReport[]): Date | null {
  const newest = databases
    .filter((it) => it.isOnServer)
    .map((it) => it.newest?.backup.time.getTime() ?? null);
  const times = newest.flatMap((it) => it ?? []);
  return times.length < newest.length || times.length === 0 ? null : new Date(Math.min(...times));
}

function newestSnapshotAt(
  { extent }: SourceRecords,
  snapshots: readonly SnapshotReport[],
): Date | null {
  if (extent?.snapshotAt) return new Date(extent.snapshotAt);
  return snapshots.find(({ state }) => state === 'available')?.time ?? null;
}

function scheduleStateOf({ plan, schedule }: SourceRecords): ScheduleState {
  if (!plan?.schedule) return 'none';
  if (!schedule) return 'unknown';
  if (!schedule.known) return schedule.reason === 'not-served' ? 'none' : 'unknown';
  if (!schedule.fact) return 'missing';
  return schedule.fact.enabled ? 'enabled' : 'disabled';
}

function nextRunOf({ plan, runs: [last], untold }: SourceRecords, now: Date): Date | null {
  if (!plan?.schedule) return null;
  const startedAt = untold?.startedAt ?? last?.startedAt;
  return nextDue(plan.schedule, now, startedAt ? new Date(startedAt) : undefined) ?? null;
}

function targetsOf({ plan, drills }: SourceRecords): DrillsReport['targets'] {
  if (!plan) return drills[0]?.drill.targets ?? null;
  return drillTargets(plan);
}

/** Of the drills, newest first; null: none has brought all of the source back. */
export function lastPassedAt(drills: readonly DrillRecord[]): Date | null {
  const passed = drills.find(countsForSource);
  return passed ? new Date(passed.endedAt) : null;
}

function reportDatabase(
  database: string,
  backups: readonly InventoryBackup[],
  records: SourceRecords,
  levelOf: LevelOf,
  retained: Retained,
): DatabaseReport {
  const { source, newest: facts, runs } = records;
  const verified = backups.filter(({ state }) => state === 'verified');
  const [newest] = verified;
  const planned = retained.plans.get(database);
  const reasonsOf = new Map(planned?.keep.map(({ id, reasons }) => [id, reasons] as const));
  const counts = { verified: verified.length, unverified: 0, quarantined: 0 };
  for (const { state } of backups) if (state !== 'verified') counts[state] += 1;
  return {
    database,
    level: levelOf(source, database),
    isOnServer: isOnServer(records, database),
    newest: newest ? { backup: newest, facts: facts.get(database) ?? null } : null,
    counts,
    storedBytes: bytesOf(backups),
    marks: backups.map((backup) => {
      const reasons = reasonsOf.get(backup.backupId) ?? [];
      const { backupId, time, state, sizeBytes, files } = backup;
      const drilled = files.has('drilled.json');
      return { backupId, time, state, sizeBytes, reasons, tier: tierOf(reasons), drilled };
    }),
    archiveBytes: verified
      .map(({ time, files }) => ({ time, value: files.get('archive.dump')?.sizeBytes ?? 0 }))
      .reverse(),
    dumpSeconds: durationsOf(database, runs),
    retention: reportRetention(database, backups.length, planned, retained, records),
  };
}

/** Of the runs that made a verified backup of it, oldest first. */
function durationsOf(database: string, runs: readonly RunSummary[]): Point[] {
  return runs
    .flatMap((run) =>
      run.databases.flatMap((it) =>
        it.status === 'verified' && it.database === database
          ? [{ time: new Date(run.startedAt ?? run.endedAt), value: it.dumpSeconds }]
          : [],
      ),
    )
    .sort((a, b) => a.time.getTime() - b.time.getTime());
}

/** Dumps end at the plan's timeout; an hour later nothing writes or verifies any more. */
const SETTLED_AFTER_MINUTES = 60;

/** What retention decides of each database, and what stops it for the source as a whole. */
interface Retained {
  readonly plans: ReadonlyMap<string, RetentionPlan>;
  readonly stopped: string | null;
}

/** As Apply Retention plans it, without what only a run knows. */
function retainAll({ plan, inventory, runs, drills }: SourceRecords, now: Date): Retained {
  if (!plan) return { plans: new Map(), stopped: null };
  const drilled = lastDrilledArchives(drills);
  const { archives: rules, timezone, dryRun } = plan.retention;
  const plans = new Map<string, RetentionPlan>();
  let refused: string | undefined;
  for (const [database, backups] of inventory.databases) {
    const items = backups.map(
      (backup): RetentionItem => ({
        ...backup,
        id: backup.backupId,
        drilledAt: drilledAtOf(backup, drilled.get(database)),
        running:
          backup.state !== 'verified' &&
          minutesBetween(backup.time, now) < plan.dump.timeoutMinutes + SETTLED_AFTER_MINUTES,
      }),
    );
    const planned = planRetention({ items, rules, timezone, now });
    plans.set(database, planned);
    if (withheldOf(database, runs) !== null) continue;
    // One database's guard stops the whole of the source.
    refused ??= refusalOf(() =>
      guardRetention(planned, rules, `database ${displayName(database)}`),
    );
  }
  const stopped =
    refused ?? (dryRun ? 'the plan says retention.dryRun: nothing is ever deleted' : null);
  return { plans, stopped };
}

function refusalOf(guard: () => void): string | undefined {
  try {
    guard();
    return undefined;
  } catch (error) {
    if (error instanceof HoldfastError) return error.message;
    throw error;
  }
}

function reportRetention(
  database: string,
  backupCount: number,
  planned: RetentionPlan | undefined,
  { stopped }: Retained,
  { plan, runs }: SourceRecords,
): RetentionReport {
  if (!planned) {
    const nothing = { deletes: [], furtherDeletes: 0, deletedBytes: 0, held: null };
    return { known: plan !== undefined, kept: backupCount, ...nothing };
  }
  return {
    known: true,
    kept: planned.keep.length,
    deletes: planned.delete.slice(0, SHOWN.deletes),
    furtherDeletes: Math.max(0, planned.delete.length - SHOWN.deletes),
    deletedBytes: bytesOf(planned.delete),
    held: stopped ?? withheldOf(database, runs),
  };
}

/** A database whose last dump failed keeps all it has, until one works. */
function withheldOf(database: string, runs: readonly RunSummary[]): string | null {
  for (const run of runs) {
    const results = resultsOfSummary(run);
    if (!results) continue;
    const { logical } = results;
    if (logical.status === 'failed') return `the last run made no dumps: ${logical.failure.Error}`;
    if (logical.status === 'skipped') return null;
    const result = logical.databases.find((it) => it.database === database);
    return result?.status === 'failed'
      ? `its dump failed in the last run: ${result.failure.Error}`
      : null;
  }
  return null;
}

function tierOf(reasons: readonly string[]): Tier {
  const named = (tier: Tier) => reasons.some((reason) => reason.startsWith(`${tier} `));
  return TIERS.find(named) ?? (reasons.length > 0 ? 'last' : 'none');
}

/** As retention last listed them, and those that runs have made since. Newest first. */
function snapshotsOf({ retention, runs }: SourceRecords): SnapshotReport[] {
  const listed = new Map<string, SnapshotReport>();
  for (const { snapshot, endedAt } of runs) {
    if (snapshot.status !== 'available') continue;
    const { snapshotId, status } = snapshot.snapshot;
    const isNewer = !retention || endedAt >= retention.plannedAt;
    if (isNewer) {
      listed.set(snapshotId, { snapshotId, time: new Date(endedAt), state: status, reasons: [] });
    }
  }
  for (const { id, time, state, reasons } of retention?.snapshots?.keep ?? []) {
    const word =
      state === 'verified' ? 'available' : state === 'quarantined' ? 'failed' : 'in progress';
    listed.set(id, { snapshotId: id, time: new Date(time), state: word, reasons });
  }
  return [...listed.values()].sort((a, b) => b.time.getTime() - a.time.getTime());
}

function rank(level: Level): number {
  return { red: 0, amber: 1, green: 2 }[level];
}

function bytesOf(items: readonly { readonly sizeBytes: number }[]): number {
  return sum(items.map(({ sizeBytes }) => sizeBytes));
}

function minutesBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 60_000;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
