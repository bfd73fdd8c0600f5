import { describe, expect, it } from 'vitest';
import type { TaskProgress } from '#contracts/task-progress.ts';
import { AccessDenied } from '#errors';
import type { Executions, StateTransition } from '#runtime/operator-ports.ts';
import { makeDeps } from '#test/fakes.ts';
import { followExecution } from '../../cli/follow-execution.ts';
import { makeOutput } from '../../cli/output.ts';

const ARN = 'arn:aws:states:eu-west-1:123456789012:execution:holdfast-dev-restore:run-1';

interface Setting {
  readonly events: readonly (readonly [
    second: number,
    type: StateTransition['type'],
    state: string,
    data?: unknown,
  ])[];
  readonly endsAfterSeconds: number;
  /** What the bucket has at that second; undefined: nothing. */
  readonly progressAt?: (second: number) => Partial<TaskProgress> | undefined;
  readonly json?: boolean;
  readonly refuse?: boolean;
}

/** Follows an execution whose clock jumps ahead; the lines that were told, and how often S3 was asked. */
async function follow({ events, endsAfterSeconds, progressAt, json, refuse }: Setting) {
  const deps = makeDeps();
  const began = deps.clock.now().getTime();
  const second = () => (deps.clock.now().getTime() - began) / 1000;
  const isoAt = (at: number) => new Date(began + at * 1000).toISOString();
  let listings = 0;
  const executions: Executions = {
    start: () => Promise.reject(new Error('nothing is started here')),
    async describe(executionArn) {
      const isOver = second() >= endsAfterSeconds;
      return {
        executionArn,
        status: isOver ? 'SUCCEEDED' : 'RUNNING',
        startedAt: new Date(began),
        endedAt: undefined,
        error: undefined,
        cause: undefined,
      };
    },
    async transitions(_arn, afterId) {
      return events
        .map(([at, type, state, data], index) => ({
          id: index + 1,
          time: new Date(began + at * 1000),
          type,
          state,
          stateType: 'Task',
          data,
        }))
        .filter(({ id, time }) => id > afterId && time <= deps.clock.now());
    },
  };
  const objects = {
    ...deps.objects,
    async *list(prefix: string) {
      listings += 1;
      if (refuse) throw new AccessDenied('no s3:ListBucket');
      const progress = progressAt?.(second());
      if (progress === undefined) return;
      const key = `${prefix}${progress.database ?? 'shop'}.json`;
      const record: TaskProgress = {
        version: 1,
        task: 'restore',
        database: 'shop',
        phase: 'data',
        subject: null,
        done: 1,
        total: 4,
        unit: 'tables',
        bytes: null,
        startedAt: isoAt(0),
        phaseStartedAt: isoAt(0),
        updatedAt: isoAt(Math.floor(second() / 15) * 15),
        ...progress,
      };
      await deps.objects.put(key, JSON.stringify(record));
      yield* deps.objects.list(prefix);
    },
  };
  const written = { out: [] as string[], err: [] as string[] };
  const terminal = {
    out: (text: string) => void written.out.push(text),
    err: (text: string) => void written.err.push(text),
    outIsTty: false,
    errIsTty: false,
    canAsk: false,
    ask: () => Promise.reject(new Error('nobody is there')),
  };
  const state = await followExecution({ executions, clock: deps.clock, objects }, ARN, {
    source: 'orders',
    out: makeOutput(terminal, { json: json ?? false, environment: {} }),
    signal: new AbortController().signal,
  });
  const lines = written.err
    .join('')
    .split('\n')
    .filter((line) => line !== '');
  return { state, lines, out: written.out.join(''), listings, keys: deps.objects.keys() };
}

const told = (lines: readonly string[]) => lines.filter((line) => line.includes('shop:'));
const RESTORE: Setting['events'] = [
  [0, 'entered', 'Restore Database', { restore: {} }],
  [600, 'exited', 'Restore Database', {}],
];

describe('following an execution', () => {
  it('tells how far the task of a long state is: at once in a new phase, then ever more seldom', async () => {
    const { state, lines, keys } = await follow({
      events: RESTORE,
      endsAfterSeconds: 600,
      progressAt: (second) =>
        second < 15
          ? undefined
          : second < 300
            ? { done: Math.floor(second / 100) }
            : {
                phase: 'post-data',
                done: 7,
                total: 9,
                unit: 'entries',
                phaseStartedAt: new Date(0).toISOString(),
              },
    });
    expect(state.status).toBe('SUCCEEDED');
    expect(keys).toEqual(['progress/orders/run-1/shop.json']);
    const lineTexts = told(lines);
    expect(lineTexts[0]).toMatch(/^ +\d+ s {4}shop: data, 0 of 4 tables \(0 %\), for \d+ s$/);
    expect(lineTexts.some((line) => line.includes('2 of 4 tables (50 %)'))).toBe(true);
    const ofPostData = lineTexts.findIndex((line) => line.includes('post-data, 7 of 9 entries'));
    expect(lineTexts[ofPostData]).toMatch(/^ +5 min \d+ s {4}/);
    // 585 seconds with a line each minute at last, in two phases.
    expect(lineTexts.length).toBeGreaterThan(12);
    expect(lineTexts.length).toBeLessThan(24);
    expect(lines.join('')).not.toContain('no news');
  });

  it('asks S3 for nothing while no state is open whose task tells of itself', async () => {
    const { listings } = await follow({
      events: [
        [0, 'entered', 'Restore Server', {}],
        [300, 'exited', 'Restore Server', {}],
      ],
      endsAfterSeconds: 300,
    });
    expect(listings).toBe(0);
  });

  it('looks no oftener than each five seconds, and tells nothing of a task whose state has ended', async () => {
    const { lines, listings } = await follow({
      events: [
        [0, 'entered', 'Dump Database', { database: { database: 'shop' } }],
        [0, 'entered', 'Dump Database', { database: { database: 'audit' } }],
        [100, 'exited', 'Dump Database', { database: 'shop' }],
      ],
      endsAfterSeconds: 400,
      progressAt: () => ({ task: 'dump' }),
    });
    expect(listings).toBeLessThanOrEqual(81);
    expect(told(lines).length).toBeGreaterThan(2);
    expect(told(lines).every((line) => /^ +(\d+ s|1 min \d+ s) /.test(line))).toBe(true);
  });

  it('says so when a task has been silent for long, but not while its backup is verified', async () => {
    const silent = { updatedAt: '2026-11-20T00:00:00.000Z' };
    const restore = await follow({
      events: RESTORE,
      endsAfterSeconds: 600,
      progressAt: () => silent,
    });
    expect(restore.lines.join('\n')).toMatch(/; no news of its task for \d+ min/);
    const dump = await follow({
      events: [[0, 'entered', 'Dump Database', { database: { database: 'shop' } }]],
      endsAfterSeconds: 600,
      progressAt: () => ({ ...silent, task: 'dump', phase: 'verification' }),
    });
    expect(told(dump.lines)).toHaveLength(1);
  });

  it('goes on where the progress may not be read or is none, and stops asking', async () => {
    const refused = await follow({ events: RESTORE, endsAfterSeconds: 600, refuse: true });
    expect(refused.state.status).toBe('SUCCEEDED');
    expect(refused.listings).toBe(3);
    const odd = await follow({
      events: RESTORE,
      endsAfterSeconds: 600,
      progressAt: () => ({ phase: 7 }) as unknown as Partial<TaskProgress>,
    });
    expect(told(odd.lines)).toEqual([]);
    expect(odd.state.status).toBe('SUCCEEDED');
  });

  it('leaves standard output to the result', async () => {
    const { out, lines } = await follow({
      events: RESTORE,
      endsAfterSeconds: 600,
      progressAt: () => ({}),
      json: true,
    });
    expect(out).toBe('');
    expect(told(lines).length).toBeGreaterThan(0);
  });
});
