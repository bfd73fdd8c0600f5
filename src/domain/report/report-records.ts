import type { DrillRecord } from '#contracts/drill.ts';
import type { Answer, SchedulePosture } from '#contracts/posture.ts';
import type { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import type { RunLock } from '#contracts/run-lock.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import type { SourceExtent } from '#contracts/source-extent.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { Quarantine, VerificationLevel } from '#contracts/verification.ts';
import type { Inventory } from '../backup-inventory.ts';
import type { TableSize } from './largest-tables.ts';

/** What a report is made of: what was read from the bucket, and what could not be. */
export interface ReportRecords {
  readonly now: Date;
  readonly bucket: string;
  /** AWS's, where the bucket is: `eu-west-1`. */
  readonly region: string;
  readonly sources: readonly SourceRecords[];
  readonly unreadable: readonly UnreadableRecord[];
  /** Why plans could not be read; undefined: all were. A source without a plan is then not one that has lost it. */
  readonly plansUnknown?: string | undefined;
}

/** A record that is missing where one must be, or that is not what its schema says. */
export interface UnreadableRecord {
  readonly source: string | null;
  readonly key: string;
  readonly problem: string;
}

export interface SourceRecords {
  readonly source: string;
  /** Undefined: backups lie there, and no plan is known. */
  readonly plan: SourcePlan | undefined;
  readonly inventory: Inventory;
  /** What the last whole run found to back up; undefined: none has told yet. */
  readonly extent: SourceExtent | undefined;
  /** The last ones, newest first. */
  readonly runs: readonly RunSummary[];
  /** Runs whose summaries are there. */
  readonly runCount: number;
  /** The last run to begin, where it has not told its end. */
  readonly untold: UntoldRun | undefined;
  /** What starts runs by itself, as AWS has it; its fact undefined: there is none. Undefined: not asked. */
  readonly schedule: Answer<SchedulePosture | undefined> | undefined;
  /** Of the newest verified backup of each database, by the database's name. */
  readonly newest: ReadonlyMap<string, NewestBackup>;
  /** Of databases whose newest backup is quarantined, by the database's name. */
  readonly quarantines: ReadonlyMap<string, Quarantine>;
  /** What Apply Retention last decided. */
  readonly retention: RetentionPlanRecord | undefined;
  /** The last ones, newest first. */
  readonly drills: readonly DrillRecord[];
}

/** A run without a summary: it goes on, or it ended in a way in which no state is left to write one. */
export interface UntoldRun extends Pick<RunLock, 'runId' | 'executionArn' | 'startedAt'> {
  /** Step Functions' word; null: it does not know the execution; undefined: it could not be asked. */
  readonly status: string | null | undefined;
}

/** Whether the run may still tell its end: it goes on, or nobody knows that it does not. */
export function maySpeak({ status }: Pick<UntoldRun, 'status'>): boolean {
  return status === undefined || status === 'RUNNING' || status === 'PENDING_REDRIVE';
}

/** Whether the last whole run found the database on the server: one that was dropped needs no new backup. */
export function isOnServer({ extent }: Pick<SourceRecords, 'extent'>, database: string): boolean {
  return extent?.databases?.some((it) => it.database === database) ?? true;
}

export interface NewestBackup {
  readonly backupId: string;
  /** Null: its verification could not be read. */
  readonly level: VerificationLevel | null;
  /** Null: they were not counted. */
  readonly rows: number | null;
  /** Null: its manifest could not be read. */
  readonly databaseSizeBytes: number | null;
  readonly serverVersion: string | null;
  readonly tables: readonly TableSize[];
  readonly tableCount: number;
  readonly warnings: readonly string[];
}
