import { describe, expect, it } from 'vitest';
import type { DrillKind } from '#contracts/source-plan.ts';
import { kindOfDrill, parseDrillInput } from '#domain/drill/drill-input.ts';
import { possibleDrillKinds } from '#domain/drill/drill-kinds.ts';
import { makePlan } from '#test/fakes.ts';

describe('the input of a drill', () => {
  it('needs nothing but the source', () => {
    expect(parseDrillInput({ source: 'orders' })).toEqual({ source: 'orders', trigger: 'manual' });
  });

  it.each([
    [{}, /the input has no source/],
    [{ source: 'orders', databse: 'shop' }, /did you mean database/],
    [{ source: 'orders', kind: 'archives' }, /not one of "archive", "snapshot", "point-in-time"/],
    [{ source: 'orders', backup: 'newest' }, /write "latest", "random" or a backup id/],
    [{ source: 'orders', kind: 'snapshot', backup: 'latest' }, /"snapshot" is of a whole server/],
    [{ source: 'orders', kind: 'point-in-time', database: 'shop' }, /leave out "database"/],
    ['orders', /not a JSON object/],
  ])('%j is refused with what to write', (input, words) => {
    expect(() => parseDrillInput(input)).toThrow(words);
    expect(() => parseDrillInput(input)).toThrow(expect.objectContaining({ name: 'InvalidInput' }));
  });
});

describe('the kind of a drill', () => {
  const all: DrillKind[] = ['archive', 'snapshot', 'point-in-time'];

  it.each([
    [undefined, 'archive'],
    ['archive', 'snapshot'],
    ['snapshot', 'point-in-time'],
    ['point-in-time', 'archive'],
  ] as const)('after %s it is %s', (last, next) => {
    expect(kindOfDrill({}, all, last)).toBe(next);
  });

  it('is the first after one that the plan does not have', () => {
    expect(kindOfDrill({}, ['snapshot', 'point-in-time'], 'archive')).toBe('snapshot');
  });

  it('is the one that is asked for, and an archive where one is named', () => {
    expect(kindOfDrill({ kind: 'snapshot' }, all, 'archive')).toBe('snapshot');
    expect(kindOfDrill({ backup: 'random' }, all, 'archive')).toBe('archive');
    expect(kindOfDrill({ database: 'shop' }, ['snapshot'], undefined)).toBe('archive');
  });
});

describe('what a source can rehearse', () => {
  const drill = { kinds: ['archive', 'snapshot'] as DrillKind[] };

  it('is what there are backups of', () => {
    expect(possibleDrillKinds(makePlan({ drill }))).toEqual(['archive', 'snapshot']);
    expect(possibleDrillKinds(makePlan({ drill, kinds: ['snapshot'] }))).toEqual(['snapshot']);
    const plain = { ...makePlan({ drill }), engine: { type: 'postgres' as const } };
    expect(possibleDrillKinds(plain)).toEqual(['archive']);
  });

  it('may be nothing, as of a source that makes snapshots alone', () => {
    expect(possibleDrillKinds(makePlan({ kinds: ['snapshot'] }))).toEqual([]);
  });
});
