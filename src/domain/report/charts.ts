import { extent, max } from 'd3-array';
import { scaleLinear, scalePow, scaleUtc } from 'd3-scale';
import { area, curveMonotoneX, line } from 'd3-shape';
import { utcFormat } from 'd3-time-format';
import { displayUtc } from '../display-time.ts';
import { html, type Markup } from './html.ts';
import type { BackupMark, Point, Tier } from './report-model.ts';

/**
 * Charts as inline SVG, with colours by CSS class (style.ts). Each is an image with a name and a description;
 * the same data stand in a table beside it. What is no number from 0 to 2^53 is left out.
 */

const formatDay = utcFormat('%-d %b');
const formatMonth = utcFormat('%b %Y');
const formatClock = utcFormat('%H:%M');
const formatDate = utcFormat('%Y-%m-%d');

const DAY_MILLISECONDS = 86_400_000;

/** Labels for a stretch of time: clock, days, or months. */
function tickFormat(from: Date, to: Date): (time: Date) => string {
  const days = (to.getTime() - from.getTime()) / DAY_MILLISECONDS;
  return days < 2 ? formatClock : days < 200 ? formatDay : formatMonth;
}

export function isDrawable({ time, value }: Point): boolean {
  return Number.isFinite(time.getTime()) && value >= 0 && value <= Number.MAX_SAFE_INTEGER;
}

export interface SeriesChart {
  /** Unique in the document: `[a-z0-9-]+`. */
  readonly id: string;
  readonly title: string;
  readonly points: readonly Point[];
  readonly display: (value: number) => string;
  /** A line that the values should stay below. */
  readonly target?: { readonly value: number; readonly label: string } | undefined;
  readonly tone?: 'size' | 'time';
}

/** In CSS pixels; across, everything is in percent, so that it fits any width without scaling its text. */
const SERIES = { height: 132, top: 18, bottom: 20 } as const;
/** Of the shapes' own coordinates, which are stretched to the width. */
const ACROSS = 1000;
/** Room at the right edge for the last point's mark. */
const LAST_PERCENT = 98.5;

/** More points than pixels say nothing more. */
const SERIES_POINTS = 300;

/** One value over time: an area from zero, its last point marked. */
export function seriesChart(chart: SeriesChart): Markup {
  const { id, title, display, target, tone = 'size' } = chart;
  const points = thin(chart.points.filter(isDrawable), SERIES_POINTS);
  const last = points.at(-1);
  if (!last) return html`<p class="quiet">${title}: nothing has been measured yet.</p>`;
  // One value has no course to draw.
  if (points.length === 1) {
    return html`<p class="quiet">Measured once so far: ${display(last.value)}.</p>`;
  }
  const { height, top, bottom } = SERIES;
  const highest = Math.max(max(points, ({ value }) => value) ?? 0, target?.value ?? 0) || 1;
  const ticks = tone === 'time' ? timeTicks(highest) : scaleLinear([0, highest], [0, 1]).ticks(3);
  const x = scaleUtc(timeSpan(points), [0, LAST_PERCENT]);
  const y = scaleLinear([0, Math.max(highest, ticks.at(-1) ?? 0)], [height - bottom, top]);
  const xAt = ({ time }: Point) => round((x(time) / 100) * ACROSS);
  const yAt = ({ value }: Point) => round(y(value));
  const shape = area<Point>()
    .x(xAt)
    .y0(round(y(0)))
    .y1(yAt)
    .curve(curveMonotoneX);
  const stroke = line<Point>().x(xAt).y(yAt).curve(curveMonotoneX);
  const [from, to] = x.domain() as [Date, Date];
  const format = tickFormat(from, to);
  const across = (value: number) =>
    html`<line x1="0" x2="100%" y1="${round(y(value))}" y2="${round(y(value))}"/>`;
  return html`<svg class="chart ${tone}" width="100%" height="${height}" role="img" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}</title><desc id="${id}-d">${describeSeries(points, display)}</desc>
<svg width="100%" height="${height}" viewBox="0 0 ${ACROSS} ${height}" preserveAspectRatio="none"><path class="fill" d="${shape(points) ?? ''}"/><path class="stroke" d="${stroke(points) ?? ''}"/></svg>
${ticks.map((value) => html`<g class="grid">${across(value)}${value > 0 && html`<text x="0" y="${round(y(value)) - 4}">${display(value)}</text>`}</g>`)}
${target && html`<g class="target">${across(target.value)}<text x="100%" y="${round(y(target.value)) - 4}" text-anchor="end">${target.label}</text></g>`}
<circle class="last" cx="${round(x(last.time))}%" cy="${round(y(last.value))}" r="3.5"/>
${ticksApart(x.ticks(4), x).map((time) => html`<text class="tick" x="${round(x(time))}%" y="${height - 5}" text-anchor="middle">${format(time)}</text>`)}
</svg>`;
}

/** Round times for an axis, in seconds. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30].flatMap((step) => [step, step * 60]);
const HOUR_STEPS = [1, 2, 3, 6, 12, 24, 48, 96, 240, 720].map((hours) => hours * 3600);

/** From 0, at most four steps; sizes have decimal ticks, times have none. */
function timeTicks(highest: number): number[] {
  const steps = [...TIME_STEPS, ...HOUR_STEPS].sort((a, b) => a - b);
  const step = steps.find((it) => highest / it <= 3.5) ?? highest / 3;
  return Array.from({ length: Math.floor(highest / step) + 1 }, (_, index) => index * step);
}

/** `12 values from 2026-11-01 to 2026-11-20; lowest 3 MB, highest 5 MB, last 4 MB.` */
function describeSeries(points: readonly Point[], display: (value: number) => string): string {
  const [lowest, highest] = extent(points, ({ value }) => value) as [number, number];
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return '';
  const count = points.length === 1 ? '1 value' : `${points.length} values`;
  return `${count} from ${formatDate(first.time)} to ${formatDate(last.time)}; lowest ${display(lowest)}, highest ${display(highest)}, last ${display(last.value)}.`;
}

/** The first and the last time; a single one has half a day on each side. */
function timeSpan(points: readonly Point[]): [Date, Date] {
  const times = points.map(({ time }) => time.getTime());
  const [from, to] = extent(times) as [number, number];
  return from < to
    ? [new Date(from), new Date(to)]
    : [new Date(from - DAY_MILLISECONDS / 2), new Date(from + DAY_MILLISECONDS / 2)];
}

/** At most `limit` points, the first and the last among them; of each stretch the highest. */
function thin(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const [first, last] = [points[0], points.at(-1)];
  const inner = points.slice(1, -1);
  const size = Math.ceil(inner.length / (limit - 2));
  const kept: Point[] = first ? [first] : [];
  for (let at = 0; at < inner.length; at += size) {
    const stretch = inner.slice(at, at + size);
    const highest = stretch.reduce((a, b) => (b.value > a.value ? b : a));
    kept.push(highest);
  }
  return last ? [...kept, last] : kept;
}

export interface TimelineChart {
  readonly id: string;
  readonly title: string;
  readonly marks: readonly BackupMark[];
  readonly now: Date;
}

const TIMELINE = { height: 96, axis: 74, first: 12, step: 11 } as const;

/** From the top: what is kept longest stands highest. */
const LANES: readonly Tier[] = ['yearly', 'monthly', 'weekly', 'daily', 'last', 'none'];

/** Of the width; where two backups would be drawn on the same spot, one is. */
const SPOT_PERCENT = 0.25;

/**
 * Backups over time, each in the lane of its tier; the newest at the right edge.
 */
export function timelineChart({ id, title, marks, now }: TimelineChart): Markup {
  const drawable = marks.filter(({ time }) => Number.isFinite(time.getTime()));
  if (drawable.length === 0) return html`<p class="quiet">There are no backups to draw.</p>`;
  const oldest = Math.min(...drawable.map(({ time }) => time.getTime()));
  const latest = Math.max(now.getTime(), ...drawable.map(({ time }) => time.getTime()));
  const span = Math.max(latest - oldest, DAY_MILLISECONDS);
  // By the root of the age: the last days, which have the most backups, get the most room.
  const x = scalePow()
    .exponent(0.5)
    .domain([span * 1.04, 0])
    .range([1, 98.5]);
  const at = (time: Date) => x(latest - time.getTime());
  const spots = new Map<string, BackupMark>();
  // Newest first: of one spot the newest is drawn, but never instead of one that is in trouble.
  for (const mark of drawable) {
    const spot = `${mark.tier} ${mark.state} ${Math.round(at(mark.time) / SPOT_PERCENT)}`;
    if (!spots.has(spot)) spots.set(spot, mark);
  }
  return html`<svg class="chart timeline" width="100%" height="${TIMELINE.height}" role="img" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}</title><desc id="${id}-d">${describeMarks(drawable)}</desc>
${ageTicks(span, x).map(
  ({ days, word }) =>
    html`<g class="grid"><line x1="${round(x(days * DAY_MILLISECONDS))}%" x2="${round(x(days * DAY_MILLISECONDS))}%" y1="4" y2="${TIMELINE.axis}"/><text class="tick" x="${round(x(days * DAY_MILLISECONDS))}%" y="${TIMELINE.height - 6}" text-anchor="middle">${word}</text></g>`,
)}
<line class="axis" x1="0" x2="100%" y1="${TIMELINE.axis}" y2="${TIMELINE.axis}"/>
${[...spots.values()].reverse().map((mark) => {
  const y = TIMELINE.first + LANES.indexOf(mark.tier) * TIMELINE.step;
  return html`<circle class="mark ${mark.state} ${mark.tier}${mark.drilled && ' drilled'}" cx="${round(at(mark.time))}%" cy="${y}" r="${mark.drilled ? 5 : 4}"><title>${displayUtc(mark.time)}: ${describeMark(mark)}</title></circle>`;
})}
</svg>`;
}

/** Wide enough apart for a label at 320 pixels, and away from the edges. */
const APART_PERCENT = 17;
const EDGE_PERCENT = 8;

function ticksApart(ticks: readonly Date[], x: (time: Date) => number): Date[] {
  const apart: Date[] = [];
  for (const tick of ticks) {
    const before = apart.at(-1);
    const isClear = !before || x(tick) - x(before) >= APART_PERCENT;
    if (x(tick) >= EDGE_PERCENT && x(tick) <= 100 - EDGE_PERCENT && isClear) apart.push(tick);
  }
  return apart;
}

/** Youngest first. */
const AGES = [
  { days: 0.25, word: '6 h' },
  { days: 1, word: '1 day' },
  { days: 3, word: '3 days' },
  { days: 7, word: '1 week' },
  { days: 14, word: '2 weeks' },
  { days: 30, word: '1 month' },
  { days: 91, word: '3 months' },
  { days: 182, word: '6 months' },
  { days: 365, word: '1 year' },
  { days: 730, word: '2 years' },
  { days: 1826, word: '5 years' },
] as const;

function ageTicks(spanMilliseconds: number, x: (age: number) => number) {
  const apart: { days: number; word: string }[] = [];
  let before = 100 - EDGE_PERCENT + APART_PERCENT;
  for (const age of AGES) {
    const place = x(age.days * DAY_MILLISECONDS);
    if (age.days * DAY_MILLISECONDS > spanMilliseconds || before - place < APART_PERCENT) continue;
    if (place < EDGE_PERCENT) continue;
    before = place;
    apart.push(age);
  }
  return apart;
}

function describeMarks(marks: readonly BackupMark[]): string {
  const words = LANES.flatMap((tier) => {
    const count = marks.filter((mark) => mark.tier === tier).length;
    return count > 0 ? `${TIER_WORDS[tier]}: ${count}` : [];
  });
  const sick = marks.filter(({ state }) => state !== 'verified').length;
  const count = marks.length === 1 ? '1 backup' : `${marks.length} backups`;
  return `${count}; ${words.join(', ')}; ${sick} not verified.`;
}

export function describeMark({ state, tier, drilled }: BackupMark): string {
  return `${state}, ${TIER_WORDS[tier]}${drilled ? ', rehearsed in a drill' : ''}`;
}

export const TIER_WORDS: Readonly<Record<Tier, string>> = {
  yearly: 'kept for years',
  monthly: 'kept for months',
  weekly: 'kept for weeks',
  daily: 'kept for days',
  last: 'kept as one of the last, or for now',
  none: 'kept by no rule',
};

/** A bar beside a number that says the same. */
export function shareBar(share: number, tone: 'size' | 'good' | 'bad'): Markup {
  const width = Number.isFinite(share) ? Math.min(100, Math.max(0, share * 100)) : 0;
  return html`<svg class="bar ${tone}" width="100%" height="8" aria-hidden="true"><rect class="track" width="100%" height="8" rx="2"/><rect class="value" width="${round(width)}%" height="8" rx="2"/></svg>`;
}

export interface TargetBar {
  readonly id: string;
  readonly title: string;
  readonly value: number;
  readonly target: number;
  readonly display: (value: number) => string;
}

/** A measured time against the plan's target, which is a line across the bar. */
export function targetBar({ id, title, value, target, display }: TargetBar): Markup {
  if (!(Number.isFinite(value) && value >= 0 && Number.isFinite(target) && target > 0)) {
    return html`<p class="quiet">${title}: nothing has been measured yet.</p>`;
  }
  const reach = Math.max(value, target) * 1.15;
  const percent = (seconds: number) => round((seconds / reach) * 100);
  const isMet = value <= target;
  return html`<svg class="bar ${isMet ? 'good' : 'bad'}" width="100%" height="18" role="img" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}</title><desc id="${id}-d">${display(value)}; the target is ${display(target)}, which is ${isMet ? 'met' : 'missed'}.</desc>
<rect class="track" y="4" width="100%" height="10" rx="2"/><rect class="value" y="4" width="${Math.max(0.6, percent(value))}%" height="10" rx="2"/><line class="limit" x1="${percent(target)}%" x2="${percent(target)}%" y1="0" y2="18"/></svg>`;
}

/** Two decimals: a hundredth of a pixel. */
function round(value: number): number {
  return Math.round(value * 100) / 100;
}
