import { describe, expect, it } from 'vitest';
import { TaskProgress } from '#contracts/task-progress.ts';
import { describeTaskProgress, stepsOfTask } from '#domain/task-progress-text.ts';

const began = Date.parse('2026-11-20T03:00:00.000Z');

function makeProgress(changes: Partial<TaskProgress> = {}): TaskProgress {
  const time = new Date(began).toISOString();
  return TaskProgress.parse({
    version: 1,
    task: 'restore',
    database: 'shop',
    phase: 'data',
    subject: null,
    done: 1_200_000_000,
    total: 4_000_000_000,
    unit: 'bytes',
    bytes: null,
    startedAt: time,
    phaseStartedAt: time,
    updatedAt: time,
    ...changes,
  });
}

const told = (changes: Partial<TaskProgress>, seconds = 125) =>
  describeTaskProgress(makeProgress(changes), new Date(began + seconds * 1000));

describe('how far a task is', () => {
  it('is told in what its phase counts, and for how long the phase goes on', () => {
    expect(told({})).toBe('shop: data, 1.2 GB of 4.0 GB (30 %), for 2 min 5 s');
    expect(told({ phase: 'post-data', done: 3, total: 1400, unit: 'entries' })).toBe(
      'shop: post-data, 3 of 1,400 entries (0 %), for 2 min 5 s',
    );
    expect(told({ done: 2, total: 8, unit: 'tables', bytes: 46_000_000 })).toBe(
      'shop: data, 2 of 8 tables (25 %), 46 MB, for 2 min 5 s',
    );
  });

  it('is told without a share where there is no total, and without a count where there is none', () => {
    expect(told({ done: 0, total: 0, unit: 'tables', bytes: 100 })).toBe(
      'shop: data, 0 tables, 100 B, for 2 min 5 s',
    );
    const none = { done: null, total: null, unit: null };
    expect(told({ ...none, phase: 'amcheck', subject: 'the shop' })).toBe(
      'shop: amcheck of "the shop", for 2 min 5 s',
    );
  });

  it('is never more than all, nor of a time to come', () => {
    expect(told({ done: 5_000_000_000 }, -3)).toBe('shop: data, 5.0 GB of 4.0 GB (100 %), for 0 s');
  });

  it('shows names and phases with nothing in them that a terminal obeys', () => {
    const text = told({ database: '\u001b[2J', phase: '\u202egnp', subject: '\u0007' });
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });

  it('belongs to the steps of its own database', () => {
    expect(stepsOfTask(makeProgress({ task: 'dump' }))).toEqual([
      'Dump Database',
      'Dump Database (shop)',
    ]);
    expect(stepsOfTask(makeProgress({ task: 'drill', database: 'a b' }))).toEqual([
      'Drill Database',
      'Drill Database ("a b")',
      'Drill Server',
      'Drill Server ("a b")',
    ]);
  });
});
