import { describe, expect, it } from 'vitest';
import { SourcePlan } from '#contracts/source-plan.ts';
import { PlannedRun } from '#contracts/workflow.ts';
import { planBackup } from '#functions/plan-backup.ts';
import { executionArnOf, makeDeps, makePlan, makePlans, makeWorkflow } from '#test/fakes.ts';

const FIRST = executionArnOf('first');
const SECOND = executionArnOf('second');
const STARTED = '2026-11-20T02:59:58.000Z';
const LOCK = 'runs/orders/current.json';

const makeEvent = (input: unknown, executionArn = FIRST) => ({
  input,
  executionArn,
  startedAt: STARTED,
});

const plain = SourcePlan.parse({
  ...makePlan(),
  source: 'warehouse',
  engine: { type: 'postgres' },
});

/** Deps that know the executions of the tests, all of them running. */
function makeRunningDeps(executions: Record<string, string> = {}) {
  return makeDeps({
    plans: makePlans([makePlan(), plain]),
    workflow: makeWorkflow({
      executions: { [FIRST]: 'RUNNING', [SECOND]: 'RUNNING', ...executions },
    }),
  });
}

/** The object that a request event tells of, with its event. */
function makeRequest(
  deps: ReturnType<typeof makeRunningDeps>,
  body: string,
  { key = 'requests/orders/release.json', bucket = deps.objects.bucket } = {},
) {
  deps.objects.seed(key, body);
  return {
    'detail-type': 'Object Created',
    time: '2026-11-20T02:59:57Z',
    detail: { bucket: { name: bucket }, object: { key, size: body.length } },
  };
}

describe('a run that is started', () => {
  it('with nothing but a source does what the plan says', async () => {
    const deps = makeRunningDeps();
    const planned = await planBackup(makeEvent({ source: 'orders' }), deps);
    expect(PlannedRun.parse(planned)).toEqual({
      run: {
        source: 'orders',
        runId: 'first',
        executionArn: FIRST,
        startedAt: STARTED,
        trigger: 'manual',
        reason: null,
        kinds: ['snapshot', 'logical'],
        databases: null,
        planVersion: 1,
      },
      snapshot: { wanted: true, pollSeconds: 60 },
      logical: { wanted: true, concurrency: 2, heartbeatSeconds: 300, timeoutSeconds: 43_200 },
    });
  });

  it('with more does just that', async () => {
    const input = {
      source: 'orders',
      databases: ['shop'],
      kinds: ['logical'],
      reason: 'before release 4.2',
    };
    const planned = await planBackup(makeEvent(input), makeRunningDeps());
    expect(planned.run).toMatchObject({
      databases: ['shop'],
      kinds: ['logical'],
      reason: 'before release 4.2',
    });
    expect(planned.snapshot.wanted).toBe(false);
    expect(planned.logical.wanted).toBe(true);
  });

  it('keeps the version of the plan that it began with', async () => {
    const deps = makeRunningDeps();
    deps.plans.store(makePlan({ dump: { timeoutMinutes: 5, concurrency: 7 } }));
    const planned = await planBackup(makeEvent({ source: 'orders' }), deps);
    expect(planned.run.planVersion).toBe(2);
    expect(planned.logical).toMatchObject({ timeoutSeconds: 300, concurrency: 7 });
  });

  it('for a plain server makes logical backups only', async () => {
    const planned = await planBackup(makeEvent({ source: 'warehouse' }), makeRunningDeps());
    expect(planned.run.kinds).toEqual(['logical']);
  });
});

describe('a run that a request object starts', () => {
  it('takes the source from the key and the rest from the body', async () => {
    const deps = makeRunningDeps();
    const event = makeRequest(deps, '{"databases":["shop"],"reason":"migration"}');
    const { run } = await planBackup(makeEvent(event), deps);
    expect(run).toMatchObject({
      source: 'orders',
      trigger: 'request',
      databases: ['shop'],
      reason: 'migration',
    });
  });

  it('does what the plan says when the object is empty', async () => {
    const deps = makeRunningDeps();
    const { run } = await planBackup(makeEvent(makeRequest(deps, '')), deps);
    expect(run).toMatchObject({ source: 'orders', trigger: 'request', databases: null });
  });

  it.each([
    ['is no JSON', '{', {}, /is not a JSON object; leave it empty, or write/],
    ['is a list', '[]', {}, /is not a JSON object/],
    [
      'has an unknown field',
      '{"database":["x"]}',
      {},
      /unknown field database \(did you mean databases\?\)/,
    ],
    ['is too large', ' '.repeat(64 * 1024 + 1), {}, /has 65537 bytes, more than 65536/],
    [
      'has a key of another form',
      '',
      { key: 'requests/orders.json' },
      /is no request for a backup; put requests at requests\/<source>\/<name>\.json/,
    ],
    [
      'lies in another bucket',
      '',
      { bucket: 'somebody-elses' },
      /is not in the bucket holdfast-test/,
    ],
  ])('is refused when the object %s', async (_, body, options, message) => {
    const deps = makeRunningDeps();
    const event = makeRequest(deps, body, options);
    await expect(planBackup(makeEvent(event), deps)).rejects.toThrow(
      expect.objectContaining({ name: 'InvalidInput', message: expect.stringMatching(message) }),
    );
    expect(deps.objects.keys('runs/')).toEqual([]);
  });

  it('is refused when the object is gone again', async () => {
    const deps = makeRunningDeps();
    const event = makeRequest(deps, '');
    await deps.objects.delete(['requests/orders/release.json']);
    await expect(planBackup(makeEvent(event), deps)).rejects.toThrow('is not in the bucket');
  });
});

describe('wrong input', () => {
  it.each([
    [{}, 'the input has no source; write {"source":"orders"}'],
    [null, 'the input is not a JSON object; write {"source":"orders"}'],
    ['orders', 'the input is not a JSON object; write {"source":"orders"}'],
    [{ source: 'Orders' }, 'source is "Orders": use lower-case words joined by hyphens'],
    [
      { sourc: 'orders' },
      'the input has no source; the input has an unknown field sourc (did you mean source?)',
    ],
    [
      { source: 'orders', kinds: ['logicl'] },
      'kinds.0 is "logicl", not one of "snapshot", "logical"',
    ],
    [{ source: 'orders', databases: [] }, 'databases is []: '],
    [{ source: 'orders', databases: 'shop' }, 'databases is "shop": '],
    [
      { source: 'orders', kinds: ['snapshot'], databases: ['shop'] },
      '"databases" are asked for, but no logical backup; add "logical"',
    ],
    [
      { source: 'warehouse', kinds: ['snapshot'] },
      'warehouse is a plain PostgreSQL server, which has no snapshots; leave out "kinds"',
    ],
    [
      { 'detail-type': 'Scheduled Event' },
      'the event is none of an object that was created; write {"source":"orders"}',
    ],
  ])('%j is refused with what to write instead', async (input, message) => {
    const deps = makeRunningDeps();
    await expect(planBackup(makeEvent(input), deps)).rejects.toThrow(
      expect.objectContaining({ name: 'InvalidInput', message: expect.stringContaining(message) }),
    );
    expect(deps.objects.keys()).toEqual([]);
  });

  it('of an unknown source is UnknownSource and locks nothing', async () => {
    const deps = makeRunningDeps();
    await expect(planBackup(makeEvent({ source: 'odrers' }), deps)).rejects.toThrow(
      expect.objectContaining({ name: 'UnknownSource' }),
    );
    expect(deps.objects.keys()).toEqual([]);
  });
});

describe('a second run of the same source', () => {
  const input = { source: 'orders' };

  it('is refused while the first one runs, and told which and since when', async () => {
    const deps = makeRunningDeps();
    await planBackup(makeEvent(input), deps);
    await expect(planBackup(makeEvent(input, SECOND), deps)).rejects.toThrow(
      expect.objectContaining({
        name: 'RunInProgress',
        message: expect.stringContaining(`run first of orders has been running since ${STARTED}`),
      }),
    );
    expect(deps.objects.json(LOCK)).toMatchObject({ runId: 'first' });
  });

  it('is no second run when the state of the first is only tried again', async () => {
    const deps = makeRunningDeps();
    const planned = await planBackup(makeEvent(input), deps);
    expect(await planBackup(makeEvent(input), deps)).toEqual(planned);
  });

  it.each(['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'])(
    'takes over once the first one has ended as %s',
    async (status) => {
      const deps = makeRunningDeps();
      await planBackup(makeEvent(input), deps);
      deps.workflow.executions.set(FIRST, status);
      const { run } = await planBackup(makeEvent(input, SECOND), deps);
      expect(run.runId).toBe('second');
      expect(deps.objects.json(LOCK)).toMatchObject({ runId: 'second', executionArn: SECOND });
      expect(deps.log.of('run lock taken over')).toHaveLength(1);
    },
  );

  it('takes over from an execution that Step Functions has forgotten, unless it is brand new', async () => {
    const deps = makeRunningDeps();
    await planBackup(makeEvent(input), deps);
    deps.workflow.executions.delete(FIRST);
    await expect(planBackup(makeEvent(input, SECOND), deps)).rejects.toThrow('has been running');
    deps.clock.advance(10 * 60 * 1000);
    await planBackup(makeEvent(input, SECOND), deps);
    expect(deps.objects.json(LOCK)).toMatchObject({ runId: 'second' });
  });

  it('takes over a lock that nobody can read', async () => {
    const deps = makeRunningDeps();
    deps.objects.seed(LOCK, 'not json');
    await planBackup(makeEvent(input), deps);
    expect(deps.objects.json(LOCK)).toMatchObject({ runId: 'first' });
  });

  it.each([
    ['a free source', undefined],
    ['a source whose last run has ended', 'old'],
  ])('started at the same moment for %s: exactly one wins', async (_, last) => {
    const old = executionArnOf('old');
    const runs = Array.from({ length: 8 }, (_, n) => executionArnOf(`run-${n}`));
    const deps = makeRunningDeps({
      [old]: 'SUCCEEDED',
      ...Object.fromEntries(runs.map((arn) => [arn, 'RUNNING'])),
    });
    if (last) await planBackup(makeEvent(input, old), deps);

    const outcomes = await Promise.allSettled(
      runs.map((arn) => planBackup(makeEvent(input, arn), deps)),
    );
    const won = outcomes.filter(({ status }) => status === 'fulfilled');
    const lost = outcomes.flatMap((o) => (o.status === 'rejected' ? [o.reason.name] : []));
    expect(won).toHaveLength(1);
    expect(lost).toEqual(Array(7).fill('RunInProgress'));
    const [winner] = won.flatMap((o) => (o.status === 'fulfilled' ? [o.value.run.runId] : []));
    expect(deps.objects.json(LOCK)).toMatchObject({ runId: winner });
  });

  it('does not disturb a run of another source', async () => {
    const deps = makeRunningDeps();
    await planBackup(makeEvent(input), deps);
    const other = await planBackup(makeEvent({ source: 'warehouse' }, SECOND), deps);
    expect(other.run.source).toBe('warehouse');
  });

  it('fails when the store does, instead of running unlocked', async () => {
    const deps = makeRunningDeps();
    deps.objects.fault = (operation) => {
      if (operation === 'put') throw new Error('the store is down');
    };
    await expect(planBackup(makeEvent(input), deps)).rejects.toThrow('the store is down');
  });
});
