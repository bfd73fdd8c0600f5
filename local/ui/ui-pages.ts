import { displayUtc, relativeTime } from '#domain/display-time.ts';
import { type HtmlValue, html, Markup } from '#domain/report/html.ts';
import { documentOf, reportPage } from '#domain/report/page.ts';
import type { ReportModel } from '#domain/report/report-model.ts';
import { cell, duration } from '#domain/report/words.ts';
import type { AslDefinition } from '../control-plane/scoped-definition.ts';
import type { JournaledExecution } from './execution-journal.ts';
import { drawMachine, type MachineDrawing } from './machine-graph.ts';
import { type ExecutionProgress, progressOf, type StateProgress } from './machine-progress.ts';
import { machineSvg, stateWords } from './machine-svg.ts';

/** What the pages are made of. */
export interface UiState {
  readonly now: Date;
  readonly directory: string;
  /** Since when the process that runs executions is there; undefined: there is none. */
  readonly aliveSince: Date | undefined;
  readonly executions: readonly JournaledExecution[];
  readonly definitions: ReadonlyMap<string, AslDefinition>;
}

/** Scripts and the stream of changes come from this server and from nowhere else. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'";

const STYLE = `
.tabs{max-width:72rem;margin:0 auto;padding:.9rem 1.25rem 0;display:flex;flex-wrap:wrap;gap:1rem;font-size:.9rem}
.tabs a[aria-current=page]{color:var(--text);font-weight:600;text-decoration:none}
.machines .scroll{border:1px solid var(--line);border-radius:8px;background:var(--page);padding:.5rem;margin:.75rem 0}
svg.machine{display:block;margin:0 auto}
svg.machine text{fill:var(--text);font-size:12px;stroke:none}svg.machine text.note{font-size:10.5px;fill:var(--soft)}
svg.machine .frame{fill:var(--sunken);opacity:.6;stroke:var(--line)}
svg.machine .edge{fill:none;stroke:var(--soft);stroke-width:1.2}svg.machine .edge.caught{stroke-dasharray:3 3;opacity:.65}
svg.machine .tip{fill:var(--soft)}
svg.machine .state rect{fill:var(--card);stroke:var(--line);stroke-width:1.5}
svg.machine .state.waiting text{fill:var(--soft)}
svg.machine .state.running rect{fill:var(--card);stroke:var(--link);stroke-width:2.5;animation:pulse 1.4s ease-in-out infinite}
svg.machine .state.succeeded rect{fill:var(--greenSurface);stroke:var(--green)}
svg.machine .state.failed rect{fill:var(--redSurface);stroke:var(--red);stroke-width:2.5}
svg.machine .state.caught rect{fill:var(--amberSurface);stroke:var(--amber);stroke-width:2}
@keyframes pulse{50%{stroke-opacity:.35}}
.pill.running{color:var(--link);background:var(--sunken)}
@media (max-width:40rem){.tabs{padding:.7rem .85rem 0}}
`;

const HEAD = html`${new Markup(`<style>${STYLE}</style>`)}<script src="/ui.js" defer></script><noscript><meta http-equiv="refresh" content="5"></noscript>`;

const TABS = [
  { path: '/', word: 'Runs' },
  { path: '/report', word: 'Report' },
] as const;

function tabs(current: string): Markup {
  return html`<nav class="tabs" aria-label="Pages">${TABS.map(
    ({ path, word }) =>
      html`<a href="${path}" aria-current="${path === current ? 'page' : 'false'}">${word}</a>`,
  )}</nav>`;
}

/** The report with the tabs above it, and refreshed. */
export function reportTab(model: ReportModel): string {
  return reportPage(model, { before: tabs('/report'), head: HEAD, policy: POLICY });
}

/** Executions drawn at once; the others are a line in the table, and have a page. */
const DRAWN = 1;
const LISTED = 50;

export function runsPage(state: UiState): string {
  const running = state.executions.filter((it) => isRunning(it, state));
  const drawn = running.length > 0 ? running : state.executions.slice(0, DRAWN);
  const title = running.length > 0 ? 'A run goes on' : 'Holdfast on this machine';
  return uiDocument(
    title,
    '/',
    html`<section class="card" aria-labelledby="runs-h"><h2 id="runs-h">Runs on this machine</h2>${executionsTable(state)}</section>
${drawn.map((execution, index) => executionCard(execution, state, `m${index}`))}
${state.executions.length === 0 && html`<section class="card"><p>Nothing has run yet in <code>${state.directory}</code>. Start it in another terminal: <code>npm start</code></p></section>`}`,
    state,
  );
}

export function executionPage(execution: JournaledExecution, state: UiState): string {
  return uiDocument(execution.name, '', executionCard(execution, state, 'm0'), state);
}

function uiDocument(title: string, path: string, content: HtmlValue, { now }: UiState): string {
  const body = html`${tabs(path)}
<header class="top"><h1>${title}</h1><p>${displayUtc(now)}</p></header>
<main class="machines">${content}</main>
<footer>All times are UTC. The page follows the runs by itself.</footer>`;
  return documentOf(title, body, { head: HEAD, policy: POLICY });
}

function isRunning(execution: JournaledExecution, state: UiState): boolean {
  const progress = progressOf(execution);
  return progress.status === 'RUNNING' && isAlive(progress, state);
}

/** What an earlier process began nobody goes on with. */
function isAlive({ startedAt }: ExecutionProgress, { aliveSince }: UiState): boolean {
  return aliveSince !== undefined && startedAt >= aliveSince;
}

/** Where the process was killed nobody wrote the end. */
function statusWord(progress: ExecutionProgress, state: UiState): string {
  const { status } = progress;
  if (status === 'RUNNING') return isAlive(progress, state) ? 'running' : 'ended with its process';
  return (
    { SUCCEEDED: 'worked', FAILED: 'failed', TIMED_OUT: 'timed out', ABORTED: 'stopped' }[status] ??
    status
  );
}

function statusPill(progress: ExecutionProgress, state: UiState): Markup {
  const { status } = progress;
  const isGoingOn = status === 'RUNNING' && isAlive(progress, state);
  const tone = status === 'SUCCEEDED' ? 'green' : isGoingOn ? 'running' : 'red';
  return html`<span class="pill ${tone}">${statusWord(progress, state)}</span>`;
}

export function executionPath(name: string): string {
  return `/executions/${encodeURIComponent(name)}`;
}

function executionsTable(state: UiState): Markup {
  const { executions, now } = state;
  if (executions.length === 0) return html`<p class="quiet">None yet.</p>`;
  return html`<table class="stack"><thead><tr><th scope="col">Run</th><th scope="col">Of</th><th scope="col">State</th><th scope="col">Begun</th><th scope="col" class="num">Took</th></tr></thead>
<tbody>${executions.slice(0, LISTED).map((execution) => {
    const progress = progressOf(execution);
    const { startedAt, lastAt } = progress;
    const seconds = (lastAt.getTime() - startedAt.getTime()) / 1000;
    return html`<tr><th scope="row" class="wrap"><a href="${executionPath(execution.name)}"><code>${execution.name}</code></a></th>${cell('Of', execution.machine)}${cell('State', statusPill(progress, state))}${cell('Begun', html`${displayUtc(startedAt)}, ${relativeTime(startedAt, now)}`)}${cell('Took', duration(seconds), 'num')}</tr>`;
  })}</tbody></table>`;
}

/** What is done now, or where it broke: the drawing does not fit a phone. */
function whereItStands(
  { status, states }: ExecutionProgress,
  drawing: MachineDrawing,
  isGoingOn: boolean,
): HtmlValue {
  const inner = new Set(drawing.frames.map(({ name }) => name));
  const of = (wanted: StateProgress['status']) =>
    [...states].filter(([name, it]) => it.status === wanted && !inner.has(name));
  const list = (found: readonly [string, StateProgress][]) =>
    found.map(([name, it]) => (it.error === null ? name : `${name} (${it.error})`)).join(', ');
  const broken = [...of('failed'), ...of('caught')];
  const running = of('running');
  return [
    status === 'RUNNING' && running.length > 0 && (isGoingOn ? 'Now: ' : 'When it ended: '),
    status === 'RUNNING' && running.length > 0 && html`<strong>${list(running)}</strong>. `,
    broken.length > 0 && html`Failed: <strong>${list(broken)}</strong>.`,
  ];
}

function executionCard(execution: JournaledExecution, state: UiState, id: string): Markup {
  const progress = progressOf(execution);
  const definition = state.definitions.get(execution.machine);
  const drawing = definition && drawMachine(definition);
  return html`<section class="card" aria-labelledby="${id}-h">
<div class="head"><h2 id="${id}-h">${execution.machine}: <code>${execution.name}</code></h2>${statusPill(progress, state)}</div>
${drawing && html`<p class="wrap">${whereItStands(progress, drawing, isAlive(progress, state))}</p>`}
${
  drawing
    ? html`<div class="scroll" tabindex="0" role="region" aria-labelledby="${id}-h">${machineSvg(id, `State machine ${execution.machine}`, drawing, progress)}</div>`
    : html`<p class="quiet">There is no state machine ${execution.machine} in this checkout to draw.</p>`
}
<details><summary>As a table</summary><table class="stack"><thead><tr><th scope="col">State</th><th scope="col">How it went</th><th scope="col">Begun</th><th scope="col">Error</th></tr></thead>
<tbody>${[...progress.states].map(
    ([name, it]) =>
      html`<tr><th scope="row">${name}</th>${cell('How it went', stateWords(it))}${cell('Begun', displayUtc(it.firstAt))}${cell('Error', it.error ?? '–', 'wrap')}</tr>`,
  )}</tbody></table></details>
</section>`;
}
