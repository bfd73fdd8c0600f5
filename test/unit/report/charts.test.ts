import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seriesChart, shareBar, targetBar, timelineChart } from '#domain/report/charts.ts';
import type { BackupMark, Point } from '#domain/report/report-model.ts';
import { backupIdAt } from '#test/fakes.ts';

const NOW = new Date('2026-11-20T09:00:00Z');
const DAY = 86_400_000;
const display = (value: number) => `${value} u`;

function makePoints(count: number, valueAt: (index: number) => number = (index) => index): Point[] {
  return Array.from({ length: count }, (_, index) => ({
    time: new Date(NOW.getTime() - (count - index) * DAY),
    value: valueAt(index),
  }));
}

function makeMarks(count: number, stepDays = 1): BackupMark[] {
  return Array.from({ length: count }, (_, index) => {
    const time = new Date(NOW.getTime() - index * stepDays * DAY);
    return {
      backupId: backupIdAt(time),
      time,
      state: 'verified',
      sizeBytes: 1,
      tier: 'daily',
      drilled: false,
      reasons: ['daily'],
    };
  });
}

const draw = (points: readonly Point[], target?: number) =>
  seriesChart({
    id: 'a',
    title: 'Sizes',
    points,
    display,
    target: target === undefined ? undefined : { value: target, label: 'target' },
  }).text;

/** Every number in the geometry of a drawing. */
function numbersOf(svg: string): number[] {
  const attributes = [...svg.matchAll(/ (?:x|y|x1|x2|y1|y2|cx|cy|r|width|height|d)="([^"]*)"/g)];
  return attributes.flatMap(([, value = '']) =>
    (value.match(/-?[\d.]+(e-?\d+)?|NaN|Infinity/g) ?? []).map(Number),
  );
}

function expectSound(svg: string): void {
  expect(svg).not.toMatch(/NaN|Infinity|undefined|null/);
  expect(numbersOf(svg).filter((it) => !Number.isFinite(it) || it < 0)).toEqual([]);
}

describe('a chart of values over time', () => {
  it('says so when there is nothing to draw, or one value', () => {
    expect(draw([])).toBe('<p class="quiet">Sizes: nothing has been measured yet.</p>');
    expect(draw(makePoints(1, () => 7))).toBe('<p class="quiet">Measured once so far: 7 u.</p>');
  });

  it('is an image with a name and a description of its values', () => {
    const svg = draw(makePoints(3, (index) => [5, 2, 9][index] ?? 0));
    expect(svg).toContain('role="img" aria-labelledby="a-t a-d"');
    expect(svg).toContain('<title id="a-t">Sizes</title>');
    expect(svg).toContain(
      '3 values from 2026-11-17 to 2026-11-19; lowest 2 u, highest 9 u, last 9 u.',
    );
    expectSound(svg);
  });

  it('draws a thousand values in bounded space, without losing the highest', () => {
    const points = makePoints(1000, (index) => (index === 500 ? 1e12 : index));
    const svg = draw(points);
    expectSound(svg);
    expect(svg.length).toBeLessThan(60_000);
    expect(svg).toContain('highest 1000000000000 u');
    expect(svg).toContain('last 999 u');
  });

  it('leaves out what is no number from 0', () => {
    const bad = [Number.NaN, -1, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    const points = [...makePoints(2), ...bad.map((value) => ({ time: NOW, value }))];
    const svg = draw([...points, { time: new Date(Number.NaN), value: 1 }]);
    expect(svg).toContain('2 values from');
    expectSound(svg);
  });

  it.each([
    ['all 0', makePoints(5, () => 0)],
    ['at one time', Array.from({ length: 3 }, () => ({ time: NOW, value: 3 }))],
  ])('is sound with values %s', (_, points) => {
    expectSound(draw(points, 4));
  });

  it('keeps a target within the drawing', () => {
    const svg = draw(makePoints(4), 100);
    expect(svg).toContain('<g class="target">');
    expectSound(svg);
  });

  it('is sound with any values at all', () => {
    const point = fc.record({ time: fc.date({ noInvalidDate: false }), value: fc.double() });
    fc.assert(
      fc.property(fc.array(point, { maxLength: 20 }), (points) => {
        const tone = points.length % 2 === 0 ? 'time' : 'size';
        const svg = seriesChart({ id: 'a', title: 'T', points, display: () => 'v', tone }).text;
        expect(svg).not.toMatch(/NaN|Infinity|undefined/);
      }),
      { numRuns: 300 },
    );
  });
});

describe('a timeline of backups', () => {
  const timeline = (marks: readonly BackupMark[]) =>
    timelineChart({ id: 'a', title: 'Backups', marks, now: NOW }).text;

  it('says so when there are none', () => {
    expect(timeline([])).toContain('There are no backups to draw');
  });

  it.each([1, 2, 60, 1000])('is sound with %i backups', (count) => {
    expectSound(timeline(makeMarks(count)));
  });

  it('draws what would lie on one spot once, so that it stays small', () => {
    const svg = timeline(makeMarks(20_000, 0.01));
    expect(svg.match(/<circle/g)?.length).toBeLessThan(420);
  });

  it('never hides one in trouble behind one that is well', () => {
    const [first] = makeMarks(1);
    if (!first) throw new Error('no mark');
    const svg = timeline([first, { ...first, state: 'quarantined' }]);
    expect(svg).toContain('class="mark quarantined daily"');
  });

  it('bears what is dated in the future, and what has no date', () => {
    const [mark] = makeMarks(1);
    if (!mark) throw new Error('no mark');
    const dates = [new Date(NOW.getTime() + 90 * DAY), new Date(Number.NaN)];
    expectSound(timeline([mark, ...dates.map((time) => ({ ...mark, time }))]));
  });
});

describe('bars', () => {
  it.each([Number.NaN, -3, 0, 0.5, 7, Number.POSITIVE_INFINITY])('are sound for %d', (value) => {
    expectSound(shareBar(value, 'size').text);
    expectSound(targetBar({ id: 'a', title: 'RTO', value, target: 5, display }).text);
    expectSound(targetBar({ id: 'a', title: 'RTO', value: 3, target: value, display }).text);
  });

  it('say whether the target is met', () => {
    const bar = (value: number) =>
      targetBar({ id: 'a', title: 'RTO', value, target: 5, display }).text;
    expect(bar(5)).toContain('which is met');
    expect(bar(5.1)).toContain('which is missed');
    expect(bar(5.1)).toContain('class="bar bad"');
  });
});
