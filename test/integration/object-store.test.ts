import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutObjectCommand,
  RestoreObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ObjectCreatedEvent } from '#contracts/events.ts';
import { combineParts, startChecksum } from '#local/object-store/checksums.ts';
import type { S3ObjectEvent } from '#local/object-store/events.ts';
import { FaultInjector } from '#local/object-store/faults.ts';
import { type ObjectStoreServer, startObjectStore } from '#local/object-store/server.ts';
import { errorOf, readText } from '#test/object-store-contract.ts';
import { sendRaw } from '#test/object-store-raw.ts';
import { makeClient, makeTemporaryDirectory, presignGet } from '#test/object-store-targets.ts';

const MIB = 1024 ** 2;
const Bucket = 'backups';

let directory: ReturnType<typeof makeTemporaryDirectory>;
let store: ObjectStoreServer;
let client: S3Client;
let events: S3ObjectEvent[];

async function start(): Promise<void> {
  store = await startObjectStore({ directory: directory.path, onEvent: (e) => events.push(e) });
  store.createBucket(Bucket, { versioning: true, encryption: 'aws:kms' });
  client = makeClient(store.endpoint, 3);
}

async function stop(): Promise<void> {
  client.destroy();
  await store.close();
}

beforeEach(async () => {
  directory = makeTemporaryDirectory();
  events = [];
  await start();
});

afterEach(async () => {
  await stop();
  directory.remove();
});

const put = (Key: string, Body: string | Buffer = Key, more: object = {}) =>
  client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

async function upload(Key: string, sizes: readonly number[], order: readonly number[]) {
  const bodies = sizes.map((size) => randomBytes(size));
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const parts: { PartNumber: number; ETag: string }[] = [];
  for (const PartNumber of order) {
    const part = { Bucket, Key, UploadId, PartNumber, Body: bodies[PartNumber - 1] ?? Buffer.of() };
    const { ETag = '' } = await client.send(new UploadPartCommand(part));
    parts[PartNumber - 1] = { PartNumber, ETag };
  }
  const complete = () =>
    client.send(
      new CompleteMultipartUploadCommand({
        Bucket,
        Key,
        UploadId,
        MultipartUpload: { Parts: parts },
      }),
    );
  return { UploadId, whole: Buffer.concat(bodies), complete };
}

/** Waits until the events are what the test wants; they come after the answer. */
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 60_000, interval: 10 });

describe('files on disk', () => {
  it('shows the current version of each object as a plain file', async () => {
    const key = 'backups/orders/app/20261120T030000Z-k3v9qd/archive.dump';
    await put(key, 'old');
    await put(key, 'new');
    expect(store.path(Bucket, key)).toBe(join(directory.path, Bucket, key));
    expect(readFileSync(join(directory.path, Bucket, key), 'utf8')).toBe('new');

    const { whole, complete } = await upload(key, [5 * MIB, 5 * MIB, 7], [3, 2, 1]);
    await complete();
    expect(readFileSync(join(directory.path, Bucket, key)).equals(whole)).toBe(true);

    const { VersionId } = await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
    expect(readdirSync(join(directory.path, Bucket))).toEqual([]);
    await client.send(new DeleteObjectCommand({ Bucket, Key: key, VersionId }));
    expect(statSync(join(directory.path, Bucket, key)).size).toBe(whole.length);
  });

  it('assembles parts of any sizes, sent twice and in any order, left-out ones not included', async () => {
    for (const [sizes, order] of [
      [
        [5 * MIB, 5 * MIB, 5 * MIB],
        [1, 2, 3],
      ], // in place
      [
        [6 * MIB, 5 * MIB, 9],
        [2, 3, 1],
      ], // the first one is longer than its slot
      [
        [5 * MIB, 5 * MIB, 9],
        [3, 2, 1, 2],
      ], // the last one came first; one came twice
      [[1], [1]],
    ] as const) {
      const { whole, complete } = await upload('m', sizes, order);
      await complete();
      expect(readFileSync(join(directory.path, Bucket, 'm')).equals(whole)).toBe(true);
    }
    const Key = 'left-out';
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
    const parts = [];
    for (const PartNumber of [1, 2, 3]) {
      const Body = Buffer.alloc(5 * MIB, PartNumber);
      const part = new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body });
      parts.push({ PartNumber, ETag: (await client.send(part)).ETag });
    }
    const Parts = parts.filter((part) => part.PartNumber !== 2);
    const done = { Bucket, Key, UploadId, MultipartUpload: { Parts } };
    await client.send(new CompleteMultipartUploadCommand(done));
    const bytes = readFileSync(join(directory.path, Bucket, Key));
    expect([bytes.length, bytes[0], bytes.at(-1)]).toEqual([10 * MIB, 1, 3]);
    expect(readdirSync(join(directory.path, '.store/temporary'))).toEqual([]);
    expect(readdirSync(join(directory.path, `.store/buckets/${Bucket}/uploads`))).toEqual([]);
  });

  it('serves everything again after a restart, unfinished uploads included', async () => {
    const first = await put('k', 'one', { Tagging: 'a=b', Metadata: { m: 'n' } });
    await put('k', 'two');
    await put('deleted');
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'deleted' }));
    const unfinished = await upload('m', [5 * MIB, 10], [2, 1]);
    const data = join(directory.path, `.store/buckets/${Bucket}/data`);
    writeFileSync(join(data, 'orphan'), 'the process ended before the record was written');
    await stop();
    await start();

    expect(existsSync(join(data, 'orphan'))).toBe(false);
    expect(await readText(client, { Bucket, Key: 'k' })).toBe('two');
    const VersionId = first.VersionId;
    const old = await client.send(new GetObjectCommand({ Bucket, Key: 'k', VersionId }));
    expect(await old.Body?.transformToString()).toBe('one');
    expect(old).toMatchObject({
      Metadata: { m: 'n' },
      TagCount: 1,
      ServerSideEncryption: 'aws:kms',
    });
    expect(await errorOf(readText(client, { Bucket, Key: 'deleted' }))).toBe('NoSuchKey');
    client.destroy();
    client = makeClient(store.endpoint);
    await unfinished.complete();
    expect(readFileSync(join(directory.path, Bucket, 'm')).equals(unfinished.whole)).toBe(true);
  });

  it('restores a plain file that the process did not get to write', async () => {
    await put('a/k', 'bytes');
    await stop();
    rmSync(join(directory.path, Bucket, 'a'), { recursive: true });
    await start();
    expect(readFileSync(join(directory.path, Bucket, 'a/k'), 'utf8')).toBe('bytes');
  });
});

describe('hostile input', () => {
  it('refuses keys that climb out of the bucket, and writes nothing', async () => {
    const paths = [
      '/backups/../../escaped',
      '/backups/a/../../../escaped',
      '/backups/%2e%2e/%2e%2e/escaped',
      '/backups/..%2f..%2fescaped',
      '/backups/a%5c..%5cescaped',
      '/backups/nul%00byte',
      '/%2e%2e/escaped',
      '/.store/buckets/backups/bucket.json',
      `/backups/${'k'.repeat(1025)}`,
      '/backups/%ff%fe',
    ];
    for (const path of paths) {
      const answer = await sendRaw(store.endpoint, { method: 'PUT', path, body: 'x' });
      expect([path, answer.status]).toEqual([path, 400]);
      expect(answer.text).toContain('<Error><Code>');
      expect(answer.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/);
    }
    expect(readdirSync(directory.path).sort()).toEqual(['.store', Bucket]);
    expect(readdirSync(join(directory.path, Bucket))).toEqual([]);
    expect(events).toEqual([]);
  });

  it('keeps keys that cannot be files beside each other', async () => {
    const keys = [
      'a',
      'a/b',
      'a/b/c',
      'a//b',
      'folder/',
      'x'.repeat(1000),
      '__proto__',
      'é ü&<"\'',
      '日本/語',
    ];
    for (const key of keys) await put(key, `body of ${key}`);
    for (const Key of keys) {
      expect(await readText(client, { Bucket, Key })).toBe(`body of ${Key}`);
    }
    const listed = await client.send(new ListObjectsV2Command({ Bucket, EncodingType: 'url' }));
    const found = listed.Contents?.map((object) => decodeURIComponent(object.Key ?? ''));
    expect(found?.sort()).toEqual([...keys].sort());
    for (const Key of keys) await client.send(new DeleteObjectCommand({ Bucket, Key }));
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
  });

  it('refuses requests that nobody signed, and presigned ones after their time', async () => {
    await put('k', 'secret');
    const path = `/${Bucket}/k`;
    expect((await fetch(store.endpoint + path)).status).toBe(403);
    const malformed = await sendRaw(store.endpoint, {
      path,
      headers: { authorization: 'Bearer x' },
    });
    expect([malformed.status, malformed.text]).toEqual([
      403,
      expect.stringContaining('AccessDenied'),
    ]);
    const signedAt = new Date(Date.now() - 61_000);
    const late = await fetch(presignGet(store.endpoint, path, { signedAt, expiresSeconds: 60 }));
    expect([late.status, await late.text()]).toEqual([403, expect.stringContaining('expired')]);
    const inTime = await fetch(presignGet(store.endpoint, path, { signedAt, expiresSeconds: 120 }));
    expect(await inTime.text()).toBe('secret');
  });

  it('answers what it does not implement with 501 instead of doing something else', async () => {
    const answer = await sendRaw(store.endpoint, {
      method: 'PUT',
      path: `/${Bucket}/k?acl`,
      body: 'x',
    });
    expect([answer.status, answer.text]).toEqual([501, expect.stringContaining('NotImplemented')]);
    expect(await errorOf(client.send(new HeadObjectCommand({ Bucket, Key: 'k' })))).toBe(
      'NotFound',
    );
  });

  it('checks bodies in chunks with a trailer to the last byte', async () => {
    const send = (body: string, headers: Record<string, string> = {}) =>
      sendRaw(store.endpoint, {
        method: 'PUT',
        path: `/${Bucket}/chunked`,
        body,
        headers: {
          'content-encoding': 'aws-chunked',
          'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
          'x-amz-decoded-content-length': '9',
          'x-amz-trailer': 'x-amz-checksum-crc32c',
          ...headers,
        },
      });
    // The CRC-32C of "123456789" is e3069283 (RFC 3720, and every table of check values).
    const good = '4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-crc32c:4waSgw==\r\n\r\n';
    const refused = [
      [good.replace('4waSgw==', '4waSgg=='), 'BadDigest'],
      [good.replace('56789', '56780'), 'BadDigest'],
      [good.replace('x-amz-checksum-crc32c:4waSgw==\r\n', ''), 'MalformedTrailerError'],
      [good.slice(0, -2), 'IncompleteBody'],
      [good.replace('5\r\n56789\r\n', ''), 'IncompleteBody'],
      [good.replace('5\r\n', 'zz\r\n'), 'IncompleteBody'],
      [`${good}more`, 'IncompleteBody'],
    ] as const;
    for (const [body, code] of refused) {
      expect((await send(body)).text).toContain(`<Code>${code}</Code>`);
    }
    expect((await send(good, { 'x-amz-decoded-content-length': '8' })).status).toBe(400);
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    expect((await send(good)).status).toBe(200);
    expect(readFileSync(join(directory.path, Bucket, 'chunked'), 'utf8')).toBe('123456789');
    expect(readdirSync(join(directory.path, '.store/temporary'))).toEqual([]);
  });

  it('refuses a body of unknown length, as S3 does', async () => {
    const answer = await sendRaw(store.endpoint, {
      method: 'PUT',
      path: `/${Bucket}/k`,
      headers: { 'transfer-encoding': 'chunked' },
      body: 'x',
    });
    expect(answer.status).toBe(411);
  });
});

describe('protocol details', () => {
  it('is reached through AWS_ENDPOINT_URL_S3 alone', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', store.endpoint);
    const plain = new S3Client({});
    await plain.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
    plain.destroy();
    expect(store.requests).toMatchObject({ total: 1, byOperation: { PutObject: 1 } });
  });

  it('combines the checksums of parts to that of the whole, for every CRC', () => {
    const bytes = randomBytes(10_000);
    for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
      const checksumOf = (part: Buffer) => {
        const running = startChecksum(algorithm);
        running.update(part);
        return { checksum: running.digest(), sizeBytes: part.length };
      };
      for (const cuts of [[0], [1], [4096], [3, 3, 9999], [2500, 5000, 7500]]) {
        const parts = [0, ...cuts].map((cut, i) =>
          checksumOf(bytes.subarray(cut, cuts[i] ?? 10_000)),
        );
        expect(combineParts(algorithm, parts)).toBe(checksumOf(bytes).checksum);
      }
    }
  });

  it('answers a completion that is repeated because the first answer was lost', async () => {
    const { whole, complete, UploadId } = await upload('m', [5 * MIB, 10], [2, 1]);
    store.faults.failNext('CompleteMultipartUpload', { cut: 'after-effect' });
    const done = await complete();
    expect(store.requests.byOperation.CompleteMultipartUpload).toBe(2);
    const { Versions } = await client.send(new ListObjectVersionsCommand({ Bucket }));
    expect(Versions?.map((v) => [v.VersionId, v.Size])).toEqual([[done.VersionId, whole.length]]);
    await eventually(() => expect(events).toHaveLength(1));
    const late = new UploadPartCommand({ Bucket, Key: 'm', UploadId, PartNumber: 1, Body: 'x' });
    expect(await errorOf(client.send(late))).toBe('NoSuchUpload');
  });

  it('keeps the part that came before when a second one of its number is refused', async () => {
    const { UploadId, complete, whole } = await upload('m', [5 * MIB, 10], [1, 2]);
    const cut = sendRaw(store.endpoint, {
      method: 'PUT',
      path: `/${Bucket}/m?partNumber=1&uploadId=${UploadId}`,
      headers: { 'content-md5': createHash('md5').update('other').digest('base64') },
      body: 'not what the digest says',
    });
    expect((await cut).status).toBe(400);
    await complete();
    expect(readFileSync(join(directory.path, Bucket, 'm')).equals(whole)).toBe(true);
  });

  it('answers NoSuchUpload to a part that is being sent when its upload is aborted', async () => {
    const { UploadId } = await upload('m', [5 * MIB], [1]);
    let abort: Promise<unknown> | undefined;
    const body = async function* () {
      yield Buffer.alloc(MIB);
      abort = client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'm', UploadId }));
      await abort;
      yield Buffer.alloc(MIB);
    };
    const part = makeClient(store.endpoint).send(
      new UploadPartCommand({
        Bucket,
        Key: 'm',
        UploadId,
        PartNumber: 2,
        Body: Readable.from(body()),
        ContentLength: 2 * MIB,
      }),
    );
    expect(await errorOf(part)).toBe('NoSuchUpload');
    const open = await client.send(new ListMultipartUploadsCommand({ Bucket }));
    expect(open.Uploads ?? []).toEqual([]);
    expect(readdirSync(join(directory.path, `.store/buckets/${Bucket}/uploads`))).toEqual([]);
  });

  it('pages through versions and parts', async () => {
    for (const body of ['1', '2', '3']) await put('a', body);
    await put('b');
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'b' }));
    const seen: string[] = [];
    let KeyMarker: string | undefined;
    let VersionIdMarker: string | undefined;
    do {
      const page: Awaited<ReturnType<typeof listPage>> = await listPage();
      seen.push(...(page.Versions ?? []).map((v) => `${v.Key} ${v.IsLatest}`));
      seen.push(...(page.DeleteMarkers ?? []).map((m) => `${m.Key} marker`));
      ({ NextKeyMarker: KeyMarker, NextVersionIdMarker: VersionIdMarker } = page);
    } while (KeyMarker !== undefined);
    function listPage() {
      return client.send(
        new ListObjectVersionsCommand({
          Bucket,
          MaxKeys: 2,
          ...(KeyMarker && { KeyMarker }),
          ...(VersionIdMarker && { VersionIdMarker }),
        }),
      );
    }
    expect(seen).toEqual(['a true', 'a false', 'a false', 'b marker', 'b false']);

    const { UploadId } = await upload('m', [5 * MIB, 5 * MIB, 5], [3, 1, 2]);
    const page = { Bucket, Key: 'm', UploadId, MaxParts: 2 };
    const first = await client.send(new ListPartsCommand(page));
    expect([first.IsTruncated, first.Parts?.map((p) => p.PartNumber)]).toEqual([true, [1, 2]]);
    const next = new ListPartsCommand({ ...page, PartNumberMarker: first.NextPartNumberMarker });
    expect((await client.send(next)).Parts?.map((p) => p.PartNumber)).toEqual([3]);
  });

  it('does not hand out an archived object before it is restored', async () => {
    await put('k', 'cold');
    store.setStorageClass(Bucket, 'k', 'GLACIER');
    expect(await errorOf(readText(client, { Bucket, Key: 'k' }))).toBe('InvalidObjectState');
    const restore = new RestoreObjectCommand({ Bucket, Key: 'k', RestoreRequest: { Days: 1 } });
    await client.send(restore);
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
    expect(head).toMatchObject({ StorageClass: 'GLACIER', Restore: 'ongoing-request="true"' });
    expect(await errorOf(client.send(restore))).toBe('RestoreAlreadyInProgress');
    store.finishRestore(Bucket, 'k');
    expect(await readText(client, { Bucket, Key: 'k' })).toBe('cold');
  });

  it('takes a stream of 256 MiB without keeping it in memory', async () => {
    const chunk = randomBytes(MIB);
    const before = process.memoryUsage.rss();
    let peak = 0;
    const body = function* () {
      for (let sent = 0; sent < 256; sent++) {
        peak = Math.max(peak, process.memoryUsage.rss());
        yield chunk;
      }
    };
    // Server and client are this process, so the bound holds for both together.
    await put('big', Readable.from(body()) as never, { ContentLength: 256 * MIB });
    expect(statSync(join(directory.path, Bucket, 'big')).size).toBe(256 * MIB);
    expect((peak - before) / MIB).toBeLessThan(128);
  });
});

describe('events', () => {
  it('tells once of each object, in the shape of EventBridge, with the key as it is', async () => {
    const key = 'a b/c+d=é.json';
    const one = await put(key, 'hello');
    const { complete, whole } = await upload('m', [5 * MIB, 10], [2, 1]);
    const two = await complete();
    await client.send(new DeleteObjectCommand({ Bucket, Key: key }));
    await client.send(new DeleteObjectCommand({ Bucket, Key: key, VersionId: one.VersionId }));
    await eventually(() => expect(events).toHaveLength(4));
    expect(events.map((e) => e.detail.reason)).toEqual([
      'PutObject',
      'CompleteMultipartUpload',
      'DeleteObject',
      'DeleteObject',
    ]);
    expect(events[0]).toMatchObject({
      version: '0',
      'detail-type': 'Object Created',
      source: 'aws.s3',
      resources: [`arn:aws:s3:::${Bucket}`],
      detail: {
        bucket: { name: Bucket },
        object: { key, size: 5, etag: one.ETag?.replaceAll('"', ''), 'version-id': one.VersionId },
      },
    });
    expect(events[1]?.detail.object).toMatchObject({
      size: whole.length,
      'version-id': two.VersionId,
    });
    expect(events.slice(2).map((e) => e.detail['deletion-type'])).toEqual([
      'Delete Marker Created',
      'Permanently Deleted',
    ]);
    for (const event of events.slice(0, 2)) {
      expect(ObjectCreatedEvent.safeParse(event).error).toBeUndefined();
    }
    const sequencers = events.map((e) => e.detail.object.sequencer);
    expect(sequencers).toEqual(sequencers.toSorted((a = '', b = '') => (a < b ? -1 : 1)));
  });

  it('says nothing of what failed', async () => {
    await put('k');
    const again = put('k', 'x', { IfNoneMatch: '*' });
    expect(await errorOf(again)).toBe('PreconditionFailed');
    const wrong = put('w', 'x', { ChecksumCRC32: 'AAAAAA==' });
    expect(await errorOf(wrong)).toBe('BadDigest');
    await sleep(50);
    expect(events.map((e) => e.detail.object.key)).toEqual(['k']);
  });

  it('loses, doubles, delays and reorders them where the faults say so', async () => {
    const of = (key: string) => (event: S3ObjectEvent) => event.detail.object.key === key;
    store.faults.plan = {
      events: {
        drop: of('lost'),
        duplicate: of('twice'),
        reorder: of('overtaken'),
        delay: { events: of('late'), milliseconds: 3_000 },
      },
    };
    for (const key of ['late', 'lost', 'twice', 'overtaken', 'last']) await put(key);
    await eventually(() => expect(events).toHaveLength(5));
    expect(events.map((e) => e.detail.object.key)).toEqual([
      'twice',
      'twice',
      'last',
      'overtaken',
      'late',
    ]);
    expect(events[0]?.id).toBe(events[1]?.id);
  });
});

describe('faults', () => {
  it('fails a share of requests in every way, and the SDK gets through', async () => {
    const shares = {
      internalError: 0.06,
      slowDown: 0.05,
      cutBeforeEffect: 0.05,
      cutAfterEffect: 0.04,
    };
    client.destroy();
    client = makeClient(store.endpoint, 8);
    store.faults.plan = { seed: 7, shares };
    for (let i = 0; i < 60; i++) {
      await put(`k${i}`);
      expect(await readText(client, { Bucket, Key: `k${i}` })).toBe(`k${i}`);
    }
    expect(store.faults.injected).toBeGreaterThan(12);
    store.faults.clear();
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(60);
  });

  it('has the same fate for the same request with the same seed', () => {
    const fates = (seed: number, others: number) => {
      const faults = new FaultInjector({ seed, shares: { slowDown: 0.3, cutInBody: 0.2 } });
      return Array.from({ length: 50 }, () => {
        for (let i = 0; i < others; i++) faults.forRequest({ operation: 'PutObject', key: 'o' });
        const { answer, cut } = faults.forRequest({ operation: 'GetObject', key: 'k' });
        return answer?.code ?? cut ?? 'fine';
      });
    };
    expect(fates(1, 3)).toEqual(fates(1, 0));
    expect(fates(1, 0)).not.toEqual(fates(2, 0));
    expect(new Set(fates(1, 0))).toEqual(new Set(['SlowDown', 'in-body', 'fine']));
  });

  it('fails the next requests of an operation as the script says, then no more', async () => {
    store.faults.failNext('UploadPart', { times: 2, status: 503 });
    store.faults.failNext('PutObject', { status: 409, key: /verification/ });
    const { complete } = await upload('m', [10], [1]);
    await complete();
    expect(store.requests.byOperation.UploadPart).toBe(3);
    await put('other');
    const once = makeClient(store.endpoint);
    const verification = () =>
      once.send(
        new PutObjectCommand({ Bucket, Key: 'verification.json', Body: '{}', IfNoneMatch: '*' }),
      );
    expect(await errorOf(verification())).toBe('ConditionalRequestConflict');
    expect(await errorOf(verification())).toBe('no error');
    store.faults.failNext('CompleteMultipartUpload', { status: 200, code: 'InternalError' });
    const second = await upload('m', [10], [1]);
    await second.complete();
    expect(store.requests.byOperation.CompleteMultipartUpload).toBe(3);
  });

  it('cuts a read in the middle of its body', async () => {
    await put('k', randomBytes(MIB));
    store.faults.failNext('GetObject', { cut: 'in-body' });
    const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'k' }));
    let received = 0;
    const read = async () => {
      for await (const chunk of Body as AsyncIterable<Buffer>) received += chunk.length;
    };
    expect(await errorOf(read())).toBe('Error');
    expect(received).toBeGreaterThan(0);
    expect(received).toBeLessThan(MIB);
  });

  it('leaves the effect of a put whose answer is cut, and no effect when it is cut before', async () => {
    const once = makeClient(store.endpoint);
    const send = (Key: string) => once.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
    store.faults.failNext('PutObject', { cut: 'after-effect' });
    expect(await errorOf(send('done'))).not.toBe('no error');
    store.faults.failNext('PutObject', { cut: 'before-effect' });
    expect(await errorOf(send('not-done'))).not.toBe('no error');
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
    expect(Contents?.map((object) => object.Key)).toEqual(['done']);
  });

  it('delays answers', async () => {
    store.faults.failNext('*', { delayMilliseconds: 200 });
    const began = performance.now();
    await put('k');
    expect(performance.now() - began).toBeGreaterThan(190);
    expect(store.faults.injected).toBe(0);
  });

  it('damages stored objects so that only their bytes tell', async () => {
    await put('k', 'abcd');
    const before = await client.send(
      new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }),
    );
    await eventually(() => expect(events).toHaveLength(1));
    store.damage.flipBit(Bucket, 'k', -1);
    expect(readFileSync(join(directory.path, Bucket, 'k'), 'utf8')).toBe('abce');
    const after = await client.send(
      new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }),
    );
    expect({ ...after, $metadata: 0 }).toEqual({ ...before, $metadata: 0 });
    // The SDK compares the bytes of a whole read with the checksum.
    expect(await errorOf(readText(client, { Bucket, Key: 'k' }))).not.toBe('no error');

    store.damage.truncate(Bucket, 'k', 2);
    const cut = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
    expect([cut.ContentLength, cut.VersionId]).toEqual([2, before.VersionId]);

    store.damage.replace(Bucket, 'k', Buffer.from('other'));
    expect(await readText(client, { Bucket, Key: 'k' })).toBe('other');
    const replaced = await client.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
    expect(replaced.VersionId).not.toBe(before.VersionId);

    store.damage.remove(Bucket, 'k');
    expect(await errorOf(readText(client, { Bucket, Key: 'k' }))).toBe('NoSuchKey');
    expect(existsSync(join(directory.path, Bucket, 'k'))).toBe(false);
    await sleep(50);
    expect(events).toHaveLength(1);
    expect(() => store.damage.flipBit(Bucket, 'k', 0)).toThrow('does not exist');
  });
});
