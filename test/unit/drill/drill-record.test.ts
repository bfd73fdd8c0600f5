import { describe, expect, it } from 'vitest';
import { type DatabaseDrill, type DrillFinding, DrillRecord } from '#contracts/drill.ts';
import { drillAlert, unplannedDrillAlert } from '#domain/drill/drill-alert.ts';
import { drillMetrics } from '#domain/drill/drill-metrics.ts';
import {
  type DrilledSubject,
  drilledSubjects,
  judgeDatabase,
  makeDrillRecord,
} from '#domain/drill/drill-record.ts';
import { makeArchiveDrill, makeDrill, makeDrillReport, makeMissing } from '#test/fakes/drills.ts';
import { backupIdAt } from '#test/fakes.ts';

const drill = makeDrill();
const endedAt = new Date('2026-11-20T10:05:00Z');
const backupId = backupIdAt('2026-11-20T02:00:00Z');
const subject: DrilledSubject = {
  database: 'shop',
  backupId,
  chosenBy: 'latest',
  newestDataAt: '2026-11-20T02:00:00.000Z',
  reportKey: 'drills/orders/x/shop/report.json',
  failure: null,
};
const finding = (kind: DrillFinding['class']): DrillFinding => ({
  class: kind,
  check: kind === 'environment' ? 'extensions' : 'rows',
  subject: 'public.orders',
  message: `${kind} is not as it was`,
  advice: 'look at it',
});

describe('what became of each database', () => {
  const drilled = (database: string) => ({
    drilled: [{ database, backupId, reportKey: `r/${database}`, failed: false }],
  });

  it('is told of those that were drilled, that failed, and that were missing', () => {
    const failure = { Error: 'TaskKilled', Cause: 'out of memory' };
    const subjects = drilledSubjects(
      {
        archives: [makeArchiveDrill('a'), makeArchiveDrill('b')],
        missing: [makeMissing('c')],
        server: null,
        results: [drilled('a'), { database: 'b', backupId, failure }],
      },
      drill,
    );
    expect(subjects).toMatchObject([
      { database: 'a', failure: null, reportKey: expect.stringMatching(/\/a\/report\.json$/) },
      { database: 'b', failure, chosenBy: 'latest' },
      { database: 'c', failure: { Error: 'BackupNotFound' }, reportKey: null, newestDataAt: null },
    ]);
  });

  it('is the failure of the whole where the map itself failed', () => {
    const failure = { Error: 'States.DataLimitExceeded', Cause: 'too much' };
    const event = { archives: [makeArchiveDrill('a')], server: null, failure };
    expect(drilledSubjects(event, drill)).toMatchObject([{ database: 'a', failure }]);
  });

  it('is a failure where a result was lost', () => {
    const event = { archives: [makeArchiveDrill('a')], server: null, results: [] };
    expect(drilledSubjects(event, drill)).toMatchObject([{ failure: { Error: 'DrillFailed' } }]);
  });
});

describe('the verdict on a database', () => {
  it('is that it passed when the report has nothing against it and the targets are met', () => {
    expect(judgeDatabase(subject, makeDrillReport(), drill)).toMatchObject({
      status: 'PASSED',
      rpoSeconds: 28_800,
      findings: [],
      error: null,
    });
  });

  it.each([
    ['data', 'FAILED'],
    ['target', 'FAILED'],
    ['environment', 'PASSED'],
  ] as const)('with a finding of class %s is %s', (kind, status) => {
    const report = makeDrillReport({ findings: [finding(kind)] });
    expect(judgeDatabase(subject, report, drill)).toMatchObject({
      status,
      findings: [finding(kind)],
      error: status === 'FAILED' ? 'DrillFailed' : null,
    });
  });

  it('is that it failed when bringing it back took longer than the target, by a second', () => {
    const at = (rtoSeconds: number) =>
      judgeDatabase(subject, makeDrillReport({ rtoSeconds }), drill);
    expect(at(14_400)).toMatchObject({ status: 'PASSED', findings: [] });
    expect(at(14_401)).toMatchObject({
      status: 'FAILED',
      findings: [{ class: 'target', check: 'rto', message: expect.stringContaining('4 h 0 min') }],
    });
  });

  it('says of a part that the whole would have taken so long, and which phase is to blame', () => {
    const report = makeDrillReport({ rtoSeconds: 20_000, extrapolated: true });
    const [found] = judgeDatabase(subject, report, drill).findings;
    expect(found?.message).toMatch(/^it would have taken 5 h 33 min/);
    expect(found?.advice).toContain('restore with 1 min 30 s');
  });

  it('is that it failed when the newest data are older than the target, however good they are', () => {
    const at = (newestDataAt: string) =>
      judgeDatabase({ ...subject, newestDataAt }, makeDrillReport(), drill);
    expect(at('2026-11-19T10:00:00.000Z')).toMatchObject({ status: 'PASSED' });
    expect(at('2026-11-19T09:59:59.000Z')).toMatchObject({
      status: 'FAILED',
      error: 'DrillFailed',
      findings: [{ class: 'target', check: 'rpo' }],
    });
  });

  it("is the task's own error when it ended with one, with the RPO all the same", () => {
    const failure = { Error: 'ChecksumMismatch', Cause: 'block 3' };
    expect(judgeDatabase({ ...subject, failure }, undefined, drill)).toMatchObject({
      status: 'FAILED',
      error: 'ChecksumMismatch',
      cause: 'block 3',
      report: null,
      rpoSeconds: 28_800,
    });
  });

  it('is that it failed when its report is not there', () => {
    expect(judgeDatabase(subject, undefined, drill)).toMatchObject({
      status: 'FAILED',
      error: 'DrillFailed',
      cause: 'the report of its drill cannot be read',
    });
  });
});

const passed = judgeDatabase(subject, makeDrillReport(), drill);
const damaged = judgeDatabase(
  { ...subject, database: 'audit', newestDataAt: '2026-11-20T01:00:00.000Z' },
  makeDrillReport({ rtoSeconds: 400, findings: [finding('data')] }),
  drill,
);
const killed = judgeDatabase(
  { ...subject, database: 'crm', failure: { Error: 'TaskKilled', Cause: 'exit code 137' } },
  undefined,
  drill,
);
const record = (
  databases: DrillRecord['databases'],
  event: Parameters<typeof makeDrillRecord>[0]['event'] = {},
) => DrillRecord.parse(makeDrillRecord({ event, drill, databases, endedAt }));

describe('the record of a drill', () => {
  it('has the longest and the oldest of all databases', () => {
    expect(record([passed, damaged])).toMatchObject({
      status: 'FAILED',
      rtoSeconds: 400,
      rpoSeconds: 32_400,
      durationSeconds: 300,
    });
  });

  it('fails by the time until all are back, though each database alone was in time', () => {
    const inTurn = ['a', 'b', 'c'].map((database, at) =>
      judgeDatabase(
        { ...subject, database },
        makeDrillReport({
          begunAt: new Date(Date.parse(drill.startedAt) + at * 6_000_000).toISOString(),
          measuredSeconds: 6000,
          rtoSeconds: 6000,
        }),
        drill,
      ),
    );
    expect(inTurn.map(({ status }) => status)).toEqual(['PASSED', 'PASSED', 'PASSED']);
    const late = record(inTurn);
    expect(late).toMatchObject({
      status: 'FAILED',
      error: 'DrillFailed',
      cause:
        'each of 3 databases came back in time, all of them took 5 h 0 min, more than 4 h 0 min',
      rtoSeconds: 18_000,
      findings: [{ class: 'target', check: 'rto', subject: null }],
    });
    expect(drillMetrics(late)[0]?.values).toMatchObject({
      DrillFailed: 1,
      DrillRto: 18_000,
      RtoMissed: 1,
    });
    const { text } = drillAlert(late, 'backups');
    expect(text).toContain(
      'RTO 5 h 0 min of 4 h 0 min: MISSED; until all 3 databases are back, the slowest alone 1 h 40 min',
    );
    expect(text).toContain('all databases: rto: each of 3 databases came back in time');
    const two = record(inTurn.slice(0, 2));
    expect(two).toMatchObject({ status: 'PASSED', rtoSeconds: 12_000 });
    expect(two.findings).toBeUndefined();
  });

  it('tells of the one database that took too long, and not of all once more', () => {
    const slow = judgeDatabase(
      subject,
      makeDrillReport({ begunAt: drill.startedAt, rtoSeconds: 20_000 }),
      drill,
    );
    const late = record([slow]);
    expect(late.findings).toBeUndefined();
    expect(drillMetrics(late)[0]?.values).toMatchObject({ RtoMissed: 1 });
  });

  it('has no RTO where too little came back, says why, and records nothing of it', () => {
    const little = judgeDatabase(
      subject,
      makeDrillReport({ rtoSeconds: null, rtoUnknown: '25 B of 500 GB of data were restored' }),
      drill,
    );
    const whole = record([passed, little]);
    expect(whole).toMatchObject({ status: 'PASSED', rtoSeconds: null });
    expect(drillMetrics(whole)[0]?.values).toEqual({
      DrillFailed: 0,
      DrillRpo: 28_800,
      RpoMissed: 0,
    });
    const { subject: title, text } = drillAlert(whole, 'backups');
    expect(title).toBe('Holdfast: drill of orders passed');
    expect(text).toContain('RTO: was not measured, the target is 4 h 0 min');
    expect(text).toContain('shop: 25 B of 500 GB of data were restored');
  });

  it('judges no age where the plan has no target of it', () => {
    const byHand = makeDrill({ targets: { rtoSeconds: 14_400, rpoSeconds: null } });
    const old = { ...subject, newestDataAt: '2025-11-20T10:00:00.000Z' };
    const judged = judgeDatabase(old, makeDrillReport(), byHand);
    expect(judged).toMatchObject({ status: 'PASSED', rpoSeconds: 365 * 86_400, findings: [] });
    const whole = makeDrillRecord({ event: {}, drill: byHand, databases: [judged], endedAt });
    expect(drillMetrics(whole)[0]?.values).toEqual({
      DrillFailed: 0,
      DrillRto: 120,
      RtoMissed: 0,
      DrillRpo: 365 * 86_400,
    });
    expect(drillAlert(whole, 'backups').text).toContain(', there is no target');
  });

  it('has the one error by which all failed, and DrillFailed where there were several', () => {
    expect(record([passed])).toMatchObject({ status: 'PASSED', error: null, cause: null });
    expect(record([passed, killed])).toMatchObject({
      error: 'TaskKilled',
      cause: '1 of 2 databases failed: crm: exit code 137',
    });
    expect(record([damaged, killed])).toMatchObject({ error: 'DrillFailed' });
  });

  it('has no age where nothing of one database can be brought back: the target is missed', () => {
    const [missing] = drilledSubjects({ missing: [makeMissing('lost')], server: null }, drill);
    const lost = judgeDatabase(missing ?? subject, undefined, drill);
    expect(lost).toMatchObject({
      status: 'FAILED',
      error: 'BackupNotFound',
      rpoSeconds: null,
      findings: [
        {
          class: 'target',
          check: 'rpo',
          message: 'nothing of it can be brought back, whatever its age; the target is 24 h 0 min',
        },
      ],
    });
    const whole = record([passed, lost]);
    expect(whole).toMatchObject({ status: 'FAILED', rtoSeconds: 120, rpoSeconds: null });
    const { text } = drillAlert(whole, 'backups');
    expect(text).toContain(
      'RPO: MISSED, nothing of lost can be brought back; the target is 24 h 0 min; of the others: 8 h 0 min',
    );
    expect(text).not.toMatch(/RPO.*: met/);
    expect(drillMetrics(whole)[0]?.values).toEqual({
      DrillFailed: 1,
      DrillRto: 120,
      RtoMissed: 0,
      RpoMissed: 1,
    });
  });

  it('does not call a target missed of data whose age nobody knows', () => {
    const failure = { Error: 'TaskKilled', Cause: 'exit code 137' };
    const unknown = judgeDatabase(
      { ...subject, newestDataAt: undefined, failure },
      undefined,
      drill,
    );
    expect(unknown).toMatchObject({ rpoSeconds: null, findings: [] });
    expect(record([passed, unknown])).toMatchObject({ rpoSeconds: 28_800 });
    expect(drillMetrics(record([unknown]))[0]?.values).toEqual({ DrillFailed: 1 });
    expect(drillAlert(record([unknown]), 'backups').text).toContain('RPO: was not measured');
  });

  it('has the tables that are not as they were, and no list without end: the rest is in report.json', () => {
    const report = makeDrillReport();
    const rows = Array.from({ length: 2000 }, (_, at) => ({
      schema: 'public',
      table: `t${at}`,
      expected: at === 0 ? null : 10,
      actual: at === 1234 ? 9 : 10,
    }));
    const restored = report.checks.restored && { ...report.checks.restored, rows };
    const kept = judgeDatabase(
      subject,
      makeDrillReport({ checks: { ...report.checks, restored } }),
      drill,
    );
    expect(kept.report?.checks.restored?.rows).toEqual([rows[1234]]);
    expect(kept.report).toMatchObject({ tables: report.tables, rows: report.rows });
    const found = Array.from({ length: 2000 }, () => finding('environment'));
    const many = judgeDatabase(
      subject,
      makeDrillReport({ findings: [...found, finding('data')] }),
      drill,
    );
    expect(many.status).toBe('FAILED');
    expect(many.findings).toHaveLength(50);
    expect(many.findings[0]).toEqual(finding('data'));
    expect(many.findings.at(-1)).toMatchObject({
      class: 'environment',
      message: '1,952 more findings are in report.json',
    });
    expect(JSON.stringify(record([many], {})).length).toBeLessThan(50_000);
  });

  it('is still that it failed where the findings that fail it are too many to be listed', () => {
    const all = Array.from({ length: 60 }, () => finding('data'));
    const late = { ...subject, newestDataAt: '2026-11-01T00:00:00.000Z' };
    const judged = judgeDatabase(late, makeDrillReport({ findings: all }), drill);
    const { findings } = judged;
    expect(findings).toHaveLength(50);
    expect(drillMetrics(record([judged]))[0]?.values).toMatchObject({ RpoMissed: 1 });
    expect(findings.at(-1)).toMatchObject({ class: 'data', subject: null });
  });

  it('failed when there was nothing to drill', () => {
    expect(record([])).toMatchObject({ status: 'FAILED', error: 'BackupNotFound' });
  });

  it('failed by what failed the whole', () => {
    const failure = { Error: 'ServerRestoreFailed', Cause: 'storage-full' };
    expect(record([], { failure })).toMatchObject({
      status: 'FAILED',
      error: 'ServerRestoreFailed',
    });
  });
});

describe('the alert about a drill', () => {
  const bucket = 'backups';

  it('says in its subject that it was of a part, and of which', () => {
    const part = { ...record([passed]), drill: { ...drill, part: true as const } };
    expect(drillAlert(part, bucket).subject).toBe(
      'Holdfast: drill of orders passed in part, shop alone: back in 2 min 0 s',
    );
  });

  it('names times and targets when it passed', () => {
    const alert = drillAlert(record([passed]), bucket);
    expect(alert.subject).toBe('Holdfast: drill of orders passed: back in 2 min 0 s');
    expect(alert.text).toContain('RTO 2 min 0 s of 4 h 0 min: met');
    expect(alert.text).toContain('RPO 8 h 0 min of 24 h 0 min: met');
    expect(alert.text).toContain('s3://backups/drills/orders/');
    expect(alert.text).not.toContain('What was found');
    expect(alert.attributes).toMatchObject({ event: 'drill', status: 'PASSED', severity: 'info' });
  });

  it('says that it passed in part where tables were left out', () => {
    const some = judgeDatabase(
      subject,
      makeDrillReport({ tables: 0, rows: 0, tablesLeftOut: 1, rtoSeconds: null }),
      drill,
    );
    const alert = drillAlert(record([some]), bucket);
    expect(alert.subject).toBe('Holdfast: drill of orders passed in part: 0 of 1 table');
    expect(alert.text).toContain('PASSED shop');
    expect(alert.text).toContain('0 of 1 table with 0 rows');
    expect(alert.text).not.toContain('all of them good');
    expect(alert.attributes).toMatchObject({ severity: 'warning' });
    expect(alert.json).toMatchObject({ tablesLeftOut: 1 });
  });

  it('says of rows that nothing counted at the backup that they were not compared', () => {
    const structure = judgeDatabase(subject, makeDrillReport({ rowsCompared: false }), drill);
    const words = 'rows not compared: verified by structure only';
    expect(drillAlert(record([structure]), bucket).text).toContain(words);
    expect(drillAlert(record([passed]), bucket).text).not.toContain(words);
  });

  it('says what was found, and what to do, when it failed', () => {
    const alert = drillAlert(record([passed, damaged, killed]), bucket);
    expect(alert.text).toContain('2 of 3 not good');
    expect(alert.text).toContain('audit public.orders: rows: data is not as it was. look at it');
    expect(alert.text).toContain('FAILED crm');
    expect(alert.attributes).toMatchObject({ severity: 'error', error: 'DrillFailed' });
  });

  it("warns of the drill's own server without crying wolf", () => {
    const odd = judgeDatabase(
      subject,
      makeDrillReport({ findings: [finding('environment')] }),
      drill,
    );
    const alert = drillAlert(record([odd]), bucket);
    expect(alert.attributes).toMatchObject({ status: 'PASSED', severity: 'warning' });
    expect(alert.text).toContain('which says nothing about the backups');
    expect(alert.text).not.toContain('What was found\n');
  });

  it('bounds what hostile names can do to it', () => {
    const hostile = { ...damaged, database: `x"\r\nBcc: a@b\u202e${'y'.repeat(300)}` };
    const alert = drillAlert(record([hostile]), bucket);
    expect(alert.subject.length).toBeLessThan(100);
    expect(alert.text).not.toContain('\u202e');
    expect(alert.text).not.toContain('\r');
  });

  it('is sent as well where nothing was planned', () => {
    const alert = unplannedDrillAlert({
      source: 'orders',
      error: 'BackupNotFound',
      cause: 'orders has no backup that could be rehearsed',
      executionArn: drill.executionArn,
    });
    expect(alert.subject).toBe('Holdfast: drill of orders FAILED before it began: BackupNotFound');
    expect(alert.attributes).toMatchObject({ status: 'FAILED', severity: 'error' });
  });
});

describe('the metrics of a drill', () => {
  it('are of the source what its alarms look at, and of each database its own times', () => {
    expect(drillMetrics(record([passed, damaged]))).toEqual([
      {
        of: { source: 'orders' },
        values: { DrillFailed: 1, DrillRto: 400, RtoMissed: 0, DrillRpo: 32_400, RpoMissed: 0 },
      },
      { of: { source: 'orders', database: 'shop' }, values: { DrillRto: 120, DrillRpo: 28_800 } },
      { of: { source: 'orders', database: 'audit' }, values: { DrillRto: 400, DrillRpo: 32_400 } },
    ]);
  });

  it('say that a target was missed', () => {
    const late = judgeDatabase(
      { ...subject, newestDataAt: '2026-11-01T00:00:00.000Z' },
      makeDrillReport({ rtoSeconds: 99_999 }),
      drill,
    );
    expect(drillMetrics(record([late]))[0]).toMatchObject({
      values: { DrillFailed: 1, RtoMissed: 1, RpoMissed: 1 },
    });
  });

  it('of one database of several can make an alarm go off, and none go out', () => {
    const part = { ...drill, part: true as const };
    const of = (databases: DatabaseDrill[]) => drillMetrics({ ...record(databases), drill: part });
    expect(of([passed])[0]?.values).toEqual({ DrillRto: 120, DrillRpo: 28_800 });
    expect(of([damaged])[0]?.values).toMatchObject({ DrillFailed: 1 });
  });

  it('leave out the times that nobody measured', () => {
    expect(drillMetrics(record([killed]))[0]?.values).toEqual({
      DrillFailed: 1,
      DrillRpo: 28_800,
      RpoMissed: 0,
    });
  });
});
