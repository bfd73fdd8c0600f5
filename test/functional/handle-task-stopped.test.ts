import { describe, expect, it } from 'vitest';
import type { DrillOrder } from '#contracts/drill.ts';
import { TaskStoppedEvent } from '#contracts/events.ts';
import type { RestoreOrder } from '#contracts/restore.ts';
import { drillTaskSubject } from '#domain/drill/drill-order.ts';
import { type BackupRef, backupKey, drillKey, jobKey, restoreKey } from '#domain/names.ts';
import { restoreTaskSubject } from '#domain/restore/restore-order.ts';
import { handleTaskStopped } from '#functions/handle-task-stopped.ts';
import type { TaskKind } from '#runtime/ports.ts';
import { makeArchiveDrill, makeDrill } from '#test/fakes/drills.ts';
import { makeDeps, makePlan, makePlannedRestore, seedBackup } from '#test/fakes.ts';

function stopped(
  ref: BackupRef,
  exitCode?: number,
  stopCode = 'EssentialContainerExited',
  kind: TaskKind = 'dump-database',
) {
  return TaskStoppedEvent.parse({
    'detail-type': 'ECS Task State Change',
    detail: {
      taskArn: 'arn:aws:ecs:eu-west-1:123456789012:task/c/1',
      clusterArn: 'arn:aws:ecs:eu-west-1:123456789012:cluster/c',
      lastStatus: 'STOPPED',
      stopCode,
      containers: [{ name: 'holdfast', ...(exitCode === undefined ? {} : { exitCode }) }],
      overrides: {
        containerOverrides: [
          {
            name: 'holdfast',
            environment: [
              { name: 'HOLDFAST_JOB_KEY', value: jobKey(ref) },
              { name: 'HOLDFAST_TASK_KIND', value: kind },
            ],
          },
        ],
      },
    },
  });
}

describe('a dump task that stopped', () => {
  it('is reported at once when it was killed, and what it left is removed', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'running');
    deps.objects.seed(backupKey(ref, 'archive.dump'), 'complete, but without a manifest');
    await deps.objects.createUpload(backupKey(ref, 'toc.dump'), {});

    await handleTaskStopped(stopped(ref, 137), deps);

    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error: 'TaskKilled' });
    expect(deps.objects.keys('backups/')).toEqual([]);
    expect(deps.objects.openUploads()).toEqual([]);
    expect(deps.objects.keys('jobs/')).toEqual([jobKey(ref)]);
  });

  it('is reported as never started when its image could not be pulled', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'running');
    await handleTaskStopped(stopped(ref, undefined, 'TaskFailedToStart'), deps);
    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error: 'TaskNeverStarted' });
  });

  it('is incomplete when it ended well without a manifest', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'running');
    await handleTaskStopped(stopped(ref, 0), deps);
    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error: 'DumpIncomplete' });
  });

  it('is left to the verification when it ended well with a manifest', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'unverified');
    const before = deps.objects.keys();
    await handleTaskStopped(stopped(ref, 0), deps);
    expect(deps.workflow.answers.size).toBe(0);
    expect(deps.objects.keys()).toEqual(before);
  });

  it('has its forgotten upload aborted though it ended well', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'unverified');
    await deps.objects.createUpload(backupKey(ref, 'archive.dump'), {});
    await handleTaskStopped(stopped(ref, 0), deps);
    expect(deps.objects.openUploads()).toEqual([]);
  });

  it('leaves what was quarantined as it is, also when somebody took the manifest away', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'quarantined');
    await deps.objects.delete([backupKey(ref, 'manifest.json')]);
    const before = deps.objects.keys();
    expect(await handleTaskStopped(stopped(ref, 0), deps)).toEqual({ outcome: 'settled' });
    expect(deps.objects.keys()).toEqual(before);
  });

  it('never removes a backup that has a manifest, whatever the exit code', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'verified');
    const before = deps.objects.keys();
    await handleTaskStopped(stopped(ref, 137), deps);
    expect(deps.objects.keys()).toEqual(before);
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('is reported when it was to verify, and neither outcome is there', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'unverified');
    const event = stopped(ref, 137, 'EssentialContainerExited', 'verify-backup');
    await handleTaskStopped(event, deps);
    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error: 'TaskKilled' });
    expect(deps.objects.keys('backups/')).toHaveLength(4);
  });

  it('is left to the verification when it was killed after its manifest', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'unverified');
    expect(await handleTaskStopped(stopped(ref, 137), deps)).toEqual({ outcome: 'settled' });
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('changes nothing when the event comes a second time', async () => {
    const deps = makeDeps();
    const ref = seedBackup(deps.objects, {}, 'running');
    await handleTaskStopped(stopped(ref, 143), deps);
    const answers = new Map(deps.workflow.answers);
    await handleTaskStopped(stopped(ref, 143), deps);
    expect(deps.workflow.answers).toEqual(answers);
  });

  it('is ignored when it is not one of ours', async () => {
    const deps = makeDeps();
    const event = stopped({ source: 'orders', database: 'shop', backupId: 'not-an-id' }, 137);
    expect(await handleTaskStopped(event, deps)).toEqual({ outcome: 'ignored' });
  });
});

describe('a restore task that stopped', () => {
  const order: RestoreOrder = {
    version: 1,
    restore: makePlannedRestore(),
    taskToken: 'token-1',
    createdAt: '2026-11-20T10:00:01.000Z',
    heartbeatSeconds: 300,
    connection: makePlan().connection,
    task: makePlan().task,
    network: undefined,
  };
  const key = restoreKey(order.restore, 'order.json');

  /** The event of the task that was launched for the order. */
  function restoreStopped(exitCode?: number, startedBy = restoreTaskSubject(order)) {
    const event = stopped({ source: 'x', database: 'x', backupId: 'x' }, exitCode);
    const environment = [
      { name: 'HOLDFAST_JOB_KEY', value: key },
      { name: 'HOLDFAST_TASK_KIND', value: 'restore-database' },
    ];
    const overrides = { containerOverrides: [{ name: 'holdfast', environment }] };
    return { ...event, detail: { ...event.detail, overrides, startedBy } };
  }

  function makeOrdered() {
    const deps = makeDeps();
    deps.objects.seed(key, order);
    return deps;
  }

  it('is reported at once when it was killed, and nothing in the bucket is touched', async () => {
    const deps = makeOrdered();
    expect(await handleTaskStopped(restoreStopped(137), deps)).toEqual({ outcome: 'TaskKilled' });
    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error: 'TaskKilled' });
    expect(deps.objects.keys()).toEqual([key]);
  });

  it('is settled when it had answered for itself', async () => {
    const deps = makeOrdered();
    await deps.workflow.succeed('token-1', {});
    expect(await handleTaskStopped(restoreStopped(0), deps)).toEqual({ outcome: 'settled' });
  });

  it('does not fail the second try when it was the first one', async () => {
    const deps = makeOrdered();
    const event = restoreStopped(137, restoreTaskSubject({ ...order, taskToken: 'before' }));
    expect(await handleTaskStopped(event, deps)).toEqual({ outcome: 'settled' });
    expect(deps.workflow.answers.size).toBe(0);
  });
});

describe('a drill task that stopped', () => {
  const plan = makePlan();
  const order: DrillOrder = {
    version: 1,
    drill: makeDrill(),
    subject: { type: 'archive', restore: makeArchiveDrill().restore },
    taskToken: 'token-1',
    createdAt: '2026-11-20T10:00:01.000Z',
    begunAt: '2026-11-20T10:00:00.000Z',
    heartbeatSeconds: 300,
    checks: plan.drill.checks,
    smokeQueries: [],
    task: plan.drill.task,
    network: undefined,
  };
  const key = drillKey(order.drill, 'shop', 'order.json');

  /** The event of the task that was launched for the order. */
  function drillStopped(
    exitCode: number | undefined,
    {
      startedBy = drillTaskSubject(order),
      stopCode,
    }: { startedBy?: string; stopCode?: string } = {},
  ) {
    const event = stopped({ source: 'x', database: 'x', backupId: 'x' }, exitCode);
    const environment = [
      { name: 'HOLDFAST_JOB_KEY', value: key },
      { name: 'HOLDFAST_TASK_KIND', value: 'drill' },
    ];
    const overrides = { containerOverrides: [{ name: 'holdfast', environment }] };
    const code = stopCode === undefined ? {} : { stopCode };
    return { ...event, detail: { ...event.detail, overrides, startedBy, ...code } };
  }

  function makeOrdered() {
    const deps = makeDeps();
    deps.objects.seed(key, order);
    return deps;
  }

  it.each([
    ['was killed', 137, undefined, 'TaskKilled'],
    ['lost its capacity', 143, 'SpotInterruption', 'TaskInterrupted'],
    ['never started', undefined, 'TaskFailedToStart', 'TaskNeverStarted'],
    ['could not use its order', 64, undefined, 'TaskFailed'],
    ['ended well, without an answer', 0, undefined, 'TaskFailed'],
  ] as const)('fails its database by name when it %s', async (_, exitCode, stopCode, error) => {
    const deps = makeOrdered();
    const event = drillStopped(exitCode, stopCode === undefined ? {} : { stopCode });
    expect(await handleTaskStopped(event, deps)).toEqual({ outcome: error });
    expect(deps.workflow.answers.get('token-1')).toMatchObject({ error });
    expect(deps.objects.keys()).toEqual([key]);
  });

  it('is settled when it had answered for itself', async () => {
    const deps = makeOrdered();
    await deps.workflow.succeed('token-1', {});
    expect(await handleTaskStopped(drillStopped(0), deps)).toEqual({ outcome: 'settled' });
  });

  it('does not fail the second try when it was the first one', async () => {
    const deps = makeOrdered();
    const startedBy = drillTaskSubject({ ...order, taskToken: 'before' });
    expect(await handleTaskStopped(drillStopped(137, { startedBy }), deps)).toEqual({
      outcome: 'settled',
    });
    expect(deps.workflow.answers.size).toBe(0);
  });
});
