import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  alertMarkerKey,
  BACKUP_FILES,
  backupKey,
  decodeDatabaseName,
  encodeDatabaseName,
  jobKey,
  makeBackupId,
  makeExecutionName,
  makeSnapshotId,
  parseBackupId,
  parseBackupKey,
  parseJobKey,
  parseRequestKey,
  parseSnapshotId,
  retentionPlanKey,
  runIdOfExecution,
  runSummaryKey,
  SOURCE_NAME,
} from '#domain/names.ts';

const word = fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/);
const source = fc
  .array(word, { minLength: 1, maxLength: 4 })
  .map((words) => words.join('-'))
  .filter((name) => SOURCE_NAME.test(name));
/** What PostgreSQL takes as a name: 1 to 63 bytes of UTF-8 without a zero byte. */
const database = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 63 })
  .filter((name) => Buffer.byteLength(name) <= 63 && !name.includes('\0') && name.isWellFormed());
const time = fc.date({
  min: new Date('2000-01-01'),
  max: new Date('2199-12-31'),
  noInvalidDate: true,
});
const backupId = fc.tuple(time, fc.string()).map(([at, seed]) => makeBackupId(at, seed));
const ref = fc.record({ source, database, backupId });

describe('a backup id', () => {
  it('has its second, is the same for the same seed and another for another', () => {
    const at = new Date('2026-11-20T03:00:00.999Z');
    expect(makeBackupId(at, 'a')).toMatch(/^20261120T030000Z-[0-9a-z]{6}$/);
    expect(makeBackupId(at, 'a')).toBe(makeBackupId(at, 'a'));
    expect(makeBackupId(at, 'a')).not.toBe(makeBackupId(at, 'b'));
  });

  it('sorts by time and gives its second back', () => {
    fc.assert(
      fc.property(time, time, fc.string(), (a, b, seed) => {
        const [first, second] = [makeBackupId(a, seed), makeBackupId(b, seed)];
        expect(parseBackupId(first)?.time.getTime()).toBe(Math.floor(a.getTime() / 1000) * 1000);
        const seconds = (at: Date) => Math.floor(at.getTime() / 1000);
        expect(first.slice(0, 16) < second.slice(0, 16)).toBe(seconds(a) < seconds(b));
      }),
    );
  });

  it.each([
    '',
    '20261120T030000Z',
    '20261120T030000Z-k3v9q',
    '20261120T030000Z-k3v9ql0',
    '20261120T030000Z-k3v9ql',
    '20261120T030000Z-K3V9QD',
    '20261320T030000Z-k3v9qd',
    '20260230T030000Z-k3v9qd',
    '20261120T250000Z-k3v9qd',
    ' 20261120T030000Z-k3v9qd',
    '20261120T030000Z-k3v9qd\n',
  ])('%j is none', (text) => {
    expect(parseBackupId(text)).toBeUndefined();
  });
});

describe('an object key', () => {
  it('of a backup gives back what it was made of, and is safe in any event', () => {
    fc.assert(
      fc.property(ref, fc.constantFrom(...BACKUP_FILES), (backup, file) => {
        const key = backupKey(backup, file);
        expect(parseBackupKey(key)).toEqual({ ...backup, file });
        expect(key).toMatch(/^[A-Za-z0-9/_.=-]+$/);
        expect(key.split('/')).toHaveLength(5);
        // S3: at most 1,024 bytes.
        expect(key.length).toBeLessThanOrEqual(1024);
      }),
    );
  });

  it('of a job record gives back what it was made of', () => {
    fc.assert(
      fc.property(ref, (backup) => {
        expect(parseJobKey(jobKey(backup))).toEqual(backup);
      }),
    );
  });

  it('differs for different databases', () => {
    fc.assert(
      fc.property(database, database, (a, b) => {
        expect(encodeDatabaseName(a) === encodeDatabaseName(b)).toBe(a === b);
        expect(decodeDatabaseName(encodeDatabaseName(a))).toBe(a);
      }),
    );
  });

  it.each([
    'backups/orders/shop/20261120T030000Z-k3v9qd/other.txt',
    'backups/orders/shop/20261120T030000Z-k3v9qd/',
    'backups/orders/shop/20261120T030000Z-k3v9qd/a/manifest.json',
    'backups/orders/shop/2026/manifest.json',
    'backups/Orders/shop/20261120T030000Z-k3v9qd/manifest.json',
    'backups/orders/sh%6Fp/20261120T030000Z-k3v9qd/manifest.json',
    'backups/orders/sh=6Fp/20261120T030000Z-k3v9qd/manifest.json',
    'backups/orders/../20261120T030000Z-k3v9qd/manifest.json',
    'backups/orders//20261120T030000Z-k3v9qd/manifest.json',
    'other/orders/shop/20261120T030000Z-k3v9qd/manifest.json',
    '/backups/orders/shop/20261120T030000Z-k3v9qd/manifest.json',
  ])('%s is not one of ours', (key) => {
    expect(parseBackupKey(key)).toBeUndefined();
  });

  it('of anything at all either is exactly ours or is refused', () => {
    const piece = fc.oneof(fc.string(), source, backupId, fc.constantFrom(...BACKUP_FILES, '..'));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        const key = ['backups', ...pieces].join('/');
        const parsed = parseBackupKey(key);
        expect(parsed ? backupKey(parsed, parsed.file) : key).toBe(key);
      }),
    );
  });

  it('of a run has its id, and refuses an id that would leave the folder', () => {
    expect(runSummaryKey('orders', 'a-1')).toBe('runs/orders/a-1/summary.json');
    expect(retentionPlanKey('orders', 'a-1')).toBe('runs/orders/a-1/retention.json');
    expect(() => runSummaryKey('orders', '../x')).toThrow(RangeError);
    expect(() => retentionPlanKey('orders', 'a/b')).toThrow(RangeError);
  });

  it('of a request names its source, and nothing else is a request', () => {
    expect(parseRequestKey('requests/orders/before-4.2.json')).toEqual({
      source: 'orders',
      name: 'before-4.2',
    });
    expect(parseRequestKey('requests/orders/a/b.json')).toBeUndefined();
    expect(parseRequestKey('requests/Orders/a.json')).toBeUndefined();
  });

  it('of an alert marker stays in its folder whatever it is about', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 60 }), (subject) => {
        expect(alertMarkerKey('orders', subject)).toMatch(/^alerts\/orders\/[\w=-][\w.=-]*\.json$/);
      }),
    );
  });
});

describe('names that AWS limits', () => {
  const longest = 'a'.repeat(40);

  it('of executions have at most 80 characters', () => {
    expect(SOURCE_NAME.test(longest)).toBe(true);
    expect(SOURCE_NAME.test(`${longest}a`)).toBe(false);
    expect(makeExecutionName(longest, new Date(), 'seed').length).toBeLessThanOrEqual(80);
  });

  it('of snapshots are what RDS takes, and give back source and backup id', () => {
    fc.assert(
      fc.property(source, time, fc.string(), (name, at, seed) => {
        const id = makeSnapshotId(name, at, seed);
        expect(id).toMatch(/^[a-z](-?[a-z0-9])*$/);
        expect(id.length).toBeLessThanOrEqual(73);
        expect(parseSnapshotId(id)).toEqual({ source: name, backupId: makeBackupId(at, seed) });
      }),
    );
  });

  it.each(['orders-before-4-2', 'holdfast-orders', 'rds:orders-2026-11-20-03-00'])(
    '%s is not a snapshot of ours',
    (id) => expect(parseSnapshotId(id)).toBeUndefined(),
  );

  it('have the execution’s own name for the run', () => {
    const arn = 'arn:aws:states:eu-west-1:123456789012:execution:backup:orders-1';
    expect(runIdOfExecution(arn)).toBe('orders-1');
  });
});
