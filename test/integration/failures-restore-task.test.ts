import { SFNClient, StopExecutionCommand } from '@aws-sdk/client-sfn';
import { beforeEach, describe, expect, it } from 'vitest';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { alertText, expectFailure, type Moment, useDesk } from '#test/restore-case.ts';
import { contentsOf } from '#test/restored-copy.ts';

/** What a person at the console sees of a task. */
interface TaskView {
  readonly taskArn: string;
  readonly lastStatus: string;
  readonly containers: readonly { readonly exitCode?: number }[];
}

const events: ExecutionEvent[] = [];
const lines: string[] = [];
const desk = useDesk({
  spotNoticeSeconds: 10,
  onExecutionEvent: (event) => events.push(event),
  onTaskLine: ({ line }) => lines.push(line),
});
beforeEach(() => {
  events.length = 0;
  lines.length = 0;
});

const retriedErrors = () =>
  events.flatMap((event) =>
    event.type === 'StateRetried' && event.state === 'Restore Database' ? [event.error] : [],
  );
const ecs = () => desk.pipeline.stack.plane.ecs;
const tasks = () => ecs().tasks() as TaskView[];
const runningTask = () => {
  const arn = tasks().find(({ lastStatus }) => lastStatus === 'RUNNING')?.taskArn;
  expect(arn).toBeDefined();
  return arn ?? '';
};
/** The exit code of a task, once it has ended. */
const exitCodeOf = async (task: string) => {
  await ecs().taskStopped(task);
  return tasks().find(({ taskArn }) => taskArn === task)?.containers[0]?.exitCode;
};
/** Takes the capacity of the running task away; its exit code. */
const interrupt = () => {
  const task = runningTask();
  ecs().interruptSpot(task);
  return exitCodeOf(task);
};
const linesWith = (text: string) => lines.filter((line) => line.includes(text));
const existing = { target: { mode: 'existing', database: 'there' } };
const contents = (database: string) => contentsOf(desk.pipeline.server, database);

describe('a restore whose task is killed', () => {
  it.each([
    ['before the target exists', 'nothing-left'],
    ['before the target is marked', 'nothing-left'],
    ['pre-data', 'dropped'],
    ['data', 'dropped'],
    ['post-data', 'dropped'],
    ['check', 'dropped'],
  ] as const)('leaves no database when that happens here: %s', async (moment, left) => {
    const outcome = await desk.actAt(moment, () => desk.signalTask('SIGKILL'));
    expectFailure(outcome, { error: 'TaskKilled', cause: 'exit code 137', left });
    expect(retriedErrors()).toEqual([]);
  });

  it('says that the database is there when that was whole already', async () => {
    const outcome = await desk.actAt('end', () => desk.signalTask('SIGKILL'));
    expectFailure(outcome, { error: 'TaskKilled', cause: 'exit code 137', left: 'kept' });
    const { database } = outcome.record?.restore.target ?? {};
    expect(alertText(outcome)).toContain(`${database} was restored and checked to the end`);
    await desk.query(`DROP DATABASE "${database}"`);
  });

  it('says that it took the place of the original when it had', async () => {
    await desk.query('CREATE DATABASE swapped');
    const outcome = await desk.actAt('end', () => desk.signalTask('SIGKILL'), {
      target: { mode: 'swap', database: 'swapped' },
    });
    expectFailure(outcome, { error: 'TaskKilled', cause: 'exit code 137', left: 'kept' });
    expect(alertText(outcome)).toContain(
      'swapped was restored and checked to the end, and took the place of the original',
    );
    const made = (await desk.databases()).filter((name) => name.startsWith('swapped'));
    expect(made).toEqual(['swapped', expect.stringMatching(/^swapped_before_/)]);
    for (const name of made) await desk.query(`DROP DATABASE "${name}"`);
  });

  it('says so of an existing database, whose data are there to stay', async () => {
    await desk.query('CREATE DATABASE there');
    const outcome = await desk.actAt('end', () => desk.signalTask('SIGKILL'), existing);
    expectFailure(outcome, { error: 'TaskKilled', cause: 'exit code 137', left: 'kept' });
    expect(alertText(outcome)).toContain('the database there was restored and checked to the end');
    const count = 'SELECT count(*)::int AS rows FROM orders';
    expect(await desk.query(count, 'there')).toEqual([{ rows: 3000 }]);
    await desk.query('DROP DATABASE there');
  });

  it.each(['before the target is marked', 'data', 'end'] as const)(
    'leaves no role that it made, unless all was done: %s',
    async (moment) => {
      await desk.query('CREATE ROLE leaver LOGIN; CREATE ROLE friend; GRANT friend TO leaver');
      await desk.query('CREATE DATABASE left_behind');
      await desk.query(
        'CREATE TABLE kept AS SELECT 1 AS n; ALTER TABLE kept OWNER TO leaver',
        'left_behind',
      );
      const { database, backupId } = await desk.backUp('left_behind');
      await desk.query('DROP DATABASE left_behind');
      await desk.query('DROP ROLE leaver');
      const input = { database, backup: backupId, roles: { createMissing: true } };

      const outcome = await desk.actAt(moment, () => desk.signalTask('SIGKILL'), input);

      const left = {
        'before the target is marked': 'nothing-left',
        data: 'dropped',
        end: 'kept',
      } as const;
      expectFailure(outcome, { error: 'TaskKilled', cause: 'exit code 137', left: left[moment] });
      const roles = await desk.query(
        `SELECT rolname AS name, shobj_description(oid, 'pg_authid') AS mark FROM pg_roles
         WHERE rolname IN ('leaver', 'friend') ORDER BY 1`,
      );
      const friend = { name: 'friend', mark: null };
      const leaver = { name: 'leaver', mark: null };
      expect(roles).toEqual(moment === 'end' ? [friend, leaver] : [friend]);
      const made = outcome.record?.restore.target.database ?? '';
      await desk.query(`DROP DATABASE IF EXISTS "${made}"`);
      await desk.query('DROP ROLE IF EXISTS leaver');
      await desk.query('DROP ROLE friend');
    },
  );

  it.each(['pre-data', 'data', 'post-data'] as const)(
    'leaves an existing database as empty as it was: %s',
    async (moment) => {
      await desk.query('CREATE DATABASE there');
      await desk.query("COMMENT ON DATABASE there IS 'mine'");
      const before = await contents('there');
      const outcome = await desk.actAt(moment, () => desk.signalTask('SIGKILL'), existing);
      expectFailure(outcome, { error: 'TaskKilled', cause: 'exit code 137', left: 'emptied' });
      expect(await contents('there')).toEqual(before);
      const comment = "SELECT shobj_description(oid, 'pg_database') AS c FROM pg_database";
      expect(await desk.query(`${comment} WHERE datname = 'there'`)).toEqual([{ c: 'mine' }]);
      await desk.query('DROP DATABASE there');
    },
  );

  it('can be started again at once', async () => {
    const outcome = await desk.actAt('post-data', () => desk.signalTask('SIGKILL'));
    expect(outcome.execution).toMatchObject({ status: 'FAILED' });
    await desk.expectWhole(await desk.restore());
  });
});

describe('a restore whose task is told to stop', () => {
  it.each(['data', 'post-data'] as const)(
    'takes back what it made, tries again and succeeds: %s',
    async (moment) => {
      const outcome = await desk.actAt(moment, async () => {
        expect(await interrupt()).toBe(143);
        expect(linesWith('"status":"dropped"')).toHaveLength(1);
      });
      expect(retriedErrors()).toEqual(['TaskInterrupted']);
      expect(outcome.alerts).toHaveLength(1);
      await desk.expectWhole(outcome);
    },
  );

  it.each(['data', 'end'] as const)(
    'tries again also when the task does not end within the notice: %s',
    async (moment) => {
      const outcome = await desk.actAt(moment, async () => {
        await desk.signalTask('SIGSTOP');
        expect(await interrupt()).toBe(137);
      });
      expect(retriedErrors()).toEqual(['TaskInterrupted']);
      await desk.expectWhole(outcome);
    },
  );

  it('fails when every try is stopped, and leaves nothing', async () => {
    const outcome = await desk.actAt('post-data', async () => {
      for (let attempt = 1; attempt <= 3; attempt += 1) {
        const reached = () => linesWith('"phase":"post-data"').length;
        await expect.poll(reached, { interval: 20 }).toBe(attempt);
        await interrupt();
      }
    });
    expect(retriedErrors()).toEqual(['TaskInterrupted', 'TaskInterrupted']);
    expectFailure(outcome, { error: 'TaskInterrupted', cause: 'SIGTERM', left: 'nothing-left' });
  });
});

describe('a restore whose task falls silent', () => {
  it.each([
    ['data', 'new', 'dropped'],
    ['post-data', 'existing', 'emptied'],
    ['before the target exists', 'existing', 'nothing-left'],
  ] as const)(
    'is taken back although that holds connections, and changes nothing when it wakes: %s, %s',
    async (moment, mode, left) => {
      desk.pipeline.changePlan({ restore: { heartbeatSeconds: 8 } });
      await desk.query('CREATE DATABASE there');
      const before = await contents('there');
      const outcome = await desk.actAt(
        moment,
        async (running) => {
          await desk.signalTask('SIGSTOP');
          await running;
        },
        mode === 'existing' ? existing : {},
      );
      expectFailure(outcome, {
        error: 'States.HeartbeatTimeout',
        cause: 'its task was silent',
        left,
      });
      expect(await contents('there')).toEqual(before);
      const alerts = desk.pipeline.stack.plane.sns.messages.length;
      const task = runningTask();
      await desk.signalTask('SIGCONT');
      expect([1, 75]).toContain(await exitCodeOf(task));
      expect(await contents('there')).toEqual(before);
      expect(desk.pipeline.stack.plane.sns.messages).toHaveLength(alerts);
      await desk.query('DROP DATABASE there');
    },
  );
});

describe('a restore that the operator stops', () => {
  it.each(['data', 'post-data'] as const)(
    'is taken back by its task at the next heartbeat, and nobody is alarmed: %s',
    async (moment: Moment) => {
      desk.pipeline.changePlan({ restore: { heartbeatSeconds: 8 } });
      const { environment, plane } = desk.pipeline.stack;
      const states = new SFNClient({
        endpoint: plane.endpoint,
        region: environment['AWS_REGION'] ?? '',
        credentials: {
          accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
          secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
        },
      });
      const outcome = await desk.actAt(moment, async () => {
        const executions = plane.stepFunctions.executions();
        const { executionArn } = executions.find(({ status }) => status === 'RUNNING') ?? {};
        const task = runningTask();
        await states.send(new StopExecutionCommand({ executionArn, cause: 'not now' }));
        expect(await exitCodeOf(task)).toBe(75);
      });
      states.destroy();
      expect(outcome.execution).toMatchObject({ status: 'ABORTED' });
      expect(outcome.alerts).toEqual([]);
      expect(linesWith('task token closed')).toHaveLength(1);
      expect(linesWith('"status":"dropped"')).toHaveLength(1);
    },
  );
});
