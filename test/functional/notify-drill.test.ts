import { describe, expect, it } from 'vitest';
import { Drilled, DrillRecord, type DrillReport } from '#contracts/drill.ts';
import { backupKey, drillKey, drillRecordKey, makeBackupId } from '#domain/names.ts';
import { AccessDenied, ServiceUnavailable } from '#errors';
import { notifyDrill } from '#functions/notify-drill.ts';
import { pastDrills } from '#operations/past-drills.ts';
import {
  makeArchiveDrill,
  makeDrill,
  makeDrillReport,
  makeMissing,
  makePastDrill,
  makeServerDrill,
} from '#test/fakes/drills.ts';
import { backupIdAt, makeDeps, seedBackup } from '#test/fakes.ts';

const drill = makeDrill();
const backupId = backupIdAt('2026-11-20T02:00:00Z');
const refOf = (database: string) => ({ source: 'orders', database, backupId });
const reportKey = (database: string) => drillKey(drill, database, 'report.json');
const base = { executionArn: drill.executionArn, input: { source: 'orders' }, server: null };
const done = (database: string) => ({
  drilled: [{ database, backupId, reportKey: reportKey(database), failed: false }],
});
const recordKey = drillRecordKey(drill);
const markKey = (database: string) => backupKey(refOf(database), 'drilled.json');

/** Each database with a verified backup and the report of its drill. */
function makeFinished(reports: Record<string, Partial<DrillReport>> = { shop: {} }) {
  const deps = makeDeps();
  deps.clock.set('2026-11-20T10:05:00Z');
  for (const [database, changes] of Object.entries(reports)) {
    seedBackup(deps.objects, refOf(database));
    deps.objects.seed(reportKey(database), makeDrillReport({ database, ...changes }));
  }
  const event = {
    ...base,
    drill,
    archives: Object.keys(reports).map((database) => makeArchiveDrill(database)),
    missing: [],
    results: Object.keys(reports).map(done),
  };
  return { deps, event };
}

describe('at the end of a drill', () => {
  it('marks the backup, writes the record, sends the alert and records the metrics', async () => {
    const { deps, event } = makeFinished();
    expect(await notifyDrill(event, deps)).toEqual({
      status: 'PASSED',
      error: '',
      cause: '',
      recordKey,
    });
    expect(Drilled.parse(deps.objects.json(markKey('shop')))).toEqual({
      version: 1,
      ...refOf('shop'),
      drillId: drill.drillId,
      drilledAt: '2026-11-20T10:05:00.000Z',
      rtoSeconds: 120,
    });
    expect(DrillRecord.parse(deps.objects.json(recordKey))).toMatchObject({
      status: 'PASSED',
      rtoSeconds: 120,
      rpoSeconds: 28_800,
    });
    expect(deps.alerts.sent.map(({ attributes }) => attributes['status'])).toEqual(['PASSED']);
    expect(deps.metrics.recorded[0]).toMatchObject({ values: { DrillFailed: 0, RtoMissed: 0 } });
  });

  it('marks what came back and not what did not', async () => {
    const { deps, event } = makeFinished({ shop: {}, audit: {} });
    const failure = { Error: 'TaskKilled', Cause: 'exit code 137' };
    deps.objects.seed(reportKey('audit'), 'half a report');
    const results = [done('shop'), { database: 'audit', backupId, failure }];
    expect(await notifyDrill({ ...event, results }, deps)).toMatchObject({
      status: 'FAILED',
      error: 'TaskKilled',
      cause: '1 of 2 databases failed: audit: exit code 137',
    });
    expect(deps.objects.keys(markKey('shop'))).toHaveLength(1);
    expect(deps.objects.keys(markKey('audit'))).toEqual([]);
    expect(deps.metrics.recorded[0]).toMatchObject({ values: { DrillFailed: 1 } });
  });

  it('does not mark a backup of which tables were left out, and says so', async () => {
    const { deps, event } = makeFinished({ shop: { tablesLeftOut: 2 } });
    expect(await notifyDrill(event, deps)).toMatchObject({ status: 'PASSED' });
    expect(deps.objects.keys(markKey('shop'))).toEqual([]);
    expect(deps.alerts.sent[0]?.text).toContain('is not marked as drilled: 2 of its tables');
    // Nothing that would make an alarm go out: nobody knows whether these tables come back.
    expect(deps.metrics.recorded[0]).toEqual({
      source: 'orders',
      values: { DrillRto: 120, DrillRpo: 28_800 },
    });
  });

  it('fails a drill that was slower than the target, and does not mark the backup', async () => {
    const { deps, event } = makeFinished({ shop: { rtoSeconds: 20_000 } });
    expect(await notifyDrill(event, deps)).toMatchObject({
      status: 'FAILED',
      error: 'DrillFailed',
    });
    expect(deps.objects.keys(markKey('shop'))).toEqual([]);
    expect(deps.metrics.recorded[0]).toMatchObject({ values: { RtoMissed: 1, RpoMissed: 0 } });
    expect(deps.alerts.sent[0]?.text).toContain('RTO 5 h 33 min of 4 h 0 min: MISSED');
  });

  it('fails a drill whose newest backup is older than the target', async () => {
    const { deps, event } = makeFinished();
    const archives = [makeArchiveDrill('shop', { newestBackupAt: '2026-11-18T02:00:00.000Z' })];
    expect(await notifyDrill({ ...event, archives }, deps)).toMatchObject({ error: 'DrillFailed' });
    expect(deps.metrics.recorded[0]).toMatchObject({ values: { RtoMissed: 0, RpoMissed: 1 } });
  });

  it('fails where one database had nothing to drill', async () => {
    const { deps, event } = makeFinished();
    expect(await notifyDrill({ ...event, missing: [makeMissing()] }, deps)).toMatchObject({
      status: 'FAILED',
      error: 'BackupNotFound',
    });
    expect(deps.objects.keys(markKey('shop'))).toHaveLength(1);
  });

  it('writes mark and record once, and tells of the first when it is called again', async () => {
    const { deps, event } = makeFinished();
    const first = await notifyDrill(event, deps);
    deps.clock.advance(60_000);
    expect(await notifyDrill(event, deps)).toEqual(first);
    expect(await deps.objects.versions(recordKey)).toHaveLength(1);
    expect(await deps.objects.versions(markKey('shop'))).toHaveLength(1);
    expect(deps.objects.json(recordKey)).toMatchObject({ endedAt: '2026-11-20T10:05:00.000Z' });
  });

  it('tells of the record that another invocation writes at the same moment', async () => {
    const { deps, event } = makeFinished();
    const first = makePastDrill({ drill: { reason: 'of the other one' } });
    const put: typeof deps.objects.put = async (key, body, options) => {
      if (key === recordKey) deps.objects.seed(recordKey, first);
      return deps.objects.put(key, body, options);
    };
    const beside = { ...deps, objects: { ...deps.objects, put } };
    expect(await notifyDrill(event, beside)).toMatchObject({ status: 'PASSED', recordKey });
    expect(DrillRecord.parse(deps.objects.json(recordKey))).toEqual(first);
    expect(deps.alerts.sent[0]?.text).not.toContain('this drill does not count');
  });

  it('leaves the mark of an earlier drill as it is, as nothing of a backup is written twice', async () => {
    const { deps, event } = makeFinished();
    deps.objects.seed(markKey('shop'), { drillId: '20261001T050000Z-k3v9qd' });
    await notifyDrill(event, deps);
    expect(deps.objects.json(markKey('shop'))).toEqual({ drillId: '20261001T050000Z-k3v9qd' });
    expect(deps.alerts.sent[0]?.text).not.toContain('could not be written');
  });

  it('writes beside a backup only on condition that nothing is there, which the bucket demands', async () => {
    const { deps, event } = makeFinished();
    const conditions: unknown[] = [];
    const put: typeof deps.objects.put = (key, body, options) => {
      if (key.startsWith('backups/')) conditions.push(options?.condition);
      return deps.objects.put(key, body, options);
    };
    await notifyDrill(event, { ...deps, objects: { ...deps.objects, put } });
    expect(conditions).toEqual(['absent']);
  });

  it('leaves no mark behind where the backup was deleted meanwhile', async () => {
    const { deps, event } = makeFinished();
    await deps.objects.delete([backupKey(refOf('shop'), 'verification.json')]);
    await notifyDrill(event, deps);
    expect(deps.objects.keys(markKey('shop'))).toEqual([]);
  });

  it('sends the alert, with a note, when nothing can be written', async () => {
    const { deps, event } = makeFinished();
    const put = () => Promise.reject(new AccessDenied('s3:PutObject'));
    const failing = { ...deps, objects: { ...deps.objects, put } };
    expect(await notifyDrill(event, failing)).toMatchObject({ status: 'PASSED', recordKey: null });
    const [alert] = deps.alerts.sent;
    expect(alert?.text).toContain('retention may delete the backup');
    expect(alert?.text).toContain('this drill does not count');
  });

  it('is tried again when a report cannot be read for the moment, and calls no backup bad for it', async () => {
    const { deps, event } = makeFinished();
    const get = () => Promise.reject(new ServiceUnavailable('S3'));
    const busy = { ...deps, objects: { ...deps.objects, get } };
    await expect(notifyDrill(event, busy)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    expect(deps.alerts.sent).toEqual([]);
  });

  it('is tried again when the alert cannot be sent', async () => {
    const { deps, event } = makeFinished();
    deps.alerts.failure = new ServiceUnavailable('SNS');
    await expect(notifyDrill(event, deps)).rejects.toMatchObject({ name: 'ServiceUnavailable' });
    expect(deps.metrics.recorded).toEqual([]);
  });

  it('does not fail by its metrics', async () => {
    const { deps, event } = makeFinished();
    const record = () => {
      throw new Error('no output');
    };
    expect(await notifyDrill(event, { ...deps, metrics: { record } })).toMatchObject({
      status: 'PASSED',
    });
  });
});

describe('at the end of a drill of a server', () => {
  const server = makeServerDrill();
  const cleanUp = { status: 'deleting', detail: '' } as const;
  const ofServer = { ...base, drill: makeDrill({ kind: 'snapshot' }), server, cleanUp };

  it('tells of each database of it, and marks no backup', async () => {
    const { deps } = makeFinished();
    const before = deps.objects.keys('backups/');
    const results = [
      {
        drilled: [
          { database: 'shop', backupId: null, reportKey: reportKey('shop'), failed: false },
        ],
      },
    ];
    expect(await notifyDrill({ ...ofServer, results }, deps)).toMatchObject({ status: 'PASSED' });
    expect(deps.objects.json(recordKey)).toMatchObject({
      databases: [{ database: 'shop', status: 'PASSED', rpoSeconds: 28_800 }],
      server: { identifier: server.restore.target.identifier, cleanUp },
    });
    expect(deps.objects.keys('backups/')).toEqual(before);
  });

  it('tells of the databases that were done before it failed', async () => {
    const { deps } = makeFinished();
    const failure = { Error: 'TaskKilled', Cause: 'exit code 137' };
    expect(await notifyDrill({ ...ofServer, failure }, deps)).toMatchObject({
      status: 'FAILED',
      error: 'TaskKilled',
    });
    expect(deps.objects.json(recordKey)).toMatchObject({
      databases: [{ database: 'shop', status: 'PASSED' }],
    });
    expect(deps.objects.keys(markKey('shop'))).toEqual([]);
  });

  it('warns when the server is still there', async () => {
    const { deps } = makeFinished();
    const left = { status: 'failed', detail: 'AccessDenied: rds:DeleteDBInstance' } as const;
    const failure = { Error: 'ServerRestoreFailed', Cause: 'storage-full' };
    await notifyDrill({ ...ofServer, cleanUp: left, failure }, deps);
    const [alert] = deps.alerts.sent;
    expect(alert?.text).toContain('What is left');
    expect(alert?.text).toContain('Reconcile tries again every hour');
    expect(alert?.attributes).toMatchObject({ error: 'ServerRestoreFailed' });
  });
});

describe('at the end of a drill that was not planned', () => {
  const failure = { Error: 'BackupNotFound', Cause: '{"errorMessage":"orders has no backup"}' };

  const { startedAt } = drill;

  it('sends an alert, and records the failure for whoever looks later', async () => {
    const deps = makeDeps();
    deps.clock.set('2026-11-20T10:00:09Z');
    const { server: _none, ...event } = base;
    const outcome = await notifyDrill({ ...event, startedAt, failure }, deps);
    const drillId = makeBackupId(new Date(startedAt), drill.executionArn);
    const key = drillRecordKey({ source: 'orders', drillId });
    expect(outcome).toEqual({
      status: 'FAILED',
      error: 'BackupNotFound',
      cause: 'orders has no backup',
      recordKey: key,
    });
    const record = DrillRecord.parse(deps.objects.json(key));
    expect(record).toMatchObject({
      status: 'FAILED',
      error: 'BackupNotFound',
      cause: 'orders has no backup',
      durationSeconds: 9,
      drill: {
        source: 'orders',
        startedAt,
        trigger: 'manual',
        kind: 'archive',
        targets: { rtoSeconds: null, rpoSeconds: null },
        unplanned: true,
      },
      databases: [],
    });
    expect(await pastDrills(deps, 'orders', 5)).toEqual([record]);
    expect(deps.alerts.sent).toMatchObject([{ attributes: { event: 'drill', status: 'FAILED' } }]);
    expect(deps.metrics.recorded).toEqual([{ source: 'orders', values: { DrillFailed: 1 } }]);
  });

  it.each([
    ['UnknownSource', { source: 'ordres' }, 0],
    ['UnknownSource', { source: 'ordres', trigger: 'schedule' }, 0],
    ['InvalidInput', { source: 'ordres', kind: 'snapshots' }, 0],
    ['InvalidInput', { source: 'orders', trigger: 'schedule' }, 1],
    ['InvalidPlan', { source: 'orders' }, 1],
    ['States.Timeout', { source: 'orders' }, 1],
    // Of what a person has named, and mistyped.
    ['BackupNotFound', { source: 'orders', database: 'shoop' }, 0],
    ['BackupNotFound', { source: 'orders', backup: backupIdAt('2020-01-01T00:00:00Z') }, 0],
    ['BackupNotVerified', { source: 'orders', database: 'shop', backup: 'latest' }, 0],
    ['BackupNotFound', { source: 'orders', backup: 'random' }, 1],
    ['BackupNotFound', { source: 'orders', database: 'shop', trigger: 'schedule' }, 1],
    ['InvalidPlan', { source: 'orders', database: 'shop' }, 1],
  ])(
    'by %s of %j has so many metrics and records: %d; the alert is sent',
    async (name, input, count) => {
      const deps = makeDeps();
      const failed = {
        executionArn: drill.executionArn,
        input,
        failure: { Error: name, Cause: 'no' },
      };
      await notifyDrill(failed, deps);
      expect(deps.alerts.sent).toMatchObject([{ attributes: { source: input.source } }]);
      expect(deps.metrics.recorded).toHaveLength(count);
      expect(deps.objects.keys('drills/')).toHaveLength(count);
    },
  );

  it('is told with its kind and reason, and once, however often it is called', async () => {
    const deps = makeDeps();
    const input = { source: 'orders', kind: 'snapshot', reason: 'audit', trigger: 'schedule' };
    const event = { executionArn: drill.executionArn, input, startedAt, failure };
    const { recordKey: key } = await notifyDrill(event, deps);
    deps.clock.advance(60_000);
    expect((await notifyDrill(event, deps)).recordKey).toBe(key);
    expect(await deps.objects.versions(key ?? '')).toHaveLength(1);
    expect(deps.objects.json(key ?? '')).toMatchObject({
      drill: { kind: 'snapshot', reason: 'audit', trigger: 'schedule' },
    });
  });

  it('is told where no record of it can be written, and says that', async () => {
    const deps = makeDeps();
    const put = () => Promise.reject(new AccessDenied('no'));
    const denied = { ...deps, objects: { ...deps.objects, put } };
    const event = { executionArn: drill.executionArn, input: { source: 'orders' }, failure };
    expect(await notifyDrill(event, denied)).toMatchObject({ recordKey: null });
    expect(deps.alerts.sent[0]?.text).toContain('could not be written (AccessDenied)');
    expect(deps.metrics.recorded).toHaveLength(1);
  });

  it('records no metric of a source that is none', async () => {
    const deps = makeDeps();
    await notifyDrill({ executionArn: drill.executionArn, input: 'drop it', failure }, deps);
    expect(deps.alerts.sent).toHaveLength(1);
    expect(deps.metrics.recorded).toEqual([]);
  });
});
