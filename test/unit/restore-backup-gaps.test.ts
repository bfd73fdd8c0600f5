import { describe, expect, it } from 'vitest';
import { describeGaps } from '#domain/preflight.ts';
import { backupGaps } from '#domain/restore/backup-gaps.ts';

/** In the words of pg_dump 18, one line each. */
const SUBSCRIPTIONS =
  'pg_dump: warning: subscriptions not dumped because current user is not a superuser';
const CIRCLE = [
  'pg_dump: warning: there are circular foreign-key constraints among these tables:',
  'pg_dump: detail: a',
  'pg_dump: detail: b',
  'pg_dump: hint: You might not be able to restore the dump without using --disable-triggers or temporarily dropping the constraints.',
  'pg_dump: hint: Consider using a full dump instead of a --data-only dump to avoid this problem.',
];
const hidden = describeGaps({
  unlogged: [{ name: 'public.cache', total: 1 }],
  userMappings: [{ name: 'app for far', total: 1 }],
});

describe('what a restore says of its backup', () => {
  it('names what the backup lacked from the beginning', () => {
    expect(backupGaps({ warnings: [...hidden, SUBSCRIPTIONS] }, {})).toEqual([
      'not in the backup: on a replica, the rows of unlogged tables are missing from the dump: public.cache',
      'not in the backup: options of user mappings may be hidden from the role, and missing: app for far',
      `not in the backup: ${SUBSCRIPTIONS}`,
    ]);
  });

  it('passes on what it does not know, and leaves out what is of restoring rows alone', () => {
    const unknown = 'pg_dump: warning: something new';
    expect(backupGaps({ warnings: [...CIRCLE, unknown] }, {})).toEqual([
      `said when the backup was made: ${unknown}`,
    ]);
  });

  it('is nothing where nobody knows, and for a part of the database', () => {
    const manifest = { warnings: [SUBSCRIPTIONS] };
    expect(backupGaps(undefined, {})).toEqual([]);
    expect(backupGaps(manifest, { tables: ['public.*'] })).toEqual([]);
    expect(backupGaps(manifest, { schemas: ['public'] })).toEqual([]);
    expect(backupGaps(manifest, { only: 'data' })).toEqual([]);
    expect(backupGaps(manifest, { only: 'schema' })).toHaveLength(1);
  });
});
