import { displayUtc } from '#domain/display-time.ts';
import { html, type Markup } from '#domain/report/html.ts';
import { count, duration } from '#domain/report/words.ts';
import type { DrawnEdge, MachineDrawing } from './machine-graph.ts';
import type { ExecutionProgress, StateProgress } from './machine-progress.ts';

/** The drawing of a state machine with an execution's progress on it. */
export function machineSvg(
  id: string,
  title: string,
  drawing: MachineDrawing,
  progress: ExecutionProgress,
): Markup {
  const { width, height, frames, edges, states } = drawing;
  const statusOf = (name: string) => progress.states.get(name)?.status ?? 'waiting';
  return html`<svg class="machine" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${id}-t ${id}-d">
<title id="${id}-t">${title}</title><desc id="${id}-d">${describe(drawing, progress)}</desc>
<defs><marker id="${id}-tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>
${frames.map(
  ({ name, x, y, width: w, height: h }) =>
    html`<rect class="frame ${statusOf(name)}" x="${x - w / 2}" y="${y - h / 2}" width="${w}" height="${h}" rx="10"/>`,
)}
${edges.map(({ kind, points }) => html`<path class="edge ${kind}" d="${pathOf(points)}" marker-end="url(#${id}-tip)"/>`)}
${states.map(({ name, type, x, y, width: w, height: h }) => {
  const state = progress.states.get(name);
  const words = stateWords(state);
  return html`<g class="state ${statusOf(name)} ${type.toLowerCase()}"><title>${name}: ${words}${state && `, ${displayUtc(state.firstAt)}`}</title><rect x="${x - w / 2}" y="${y - h / 2}" width="${w}" height="${h}" rx="${type === 'Choice' ? 16 : 6}"/><text x="${x}" y="${state ? y - 2 : y + 4}" text-anchor="middle">${name}</text>${state && html`<text class="note" x="${x}" y="${y + 11}" text-anchor="middle">${words}</text>`}</g>`;
})}
</svg>`;
}

/** `succeeded, 3 times, 4 s`. */
export function stateWords(state: StateProgress | undefined): string {
  if (!state) return 'waiting';
  const { status, entered, retried, iterations, firstAt, lastAt } = state;
  const seconds = (lastAt.getTime() - firstAt.getTime()) / 1000;
  return [
    STATUS_WORDS[status],
    ...(iterations.begun > 0
      ? [`${iterations.done + iterations.failed} of ${iterations.begun}`]
      : []),
    ...(entered > 1 ? [`${entered} times`] : []),
    ...(retried > 0 ? [count(retried, 'retry').replace('retrys', 'retries')] : []),
    ...(status !== 'running' && seconds >= 1 ? [duration(seconds)] : []),
  ].join(', ');
}

const STATUS_WORDS: Readonly<Record<StateProgress['status'], string>> = {
  waiting: 'waiting',
  running: 'running',
  succeeded: 'done',
  failed: 'failed',
  caught: 'failed, caught',
};

function describe({ states }: MachineDrawing, progress: ExecutionProgress): string {
  const of = (status: StateProgress['status']) =>
    states.filter(({ name }) => (progress.states.get(name)?.status ?? 'waiting') === status).length;
  return `${states.length} states: ${of('succeeded')} done, ${of('running')} running, ${of('failed') + of('caught')} failed, ${of('waiting')} waiting or not needed. The table below has the same.`;
}

/** A line through the points, its corners rounded by curves between their middles. */
function pathOf(points: DrawnEdge['points']): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (!first || !last) return '';
  const middles = rest.slice(0, -1).map((point, index) => {
    const next = rest[index + 1] ?? last;
    const isBeforeLast = index === rest.length - 2;
    const end = isBeforeLast ? last : { x: (point.x + next.x) / 2, y: (point.y + next.y) / 2 };
    return `Q${point.x} ${point.y} ${end.x} ${end.y}`;
  });
  return middles.length > 0
    ? `M${first.x} ${first.y} ${middles.join(' ')}`
    : `M${first.x} ${first.y} L${last.x} ${last.y}`;
}
