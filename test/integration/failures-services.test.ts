import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { RunLock } from '#contracts/run-lock.ts';
import { makeSnapshotId, runLockKey } from '#domain/names.ts';
import { copyCluster, deleteClusterCopy } from '#local/cluster-snapshots.ts';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import {
  expectNothingHalfWritten,
  expectOneRunAlert,
  expectVerified,
  KEEP_ALL,
  makeGoodBackup,
  storedBytes,
} from '#test/failure-case.ts';
import { listBackups, type RunOutcome, usePipeline } from '#test/stack.ts';

/** What the states of all executions did, oldest first. */
const events: ExecutionEvent[] = [];
const pipeline = usePipeline({
  plan: { retention: KEEP_ALL },
  stack: {
    waitScale: 0.02,
    // The SDK pauses for a random part of up to 20 seconds: here it always draws a hundredth.
    environment: { NODE_OPTIONS: '--import=data:text/javascript,Math.random=()=>0.01' },
    onExecutionEvent: (event) => events.push(event),
  },
});
let expectGoodBackupUntouched: () => Promise<void>;
beforeAll(async () => {
  expectGoodBackupUntouched = await makeGoodBackup(pipeline());
});
afterEach(async () => {
  store().faults.clear();
  plane().faults.clear();
  pipeline().changePlan({});
  await expectNothingHalfWritten(pipeline());
  await expectGoodBackupUntouched();
});

const store = () => pipeline().stack.store;
const plane = () => pipeline().stack.plane;

/** Longer than the SDK's eight attempts in each of the state's seven. */
const LASTING = { times: 1000 };

/** The errors for which a state was tried again, one each time. */
function retriesOf({ execution }: RunOutcome, state: string): (string | undefined)[] {
  return events.flatMap((event) =>
    event.executionArn === execution.executionArn &&
    event.type === 'StateRetried' &&
    event.state === state
      ? [event.error]
      : [],
  );
}

describe('services that throttle', () => {
  it.each([
    ['Step Functions', 'states.SendTaskSuccess', 'ThrottlingException'],
    ['ECS', 'ecs.RunTask', 'ThrottlingException'],
    ['SNS', 'sns.Publish', 'Throttled'],
    ['Systems Manager', 'ssm.GetParameter', 'ThrottlingException'],
    ['Secrets Manager', 'secretsmanager.GetSecretValue', 'ThrottlingException'],
  ] as const)('are asked again: %s', async (_service, operation, error) => {
    plane().faults.failNext(operation, { error, times: 2 });
    expectVerified(pipeline(), await pipeline().run());
  });

  it('are asked again: RDS', async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    for (const operation of ['rds.CreateDBSnapshot', 'rds.DescribeDBSnapshots'] as const) {
      plane().faults.failNext(operation, { error: 'Throttling', times: 2 });
    }
    const outcome = await pipeline().run();
    expectVerified(pipeline(), outcome);
    expect(outcome.summary?.snapshot.status).toBe('available');
  });
});

describe('services that throttle for longer than every retry', () => {
  it.each([
    ['Systems Manager', 'ssm.GetParameter', 'Plan Backup', 'run'],
    // Discover Databases has the secret of the run before; the task asks for itself.
    ['Secrets Manager', 'secretsmanager.GetSecretValue', 'Dump Database', 'database'],
    ['ECS', 'ecs.RunTask', 'Dump Database', 'database'],
  ] as const)(
    'fail the run as Throttled, which one alert tells: %s',
    async (_service, operation, state, stage) => {
      const before = [...(await listBackups(pipeline())).keys()];
      plane().faults.failNext(operation, { error: 'ThrottlingException', ...LASTING });
      const outcome = await pipeline().run();
      expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'Throttled' });
      expect(retriesOf(outcome, state)).toEqual(Array(4).fill('Throttled'));
      expect(outcome.summary?.problems).toMatchObject([{ stage, error: 'Throttled' }]);
      expectOneRunAlert(outcome, { status: 'FAILED', stage, error: 'Throttled' });
      expect([...(await listBackups(pipeline())).keys()]).toEqual(before);
    },
  );
});

describe('an SNS that takes no message', () => {
  it('fails the execution after every retry of an outage, though the backup is good and is kept', async () => {
    const before = new Set((await listBackups(pipeline())).keys());
    plane().faults.failNext('sns.Publish', { error: 'InternalError', status: 500, ...LASTING });
    const outcome = await pipeline().run();
    const { execution, summary, alerts } = outcome;
    expect(execution).toMatchObject({
      status: 'FAILED',
      error: 'ServiceUnavailable',
      cause: expect.stringContaining('The alert could not be sent'),
    });
    expect(retriesOf(outcome, 'Notify')).toEqual(Array(6).fill('ServiceUnavailable'));
    expect(alerts).toEqual([]);
    expect(summary?.status).toBe('SUCCEEDED');
    const made = [...(await listBackups(pipeline()))].filter(([id]) => !before.has(id));
    expect(made.map(([, files]) => files.has('verification.json'))).toEqual([true]);
  });

  it('fails the execution at once when it refuses, though the backup is good and is kept', async () => {
    const before = new Set((await listBackups(pipeline())).keys());
    plane().faults.failNext('sns.Publish', { error: 'AuthorizationError', status: 403, times: 50 });
    const { execution, summary, alerts } = await pipeline().run();
    expect(execution).toMatchObject({ status: 'FAILED', error: 'AccessDenied' });
    expect(alerts).toEqual([]);
    expect(summary?.status).toBe('SUCCEEDED');
    const made = [...(await listBackups(pipeline()))].filter(([id]) => !before.has(id));
    expect(made.map(([, files]) => files.has('verification.json'))).toEqual([true]);
  });
});

describe('a snapshot that goes wrong while the dumps go on', () => {
  const registered = () => ({
    identifier: 'orders-db',
    engineVersion: `${pipeline().server.major}`,
    host: pipeline().server.host,
    port: pipeline().server.port,
    deleteCopy: deleteClusterCopy,
  });

  /** The dump worked, the snapshot did not, and the run tells both. */
  function expectOnlySnapshotFailed(outcome: RunOutcome, error: string): void {
    const { execution, summary, alerts } = outcome;
    expect(execution).toMatchObject({ status: 'FAILED', error: 'BackupIncomplete' });
    expect(execution.cause).toContain('worked: shop;');
    expect(summary?.databases).toMatchObject([{ database: 'shop', status: 'verified' }]);
    expect(summary?.problems).toMatchObject([{ stage: 'snapshot', error }]);
    expectOneRunAlert(outcome, { status: 'FAILED', stage: 'snapshot' });
    expect(alerts[0]?.byProtocol['email']).toContain(error);
  }

  it('is told as SnapshotQuotaReached when there is no room for it', async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    const { rds } = plane();
    const quota = rds.snapshotQuota;
    rds.snapshotQuota = rds.snapshots().length;
    try {
      expectOnlySnapshotFailed(await pipeline().run(), 'SnapshotQuotaReached');
    } finally {
      rds.snapshotQuota = quota;
    }
  });

  it('is told as Throttled when RDS throttles for longer than every retry', async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    plane().faults.failNext('rds.CreateDBSnapshot', { error: 'Throttling', ...LASTING });
    const outcome = await pipeline().run();
    expectOnlySnapshotFailed(outcome, 'Throttled');
    expect(retriesOf(outcome, 'Create Snapshot')).toEqual(Array(4).fill('Throttled'));
  });

  it('is adopted when the answer to its creation was lost', async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    const before = plane().rds.snapshots().length;
    plane().faults.failNext('rds.CreateDBSnapshot', { cut: 'after' });
    const outcome = await pipeline().run();
    expectVerified(pipeline(), outcome);
    expect(outcome.summary?.snapshot).toMatchObject({
      status: 'available',
      snapshot: { adopted: true },
    });
    expect(plane().rds.snapshots()).toHaveLength(before + 1);
  });

  it("is not adopted when it is somebody else's, which stays as it is", async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    plane().faults.failNext('rds.CreateDBSnapshot', { delayMilliseconds: 2_000 });
    const runsBefore = plane().stepFunctions.executions().length;
    const running = pipeline().run();
    // The name follows from the run, so it can be taken once the run has begun.
    const lock = async () => {
      const key = runLockKey('orders');
      return RunLock.parse(JSON.parse(String(storedBytes(pipeline(), key))));
    };
    await expect
      .poll(async () => {
        const [newest] = plane().stepFunctions.executions().slice(runsBefore);
        return newest !== undefined && (await lock()).executionArn === newest.executionArn;
      })
      .toBe(true);
    const { startedAt, executionArn } = await lock();
    const snapshotId = makeSnapshotId('orders', new Date(startedAt), executionArn);
    plane().rds.addSnapshot('instance', {
      snapshotId,
      server: 'orders-db',
      tags: { owner: 'somebody' },
      createTime: new Date(),
    });
    expectOnlySnapshotFailed(await running, 'SnapshotNotOurs');
    const theirs = plane()
      .rds.snapshots()
      .filter(({ id }) => id === snapshotId);
    expect(theirs).toMatchObject([{ status: 'available' }]);
  });

  it('is told as SnapshotFailed when RDS cannot make it', async () => {
    pipeline().changePlan({ kinds: ['snapshot', 'logical'] });
    const { rds } = plane();
    const refuse = () => Promise.reject(new Error('the disk is full'));
    rds.registerInstance({ ...registered(), copy: refuse });
    try {
      expectOnlySnapshotFailed(await pipeline().run(), 'SnapshotFailed');
    } finally {
      const { server } = pipeline();
      rds.registerInstance({
        ...registered(),
        copy: ({ destination }) =>
          copyCluster({ connection: server, dataDirectory: server.dataDirectory, destination }),
      });
    }
  });
});
