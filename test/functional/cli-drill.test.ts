import { describe, expect, it } from 'vitest';
import type { DrillRecord } from '#contracts/drill.ts';
import { drillRecordKey, makeBackupId } from '#domain/names.ts';
import { makeCliDeps, RECORD, runCommand } from '#test/cli.ts';
import { DRILL_ID, makePastDrill } from '#test/fakes/drills.ts';

/** Notify Drill leaves its record; the clock stands at 2026-11-20 03:00 UTC. */
function depsWithRecord(changes: Parameters<typeof makePastDrill>[0] = {}) {
  const deps = makeCliDeps();
  deps.executions.onStart = (_name, executionArn) => {
    const drillId = makeBackupId(deps.clock.now(), executionArn);
    const record = makePastDrill({ ...changes, drill: { drillId, executionArn } });
    deps.objects.seed(drillRecordKey(record.drill), record);
  };
  return deps;
}

const FAILED: Parameters<typeof makePastDrill>[0] = {
  database: {
    status: 'FAILED',
    error: 'DrillFailed',
    cause: '12 rows are missing',
    findings: [
      {
        class: 'data',
        check: 'rows',
        subject: 'public.orders',
        message: '12 rows are missing',
        advice: 'drill an older backup',
      },
    ],
  },
};

describe('holdfast drill', () => {
  it('starts the state machine with what was asked for, and shows times against targets', async () => {
    const deps = depsWithRecord();
    const argv = [
      'drill',
      'orders',
      '--database',
      'shop',
      '--backup',
      'random',
      '--reason',
      'audit',
    ];
    const { exitCode, stdout } = await runCommand(argv, { deps });
    expect(exitCode).toBe(0);
    expect(deps.executions.started).toMatchObject([
      {
        stateMachineArn: RECORD.stateMachines.drill,
        input: {
          source: 'orders',
          database: 'shop',
          backup: 'random',
          reason: 'audit',
          trigger: 'manual',
        },
      },
    ]);
    expect(stdout).toContain('RTO 2 min 0 s of 4 h 0 min: met');
    expect(stdout).toContain('RPO 8 h 0 min of 24 h 0 min: met');
  });

  it('ends with 1 when the drill failed, and says what was found and what to do', async () => {
    const deps = depsWithRecord(FAILED);
    deps.executions.end = { status: 'FAILED', error: 'DrillFailed', cause: 'see the record' };
    const { exitCode, stdout } = await runCommand(['drill', 'orders'], { deps });
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      'shop public.orders: rows: 12 rows are missing. drill an older backup',
    );
  });

  it('gives the record as JSON', async () => {
    const { document } = await runCommand(['drill', 'orders', '--json'], {
      deps: depsWithRecord(),
    });
    expect(document).toMatchObject({
      status: 'SUCCEEDED',
      record: { status: 'PASSED', rtoSeconds: 120, databases: [{ database: 'shop' }] },
    });
  });

  it('does not wait when it is told so', async () => {
    const deps = depsWithRecord();
    const argv = ['drill', 'orders', '--no-wait', '--json'];
    expect((await runCommand(argv, { deps })).document).toMatchObject({ status: 'RUNNING' });
  });

  it.each([
    [['--kind', 'archives'], 2],
    [['--backup', 'newest'], 2],
    [['--kind', 'snapshot', '--database', 'shop'], 2],
  ])('starts nothing for %j', async (options, code) => {
    const deps = depsWithRecord();
    expect((await runCommand(['drill', 'orders', ...options], { deps })).exitCode).toBe(code);
    expect(deps.executions.started).toEqual([]);
  });

  it('says of an older deployment that it has no drills', async () => {
    const record = { ...RECORD, stateMachines: { backup: RECORD.stateMachines.backup } };
    const { exitCode, stderr } = await runCommand(['drill', 'orders'], {
      deps: depsWithRecord(),
      record,
    });
    expect(exitCode).toBe(3);
    expect(stderr).toContain('deploy the present version');
  });
});

describe('holdfast drills', () => {
  function depsWithPast() {
    const deps = makeCliDeps();
    for (const [drillId, changes] of [
      ['20261001T050000Z-k3v9qd', FAILED],
      ['20261101T050000Z-k3v9qd', {}],
    ] as const) {
      const startedAt = drillId.startsWith('202611')
        ? '2026-11-01T05:00:00.000Z'
        : '2026-10-01T05:00:00.000Z';
      const record = makePastDrill({ ...changes, drill: { drillId, startedAt } });
      deps.objects.seed(drillRecordKey(record.drill), record);
    }
    return deps;
  }

  it('lists them, the newest first', async () => {
    const { exitCode, stdout } = await runCommand(['drills', 'orders'], { deps: depsWithPast() });
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^DRILL +TIME +AGE +KIND +STATUS +RTO +RPO +DATABASES +FINDINGS$/);
    expect(lines[1]).toMatch(
      /^20261101T050000Z-k3v9qd .* archive +PASSED +2 min 0 s +8 h 0 min +shop +0$/,
    );
    expect(lines[2]).toMatch(/^20261001T050000Z-k3v9qd .* FAILED .* 1$/);
  });

  it('says which passed in part, which failed before they began, and what nothing came back of', async () => {
    const of = async (record: DrillRecord) => {
      const deps = makeCliDeps();
      deps.objects.seed(drillRecordKey(record.drill), record);
      return (await runCommand(['drills', 'orders'], { deps })).stdout.trimEnd().split('\n')[1];
    };
    const { drill, databases, ...rest } = makePastDrill();
    const [database] = databases;
    if (!database?.report) throw new Error('the drill has no report');
    const part = await of({ ...rest, databases, drill: { ...drill, part: true } });
    expect(part).toMatch(/ archive +PASSED IN PART .* shop \(of a part of the source\) +0$/);
    const report = { ...database.report, tablesLeftOut: 1 };
    const left = await of({ ...rest, drill, databases: [{ ...database, report }] });
    expect(left).toMatch(/ PASSED IN PART .* shop \(1 table left out\) +0$/);
    const failed = { ...rest, status: 'FAILED', rtoSeconds: null, rpoSeconds: null } as const;
    const unplanned = await of({
      ...failed,
      drill: { ...drill, unplanned: true },
      error: 'InvalidPlan',
      databases: [],
    });
    expect(unplanned).toMatch(
      / not planned +FAILED +- +- +none: failed before it began: InvalidPlan +0$/,
    );
    const rpo = {
      class: 'target',
      check: 'rpo',
      subject: null,
      message: 'm',
      advice: 'a',
    } as const;
    const missed = await of({
      ...failed,
      drill,
      databases: [{ ...database, status: 'FAILED', rpoSeconds: null, findings: [rpo] }],
    });
    expect(missed).toMatch(/ archive +FAILED +- +MISSED +shop +1$/);
  });

  it('shows as many as are asked for', async () => {
    const argv = ['drills', 'orders', '--limit', '1', '--json'];
    const { document } = await runCommand(argv, { deps: depsWithPast() });
    expect(document['drills']).toMatchObject([{ drill: { drillId: '20261101T050000Z-k3v9qd' } }]);
  });

  it('shows one in full by its id', async () => {
    const argv = ['drills', 'orders', '20261001T050000Z-k3v9qd'];
    const { exitCode, stdout } = await runCommand(argv, { deps: depsWithPast() });
    expect(exitCode).toBe(0);
    expect(stdout).toContain('12 rows are missing. drill an older backup');
  });

  it('shows of one that failed before it began why it did, and lists nothing', async () => {
    const { drill, ...rest } = makePastDrill();
    const record: DrillRecord = {
      ...rest,
      status: 'FAILED',
      error: 'InvalidPlan',
      cause: 'drill.server is missing',
      databases: [],
      drill: { ...drill, unplanned: true },
    };
    const deps = makeCliDeps();
    deps.objects.seed(drillRecordKey(drill), record);
    const { stdout } = await runCommand(['drills', 'orders', drill.drillId], { deps });
    expect(stdout).toContain('drill.server is missing');
    expect(stdout).toContain('Nothing was rehearsed');
    expect(stdout).not.toMatch(/0 of 0|Archives/);
  });

  it('leaves out a record that cannot be read, and says so', async () => {
    const deps = depsWithPast();
    deps.objects.seed(drillRecordKey({ source: 'orders', drillId: DRILL_ID }), '{}');
    const { exitCode, stdout, stderr } = await runCommand(['drills', 'orders'], { deps });
    expect(exitCode).toBe(0);
    expect(stdout.trimEnd().split('\n')).toHaveLength(3);
    expect(stderr).toContain(`cannot be read: drills/orders/${DRILL_ID}/drill.json`);
  });

  it.each([
    ['an id that is none', ['drills', 'orders', 'latest'], 2],
    ['a drill that is not there', ['drills', 'orders', DRILL_ID], 3],
    ['a source that is not there', ['drills', 'nobody'], 3],
  ])('does not understand %s', async (_, argv, code) => {
    expect((await runCommand(argv, { deps: depsWithPast() })).exitCode).toBe(code);
  });

  it('says that there is none', async () => {
    const { stdout } = await runCommand(['drills', 'orders'], { deps: makeCliDeps() });
    expect(stdout).toBe('There is no record of a drill.\n');
  });
});
