import { describe, expect, it } from 'vitest';
import { RestoreRecord } from '#contracts/restore.ts';
import { restoreKey } from '#domain/names.ts';
import { ServiceUnavailable } from '#errors';
import { notifyRestore } from '#functions/notify-restore.ts';
import { makeDeps, makePlannedRestore, makeRestoreReport } from '#test/fakes.ts';

const restore = makePlannedRestore();
const key = restoreKey(restore, 'restore.json');
const base = { executionArn: restore.executionArn, input: { source: 'orders' } };
const failure = {
  Error: 'RestoreFailed',
  Cause: JSON.stringify({ errorMessage: 'INDEX public.i: out of memory' }),
};

function makeFinished(report = makeRestoreReport()) {
  const deps = makeDeps();
  deps.objects.seed(restoreKey(restore, 'report.json'), report);
  return deps;
}

describe('at the end of a restore', () => {
  it('sends one alert that says where the data are, and writes the record', async () => {
    const deps = makeFinished();
    expect(await notifyRestore({ ...base, restore }, deps)).toEqual({
      status: 'SUCCEEDED',
      error: '',
      cause: '',
      summaryKey: key,
    });
    const [alert] = deps.alerts.sent;
    expect(deps.alerts.sent).toHaveLength(1);
    expect(alert?.subject).toMatch(/^Holdfast: restore of orders\/shop done: shop_restored_/);
    expect(alert?.text).toContain('2 tables with 4,600 rows');
    expect(alert?.attributes).toMatchObject({ status: 'SUCCEEDED', severity: 'info' });
    expect(RestoreRecord.parse(deps.objects.json(key))).toMatchObject({
      status: 'SUCCEEDED',
      durationSeconds: 0,
      report: makeRestoreReport(),
    });
  });

  it('says what was tolerated, and that nobody verified the backup', async () => {
    const tolerated = {
      sqlState: '42501',
      objectType: 'EVENT TRIGGER',
      object: 'audit',
      message: 'permission denied',
      statement: 'CREATE EVENT TRIGGER audit',
      advice: 'only a superuser may make event triggers',
    };
    const deps = makeFinished(makeRestoreReport({ tolerated: [tolerated] }));
    await notifyRestore({ ...base, restore: { ...restore, trust: 'quarantined' } }, deps);
    const [alert] = deps.alerts.sent;
    expect(alert?.text).toContain('EVENT TRIGGER audit: only a superuser');
    expect(alert?.text).toContain('the backup is quarantined');
    expect(alert?.attributes).toMatchObject({ severity: 'warning' });
  });

  it.each([
    ['verified', /restore of orders\/shop done: shop_/],
    ['unverified', /restore of orders\/shop done, from a backup that is UNVERIFIED: shop_/],
    ['quarantined', /restore of orders\/shop done, from a backup that is QUARANTINED: shop_/],
    ['foreign', /restore of orders\/shop done, from an archive that nobody verified: shop_/],
  ] as const)('says in its first line what a %s backup is worth', async (trust, headline) => {
    const deps = makeFinished();
    await notifyRestore({ ...base, restore: { ...restore, trust } }, deps);
    const [alert] = deps.alerts.sent;
    expect(alert?.text.split('\n')[0]).toMatch(headline);
  });

  it('tells whoever brought an archive to make it again, not to back up again', async () => {
    const archiveFailure = { Error: 'ArchiveCorrupt', Cause: 'the archive ends at byte 7' };
    const deps = makeDeps();
    const foreign = { ...restore, trust: 'foreign', backup: null } as const;
    await notifyRestore({ ...base, restore: foreign, failure: archiveFailure }, deps);
    await notifyRestore({ ...base, restore, failure: archiveFailure }, deps);
    const [ofImport, ofBackup] = deps.alerts.sent;
    expect(ofImport?.text).toContain('pg_dump --format=custom --file=FILE');
    expect(ofImport?.text).not.toContain('Start the source again');
    expect(ofBackup?.text).toContain('Start the source again');
  });

  it('shows an input that a restore takes, when that was what was wrong', async () => {
    const deps = makeDeps();
    const refused = { Error: 'InvalidInput', Cause: 'say which database' };
    await notifyRestore({ ...base, failure: refused }, deps);
    expect(deps.alerts.sent[0]?.text).toContain('{"source":"orders","database":"shop"}');
  });

  it('says why it failed, and what is left', async () => {
    const deps = makeDeps();
    const cleanUp = { status: 'dropped', detail: '' } as const;
    expect(await notifyRestore({ ...base, restore, failure, cleanUp }, deps)).toMatchObject({
      status: 'FAILED',
      error: 'RestoreFailed',
      cause: 'INDEX public.i: out of memory',
    });
    const [alert] = deps.alerts.sent;
    expect(alert?.text).toContain('INDEX public.i: out of memory');
    expect(alert?.text).toContain('the half-restored database was dropped');
    expect(alert?.attributes).toMatchObject({ severity: 'error', error: 'RestoreFailed' });
    expect(deps.objects.json(key)).toMatchObject({ status: 'FAILED', report: null, cleanUp });
  });

  it('says that a database that was there was emptied, where the task had done so itself', async () => {
    const deps = makeDeps();
    const target = { ...restore.target, mode: 'existing' as const };
    const cleanUp = { status: 'nothing-left', detail: 'nothing of this restore' } as const;
    const emptied = { status: 'emptied', detail: 'the database waiting' };
    deps.objects.seed(restoreKey(restore, 'clean-up.json'), emptied);
    await notifyRestore({ ...base, restore: { ...restore, target }, failure, cleanUp }, deps);
    expect(deps.alerts.sent[0]?.text).toContain('taken out again, from the database waiting');
    expect(deps.objects.json(key)).toMatchObject({ cleanUp: emptied });
  });

  it.each([
    ['there is no such record', undefined, 'existing'],
    ['it cannot be read', { status: 'gone' }, 'existing'],
    ['it was no database that was there', { status: 'emptied', detail: 'x' }, 'new'],
  ] as const)('says what Clean Up Restore found when %s', async (_, record, mode) => {
    const deps = makeDeps();
    const target = { ...restore.target, mode };
    const cleanUp = { status: 'nothing-left', detail: 'nothing of this restore' } as const;
    if (record) deps.objects.seed(restoreKey(restore, 'clean-up.json'), record);
    await notifyRestore({ ...base, restore: { ...restore, target }, failure, cleanUp }, deps);
    expect(deps.alerts.sent[0]?.text).toContain('Nothing. nothing of this restore');
    expect(deps.objects.json(key)).toMatchObject({ cleanUp });
  });

  it('says so when it never began', async () => {
    const deps = makeDeps();
    const unplanned = { Error: 'BackupNotFound', Cause: 'there is no backup of orders/shop' };
    expect(await notifyRestore({ ...base, failure: unplanned }, deps)).toMatchObject({
      status: 'FAILED',
      error: 'BackupNotFound',
      summaryKey: null,
    });
    expect(deps.alerts.sent[0]?.text).toContain('nothing was changed');
    expect(deps.log.of('alert sent')).toHaveLength(1);
    expect(deps.objects.keys()).toEqual([]);
  });

  it('fails when the alert cannot be sent, so that it is tried again', async () => {
    const deps = makeFinished();
    deps.alerts.publish = async () => {
      throw new ServiceUnavailable('SNS answers 503');
    };
    await expect(notifyRestore({ ...base, restore }, deps)).rejects.toThrow('SNS answers 503');
  });
});
