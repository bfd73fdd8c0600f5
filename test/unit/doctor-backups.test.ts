import { describe, expect, it } from 'vitest';
import type { InventoryBackup } from '#domain/backup-inventory.ts';
import {
  judgeBackupAge,
  judgeQuarantine,
  judgeSnapshotAge,
  requiredSince,
} from '#domain/doctor/backup-checks.ts';
import type { BackupFile } from '#domain/names.ts';
import { backupIdAt } from '#test/fakes.ts';

const daily = { expression: 'cron(0 3 * * ? *)', timezone: 'UTC' };
const HOUR = 3_600_000;
const at = (text: string) => new Date(`2026-11-${text}Z`);

/** A backup of `shop` that was proved so many hours after it began. */
function backup(
  time: string,
  state: InventoryBackup['state'] = 'verified',
  tookHours = 0.1,
): InventoryBackup {
  const lastModified = new Date(at(time).getTime() + tookHours * HOUR);
  const key = 'verification.json';
  return {
    source: 'orders',
    database: 'shop',
    backupId: backupIdAt(at(time)),
    time: at(time),
    state,
    sizeBytes: 1,
    files: new Map<BackupFile, { key: string; sizeBytes: number; lastModified: Date }>([
      [key, { key, sizeBytes: 1, lastModified }],
    ]),
  };
}

const judge = (
  now: string,
  backups: readonly InventoryBackup[],
  schedule: typeof daily | undefined = daily,
) => judgeBackupAge({ now: at(now) }, { source: 'orders', database: 'shop', backups, schedule });

describe('the time since which there must be a backup', () => {
  it.each([
    ['20T12:00:00', 1, '20T03:00:00'],
    ['20T04:00:00', 1, '20T03:00:00'],
    ['20T03:59:59', 1, '19T03:00:00'],
    ['20T12:00:00', 10, '19T03:00:00'],
  ])('at %s, with %s h to make one, is %s', (now, graceHours, since) => {
    expect(requiredSince(daily, at(now), graceHours * HOUR)).toEqual(at(since));
  });

  it('of a rate is a period and the time to make one ago', () => {
    const rate = { expression: 'rate(6 hours)', timezone: 'UTC' };
    expect(requiredSince(rate, at('20T12:00:00'), HOUR)).toEqual(at('20T05:00:00'));
  });

  it('is not there before the first one was due', () => {
    const future = { expression: 'cron(0 3 * * ? 2030)', timezone: 'UTC' };
    expect(requiredSince(future, at('20T12:00:00'), HOUR)).toBeUndefined();
  });
});

describe('the last verified backup of a database', () => {
  it('of last night is well', () => {
    expect(judge('20T12:00:00', [backup('20T03:00:05')])).toMatchObject({
      check: 'backup-age',
      severity: 'ok',
      title: 'the last verified backup of shop began 8 h ago',
    });
  });

  it('of the night before fails, with how to look and to make one', () => {
    const finding = judge('20T12:00:00', [backup('19T03:00:05')]);
    expect(finding.severity).toBe('fail');
    expect(finding.title).toContain('one was due by 2026-11-20 03:00:00 UTC');
    expect(finding.remedy).toBe('holdfast list orders shop; holdfast start orders --database shop');
  });

  it('of the night before is well while the run of this night may still be going', () => {
    expect(judge('20T03:50:00', [backup('19T03:00:05')]).severity).toBe('ok');
    expect(judge('20T04:20:00', [backup('19T03:00:05', 'verified', 0.1)]).severity).toBe('fail');
    expect(judge('20T07:00:00', [backup('19T03:00:05', 'verified', 2)]).severity).toBe('ok');
    expect(judge('20T08:30:00', [backup('19T03:00:05', 'verified', 2)]).severity).toBe('fail');
  });

  it('counts before newer ones that were not verified', () => {
    const backups = [
      backup('20T03:00:05', 'unverified'),
      backup('19T03:00:05', 'quarantined'),
      backup('18T03:00:05'),
    ];
    expect(judge('20T12:00:00', backups).severity).toBe('fail');
    expect(judge('20T12:00:00', [backup('20T03:00:05', 'quarantined')]).title).toBe(
      'shop has no verified backup, though 1 that are not',
    );
  });

  it('that is missing fails, also where nothing is scheduled', () => {
    expect(judge('20T12:00:00', []).severity).toBe('fail');
    expect(judge('20T12:00:00', [], undefined).severity).toBe('fail');
  });

  it('has an age and no due time where nothing is scheduled', () => {
    const old = judgeBackupAge(
      { now: at('20T12:00:00') },
      { source: 'orders', database: 'shop', backups: [backup('01T03:00:00')], schedule: undefined },
    );
    expect(old).toMatchObject({ severity: 'info' });
    expect(old.title).toContain('19 days ago');
  });

  it('of a database with an odd name can be made by the command that is shown', () => {
    const finding = judgeBackupAge(
      { now: at('20T12:00:00') },
      { source: 'orders', database: "it's; rm", backups: [], schedule: daily },
    );
    expect(finding.remedy).toBe(`holdfast start orders --database 'it'\\''s; rm'`);
    expect(finding.title).toContain(`"it's; rm"`);
  });
});

describe('the last snapshot', () => {
  it.each([
    [undefined, 'fail'],
    [at('20T03:01:00'), 'ok'],
    [at('19T03:01:00'), 'fail'],
  ])('of %s is judged %s', (newest, severity) => {
    const judged = judgeSnapshotAge({ now: at('20T12:00:00') }, 'orders', newest, daily);
    expect(judged.severity).toBe(severity);
  });

  it('has an age alone where nothing is scheduled', () => {
    const newest = at('01T03:00:00');
    const judged = judgeSnapshotAge({ now: at('20T12:00:00') }, 'orders', newest, undefined);
    expect(judged.severity).toBe('info');
  });
});

describe('quarantined backups', () => {
  it('are told, with the newest', () => {
    const newest = backup('20T03:00:05', 'quarantined');
    const finding = judgeQuarantine('orders', [newest, backup('19T03:00:05', 'quarantined')]);
    expect(finding).toMatchObject({ severity: 'warn' });
    expect(finding.title).toMatch(/^2 backups are in quarantine/);
    expect(finding.remedy).toBe(`holdfast show orders/shop/${newest.backupId}`);
    expect(judgeQuarantine('orders', []).severity).toBe('ok');
  });
});
