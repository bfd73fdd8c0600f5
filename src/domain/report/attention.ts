import type { DatabaseDrill, DrillFinding, DrillRecord } from '#contracts/drill.ts';
import type { RunSummary } from '#contracts/run-summary.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import { DrillFailed } from '#errors';
import type { InventoryBackup } from '../backup-inventory.ts';
import { displayName } from '../display-text.ts';
import { displayAge, displayUtc } from '../display-time.ts';
import { possibleDrillKinds } from '../drill/drill-kinds.ts';
import { failsDrill } from '../drill/findings.ts';
import { countsForSource, tablesLeftOut } from '../drill/whole-drill.ts';
import { drillAgeSeconds } from '../monitoring/alarms.ts';
import { freshnessSeconds } from '../monitoring/freshness.ts';
import { nextStep } from '../next-steps.ts';
import { partWords } from './drill-outcome.ts';
import {
  isOnServer,
  maySpeak,
  type ReportRecords,
  type SourceRecords,
  type UntoldRun,
} from './report-records.ts';
import { duration } from './words.ts';

/** `red`: data would be lost if they were needed now. `amber`: look at it in the day. */
export type Level = 'red' | 'amber' | 'green';

/** One thing that somebody has to see to. */
export interface Attention {
  readonly level: Exclude<Level, 'green'>;
  /** Null: it is about no source, or about all. */
  readonly source: string | null;
  readonly database: string | null;
  /** A sentence without its full stop. */
  readonly what: string;
  /** In the words of what failed; null: there is no more to say. */
  readonly why: string | null;
  readonly toDo: string;
}

/** To the minute up to two days, so that an age just beyond its limit reads so. */
function age(seconds: number): string {
  return seconds < 48 * 3600 ? duration(seconds) : displayAge(seconds);
}

export function worstLevel(attention: readonly Pick<Attention, 'level'>[]): Level {
  if (attention.some(({ level }) => level === 'red')) return 'red';
  return attention.length > 0 ? 'amber' : 'green';
}

/** Everything that is not as it should be, red first; of each level in the order of the sources. */
export function findAttention(records: ReportRecords): Attention[] {
  const found = records.sources.flatMap((source) => findSourceAttention(source, records));
  for (const { source, key, problem } of records.unreadable) {
    found.push({
      level: 'amber',
      source,
      database: null,
      what: `The record ${key} cannot be read`,
      why: problem,
      toDo: 'Find out who wrote to the bucket (CloudTrail data events). The bucket is versioned: an older version of the record may be whole.',
    });
  }
  if (records.plansUnknown !== undefined) {
    found.push({
      level: 'amber',
      source: null,
      database: null,
      what: 'Plans of sources cannot be read: how old their backups may be, and what is missing, is not known',
      why: records.plansUnknown,
      toDo: 'Correct what it says, then make the report again. Runs that need the broken plan fail, too.',
    });
  }
  if (records.sources.length === 0 && records.plansUnknown === undefined) {
    found.push({
      level: 'amber',
      source: null,
      database: null,
      what: 'There is no source: nothing is backed up',
      why: null,
      toDo: 'Add a source to the plan file and deploy it, then start it once: holdfast start <source>.',
    });
  }
  return [
    ...found.filter(({ level }) => level === 'red'),
    ...found.filter(({ level }) => level === 'amber'),
  ];
}

/** What is not as it should be with one source, as far as its own records tell. */
export function findSourceAttention(
  source: SourceRecords,
  { now, plansUnknown }: Pick<ReportRecords, 'now' | 'plansUnknown'>,
): Attention[] {
  return [
    // What went wrong stands before what follows from it.
    ...ofUntoldRun(source),
    ...ofRuns(source),
    ...ofSchedule(source),
    ...ofBackups(source, now, plansUnknown !== undefined),
    ...ofRetention(source),
    ...ofDrills(source, now),
  ];
}

function ofBackups(records: SourceRecords, now: Date, plansUnknown: boolean): Attention[] {
  const { source, plan, inventory, extent, quarantines, runs, newest: facts } = records;
  const base = { source, database: null };
  const found: Attention[] = [];
  const wantsArchives = !plan || defaultKinds(plan).includes('logical');
  if (!plan && !plansUnknown) {
    found.push({
      ...base,
      level: 'amber',
      what: 'Its backups are there, its plan is not: nothing is added and nothing is deleted',
      why: null,
      toDo: 'Add the source to the plan file again, or delete what nobody needs any more.',
    });
  }
  const lastFailed = runs[0]?.status === 'FAILED';
  const again = lastFailed
    ? `See to what the last run failed of, then start it again: holdfast start ${source}.`
    : `Start it now: holdfast start ${source}.`;
  const known = (wantsArchives && extent?.databases) || [];
  if (wantsArchives && inventory.databases.size === 0 && known.length === 0) {
    found.push({
      ...base,
      level: 'red',
      what: 'It has no backup at all',
      why: null,
      toDo: again,
    });
  }
  const limitSeconds = plan && freshnessSeconds(plan);
  if (!wantsArchives) found.push(...ofSnapshots(records, now, limitSeconds));
  for (const { database } of known) {
    if (inventory.databases.has(database)) continue;
    found.push({
      source,
      database,
      level: 'red',
      what: 'It has no backup at all',
      why: null,
      toDo: again,
    });
  }
  for (const [database, backups] of inventory.databases) {
    if (!isOnServer(records, database)) {
      found.push(...ofDropped({ source, database, backups, now }));
      continue;
    }
    found.push(...ofNewest({ source, database, backups, now, limitSeconds, lastFailed }));
    const quarantine = quarantines.get(database);
    if (backups[0]?.state === 'quarantined') {
      found.push({
        source,
        database,
        level: 'red',
        what: `Its newest backup is quarantined${quarantine ? `: ${quarantine.error}` : ''}`,
        why: quarantine?.cause ?? backups[0].backupId,
        toDo: quarantine ? nextStep(quarantine.error) : QUARANTINE_UNREAD,
      });
    }
    for (const warning of facts.get(database)?.warnings ?? []) {
      found.push({
        source,
        database,
        level: 'amber',
        what: 'Its newest backup was verified with a warning',
        why: warning,
        toDo: "Compare the row counts with the last backup's: holdfast show tells them.",
      });
    }
  }
  return found;
}

/** The records of the largest databases alone are read. */
const QUARANTINE_UNREAD =
  'See why: holdfast show tells it. Then start a run of this database again.';

/** Of a source that is backed up by snapshots alone. */
function ofSnapshots(
  { source, extent, runs }: SourceRecords,
  now: Date,
  limitSeconds: number | undefined,
): Attention[] {
  const base = { level: 'red', source, database: null } as const;
  const toDo = `Start it now: holdfast start ${source}.`;
  if (!extent?.snapshotAt) {
    if (runs.some(({ snapshot }) => snapshot.status === 'available')) return [];
    return [{ ...base, what: 'No run has made a snapshot yet', why: null, toDo }];
  }
  const ageSeconds = (now.getTime() - new Date(extent.snapshotAt).getTime()) / 1000;
  if (limitSeconds === undefined || ageSeconds <= limitSeconds) return [];
  const what = `Its newest snapshot is ${age(ageSeconds)} old, the limit is ${age(limitSeconds)}`;
  return [{ ...base, what, why: null, toDo }];
}

/** One that somebody has paused is missed by nobody until the backups are too old. */
function ofSchedule({ source, plan, schedule }: SourceRecords): Attention[] {
  if (!plan?.schedule || !schedule?.known || schedule.fact?.enabled) return [];
  const { expression, timezone } = plan.schedule;
  return [
    {
      level: 'amber',
      source,
      database: null,
      what: schedule.fact
        ? 'Its schedule is disabled: no backup starts by itself'
        : 'It has no schedule in AWS: no backup starts by itself',
      why: `The plan says ${expression} ${timezone}`,
      toDo: schedule.fact
        ? `Enable it: EventBridge console, Scheduler, Schedules, ${source}. Until then: holdfast start ${source}.`
        : `Deploy the stack again. Until then: holdfast start ${source}.`,
    },
  ];
}

/** Whoever stops an execution stops what would have told of it. */
function ofUntoldRun({ source, untold }: SourceRecords): Attention[] {
  if (!untold || maySpeak(untold)) return [];
  const base = {
    source,
    database: null,
    why: `Run ${untold.runId} began ${displayUtc(new Date(untold.startedAt))}; it left no summary and may have sent no alert`,
  };
  const again = `start it again: holdfast start ${source}.`;
  switch (untold.status) {
    case 'ABORTED':
      return [
        {
          ...base,
          level: 'amber',
          what: untoldWords(untold),
          toDo: `If nobody meant to, CloudTrail says who called StopExecution. Then ${again}`,
        },
      ];
    case 'TIMED_OUT':
    case 'FAILED':
      return [
        {
          ...base,
          level: 'red',
          what: untoldWords(untold),
          toDo: `See in its execution where it stood, and read the log of that step. Then ${again}`,
        },
      ];
    default:
      return [
        {
          ...base,
          level: 'amber',
          what: untoldWords(untold),
          toDo: `Compare the newest backups with the time it began. If one is missing, ${again}`,
        },
      ];
  }
}

/** How the run ended, as a sentence without its full stop. */
function untoldWords({ status }: UntoldRun): string {
  switch (status) {
    case 'ABORTED':
      return 'The last run was stopped before its end (ABORTED)';
    case 'TIMED_OUT':
      return 'The last run was cut off at the time limit of its state machine (TIMED_OUT)';
    case 'FAILED':
      return 'The last run failed and could not tell why (FAILED)';
    case null:
      return 'The last run has no end: Step Functions does not know it any more';
    default:
      return `The last run ended without its summary (${status})`;
  }
}

/** So long it is said of a database that it is gone. Nobody else tells: no run fails for it, and no age grows. */
const GONE_TOLD_SECONDS = 7 * 86_400;

function ofDropped({
  source,
  database,
  backups,
  now,
}: {
  source: string;
  database: string;
  backups: readonly InventoryBackup[];
  now: Date;
}): Attention[] {
  const newest = backups.find(({ state }) => state === 'verified')?.time;
  if (!newest || now.getTime() - newest.getTime() > GONE_TOLD_SECONDS * 1000) return [];
  return [
    {
      level: 'amber',
      source,
      database,
      what: 'The last whole run did not find it on the server any more',
      why: `Its newest verified backup began ${displayUtc(newest)}`,
      toDo: 'If it was dropped on purpose, nothing: this goes after a week. If not, look at databases in the plan, and restore it before retention deletes its older backups.',
    },
  ];
}

/** A manifest that has no verification after that long does not get one by itself. */
const VERIFIED_WITHIN_HOURS = 24;

function ofNewest({
  source,
  database,
  backups,
  now,
  limitSeconds,
  lastFailed,
}: {
  source: string;
  database: string;
  backups: readonly InventoryBackup[];
  now: Date;
  limitSeconds: number | undefined;
  lastFailed: boolean;
}): Attention[] {
  const verified = backups.find(({ state }) => state === 'verified');
  if (!verified) {
    return [
      {
        source,
        database,
        level: 'red',
        what: 'It has no verified backup',
        why: `${backups.length} unverified or quarantined`,
        toDo: `Look at the last run below, then start it again: holdfast start ${source}.`,
      },
    ];
  }
  const found: Attention[] = [];
  const ageSeconds = (now.getTime() - verified.time.getTime()) / 1000;
  if (limitSeconds !== undefined && ageSeconds > limitSeconds) {
    found.push({
      source,
      database,
      level: 'red',
      what: `Its newest verified backup is ${age(ageSeconds)} old, the limit is ${age(limitSeconds)}`,
      why: `It began ${displayUtc(verified.time)}`,
      toDo: lastFailed
        ? `See to what the last run failed of, then start it again: holdfast start ${source}.`
        : `Check that the schedule is enabled, then start it now: holdfast start ${source}.`,
    });
  }
  const [newest] = backups;
  const waitsHours = newest ? (now.getTime() - newest.time.getTime()) / 3_600_000 : 0;
  if (newest?.state === 'unverified' && waitsHours > VERIFIED_WITHIN_HOURS) {
    found.push({
      source,
      database,
      level: 'amber',
      what: `Its newest backup has waited ${displayAge(waitsHours * 3600)} for its verification`,
      why: newest.backupId,
      toDo: nextStep('VerificationOverdue'),
    });
  }
  return found;
}

function ofRuns({ source, runs, extent }: SourceRecords): Attention[] {
  const [last] = runs;
  if (!last) return [];
  const problems = runs
    .flatMap((run, index) => {
      if (run === last) return run.problems.map((problem) => ({ problem, when: 'the last run' }));
      if (run.problems.length === 0) return [];
      const later = databasesOf(runs.slice(0, index));
      return run.problems
        .filter(
          ({ stage, database }) =>
            stage === 'database' &&
            database !== null &&
            !later.has(database) &&
            isOnServer({ extent }, database),
        )
        .map((problem) => ({ problem, when: 'the last run that had it' }));
    })
    .map(
      ({ problem, when }): Attention => ({
        level: 'red',
        source,
        database: problem.database,
        what: `${STAGE_FAILED[problem.stage]} in ${when}: ${problem.error}`,
        why: problem.cause,
        toDo: nextStep(problem.error),
      }),
    );
  if (last.status === 'FAILED' && problems.length === 0) {
    const error = last.error ?? 'Error';
    problems.push({
      level: 'red',
      source,
      database: null,
      what: `The last run failed: ${error}`,
      why: last.cause,
      toDo: nextStep(error),
    });
  }
  const warnings = last.warnings.map(
    (warning): Attention => ({
      level: 'amber',
      source,
      database: null,
      what: 'The last run had a warning',
      why: warning,
      toDo: 'See whether it is meant; the warning goes when its reason does.',
    }),
  );
  return [...problems, ...warnings];
}

/** Those that the runs backed up, or failed to: a run of another database alone says nothing about a failure. */
function databasesOf(runs: readonly RunSummary[]): ReadonlySet<string | null> {
  return new Set(
    runs.flatMap(({ databases, problems }) =>
      [...databases, ...problems].map(({ database }) => database),
    ),
  );
}

const STAGE_FAILED: Readonly<Record<RunSummary['problems'][number]['stage'], string>> = {
  run: 'The run failed',
  snapshot: 'The snapshot failed',
  discovery: 'The databases could not be found',
  database: 'Its backup failed',
  retention: 'Retention failed',
};

function ofRetention({ source, retention, runs }: SourceRecords): Attention[] {
  const isTold = runs[0]?.problems.some(({ stage }) => stage === 'retention') ?? false;
  if (!retention?.guard || isTold) return [];
  return [
    {
      level: 'amber',
      source,
      database: null,
      what: 'Retention refused its plan and deleted nothing',
      why: retention.guard,
      toDo: nextStep('RetentionGuard'),
    },
  ];
}

function ofDrills(
  { source, plan, drills, inventory, extent }: SourceRecords,
  now: Date,
): Attention[] {
  const base = { source, database: null };
  if (drills.length === 0) {
    const isWanted = plan !== undefined && plan.drill.schedule !== 'none';
    const hasBackup = inventory.databases.size > 0 || extent?.snapshotAt;
    if (!isWanted || !hasBackup) return [];
    return [
      {
        ...base,
        level: 'amber',
        what: 'No drill has brought its backups back yet',
        why: null,
        toDo: `Rehearse a restore: holdfast drill ${source}. Until then nobody knows how long one takes.`,
      },
    ];
  }
  const possible = plan && possibleDrillKinds(plan);
  const failed = drills.flatMap((record, index) => {
    const isLast = index === 0;
    const { kind, unplanned } = record.drill;
    if (!isLast && !unplanned && possible?.includes(kind) === false) return [];
    const later = drills.slice(0, index);
    const found = failedDatabases(record, later).filter(
      ({ database }) => isLast || isOnServer({ extent }, database),
    );
    const when = isLast ? 'The last drill' : `The last ${record.drill.kind} drill of it`;
    return [
      ...found.flatMap((it) => ofFailedDatabase({ source, when }, it)),
      ...(failedAsWhole(record, later) ? ofFailedDrill(source, record, isLast) : []),
    ];
  });
  if (failed.length > 0) return failed;
  return ofDrillAge({ source, plan, drills, now });
}

/** As DrillAge is counted: a drill of a part says nothing of how long ago all of it came back. */
function ofDrillAge({
  source,
  plan,
  drills,
  now,
}: Pick<SourceRecords, 'source' | 'plan' | 'drills'> & { now: Date }): Attention[] {
  const limitSeconds = plan && drillAgeSeconds(plan);
  if (!plan || limitSeconds === undefined) return [];
  const [last] = drills;
  const counted = drills.find(countsForSource);
  const base = { level: 'amber', source, database: null } as const;
  const isInPart = last !== undefined && last !== counted && last.status === 'PASSED';
  const why = isInPart ? `The last one passed in part: ${partWords(last)}` : null;
  const toDo =
    isInPart && tablesLeftOut(last) > 0
      ? `holdfast drills ${source} ${last.drill.drillId} tells what its server lacked. ${withAll(plan)}`
      : `Check that the schedule of drills is enabled, then start one: holdfast drill ${source}.`;
  if (!counted) {
    const what =
      drills.length === 1
        ? 'Its drill has not brought all of it back'
        : `None of its last ${drills.length} drills has brought all of it back`;
    return [{ ...base, what, why, toDo }];
  }
  const ageSeconds = (now.getTime() - new Date(counted.endedAt).getTime()) / 1000;
  if (ageSeconds <= limitSeconds) return [];
  const which = counted === last ? '' : ' that brought all of it back';
  const took = counted.rtoSeconds === null ? null : `It took ${duration(counted.rtoSeconds)}`;
  return [
    {
      ...base,
      what: `The last drill${which} was ${age(ageSeconds)} ago, the limit is ${age(limitSeconds)}`,
      why: why ?? took,
      toDo,
    },
  ];
}

/** Where what a drill's own server lacks can be had. */
function withAll(plan: Pick<SourcePlan, 'source' | 'engine'>): string {
  return plan.engine.type !== 'postgres'
    ? `A server that RDS restores has it: holdfast drill ${plan.source} --kind snapshot.`
    : "An image of the drill's task that has it brings all back.";
}

/**
 * It failed by more than its databases: what it was to bring back was not even chosen, RDS did not restore its server,
 * or all together took too long. A later one of its kind tells better; the kind of one that was not planned is a guess.
 */
function failedAsWhole(record: DrillRecord, later: readonly DrillRecord[]): boolean {
  const { status, drill, databases, findings = [] } = record;
  const byDatabase = databases.some((it) => it.status === 'FAILED');
  if (status !== 'FAILED' || (byDatabase && !findings.some(failsDrill))) return false;
  return !later.some((it) => !it.drill.part && (drill.unplanned || it.drill.kind === drill.kind));
}

/**
 * Those that failed in the last drill of their kind that had them: one that a later drill left out, as it was of another
 * database alone, is still not known to come back.
 */
function failedDatabases(record: DrillRecord, later: readonly DrillRecord[]): DatabaseDrill[] {
  const since = new Set(
    later
      .filter(({ drill }) => drill.kind === record.drill.kind)
      .flatMap(({ databases }) => databases.map(({ database }) => database)),
  );
  return record.databases.filter((it) => it.status === 'FAILED' && !since.has(it.database));
}

/** Of one that failed as a whole: what was found of all together, else why. */
function ofFailedDrill(source: string, record: DrillRecord, isLast: boolean): Attention[] {
  const { error, cause, drill, findings = [] } = record;
  const base = { level: 'red', source, database: null } as const;
  const which = isLast ? 'The last drill' : `The last ${drill.kind} drill`;
  const failing = findings.filter((finding) => failsDrill(finding));
  if (failing.length > 0) {
    return failing.map((finding) => ({
      ...base,
      what: `${which} ${foundWords(finding)}, of all databases together`,
      why: finding.message,
      toDo: finding.advice,
    }));
  }
  const name = error ?? DrillFailed.errorName;
  const when = drill.unplanned
    ? `${isLast ? 'The last' : 'A'} drill failed before it began`
    : `${which} failed`;
  return [{ ...base, what: `${when}: ${name}`, why: cause, toDo: nextStep(name) }];
}

/** `missed its RPO target`, `failed: rows of public.orders`. */
function foundWords({ class: kind, check, subject }: DrillFinding): string {
  if (kind === 'target') return `missed its ${check.toUpperCase()} target`;
  return `failed: ${check}${subject === null ? '' : ` of ${displayName(subject)}`}`;
}

/** Each finding that fails it; where its drill did not get so far, why. */
function ofFailedDatabase(
  { source, when }: { source: string; when: string },
  { database, findings, error, cause, report }: DatabaseDrill,
): Attention[] {
  const base = { level: 'red', source, database } as const;
  const found = findings
    .filter((finding) => failsDrill(finding))
    .map(
      (finding): Attention => ({
        ...base,
        what: `${when} ${foundWords(finding)}`,
        why: finding.message,
        toDo: finding.advice,
      }),
    );
  const isByFindings = error === null || (report !== null && error === DrillFailed.errorName);
  if (isByFindings && found.length > 0) return found;
  const name = error ?? DrillFailed.errorName;
  return [{ ...base, what: `${when} failed: ${name}`, why: cause, toDo: nextStep(name) }, ...found];
}
