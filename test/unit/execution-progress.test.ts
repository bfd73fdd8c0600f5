import { describe, expect, it } from 'vitest';
import { ExecutionProgress, type ProgressEvent } from '#domain/execution-progress.ts';

type Event = [type: ProgressEvent['type'], state: string, data?: unknown, stateType?: string];

/** The lines of a history, in its order. */
function tell(events: readonly Event[]): string[] {
  const progress = new ExecutionProgress();
  return events.flatMap(([type, state, data, stateType = 'Task']) =>
    progress
      .next({ time: new Date(0), type, state, stateType, data })
      .map(({ mark, text }) => `${mark}: ${text}`),
  );
}

const item = (database: string) => ({ run: {}, database: { database, sizeBytes: 1 } });

describe('the progress of an execution', () => {
  it('has a line when a step begins and one when it ends, and none for Choice, Pass and Map', () => {
    const lines = tell([
      ['entered', 'Plan Backup', { source: 'orders' }],
      ['exited', 'Plan Backup', { run: {} }],
      ['entered', 'Back Up', {}, 'Parallel'],
      ['entered', 'Dumps Wanted?', {}, 'Choice'],
      ['entered', 'Dump Database', item('shop')],
      ['entered', 'Dump Database', item('audit')],
      ['exited', 'Dump Database', { status: 'verified', database: 'audit' }],
      ['exited', 'Dump Database', { status: 'verified', database: 'shop' }],
    ]);
    expect(lines).toEqual([
      'begun: Plan Backup',
      'done: Plan Backup',
      'begun: Dump Database (shop)',
      'begun: Dump Database (audit)',
      'done: Dump Database (audit)',
      'done: Dump Database (shop)',
    ]);
  });

  it('does not take the database in an input for an item of a Map', () => {
    const input = { source: 'orders', database: 'shop' };
    const lines = tell([
      ['entered', 'Plan Restore', input],
      ['exited', 'Plan Restore', { restore: {} }],
    ]);
    expect(lines).toEqual(['begun: Plan Restore', 'done: Plan Restore']);
  });

  it('tells a poll once, however often it goes round', () => {
    const round: Event[] = [
      ['entered', 'Check Snapshot', {}],
      ['exited', 'Check Snapshot', {}],
      ['entered', 'Wait For Snapshot', {}, 'Wait'],
    ];
    expect(tell([...round, ...round, ...round])).toEqual([
      'begun: Check Snapshot',
      'done: Check Snapshot',
    ]);
  });

  it('tells a failure where it happened, and not again in the states that carry it on', () => {
    const failure = { Error: 'LockTimeout', Cause: '{"errorMessage":"waited 60 s","trace":[]}' };
    const lines = tell([
      ['entered', 'Dump Database', item('shop')],
      ['exited', 'Dump Database', { ...item('shop'), failure }],
      ['entered', 'Database Failed', { ...item('shop'), failure }, 'Pass'],
      ['entered', 'Notify', { failure: { Error: 'Throttled', Cause: '' } }],
      ['exited', 'Notify', { failure: { Error: 'Throttled', Cause: '' } }],
    ]);
    expect(lines).toEqual([
      'begun: Dump Database (shop)',
      'failed: Dump Database (shop): LockTimeout: waited 60 s',
      'failed: Notify: Throttled: no cause was given',
      'begun: Notify',
      'done: Notify',
    ]);
  });

  it('tells the failure of an input that names a database once, and that the next step was done', () => {
    const input = { source: 'orders', database: 'shoop' };
    const failure = { Error: 'BackupNotFound', Cause: 'there is no shoop' };
    const lines = tell([
      ['entered', 'Plan Drill', input],
      ['exited', 'Plan Drill', { ...input, failure }],
      ['entered', 'Notify Drill Not Planned', { ...input, failure }],
      ['exited', 'Notify Drill Not Planned', { ...input, failure, outcome: {} }],
    ]);
    expect(lines).toEqual([
      'begun: Plan Drill',
      'failed: Plan Drill (shoop): BackupNotFound: there is no shoop',
      'begun: Notify Drill Not Planned',
      'done: Notify Drill Not Planned',
    ]);
  });

  it('tells that two databases failed by the same cause', () => {
    const failure = { Error: 'LockTimeout', Cause: 'waited 60 s' };
    const lines = tell(
      ['shop', 'audit'].map((name) => ['exited', 'Dump Database', { ...item(name), failure }]),
    );
    expect(lines).toEqual([
      'failed: Dump Database (shop): LockTimeout: waited 60 s',
      'failed: Dump Database (audit): LockTimeout: waited 60 s',
    ]);
  });

  it('shows names and causes from outside with nothing in them that a terminal obeys', () => {
    const hostile = '\u001b[2J\u202egnp.exe';
    const lines = tell([
      ['entered', 'Dump Database', item(hostile)],
      [
        'exited',
        'Dump Database',
        { ...item(hostile), failure: { Error: 'DumpFailed', Cause: `a\u001b]0;x\u0007\nb` } },
      ],
    ]);
    expect(lines).toHaveLength(2);
    expect(lines.join('')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it('takes data of any shape', () => {
    const odd = [undefined, null, 1, 'x', [], { database: 7 }, { failure: 'no' }, { failure: {} }];
    expect(tell(odd.map((data, index) => ['entered', `S${index}`, data]))).toHaveLength(odd.length);
  });
});
