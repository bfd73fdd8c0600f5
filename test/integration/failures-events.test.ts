import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '#adapters/clock.ts';
import { type BackupRef, backupKey } from '#domain/names.ts';
import { reconcile } from '#functions/reconcile.ts';
import { LOCAL } from '#local/stack.ts';
import { buildDeps } from '#runtime/deps.ts';
import type { Deps } from '#runtime/ports.ts';
import {
  expectNothingHalfWritten,
  KEEP_ALL,
  keyOf,
  MANIFEST_CREATED,
  makeGoodBackup,
  runWithHarm,
  startHeldRun,
} from '#test/failure-case.ts';
import { listBackups, usePipeline } from '#test/stack.ts';

const pipeline = usePipeline({ plan: { retention: KEEP_ALL }, stack: { waitScale: 0.05 } });
const HOUR = 3_600_000;
let expectGoodBackupUntouched: () => Promise<void>;
beforeAll(async () => {
  expectGoodBackupUntouched = await makeGoodBackup(pipeline());
});
afterEach(async () => {
  pipeline().stack.store.faults.clear();
  pipeline().changePlan({});
  await expectNothingHalfWritten(pipeline());
  await expectGoodBackupUntouched();
  expectNoDeadLetters();
});

const plane = () => pipeline().stack.plane;
const expectNoDeadLetters = () => expect(plane().bus.deadLetters).toEqual([]);
const versionsOf = (ref: BackupRef, file: 'verification.json' | 'quarantine.json') =>
  pipeline().stack.objects.versions(backupKey(ref, file));
const verifyTasks = () =>
  (plane().ecs.tasks() as { taskDefinitionArn: string; startedBy: string }[]).filter((task) =>
    task.taskDefinitionArn.includes('verify-backup'),
  );
/** `event status error` of each alert since. */
function alertsSince(before: number): string[] {
  return plane()
    .sns.messages.slice(before)
    .map(({ attributes: a }) => `${a['event']} ${a['status']} ${a['error']}`);
}

/** The real side effects, as the functions have them, at another time of the day. */
function depsAt(offsetMilliseconds: number): Deps {
  const environment = { ...pipeline().stack.environment };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const deps = buildDeps(environment);
  const clock = { ...systemClock, now: () => new Date(Date.now() + offsetMilliseconds) };
  return Object.defineProperties({} as Deps, {
    ...Object.getOwnPropertyDescriptors(deps),
    clock: { value: clock, enumerable: true },
  });
}

describe('the event of a manifest that is delivered more than once', () => {
  it('has one effect when the deliveries come at the same time', async () => {
    const before = plane().sns.messages.length;
    plane().bus.disturb({ pattern: MANIFEST_CREATED, duplicates: 3 });
    const { execution } = await pipeline().run();
    await plane().bus.idle();

    expect(execution.status).toBe('SUCCEEDED');
    const { backupId } = (execution.output as { results: { logical: { databases: BackupRef[] } } })
      .results.logical.databases[0] as BackupRef;
    const ref = { source: 'orders', database: 'shop', backupId };
    expect(await versionsOf(ref, 'verification.json')).toHaveLength(1);
    expect(alertsSince(before)).toEqual(['backup SUCCEEDED none']);
  });

  it('has one effect when one comes long after the run', async () => {
    const { execution, held } = await runWithHarm(pipeline(), () => {});
    expect(execution.status).toBe('SUCCEEDED');
    const written = held.bytes('verification.json');
    const before = plane().sns.messages.length;
    plane().bus.put(held.event);
    await plane().bus.idle();
    expect(await versionsOf(held.ref, 'verification.json')).toHaveLength(1);
    expect(held.bytes('verification.json')).toEqual(written);
    expect(alertsSince(before)).toEqual([]);
  });

  it('leads to one quarantine and one alert when the backup is damaged', async () => {
    const { damage } = pipeline().stack.store;
    const { held, alerts } = await runWithHarm(pipeline(), ({ key, event }) => {
      damage.flipBit(LOCAL.bucket, key('archive.dump'), -40);
      plane().bus.disturb({ pattern: MANIFEST_CREATED, duplicates: 2 });
      return event;
    });
    expect(await versionsOf(held.ref, 'quarantine.json')).toHaveLength(1);
    expect(alerts.map(({ attributes }) => attributes)).toMatchObject([
      { event: 'backup', status: 'FAILED', error: 'ChecksumMismatch' },
    ]);
    const before = plane().sns.messages.length;
    plane().bus.put(held.event);
    await plane().bus.idle();
    expect(alertsSince(before)).toEqual([]);
  });
});

describe('events out of order', () => {
  it('are no matter: two databases are verified whichever comes first', async () => {
    pipeline().changePlan({ databases: ['shop', 'audit'] });
    pipeline().stack.store.faults.plan = { events: { reorder: 1 } };
    const { execution, summary, alerts } = await pipeline().run();
    expect(execution.status).toBe('SUCCEEDED');
    expect(summary?.databases.map(({ status }) => status)).toEqual(['verified', 'verified']);
    expect(alerts).toHaveLength(1);
  });
});

describe('an event that comes after the run has given up', () => {
  const impatient = { dump: { heartbeatSeconds: 8 } };

  it('verifies the backup all the same, without another alert', async () => {
    pipeline().changePlan(impatient);
    const before = plane().sns.messages.length;
    const { held, running } = await startHeldRun(pipeline());
    const { execution, summary } = await running;
    expect(execution.status).toBe('FAILED');
    expect(summary?.databases).toMatchObject([
      { status: 'failed', failure: { Error: 'States.HeartbeatTimeout' } },
    ]);

    // Slow enough for several heartbeats that nobody hears.
    pipeline().stack.store.faults.plan = { delayMilliseconds: 400, operations: ['HeadObject'] };
    plane().bus.put(held.event);
    await plane().bus.idle();
    expect(await versionsOf(held.ref, 'verification.json')).toHaveLength(1);
    expect(alertsSince(before)).toEqual(['backup FAILED States.HeartbeatTimeout']);
  });

  it('quarantines a damaged backup, and says so once as no run does', async () => {
    pipeline().changePlan(impatient);
    const before = plane().sns.messages.length;
    const { held, running } = await startHeldRun(pipeline());
    await running;
    pipeline().stack.store.damage.flipBit(LOCAL.bucket, held.key('archive.dump'), -40);
    for (let time = 0; time < 2; time++) {
      plane().bus.put(held.event);
      await plane().bus.idle();
    }
    expect(alertsSince(before)).toEqual([
      'backup FAILED States.HeartbeatTimeout',
      'quarantine FAILED ChecksumMismatch',
    ]);
  });
});

describe('an event that never comes', () => {
  it('is made up for by reconcile an hour later, however long the verification takes', async () => {
    pipeline().changePlan({ dump: { heartbeatSeconds: 8 } });
    const { held, running } = await startHeldRun(pipeline());
    await running;
    const before = plane().sns.messages.length;

    const early = await pipeline().stack.functions.invoke('reconcile', {});
    expect(early).toMatchObject({ verificationsStarted: 0 });

    pipeline().stack.store.faults.plan = { delayMilliseconds: 500, operations: ['GetObject'] };
    const deps = depsAt(2 * HOUR);
    expect(await reconcile({}, deps)).toMatchObject({ verificationsStarted: 1 });
    await expect
      .poll(() => versionsOf(held.ref, 'verification.json'), { interval: 200 })
      .toHaveLength(1);
    expect(await reconcile({}, deps)).toMatchObject({ verificationsStarted: 0 });
    expect(verifyTasks().filter((task) => task.startedBy === held.ref.backupId)).toHaveLength(1);
    expect(alertsSince(before)).toEqual([]);
  });
});

describe('an event that is not about a backup of ours', () => {
  const everything = async () => {
    const keys: string[] = [];
    for await (const { key } of pipeline().stack.objects.list('')) keys.push(key);
    return keys;
  };

  it.each([
    ['a folder that is no backup id', LOCAL.bucket, 'backups/orders/shop/notanid/manifest.json'],
    ['a folder outside of backups', LOCAL.bucket, 'other/manifest.json'],
    ['another file', LOCAL.bucket, 'backups/orders/shop/20261120T020000Z-k3v9qd/toc.dump'],
    [
      'a backup that is gone',
      LOCAL.bucket,
      'backups/orders/shop/20261120T020000Z-k3v9qd/manifest.json',
    ],
    ['another bucket', 'elsewhere', 'backups/orders/shop/20261120T020000Z-k3v9qd/manifest.json'],
  ])('is ignored: %s', async (_what, bucket, key) => {
    const before = await everything();
    const alertsBefore = plane().sns.messages.length;
    const event = {
      'detail-type': 'Object Created',
      time: '2026-11-20T02:00:00Z',
      detail: { bucket: { name: bucket }, object: { key, size: 2 } },
    };
    const outcome = await pipeline().stack.functions.invoke('verify-backup', event);
    expect(outcome).toEqual({ outcome: 'ignored' });
    expect(await everything()).toEqual(before);
    expect(alertsSince(alertsBefore)).toEqual([]);
  });

  it('is ignored when the bus really delivers it, and nothing is written beside it', async () => {
    const { objects } = pipeline().stack;
    const key = 'backups/orders/shop/notanid/manifest.json';
    const before = await everything();
    await objects.put(key, '{}');
    await expect.poll(() => plane().bus.history.some((event) => keyOf(event) === key)).toBe(true);
    await plane().bus.idle();
    expect(await everything()).toEqual([...before, key].sort());
    await objects.delete([key]);
  });
});

describe('an archive that is too large for the Lambda', () => {
  it('is verified by one Fargate task, be the event delivered twice', async () => {
    pipeline().changePlan({ verification: { lambdaMaxBytes: 0 } });
    const before = plane().sns.messages.length;
    const tasksBefore = verifyTasks().length;
    plane().bus.disturb({ pattern: MANIFEST_CREATED, duplicates: 1 });
    const { execution, summary } = await pipeline().run();
    await plane().bus.idle();
    expect(execution.status).toBe('SUCCEEDED');
    expect(summary?.databases).toMatchObject([{ status: 'verified', level: 'full' }]);
    expect(verifyTasks()).toHaveLength(tasksBefore + 1);
    expect(alertsSince(before)).toEqual(['backup SUCCEEDED none']);
  });

  it('is quarantined by it when it is damaged', async () => {
    pipeline().changePlan({ verification: { lambdaMaxBytes: 0 } });
    const { damage } = pipeline().stack.store;
    const { execution, held, alerts } = await runWithHarm(pipeline(), ({ key }) =>
      damage.flipBit(LOCAL.bucket, key('archive.dump'), -40),
    );
    expect(execution).toMatchObject({ status: 'FAILED', error: 'ChecksumMismatch' });
    expect((await listBackups(pipeline())).get(held.ref.backupId)).toContain('quarantine.json');
    expect(alerts).toHaveLength(1);
  });
});
