import { ECSClient, StopTaskCommand } from '@aws-sdk/client-ecs';
import { SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { BULK_ENVIRONMENT, makeBulkDatabase } from '#test/bulk-database.ts';
import { expectNothingHalfWritten, makeGoodBackup } from '#test/failure-case.ts';
import {
  actWhileHeld,
  expectNoProcess,
  expectOneAlert,
  findTasks,
} from '#test/pipeline-processes.ts';
import { listBackups, listOpenUploads, type RunOutcome, usePipeline } from '#test/stack.ts';

/** What a person at the console sees of a task. */
interface TaskView {
  readonly taskArn: string;
  readonly lastStatus: string;
  readonly stopCode?: string;
  readonly containers: readonly { readonly exitCode?: number }[];
}

const TASK_STOPPED = { source: ['aws.ecs'], detail: { lastStatus: ['STOPPED'] } };

describe('a backup whose task fails', () => {
  const events: ExecutionEvent[] = [];
  const lines: string[] = [];
  const pipeline = usePipeline({
    plan: { databases: ['audit'], retention: { archives: { keepLast: 100 } } },
    stack: {
      environment: BULK_ENVIRONMENT,
      waitScale: 0.01,
      spotNoticeSeconds: 10,
      onExecutionEvent: (event) => events.push(event),
      onTaskLine: ({ line }) => lines.push(line),
    },
  });
  let expectGoodBackup: () => Promise<void>;

  beforeAll(async () => {
    await makeBulkDatabase(pipeline().server);
    expectGoodBackup = await makeGoodBackup(pipeline());
  });
  beforeEach(() => {
    events.length = 0;
    lines.length = 0;
    pipeline().changePlan({});
  });
  afterEach(async () => {
    await expectNothingHalfWritten(pipeline());
    await expectNoProcess(pipeline());
    await expectGoodBackup();
  });

  const tasks = () => pipeline().stack.plane.ecs.tasks() as TaskView[];
  const lastTask = () => tasks().at(-1);
  const runningTask = () => {
    const arn = tasks().find(({ lastStatus }) => lastStatus === 'RUNNING')?.taskArn;
    expect(arn).toBeDefined();
    return arn ?? '';
  };
  const retriedErrors = () =>
    events.flatMap((event) =>
      event.type === 'StateRetried' && event.state === 'Dump Database' ? [event.error] : [],
    );
  const runBulk = () => pipeline().run({ databases: ['bulk'] });
  /** Acts while pg_dump stands in the middle of its output. */
  const dumpHalfWay = (act: (running: Promise<RunOutcome>) => Promise<void>) =>
    actWhileHeld(pipeline(), 'UploadPart', runBulk, act);
  const signalTask = async (signal: NodeJS.Signals) => {
    const [pid, ...others] = await findTasks(pipeline());
    expect(others).toEqual([]);
    process.kill(pid ?? 0, signal);
  };
  /** Settings for the SDK, which the functions have in their environment. */
  const account = () => {
    const { environment } = pipeline().stack;
    return {
      endpoint: pipeline().stack.plane.endpoint,
      region: environment['AWS_REGION'] ?? '',
      credentials: {
        accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    };
  };
  const saidLine = (text: string) => lines.some((line) => line.includes(text));
  const tokenClosed = async () => {
    await expect.poll(() => saidLine('task token closed')).toBe(true);
  };
  const backupCount = async () => (await listBackups(pipeline())).size;

  it('fails within seconds, not at the heartbeat, when its task runs out of memory', async () => {
    let killedAt = 0;
    const outcome = await dumpHalfWay(async (running) => {
      killedAt = Date.now();
      pipeline().stack.plane.ecs.killTask(runningTask());
      // The dead cannot have had the held request answered: the event alone ends the run.
      await running;
    });
    // A quarter of the five minutes that a heartbeat may be late.
    expect(Date.now() - killedAt).toBeLessThan(75_000);
    expectOneAlert(outcome, 'TaskKilled', /exit code 137.*OutOfMemoryError/);
    expect(retriedErrors()).toEqual([]);
  });

  it('fails by name when its task is killed from outside', async () => {
    const outcome = await dumpHalfWay(() => signalTask('SIGKILL'));
    expectOneAlert(outcome, 'TaskKilled', 'exit code 137');
  });

  it('fails by name when its task crashes', async () => {
    const outcome = await dumpHalfWay(() => signalTask('SIGABRT'));
    expectOneAlert(outcome, 'TaskFailed', 'exit code 134');
  });

  it('tries again and succeeds when Spot takes its task away', async () => {
    const before = await backupCount();
    const { execution, alerts } = await dumpHalfWay(async () => {
      pipeline().stack.plane.ecs.interruptSpot(runningTask());
    });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(retriedErrors()).toEqual(['TaskInterrupted']);
    expect(tasks().at(-2)).toMatchObject({
      stopCode: 'SpotInterruption',
      containers: [{ exitCode: 143 }],
    });
    expect(alerts).toHaveLength(1);
    expect(await backupCount()).toBe(before + 1);
  });

  it('tries again as well when the task does not end within the notice of Spot', async () => {
    const before = await backupCount();
    const { execution } = await dumpHalfWay(async () => {
      const task = runningTask();
      await signalTask('SIGSTOP');
      pipeline().stack.plane.ecs.interruptSpot(task);
      await pipeline().stack.plane.ecs.taskStopped(task);
    });
    expect(tasks().at(-2)).toMatchObject({ containers: [{ exitCode: 137 }] });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(retriedErrors()).toEqual(['TaskInterrupted']);
    expect(await backupCount()).toBe(before + 1);
  });

  it('cleans up by itself when it is told to stop, though no event tells of it', async () => {
    const ecs = new ECSClient(account());
    pipeline().stack.plane.bus.disturb({ pattern: TASK_STOPPED, drop: true });
    const { execution } = await dumpHalfWay(async () => {
      await ecs.send(new StopTaskCommand({ task: runningTask(), reason: 'maintenance' }));
    });
    ecs.destroy();
    expect(tasks().at(-2)).toMatchObject({
      stopCode: 'UserInitiated',
      containers: [{ exitCode: 143 }],
    });
    expect(saidLine('upload aborted')).toBe(true);
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(retriedErrors()).toEqual(['TaskInterrupted']);
  });

  it('fails by name when its task never started', async () => {
    pipeline().stack.plane.ecs.scriptNextTask({
      neverStarts: 'CannotPullContainerError: pull image manifest has been retried 5 time(s)',
    });
    const outcome = await pipeline().run();
    expectOneAlert(outcome, 'TaskNeverStarted', 'CannotPullContainerError');
    expect(retriedErrors()).toEqual([]);
  });

  it('tries again and succeeds when there was no room for its task', async () => {
    pipeline().stack.plane.ecs.scriptNextTask({ placementFailure: 'RESOURCE:MEMORY' });
    pipeline().stack.plane.ecs.scriptNextTask({
      placementFailure: 'Capacity is unavailable at this time. Please try again later',
    });
    const { execution } = await pipeline().run();
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(retriedErrors()).toEqual(['TaskLaunchFailed', 'TaskLaunchFailed']);
  });

  it('launches one task when the answer of ECS is lost on its way', async () => {
    const before = tasks().length;
    pipeline().stack.plane.faults.failNext('ecs.RunTask', { cut: 'after' });
    expect((await pipeline().run()).execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(tasks()).toHaveLength(before + 1);
    expect(retriedErrors()).toEqual([]);
  });

  it('does not try again when ECS refuses its task for good', async () => {
    pipeline().stack.plane.ecs.scriptNextTask({ placementFailure: 'MISSING' });
    const outcome = await pipeline().run();
    expectOneAlert(outcome, 'TaskRejected', /ECS did not start .*MISSING/);
    expect(retriedErrors()).toEqual([]);
  });

  it('fails at the heartbeat when its task hangs, and that gives up when it wakes', async () => {
    pipeline().changePlan({ dump: { heartbeatSeconds: 8 } });
    const outcome = await dumpHalfWay(async (running) => {
      const task = runningTask();
      await signalTask('SIGSTOP');
      await Promise.allSettled([running]);
      await signalTask('SIGCONT');
      await tokenClosed();
      expect(await listOpenUploads(pipeline())).toHaveLength(1);
      expect(lastTask()).toMatchObject({ taskArn: task, lastStatus: 'RUNNING' });
    });
    expectOneAlert(outcome, 'States.HeartbeatTimeout', 'its task was silent');
    await pipeline().stack.plane.ecs.taskStopped(lastTask()?.taskArn ?? '');
    expect(lastTask()).toMatchObject({ containers: [{ exitCode: 75 }] });
  });

  it('gives up its dump when somebody stops the run, and leaves the next one free', async () => {
    pipeline().changePlan({ dump: { heartbeatSeconds: 8 } });
    const states = new SFNClient(account());
    const { execution, alerts } = await dumpHalfWay(async () => {
      const running = pipeline()
        .stack.plane.stepFunctions.executions()
        .find(({ status }) => status === 'RUNNING');
      const { executionArn } = running ?? {};
      await states.send(new StopExecutionCommand({ executionArn, cause: 'not now' }));
      await tokenClosed();
    });
    states.destroy();
    expect(execution).toMatchObject({ status: 'ABORTED' });
    // Whoever stopped it knows; the alarm on aborted executions tells the others.
    expect(alerts).toEqual([]);
    await pipeline().stack.plane.ecs.taskStopped(lastTask()?.taskArn ?? '');
    expect(lastTask()).toMatchObject({ containers: [{ exitCode: 75 }] });
    expect((await pipeline().run()).execution).toMatchObject({ status: 'SUCCEEDED' });
  });

  it('refuses a second run of the source and does not disturb the first', async () => {
    const before = await backupCount();
    let second: RunOutcome | undefined;
    const first = await dumpHalfWay(async () => {
      second = await pipeline().run();
      expectOneAlert(second, 'RunInProgress', /^run .* has been running since/);
      expect(await findTasks(pipeline())).toHaveLength(1);
    });
    expect(first.execution).toMatchObject({ status: 'SUCCEEDED' });
    const ownAlerts = first.alerts.filter((alert) =>
      JSON.stringify(alert).includes(first.execution.name),
    );
    expect(ownAlerts.map(({ attributes }) => attributes['status'])).toContain('SUCCEEDED');
    expect(first.alerts).toHaveLength(2);
    expect(retriedErrors()).toEqual([]);
    expect(await backupCount()).toBe(before + 1);
  });
});
