import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  GetExecutionHistoryCommand,
  SendTaskFailureCommand,
  SendTaskHeartbeatCommand,
  SendTaskSuccessCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type ControlPlane, startControlPlane } from '#local/control-plane/control-plane.ts';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';

const TOKEN_RESOURCE = 'arn:aws:states:::lambda:invoke.waitForTaskToken';

let plane: ControlPlane;
let sfn: SFNClient;
let directory: string;
let events: ExecutionEvent[] = [];
let machines = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-workflow-'));
  plane = await startControlPlane({
    workDirectory: directory,
    waitScale: 0.02,
    timeoutScale: 0.1,
    onExecutionEvent: (event) => events.push(event),
  });
  sfn = new SFNClient({
    endpoint: plane.endpoint,
    region: 'eu-west-1',
    credentials: {
      accessKeyId: plane.environment['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: 'not-a-secret',
    },
    maxAttempts: 1,
  });
});

afterAll(async () => {
  sfn.destroy();
  await plane.close();
  await rm(directory, { recursive: true, force: true });
});

beforeEach(() => {
  events = [];
});

type Handlers = Record<string, (payload: never) => Promise<unknown>>;

/** Registers a machine of its own and returns its ARN. */
function register(states: object, handlers: Handlers = {}, more: object = {}): string {
  machines += 1;
  return plane.stepFunctions.registerStateMachine({
    name: `machine-${machines}`,
    definition: { StartAt: Object.keys(states)[0], States: states, ...more },
    handlers: handlers as Record<string, (payload: unknown) => Promise<unknown>>,
  });
}

/** Runs a machine of these states to its end. */
function run(states: object, handlers: Handlers = {}, input: unknown = {}, more: object = {}) {
  const arn = register(states, handlers, more);
  return plane.stepFunctions.executionEnded(plane.stepFunctions.startExecution(arn, input));
}

const direct = (more: object = {}) => ({
  Type: 'Task',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a placeholder, as in the real file
  Resource: '${SomeFunctionArn}',
  End: true,
  ...more,
});

const tokenTask = (more: object = {}, payload: object = {}) => ({
  Type: 'Task',
  Resource: TOKEN_RESOURCE,
  Parameters: { FunctionName: 'f', Payload: { 'token.$': '$$.Task.Token', ...payload } },
  End: true,
  ...more,
});

const succeed = (taskToken: string, output: unknown) =>
  sfn.send(new SendTaskSuccessCommand({ taskToken, output: JSON.stringify(output) }));

class NamedError extends Error {
  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

describe('a Lambda task', () => {
  it('gets the payload alone and gives its bare result when it is called by its ARN', async () => {
    const states = {
      Add: direct({
        Parameters: { 'a.$': '$.a', 'id.$': '$$.Execution.Id' },
        ResultPath: '$.sum',
      }),
    };
    const result = await run(
      states,
      { Add: async ({ a, id }: { a: number; id: string }) => ({ a: a + 1, id }) },
      { a: 1 },
    );
    expect(result).toMatchObject({ status: 'SUCCEEDED' });
    expect(result.output).toEqual({ a: 1, sum: { a: 2, id: result.executionArn } });
  });

  it('gets the Payload and gives an envelope when it is called through lambda:invoke', async () => {
    const states = {
      Add: direct({
        Resource: 'arn:aws:states:::lambda:invoke',
        Parameters: { FunctionName: 'add', Payload: { 'a.$': '$.a' } },
        ResultSelector: { 'value.$': '$.Payload.a', 'status.$': '$.StatusCode' },
      }),
    };
    const { output } = await run(
      states,
      { Add: async ({ a }: { a: number }) => ({ a: a + 1 }) },
      { a: 1 },
    );
    expect(output).toEqual({ value: 2, status: 200 });
  });

  it('replaces the whole data when its ResultPath is "$"', async () => {
    const result = await run(
      { Plan: direct({ ResultPath: '$' }) },
      { Plan: async () => ({ planned: true }) },
      { gone: true },
    );
    expect(result.output).toEqual({ planned: true });
  });

  it("fails under the handler's error name, with Lambda's JSON as the cause", async () => {
    const result = await run(
      { Work: direct() },
      {
        Work: async () => {
          throw new NamedError('SnapshotQuotaReached', 'no room');
        },
      },
    );
    expect(result).toMatchObject({ status: 'FAILED', error: 'SnapshotQuotaReached' });
    const cause = JSON.parse(result.cause ?? '') as Record<string, unknown>;
    expect(cause).toMatchObject({ errorType: 'SnapshotQuotaReached', errorMessage: 'no room' });
    expect(cause['trace']).toContain('SnapshotQuotaReached: no room');
  });

  it('times out after TimeoutSeconds, which States.TaskFailed does not catch and States.Timeout does', async () => {
    const states = {
      Work: direct({
        TimeoutSeconds: 1,
        Catch: [
          { ErrorEquals: ['States.TaskFailed'], Next: 'Wrong' },
          { ErrorEquals: ['States.Timeout'], Next: 'Right', ResultPath: '$.failure' },
        ],
      }),
      Wrong: { Type: 'Pass', End: true },
      Right: { Type: 'Pass', End: true },
    };
    const result = await run(states, { Work: () => sleep(5000, undefined, { ref: false }) });
    expect(result.output).toEqual({ failure: { Error: 'States.Timeout' } });
  });

  it('fails the execution with States.DataLimitExceeded when the result is too large, uncaught by States.ALL', async () => {
    const states = {
      Work: direct({ Catch: [{ ErrorEquals: ['States.ALL'], Next: 'Caught' }] }),
      Caught: { Type: 'Pass', End: true },
    };
    const result = await run(states, { Work: async () => 'x'.repeat(262_144) });
    expect(result).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' });
  });

  it('does not run when the data that the state before left is too large', async () => {
    let called = false;
    const states = {
      // Each result is small enough, both together are not.
      One: direct({ End: undefined, ResultPath: '$.one', Next: 'Two' }),
      Two: direct({ End: undefined, ResultPath: '$.two', Next: 'Three' }),
      Three: direct({ Parameters: {} }),
    };
    const half = async () => 'x'.repeat(150_000);
    const third = async () => {
      called = true;
    };
    const result = await run(JSON.parse(JSON.stringify(states)), {
      One: half,
      Two: half,
      Three: third,
    });
    expect(result).toMatchObject({ status: 'FAILED', error: 'States.DataLimitExceeded' });
    expect(called).toBe(false);
  });
});

describe('Retry and Catch', () => {
  // The pauses are real ones: a machine that stands still for half a second spoils a try of the test, not four.
  it('retries with a growing pause that MaxDelaySeconds limits, then catches with the error added', {
    retry: 3,
  }, async () => {
    const calls: number[] = [];
    const states = {
      Work: direct({
        Retry: [
          {
            ErrorEquals: ['Throttled'],
            IntervalSeconds: 5,
            BackoffRate: 3,
            MaxAttempts: 3,
            MaxDelaySeconds: 15,
          },
        ],
        Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.failure', Next: 'Caught' }],
      }),
      Caught: { Type: 'Pass', End: true },
    };
    const result = await run(
      states,
      {
        Work: async () => {
          calls.push(performance.now());
          throw new NamedError('Throttled', 'slow down');
        },
      },
      { kept: 1 },
    );
    // 5, 15 and 15 (not 45) seconds, at a fiftieth of the time.
    const pauses = calls.slice(1).map((call, i) => call - (calls[i] ?? 0));
    expect(pauses).toHaveLength(3);
    for (const [i, wanted] of [100, 300, 300].entries()) {
      expect(pauses[i]).toBeGreaterThan(wanted - 5);
      // Without its limit the last one would be 900.
      expect(pauses[i]).toBeLessThan(wanted + 550);
    }
    expect(result.output).toMatchObject({ kept: 1, failure: { Error: 'Throttled' } });
    expect(events.filter(({ type }) => type === 'StateRetried')).toHaveLength(3);
  });

  it('ends with Error and Cause of a Fail state, taken from the data', async () => {
    const states = {
      Fail: { Type: 'Fail', ErrorPath: '$.outcome.error', CausePath: '$.outcome.cause' },
    };
    const outcome = { error: 'BackupIncomplete', cause: '1 of 2 databases' };
    expect(await run(states, {}, { outcome })).toMatchObject({
      status: 'FAILED',
      error: 'BackupIncomplete',
      cause: '1 of 2 databases',
    });
  });

  it('gives no Cause where a Fail state has none', async () => {
    const result = await run({ Fail: { Type: 'Fail', Error: 'Broken' } });
    expect(result).toMatchObject({ status: 'FAILED', error: 'Broken', cause: undefined });
  });
});

describe('a task token', () => {
  it('is answered while five iterations wait at once, each with its own token, item and input', async () => {
    const seen: { token: string; item: { name: string }; input: unknown; state: string }[] = [];
    const states = {
      Reshape: { Type: 'Pass', Parameters: { 'work.$': '$.items' }, Next: 'Each' },
      Each: {
        Type: 'Map',
        ItemsPath: '$.work',
        ItemSelector: { 'item.$': '$$.Map.Item.Value', 'index.$': '$$.Map.Item.Index' },
        ItemProcessor: {
          ProcessorConfig: { Mode: 'INLINE' },
          StartAt: 'Wait For Answer',
          States: {
            'Wait For Answer': tokenTask(
              { ResultPath: '$.answer' },
              {
                'item.$': '$.item',
                // Inside of an iteration these must still be the whole execution's.
                'input.$': '$$.Execution.Input',
                'again.$': '$$.Map.Item.Value',
                'state.$': '$$.State.Name',
              },
            ),
          },
        },
        End: true,
      },
    };
    const items = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ name }));
    const handler = async (payload: (typeof seen)[number] & { again: unknown }) => {
      expect(payload.again).toEqual(payload.item);
      seen.push(payload);
      if (seen.length < items.length) return;
      // Everybody waits now: answer in the reverse order.
      for (const { token, item } of seen.toReversed()) await succeed(token, `done ${item.name}`);
    };
    const result = await run(states, { 'Wait For Answer': handler }, { items });
    expect(result.output).toEqual(
      items.map((item, index) => ({ item, index, answer: `done ${item.name}` })),
    );
    expect(new Set(seen.map(({ token }) => token)).size).toBe(5);
    for (const { input, state } of seen) {
      expect({ input, state }).toEqual({ input: { items }, state: 'Wait For Answer' });
    }
  });

  it('fails the state with the error and cause that were sent', async () => {
    const handler = async ({ token }: { token: string }) => {
      const failure = { taskToken: token, error: 'DumpFailed', cause: 'pg_dump ended with 1' };
      await sfn.send(new SendTaskFailureCommand(failure));
    };
    const result = await run({ Work: tokenTask() }, { Work: handler });
    expect(result).toMatchObject({ error: 'DumpFailed', cause: 'pg_dump ended with 1' });
  });

  it('fails the state at once when the function that should pass it on fails', async () => {
    const handler = async () => {
      throw new NamedError('TaskLaunchFailed', 'no capacity');
    };
    const result = await run({ Work: tokenTask({ TimeoutSeconds: 600 }) }, { Work: handler });
    expect(result).toMatchObject({ status: 'FAILED', error: 'TaskLaunchFailed' });
  });

  it('is a new one for every retry, and the old one is closed', async () => {
    const tokens: string[] = [];
    const counts: number[] = [];
    const states = {
      Work: tokenTask(
        { Retry: [{ ErrorEquals: ['TaskInterrupted'], MaxAttempts: 2 }] },
        { 'count.$': '$$.State.RetryCount' },
      ),
    };
    const handler = async ({ token, count }: { token: string; count: number }) => {
      tokens.push(token);
      counts.push(count);
      if (tokens.length === 3) return succeed(token, 'third');
      return sfn.send(new SendTaskFailureCommand({ taskToken: token, error: 'TaskInterrupted' }));
    };
    const result = await run(states, { Work: handler });
    expect(result.output).toBe('third');
    expect(new Set(tokens).size).toBe(3);
    expect(counts).toEqual([0, 1, 2]);
    await expect(succeed(tokens[0] ?? '', 'late')).rejects.toMatchObject({ name: 'TaskTimedOut' });
  });

  it('runs out of time without heartbeats, and lives on with them until its timeout', async () => {
    const states = {
      Work: tokenTask({
        HeartbeatSecondsPath: '$.limits.heartbeat',
        TimeoutSecondsPath: '$.limits.timeout',
      }),
    };
    const silent = await run(
      states,
      { Work: async () => undefined },
      { limits: { heartbeat: 1, timeout: 20 } },
    );
    expect(silent).toMatchObject({ status: 'FAILED', error: 'States.HeartbeatTimeout' });

    let beats = 0;
    const beating = async ({ token }: { token: string }) => {
      const timer = setInterval(() => {
        sfn.send(new SendTaskHeartbeatCommand({ taskToken: token })).then(
          () => (beats += 1),
          () => clearInterval(timer),
        );
      }, 30);
    };
    const busy = await run(states, { Work: beating }, { limits: { heartbeat: 6, timeout: 12 } });
    expect(busy).toMatchObject({ status: 'FAILED', error: 'States.Timeout' });
    expect(beats).toBeGreaterThan(5);
  });

  it('counts a lost heartbeat as States.Timeout in Catch', async () => {
    const states = {
      Work: tokenTask({
        HeartbeatSeconds: 1,
        Catch: [{ ErrorEquals: ['States.Timeout'], Next: 'Late' }],
      }),
      Late: { Type: 'Pass', End: true },
    };
    const result = await run(states, { Work: async () => undefined });
    expect(result.output).toEqual({ Error: 'States.HeartbeatTimeout' });
  });

  it.each([
    ['malformed', 'nonsense', 'InvalidToken'],
    [
      'of a shape that is right and was never given out',
      `AQC${'a'.repeat(597)}`,
      'TaskDoesNotExist',
    ],
  ])('that is %s is refused', async (_, token, error) => {
    await expect(succeed(token, {})).rejects.toMatchObject({ name: error });
  });

  it('refuses an output that is not JSON and goes on waiting', async () => {
    const handler = async ({ token }: { token: string }) => {
      const bad = sfn.send(new SendTaskSuccessCommand({ taskToken: token, output: '{' }));
      await expect(bad).rejects.toMatchObject({ name: 'InvalidOutput' });
      await succeed(token, 'good');
    };
    expect(await run({ Work: tokenTask() }, { Work: handler })).toMatchObject({ output: 'good' });
  });
});

describe('branches and iterations', () => {
  it('runs no more iterations at once than MaxConcurrencyPath says', async () => {
    let now = 0;
    let most = 0;
    const states = {
      Each: {
        Type: 'Map',
        ItemsPath: '$.items',
        MaxConcurrencyPath: '$.limit',
        ItemProcessor: { StartAt: 'Work', States: { Work: direct() } },
        End: true,
      },
    };
    const handler = async (item: number) => {
      now += 1;
      most = Math.max(most, now);
      // Each waits for the one beside it; a third one would come meanwhile.
      await expect.poll(() => most).toBeGreaterThan(1);
      await sleep(10);
      now -= 1;
      return item * 2;
    };
    const result = await run(states, { Work: handler }, { items: [1, 2, 3, 4, 5, 6], limit: 2 });
    expect(result.output).toEqual([2, 4, 6, 8, 10, 12]);
    expect(most).toBe(2);
  });

  it('gives an empty list for an empty list', async () => {
    const states = {
      Each: {
        Type: 'Map',
        ItemsPath: '$.items',
        ItemProcessor: { StartAt: 'Same', States: { Same: { Type: 'Pass', End: true } } },
        End: true,
      },
    };
    expect(await run(states, {}, { items: [] })).toMatchObject({ output: [] });
  });

  it('goes on with the other iterations when one caught its failure', async () => {
    const states = {
      Each: {
        Type: 'Map',
        ItemsPath: '$.items',
        ItemProcessor: {
          StartAt: 'Work',
          States: {
            Work: direct({
              Catch: [{ ErrorEquals: ['States.ALL'], ResultPath: '$.failure', Next: 'Failed' }],
            }),
            Failed: {
              Type: 'Pass',
              Parameters: { 'name.$': '$.name', 'error.$': '$.failure.Error' },
              End: true,
            },
          },
        },
        End: true,
      },
    };
    const handler = async ({ name }: { name: string }) => {
      if (name === 'b') throw new NamedError('RowLevelSecurity', 'in the way');
      return { name, good: true };
    };
    const items = ['a', 'b', 'c'].map((name) => ({ name }));
    expect((await run(states, { Work: handler }, { items })).output).toEqual([
      { name: 'a', good: true },
      { name: 'b', error: 'RowLevelSecurity' },
      { name: 'c', good: true },
    ]);
  });

  it('stops the other branches when one fails, under the error of that one', async () => {
    let reached = false;
    const states = {
      Both: {
        Type: 'Parallel',
        Branches: [
          { StartAt: 'Fails', States: { Fails: direct() } },
          {
            StartAt: 'Slow',
            States: {
              Slow: { Type: 'Wait', Seconds: 30, Next: 'After' },
              After: direct(),
            },
          },
        ],
        End: true,
      },
    };
    const result = await run(states, {
      Fails: async () => {
        throw new NamedError('DatabaseUnreachable', 'refused');
      },
      After: async () => {
        reached = true;
      },
    });
    expect(result).toMatchObject({ status: 'FAILED', error: 'DatabaseUnreachable' });
    await sleep(30 * 20 + 50);
    expect(reached).toBe(false);
  });

  it('keeps apart the tokens of branches that run side by side, below each other', async () => {
    const branch = (name: string) => ({
      StartAt: `Wait ${name}`,
      States: {
        [`Wait ${name}`]: { Type: 'Wait', SecondsPath: '$.pause', Next: `Token ${name}` },
        [`Token ${name}`]: tokenTask({}, { 'name.$': '$$.State.Name' }),
      },
    });
    const handler = ({ token, name }: { token: string; name: string }) => succeed(token, name);
    const result = await run(
      { Both: { Type: 'Parallel', Branches: [branch('A'), branch('B')], End: true } },
      { 'Token A': handler, 'Token B': handler },
      { pause: 1 },
    );
    expect(result.output).toEqual(['Token A', 'Token B']);
  });
});

describe('an execution', () => {
  it('keeps its data through a Wait, whose time the option scales', async () => {
    const started = performance.now();
    const states = { Wait: { Type: 'Wait', SecondsPath: '$.seconds', End: true } };
    const result = await run(states, {}, { seconds: 10, kept: true });
    expect(result.output).toEqual({ seconds: 10, kept: true });
    expect(performance.now() - started).toBeGreaterThan(195);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  it('is the same one for the same name and input, and refused for another input or after its end', async () => {
    const given = Promise.withResolvers<string>();
    const handler = async ({ token }: { token: string }) => given.resolve(token);
    const arn = register({ Work: tokenTask() }, { Work: handler });
    const start = (input: string) =>
      sfn.send(new StartExecutionCommand({ stateMachineArn: arn, name: 'one', input }));
    const first = await start('{"a":1}');
    expect((await start('{"a":1}')).executionArn).toBe(first.executionArn);
    await expect(start('{"a":2}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
    await succeed(await given.promise, {});
    await plane.stepFunctions.executionEnded(first.executionArn ?? '');
    await expect(start('{"a":1}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
  });

  it.each([
    ['a name of 81 characters', { name: 'x'.repeat(81) }, 'InvalidName'],
    ['an input that is not JSON', { input: '{' }, 'InvalidExecutionInput'],
  ])('does not start with %s', async (_, more, error) => {
    const stateMachineArn = register({ Done: { Type: 'Succeed' } });
    const start = sfn.send(new StartExecutionCommand({ stateMachineArn, ...more }));
    await expect(start).rejects.toMatchObject({ name: error });
  });

  it('really stops: what waits is given up, no Retry or Catch goes on, its token is closed', async () => {
    let token = '';
    let calls = 0;
    const waiting = Promise.withResolvers<void>();
    const states = {
      Each: {
        Type: 'Map',
        ItemsPath: '$.items',
        ItemProcessor: { StartAt: 'Work', States: { Work: tokenTask() } },
        Retry: [{ ErrorEquals: ['States.ALL'], MaxAttempts: 5 }],
        Catch: [{ ErrorEquals: ['States.ALL'], Next: 'After' }],
        End: true,
      },
      After: direct(),
    };
    const handler = async (payload: { token: string }) => {
      token = payload.token;
      calls += 1;
      waiting.resolve();
    };
    const arn = register(states, { Work: handler, After: handler });
    const executionArn = plane.stepFunctions.startExecution(arn, { items: [1] });
    await waiting.promise;
    await sfn.send(new StopExecutionCommand({ executionArn, error: 'Enough', cause: 'by hand' }));
    expect(await plane.stepFunctions.executionEnded(executionArn)).toMatchObject({
      status: 'ABORTED',
      error: 'Enough',
      cause: 'by hand',
    });
    await expect(succeed(token, {})).rejects.toMatchObject({ name: 'TaskTimedOut' });
    await sleep(100);
    expect(calls).toBe(1);
  });

  it("times out after the machine's own TimeoutSeconds", async () => {
    const states = { Work: tokenTask() };
    const handlers = { Work: async () => undefined };
    const result = await run(states, handlers, {}, { TimeoutSeconds: 2 });
    expect(result).toMatchObject({ status: 'TIMED_OUT', error: undefined });
  });

  it('tells what happens as it happens, in the history, and on the event bus', async () => {
    const states = {
      First: direct({ End: undefined, Next: 'Each' }),
      Each: {
        Type: 'Map',
        ItemProcessor: { StartAt: 'Same', States: { Same: { Type: 'Pass', End: true } } },
        End: true,
      },
    };
    const result = await run(JSON.parse(JSON.stringify(states)), { First: async () => ['x'] });
    const story = events.map((event) =>
      'state' in event ? `${event.type} ${event.state}` : event.type,
    );
    expect(story).toEqual([
      'ExecutionStarted',
      'StateEntered First',
      'StateExited First',
      'StateEntered Each',
      'MapIterationStarted Each',
      'StateEntered Same',
      'StateExited Same',
      'MapIterationSucceeded Each',
      'StateExited Each',
      'ExecutionSucceeded',
    ]);
    expect(events.find((event) => 'state' in event && event.state === 'Same')).toMatchObject({
      path: ['Each[0]'],
      stateType: 'Pass',
    });
    const { executionArn } = result;
    const history = await sfn.send(new GetExecutionHistoryCommand({ executionArn }));
    expect(history.events?.map(({ type }) => type).slice(0, 4)).toEqual([
      'ExecutionStarted',
      'TaskStateEntered',
      'TaskStateExited',
      'MapStateEntered',
    ]);
    const statuses = plane.bus.history
      .filter(({ resources }) => resources.includes(executionArn))
      .map(({ detail }) => detail['status']);
    expect(statuses).toEqual(['RUNNING', 'SUCCEEDED']);
  });
});

describe('a state machine is refused when it is registered', () => {
  const nothing = async () => undefined;
  it.each([
    ['a Task without a handler', { Work: direct() }, {}, /"Work" has no handler/],
    ['a handler without a Task', { A: { Type: 'Succeed' } }, { B: nothing }, /"B" is no Task/],
    [
      'a token wait that passes no token on',
      { Work: { ...direct(), Resource: TOKEN_RESOURCE, Parameters: { FunctionName: 'f' } } },
      { Work: nothing },
      /Task\.Token/,
    ],
    [
      'an integration that does not exist here',
      { Work: { ...direct(), Resource: 'arn:aws:states:::sqs:sendMessage' } },
      { Work: nothing },
      /sqs:sendMessage/,
    ],
    ['a transition into nowhere', { A: { Type: 'Pass', Next: 'B' } }, {}, /definition is invalid/],
  ])('for %s', (_, states, handlers, message) => {
    expect(() => register(states, handlers as Handlers)).toThrow(message);
  });
});
