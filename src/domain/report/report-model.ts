import type { DrillRecord } from '#contracts/drill.ts';
import type { RunLock } from '#contracts/run-lock.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import type { RetentionRules, SourcePlan } from '#contracts/source-plan.ts';
import { HoldfastError } from '#errors';
import type { InventoryBackup } from '../backup-inventory.ts';
import {
  guardRetention,
  planRetention,
  type RetentionDecision,
  type RetentionItem,
} from '../retention.ts';
import { nextDue } from '../schedule.ts';
import { monthlyStorageCostUsd } from '../storage-cost.ts';
import { type Attention, findAttention, type Level, worstLevel } from './attention.ts';
import {
  isOnServer,
  type NewestBackup,
  type ReportRecords,
  type SourceRecords,
  type UnreadableRecord,
} from './report-records.ts';

/** Everything that the page shows, decided; the page only lays it out. Lists are bounded by {@link SHOWN}. */
export interface ReportModel {
  readonly generatedAt: Date;
  readonly bucket: string;
  readonly level: Level;
  /** Red first, then by source. */
  readonly attention: readonly Attention[];
  /** Worst first, then by name. */
  readonly sources: readonly SourceReport[];
  readonly storedBytes: number;
  /** By list prices, as if all lay in STANDARD: the dearest. */
  readonly monthlyCostUsd: number;
  readonly unreadable: readonly UnreadableRecord[];
}

export interface SourceReport {
  readonly source: string;
  readonly level: Level;
  readonly hasPlan: boolean;
  /** Of the database that is worst off; null: one of them has none. */
  readonly newestVerifiedAt: Date | null;
  readonly schedule: string | null;
  readonly nextRunAt: Date | null;
  readonly running: RunLock | null;
  readonly lastRun: RunSummary | null;
  /** Newest first. */
  readonly runs: readonly RunSummary[];
  /** Those in most need first, then the largest. */
  readonly databases: readonly DatabaseReport[];
  readonly furtherDatabases: number;
  readonly backupCount: number;
  readonly storedBytes: number;
  readonly monthlyCostUsd: number;
  readonly drills: DrillsReport;
  readonly snapshots: readonly SnapshotReport[];
  readonly furtherSnapshots: number;
  readonly foreignObjects: number;
}

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
  /** Why it would refuse the plan as a whole. */
  readonly guard: string | null;
}

export interface DrillsReport {
  /** Newest first. */
  readonly records: readonly DrillRecord[];
  readonly targets: { readonly rtoSeconds: number; readonly rpoSeconds: number } | null;
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
    .map((it) => reportSource(it, records.now, levelOf))
    .sort((a, b) => rank(a.level) - rank(b.level) || (a.source < b.source ? -1 : 1));
  return {
    generatedAt: records.now,
    bucket: records.bucket,
    level: sources.length === 0 ? 'amber' : worstLevel(attention),
    attention,
    sources,
    storedBytes: sum(sources.map((it) => it.storedBytes)),
    monthlyCostUsd: sum(sources.map((it) => it.monthlyCostUsd)),
    unreadable: records.unreadable,
  };
}

type LevelOf = (source: string, database?: string) => Level;

function reportSource(records: SourceRecords, now: Date, levelOf: LevelOf): SourceReport {
  const { source, plan, inventory, runs } = records;
  const databases = [...inventory.databases]
    .map(([database, backups]) => reportDatabase(database, backups, records, now, levelOf))
    .sort((a, b) => rank(a.level) - rank(b.level) || b.storedBytes - a.storedBytes);
  const newest = databases
    .filter((it) => it.isOnServer)
    .map((it) => it.newest?.backup.time ?? null);
  const oldest = newest.includes(null) ? undefined : Math.min(...newest.map((it) => Number(it)));
  const snapshots = snapshotsOf(records);
  return {
    source,
    level: levelOf(source),
    hasPlan: plan !== undefined,
    newestVerifiedAt: oldest === undefined || !Number.isFinite(oldest) ? null : new Date(oldest),
    schedule: plan?.schedule ? `${plan.schedule.expression} ${plan.schedule.timezone}` : null,
    nextRunAt: nextRunOf(plan, runs[0], now),
    running: records.running ?? null,
    lastRun: runs[0] ?? null,
    runs: runs.slice(0, SHOWN.runs),
    databases: databases.slice(0, SHOWN.databases),
    furtherDatabases: Math.max(0, databases.length - SHOWN.databases),
    backupCount: sum(databases.map((it) => it.marks.length)),
    storedBytes: sum(databases.map((it) => it.storedBytes)),
    monthlyCostUsd: monthlyStorageCostUsd(
      [...inventory.databases.values()].flat().flatMap(({ files }) => [...files.values()]),
    ),
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

function nextRunOf(plan: SourcePlan | undefined, last: RunSummary | undefined, now: Date) {
  if (!plan?.schedule) return null;
  const lastStart = last?.startedAt ? new Date(last.startedAt) : undefined;
  return nextDue(plan.schedule, now, lastStart) ?? null;
}

function targetsOf({ plan, drills }: SourceRecords): DrillsReport['targets'] {
  if (!plan) return drills[0]?.drill.targets ?? null;
  const { rtoMinutes, rpoMinutes } = plan.drill.targets;
  return { rtoSeconds: rtoMinutes * 60, rpoSeconds: rpoMinutes * 60 };
}

/** Undefined and null apart: see {@link DrillsReport}. */
export function lastPassedAt(drills: readonly DrillRecord[]): Date | null {
  const passed = drills.find(({ status }) => status === 'PASSED');
  return passed ? new Date(passed.endedAt) : null;
}

function reportDatabase(
  database: string,
  backups: readonly InventoryBackup[],
  records: SourceRecords,
  now: Date,
  levelOf: LevelOf,
): DatabaseReport {
  const { source, plan, newest: facts, runs } = records;
  const verified = backups.filter(({ state }) => state === 'verified');
  const [newest] = verified;
  const { reasonsOf, retention } = reportRetention(database, backups, plan, now);
  const counts = { verified: verified.length, unverified: 0, quarantined: 0 };
  for (const { state } of backups) if (state !== 'verified') counts[state] += 1;
  return {
    database,
    level: levelOf(source, database),
    isOnServer: isOnServer(records, database),
    newest: newest ? { backup: newest, facts: facts.get(database) ?? null } : null,
    counts,
    storedBytes: sum(backups.map(({ sizeBytes }) => sizeBytes)),
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
    retention,
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

function reportRetention(
  database: string,
  backups: readonly InventoryBackup[],
  plan: SourcePlan | undefined,
  now: Date,
): { reasonsOf: ReadonlyMap<string, readonly string[]>; retention: RetentionReport } {
  const nothing = { kept: backups.length, deletes: [], furtherDeletes: 0, deletedBytes: 0 };
  if (!plan) return { reasonsOf: new Map(), retention: { known: false, guard: null, ...nothing } };
  const { archives: rules, timezone } = plan.retention;
  const items = backups.map(
    (backup): RetentionItem => ({
      ...backup,
      id: backup.backupId,
      drilledAt: backup.files.get('drilled.json')?.lastModified,
      running:
        backup.state !== 'verified' &&
        minutesBetween(backup.time, now) < plan.dump.timeoutMinutes + SETTLED_AFTER_MINUTES,
    }),
  );
  const planned = planRetention({ items, rules, timezone, now });
  const reasonsOf = new Map(planned.keep.map(({ id, reasons }) => [id, reasons] as const));
  return {
    reasonsOf,
    retention: {
      known: true,
      kept: planned.keep.length,
      deletes: planned.delete.slice(0, SHOWN.deletes),
      furtherDeletes: Math.max(0, planned.delete.length - SHOWN.deletes),
      deletedBytes: sum(planned.delete.map(({ sizeBytes }) => sizeBytes)),
      guard: guardOf(planned, rules, database),
    },
  };
}

function guardOf(
  planned: ReturnType<typeof planRetention>,
  rules: RetentionRules,
  database: string,
): string | null {
  try {
    guardRetention(planned, rules, `database ${database}`);
    return null;
  } catch (error) {
    if (error instanceof HoldfastError) return error.message;
    throw error;
  }
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

function minutesBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 60_000;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
