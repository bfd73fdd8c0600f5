import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { readDefinitions } from '#local/stack.ts';
import {
  type JournaledExecution,
  type JournalLine,
  makeExecutionJournal,
  readExecutions,
} from '#local/ui/execution-journal.ts';
import { drawMachine } from '#local/ui/machine-graph.ts';
import { progressOf } from '#local/ui/machine-progress.ts';
import { machineSvg } from '#local/ui/machine-svg.ts';
import { runsPage } from '#local/ui/ui-pages.ts';

const definitions = await readDefinitions();

function makeExecution(...events: Partial<JournalLine>[]): JournaledExecution {
  const lines = events.map((event, second) => ({
    time: new Date(Date.UTC(2026, 10, 20, 3, 0, second)).toISOString(),
    machine: 'backup',
    name: 'r-1',
    type: 'StateEntered',
    ...event,
  }));
  return { name: 'r-1', machine: 'backup', lines };
}

describe('the progress of an execution', () => {
  const statusOf = (...events: Partial<JournalLine>[]) =>
    progressOf(makeExecution(...events)).states.get('A')?.status;
  const state = 'A';
  const ended = { type: 'ExecutionFailed', status: 'FAILED' };

  it.each([
    ['running', [{ state }]],
    ['running', [{ state }, { state, type: 'StateRetried' }]],
    ['succeeded', [{ state }, { state, type: 'StateExited' }]],
    ['running', [{ state }, { state, type: 'StateExited' }, { state }]],
    ['failed', [{ state }, { state, type: 'StateFailed', error: 'X' }]],
    ['failed', [{ state }, ended]],
    ['caught', [{ state }, { state, type: 'StateCaught' }, { state, type: 'StateExited' }]],
    [
      'caught',
      [
        { state },
        { state, type: 'StateFailed' },
        { state, type: 'StateCaught' },
        { state, type: 'StateExited' },
        ended,
      ],
    ],
    ['waiting', []],
  ] as const)('is %s after %j', (status, events) => {
    expect(statusOf(...events) ?? 'waiting').toBe(status);
  });

  it('counts the iterations of a Map and how often a state was entered', () => {
    const { states } = progressOf(
      makeExecution(
        { state: 'M', type: 'MapIterationStarted' },
        { state: 'M', type: 'MapIterationStarted' },
        { state },
        { state },
        { state: 'M', type: 'MapIterationSucceeded' },
        { state: 'M', type: 'MapIterationFailed' },
      ),
    );
    expect(states.get('M')?.iterations).toEqual({ begun: 2, done: 1, failed: 1 });
    expect(states.get('A')?.entered).toBe(2);
  });
});

describe.each([...definitions])('the drawing of %s', (name, definition) => {
  const drawing = drawMachine(definition);

  it('has every state once, inside the drawing, and none upon another', () => {
    const names = drawing.states.map((it) => it.name);
    expect(new Set(names).size).toBe(names.length);
    for (const it of Object.keys(definition.States)) expect(names).toContain(it);
    const outside = drawing.states.filter(
      ({ x, y, width, height }) =>
        x - width / 2 < 0 ||
        y - height / 2 < 0 ||
        x + width / 2 > drawing.width ||
        y + height / 2 > drawing.height,
    );
    expect(outside).toEqual([]);
    const upon = drawing.states.flatMap((a, index) =>
      drawing.states
        .slice(index + 1)
        .filter(
          (b) =>
            Math.abs(a.x - b.x) < (a.width + b.width) / 2 &&
            Math.abs(a.y - b.y) < (a.height + b.height) / 2,
        )
        .map((b) => `${a.name} on ${b.name}`),
    );
    expect(upon).toEqual([]);
  });

  it('leads from the first state to every end', () => {
    expect(drawing.edges.length).toBeGreaterThanOrEqual(drawing.states.length - 1);
    const { text } = machineSvg('m', name, drawing, progressOf(makeExecution()));
    expect(text).not.toMatch(/NaN|undefined|Infinity/);
    expect(text).toContain(`<title>${definition.StartAt}: waiting</title>`);
  });
});

describe('the journal of executions', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-journal-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const arn = (name: string) =>
    `arn:aws:states:eu-west-1:123456789012:execution:holdfast-local-drill:${name}`;
  const event = (name: string): ExecutionEvent => ({
    executionArn: arn(name),
    timestamp: new Date('2026-11-20T03:00:00Z'),
    type: 'StateEntered',
    state: 'Drill Database',
    stateType: 'Task',
    path: [],
    input: { taskToken: 'the token' },
  });

  it('is read back by machine and name, without the data of the states', async () => {
    const journal = makeExecutionJournal(directory, 'holdfast-local-');
    journal(event('d-1'));
    const [execution] = await readExecutions(directory);
    expect(execution).toMatchObject({ name: 'd-1', machine: 'drill' });
    const text = await readFile(join(directory, 'executions/d-1.jsonl'), 'utf8');
    expect(text).not.toContain('token');
  });

  it('never leaves its folder, whatever an execution is called', () => {
    makeExecutionJournal(directory, 'holdfast-local-')(event('../../evil'));
    expect(readdirSync(join(directory, 'executions')).toSorted()).toEqual([
      '%2E%2E%2F%2E%2E%2Fevil.jsonl',
      'd-1.jsonl',
    ]);
  });
});

describe('the page of the runs', () => {
  const directory = '/d';
  const now = new Date('2026-11-20T04:00:00Z');
  const executions = [makeExecution({ state: 'Plan Backup' })];
  const pageOf = (aliveSince: Date | undefined) =>
    runsPage({ now, directory, aliveSince, executions, definitions });

  it('calls running what the process that is there began, and not what an earlier one left', () => {
    const began = Date.parse('2026-11-20T03:00:00Z');
    expect(pageOf(new Date(began - 1000))).toContain('<h1>A run goes on</h1>');
    for (const page of [pageOf(new Date(began + 1000)), pageOf(undefined)]) {
      expect(page).toContain('<span class="pill red">ended with its process</span>');
      expect(page).not.toContain('A run goes on');
    }
  });
});
