import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  DeleteObjectTaggingCommand,
  GetBucketVersioningCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  InvalidObjectState,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  ListObjectVersionsCommand,
  ListPartsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectLegalHoldCommand,
  PutObjectRetentionCommand,
  PutObjectTaggingCommand,
  RestoreObjectCommand,
  type S3Client,
  UploadPartCommand,
  type UploadPartCommandInput,
} from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { presignGet } from '#test/object-store-targets.ts';

/** What every S3 that we test against has to do, said once. */
export interface ContractCase {
  readonly title: string;
  /** Why moto 5 cannot pass it. */
  readonly notOnMoto?: string;
  readonly run: (target: { client: S3Client; endpoint: string }) => Promise<void>;
}

const MIB = 1024 ** 2;
const NO_CHECKSUMS = 'moto 5 does not verify checksums';
const NO_CRC64 = 'moto 5 answers CRC64NVME multiparts with a CRC32';

export async function makeBucket(
  client: S3Client,
  { versioned = false, objectLock = false } = {},
): Promise<string> {
  const Bucket = `contract-${randomUUID()}`;
  await client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: objectLock }));
  if (versioned) {
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
  }
  return Bucket;
}

export async function readText(client: S3Client, input: GetObjectCommandInput): Promise<string> {
  const { Body } = await client.send(new GetObjectCommand(input));
  return (await Body?.transformToString()) ?? '';
}

function thrownBy(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
}

/** The name under which the SDK throws what the service answered. */
export async function errorOf(work: Promise<unknown>): Promise<string> {
  const error = await thrownBy(work);
  if (error === undefined) return 'no error';
  return error instanceof Error ? error.name : `a thrown ${typeof error}`;
}

async function startUpload(
  client: S3Client,
  input: CreateMultipartUploadCommandInput,
): Promise<{ Bucket: string; Key: string; UploadId: string }> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(input));
  return { Bucket: input.Bucket ?? '', Key: input.Key ?? '', UploadId: UploadId ?? '' };
}

async function putPart(
  client: S3Client,
  upload: { Bucket: string; Key: string; UploadId: string },
  PartNumber: number,
  Body: Buffer,
  more: Partial<UploadPartCommandInput> = {},
): Promise<CompletedPart> {
  const { ETag = '' } = await client.send(
    new UploadPartCommand({ ...upload, PartNumber, Body, ...more }),
  );
  return { PartNumber, ETag };
}

function base64Crc32(bytes: Buffer): string {
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(bytes));
  return crc.toString('base64');
}

/** The status of a RestoreObject that was not refused. */
async function restore(
  client: S3Client,
  object: { Bucket: string; Key: string; VersionId?: string | undefined },
  Tier: 'Expedited' | 'Standard' | 'Bulk' = 'Standard',
  Days: number | undefined = 1,
): Promise<number | undefined> {
  const { $metadata } = await client.send(
    new RestoreObjectCommand({
      ...object,
      RestoreRequest: { Days, GlacierJobParameters: { Tier } },
    }),
  );
  return $metadata.httpStatusCode;
}

/** Waits until a restore is over; returns the last answer. */
async function untilRestored(
  client: S3Client,
  object: { Bucket: string; Key: string },
): Promise<string | undefined> {
  for (let left = 200; ; left--) {
    const { Restore } = await client.send(new HeadObjectCommand(object));
    if (!Restore?.includes('ongoing-request="true"') || left === 0) return Restore;
    await sleep(50);
  }
}

async function inParallel<T>(items: readonly T[], lanes: number, work: (item: T) => Promise<void>) {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}

export const contractCases: readonly ContractCase[] = [
  {
    title: 'a bucket that was made is found and listed, another one is not',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      await client.send(new HeadBucketCommand({ Bucket }));
      const { Buckets = [] } = await client.send(new ListBucketsCommand({}));
      expect(Buckets.map((bucket) => bucket.Name)).toContain(Bucket);
      const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }));
      expect(Status).toBe('Enabled');
      const missing = { Bucket: 'no-such-bucket' };
      expect(await errorOf(client.send(new HeadBucketCommand(missing)))).toBe('NotFound');
      expect(await errorOf(client.send(new ListObjectsV2Command(missing)))).toBe('NoSuchBucket');
    },
  },
  {
    title: 'an object comes back with its bytes, type, metadata, size and MD5 as the ETag',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const body = randomBytes(100_000);
      const Metadata = { source: 'orders', 'backup-id': '20261120T030000Z-k3v9qd' };
      await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'a/b c+d=é&.json',
          Body: body,
          Metadata,
          ContentType: 'application/json',
        }),
      );
      const got = await client.send(new GetObjectCommand({ Bucket, Key: 'a/b c+d=é&.json' }));
      expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
      expect(got).toMatchObject({
        ContentType: 'application/json',
        ContentLength: 100_000,
        Metadata,
        ETag: `"${createHash('md5').update(body).digest('hex')}"`,
      });
      const empty = await client.send(
        new PutObjectCommand({ Bucket, Key: 'empty', Body: Buffer.of() }),
      );
      expect(empty.ETag).toBe('"d41d8cd98f00b204e9800998ecf8427e"');
      expect(await readText(client, { Bucket, Key: 'empty' })).toBe('');
    },
  },
  {
    title: 'a streamed body with a trailing checksum comes back as it was',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const chunks = Array.from({ length: 20 }, () => randomBytes(50_001));
      const body = Buffer.concat(chunks);
      await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'stream',
          Body: Readable.from(chunks),
          ContentLength: body.length,
        }),
      );
      const got = await client.send(
        new GetObjectCommand({ Bucket, Key: 'stream', ChecksumMode: 'ENABLED' }),
      );
      expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
      expect(got.ChecksumCRC32).toBe(base64Crc32(body));
      expect(got.ContentEncoding ?? '').not.toContain('aws-chunked');
    },
  },
  {
    title: 'an overwritten object keeps its old version, and a delete marker hides both',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      const Key = 'k';
      const first = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'one' }));
      const second = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'two' }));
      expect(await readText(client, { Bucket, Key })).toBe('two');
      expect(await readText(client, { Bucket, Key, VersionId: first.VersionId })).toBe('one');

      const deleted = await client.send(new DeleteObjectCommand({ Bucket, Key }));
      expect(deleted.DeleteMarker).toBe(true);
      expect(await errorOf(readText(client, { Bucket, Key }))).toBe('NoSuchKey');
      expect(await errorOf(client.send(new HeadObjectCommand({ Bucket, Key })))).toBe('NotFound');
      expect(await readText(client, { Bucket, Key, VersionId: second.VersionId })).toBe('two');
      const listed = await client.send(new ListObjectVersionsCommand({ Bucket }));
      expect(listed.Versions?.map((version) => [version.VersionId, version.IsLatest])).toEqual([
        [second.VersionId, false],
        [first.VersionId, false],
      ]);
      expect(listed.DeleteMarkers?.map((m) => [m.VersionId, m.IsLatest])).toEqual([
        [deleted.VersionId, true],
      ]);
      expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);

      await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId: deleted.VersionId }));
      expect(await readText(client, { Bucket, Key })).toBe('two');
      await client.send(new DeleteObjectCommand({ Bucket, Key, VersionId: second.VersionId }));
      expect(await readText(client, { Bucket, Key })).toBe('one');
    },
  },
  {
    title: 'of ten puts at once that demand an absent key, exactly one wins',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      const outcomes = await Promise.all(
        Array.from({ length: 10 }, (_, index) =>
          errorOf(
            client.send(
              new PutObjectCommand({ Bucket, Key: 'once', Body: `put ${index}`, IfNoneMatch: '*' }),
            ),
          ),
        ),
      );
      const winners = outcomes.flatMap((name, index) => (name === 'no error' ? [index] : []));
      expect(winners).toHaveLength(1);
      expect(outcomes.filter((name) => name === 'PreconditionFailed')).toHaveLength(9);
      expect(await readText(client, { Bucket, Key: 'once' })).toBe(`put ${winners[0]}`);
    },
  },
  {
    title: 'a put that demands an ETag is refused when the object has changed',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const put = (Body: string, IfMatch?: string) =>
        client.send(new PutObjectCommand({ Bucket, Key: 'k', Body, ...(IfMatch && { IfMatch }) }));
      const { ETag: first } = await put('one');
      const { ETag: second } = await put('two', first);
      expect(await errorOf(put('three', first))).toBe('PreconditionFailed');
      expect(await readText(client, { Bucket, Key: 'k', IfMatch: second })).toBe('two');
      expect(await errorOf(readText(client, { Bucket, Key: 'k', IfMatch: first }))).toBe(
        'PreconditionFailed',
      );
    },
  },
  {
    title: 'parts that come in any order, the first one last, make the object in order',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const Tagging = 'state=unverified';
      const upload = await startUpload(client, { Bucket, Key: 'm', Metadata: { a: 'b' }, Tagging });
      const bodies = [5 * MIB, 5 * MIB, 5 * MIB, 100].map((size) => randomBytes(size));
      const parts: CompletedPart[] = [];
      for (const number of [2, 4, 3, 1]) {
        parts[number - 1] = await putPart(
          client,
          upload,
          number,
          bodies[number - 1] ?? Buffer.of(),
        );
      }
      const listed = await client.send(new ListPartsCommand(upload));
      expect(listed.Parts?.map((part) => [part.PartNumber, part.Size])).toEqual(
        bodies.map((body, index) => [index + 1, body.length]),
      );
      const { ETag } = await client.send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: parts } }),
      );
      expect(ETag).toMatch(/^"[0-9a-f]{32}-4"$/);
      const got = await client.send(new GetObjectCommand({ Bucket, Key: 'm' }));
      const whole = Buffer.from((await got.Body?.transformToByteArray()) ?? []);
      expect(whole.equals(Buffer.concat(bodies))).toBe(true);
      expect(got).toMatchObject({ Metadata: { a: 'b' }, TagCount: 1, ETag });
    },
  },
  {
    title: 'the checksum of the whole object is checked and kept (CRC64NVME, part 1 last)',
    notOnMoto: NO_CRC64,
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      const upload = await startUpload(client, {
        Bucket,
        Key: 'm',
        ChecksumAlgorithm: 'CRC64NVME',
        ChecksumType: 'FULL_OBJECT',
      });
      const bodies = [6 * MIB, 6 * MIB, 5].map((size) => randomBytes(size));
      const parts: CompletedPart[] = [];
      for (const number of [3, 2, 1]) {
        const body = bodies[number - 1] ?? Buffer.of();
        const ChecksumCRC64NVME = toBase64(crc64Nvme(body));
        parts[number - 1] = await putPart(client, upload, number, body, { ChecksumCRC64NVME });
      }
      const whole = Buffer.concat(bodies);
      const complete = (change: object) =>
        client.send(
          new CompleteMultipartUploadCommand({
            ...upload,
            MultipartUpload: { Parts: parts },
            ChecksumType: 'FULL_OBJECT',
            ChecksumCRC64NVME: toBase64(crc64Nvme(whole)),
            MpuObjectSize: whole.length,
            IfNoneMatch: '*',
            ...change,
          }),
        );
      expect(await errorOf(complete({ ChecksumCRC64NVME: toBase64(1n) }))).toBe('BadDigest');
      expect(await errorOf(complete({ MpuObjectSize: whole.length - 1 }))).toBe('InvalidRequest');
      const done = await complete({});
      expect(done).toMatchObject({
        ChecksumCRC64NVME: toBase64(crc64Nvme(whole)),
        ChecksumType: 'FULL_OBJECT',
      });
      const head = await client.send(
        new HeadObjectCommand({ Bucket, Key: 'm', ChecksumMode: 'ENABLED' }),
      );
      expect(head).toMatchObject({
        ChecksumCRC64NVME: toBase64(crc64Nvme(whole)),
        ChecksumType: 'FULL_OBJECT',
        ContentLength: whole.length,
        VersionId: done.VersionId,
      });
      // The SDK checks the bytes against the checksum as it reads them.
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key: 'm' }));
      expect((await Body?.transformToByteArray())?.length).toBe(whole.length);

      const again = await startUpload(client, { Bucket, Key: 'm' });
      const part = await putPart(client, again, 1, Buffer.from('late'));
      const late = new CompleteMultipartUploadCommand({
        ...again,
        MultipartUpload: { Parts: [part] },
        IfNoneMatch: '*',
      });
      expect(await errorOf(client.send(late))).toBe('PreconditionFailed');
    },
  },
  {
    title: 'full-object CRC32 and composite SHA-256 of multiparts are computed as S3 does',
    notOnMoto: NO_CHECKSUMS,
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const bodies = [randomBytes(5 * MIB), randomBytes(77)];
      const crc = await startUpload(client, {
        Bucket,
        Key: 'crc',
        ChecksumAlgorithm: 'CRC32',
        ChecksumType: 'FULL_OBJECT',
      });
      const crcParts: CompletedPart[] = [];
      for (const [index, body] of bodies.entries()) {
        crcParts.push(await putPart(client, crc, index + 1, body, { ChecksumAlgorithm: 'CRC32' }));
      }
      const ChecksumCRC32 = base64Crc32(Buffer.concat(bodies));
      const whole = await client.send(
        new CompleteMultipartUploadCommand({
          ...crc,
          MultipartUpload: { Parts: crcParts },
          ChecksumCRC32,
        }),
      );
      expect(whole).toMatchObject({ ChecksumCRC32, ChecksumType: 'FULL_OBJECT' });

      const sha = await startUpload(client, { Bucket, Key: 'sha', ChecksumAlgorithm: 'SHA256' });
      const shaParts: CompletedPart[] = [];
      for (const [index, body] of bodies.entries()) {
        const ChecksumSHA256 = createHash('sha256').update(body).digest('base64');
        const part = await putPart(client, sha, index + 1, body, { ChecksumSHA256 });
        shaParts.push({ ...part, ChecksumSHA256 });
      }
      const incomplete = new CompleteMultipartUploadCommand({
        ...sha,
        MultipartUpload: {
          Parts: shaParts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })),
        },
      });
      expect(await errorOf(client.send(incomplete))).toBe('InvalidRequest');
      const composite = await client.send(
        new CompleteMultipartUploadCommand({ ...sha, MultipartUpload: { Parts: shaParts } }),
      );
      const digests = bodies.map((body) => createHash('sha256').update(body).digest());
      expect(composite).toMatchObject({
        ChecksumSHA256: `${createHash('sha256').update(Buffer.concat(digests)).digest('base64')}-2`,
        ChecksumType: 'COMPOSITE',
      });
    },
  },
  {
    title: 'a body that does not have the checksum of its request is refused',
    notOnMoto: NO_CHECKSUMS,
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const wrong = [
        { ChecksumCRC32: 'AAAAAA==' },
        { ChecksumCRC32C: 'AAAAAA==' },
        { ChecksumCRC64NVME: toBase64(1n) },
        { ChecksumSHA1: createHash('sha1').digest('base64') },
        { ChecksumSHA256: createHash('sha256').digest('base64') },
        { ContentMD5: createHash('md5').digest('base64') },
      ];
      const outcomes: string[] = [];
      for (const checksum of wrong) {
        const put = new PutObjectCommand({ Bucket, Key: 'k', Body: 'hello', ...checksum });
        outcomes.push(`${Object.keys(checksum)[0]}: ${await errorOf(client.send(put))}`);
      }
      expect(outcomes).toEqual(wrong.map((checksum) => `${Object.keys(checksum)[0]}: BadDigest`));
      expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);

      const upload = await startUpload(client, {
        Bucket,
        Key: 'm',
        ChecksumAlgorithm: 'CRC64NVME',
      });
      const part = putPart(client, upload, 1, Buffer.from('hello'), {
        ChecksumCRC64NVME: toBase64(1n),
      });
      expect(await errorOf(part)).toBe('BadDigest');
      const otherAlgorithm = putPart(client, upload, 1, Buffer.from('hello'));
      expect(await errorOf(otherAlgorithm)).toBe('InvalidRequest');
      expect((await client.send(new ListPartsCommand(upload))).Parts ?? []).toEqual([]);
    },
  },
  {
    title: 'a part in the middle that is smaller than 5 MiB is refused on completion',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const upload = await startUpload(client, { Bucket, Key: 'm' });
      const Parts = [
        await putPart(client, upload, 1, randomBytes(5 * MIB)),
        await putPart(client, upload, 2, randomBytes(5 * MIB - 1)),
        await putPart(client, upload, 3, randomBytes(10)),
      ];
      const complete = new CompleteMultipartUploadCommand({
        ...upload,
        MultipartUpload: { Parts },
      });
      expect(await errorOf(client.send(complete))).toBe('EntityTooSmall');
      expect(await errorOf(client.send(new HeadObjectCommand({ Bucket, Key: 'm' })))).toBe(
        'NotFound',
      );
    },
  },
  {
    title: 'a completion that lists its parts out of order is refused',
    notOnMoto: 'moto 5 sorts the parts itself',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const upload = await startUpload(client, { Bucket, Key: 'm' });
      const one = await putPart(client, upload, 1, randomBytes(5 * MIB));
      const two = await putPart(client, upload, 2, randomBytes(5 * MIB));
      for (const Parts of [
        [two, one],
        [one, one],
      ]) {
        const complete = new CompleteMultipartUploadCommand({
          ...upload,
          MultipartUpload: { Parts },
        });
        expect(await errorOf(client.send(complete))).toBe('InvalidPartOrder');
      }
    },
  },
  {
    title: 'a completion that lists a part with another ETag, or one that never came, is refused',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const upload = await startUpload(client, { Bucket, Key: 'm' });
      const one = await putPart(client, upload, 1, randomBytes(5 * MIB));
      const two = await putPart(client, upload, 2, randomBytes(10));
      const complete = (Parts: CompletedPart[]) =>
        errorOf(
          client.send(
            new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }),
          ),
        );
      expect(await complete([one, { ...two, ETag: one.ETag }])).toBe('InvalidPart');
      expect(await complete([one, { ...two, PartNumber: 3 }])).toBe('InvalidPart');
      expect(await complete([one, two])).toBe('no error');
    },
  },
  {
    title: 'an aborted upload leaves nothing',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const upload = await startUpload(client, { Bucket, Key: 'x/m' });
      const kept = await startUpload(client, { Bucket, Key: 'y' });
      await putPart(client, upload, 1, randomBytes(1000));
      const open = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'x/' }));
      expect(open.Uploads?.map((u) => u.UploadId)).toEqual([upload.UploadId]);
      await client.send(new AbortMultipartUploadCommand(upload));
      const left = await client.send(new ListMultipartUploadsCommand({ Bucket }));
      expect(left.Uploads?.map((u) => u.UploadId)).toEqual([kept.UploadId]);
      expect(await errorOf(client.send(new ListPartsCommand(upload)))).toBe('NoSuchUpload');
      expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
    },
  },
  {
    title: 'a list of 1,200 keys comes in pages, in order, each key once',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const keys = Array.from({ length: 1200 }, (_, i) => `p/${String(i).padStart(4, '0')}/k`);
      await inParallel(keys, 8, async (Key) => {
        await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }));
      });
      const pages: string[][] = [];
      let ContinuationToken: string | undefined;
      do {
        const page = await client.send(
          new ListObjectsV2Command({
            Bucket,
            Prefix: 'p/',
            ...(ContinuationToken && { ContinuationToken }),
          }),
        );
        pages.push((page.Contents ?? []).map((object) => object.Key ?? ''));
        ContinuationToken = page.IsTruncated ? page.NextContinuationToken : undefined;
      } while (ContinuationToken);
      expect(pages.map((page) => page.length)).toEqual([1000, 200]);
      expect(pages.flat()).toEqual(keys);

      const after = await client.send(
        new ListObjectsV2Command({ Bucket, StartAfter: 'p/1100/k', MaxKeys: 2 }),
      );
      expect(after.Contents?.map((object) => object.Key)).toEqual(['p/1101/k', 'p/1102/k']);
      const folders: string[] = [];
      do {
        const page: ListObjectsV2CommandOutput = await client.send(
          new ListObjectsV2Command({
            Bucket,
            Prefix: 'p/',
            Delimiter: '/',
            MaxKeys: 700,
            ...(ContinuationToken && { ContinuationToken }),
          }),
        );
        folders.push(...(page.CommonPrefixes ?? []).map((common) => common.Prefix ?? ''));
        ContinuationToken = page.NextContinuationToken;
      } while (ContinuationToken);
      expect(folders).toEqual(keys.map((key) => key.slice(0, -1)));
    },
  },
  {
    title: 'tags are set with the object, replaced as a whole and removed',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      const Key = 'k';
      const tags = async () =>
        (await client.send(new GetObjectTaggingCommand({ Bucket, Key }))).TagSet;
      await client.send(
        new PutObjectCommand({ Bucket, Key, Body: Buffer.of(), Tagging: 'a=1&b=x%20y' }),
      );
      expect(await tags()).toEqual([
        { Key: 'a', Value: '1' },
        { Key: 'b', Value: 'x y' },
      ]);
      const TagSet = [{ Key: 'state', Value: 'verified: a/b+c=d@e' }];
      await client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }));
      expect(await tags()).toEqual(TagSet);
      await client.send(new DeleteObjectTaggingCommand({ Bucket, Key }));
      expect(await tags()).toEqual([]);
      const tooMany = Array.from({ length: 11 }, (_, i) => ({ Key: `k${i}`, Value: 'v' }));
      const put = new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: tooMany } });
      expect(await errorOf(client.send(put))).toBe('BadRequest');
      const badValue = [{ Key: 'k', Value: 'a<b' }];
      const bad = new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet: badValue } });
      expect(await errorOf(client.send(bad))).toBe('InvalidTag');
    },
  },
  {
    title: 'ranges give their bytes, also from the end, and nothing behind it',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const Key = 'k';
      await client.send(new PutObjectCommand({ Bucket, Key, Body: '0123456789' }));
      const read = (Range: string) => readText(client, { Bucket, Key, Range });
      expect(await read('bytes=0-0')).toBe('0');
      expect(await read('bytes=3-5')).toBe('345');
      expect(await read('bytes=7-')).toBe('789');
      expect(await read('bytes=-4')).toBe('6789');
      expect(await read('bytes=8-100')).toBe('89');
      expect(await errorOf(read('bytes=10-'))).toBe('InvalidRange');
      const got = await client.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=3-5' }));
      expect(got.ContentRange).toBe('bytes 3-5/10');
      expect(got.$metadata.httpStatusCode).toBe(206);
      await got.Body?.transformToString();
    },
  },
  {
    title: 'a presigned address can be read without further credentials',
    run: async ({ client, endpoint }) => {
      const Bucket = await makeBucket(client);
      await client.send(new PutObjectCommand({ Bucket, Key: 'a/k.txt', Body: 'presigned' }));
      const url = presignGet(endpoint, `/${Bucket}/a/k.txt`, {
        signedAt: new Date(),
        expiresSeconds: 60,
      });
      const answer = await fetch(url);
      expect([answer.status, await answer.text()]).toEqual([200, 'presigned']);
    },
  },
  {
    title: 'one request deletes many keys, and absent ones are no error',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      const put = (Key: string) => client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
      const kept = await put('kept');
      const gone = await put('a & <b>');
      const Objects = [
        { Key: 'kept' },
        { Key: 'a & <b>', VersionId: gone.VersionId },
        { Key: 'never' },
      ];
      const result = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      expect(result.Errors ?? []).toEqual([]);
      expect(result.Deleted?.map((entry) => entry.Key).sort()).toEqual([
        'a & <b>',
        'kept',
        'never',
      ]);
      const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket }));
      expect(Versions.map((version) => version.VersionId)).toEqual([kept.VersionId]);
    },
  },
  {
    title: 'a copy has the bytes, metadata and tags of its source',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'from',
          Body: 'copied',
          Metadata: { m: '1' },
          Tagging: 't=2',
        }),
      );
      await client.send(new CopyObjectCommand({ Bucket, Key: 'to', CopySource: `${Bucket}/from` }));
      const got = await client.send(new GetObjectCommand({ Bucket, Key: 'to' }));
      expect(await got.Body?.transformToString()).toBe('copied');
      expect(got).toMatchObject({ Metadata: { m: '1' }, TagCount: 1 });
    },
  },
  {
    title: 'a locked version cannot be deleted; its key can be hidden',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { objectLock: true });
      const put = async (Key: string) =>
        (await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))).VersionId;
      const remove = (Key: string, VersionId: string | undefined, bypass = false) =>
        errorOf(
          client.send(
            new DeleteObjectCommand({
              Bucket,
              Key,
              VersionId,
              ...(bypass && { BypassGovernanceRetention: true }),
            }),
          ),
        );
      const RetainUntilDate = new Date(Date.now() + 3_600_000);
      const retain = (Key: string, Mode: 'COMPLIANCE' | 'GOVERNANCE') =>
        client.send(
          new PutObjectRetentionCommand({ Bucket, Key, Retention: { Mode, RetainUntilDate } }),
        );
      const compliance = await put('c');
      await retain('c', 'COMPLIANCE');
      expect(await remove('c', compliance)).toBe('AccessDenied');
      expect(await remove('c', compliance, true)).toBe('AccessDenied');
      expect(await remove('c', undefined)).toBe('no error');

      const governance = await put('g');
      await retain('g', 'GOVERNANCE');
      expect(await remove('g', governance)).toBe('AccessDenied');
      expect(await remove('g', governance, true)).toBe('no error');

      const held = await put('h');
      const hold = (Status: 'ON' | 'OFF') =>
        client.send(new PutObjectLegalHoldCommand({ Bucket, Key: 'h', LegalHold: { Status } }));
      await hold('ON');
      expect(await remove('h', held)).toBe('AccessDenied');
      await hold('OFF');
      expect(await remove('h', held)).toBe('no error');
    },
  },
  {
    title: 'an object in Glacier can be seen, and read once it was restored',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      for (const StorageClass of ['GLACIER', 'DEEP_ARCHIVE'] as const) {
        const object = { Bucket, Key: StorageClass };
        await client.send(new PutObjectCommand({ ...object, Body: '0123456789', StorageClass }));
        const head = await client.send(new HeadObjectCommand(object));
        expect(head).toMatchObject({ StorageClass, ContentLength: 10 });
        expect(head.Restore).toBeUndefined();
        expect(await errorOf(readText(client, object))).toBe('InvalidObjectState');
        expect(await errorOf(readText(client, { ...object, Range: 'bytes=3-5' }))).toBe(
          'InvalidObjectState',
        );

        expect(await restore(client, object)).toBe(202);
        expect(await untilRestored(client, object)).toMatch(
          /^ongoing-request="false", expiry-date="\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT"$/,
        );
        expect(await readText(client, { ...object, Range: 'bytes=3-5' })).toBe('345');
        const got = await client.send(new GetObjectCommand(object));
        expect(got.StorageClass).toBe(StorageClass);
        expect(await got.Body?.transformToString()).toBe('0123456789');
        expect(await restore(client, object)).toBe(200);
      }
    },
  },
  {
    title: 'an upload in parts goes into the storage class that it began with',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const upload = await startUpload(client, { Bucket, Key: 'm', StorageClass: 'GLACIER' });
      const Parts = [await putPart(client, upload, 1, randomBytes(1000))];
      await client.send(
        new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }),
      );
      const { Contents } = await client.send(new ListObjectsV2Command({ Bucket }));
      expect(Contents?.map((object) => object.StorageClass)).toEqual(['GLACIER']);
      expect(await errorOf(readText(client, { Bucket, Key: 'm' }))).toBe('InvalidObjectState');
    },
  },
  {
    title: 'a restore of what can be read anyway is refused, and so is a class that does not exist',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      for (const StorageClass of ['STANDARD', 'STANDARD_IA', 'GLACIER_IR'] as const) {
        const object = { Bucket, Key: StorageClass };
        await client.send(new PutObjectCommand({ ...object, Body: 'x', StorageClass }));
        expect(await errorOf(restore(client, object))).toBe('InvalidObjectState');
        expect(await readText(client, object)).toBe('x');
      }
      const unknown = { Bucket, Key: 'k', Body: 'x', StorageClass: 'ICE' as 'GLACIER' };
      expect(await errorOf(client.send(new PutObjectCommand(unknown)))).toBe('InvalidStorageClass');
      expect(await errorOf(restore(client, { Bucket, Key: 'none' }))).toBe('NoSuchKey');
    },
  },
  {
    title: 'a refused read says the storage class',
    notOnMoto: 'moto 5 leaves the class out of the error',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const object = { Bucket, Key: 'k' };
      await client.send(
        new PutObjectCommand({ ...object, Body: 'x', StorageClass: 'DEEP_ARCHIVE' }),
      );
      const error = await thrownBy(readText(client, object));
      expect(error).toBeInstanceOf(InvalidObjectState);
      expect(error).toMatchObject({ StorageClass: 'DEEP_ARCHIVE' });
      expect((error as InvalidObjectState).$metadata.httpStatusCode).toBe(403);
    },
  },
  {
    title: 'a restore that goes on can be sped up and not begun again',
    notOnMoto: 'moto 5 restores at once',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const object = { Bucket, Key: 'k' };
      await client.send(new PutObjectCommand({ ...object, Body: 'x', StorageClass: 'GLACIER' }));
      expect(await restore(client, object, 'Bulk')).toBe(202);
      const { Restore } = await client.send(new HeadObjectCommand(object));
      expect(Restore).toBe('ongoing-request="true"');
      expect(await errorOf(readText(client, object))).toBe('InvalidObjectState');
      expect(await errorOf(restore(client, object, 'Bulk'))).toBe('RestoreAlreadyInProgress');
      expect(await errorOf(restore(client, object, 'Expedited'))).toBe('no error');
      expect(await errorOf(restore(client, object))).toBe('RestoreAlreadyInProgress');
      expect(await untilRestored(client, object)).toMatch(/^ongoing-request="false"/);
    },
  },
  {
    title: 'the deep archive knows no expedited restore',
    notOnMoto: 'moto 5 does not look at the tier',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client);
      const object = { Bucket, Key: 'k' };
      await client.send(
        new PutObjectCommand({ ...object, Body: 'x', StorageClass: 'DEEP_ARCHIVE' }),
      );
      expect(await errorOf(restore(client, object, 'Expedited'))).toBe('InvalidArgument');
      const { Restore } = await client.send(new HeadObjectCommand(object));
      expect(Restore).toBeUndefined();
    },
  },
  {
    title: 'one version is restored, and its neighbours stay as they are',
    notOnMoto: 'moto 5 restores the current version, whichever is named',
    run: async ({ client }) => {
      const Bucket = await makeBucket(client, { versioned: true });
      const Key = 'k';
      const put = async (Body: string) =>
        (await client.send(new PutObjectCommand({ Bucket, Key, Body, StorageClass: 'GLACIER' })))
          .VersionId;
      const first = await put('one');
      await put('two');
      expect(await restore(client, { Bucket, Key, VersionId: first })).toBe(202);
      const older = { Bucket, Key, VersionId: first };
      expect(await untilRestored(client, older)).toMatch(/^ongoing-request="false"/);
      expect(await readText(client, older)).toBe('one');
      expect(await errorOf(readText(client, { Bucket, Key }))).toBe('InvalidObjectState');
    },
  },
];
