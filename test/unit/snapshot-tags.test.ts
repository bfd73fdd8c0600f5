import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isOurs, snapshotTags, tagValue } from '#domain/snapshot-tags.ts';
import { makeRun } from '#test/fakes.ts';

const NOW = new Date('2026-11-20T02:00:05.000Z');

describe('the tags of a snapshot', () => {
  it('say whose it is, of which run, since when and why', () => {
    expect(snapshotTags(makeRun({ reason: 'before "release" 4.2 (eu)' }), NOW)).toEqual({
      'holdfast:managed': 'true',
      'holdfast:source': 'orders',
      'holdfast:run': 'orders-20261120T020000Z-k3v9qd',
      'holdfast:created-at': '2026-11-20T02:00:05.000Z',
      'holdfast:reason': 'before _release_ 4.2 _eu_',
    });
  });

  it('have no reason when there is none: RDS takes no empty value', () => {
    expect(Object.keys(snapshotTags(makeRun({ reason: null }), NOW))).not.toContain(
      'holdfast:reason',
    );
  });

  it('have only what RDS accepts, whatever the reason', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (reason) => {
        expect(tagValue(reason)).toMatch(/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{0,256}$/u);
      }),
    );
  });

  it.each([
    [{ 'holdfast:managed': 'true', 'holdfast:source': 'orders' }, true],
    [{ 'holdfast:managed': 'true', 'holdfast:source': 'billing' }, false],
    [{ 'holdfast:managed': 'false', 'holdfast:source': 'orders' }, false],
    [{ 'holdfast:source': 'orders' }, false],
    [{}, false],
  ])('%j make it ours: %s', (tags, ours) => {
    expect(isOurs(tags, 'orders')).toBe(ours);
  });
});
