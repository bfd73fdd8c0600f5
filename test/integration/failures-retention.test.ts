import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import {
  type BackupFile,
  backupKey,
  jobKey,
  makeBackupId,
  retentionPlanKey,
} from '#domain/names.ts';
import { LOCAL } from '#local/stack.ts';
import {
  expectNothingHalfWritten,
  KEEP_ALL,
  keyOf,
  resign,
  startHeldRun,
  storedBytes,
} from '#test/failure-case.ts';
import { listBackups, type RunOutcome, usePipeline } from '#test/stack.ts';

/** Only the newest verified backup is to stay. */
const ONLY_LAST = {
  archives: { keepLast: 1, daily: 0, weekly: 0, monthly: 0, yearly: 0, minimumVerified: 1 },
};
const HOUR = 3_600_000;

const pipeline = usePipeline({ stack: { waitScale: 0.02 } });
afterEach(() => pipeline().stack.store.faults.clear());

const refOf = (backupId: string) => ({ source: 'orders', database: 'shop', backupId });
const backupIds = async () => [...(await listBackups(pipeline())).keys()].sort();
const objects = () => pipeline().stack.objects;

/** An empty bucket, then one verified backup made by a run. */
async function startOver(): Promise<string> {
  const keys: string[] = [];
  for await (const { key } of objects().list('')) keys.push(key);
  await objects().delete(keys);
  pipeline().changePlan({ retention: KEEP_ALL });
  const { execution } = await pipeline().run();
  expect(execution.status).toBe('SUCCEEDED');
  // An id tells its second: of two backups of one second, which is the newer is left to chance.
  await sleep(1000 - (Date.now() % 1000));
  return (await backupIds())[0] ?? '';
}

/** Copies a backup to an id of so many hours ago, its records telling of the new id. */
async function copyToThePast(backupId: string, hoursAgo: number): Promise<string> {
  const past = makeBackupId(new Date(Date.now() - hoursAgo * HOUR), `${hoursAgo} hours ago`);
  const read = (file: BackupFile) => storedBytes(pipeline(), backupKey(refOf(backupId), file));
  const key = (file: BackupFile) => backupKey(refOf(past), file);
  const stored: Record<string, string | undefined> = {};
  for (const file of ['archive.dump', 'toc.dump', 'globals.sql'] as const) {
    stored[file] = (await objects().put(key(file), read(file))).versionId;
  }
  const moved = <Stored extends object>(object: Stored, file: BackupFile): Stored => ({
    ...object,
    key: key(file),
    versionId: stored[file],
  });
  // The copies are verified already: their manifests' events are no news.
  pipeline().stack.plane.bus.disturb({ drop: true, pattern: createdPattern(key('manifest.json')) });
  await objects().put(
    key('manifest.json'),
    resign(read('manifest.json'), (manifest) => ({
      ...manifest,
      backupId: past,
      objects: {
        archive: moved(manifest.objects.archive, 'archive.dump'),
        toc: moved(manifest.objects.toc, 'toc.dump'),
        globals: moved(manifest.objects.globals, 'globals.sql'),
      },
    })),
  );
  const verification = { ...JSON.parse(String(read('verification.json'))), backupId: past };
  await objects().put(key('verification.json'), JSON.stringify(verification));
  const job = { ...JSON.parse(String(storedBytes(pipeline(), jobKey(refOf(backupId))))) };
  await objects().put(jobKey(refOf(past)), JSON.stringify({ ...job, backupId: past }));
  return past;
}

function createdPattern(key: string) {
  return { 'detail-type': ['Object Created'], detail: { object: { key: [key] } } };
}

/** Keys in the order in which they were deleted, since an event's number in the bus's history. */
function deletedKeys(since: number): string[] {
  return pipeline()
    .stack.plane.bus.history.slice(since)
    .filter((event) => event['detail-type'] === 'Object Deleted')
    .map(keyOf);
}

function expectAlert({ alerts }: RunOutcome, attributes: Record<string, string>): void {
  expect(alerts.map((alert) => alert.attributes)).toMatchObject([attributes]);
}

describe('retention at the end of a real run', () => {
  it('deletes exactly what it planned: proof first, then manifests, then data', async () => {
    const first = await startOver();
    const old = [await copyToThePast(first, 200), await copyToThePast(first, 100)];
    pipeline().changePlan({
      retention: { archives: { ...ONLY_LAST.archives, maxDeleteShare: 1 } },
    });
    const before = pipeline().stack.plane.bus.history.length;

    const outcome = await pipeline().run();
    expect(outcome.execution.status).toBe('SUCCEEDED');
    const [made, ...others] = (await backupIds()).reverse();
    expect(others).toEqual([]);
    const gone = [...old, first].sort().reverse();
    expect(outcome.summary?.retention).toMatchObject({
      status: 'applied',
      archives: { kept: 1, deleted: 3 },
      deletedIds: gone.map((id) => `shop/${id}`),
    });
    const planKey = retentionPlanKey('orders', outcome.execution.name);
    const record = RetentionPlanRecord.parse(JSON.parse(String(storedBytes(pipeline(), planKey))));
    expect(record.databases[0]?.keep.map(({ id }) => id)).toEqual([made]);

    const phaseOf = (key: string) =>
      /verification\.json$/.test(key)
        ? 1
        : /manifest\.json$/.test(key)
          ? 2
          : /^jobs/.test(key)
            ? 4
            : 3;
    const phases = deletedKeys(before).map(phaseOf);
    expect(phases).toHaveLength(gone.length * 6);
    expect(phases).toEqual(phases.toSorted((a, b) => a - b));
    // Deleted, not destroyed: versions stay until the lifecycle rule takes them.
    const versions = await objects().versions(backupKey(refOf(first), 'archive.dump'));
    expect(versions.map(({ deleteMarker }) => deleteMarker)).toEqual([true, false]);
    await expectNothingHalfWritten(pipeline());
  });

  it('deletes nothing and says so when the plan would delete too much', async () => {
    const first = await startOver();
    for (const hours of [400, 300, 200, 100]) await copyToThePast(first, hours);
    const known = await backupIds();
    pipeline().changePlan({ retention: ONLY_LAST });
    const before = pipeline().stack.plane.bus.history.length;

    const outcome = await pipeline().run();
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'RetentionGuard' });
    expect(outcome.summary?.problems).toMatchObject([
      { stage: 'retention', error: 'RetentionGuard' },
    ]);
    expectAlert(outcome, { status: 'FAILED', error: 'RetentionGuard', stage: 'retention' });
    expect(outcome.alerts[0]?.byProtocol['email']).toContain('nothing was deleted');
    expect(await backupIds()).toEqual(expect.arrayContaining(known));
    expect(await backupIds()).toHaveLength(known.length + 1);
    expect(deletedKeys(before)).toEqual([]);
  });

  it('only shows what it would do when it is a dry run', async () => {
    const first = await startOver();
    await copyToThePast(first, 100);
    pipeline().changePlan({ retention: { ...ONLY_LAST, dryRun: true } });
    const before = pipeline().stack.plane.bus.history.length;
    const outcome = await pipeline().run();
    expect(outcome.execution.status).toBe('SUCCEEDED');
    expect(outcome.summary?.retention).toMatchObject({
      status: 'dry-run',
      archives: { deleted: 2 },
    });
    expect(await backupIds()).toHaveLength(3);
    expect(deletedKeys(before)).toEqual([]);
  });
});

describe('retention that breaks off half-way', () => {
  it('leaves only backups without their proof among its victims, and the next run ends the work', async () => {
    const first = await startOver();
    const old = [await copyToThePast(first, 200), await copyToThePast(first, 100)];
    pipeline().changePlan({
      retention: { archives: { ...ONLY_LAST.archives, maxDeleteShare: 1 } },
    });
    const { faults } = pipeline().stack.store;
    // The first phase goes through, everything after it is refused.
    faults.failNext('DeleteObjects', { delayMilliseconds: 1 });
    faults.failNext('DeleteObjects', { status: 403, times: 100 });

    const outcome = await pipeline().run();
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'AccessDenied' });
    expectAlert(outcome, { status: 'FAILED', error: 'AccessDenied', stage: 'retention' });
    const halfGone = await listBackups(pipeline());
    for (const id of [...old, first]) {
      expect(halfGone.get(id)).toContain('archive.dump');
      expect(halfGone.get(id)).not.toContain('verification.json');
    }
    const [made = ''] = [...halfGone.keys()].filter((id) => ![...old, first].includes(id));
    expect(halfGone.get(made)).toContain('verification.json');

    faults.clear();
    const next = await pipeline().run();
    expect(next.execution.status).toBe('SUCCEEDED');
    const left = await backupIds();
    for (const id of old) expect(left).not.toContain(id);
    // Of a few minutes ago and without a proof: it might still be on its way. It goes when it is old.
    expect(left).toContain(first);
    expect(left).not.toContain(made);
  });

  it('is tried again when the store fails for a moment', async () => {
    const first = await startOver();
    await copyToThePast(first, 100);
    pipeline().changePlan({ retention: ONLY_LAST });
    const { faults } = pipeline().stack.store;
    faults.failNext('DeleteObjects', { status: 500, times: 2 });
    faults.failNext('DeleteObjects', { cut: 'after-effect', times: 2 });
    const { execution } = await pipeline().run();
    expect(execution.status).toBe('SUCCEEDED');
    expect(await backupIds()).toHaveLength(1);
  });
});

describe('retention while another backup of the source is being made', () => {
  it('does not touch it, though it has no proof yet and the rules keep only one', async () => {
    const first = await startOver();
    const old = await copyToThePast(first, 100);
    const plan = pipeline().changePlan({ retention: ONLY_LAST });
    const { ssm } = pipeline().stack.plane;
    const planVersion = ssm.putParameter(`${LOCAL.planPrefix}orders`, JSON.stringify(plan));
    const { held, running } = await startHeldRun(pipeline());
    const { backupId } = held.ref;
    const filesBefore = (await listBackups(pipeline())).get(backupId);
    const [current] = pipeline()
      .stack.plane.stepFunctions.executions()
      .filter(({ status }) => status === 'RUNNING');
    const event = {
      run: {
        source: 'orders',
        runId: 'by-hand',
        executionArn: current?.executionArn ?? '',
        startedAt: new Date().toISOString(),
        trigger: 'manual',
        reason: null,
        kinds: ['logical'],
        databases: null,
        planVersion,
      },
      results: { snapshot: { status: 'skipped' }, logical: { status: 'skipped' } },
    };

    const result = await pipeline().stack.functions.invoke('apply-retention', event);
    expect(result).toMatchObject({ archives: { deleted: 1 }, deletedIds: [`shop/${old}`] });
    expect((await listBackups(pipeline())).get(backupId)).toEqual(filesBefore);

    pipeline().stack.plane.bus.put(held.event);
    const { execution } = await running;
    expect(execution.status).toBe('SUCCEEDED');
    expect(await backupIds()).toEqual([backupId]);
    await expectNothingHalfWritten(pipeline());
  });

  it('keeps everything of a database whose dump has failed', async () => {
    const first = await startOver();
    await copyToThePast(first, 100);
    pipeline().changePlan({ retention: ONLY_LAST });
    const known = await backupIds();
    const { damage } = pipeline().stack.store;
    const { held, running } = await startHeldRun(pipeline());
    damage.flipBit(LOCAL.bucket, held.key('archive.dump'), -40);
    pipeline().stack.plane.bus.put(held.event);
    const { execution, summary } = await running;
    expect(execution).toMatchObject({ status: 'FAILED', error: 'ChecksumMismatch' });
    expect(summary?.retention).toMatchObject({ withheld: ['shop'], archives: { deleted: 0 } });
    expect(await backupIds()).toEqual([...known, held.ref.backupId].sort());
  });
});
