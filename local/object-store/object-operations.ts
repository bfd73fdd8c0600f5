import { randomBytes } from 'node:crypto';
import { createReadStream, rmSync } from 'node:fs';
import { assertReadable, restoreHeader } from './archived-objects.ts';
import { readAnnounced, receiveBody } from './body.ts';
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm, checksumHeader } from './checksums.ts';
import { describeObject, hasMd5Etag } from './description.ts';
import { writeFileAt } from './multipart.ts';
import {
  bucketOf,
  type Operation,
  type OperationContext,
  requestedVersion,
  type S3Answer,
  versionIdHeader,
  writeConditions,
} from './operation.ts';
import { header } from './request.ts';
import { S3Error } from './s3-error.ts';
import {
  type Bucket,
  matchesEtag,
  type ObjectDescription,
  type ObjectVersion,
  type StoredVersion,
} from './storage.ts';

const ENCRYPTION = /^x-amz-server-side-encryption/;

export const putObject: Operation = async (context) => {
  const { request } = context;
  const bucket = bucketOf(context);
  const description = describeObject(request.headers, bucket, context.now);
  const { object, sizeBytes } = await storeObject(context, bucket, description, {
    source: request.body,
    announced: readAnnounced(request.headers),
    reason: 'PutObject',
  });
  return {
    headers: {
      etag: `"${object.etag}"`,
      'x-amz-version-id': versionIdHeader(bucket, object.versionId),
      'x-amz-object-size': String(sizeBytes),
      ...checksumHeaders(object),
      ...encryptionHeaders(object),
    },
  };
};

export const copyObject: Operation = async (context) => {
  const { request, storage, now } = context;
  const bucket = bucketOf(context);
  const from = parseCopySource(header(request.headers, 'x-amz-copy-source') ?? '');
  const sourceBucket = storage.bucket(from.bucket);
  const original = storage.find(sourceBucket, from.key, from.versionId);
  assertReadable(original, now);
  const condition = header(request.headers, 'x-amz-copy-source-if-match');
  if (condition !== undefined && !matchesEtag(condition, original.etag)) {
    throw new S3Error('PreconditionFailed');
  }
  const given = describeObject(request.headers, bucket, now);
  const replaceMetadata = header(request.headers, 'x-amz-metadata-directive') === 'REPLACE';
  const replaceTags = header(request.headers, 'x-amz-tagging-directive') === 'REPLACE';
  const description: ObjectDescription = {
    ...given,
    headers: replaceMetadata ? given.headers : original.headers,
    tags: replaceTags ? given.tags : original.tags,
  };
  const { object } = await storeObject(context, bucket, description, {
    source: createReadStream('', { fd: storage.open(sourceBucket, original) }),
    announced: {
      sizeBytes: undefined,
      chunked: false,
      contentMd5: undefined,
      payloadSha256: undefined,
      checksum: undefined,
    },
    reason: 'CopyObject',
  });
  return {
    headers: {
      'x-amz-version-id': versionIdHeader(bucket, object.versionId),
      'x-amz-copy-source-version-id': versionIdHeader(sourceBucket, original.versionId),
      ...encryptionHeaders(object),
    },
    xml: {
      root: 'CopyObjectResult',
      content: { ETag: `"${object.etag}"`, LastModified: object.lastModified },
    },
  };
};

function parseCopySource(text: string): { bucket: string; key: string; versionId?: string } {
  const [path = '', version] = text.split('?versionId=');
  const match = /^\/?([^/]+)\/(.+)$/s.exec(decodeURIComponent(path));
  if (!match?.[1] || !match[2]) throw new S3Error('InvalidArgument', 'Invalid copy source.');
  return {
    bucket: match[1],
    key: match[2],
    ...(version === undefined ? {} : { versionId: decodeURIComponent(version) }),
  };
}

/** Receives the bytes into a file of its own and makes it the newest version when all is well. */
async function storeObject(
  context: OperationContext,
  bucket: Bucket,
  description: ObjectDescription,
  input: {
    readonly source: AsyncIterable<Uint8Array>;
    readonly announced: ReturnType<typeof readAnnounced>;
    readonly reason: 'PutObject' | 'CopyObject';
  },
): Promise<{ object: ObjectVersion; sizeBytes: number }> {
  const { request, storage, publish } = context;
  const conditions = writeConditions(context);
  const algorithm: ChecksumAlgorithm = input.announced.checksum?.algorithm ?? 'CRC64NVME';
  const md5 = hasMd5Etag(description);
  const path = storage.temporaryPath();
  try {
    const received = await writeFileAt(path, 0, (sink) =>
      receiveBody(input.source, input.announced, { md5, algorithms: [algorithm] }, (chunk) =>
        sink.write(chunk),
      ),
    );
    const object = storage.putObject(
      bucket,
      request.key,
      {
        ...description,
        etag: (md5 ? received.md5 : undefined) ?? randomBytes(16).toString('hex'),
        checksum: {
          algorithm,
          type: 'FULL_OBJECT',
          value: received.checksums.get(algorithm) ?? '',
        },
      },
      { path, keepSource: false },
      conditions,
    );
    publish({
      bucket: bucket.name,
      key: request.key,
      reason: input.reason,
      sizeBytes: received.sizeBytes,
      etag: object.etag,
      versionId: versionIdHeader(bucket, object.versionId),
    });
    return { object, sizeBytes: received.sizeBytes };
  } finally {
    rmSync(path, { force: true });
  }
}

export const headObject: Operation = (context) => {
  const bucket = bucketOf(context);
  const object = requestedVersion(context);
  const sizeBytes = context.storage.sizeBytes(bucket, object);
  return readAnswer(context, bucket, object, sizeBytes);
};

export const getObject: Operation = (context) => {
  const bucket = bucketOf(context);
  const object = requestedVersion(context);
  assertReadable(object, context.now);
  const sizeBytes = context.storage.sizeBytes(bucket, object);
  const answer = readAnswer(context, bucket, object, sizeBytes);
  if (answer.status === 304) return answer;
  const range = requestedRange(context, sizeBytes) ?? { start: 0, length: sizeBytes };
  return { ...answer, file: { descriptor: context.storage.open(bucket, object), ...range } };
};

/** Status and headers of a read. Throws PreconditionFailed, InvalidRange. */
function readAnswer(
  context: OperationContext,
  bucket: Bucket,
  object: ObjectVersion,
  sizeBytes: number,
): S3Answer {
  const { headers, query } = context.request;
  const ifMatch = header(headers, 'if-match');
  if (ifMatch !== undefined && !matchesEtag(ifMatch, object.etag)) {
    throw new S3Error('PreconditionFailed');
  }
  const ifNoneMatch = header(headers, 'if-none-match');
  if (ifNoneMatch !== undefined && matchesEtag(ifNoneMatch, object.etag)) {
    return { status: 304, headers: { etag: `"${object.etag}"` } };
  }
  const range = requestedRange(context, sizeBytes);
  const { retention, legalHold } = object.lock;
  const overrides = [...query]
    .filter(([name]) => name.startsWith('response-'))
    .map(([name, value]) => [name.slice('response-'.length), value]);
  // A checksum of the whole says nothing about a range, and clients would check it.
  const withChecksum = header(headers, 'x-amz-checksum-mode') === 'ENABLED' && !range;
  return {
    status: range ? 206 : 200,
    headers: {
      'accept-ranges': 'bytes',
      ...object.headers,
      ...Object.fromEntries(overrides),
      'content-length': String(range ? range.length : sizeBytes),
      'content-range': range
        ? `bytes ${range.start}-${range.start + range.length - 1}/${sizeBytes}`
        : undefined,
      etag: `"${object.etag}"`,
      'last-modified': new Date(object.lastModified).toUTCString(),
      'x-amz-version-id': versionIdHeader(bucket, object.versionId),
      'x-amz-tagging-count': object.tags.length > 0 ? String(object.tags.length) : undefined,
      'x-amz-storage-class': object.storageClass === 'STANDARD' ? undefined : object.storageClass,
      'x-amz-archive-status': object.accessTier,
      'x-amz-restore': restoreHeader(object, context.now),
      'x-amz-object-lock-mode': retention?.mode,
      'x-amz-object-lock-retain-until-date': retention?.until,
      'x-amz-object-lock-legal-hold': legalHold ? 'ON' : undefined,
      ...(withChecksum ? checksumHeaders(object) : {}),
    },
  };
}

/**
 * `bytes=0-9`, `bytes=10-` or `bytes=-5`; anything else is ignored, as HTTP asks for.
 * Throws InvalidRange when it begins behind the end.
 */
function requestedRange(
  { request }: OperationContext,
  sizeBytes: number,
): { start: number; length: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header(request.headers, 'range') ?? '');
  if (!match) return undefined;
  const [first, last] = [match[1] ?? '', match[2] ?? ''];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, sizeBytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (first !== '' && last !== '' && Number(last) < start) return undefined;
  if (start >= sizeBytes) {
    throw new S3Error('InvalidRange', undefined, {
      headers: { 'content-range': `bytes */${sizeBytes}` },
    });
  }
  return { start, length: end - start };
}

export function checksumHeaders({ checksum }: ObjectVersion): Record<string, string> {
  return {
    [checksumHeader(checksum.algorithm)]: checksum.value,
    'x-amz-checksum-type': checksum.type,
  };
}

/** The headers that say how the object is encrypted, which every write echoes. */
export function encryptionHeaders({ headers }: ObjectDescription): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => ENCRYPTION.test(name)));
}

/** The algorithm in a header like `x-amz-checksum-algorithm`. Throws InvalidRequest. */
export function parseAlgorithm(value: string | undefined): ChecksumAlgorithm | undefined {
  if (value === undefined) return undefined;
  const algorithm = CHECKSUM_ALGORITHMS.find((name) => name === value.toUpperCase());
  if (!algorithm) throw new S3Error('InvalidRequest', `Unknown checksum algorithm ${value}.`);
  return algorithm;
}

/** Deletes for one key of a request, and tells about it. */
export function deleteObject(
  { request, storage, publish }: OperationContext,
  bucket: Bucket,
  key: string,
  versionId: string | undefined,
  ifMatch: string | undefined,
): { deleteMarker: boolean; versionId: string | undefined } {
  const bypass = header(request.headers, 'x-amz-bypass-governance-retention') === 'true';
  const existed = bucket.versions.has(key);
  const affected: StoredVersion | undefined =
    versionId === undefined
      ? storage.deleteCurrent(bucket, key, ifMatch)
      : storage.deleteVersion(bucket, key, versionId, bypass);
  const marked = versionId === undefined && affected !== undefined;
  if (affected || (versionId === undefined && existed)) {
    publish({
      bucket: bucket.name,
      key,
      reason: 'DeleteObject',
      versionId: affected && versionIdHeader(bucket, affected.versionId),
      deletionType: marked ? 'Delete Marker Created' : 'Permanently Deleted',
    });
  }
  return {
    deleteMarker: affected?.deleteMarker ?? false,
    versionId: versionId ?? affected?.versionId,
  };
}

export const deleteObjectOperation: Operation = (context) => {
  const bucket = bucketOf(context);
  const { key, query, headers } = context.request;
  const versionId = query.get('versionId') ?? undefined;
  const ifMatch = header(headers, 'if-match');
  const result = deleteObject(context, bucket, key, versionId, ifMatch);
  return {
    status: 204,
    headers: {
      'x-amz-delete-marker': result.deleteMarker ? 'true' : undefined,
      'x-amz-version-id': result.versionId,
    },
  };
};
