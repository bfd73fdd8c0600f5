import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  expectNothingHalfWritten,
  expectOneRunAlert,
  expectVerified,
  KEEP_ALL,
  makeGoodBackup,
  newestManifest,
} from '#test/failure-case.ts';
import { expectNoSecret } from '#test/pipeline-processes.ts';
import { listBackups, usePipeline } from '#test/stack.ts';

const pipeline = usePipeline({ plan: { retention: KEEP_ALL }, stack: { waitScale: 0.02 } });
let expectGoodBackupUntouched: () => Promise<void>;
let bodySha256: string;
beforeAll(async () => {
  expectGoodBackupUntouched = await makeGoodBackup(pipeline());
  ({ bodySha256 } = (await newestManifest(pipeline())).archive);
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

describe('an object store in trouble', () => {
  it.each([11, 22, 33])(
    'in which every fifth call fails or is cut does not keep a backup from being made (seed %i)',
    async (seed) => {
      const before = store().faults.injected;
      store().faults.plan = {
        seed,
        shares: {
          internalError: 0.04,
          slowDown: 0.04,
          cutBeforeEffect: 0.04,
          cutAfterEffect: 0.04,
          cutInBody: 0.04,
        },
      };
      const outcome = await pipeline().run();
      store().faults.clear();
      expect(store().faults.injected).toBeGreaterThan(before + 3);
      expectVerified(pipeline(), outcome);
      // The same database again: the same bytes behind the head, which has the time in it.
      expect((await newestManifest(pipeline())).archive.bodySha256).toBe(bodySha256);
    },
  );

  it('that cuts every other body is read to the end, from where it broke', async () => {
    store().faults.plan = { seed: 5, shares: { cutInBody: 0.5 }, operations: ['GetObject'] };
    expectVerified(pipeline(), await pipeline().run());
  });

  it('that loses the answers of every write once leaves one version of each object', async () => {
    for (const operation of [
      'PutObject',
      'CreateMultipartUpload',
      'UploadPart',
      'CompleteMultipartUpload',
    ] as const) {
      store().faults.failNext(operation, { cut: 'after-effect', key: /^backups\// });
    }
    const known = new Set((await listBackups(pipeline())).keys());
    expectVerified(pipeline(), await pipeline().run());
    const [made] = [...(await listBackups(pipeline())).keys()].filter((id) => !known.has(id));
    for await (const { key } of pipeline().stack.objects.list(`backups/orders/shop/${made}/`)) {
      expect(await pipeline().stack.objects.versions(key)).toHaveLength(1);
    }
  });

  it('that answers slowly is waited for', async () => {
    store().faults.plan = { delayMilliseconds: 150 };
    expectVerified(pipeline(), await pipeline().run());
  });

  it('that takes no part at all fails the run under a name, and keeps nothing', async () => {
    const known = (await listBackups(pipeline())).size;
    store().faults.failNext('UploadPart', { status: 500, times: 1000 });
    const outcome = await pipeline().run();
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'ServiceUnavailable' });
    expectOneRunAlert(outcome, {
      status: 'FAILED',
      error: 'ServiceUnavailable',
      stage: 'database',
    });
    await expectNothingHalfWritten(pipeline());
    expect((await listBackups(pipeline())).size).toBe(known);
  });

  it.each([409, 412])(
    'that refuses to complete the upload with %i fails the run under a name',
    async (status) => {
      const known = (await listBackups(pipeline())).size;
      store().faults.failNext('CompleteMultipartUpload', { status });
      const outcome = await pipeline().run();
      expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'WriteConflict' });
      expectOneRunAlert(outcome, { status: 'FAILED', error: 'WriteConflict' });
      await expectNothingHalfWritten(pipeline());
      expect((await listBackups(pipeline())).size).toBe(known);
    },
  );

  it('that refuses the role fails the run as AccessDenied', async () => {
    store().faults.failNext('CreateMultipartUpload', { status: 403 });
    const outcome = await pipeline().run();
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'AccessDenied' });
    expectOneRunAlert(outcome, { status: 'FAILED', error: 'AccessDenied' });
  });

  it('that fails between the archive and the manifest leaves no backup', async () => {
    const known = (await listBackups(pipeline())).size;
    store().faults.failNext('PutObject', { status: 403, key: /manifest\.json$/ });
    const outcome = await pipeline().run();
    expect(outcome.execution).toMatchObject({ status: 'FAILED', error: 'AccessDenied' });
    await expectNothingHalfWritten(pipeline());
    expect((await listBackups(pipeline())).size).toBe(known);
  });
});

it('leaves the bucket with nothing but whole, verified backups after all of this, and no password anywhere', async () => {
  for (const [backupId, files] of await listBackups(pipeline())) {
    expect([backupId, [...files].sort()]).toEqual([
      backupId,
      ['archive.dump', 'globals.sql', 'manifest.json', 'toc.dump', 'verification.json'],
    ]);
  }
  const { directory, sample, server } = pipeline();
  await expectNoSecret(directory, [sample.backup.password, server.password]);
});
