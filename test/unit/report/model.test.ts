import { describe, expect, it } from 'vitest';
import type { DrillKind, SourcePlan } from '#contracts/source-plan.ts';
import { takeInventory } from '#domain/backup-inventory.ts';
import { backupKey } from '#domain/names.ts';
import { findAttention } from '#domain/report/attention.ts';
import { largestTables } from '#domain/report/largest-tables.ts';
import { makeReport, SHOWN, shownDatabases } from '#domain/report/report-model.ts';
import type { ReportRecords, SourceRecords } from '#domain/report/report-records.ts';
import { makeDrillReport } from '#test/fakes/drills.ts';
import {
  backupIdAt,
  executionArnOf,
  makeManifest,
  makePlan,
  makeSnapshotState,
  makeVerification,
} from '#test/fakes.ts';
import {
  HISTORY_NOW,
  makeDrill,
  makeHistory,
  makeMixedRecords,
  makeSummary,
} from '#test/report-history.ts';

function recordsOf(...sources: SourceRecords[]): ReportRecords {
  return { now: HISTORY_NOW, bucket: 'b', region: 'eu-west-1', sources, unreadable: [] };
}

/** All well, and a run that has begun at 07:00 and left no summary. */
function withUntold(status: string | null | undefined): SourceRecords {
  const runId = 'orders-20261120T070000Z-abcdef';
  const startedAt = '2026-11-20T07:00:00.000Z';
  const untold = { runId, executionArn: executionArnOf(runId), startedAt, status };
  return { ...makeHistory(), untold };
}

/** What is said, as `level what`. */
function told(...sources: SourceRecords[]): string[] {
  return findAttention(recordsOf(...sources)).map(({ level, what }) => `${level} ${what}`);
}

/** Of a database of which the server of the drill could not take a table. */
const { version: _version, database: _database, backupId: _backupId, ...FACTS } = makeDrillReport();
const LEFT_OUT = { ...FACTS, tablesLeftOut: 1 };

const extentOf = (databases: readonly string[] | null, snapshotAt: string | null = null) => ({
  version: 1 as const,
  source: 'orders',
  runId: 'r',
  writtenAt: HISTORY_NOW.toISOString(),
  databases:
    databases?.map((database) => ({ database, since: '2026-01-01T00:00:00.000Z' })) ?? null,
  snapshotAt,
});

describe('a source in which all is well', () => {
  it('is green, and needs nothing', () => {
    const model = makeReport(recordsOf(makeHistory()));
    expect(model).toMatchObject({ level: 'green', attention: [] });
    expect(model.sources[0]).toMatchObject({
      level: 'green',
      newestVerifiedAt: new Date('2026-11-20T02:00:00Z'),
      nextRunAt: new Date('2026-11-21T02:00:00Z'),
    });
  });

  it('shows the tiers of its backups and what the next run would delete, as retention decides', () => {
    const [source] = makeReport(recordsOf(makeHistory())).sources;
    const [shop] = source?.databases ?? [];
    expect(new Set(shop?.marks.map(({ tier }) => tier))).toEqual(
      new Set(['yearly', 'monthly', 'weekly', 'daily', 'none']),
    );
    const going = shop?.retention.deletes ?? [];
    expect(going).toHaveLength(1);
    expect(shop?.marks.filter(({ tier }) => tier === 'none').map((it) => it.backupId)).toEqual(
      going.map(({ id }) => id),
    );
    expect(shop?.retention).toMatchObject({ known: true, held: null });
  });

  it('has sizes and durations oldest first', () => {
    const [shop] = makeReport(recordsOf(makeHistory())).sources[0]?.databases ?? [];
    for (const points of [shop?.archiveBytes ?? [], shop?.dumpSeconds ?? []]) {
      expect(points.length).toBeGreaterThan(20);
      const times = points.map(({ time }) => time.getTime());
      expect(times).toEqual(times.toSorted((a, b) => a - b));
    }
  });
});

describe('what needs attention', () => {
  it('is red when the newest verified backup is older than the freshness of the alarms', () => {
    expect(told(makeHistory({ staleDays: 1, databases: ['shop'] }))).toEqual([
      'red Its newest verified backup is 31 h 30 min old, the limit is 31 h',
    ]);
    const patient = makeHistory({
      staleDays: 1,
      databases: ['shop'],
      plan: { monitoring: { freshnessHours: 32 } },
    });
    expect(told(patient)).toEqual([]);
  });

  it('is not the age of a database that was dropped', () => {
    const stale = {
      ...makeHistory({ staleDays: 9, databases: ['old'] }),
      extent: extentOf(['shop']),
    };
    expect(told(stale)).toEqual(['red It has no backup at all']);
    const model = makeReport(recordsOf({ ...stale, extent: extentOf([]) }));
    expect(model.level).toBe('green');
    expect(model.sources[0]?.databases[0]?.isOnServer).toBe(false);
  });

  it('is red without any backup, and with none that is verified', () => {
    const nothing = {
      ...makeHistory({ drills: 0, days: 0 }),
      inventory: takeInventory('orders', []),
    };
    expect(told(nothing)).toEqual(['red It has no backup at all']);
    const ref = {
      source: 'orders',
      database: 'shop',
      backupId: backupIdAt('2026-11-20T02:00:00Z'),
    };
    const unverified = takeInventory('orders', [
      { key: backupKey(ref, 'manifest.json'), sizeBytes: 1, lastModified: HISTORY_NOW },
    ]);
    expect(told({ ...makeHistory(), inventory: unverified })).toEqual([
      'red It has no verified backup',
    ]);
  });

  it('asks no archives of a source that is backed up by snapshots', () => {
    const plan = makePlan({ kinds: ['snapshot'], drill: { schedule: 'none' } });
    const base = {
      ...makeHistory({ days: 0, drills: 0 }),
      plan,
      inventory: takeInventory('orders', []),
    };
    expect(told(base)).toEqual(['red No run has made a snapshot yet']);
    expect(told({ ...base, extent: extentOf(null, '2026-11-20T02:00:00.000Z') })).toEqual([]);
    expect(told({ ...base, extent: extentOf(null, '2026-11-17T02:00:00.000Z') })).toEqual([
      'red Its newest snapshot is 3 days old, the limit is 31 h',
    ]);
  });

  it('has every problem of the last run with its cause and the next step, and none of older runs', () => {
    const failed = makeSummary('orders', [], new Date('2026-11-20T02:00:00Z'), 0, {
      status: 'FAILED',
      error: 'LockTimeout',
      cause: 'c',
      problems: [
        { stage: 'database', database: 'shop', error: 'LockTimeout', cause: 'orders is locked' },
      ],
    });
    const { runs, ...rest } = makeHistory();
    const [item] = findAttention(recordsOf({ ...rest, runs: [failed, ...runs] }));
    expect(item).toEqual({
      level: 'red',
      source: 'orders',
      database: 'shop',
      what: 'Its backup failed in the last run: LockTimeout',
      why: 'orders is locked',
      toDo: expect.stringContaining('pg_locks'),
    });
    expect(told({ ...rest, runs: [...runs.slice(0, 1), failed] })).toEqual([]);
    const ofAnother = makeSummary('orders', ['audit'], new Date('2026-11-20T05:00:00Z'));
    expect(told({ ...rest, runs: [ofAnother, failed] })).toEqual([
      'red Its backup failed in the last run that had it: LockTimeout',
    ]);
    const gone = { ...rest, extent: extentOf(['audit']), runs: [ofAnother, failed] };
    expect(told(gone).join()).not.toContain('failed');
  });

  it('names the failure before what follows from it, and does not send anybody to a schedule that works', () => {
    const failed = makeSummary('orders', [], new Date('2026-11-20T02:00:00Z'), 0, {
      status: 'FAILED',
      error: 'DatabaseUnreachable',
      cause: 'c',
      problems: [{ stage: 'discovery', database: null, error: 'DatabaseUnreachable', cause: 'c' }],
    });
    const { runs, ...rest } = makeHistory({ staleDays: 2, databases: ['shop'] });
    const found = findAttention(recordsOf({ ...rest, runs: [failed, ...runs] }));
    expect(found.map(({ what }) => what)).toEqual([
      'The databases could not be found in the last run: DatabaseUnreachable',
      'Its newest verified backup is 2 days old, the limit is 31 h',
    ]);
    expect(found[1]?.toDo).toMatch(/^See to what the last run failed of/);
  });

  it('tells once of a database that only failed: not of its source as well', () => {
    const nothing = {
      ...makeHistory({ drills: 0, days: 0 }),
      inventory: takeInventory('orders', []),
    };
    const found = findAttention(recordsOf({ ...nothing, extent: extentOf(['shop']) }));
    expect(found.map(({ database, what }) => `${database} ${what}`)).toEqual([
      'shop It has no backup at all',
    ]);
  });

  it('is a schedule that is disabled or gone, where AWS was asked and the plan has one', () => {
    const of = (schedule: SourceRecords['schedule']) => told({ ...makeHistory(), schedule });
    const enabled = { enabled: true, expression: 'rate(1 day)', timezone: 'UTC' };
    expect(of({ known: true, fact: enabled })).toEqual([]);
    expect(of({ known: true, fact: { ...enabled, enabled: false } })).toEqual([
      'amber Its schedule is disabled: no backup starts by itself',
    ]);
    expect(of({ known: true, fact: undefined })).toEqual([
      'amber It has no schedule in AWS: no backup starts by itself',
    ]);
    expect(of(undefined)).toEqual([]);
    const denied = { known: false, reason: 'denied', action: 'a', detail: 'd' } as const;
    expect(of(denied)).toEqual([]);
    const { schedule: _, ...unplanned } = makePlan({ kinds: ['logical'] });
    const byHand = { ...makeHistory(), plan: unplanned, schedule: undefined };
    expect(told({ ...byHand, schedule: { known: true, fact: undefined } })).toEqual([]);
  });

  it.each([
    ['ABORTED', 'amber The last run was stopped before its end (ABORTED)', 'StopExecution'],
    [
      'TIMED_OUT',
      'red The last run was cut off at the time limit of its state machine (TIMED_OUT)',
      'where it stood',
    ],
    ['FAILED', 'red The last run failed and could not tell why (FAILED)', 'where it stood'],
    [null, 'amber The last run has no end: Step Functions does not know it any more', 'missing'],
    ['SUCCEEDED', 'amber The last run ended without its summary (SUCCEEDED)', 'missing'],
  ])('is a run that ended as %s without a word', (status, what, step) => {
    const [found, ...others] = findAttention(recordsOf(withUntold(status)));
    expect(`${found?.level} ${found?.what}`).toBe(what);
    expect(found?.why).toContain('orders-20261120T070000Z-abcdef began 2026-11-20 07:00:00 UTC');
    expect(found?.toDo).toContain(step);
    expect(found?.toDo).toContain('holdfast start orders');
    expect(others).toEqual([]);
  });

  it.each(['RUNNING', 'PENDING_REDRIVE', undefined])('is no run that may go on: %s', (status) => {
    expect(told(withUntold(status))).toEqual([]);
  });

  it('says for a week of a database that it is gone, as nothing else does', () => {
    const gone = (staleDays: number) =>
      told({ ...makeHistory({ staleDays, databases: ['shop', 'old'] }), extent: extentOf([]) });
    const what = 'amber The last whole run did not find it on the server any more';
    expect(gone(6)).toEqual([what, what]);
    expect(gone(7)).toEqual([]);
  });

  it('is amber before the first drill, and when the last one is long ago', () => {
    expect(told(makeHistory({ drills: 0 }))).toEqual([
      'amber No drill has brought its backups back yet',
    ]);
    expect(told(makeHistory({ drills: 0, plan: { drill: { schedule: 'none' } } }))).toEqual([]);
    const old = {
      ...makeHistory(),
      drills: [makeDrill('orders', ['shop'], new Date('2026-09-20T02:00:00Z'))],
    };
    expect(told(old)).toEqual(['amber The last drill was 61 days ago, the limit is 38 days']);
  });

  it('has each finding of a failed drill with its advice, but not those of the environment', () => {
    const drill = makeDrill('orders', ['shop'], new Date('2026-11-19T02:00:00Z'), 0, {
      status: 'FAILED',
      error: 'DrillFailed',
    });
    const finding = (kind: 'data' | 'environment') => ({
      class: kind,
      check: 'rows' as const,
      subject: 'public.orders',
      message: '0 rows of 1200',
      advice: 'Restore the backup before it.',
    });
    const [database] = drill.databases;
    if (!database) throw new Error('the drill has no database');
    const findings = [finding('data'), finding('environment')];
    const failed = { ...drill, databases: [{ ...database, status: 'FAILED' as const, findings }] };
    expect(findAttention(recordsOf({ ...makeHistory(), drills: [failed] }))).toEqual([
      {
        level: 'red',
        source: 'orders',
        database: 'shop',
        what: 'The last drill failed: rows of public.orders',
        why: '0 rows of 1200',
        toDo: 'Restore the backup before it.',
      },
    ]);
  });

  it('tells of a database whose drill was killed beside one with findings, and of each in its last drill', () => {
    const at = (day: string) => new Date(`2026-11-${day}T02:00:00Z`);
    const base = makeDrill('orders', ['shop', 'audit', 'gone'], at('18'), 0, { status: 'FAILED' });
    const [shop, audit, gone] = base.databases;
    if (!shop || !audit || !gone) throw new Error('the drill has too few databases');
    const rpo = {
      class: 'target',
      check: 'rpo',
      subject: null,
      message: '26 h old',
      advice: 'See why.',
    } as const;
    const failed = {
      ...base,
      databases: [
        {
          ...shop,
          status: 'FAILED',
          findings: [rpo],
          error: 'DrillFailed',
          cause: 'it has no report',
        },
        { ...audit, status: 'FAILED', error: 'TaskStopped', cause: 'OutOfMemoryError' },
        { ...gone, status: 'FAILED', error: 'TaskStopped', cause: 'OutOfMemoryError' },
      ],
    } satisfies (typeof history)['drills'][number];
    const history = { ...makeHistory({ drills: 0 }), extent: extentOf(['shop', 'audit']) };
    expect(told({ ...history, drills: [failed] })).toEqual([
      'red The last drill failed: DrillFailed',
      'red The last drill missed its RPO target',
      'red The last drill failed: TaskStopped',
      'red The last drill failed: TaskStopped',
    ]);
    // One of another database alone, and one of the server, say nothing about it.
    const ofShop = makeDrill('orders', ['shop'], at('19'));
    const ofServer = makeDrill('orders', ['audit'], at('20'));
    const later = [
      { ...ofServer, drill: { ...ofServer.drill, kind: 'snapshot' } } as const,
      ofShop,
    ];
    expect(told({ ...history, drills: [...later, failed] })).toEqual([
      'red The last archive drill of it failed: TaskStopped',
    ]);
    const ofAudit = makeDrill('orders', ['audit'], at('20'));
    expect(told({ ...history, drills: [ofAudit, ofShop, failed] })).toEqual([]);
  });

  it('counts as the last drill only one that brought all of the source back', () => {
    const at = (day: string) => new Date(`${day}T02:00:00Z`);
    const whole = makeDrill('orders', ['shop', 'audit'], at('2026-09-20'));
    const ofShop = makeDrill('orders', ['shop'], at('2026-11-19'));
    const part = { ...ofShop, drill: { ...ofShop.drill, part: true } } as const;
    const inPart = makeDrill('orders', ['shop', 'audit'], at('2026-11-19'), 0, {
      databases: whole.databases.map((it) => ({ ...it, report: LEFT_OUT })),
    });
    const of = (...drills: SourceRecords['drills']) => {
      const { attention, sources } = makeReport(recordsOf({ ...makeHistory(), drills }));
      const [source] = sources;
      return {
        said: attention.map(({ what, why, toDo }) => [what, why, toDo]),
        lastPassedAt: source?.drills.lastPassedAt,
      };
    };
    const long = 'The last drill that brought all of it back was 61 days ago, the limit is 38 days';
    const start =
      'Check that the schedule of drills is enabled, then start one: holdfast drill orders.';
    expect(of(part, whole)).toEqual({
      said: [[long, 'The last one passed in part: of a part of the source', start]],
      lastPassedAt: at('2026-09-20'),
    });
    expect(of(inPart, whole)).toEqual({
      said: [
        [
          long,
          'The last one passed in part: 2 tables left out',
          expect.stringContaining(`holdfast drills orders ${inPart.drill.drillId} tells`),
        ],
      ],
      lastPassedAt: at('2026-09-20'),
    });
    expect(of(inPart)).toMatchObject({
      said: [['Its drill has not brought all of it back', expect.anything(), expect.anything()]],
      lastPassedAt: null,
    });
    expect(of(part, inPart).said[0]?.[0]).toBe(
      'None of its last 2 drills has brought all of it back',
    );
    const recent = makeDrill('orders', ['shop', 'audit'], at('2026-11-10'));
    expect(of(part, recent)).toEqual({ said: [], lastPassedAt: at('2026-11-10') });
  });

  it('sends to a server that RDS restores only where there can be one', () => {
    const inPart = makeDrill('orders', ['shop'], new Date('2026-11-19T02:00:00Z'), 0, {
      databases: makeDrill('orders', ['shop'], HISTORY_NOW).databases.map((it) => ({
        ...it,
        report: LEFT_OUT,
      })),
    });
    const history = { ...makeHistory(), drills: [inPart] };
    const toDo = (engine: SourcePlan['engine']) => {
      const plan = { ...makePlan({ kinds: ['logical'] }), engine };
      return findAttention(recordsOf({ ...history, plan }))[0]?.toDo;
    };
    expect(toDo({ type: 'rds-instance', identifier: 'orders-prod' })).toContain('--kind snapshot');
    expect(toDo({ type: 'postgres' })).toMatch(/tells what its server lacked\. (?!.*--kind)/);
  });

  it('has a drill that failed before it began, until a drill of the source begins', () => {
    const at = (day: string) => new Date(`2026-11-${day}T02:00:00Z`);
    const ended = makeDrill('orders', [], at('15'), 0, {
      status: 'FAILED',
      error: 'InvalidPlan',
      cause: 'drill.server.securityGroups is missing',
      rtoSeconds: null,
      rpoSeconds: null,
    });
    const unplanned = { ...ended, drill: { ...ended.drill, unplanned: true } } as const;
    const before = makeDrill('orders', ['shop', 'audit'], at('10'));
    const after = makeDrill('orders', ['shop', 'audit'], at('18'));
    const ofShop = makeDrill('orders', ['shop'], at('18'));
    const of = (...drills: SourceRecords['drills']) => ({ ...makeHistory(), drills });
    expect(findAttention(recordsOf(of(unplanned, before)))).toEqual([
      {
        level: 'red',
        source: 'orders',
        database: null,
        what: 'The last drill failed before it began: InvalidPlan',
        why: 'drill.server.securityGroups is missing',
        toDo: expect.stringMatching(/\w/),
      },
    ]);
    const part = { ...ofShop, drill: { ...ofShop.drill, part: true } } as const;
    expect(told(of(part, unplanned, before))).toEqual([
      'red A drill failed before it began: InvalidPlan',
    ]);
    expect(told(of(after, unplanned, before))).toEqual([]);
    // Its own kind is not known, so that one of another kind will do.
    const snapshot = { ...after, drill: { ...after.drill, kind: 'snapshot' } } as const;
    expect(told(of(snapshot, unplanned, before))).toEqual([]);
  });

  it('has a drill of a snapshot of which nothing came back, until another one of it does', () => {
    const at = (day: string) => new Date(`2026-11-${day}T02:00:00Z`);
    const ofServer = (day: string, changes: Partial<SourceRecords['drills'][number]> = {}) => {
      const drill = makeDrill('orders', ['shop'], at(day), 0, changes);
      return { ...drill, drill: { ...drill.drill, kind: 'snapshot' } } as const;
    };
    const failed = ofServer('15', {
      status: 'FAILED',
      error: 'RestoreFailed',
      cause: 'storage-full',
      databases: [],
    });
    const kinds: DrillKind[] = ['archive', 'snapshot'];
    const of = (...drills: SourceRecords['drills']) => ({
      ...makeHistory(),
      plan: makePlan({ kinds: ['logical', 'snapshot'], drill: { kinds } }),
      drills,
    });
    const ofArchives = makeDrill('orders', ['shop', 'audit'], at('18'));
    expect(told(of(failed))).toEqual(['red The last drill failed: RestoreFailed']);
    expect(told(of(ofArchives, failed))).toEqual([
      'red The last snapshot drill failed: RestoreFailed',
    ]);
    expect(told(of(ofServer('18'), failed))).toEqual([]);
  });

  it('has what all databases together missed, though none of them did alone', () => {
    const rto = {
      class: 'target',
      check: 'rto',
      subject: null,
      message: 'all of them took 10 h 0 min, more than 4 h 0 min',
      advice: 'Raise dump.concurrency.',
    } as const;
    const drill = makeDrill('orders', ['shop', 'audit'], new Date('2026-11-19T02:00:00Z'), 0, {
      status: 'FAILED',
      error: 'DrillFailed',
      cause: rto.message,
      findings: [rto],
    });
    expect(findAttention(recordsOf({ ...makeHistory(), drills: [drill] }))).toEqual([
      {
        level: 'red',
        source: 'orders',
        database: null,
        what: 'The last drill missed its RTO target, of all databases together',
        why: rto.message,
        toDo: rto.advice,
      },
    ]);
  });

  it('has a newest backup that is quarantined, also where the reason was not read', () => {
    const history = makeHistory({ databases: ['shop'], days: 3 });
    const ref = {
      source: 'orders',
      database: 'shop',
      backupId: backupIdAt(new Date('2026-11-20T03:00:00Z')),
    };
    const objects = [...history.inventory.databases.values()]
      .flat()
      .flatMap(({ files }) => [...files.values()]);
    const quarantined = {
      key: backupKey(ref, 'quarantine.json'),
      sizeBytes: 1,
      lastModified: HISTORY_NOW,
    };
    const inventory = takeInventory('orders', [...objects, quarantined]);
    expect(told({ ...history, inventory })).toEqual(['red Its newest backup is quarantined']);
  });

  it('does not call a source without its plan where no plan could be read', () => {
    const found = findAttention({
      ...recordsOf({ ...makeHistory({ drills: 0 }), plan: undefined }),
      plansUnknown: 'ThrottlingException',
    });
    expect(found).toMatchObject([
      {
        level: 'amber',
        source: null,
        what: expect.stringMatching(/^Plans of sources cannot be read/),
        why: 'ThrottlingException',
      },
    ]);
    expect(findAttention({ ...recordsOf(), plansUnknown: 'x' })).toHaveLength(1);
  });

  it('has what could not be read, and a source that has lost its plan', () => {
    const found = findAttention({
      ...recordsOf({ ...makeHistory(), plan: undefined }),
      unreadable: [{ source: 'orders', key: 'k.json', problem: 'p' }],
    });
    expect(found.map(({ level, what }) => `${level} ${what}`)).toEqual([
      'amber Its backups are there, its plan is not: nothing is added and nothing is deleted',
      'amber The record k.json cannot be read',
    ]);
  });

  it('stands red first, and the sources worst first', () => {
    const model = makeReport(makeMixedRecords());
    const levels = model.attention.map(({ level }) => level);
    expect(levels).toEqual(levels.toSorted().toReversed());
    expect(model.sources.map(({ source, level }) => `${source} ${level}`)).toEqual([
      'billing red',
      'hostile red',
      'inventory amber',
      'orders green',
    ]);
  });

  it('is amber, and says how to begin, where there is no source at all', () => {
    expect(makeReport(recordsOf())).toMatchObject({ level: 'amber', sources: [] });
  });
});

describe('what retention would delete', () => {
  const going = (records: SourceRecords) =>
    makeReport(recordsOf(records)).sources[0]?.databases.map(({ database, retention }) => ({
      database,
      count: retention.deletes.length,
      held: retention.held,
    }));

  it('goes nowhere while the plan only shows it', () => {
    const held = 'the plan says retention.dryRun: nothing is ever deleted';
    expect(going(makeHistory({ plan: { retention: { dryRun: true } } }))).toEqual([
      { database: 'shop', count: 1, held },
      { database: 'audit', count: 1, held },
    ]);
  });

  it('is refused for the whole of a source when the guard refuses it for one database', () => {
    const history = makeHistory({ databases: ['shop', 'audit'] });
    const crowd = Array.from({ length: 400 }, (_, index) => {
      const time = new Date(HISTORY_NOW.getTime() - (index + 8) * 3_600_000);
      const ref = { source: 'orders', database: 'shop', backupId: backupIdAt(time) };
      return (['archive.dump', 'manifest.json', 'verification.json'] as const).map((file) => ({
        key: backupKey(ref, file),
        sizeBytes: 10,
        lastModified: time,
      }));
    }).flat();
    const crowded = takeInventory('orders', crowd).databases.get('shop') ?? [];
    const databases = new Map([...history.inventory.databases, ['shop', crowded] as const]);
    const found = going({ ...history, inventory: { databases, foreignObjects: 0 } });
    const refusal = expect.stringMatching(/^retention of database shop would delete 3\d\d of 400/);
    expect(found?.map(({ database, held }) => ({ database, held }))).toEqual([
      { database: 'audit', held: refusal },
      { database: 'shop', held: refusal },
    ]);
  });

  it('waits while the last dump of a database has failed, and that of the others does not', () => {
    const { runs, ...rest } = makeHistory();
    const half = makeSummary('orders', ['audit'], new Date('2026-11-20T02:00:00Z'), 0, {
      status: 'FAILED',
      databases: [
        ...(runs[0]?.databases.filter(({ database }) => database === 'audit') ?? []),
        { status: 'failed', database: 'shop', failure: { Error: 'LockTimeout', Cause: 'c' } },
      ] as (typeof runs)[number]['databases'],
    });
    expect(going({ ...rest, runs: [half, ...runs] })).toEqual([
      { database: 'shop', count: 1, held: 'its dump failed in the last run: LockTimeout' },
      { database: 'audit', count: 1, held: null },
    ]);
  });
});

describe('the age that a report tells', () => {
  it('is that of the newest snapshot where nothing else is made', () => {
    const plan = makePlan({ kinds: ['snapshot'], drill: { schedule: 'none' } });
    const base = {
      ...makeHistory({ days: 0, drills: 0 }),
      plan,
      inventory: takeInventory('orders', []),
    };
    const at = (records: SourceRecords) => makeReport(recordsOf(records)).sources[0];
    expect(at({ ...base, extent: extentOf(null, '2026-11-20T02:00:00.000Z') })).toMatchObject({
      backedUpBy: 'snapshots',
      newestVerifiedAt: new Date('2026-11-20T02:00:00Z'),
    });
    expect(at(base)?.newestVerifiedAt).toBeNull();
  });

  it('is none where a database on the server has no backup, and that database is shown', () => {
    const [source] = makeReport(
      recordsOf({ ...makeHistory({ databases: ['shop'] }), extent: extentOf(['shop', 'new']) }),
    ).sources;
    expect(source?.newestVerifiedAt).toBeNull();
    expect(source?.databases.map(({ database, level }) => `${database} ${level}`)).toEqual([
      'new red',
      'shop green',
    ]);
  });

  it('has no next run where the schedule is disabled or where nothing runs it', () => {
    const next = (schedule: SourceRecords['schedule']) => {
      const [source] = makeReport(recordsOf({ ...makeHistory(), schedule })).sources;
      return `${source?.scheduleState} ${source?.nextRunAt?.toISOString() ?? 'none'}`;
    };
    const fact = { enabled: false, expression: 'rate(1 day)', timezone: 'UTC' };
    const unknown = { known: false, action: 'a', detail: 'd' } as const;
    expect(next({ known: true, fact })).toBe('disabled none');
    expect(next({ known: true, fact: undefined })).toBe('missing none');
    expect(next({ ...unknown, reason: 'not-served' })).toBe('none none');
    expect(next({ ...unknown, reason: 'denied' })).toBe('unknown 2026-11-21T02:00:00.000Z');
    expect(next(undefined)).toBe('unknown 2026-11-21T02:00:00.000Z');
  });
});

describe('what storage costs', () => {
  it('is counted by the prices of the region and the class of each object', () => {
    const key = (file: 'archive.dump' | 'manifest.json') =>
      backupKey({ source: 'orders', database: 'shop', backupId: backupIdAt(HISTORY_NOW) }, file);
    const inventory = takeInventory('orders', [
      {
        key: key('archive.dump'),
        sizeBytes: 100 * 2 ** 30,
        lastModified: HISTORY_NOW,
        storageClass: 'GLACIER_IR',
      },
      { key: key('manifest.json'), sizeBytes: 0, lastModified: HISTORY_NOW },
    ]);
    const cost = (region: string) => {
      const { monthlyCostUsd, pricedAs } = makeReport({
        ...recordsOf({ ...makeHistory(), inventory }),
        region,
      });
      return `${monthlyCostUsd.toFixed(2)} ${pricedAs}`;
    };
    expect(cost('us-east-1')).toBe('0.40 us-east-1');
    expect(cost('eu-west-1')).toBe('0.50 eu-west-1');
    expect(cost('mars-1')).toBe('0.40 us-east-1');
  });
});

describe('the bounds of a report', () => {
  it('show small databases in need before large ones that are well', () => {
    const databases = Array.from({ length: SHOWN.databases + 7 }, (_, index) => `db${index}`);
    const history = makeHistory({ databases, days: 3 });
    // The smallest of all, and the last whole run found it.
    const records = { ...history, extent: extentOf([...databases, 'tiny']) };
    const chosen = shownDatabases(records, { now: HISTORY_NOW });
    expect(chosen).toHaveLength(SHOWN.databases);
    expect(chosen[0]).toBe('tiny');
    const [source] = makeReport(recordsOf(records)).sources;
    expect(source?.databases.map(({ database }) => database)).toEqual(chosen);
    expect(source).toMatchObject({ furtherDatabases: 8, furtherInNeed: 0 });
  });

  it('count what they leave out', () => {
    const databases = Array.from({ length: SHOWN.databases + 7 }, (_, index) => `db${index}`);
    const [source] = makeReport(recordsOf(makeHistory({ databases, days: 3 }))).sources;
    expect(source?.databases).toHaveLength(SHOWN.databases);
    expect(source?.furtherDatabases).toBe(7);
    expect(source?.runs.length).toBeLessThanOrEqual(SHOWN.runs);
  });
});

describe('the snapshots of a report', () => {
  it('are those that retention kept and those made since', () => {
    const snapshot = makeSnapshotState();
    const run = makeSummary('orders', ['shop'], new Date('2026-11-20T02:00:00Z'), 0, {
      snapshot: { status: 'available', snapshot },
    });
    const kept = {
      id: 'holdfast-orders-20261101t020000z-abcdef',
      time: '2026-11-01T02:00:00.000Z',
      state: 'verified' as const,
      sizeBytes: 0,
      reasons: ['last 2 of 3'],
    };
    const retention = {
      version: 1 as const,
      source: 'orders',
      runId: 'r',
      plannedAt: '2026-11-19T02:00:00.000Z',
      dryRun: false,
      guard: null,
      timezone: 'UTC',
      databases: [],
      snapshots: { withheld: null, keep: [kept], delete: [] },
      foreign: { objects: 0, snapshots: [] },
    };
    const [source] = makeReport(recordsOf({ ...makeHistory(), runs: [run], retention })).sources;
    expect(source?.snapshots.map((it) => it.snapshotId)).toEqual([snapshot.snapshotId, kept.id]);
  });
});

describe('the largest tables', () => {
  it('come by their share of the archive, with rows where they were counted', () => {
    const block = (table: string, lengthBytes: number) => ({
      dumpId: lengthBytes,
      kind: 'table' as const,
      schema: 'public',
      table,
      offset: 1,
      lengthBytes,
    });
    const manifest = makeManifest();
    const archive = {
      ...manifest.archive,
      blocks: [block('small', 5), block('orders', 90), block('mid', 40)],
    };
    expect(largestTables({ archive }, makeVerification(), 2)).toEqual([
      { schema: 'public', table: 'orders', archiveBytes: 90, rows: 1200 },
      { schema: 'public', table: 'mid', archiveBytes: 40, rows: null },
    ]);
  });
});
