import { expect, it } from 'vitest';
import { translatePgError } from '#domain/pg-errors.ts';
import { asTargetFull } from '#domain/restore/target-full.ts';
import { DatabaseUnreachable } from '#errors';

const failed = (code: string) =>
  translatePgError(Object.assign(new Error('no room'), { code }), 'query "shop" on db:5432');

it('a target without room on its disk is full, and giving up is all there is', () => {
  expect(asTargetFull(failed('53100'))).toMatchObject({
    name: 'TargetFull',
    retryable: false,
    message: expect.stringContaining('cannot query "shop" on db:5432: no room'),
  });
});

it.each([failed('53200'), new DatabaseUnreachable('no way there'), new Error('a bug')])(
  'what is not about the disk stays as it is: %s',
  (error) => expect(asTargetFull(error)).toBe(error),
);
