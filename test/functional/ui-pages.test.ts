import { mkdtemp, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDefinitions } from '#local/stack.ts';
import {
  type JournaledExecution,
  type JournalLine,
  makeExecutionJournal,
} from '#local/ui/execution-journal.ts';
import { readLocalState } from '#local/ui/local-state.ts';
import { executionPage } from '#local/ui/ui-pages.ts';
import { executionArnOf } from '#test/fakes.ts';

const NOW = new Date('2026-11-20T03:01:00Z');
const AT = '2026-11-20T03:00:00.000Z';
const definitions = await readDefinitions();

const line = (type: string, changes: Partial<JournalLine> = {}): JournalLine => ({
  time: AT,
  machine: 'backup',
  name: 'run-1',
  type,
  ...changes,
});
const BEGUN = [
  line('ExecutionStarted', { status: 'RUNNING' }),
  line('StateEntered', { state: 'Plan Backup', stateType: 'Task', path: [] }),
];

/** The text of the page of an execution. */
function textOf(lines: readonly JournalLine[], aliveSince: Date | undefined): string {
  const execution: JournaledExecution = { name: 'run-1', machine: 'backup', lines };
  const state = { now: NOW, directory: '.', aliveSince, executions: [execution], definitions };
  return executionPage(execution, state).replaceAll(/<[^>]+>/g, '');
}

describe('the page of an execution', () => {
  it('says in words what is done now: the drawing does not fit a phone', () => {
    expect(textOf(BEGUN, new Date(AT))).toContain('Now: Plan Backup.');
  });

  it('says where it stood when its process ended', () => {
    expect(textOf(BEGUN, undefined)).toContain('When it ended: Plan Backup.');
  });

  it('says where it failed, and of what', () => {
    const failed = [
      ...BEGUN,
      line('StateFailed', { state: 'Plan Backup', stateType: 'Task', error: 'RunInProgress' }),
      line('ExecutionFailed', { status: 'FAILED' }),
    ];
    expect(textOf(failed, new Date(AT))).toContain('Failed: Plan Backup (RunInProgress).');
  });
});

describe('what the local report asks of the execution of a run', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-ui-pages-'));
    const write = makeExecutionJournal(directory, 'holdfast-test-');
    const event = { executionArn: executionArnOf('run-1'), timestamp: new Date() };
    write({ ...event, type: 'ExecutionStarted', status: 'RUNNING' });
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));
  const status = (name: string) =>
    readLocalState(directory, 'b').workflow.executionStatus(executionArnOf(name));

  it('is that it was stopped when its process ended in the middle of it', async () => {
    expect(await status('run-1')).toBe('ABORTED');
  });

  it('is that it goes on while the process that runs it is alive', async () => {
    await writeFile(join(directory, 'pid'), String(process.pid));
    // The claim is older than what it runs.
    await utimes(join(directory, 'pid'), 0, 0);
    expect(await status('run-1')).toBe('RUNNING');
    await rm(join(directory, 'pid'));
  });

  it('is nothing of one that was never journaled', async () => {
    expect(await status('run-2')).toBeUndefined();
  });
});
