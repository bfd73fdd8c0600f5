import { describe, expect, it } from 'vitest';
import { DumpJob } from '#contracts/job.ts';
import { DumpDatabaseEvent } from '#contracts/workflow.ts';
import { jobKey } from '#domain/names.ts';
import { TaskLaunchFailed } from '#errors';
import { dumpDatabase } from '#functions/dump-database.ts';
import { makeDeps, makeRun } from '#test/fakes.ts';

function makeEvent(changes: Partial<DumpDatabaseEvent> = {}): DumpDatabaseEvent {
  return DumpDatabaseEvent.parse({
    run: makeRun(),
    server: { version: '17.11', versionNumber: 170011, isReplica: false },
    database: { database: 'shop', sizeBytes: 10_000_000, problem: null },
    taskToken: 'token-1',
    enteredAt: '2026-11-20T02:01:00.000Z',
    ...changes,
  });
}

describe('ordering a dump', () => {
  it('writes the job record and launches the task with it', async () => {
    const deps = makeDeps();
    const { backupId } = await dumpDatabase(makeEvent(), deps);

    const key = jobKey({ source: 'orders', database: 'shop', backupId });
    const job = DumpJob.parse(deps.objects.json(key));
    expect(job).toMatchObject({ taskToken: 'token-1', database: 'shop', serverVersion: 170011 });
    expect(deps.tasks.started).toMatchObject([
      { kind: 'dump-database', orderKey: key, subject: backupId, task: job.task },
    ]);
  });

  it('orders the same backup again when Lambda repeats the invocation', async () => {
    const deps = makeDeps();
    const first = await dumpDatabase(makeEvent(), deps);
    const second = await dumpDatabase(makeEvent(), deps);
    expect(second).toEqual(first);
    expect(deps.tasks.started).toHaveLength(1);
  });

  it('makes a new backup for a new token', async () => {
    const deps = makeDeps();
    const first = await dumpDatabase(makeEvent(), deps);
    const second = await dumpDatabase(makeEvent({ taskToken: 'token-2' }), deps);
    expect(second.backupId).not.toBe(first.backupId);
  });

  it('fails under the name of what the preflight found, and launches nothing', async () => {
    const deps = makeDeps();
    const problem = { error: 'RowLevelSecurity', cause: 'rows of public.secrets would be hidden' };
    const event = makeEvent({ database: { database: 'shop', sizeBytes: 1, problem } });
    await expect(dumpDatabase(event, deps)).rejects.toMatchObject({
      name: 'RowLevelSecurity',
      message: problem.cause,
    });
    expect(deps.tasks.started).toEqual([]);
    expect(deps.objects.keys()).toEqual([]);
  });

  it('launches the task all the same when what the preflight found may have passed', async () => {
    const deps = makeDeps();
    const problem = { error: 'ConnectionLost', cause: 'the server closed the connection' };
    const event = makeEvent({ database: { database: 'shop', sizeBytes: 1, problem } });
    await dumpDatabase(event, deps);
    expect(deps.tasks.started).toHaveLength(1);
  });

  it('passes on that the task could not be placed', async () => {
    const deps = makeDeps({
      tasks: {
        run: async () => {
          throw new TaskLaunchFailed('RESOURCE:MEMORY');
        },
      },
    });
    await expect(dumpDatabase(makeEvent(), deps)).rejects.toMatchObject({
      name: 'TaskLaunchFailed',
    });
  });

  it('keeps the plan that the run began with', async () => {
    const deps = makeDeps();
    const { plan } = await deps.plans.load('orders');
    deps.plans.store({ ...plan, dump: { ...plan.dump, lockWaitTimeoutSeconds: 999 } });
    await dumpDatabase(makeEvent(), deps);
    const job = DumpJob.parse(deps.objects.json(deps.tasks.started[0]?.orderKey ?? ''));
    expect(job.dump.lockWaitTimeoutSeconds).toBe(60);
  });
});
