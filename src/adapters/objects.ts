import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  paginateListObjectsV2,
  RestoreObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { RetrievalTier } from '#contracts/restore.ts';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { INTELLIGENT_ARCHIVES, isArchived } from '#domain/restore/retrieval-times.ts';
import {
  ObjectMissing,
  ObjectReplaced,
  RetrievalFailed,
  ServiceUnavailable,
  WriteConflict,
} from '#errors';
import type {
  Clock,
  ListedObject,
  ObjectHead,
  Objects,
  PutOptions,
  PutResult,
  Upload,
} from '#runtime/ports.ts';
import { awsErrorName, awsStatus, translateAwsError } from './aws-errors.ts';

/** DeleteObjects takes at most 1,000 keys. */
const DELETE_BATCH = 1_000;
/** Times in a row that a body may break without one more byte having come. */
const RESUMES = 6;

type Tags = Readonly<Record<string, string>>;

const TIERS = { expedited: 'Expedited', standard: 'Standard', bulk: 'Bulk' } as const;
/** The class does not take the request, the tier is not for it, or there is no capacity now. */
const RETRIEVAL_REFUSALS = new Set([
  'InvalidObjectState',
  'GlacierExpeditedRetrievalNotAvailable',
  'InvalidArgument',
]);

/**
 * One bucket, through the S3 client. What S3 can check it checks: every body goes up with its
 * CRC-64/NVME, a completed upload with its size and full-object checksum as well.
 */
export function makeObjects({
  client,
  bucket,
  clock,
}: {
  client: S3Client;
  bucket: string;
  clock: Clock;
}): Objects {
  /** Runs a call and gives AWS's errors our names. */
  async function call<T>(what: string, send: () => Promise<T>): Promise<T> {
    try {
      return await send();
    } catch (error) {
      throw translateAwsError(error, what);
    }
  }

  async function head(key: string, versionId?: string): Promise<ObjectHead | undefined> {
    try {
      const out = await client.send(
        new HeadObjectCommand({
          Bucket: bucket,
          Key: key,
          ChecksumMode: 'ENABLED',
          ...(versionId === undefined ? {} : { VersionId: versionId }),
        }),
      );
      return toHead(key, out);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw translateAwsError(error, `head ${key}`);
    }
  }

  /**
   * Opens a body at `start`. Undefined when there is no such object.
   * `end` is exclusive; `etag` pins the object that an earlier part of the same read came from.
   */
  async function open(
    key: string,
    options: {
      start?: number;
      end?: number;
      versionId?: string | undefined;
      etag?: string | undefined;
    },
  ): Promise<GetObjectCommandOutput | undefined> {
    const { start, end, versionId, etag } = options;
    const range =
      start === undefined ? undefined : `bytes=${start}-${end === undefined ? '' : end - 1}`;
    try {
      return await client.send(
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(range === undefined ? {} : { Range: range }),
          ...(versionId === undefined ? {} : { VersionId: versionId }),
          ...(etag === undefined ? {} : { IfMatch: etag }),
        }),
      );
    } catch (error) {
      if (isMissing(error)) return undefined;
      if (etag !== undefined && awsStatus(error) === 412) {
        throw new ObjectReplaced(`${key} was replaced while it was being read`, { cause: error });
      }
      // With status 403, as a refusal has; but it is not a matter of rights.
      if (awsErrorName(error) === 'InvalidObjectState') {
        throw new RetrievalFailed(`${key} lies in Glacier, and no copy of it can be read`, {
          remedy: 'have S3 retrieve it first; a copy that was retrieved is gone after some days',
          cause: error,
        });
      }
      throw translateAwsError(error, `get ${key}`);
    }
  }

  /** The bytes from `start`, resumed where a connection broke; always from one and the same object. */
  async function* read(
    key: string,
    options: { start?: number; end?: number; versionId?: string | undefined },
  ): AsyncGenerator<Buffer, ObjectHead> {
    const start = options.start ?? 0;
    let position = start;
    let found: ObjectHead | undefined;
    for (let fruitless = 0; ; ) {
      const resumed = found !== undefined;
      const out = await open(key, {
        ...options,
        ...(resumed || options.start !== undefined ? { start: position } : {}),
        etag: found?.etag,
      });
      if (!out) throw new ObjectMissing(`there is no object ${key} in ${bucket}`);
      found ??= toHead(key, out);
      const due = Number(out.ContentLength ?? 0) + position;
      try {
        for await (const chunk of out.Body as Readable) {
          position += chunk.length;
          fruitless = 0;
          yield chunk as Buffer;
        }
        if (position >= due) return found;
      } catch (error) {
        if (fruitless >= RESUMES) throw translateAwsError(error, `get ${key}`);
      }
      if (++fruitless > RESUMES) {
        throw new ServiceUnavailable(`the body of ${key} broke off at byte ${position} of ${due}`);
      }
      await clock.sleep(100 * 2 ** fruitless);
    }
  }

  async function collect(
    key: string,
    options: { start?: number; end?: number; versionId?: string | undefined; maxBytes?: number },
  ): Promise<{ body: Buffer; head: ObjectHead }> {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const reader = read(key, options);
    for (;;) {
      const next = await reader.next();
      if (next.done) return { body: Buffer.concat(chunks), head: next.value };
      sizeBytes += next.value.length;
      if (options.maxBytes !== undefined && sizeBytes > options.maxBytes) {
        await reader.return(undefined as never);
        throw new RangeError(`${key} is larger than the ${options.maxBytes} bytes allowed here`);
      }
      chunks.push(next.value);
    }
  }

  /**
   * A conditional write that S3 refused may be our own, whose answer was lost on the way: the same
   * bytes under the key mean that it is.
   */
  async function ownWrite(
    key: string,
    sizeBytes: number,
    crc64nvme: string,
  ): Promise<PutResult | undefined> {
    const there = await head(key);
    if (there?.sizeBytes !== sizeBytes || there.crc64nvme !== crc64nvme) return undefined;
    return { etag: there.etag, versionId: there.versionId, crc64nvme: there.crc64nvme };
  }

  async function put(
    key: string,
    content: Buffer | string,
    options: PutOptions = {},
  ): Promise<PutResult> {
    const body = typeof content === 'string' ? Buffer.from(content, 'utf8') : content;
    const crc64nvme = toBase64(crc64Nvme(body));
    const { condition, contentType, tags } = options;
    try {
      const out = await client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: key,
          Body: body,
          ContentLength: body.length,
          ChecksumAlgorithm: 'CRC64NVME',
          ChecksumCRC64NVME: crc64nvme,
          ...(contentType === undefined ? {} : { ContentType: contentType }),
          ...(tags === undefined ? {} : { Tagging: encodeTags(tags) }),
          ...(condition === 'absent' ? { IfNoneMatch: '*' } : {}),
          ...(typeof condition === 'object' ? { IfMatch: condition.etag } : {}),
        }),
      );
      return { etag: out.ETag ?? '', versionId: out.VersionId, crc64nvme };
    } catch (error) {
      if (condition !== undefined && isConflict(error)) {
        const own = await ownWrite(key, body.length, crc64nvme);
        if (own) return own;
        throw new WriteConflict(`${key} was written by somebody else`, { cause: error });
      }
      throw translateAwsError(error, `put ${key}`);
    }
  }

  async function retrieve(
    key: string,
    options: { tier: RetrievalTier; days: number; versionId?: string },
  ): Promise<'ongoing' | 'done'> {
    const { tier, days, versionId } = options;
    const missing = () => new ObjectMissing(`there is no object ${key} in ${bucket}`);
    const before = await head(key, versionId);
    if (!before) throw missing();
    if (!isArchived(before.storageClass)) return 'done';
    // What comes back to INTELLIGENT_TIERING comes back for good, and S3 refuses to hear of days.
    const lifetime = INTELLIGENT_ARCHIVES.has(before.storageClass) ? {} : { Days: days };
    try {
      const out = await client.send(
        new RestoreObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(versionId === undefined ? {} : { VersionId: versionId }),
          RestoreRequest: { ...lifetime, GlacierJobParameters: { Tier: TIERS[tier] } },
        }),
      );
      // 202: the work begins. 200: a copy is there already, and now stays for that many days.
      if (out.$metadata.httpStatusCode !== 200) return 'ongoing';
      // Where it was under way, a faster tier may have been accepted, or it has ended meanwhile.
      const after = before.retrieval === 'ongoing' ? await head(key, versionId) : before;
      return after?.retrieval === 'ongoing' ? 'ongoing' : 'done';
    } catch (error) {
      if (isMissing(error)) throw missing();
      if (awsErrorName(error) === 'RestoreAlreadyInProgress') return 'ongoing';
      if (awsErrorName(error) === 'ObjectAlreadyInActiveTierError') return 'done';
      if (RETRIEVAL_REFUSALS.has(awsErrorName(error))) {
        const said = `${awsErrorName(error)}: ${(error as Error).message}`;
        throw new RetrievalFailed(`S3 does not retrieve ${key}: ${said}`, {
          remedy: 'try another retrievalTier',
          cause: error,
        });
      }
      throw translateAwsError(error, `retrieve ${key}`);
    }
  }

  async function* list(prefix: string): AsyncGenerator<ListedObject> {
    const pages = paginateListObjectsV2({ client }, { Bucket: bucket, Prefix: prefix });
    try {
      for await (const page of pages) {
        for (const { Key, Size, LastModified, StorageClass } of page.Contents ?? []) {
          if (Key === undefined || LastModified === undefined) continue;
          yield {
            key: Key,
            sizeBytes: Size ?? 0,
            lastModified: LastModified,
            storageClass: StorageClass,
          };
        }
      }
    } catch (error) {
      throw translateAwsError(error, `list ${prefix}`);
    }
  }

  async function* uploads(prefix: string) {
    let marker: { KeyMarker?: string; UploadIdMarker?: string } = {};
    for (;;) {
      const page = await call(`list uploads ${prefix}`, () =>
        client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix, ...marker })),
      );
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key === undefined || UploadId === undefined || Initiated === undefined) continue;
        yield { key: Key, uploadId: UploadId, initiated: Initiated };
      }
      if (!page.IsTruncated || page.NextKeyMarker === undefined) return;
      marker = {
        KeyMarker: page.NextKeyMarker,
        ...(page.NextUploadIdMarker === undefined
          ? {}
          : { UploadIdMarker: page.NextUploadIdMarker }),
      };
    }
  }

  async function abortUpload(key: string, uploadId: string): Promise<void> {
    try {
      await client.send(
        new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: uploadId }),
      );
    } catch (error) {
      if (awsErrorName(error) !== 'NoSuchUpload') throw translateAwsError(error, `abort ${key}`);
    }
  }

  async function createUpload(key: string, { tags }: { tags?: Tags }): Promise<Upload> {
    const created = await call(`create upload ${key}`, () =>
      client.send(
        new CreateMultipartUploadCommand({
          Bucket: bucket,
          Key: key,
          ContentType: 'application/octet-stream',
          ChecksumAlgorithm: 'CRC64NVME',
          ChecksumType: 'FULL_OBJECT',
          ...(tags === undefined ? {} : { Tagging: encodeTags(tags) }),
        }),
      ),
    );
    const uploadId = created.UploadId ?? '';
    const parts = new Map<number, CompletedPart>();
    return {
      uploadId,
      async putPart(partNumber, body, crc64nvme) {
        const command = new UploadPartCommand({
          Bucket: bucket,
          Key: key,
          UploadId: uploadId,
          PartNumber: partNumber,
          Body: body,
          ContentLength: body.length,
          ChecksumAlgorithm: 'CRC64NVME',
          ChecksumCRC64NVME: crc64nvme,
        });
        leaveBodyUnsigned(command);
        const out = await call(`put part ${partNumber} of ${key}`, () => client.send(command));
        parts.set(partNumber, {
          PartNumber: partNumber,
          ETag: out.ETag,
          ChecksumCRC64NVME: crc64nvme,
        });
      },
      async complete({ sizeBytes, crc64nvme }) {
        const ordered = [...parts.values()].sort(
          (a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0),
        );
        try {
          const out = await client.send(
            new CompleteMultipartUploadCommand({
              Bucket: bucket,
              Key: key,
              UploadId: uploadId,
              MultipartUpload: { Parts: ordered },
              ChecksumCRC64NVME: crc64nvme,
              ChecksumType: 'FULL_OBJECT',
              MpuObjectSize: sizeBytes,
              IfNoneMatch: '*',
            }),
          );
          return { etag: out.ETag ?? '', versionId: out.VersionId, crc64nvme };
        } catch (error) {
          if (isConflict(error) || awsErrorName(error) === 'NoSuchUpload') {
            const own = await ownWrite(key, sizeBytes, crc64nvme);
            if (own) return own;
            throw new WriteConflict(`${key} was written by somebody else`, { cause: error });
          }
          throw translateAwsError(error, `complete ${key}`);
        }
      },
      abort: () => abortUpload(key, uploadId),
    };
  }

  return {
    bucket,
    head,
    async get(key, options = {}) {
      const { maxBytes = 64 * 1024 * 1024, versionId } = options;
      try {
        return await collect(key, { maxBytes, versionId });
      } catch (error) {
        if (error instanceof ObjectMissing) return undefined;
        throw error;
      }
    },
    async getRange(key, start, end, versionId) {
      const { body } = await collect(key, { start, end, versionId });
      return body;
    },
    stream(key, options = {}) {
      return Readable.from(read(key, options), { objectMode: false });
    },
    retrieve,
    put,
    list,
    async versions(key) {
      const out = await call(`list versions of ${key}`, () =>
        client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key })),
      );
      const entries = [
        ...(out.Versions ?? []).map((entry) => ({ ...entry, deleteMarker: false })),
        ...(out.DeleteMarkers ?? []).map((entry) => ({ ...entry, deleteMarker: true })),
      ];
      return entries
        .filter((entry) => entry.Key === key)
        .sort((a, b) => (b.LastModified?.getTime() ?? 0) - (a.LastModified?.getTime() ?? 0))
        .map(({ VersionId = '', deleteMarker }) => ({ versionId: VersionId, deleteMarker }));
    },
    async delete(keys) {
      for (let from = 0; from < keys.length; from += DELETE_BATCH) {
        const batch = keys.slice(from, from + DELETE_BATCH);
        const out = await call(`delete ${batch.length} objects`, () =>
          client.send(
            new DeleteObjectsCommand({
              Bucket: bucket,
              Delete: { Quiet: true, Objects: batch.map((Key) => ({ Key })) },
            }),
          ),
        );
        const failed = out.Errors?.[0];
        if (failed) {
          const refusal = { name: failed.Code ?? '', message: failed.Message ?? '' };
          throw translateAwsError(
            Object.assign(new Error(`delete ${failed.Key}: ${failed.Message}`), refusal),
            `delete ${failed.Key} (and ${(out.Errors?.length ?? 1) - 1} more)`,
          );
        }
      }
    },
    async tag(key, tags, versionId) {
      await call(`tag ${key}`, () =>
        client.send(
          new PutObjectTaggingCommand({
            Bucket: bucket,
            Key: key,
            Tagging: { TagSet: Object.entries(tags).map(([Key, Value]) => ({ Key, Value })) },
            ...(versionId === undefined ? {} : { VersionId: versionId }),
          }),
        ),
      );
    },
    createUpload,
    uploads,
    abortUpload,
  };
}

/**
 * Leaves the body out of the signature, which would take a SHA-256 of each part: half a second of CPU
 * for each gigabyte. TLS guards the body on its way, and its checksum is among the signed headers.
 */
function leaveBodyUnsigned(command: UploadPartCommand): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
      return next(args);
    },
    { step: 'build', name: 'leaveBodyUnsigned' },
  );
}

function toHead(
  key: string,
  out: Pick<
    GetObjectCommandOutput,
    | 'ContentLength'
    | 'ContentRange'
    | 'ETag'
    | 'VersionId'
    | 'ChecksumCRC64NVME'
    | 'Restore'
    | 'LastModified'
    | 'StorageClass'
    | 'Metadata'
  > &
    Pick<HeadObjectCommandOutput, 'ArchiveStatus'>,
): ObjectHead {
  const total = out.ContentRange?.split('/')[1];
  return {
    key,
    sizeBytes: Number(total ?? out.ContentLength ?? 0),
    etag: out.ETag ?? '',
    versionId: out.VersionId,
    crc64nvme: out.ChecksumCRC64NVME,
    lastModified: out.LastModified ?? new Date(0),
    storageClass: out.ArchiveStatus ?? out.StorageClass ?? 'STANDARD',
    retrieval: retrievalOf(out.Restore),
    metadata: out.Metadata ?? {},
  };
}

/** S3's header `x-amz-restore`: `ongoing-request="true"`, or "false" with an `expiry-date`. */
function retrievalOf(header: string | undefined): ObjectHead['retrieval'] {
  if (header === undefined) return 'none';
  return header.includes('ongoing-request="true"') ? 'ongoing' : 'done';
}

function isMissing(error: unknown): boolean {
  const name = awsErrorName(error);
  return name === 'NoSuchKey' || name === 'NotFound' || name === 'NoSuchVersion';
}

/** 412: the condition does not hold. 409: another conditional write was under way. */
function isConflict(error: unknown): boolean {
  const status = awsStatus(error);
  return status === 412 || status === 409;
}

function encodeTags(tags: Tags): string {
  return new URLSearchParams(tags).toString();
}
