import { expect, test } from 'vitest';
import { chooseServerMajor } from '#domain/drill/server-major.ts';
import { DrillServerFailed } from '#errors';

test("The source's own major is chosen where it is at hand", () => {
  expect(chooseServerMajor(17, [15, 17, 18])).toEqual({ major: 17, note: undefined });
});

test('Without it, the next newer one is, and that is said', () => {
  const { major, note } = chooseServerMajor(16, [15, 18, 17]);
  expect(major).toBe(17);
  expect(note).toBe(
    'the source is PostgreSQL 16, the drill restored into PostgreSQL 17: of 16 it has no server',
  );
});

test.each([
  [19, [15, 17, 18], 'the servers at hand are 15, 17, 18'],
  [18, [], 'the servers at hand are none'],
])('A source of major %j has none among %j', (source, majors, said) => {
  const choose = () => chooseServerMajor(source, majors);
  expect(choose).toThrow(DrillServerFailed);
  expect(choose).toThrow(said);
});
