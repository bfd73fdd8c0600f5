import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PlannedRestoreState } from '#contracts/restore.ts';
import {
  makeBackupId,
  parseRestoreKey,
  parseRetrievalPointerKey,
  RESTORE_FILES,
  RETRIEVAL_POINTERS,
  restoreKey,
  retrievalAttempt,
  retrievalPointerKey,
  retrievalPointerPrefix,
  SOURCE_NAME,
} from '#domain/names.ts';
import { retrievalAlert } from '#domain/restore/retrieval-alert.ts';
import {
  copyDays,
  isArchived,
  isReadable,
  retrievalTime,
} from '#domain/restore/retrieval-times.ts';
import { makePlannedRestore } from '#test/fakes.ts';

const source = fc
  .array(fc.stringMatching(/^[a-z][a-z0-9]{0,7}$/), { minLength: 1, maxLength: 4 })
  .map((words) => words.join('-'))
  .filter((name) => SOURCE_NAME.test(name));
const ref = fc.record({
  source: fc.oneof(source, fc.constant('waiting')),
  restoreId: fc
    .date({ min: new Date('2000-01-01'), max: new Date('2199-12-31'), noInvalidDate: true })
    .map((at) => makeBackupId(at, 'seed')),
});
const archiveKey = fc.string({ minLength: 1, maxLength: 1024 });

describe('the key under which a restore waits for its archive', () => {
  it('is found by the key of the archive, and says who waits', () => {
    fc.assert(
      fc.property(archiveKey, ref, fc.string({ minLength: 1 }), (archive, waiting, token) => {
        const key = retrievalPointerKey(archive, waiting, token);
        expect(key.startsWith(retrievalPointerPrefix(archive))).toBe(true);
        expect(key.startsWith(RETRIEVAL_POINTERS)).toBe(true);
        expect(key).toMatch(/^[A-Za-z0-9/_.=-]{1,1024}$/);
        expect(parseRetrievalPointerKey(key)).toEqual({
          ...waiting,
          attempt: retrievalAttempt(token),
        });
      }),
    );
  });

  it('is another one for another archive, and for another attempt', () => {
    const waiting = makePlannedRestore();
    const keys = [
      retrievalPointerKey('a', waiting, 'token-1'),
      retrievalPointerKey('b', waiting, 'token-1'),
      retrievalPointerKey('a', waiting, 'token-2'),
    ];
    expect(new Set(keys).size).toBe(3);
    expect(keys.join()).not.toContain('token');
  });

  it('is never taken for a record, nor a record for it, also of a source called waiting', () => {
    fc.assert(
      fc.property(archiveKey, ref, (archive, waiting) => {
        expect(parseRestoreKey(retrievalPointerKey(archive, waiting, 'token'))).toBeUndefined();
        for (const file of RESTORE_FILES) {
          expect(parseRetrievalPointerKey(restoreKey(waiting, file))).toBeUndefined();
        }
      }),
    );
  });

  it.each([
    'restores/waiting/short/orders/20261120T100000Z-9rcrqm/0123456789abcdef.json',
    `restores/waiting/${'0'.repeat(64)}/Orders/20261120T100000Z-9rcrqm/0123456789abcdef.json`,
    `restores/waiting/${'0'.repeat(64)}/orders/yesterday/0123456789abcdef.json`,
    `restores/waiting/${'0'.repeat(64)}/orders/20261120T100000Z-9rcrqm.json`,
    `other/waiting/${'0'.repeat(64)}/orders/20261120T100000Z-9rcrqm/0123456789abcdef.json`,
  ])('is not read from %s', (key) => {
    expect(parseRetrievalPointerKey(key)).toBeUndefined();
  });
});

describe('what lies in Glacier', () => {
  it.each([
    ['STANDARD', false],
    ['GLACIER_IR', false],
    ['INTELLIGENT_TIERING', false],
    ['GLACIER', true],
    ['DEEP_ARCHIVE', true],
    ['ARCHIVE_ACCESS', true],
    ['DEEP_ARCHIVE_ACCESS', true],
  ])('%s: %s', (storageClass, archived) => {
    expect(isArchived(storageClass)).toBe(archived);
    expect(isReadable({ storageClass, retrieval: 'none' })).toBe(!archived);
    expect(isReadable({ storageClass, retrieval: 'ongoing' })).toBe(!archived);
    expect(isReadable({ storageClass, retrieval: 'done' })).toBe(true);
  });

  it('has no expedited tier in the deep archive', () => {
    expect(retrievalTime('DEEP_ARCHIVE', 'expedited')).toBeUndefined();
    expect(retrievalTime('DEEP_ARCHIVE', 'bulk')?.hours).toBe(48);
    expect(retrievalTime('GLACIER', 'standard')?.hours).toBe(5);
  });

  it('is kept readable for the wait and the longest restore', () => {
    expect(copyDays(10 * 3600)).toBe(8);
    expect(copyDays(96 * 3600)).toBe(11);
  });
});

describe('the alert of a retrieval', () => {
  const alertOf = (
    retrieval: Partial<PlannedRestoreState['retrieval']> = {},
    changes: Parameters<typeof makePlannedRestore>[0] = {},
  ) =>
    retrievalAlert({
      restore: makePlannedRestore(changes),
      retrieval: {
        needed: true,
        tier: 'standard',
        storageClass: 'GLACIER',
        timeoutSeconds: 36_000,
        ...retrieval,
      },
      requestedAt: new Date('2026-11-20T10:00:00Z'),
      bucket: 'holdfast-backups',
    });

  it('says how long it may take, and that nobody has to do anything', () => {
    const { subject, text, json, attributes } = alertOf();
    expect(subject).toBe('Holdfast: restore waits for Glacier (3 to 5 hours): orders/shop');
    expect(text).toContain('This typically takes 3 to 5 hours: until 2026-11-20T15:00:00.000Z.');
    expect(text).toContain('lies in GLACIER');
    expect(text).toContain('Nothing: another message comes when the restore has ended.');
    expect(text).toContain('s3://holdfast-backups/restores/orders/');
    expect(json).toMatchObject({
      event: 'retrieval',
      status: 'STARTED',
      database: 'shop',
      storageClass: 'GLACIER',
      tier: 'standard',
      typicallyReadyBy: '2026-11-20T15:00:00.000Z',
    });
    expect(attributes).toEqual({
      event: 'retrieval',
      status: 'STARTED',
      severity: 'info',
      source: 'orders',
      stage: 'retrieval',
      error: 'none',
    });
  });

  it.each([
    ['GLACIER', 'expedited', '1 to 5 minutes', []],
    ['GLACIER', 'standard', '3 to 5 hours', ['expedited']],
    ['GLACIER', 'bulk', '5 to 12 hours', ['standard', 'expedited']],
    ['DEEP_ARCHIVE', 'standard', 'up to 12 hours', []],
    ['DEEP_ARCHIVE', 'bulk', 'up to 48 hours', ['standard']],
    ['SOMETHING_NEW', 'standard', 'hours', []],
  ] as const)('of %s, tier %s: %s; faster would be %j', (storageClass, tier, words, faster) => {
    const { subject, text } = alertOf({ storageClass, tier });
    expect(subject).toContain(`(${words}`);
    const offered = [...text.matchAll(/"retrievalTier": "(\w+)"/g)].map(([, name]) => name);
    expect(offered).toEqual(faster);
  });

  it('stays a subject of SNS whatever the archive is called, and tells nobody the token', () => {
    const key = `imports/${'x'.repeat(900)}.dump`;
    const { subject, text } = alertOf({}, { backup: null, archive: { key } });
    expect(subject).toMatch(/^[ -~]{1,99}$/);
    expect(subject).toContain('3 to 5 hours');
    expect(text).toContain(key);
    const quoted = alertOf({}, { backup: { database: 'weiß\n nicht' } });
    expect(quoted.subject).toMatch(/^[ -~]{1,99}$/);
  });
});
