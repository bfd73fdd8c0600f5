import { DrillRecord } from '#contracts/drill.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { type InventoryObject, takeInventory } from '#domain/backup-inventory.ts';
import { type BackupFile, backupKey } from '#domain/names.ts';
import type { NewestBackup, ReportRecords, SourceRecords } from '#domain/report/report-records.ts';
import { planRetention } from '#domain/retention.ts';
import {
  backupIdAt,
  type Changes,
  executionArnOf,
  makePlan,
  makeVerifiedDatabase,
} from './fakes/builders.ts';

/** Records of two years, as a report reads them; deterministic. */

export const HISTORY_NOW = new Date('2026-11-20T09:30:00Z');
const DAY = 86_400_000;

export interface HistoryOptions {
  readonly source?: string;
  readonly databases?: readonly string[];
  readonly days?: number;
  /** Of the newest backup; default: this morning. */
  readonly staleDays?: number;
  readonly plan?: Changes<SourcePlan>;
  readonly megabytes?: number;
  readonly drills?: number;
}

/** A source with daily backups that retention has thinned out, runs of two months and monthly drills. */
export function makeHistory(options: HistoryOptions = {}): SourceRecords {
  const { source = 'orders', databases = ['shop', 'audit'], days = 730, staleDays = 0 } = options;
  const plan = makePlan({ source, kinds: ['logical'], ...options.plan });
  const start = HISTORY_NOW.getTime() - 7.5 * 3_600_000 - staleDays * DAY;
  const objects: InventoryObject[] = [];
  for (const [index, database] of databases.entries()) {
    const all = Array.from({ length: days }, (_, day) => {
      const time = new Date(start - day * DAY);
      return { id: backupIdAt(time, database), time, day };
    });
    const { keep } = planRetention({
      items: all.map(({ id, time }) => ({
        id,
        time,
        state: 'verified',
        sizeBytes: 1,
        running: false,
      })),
      rules: plan.retention.archives,
      timezone: 'UTC',
      now: new Date(start - DAY + 1),
    });
    const kept = new Set([...keep.map(({ id }) => id), all[0]?.id]);
    for (const { id, time, day } of all.filter((it) => kept.has(it.id))) {
      const growth = (days - day) / days;
      const sizeBytes = Math.round(
        (options.megabytes ?? 480) *
          1e6 *
          (0.35 + 0.65 * growth + 0.02 * Math.sin(day)) *
          0.4 ** index,
      );
      const ref = { source, database, backupId: id };
      const files: BackupFile[] = [
        'archive.dump',
        'toc.dump',
        'globals.sql',
        'manifest.json',
        'verification.json',
      ];
      if (day > 0 && day % 30 === 5) files.push('drilled.json');
      for (const file of files) {
        objects.push({
          key: backupKey(ref, file),
          sizeBytes: file === 'archive.dump' ? sizeBytes : 2_400,
          lastModified: time,
        });
      }
    }
  }
  const inventory = takeInventory(source, objects);
  return {
    source,
    plan,
    inventory,
    extent: undefined,
    runs: Array.from({ length: Math.min(days, 60) }, (_, day) =>
      makeSummary(source, databases, new Date(start - day * DAY), day),
    ),
    runCount: days,
    untold: undefined,
    schedule: { known: true, fact: { enabled: true, expression: '', timezone: 'UTC' } },
    newest: new Map(
      [...inventory.databases].map(([database, [backup]]) => [
        database,
        makeNewest(backup?.backupId ?? '', options.megabytes ?? 480),
      ]),
    ),
    quarantines: new Map(),
    retention: undefined,
    drills: Array.from({ length: options.drills ?? 12 }, (_, month) =>
      makeDrill(source, databases, new Date(start - (month * 30 + 4) * DAY), month),
    ),
  };
}

export function makeSummary(
  source: string,
  databases: readonly string[],
  startedAt: Date,
  day = 0,
  changes: Partial<RunSummary> = {},
): RunSummary {
  const runId = `${source}-${backupIdAt(startedAt)}`;
  const seconds = 48 + 6 * Math.sin(day / 3) - day / 8;
  return RunSummary.parse({
    version: 1,
    status: 'SUCCEEDED',
    error: null,
    cause: null,
    source,
    runId,
    executionArn: executionArnOf(runId).replace('123456789012', '210987654321'),
    trigger: 'schedule',
    reason: null,
    kinds: ['logical'],
    startedAt: startedAt.toISOString(),
    endedAt: new Date(startedAt.getTime() + 95_000).toISOString(),
    durationSeconds: 95,
    snapshot: { status: 'skipped' },
    server: { version: '17.11', versionNumber: 170011, isReplica: false },
    databases: databases.map((database, index) =>
      makeVerifiedDatabase({
        database,
        backupId: backupIdAt(startedAt, database),
        dumpSeconds: Math.max(1, seconds * 0.4 ** index),
      }),
    ),
    retention: {
      status: 'applied',
      archives: { kept: 74, deleted: 2, deletedBytes: 7e8 },
      snapshots: { kept: 0, deleted: 0 },
      deletedIds: [],
      withheld: [],
      planKey: `runs/${source}/${runId}/retention.json`,
    },
    problems: [],
    warnings: [],
    ...changes,
  });
}

export function makeNewest(backupId: string, megabytes = 480): NewestBackup {
  const tables = [
    'order_lines',
    'orders',
    'events',
    'customers',
    'payments',
    'products',
    'reviews',
  ];
  return {
    backupId,
    level: 'full',
    rows: 41_200_411,
    databaseSizeBytes: megabytes * 4.4e6,
    serverVersion: '17.11',
    tables: tables.map((table, index) => ({
      schema: table === 'events' ? 'audit' : 'public',
      table,
      archiveBytes: Math.round((megabytes * 1e6 * 0.5) / (index + 1) ** 1.6),
      rows: Math.round(24_000_000 / (index + 1) ** 2),
    })),
    tableCount: 43,
    warnings: [],
  };
}

export function makeDrill(
  source: string,
  databases: readonly string[],
  endedAt: Date,
  month = 0,
  changes: Partial<DrillRecord> = {},
): DrillRecord {
  const drillId = backupIdAt(endedAt, 'drill');
  const rtoSeconds = 1_900 - month * 60 + 120 * Math.sin(month);
  return DrillRecord.parse({
    version: 1,
    status: 'PASSED',
    error: null,
    cause: null,
    drill: {
      drillId,
      source,
      planVersion: 1,
      executionArn: executionArnOf('drill'),
      startedAt: new Date(endedAt.getTime() - 2_000_000).toISOString(),
      trigger: 'schedule',
      reason: null,
      kind: 'archive',
      targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
      notes: [],
    },
    endedAt: endedAt.toISOString(),
    durationSeconds: 2_000,
    rtoSeconds,
    rpoSeconds: 26_000 + 900 * month,
    databases: databases.map((database) => ({
      database,
      backupId: backupIdAt(endedAt, database),
      chosenBy: month % 2 === 0 ? 'latest' : 'random',
      status: 'PASSED',
      report: null,
      rpoSeconds: 26_000,
      findings: [],
      error: null,
      cause: null,
    })),
    server: null,
    ...changes,
  });
}

/** Text that nobody wants in a page: markup, quotes, directions, length. */
export const HOSTILE_NAMES = [
  '<script>alert(1)</script>',
  `"'\`><img src=x onerror="alert(document.domain)">`,
  'x'.repeat(200),
  '\u202Egnp.exe\u202C مرحبا',
  '</style></title><h1>in</h1>',
  '{{7*7}} &lt;b&gt; &amp;',
] as const;

/** A source whose databases, tables, errors and ids are all hostile. */
export function makeHostileSource(source = 'hostile'): SourceRecords {
  const base = makeHistory({
    source,
    databases: HOSTILE_NAMES,
    days: 12,
    megabytes: 20,
    drills: 0,
  });
  const newest = new Map(
    [...base.newest].map(([database, it]) => [
      database,
      {
        ...it,
        warnings: [`row counts of ${database} fell`],
        tables: HOSTILE_NAMES.map((table, index) => ({
          schema: index === 0 ? 'public' : table,
          table,
          archiveBytes: 10_000 * (index + 1),
          rows: index,
        })),
      },
    ]),
  );
  const failed = makeSummary(source, [], new Date('2026-11-20T02:00:00Z'), 0, {
    status: 'FAILED',
    error: HOSTILE_NAMES[0],
    cause: HOSTILE_NAMES.join(' '),
    problems: HOSTILE_NAMES.map((name) => ({
      stage: 'database',
      database: name,
      error: 'ConnectionLost',
      cause: `server closed the connection: ${name}`,
    })),
    warnings: [HOSTILE_NAMES[1]],
  });
  return { ...base, newest, runs: [failed, ...base.runs] };
}

/** Four sources: one that is well, one that wants a look, one in danger, and one with hostile names. */
export function makeMixedRecords(): ReportRecords {
  const billing = makeHistory({
    source: 'billing',
    databases: ['ledger'],
    staleDays: 3,
    drills: 3,
  });
  const failure = {
    Error: 'DatabaseUnreachable',
    Cause: 'connect ETIMEDOUT 10.0.3.14:5432 after three tries',
  };
  const failedRun = makeSummary('billing', [], new Date('2026-11-20T02:00:00Z'), 0, {
    status: 'FAILED',
    error: failure.Error,
    cause: failure.Cause,
    problems: [{ stage: 'discovery', database: null, error: failure.Error, cause: failure.Cause }],
    retention: null,
    warnings: ['database ledger: 2 tables were not analysed for 90 days'],
  });
  return {
    now: HISTORY_NOW,
    bucket: 'holdfast-prod-backups',
    region: 'eu-west-1',
    sources: [
      makeHistory(),
      makeHistory({
        source: 'inventory',
        databases: ['stock'],
        days: 200,
        megabytes: 60,
        drills: 0,
      }),
      { ...billing, runs: [failedRun, ...billing.runs] },
      makeHostileSource(),
    ],
    unreadable: [
      {
        source: 'inventory',
        key: 'runs/inventory/r-1/summary.json',
        problem: 'the record is not valid: ✖ Invalid input',
      },
    ],
  };
}
