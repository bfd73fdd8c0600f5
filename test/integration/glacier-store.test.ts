import { HeadObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { makeObjects } from '#adapters/objects.ts';
import { ObjectRestoreEvent } from '#contracts/events.ts';
import type { PlannedRestoreState } from '#contracts/restore.ts';
import { RETRIEVAL_POINTERS } from '#domain/names.ts';
import { retrievalPlan } from '#domain/restore/retrieval-plan.ts';
import { resumeRestore } from '#functions/resume-restore.ts';
import { retrieveArchive } from '#functions/retrieve-archive.ts';
import { copyExpiry } from '#local/object-store/archived-objects.ts';
import type { S3ObjectEvent } from '#local/object-store/events.ts';
import { type ObjectStoreServer, startObjectStore } from '#local/object-store/server.ts';
import { resumeRetrievals } from '#operations/restore/resume-retrievals.ts';
import type { Objects } from '#runtime/ports.ts';
import { makeDeps, makePlannedRestore, makeWorkflow } from '#test/fakes.ts';
import { makeClient, makeTemporaryDirectory } from '#test/object-store-targets.ts';

/** An archive in Glacier and back: the SDK, the adapter and the functions against the local store. */
const BUCKET = 'holdfast-backups';
const BODY = Buffer.from(Array.from({ length: 10_000 }, (_, i) => (i * 31) & 255));
const restore = makePlannedRestore();
const { key } = restore.archive;
const STANDARD = { tier: 'standard', days: 3 } as const;

let directory: ReturnType<typeof makeTemporaryDirectory>;
let store: ObjectStoreServer;
let client: S3Client;
let objects: Objects;
let events: S3ObjectEvent[];
/** Null: the machine's clock. */
let time: Date | null;

async function start(retrievalSeconds: number): Promise<void> {
  store = await startObjectStore({
    directory: directory.path,
    retrievalSeconds,
    clock: () => time ?? new Date(),
    onEvent: (event) => events.push(event),
  });
  store.createBucket(BUCKET, { versioning: true });
  client = makeClient(store.endpoint, 3);
  objects = makeObjects({ client, bucket: BUCKET, clock: makeDeps().clock });
}

async function stop(): Promise<void> {
  client.destroy();
  await store.close();
}

async function restart(retrievalSeconds: number): Promise<void> {
  await stop();
  await start(retrievalSeconds);
}

beforeEach(async () => {
  directory = makeTemporaryDirectory();
  events = [];
  time = null;
  await start(0.2);
});
afterEach(async () => {
  await stop();
  directory.remove();
});

async function freeze(storageClass = 'GLACIER'): Promise<string> {
  const { versionId = '' } = await objects.put(key, BODY);
  store.setStorageClass(BUCKET, key, storageClass);
  return versionId;
}

const restoreEvents = () => events.filter((event) => event['detail-type'].includes('Restore'));
const told = () => restoreEvents().map((event) => event['detail-type']);
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 60_000, interval: 10 });

describe('an archive that a lifecycle rule moved to Glacier', () => {
  it('cannot be read, is retrieved, and can be read once its event has come', async () => {
    const versionId = await freeze();
    expect(await objects.head(key)).toMatchObject({ storageClass: 'GLACIER', retrieval: 'none' });
    await expect(objects.getRange(key, 0, 100)).rejects.toMatchObject({ name: 'RetrievalFailed' });

    expect(await objects.retrieve(key, { ...STANDARD, versionId })).toBe('ongoing');
    await expect(objects.getRange(key, 0, 100)).rejects.toMatchObject({ name: 'RetrievalFailed' });
    await eventually(() => expect(told()).toContain('Object Restore Completed'));
    expect(await objects.head(key)).toMatchObject({ storageClass: 'GLACIER', retrieval: 'done' });
    expect((await objects.getRange(key, 100, 200)).equals(BODY.subarray(100, 200))).toBe(true);
    expect((await objects.get(key))?.body.equals(BODY)).toBe(true);
  });

  it('is told of in the events that S3 sends, field by field', async () => {
    const versionId = await freeze('DEEP_ARCHIVE');
    const before = new Date();
    await objects.retrieve(key, STANDARD);
    await eventually(() => expect(told()).toHaveLength(2));
    store.expireRestore(BUCKET, key);
    await eventually(() => expect(told()).toHaveLength(3));
    const { etag = '' } = (await objects.head(key)) ?? {};
    const object = {
      key,
      size: BODY.length,
      etag: etag.replaceAll('"', ''),
      'version-id': versionId,
    };
    const common = { version: '0', bucket: { name: BUCKET }, object };
    const [initiated, completed, expired] = restoreEvents();
    expect(initiated).toMatchObject({
      'detail-type': 'Object Restore Initiated',
      source: 'aws.s3',
      resources: [`arn:aws:s3:::${BUCKET}`],
    });
    expect(initiated?.detail).toEqual({
      ...common,
      'request-id': expect.stringMatching(/^[0-9A-F]{16}$/),
      requester: '123456789012',
      'source-ip-address': '127.0.0.1',
      'source-storage-class': 'DEEP_ARCHIVE',
    });
    expect(completed?.['detail-type']).toBe('Object Restore Completed');
    expect(completed?.detail).toEqual({
      ...common,
      'request-id': expect.stringMatching(/^[0-9A-F]{16}$/),
      requester: 's3.amazonaws.com',
      'restore-expiry-time': copyExpiry(before, 3).replace('.000Z', 'Z'),
      'source-storage-class': 'DEEP_ARCHIVE',
    });
    expect(ObjectRestoreEvent.safeParse(completed).error).toBeUndefined();
    expect(expired?.['detail-type']).toBe('Object Restore Expired');
    expect(expired?.detail).toEqual({
      ...common,
      'request-id': expect.stringMatching(/^[0-9A-F]{16}$/),
      requester: 's3.amazonaws.com',
    });
    await expect(objects.getRange(key, 0, 1)).rejects.toMatchObject({ name: 'RetrievalFailed' });
  });

  it.each([
    ['expedited', 100],
    ['standard', 200],
    ['bulk', 400],
  ] as const)('takes its time in the tier %s', async (tier, milliseconds) => {
    await freeze();
    const began = performance.now();
    await objects.retrieve(key, { ...STANDARD, tier });
    await eventually(() => expect(told()).toContain('Object Restore Completed'));
    expect(performance.now() - began).toBeGreaterThan(milliseconds - 5);
  });

  it('comes back once, and sooner, when it is asked for again in a hurry', async () => {
    await freeze();
    await objects.retrieve(key, { ...STANDARD, tier: 'bulk' });
    await objects.retrieve(key, { ...STANDARD, tier: 'expedited' });
    await eventually(() => expect(told()).toHaveLength(2));
    // Past the time of the slow one.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(told()).toEqual(['Object Restore Initiated', 'Object Restore Completed']);
    expect((await objects.head(key))?.retrieval).toBe('done');
  });

  it('comes back although the store was stopped meanwhile', async () => {
    await freeze();
    await objects.retrieve(key, STANDARD);
    await restart(Infinity);
    await eventually(() => expect(told()).toContain('Object Restore Completed'));
    expect((await objects.head(key))?.retrieval).toBe('done');
    await restart(Infinity);
    expect((await objects.get(key))?.body.equals(BODY)).toBe(true);
  });

  it('waits for a person where time does not end it', async () => {
    await restart(Infinity);
    await freeze();
    expect(() => store.finishRestore(BUCKET, key)).toThrow('is not being restored');
    await objects.retrieve(key, STANDARD);
    await restart(Infinity);
    expect((await objects.head(key))?.retrieval).toBe('ongoing');
    store.finishRestore(BUCKET, key);
    expect((await objects.head(key))?.retrieval).toBe('done');
  });

  it('is readable for whole days, which another request prolongs', async () => {
    time = new Date('2026-11-20T10:30:00Z');
    await restart(Infinity);
    await freeze();
    await objects.retrieve(key, STANDARD);
    store.finishRestore(BUCKET, key);
    const restoreHeader = async () =>
      (await client.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }))).Restore;
    expect(await restoreHeader()).toBe(
      'ongoing-request="false", expiry-date="Tue, 24 Nov 2026 00:00:00 GMT"',
    );
    time = new Date('2026-11-23T23:59:59Z');
    expect(await objects.getRange(key, 0, 1)).toHaveLength(1);
    expect(await objects.retrieve(key, STANDARD)).toBe('done');
    expect(await restoreHeader()).toContain('Fri, 27 Nov 2026 00:00:00 GMT');
    time = new Date('2026-11-27T00:00:00Z');
    expect((await objects.head(key))?.retrieval).toBe('none');
    await expect(objects.getRange(key, 0, 1)).rejects.toMatchObject({ name: 'RetrievalFailed' });
    expect(await objects.retrieve(key, STANDARD)).toBe('ongoing');
  });

  it('is not brought back any more when it was deleted or replaced meanwhile', async () => {
    const versionId = await freeze();
    await objects.retrieve(key, { ...STANDARD, tier: 'bulk' });
    store.damage.remove(BUCKET, key);
    await objects.put(key, 'another');
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(told()).toEqual(['Object Restore Initiated']);
    expect(await objects.head(key, versionId)).toBeUndefined();
  });

  it('may be one that was written there in the first place', async () => {
    const put = { Bucket: BUCKET, Key: key, Body: BODY, StorageClass: 'DEEP_ARCHIVE' } as const;
    await client.send(new PutObjectCommand(put));
    expect((await objects.head(key))?.storageClass).toBe('DEEP_ARCHIVE');
    await expect(objects.get(key)).rejects.toMatchObject({ name: 'RetrievalFailed' });
  });
});

describe('a restore that waits for its archive', () => {
  async function ask(retrieval: Partial<PlannedRestoreState['retrieval']> = {}) {
    const versionId = await freeze();
    const head = await objects.head(key, versionId);
    if (!head) throw new Error('it was put a moment ago');
    const deps = makeDeps({ objects, workflow: makeWorkflow() });
    const event = {
      restore: makePlannedRestore({ archive: { versionId, sizeBytes: BODY.length } }),
      retrieval: { ...retrievalPlan(head, 'standard'), ...retrieval },
      taskToken: 'token-1',
    };
    expect(event.retrieval.needed).toBe(true);
    await retrieveArchive(event, deps);
    return deps;
  }
  const pointers = async () => {
    const keys: string[] = [];
    for await (const listed of objects.list(RETRIEVAL_POINTERS)) keys.push(listed.key);
    return keys.length;
  };
  const completed = () =>
    restoreEvents().filter((event) => event['detail-type'] === 'Object Restore Completed');

  it('goes on when the event comes, once, however often it comes', async () => {
    const deps = await ask();
    expect(await pointers()).toBe(1);
    await eventually(() => expect(completed()).toHaveLength(1));
    const event = ObjectRestoreEvent.parse(completed()[0]);
    expect(await resumeRestore(event, deps)).toMatchObject({ resumed: 1 });
    expect(await resumeRestore(event, deps)).toMatchObject({ resumed: 0 });
    expect(deps.workflow.answers.get('token-1')).toEqual({ output: { retrieved: true } });
    expect(await pointers()).toBe(0);
  });

  it('goes on when the event is lost and somebody looks', async () => {
    await restart(Infinity);
    store.faults.plan = { events: { drop: (event) => event['detail-type'].endsWith('Completed') } };
    const deps = await ask();
    expect(await resumeRetrievals(deps)).toEqual({ resumed: 0, waiting: 1, failed: 0 });
    store.finishRestore(BUCKET, key);
    expect(await resumeRetrievals(deps)).toEqual({ resumed: 1, waiting: 0, failed: 0 });
    expect(await pointers()).toBe(0);
    expect(completed()).toEqual([]);
  });

  it('waits for its own version, though a newer one can be read', async () => {
    await restart(Infinity);
    const deps = await ask();
    await objects.put(key, 'newer');
    expect(await resumeRetrievals(deps)).toEqual({ resumed: 0, waiting: 1, failed: 0 });
    expect(deps.workflow.answers.size).toBe(0);
  });

  it('fails by name when S3 has no capacity for an expedited one', async () => {
    store.faults.failNext('RestoreObject', {
      times: 10,
      status: 503,
      code: 'GlacierExpeditedRetrievalNotAvailable',
    });
    await expect(ask({ tier: 'expedited' })).rejects.toMatchObject({ name: 'RetrievalFailed' });
  });
});
