import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeObjects } from '#adapters/objects.ts';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { type ObjectStoreServer, startObjectStore } from '#local/object-store/server.ts';
import type { Objects } from '#runtime/ports.ts';
import { makeClock } from '#test/fakes.ts';
import { makeClient, makeTemporaryDirectory } from '#test/object-store-targets.ts';

const BUCKET = 'holdfast-backups';
/** Larger than one read of the store, so that a cut falls into the middle. */
const BODY = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 31 + (i >> 8)) & 255));

let directory: ReturnType<typeof makeTemporaryDirectory>;
let store: ObjectStoreServer;
let clients: S3Client[] = [];
beforeAll(async () => {
  directory = makeTemporaryDirectory();
  // Retrievals end when a test says so.
  store = await startObjectStore({ directory: directory.path, retrievalSeconds: Infinity });
  store.createBucket(BUCKET, { versioning: true });
});
afterEach(() => {
  store.faults.clear();
  for (const client of clients) client.destroy();
  clients = [];
});
afterAll(async () => {
  await store.close();
  directory.remove();
});

/** The adapter on the local store, waiting in no time. `attempts`: of the SDK itself. */
function makeAdapter(attempts = 1): Objects {
  const client = makeClient(store.endpoint, attempts);
  clients.push(client);
  return makeObjects({ client, bucket: BUCKET, clock: makeClock() });
}

const digest = (body: Buffer) => createHash('sha256').update(body).digest('hex');
const crcOf = (body: Buffer) => toBase64(crc64Nvme(body));

describe('reading a body whose connection breaks', () => {
  it.each([1, 3, 6])('goes on where it broke, %i times', async (times) => {
    const objects = makeAdapter();
    await objects.put('read/whole', BODY);
    store.faults.failNext('GetObject', { cut: 'in-body', times });
    expect(digest(await buffer(objects.stream('read/whole')))).toBe(digest(BODY));
  });

  it('does so from a given start and in a range', async () => {
    const objects = makeAdapter();
    await objects.put('read/part', BODY);
    store.faults.failNext('GetObject', { cut: 'in-body', times: 2 });
    const tail = await buffer(objects.stream('read/part', { start: 1000 }));
    expect(digest(tail)).toBe(digest(BODY.subarray(1000)));
    store.faults.failNext('GetObject', { cut: 'in-body', times: 2 });
    const range = await objects.getRange('read/part', 5_000, 800_000);
    expect(digest(range)).toBe(digest(BODY.subarray(5_000, 800_000)));
  });

  it('does so for a record, whose head it still knows', async () => {
    const objects = makeAdapter();
    const put = await objects.put('read/record', BODY);
    store.faults.failNext('GetObject', { cut: 'in-body' });
    const found = await objects.get('read/record');
    expect(digest(found?.body ?? Buffer.alloc(0))).toBe(digest(BODY));
    expect(found?.head).toMatchObject({ sizeBytes: BODY.length, versionId: put.versionId });
  });

  it('never mixes two versions: one that was replaced meanwhile ends the read', async () => {
    const objects = makeAdapter();
    await objects.put('read/replaced', BODY);
    store.faults.failNext('GetObject', { cut: 'in-body' });
    const reading = objects.stream('read/replaced')[Symbol.asyncIterator]();
    await reading.next();
    await objects.put('read/replaced', Buffer.alloc(BODY.length));
    await expect(
      (async () => {
        while (!(await reading.next()).done);
      })(),
    ).rejects.toMatchObject({ name: 'ObjectReplaced' });
  });

  it('gives up as ServiceUnavailable when no byte comes any more', async () => {
    const objects = makeAdapter();
    await objects.put('read/dead', BODY);
    store.faults.failNext('GetObject', { cut: 'before-effect', times: 100 });
    await expect(buffer(objects.stream('read/dead'))).rejects.toMatchObject({
      name: 'ServiceUnavailable',
    });
  });
});

describe('reading what is not there', () => {
  it('is undefined as a record, ObjectMissing as a range or a stream', async () => {
    const objects = makeAdapter();
    expect(await objects.get('none')).toBeUndefined();
    expect(await objects.head('none')).toBeUndefined();
    await expect(objects.getRange('none', 0, 10)).rejects.toMatchObject({ name: 'ObjectMissing' });
    await expect(buffer(objects.stream('none'))).rejects.toMatchObject({ name: 'ObjectMissing' });
  });

  it('is undefined when the version is gone, also where the key lives on', async () => {
    const objects = makeAdapter();
    const { versionId = '' } = await objects.put('versions/one', 'first');
    await objects.put('versions/one', 'second');
    expect(String((await objects.get('versions/one', { versionId }))?.body)).toBe('first');
    const versions = await objects.versions('versions/one');
    expect(versions.map(({ deleteMarker }) => deleteMarker)).toEqual([false, false]);
    expect(versions[1]?.versionId).toBe(versionId);
  });

  it('refuses a record that is larger than asked for', async () => {
    const objects = makeAdapter();
    await objects.put('read/large', BODY);
    await expect(objects.get('read/large', { maxBytes: 1000 })).rejects.toThrow('larger than');
  });
});

describe('a write whose answer is lost', () => {
  it('is known again as our own, whichever the condition', async () => {
    const objects = makeAdapter(3);
    store.faults.failNext('PutObject', { cut: 'after-effect' });
    const first = await objects.put('lost/record', 'one', { condition: 'absent' });
    expect(await objects.versions('lost/record')).toHaveLength(1);
    store.faults.failNext('PutObject', { cut: 'after-effect' });
    const condition = { etag: first.etag };
    const second = await objects.put('lost/record', 'two', { condition });
    expect(await objects.versions('lost/record')).toHaveLength(2);
    expect(second.versionId).toBe((await objects.head('lost/record'))?.versionId);
  });

  it("is not taken for ours when the bytes are somebody else's", async () => {
    const objects = makeAdapter(3);
    const { etag } = await objects.put('lost/theirs', 'theirs');
    await expect(
      objects.put('lost/theirs', 'ours!!', { condition: 'absent' }),
    ).rejects.toMatchObject({ name: 'WriteConflict' });
    await objects.put('lost/theirs', 'newer');
    await expect(objects.put('lost/theirs', 'ours', { condition: { etag } })).rejects.toMatchObject(
      { name: 'WriteConflict' },
    );
    expect(String((await objects.get('lost/theirs'))?.body)).toBe('newer');
  });

  it('is known again as our own when it completed an upload', async () => {
    const objects = makeAdapter(3);
    const upload = await objects.createUpload('lost/upload', {});
    await upload.putPart(1, BODY, crcOf(BODY));
    store.faults.failNext('CompleteMultipartUpload', { cut: 'after-effect' });
    const expected = { sizeBytes: BODY.length, crc64nvme: crcOf(BODY) };
    const { versionId } = await upload.complete(expected);
    expect(await objects.head('lost/upload')).toMatchObject({ versionId, ...expected });
  });
});

describe('completing an upload', () => {
  async function openUpload(objects: Objects, key: string) {
    const upload = await objects.createUpload(key, { tags: { state: 'a b+c' } });
    await upload.putPart(1, BODY, crcOf(BODY));
    return upload;
  }
  const expected = { sizeBytes: BODY.length, crc64nvme: crcOf(BODY) };

  it.each([409, 412])(
    'is a WriteConflict when S3 answers %i and nothing is there',
    async (status) => {
      const objects = makeAdapter();
      const upload = await openUpload(objects, `complete/${status}`);
      store.faults.failNext('CompleteMultipartUpload', { status });
      await expect(upload.complete(expected)).rejects.toMatchObject({ name: 'WriteConflict' });
      await upload.abort();
      // To abort what is gone already is no error.
      await upload.abort();
    },
  );

  it('is refused by S3 when the size or the checksum is not that of the parts', async () => {
    const objects = makeAdapter();
    const upload = await openUpload(objects, 'complete/wrong');
    const wrongSize = { ...expected, sizeBytes: BODY.length + 1 };
    await expect(upload.complete(wrongSize)).rejects.toThrow();
    const wrongChecksum = { ...expected, crc64nvme: crcOf(Buffer.from('other')) };
    await expect(upload.complete(wrongChecksum)).rejects.toThrow();
    expect(await objects.head('complete/wrong')).toBeUndefined();
    await upload.abort();
  });

  it('lists what was neither completed nor aborted', async () => {
    const objects = makeAdapter();
    const upload = await openUpload(objects, 'open/one');
    const open = [];
    for await (const { key, uploadId } of objects.uploads('open/')) open.push({ key, uploadId });
    expect(open).toEqual([{ key: 'open/one', uploadId: upload.uploadId }]);
    await upload.abort();
    for await (const { key } of objects.uploads('open/')) expect.unreachable(key);
  });
});

describe('deleting', () => {
  it('takes more keys than one call may have, and leaves the rest', async () => {
    const objects = makeAdapter();
    const keys = Array.from({ length: 1_005 }, (_, i) => `many/${String(i).padStart(4, '0')}`);
    for (let i = 0; i < keys.length; i += 50) {
      await Promise.all(keys.slice(i, i + 50).map((key) => objects.put(key, 'x')));
    }
    const listed = [];
    for await (const { key } of objects.list('many/')) listed.push(key);
    expect(listed).toEqual(keys);
    await objects.delete(keys.slice(0, 1_003));
    const left = [];
    for await (const { key } of objects.list('many/')) left.push(key);
    expect(left).toEqual(keys.slice(1_003));
  });

  it.each([
    ['InternalError', 'ServiceUnavailable'],
    ['SlowDown', 'Throttled'],
    ['AccessDenied', 'AccessDenied'],
  ])('names the error of one key of many: %s is %s', async (code, name) => {
    const send = async () => ({ Errors: [{ Key: 'a', Code: code, Message: 'no' }] });
    const client = { send } as unknown as S3Client;
    const objects = makeObjects({ client, bucket: BUCKET, clock: makeClock() });
    await expect(objects.delete(['a', 'b'])).rejects.toMatchObject({ name });
  });

  it('does nothing when there is nothing to delete', async () => {
    const before = store.requests.total;
    await makeAdapter().delete([]);
    expect(store.requests.total).toBe(before);
  });
});

describe('an answer that means trouble', () => {
  it.each([
    [503, undefined, 'Throttled'],
    [503, 'ServiceUnavailable', 'ServiceUnavailable'],
    [500, undefined, 'ServiceUnavailable'],
    [403, undefined, 'AccessDenied'],
  ])('%i %s is told as %s once the attempts are used up', async (status, code, name) => {
    const fault = { status, times: 10, ...(code === undefined ? {} : { code }) };
    const objects = makeAdapter();
    for (const operation of ['PutObject', 'GetObject', 'ListObjectsV2'] as const) {
      store.faults.failNext(operation, fault);
    }
    await expect(objects.put('trouble', 'x')).rejects.toMatchObject({ name });
    await expect(objects.get('trouble')).rejects.toMatchObject({ name });
    await expect(objects.list('trouble')[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      name,
    });
  });

  it('is told as ServiceUnavailable when the connection is cut', async () => {
    store.faults.failNext('PutObject', { cut: 'before-effect', times: 10 });
    await expect(makeAdapter().put('cut', 'x')).rejects.toMatchObject({
      name: 'ServiceUnavailable',
    });
  });
});

describe('an object that lies in Glacier', () => {
  const STANDARD = { tier: 'standard', days: 3 } as const;

  async function freeze(objects: Objects, key: string, storageClass = 'GLACIER') {
    const { versionId = '' } = await objects.put(key, BODY);
    store.setStorageClass(BUCKET, key, storageClass);
    return versionId;
  }

  it('has a head, and no bytes to be read: RetrievalFailed, not a matter of rights', async () => {
    const objects = makeAdapter();
    await freeze(objects, 'cold/read');
    expect(await objects.head('cold/read')).toMatchObject({
      sizeBytes: BODY.length,
      storageClass: 'GLACIER',
      retrieval: 'none',
    });
    const refused = { name: 'RetrievalFailed', message: expect.stringContaining('cold/read') };
    await expect(objects.get('cold/read')).rejects.toMatchObject(refused);
    await expect(objects.getRange('cold/read', 0, 10)).rejects.toMatchObject(refused);
    await expect(buffer(objects.stream('cold/read'))).rejects.toMatchObject(refused);
  });

  it('is retrieved once, however often it is asked for, and then read', async () => {
    const objects = makeAdapter();
    await freeze(objects, 'cold/once');
    expect(await objects.retrieve('cold/once', STANDARD)).toBe('ongoing');
    expect(await objects.retrieve('cold/once', STANDARD)).toBe('ongoing');
    expect((await objects.head('cold/once'))?.retrieval).toBe('ongoing');
    store.finishRestore(BUCKET, 'cold/once');
    expect(await objects.retrieve('cold/once', STANDARD)).toBe('done');
    expect(await objects.head('cold/once')).toMatchObject({
      storageClass: 'GLACIER',
      retrieval: 'done',
    });
    expect(digest(await buffer(objects.stream('cold/once')))).toBe(digest(BODY));
  });

  it('is still on its way when a faster tier was accepted', async () => {
    const objects = makeAdapter();
    await freeze(objects, 'cold/faster');
    await objects.retrieve('cold/faster', { ...STANDARD, tier: 'bulk' });
    const expedited = { ...STANDARD, tier: 'expedited' } as const;
    expect(await objects.retrieve('cold/faster', expedited)).toBe('ongoing');
  });

  it.each([
    ['ongoing-request="true"', 'ongoing'],
    ['ongoing-request="false", expiry-date="Fri, 27 Nov 2026 00:00:00 GMT"', 'done'],
  ])('was on its way, S3 says 200, and afterwards %s: %s', async (after, outcome) => {
    const restores = ['ongoing-request="true"', after];
    const send = async ({ constructor: { name } }: object) =>
      name === 'HeadObjectCommand'
        ? { StorageClass: 'GLACIER', Restore: restores.shift() }
        : { $metadata: { httpStatusCode: 200 } };
    const client = { send } as unknown as S3Client;
    const objects = makeObjects({ client, bucket: BUCKET, clock: makeClock() });
    expect(await objects.retrieve('k', STANDARD)).toBe(outcome);
  });

  it('is retrieved in the version that was asked for', async () => {
    const objects = makeAdapter();
    const versionId = await freeze(objects, 'cold/version');
    await objects.put('cold/version', 'newer');
    expect(await objects.retrieve('cold/version', { ...STANDARD, versionId })).toBe('ongoing');
    expect((await objects.head('cold/version', versionId))?.retrieval).toBe('ongoing');
    expect(await objects.retrieve('cold/version', STANDARD)).toBe('done');
    expect((await objects.head('cold/version'))?.retrieval).toBe('none');
  });

  it.each(['STANDARD', 'STANDARD_IA', 'GLACIER_IR', 'INTELLIGENT_TIERING'])(
    'is not, in %s: there is nothing to wait for',
    async (storageClass) => {
      const objects = makeAdapter();
      await freeze(objects, 'cold/warm', storageClass);
      expect(await objects.retrieve('cold/warm', STANDARD)).toBe('done');
      expect(await objects.head('cold/warm')).toMatchObject({ storageClass, retrieval: 'none' });
    },
  );

  it.each(['ARCHIVE_ACCESS', 'DEEP_ARCHIVE_ACCESS'])(
    'comes back for good from %s',
    async (tier) => {
      const objects = makeAdapter();
      await freeze(objects, 'cold/tiered', tier);
      expect((await objects.head('cold/tiered'))?.storageClass).toBe(tier);
      await expect(objects.get('cold/tiered')).rejects.toMatchObject({ name: 'RetrievalFailed' });
      expect(await objects.retrieve('cold/tiered', STANDARD)).toBe('ongoing');
      expect((await objects.head('cold/tiered'))?.retrieval).toBe('ongoing');
      store.finishRestore(BUCKET, 'cold/tiered');
      expect(await objects.head('cold/tiered')).toMatchObject({
        storageClass: 'INTELLIGENT_TIERING',
        retrieval: 'none',
      });
      expect((await objects.get('cold/tiered'))?.body.equals(BODY)).toBe(true);
    },
  );

  it('is ObjectMissing when it is not there', async () => {
    const objects = makeAdapter();
    await expect(objects.retrieve('cold/none', STANDARD)).rejects.toMatchObject({
      name: 'ObjectMissing',
    });
  });

  it('is RetrievalFailed, with what S3 said, when the tier is none of its class', async () => {
    const objects = makeAdapter();
    await freeze(objects, 'cold/deep', 'DEEP_ARCHIVE');
    await expect(
      objects.retrieve('cold/deep', { ...STANDARD, tier: 'expedited' }),
    ).rejects.toMatchObject({
      name: 'RetrievalFailed',
      message: expect.stringMatching(/InvalidArgument.*try another retrievalTier/s),
    });
  });

  it.each([
    ['GlacierExpeditedRetrievalNotAvailable', 'RetrievalFailed'],
    ['SlowDown', 'Throttled'],
    ['ServiceUnavailable', 'ServiceUnavailable'],
  ])('when S3 answers 503 %s: %s', async (code, name) => {
    const objects = makeAdapter();
    await freeze(objects, 'cold/busy');
    store.faults.failNext('RestoreObject', { status: 503, code });
    await expect(
      objects.retrieve('cold/busy', { ...STANDARD, tier: 'expedited' }),
    ).rejects.toMatchObject({ name });
    expect((await objects.head('cold/busy'))?.retrieval).toBe('none');
  });

  it('fails by name when the copy expires in the middle of a read', async () => {
    const objects = makeAdapter();
    await freeze(objects, 'cold/expired');
    await objects.retrieve('cold/expired', STANDARD);
    store.finishRestore(BUCKET, 'cold/expired');
    store.faults.failNext('GetObject', { cut: 'in-body' });
    const reading = objects.stream('cold/expired')[Symbol.asyncIterator]();
    await reading.next();
    store.expireRestore(BUCKET, 'cold/expired');
    await expect(
      (async () => {
        while (!(await reading.next()).done);
      })(),
    ).rejects.toMatchObject({ name: 'RetrievalFailed' });
  });
});
