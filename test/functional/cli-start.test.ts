import { describe, expect, it } from 'vitest';
import { RunSummary } from '#contracts/run-summary.ts';
import { runSummaryKey } from '#domain/names.ts';
import { makeCliDeps, RECORD, runCommand } from '#test/cli.ts';
import { makeVerifiedDatabase } from '#test/fakes.ts';

/** What Notify would have left. */
function makeSummary(
  runId: string,
  executionArn: string,
  changes: Partial<RunSummary> = {},
): RunSummary {
  return RunSummary.parse({
    version: 1,
    status: 'SUCCEEDED',
    error: null,
    cause: null,
    source: 'orders',
    runId,
    executionArn,
    trigger: 'manual',
    reason: null,
    kinds: ['logical'],
    startedAt: '2026-11-20T03:00:00.000Z',
    endedAt: '2026-11-20T03:00:20.000Z',
    durationSeconds: 20,
    snapshot: { status: 'skipped' },
    server: null,
    databases: [makeVerifiedDatabase()],
    retention: null,
    problems: [],
    warnings: [],
    ...changes,
  });
}

function depsWithSummary(changes: Partial<RunSummary> = {}) {
  const deps = makeCliDeps();
  deps.executions.onStart = (runId, executionArn) =>
    deps.objects.seed(runSummaryKey('orders', runId), makeSummary(runId, executionArn, changes));
  return deps;
}

describe('holdfast start', () => {
  it('starts the state machine with the input that was asked for, and no more', async () => {
    const deps = depsWithSummary();
    const argv = [
      'start',
      'orders',
      '--databases',
      'shop, audit',
      '--database',
      'a,b',
      '--kinds',
      'logical',
    ];
    const { exitCode } = await runCommand([...argv, '--reason', 'before release 4.2'], { deps });
    expect(exitCode).toBe(0);
    expect(deps.executions.started).toEqual([
      {
        stateMachineArn: RECORD.stateMachines.backup,
        name: expect.stringMatching(/^orders-20261120T030000Z-\w{6}$/),
        input: {
          source: 'orders',
          databases: ['shop', 'audit', 'a,b'],
          kinds: ['logical'],
          reason: 'before release 4.2',
          trigger: 'manual',
        },
      },
    ]);
    await runCommand(['start', 'orders'], { deps });
    expect(deps.executions.started[1]?.input).toEqual({ source: 'orders', trigger: 'manual' });
    expect(deps.executions.started[1]?.name).not.toBe(deps.executions.started[0]?.name);
  });

  it('follows it, tells each step on standard error, and shows the summary', async () => {
    const deps = depsWithSummary();
    deps.executions.told = [
      { type: 'entered', state: 'Plan Backup', stateType: 'Task', data: {} },
      { type: 'exited', state: 'Plan Backup', stateType: 'Task', data: {} },
    ];
    const { exitCode, stdout, stderr } = await runCommand(['start', 'orders'], { deps });
    expect(exitCode).toBe(0);
    expect(stderr).toMatch(/→ Plan Backup\n.*✓ Plan Backup\n/);
    expect(stderr).toContain('https://eu-west-1.console.aws.amazon.com/states/');
    expect(stdout).toMatch(/^backup of orders verified: 1 database\n/);
    expect(stdout).toContain('Database shop: verified (full)');
  });

  it('goes on looking until the execution has ended', async () => {
    const deps = depsWithSummary();
    const look = deps.executions.describe.bind(deps.executions);
    let looks = 0;
    deps.executions.describe = async (arn) => {
      looks += 1;
      // Step Functions may not know at once what it has started.
      if (looks === 1) return undefined;
      const state = await look(arn);
      return looks < 5 && state ? { ...state, status: 'RUNNING' } : state;
    };
    const { exitCode } = await runCommand(['start', 'orders'], { deps });
    expect([exitCode, looks]).toEqual([0, 5]);
  });

  it('gives one JSON document, with the summary in it', async () => {
    const deps = depsWithSummary();
    const { exitCode, document } = await runCommand(['start', 'orders', '--json'], { deps });
    expect(exitCode).toBe(0);
    expect(document).toMatchObject({
      status: 'SUCCEEDED',
      executionArn: expect.stringContaining(':execution:'),
      runId: deps.executions.started[0]?.name,
      input: { source: 'orders' },
      record: { status: 'SUCCEEDED', databases: [{ database: 'shop' }] },
    });
    expect(document).not.toHaveProperty('error');
  });

  it('ends with 1 when the run failed, and says why and what to do', async () => {
    const failure = { Error: 'LockTimeout', Cause: 'waited 60 s for public.orders' };
    const deps = depsWithSummary({
      status: 'FAILED',
      error: 'BackupIncomplete',
      cause: '1 of 1 databases failed',
      databases: [{ status: 'failed', database: 'shop', failure }],
      problems: [
        { stage: 'database', database: 'shop', error: failure.Error, cause: failure.Cause },
      ],
    });
    deps.executions.end = { status: 'FAILED', error: 'BackupIncomplete', cause: '1 of 1 failed' };
    const { exitCode, stdout } = await runCommand(['start', 'orders'], { deps });
    expect(exitCode).toBe(1);
    expect(stdout).toContain('database shop: LockTimeout: waited 60 s for public.orders');
    expect(stdout).toContain('Find the session that holds the lock');
    const { document } = await runCommand(['start', 'orders', '--json'], { deps });
    expect(document).toMatchObject({
      status: 'FAILED',
      record: { status: 'FAILED' },
      error: { name: 'BackupIncomplete', message: '1 of 1 failed', remedy: expect.any(String) },
    });
  });

  it('says what it knows when a run left no summary', async () => {
    const deps = makeCliDeps();
    const cause = JSON.stringify({
      errorMessage: 'run r1 has been running since 02:00',
      trace: [],
    });
    deps.executions.end = { status: 'FAILED', error: 'RunInProgress', cause };
    const { exitCode, stdout } = await runCommand(['start', 'orders'], { deps });
    expect(exitCode).toBe(1);
    expect(stdout).toContain('backup of orders: FAILED');
    expect(stdout).toContain('RunInProgress: run r1 has been running since 02:00\n');
    deps.executions.end = { status: 'TIMED_OUT' };
    const timedOut = await runCommand(['start', 'orders', '--json'], { deps });
    expect(timedOut.exitCode).toBe(1);
    expect(timedOut.document['error']).toMatchObject({ name: 'States.Timeout' });
  });

  it('ends at once with --no-wait', async () => {
    const deps = makeCliDeps();
    deps.executions.describe = () => Promise.reject(new Error('it was followed'));
    const argv = ['start', 'orders', '--no-wait'];
    const { exitCode, stdout } = await runCommand(argv, { deps });
    expect(exitCode).toBe(0);
    expect(stdout).toContain(`run ${deps.executions.started[0]?.name}`);
    const { document } = await runCommand([...argv, '--json'], { deps });
    expect(document).toMatchObject({ status: 'RUNNING', input: { source: 'orders' } });
  });

  it('stops following at Ctrl-C with 130; the run goes on', async () => {
    const deps = makeCliDeps();
    deps.executions.end = { status: 'RUNNING' };
    const controller = new AbortController();
    const sleep = deps.clock.sleep.bind(deps.clock);
    deps.clock.sleep = (milliseconds, signal) => {
      controller.abort();
      return sleep(milliseconds, signal);
    };
    const { exitCode, stdout, stderr } = await runCommand(['start', 'orders'], {
      deps,
      signal: controller.signal,
    });
    expect([exitCode, stdout]).toEqual([130, '']);
    expect(stderr).toContain('no longer followed; the run goes on');
  });

  it.each([
    [['start', 'odrers'], 3, 'UnknownSource'],
    [['start', 'Orders'], 2, 'source is "Orders"'],
    [['start', 'orders', '--kinds', 'logicl'], 2, 'kinds.0 is "logicl"'],
    [['start', 'orders', '--kinds', 'snapshot', '--databases', 'shop'], 2, 'no logical backup'],
    [['start', 'orders', '--reason', 'x'.repeat(201)], 2, 'reason is'],
    [['start'], 2, "missing required argument 'source'"],
    [['start', 'orders', 'more'], 2, 'too many arguments'],
    [['start', 'orders', '--databses', 'x'], 2, 'did you mean --databases?'],
  ])('%j starts nothing and ends with %i', async (argv, code, words) => {
    const deps = makeCliDeps();
    const { exitCode, stdout, stderr } = await runCommand(argv, { deps });
    expect([exitCode, stdout]).toEqual([code, '']);
    expect(stderr).toContain(words);
    expect(deps.executions.started).toEqual([]);
  });

  it('shows no link to the console for what runs on this machine', async () => {
    const deps = depsWithSummary();
    const { stdout, stderr } = await runCommand(['start', 'orders'], { deps, isLocal: true });
    expect(stdout + stderr).not.toContain('console.aws');
    expect(stdout).toContain('Records: s3://');
  });
});
