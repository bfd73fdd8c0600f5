import type { IncomingHttpHeaders } from 'node:http';
import { STORAGE_CLASSES } from './archived-objects.ts';
import { parseRetention } from './object-lock.ts';
import { header } from './request.ts';
import { S3Error } from './s3-error.ts';
import type { Bucket, ObjectDescription } from './storage.ts';

/** Headers that are stored with the object and returned by reads. */
const STORED =
  /^(content-(type|disposition|encoding|language)|cache-control|expires|x-amz-meta-.+|x-amz-server-side-encryption.*)$/;
/** S3: at most 10 tags, keys to 128 and values to 256 characters. */
const MAX_TAGS = 10;
const MAX_TAG_KEY_LENGTH = 128;
const MAX_TAG_VALUE_LENGTH = 256;
/** S3: letters, digits, spaces and a few signs of any script. */
const TAG_TEXT = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;

/**
 * What an upload's headers say about the object.
 * Throws InvalidTag, InvalidArgument, InvalidRequest, InvalidStorageClass.
 */
export function describeObject(
  headers: IncomingHttpHeaders,
  bucket: Bucket,
  now: Date,
): ObjectDescription {
  const stored = new Map<string, string>([
    ['content-type', 'binary/octet-stream'],
    ['x-amz-server-side-encryption', bucket.settings.encryption],
  ]);
  for (const name of Object.keys(headers)) {
    const value = header(headers, name);
    if (value !== undefined && STORED.test(name)) stored.set(name, value);
  }
  // The transfer's encoding is not the object's.
  const encoding = (stored.get('content-encoding') ?? '')
    .split(/\s*,\s*/)
    .filter((name) => name !== '' && name !== 'aws-chunked');
  if (encoding.length > 0) stored.set('content-encoding', encoding.join(','));
  else stored.delete('content-encoding');

  const retention = parseRetention(
    header(headers, 'x-amz-object-lock-mode'),
    header(headers, 'x-amz-object-lock-retain-until-date'),
    now,
  );
  const legalHold = header(headers, 'x-amz-object-lock-legal-hold') === 'ON';
  if (retention || legalHold) assertLockable(bucket);
  const storageClass = header(headers, 'x-amz-storage-class') ?? 'STANDARD';
  if (!STORAGE_CLASSES.has(storageClass)) throw new S3Error('InvalidStorageClass');
  return {
    headers: Object.fromEntries(stored),
    tags: parseTagHeader(header(headers, 'x-amz-tagging')),
    storageClass,
    lock: { retention, legalHold },
  };
}

/** As in S3: the ETag of an object (or part) is the MD5 of its bytes, unless it is under SSE-KMS. */
export function hasMd5Etag({ headers }: ObjectDescription): boolean {
  return !(headers['x-amz-server-side-encryption'] ?? '').includes('kms');
}

export function assertLockable(bucket: Bucket): void {
  if (!bucket.settings.objectLock) {
    throw new S3Error('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  }
}

/** `a=1&b=2`, URL-encoded. */
function parseTagHeader(value: string | undefined): ObjectDescription['tags'] {
  return assertTags(value === undefined ? [] : [...new URLSearchParams(value)]);
}

/** Throws InvalidTag, BadRequest. */
export function assertTags(tags: ObjectDescription['tags']): ObjectDescription['tags'] {
  if (tags.length > MAX_TAGS) {
    throw new S3Error('BadRequest', 'Object tags cannot be greater than 10');
  }
  if (new Set(tags.map(([key]) => key)).size < tags.length) {
    throw new S3Error('InvalidTag', 'Cannot provide multiple Tags with the same key');
  }
  for (const [key, value] of tags) {
    const fits = key.length <= MAX_TAG_KEY_LENGTH && value.length <= MAX_TAG_VALUE_LENGTH;
    if (key === '' || !fits || !TAG_TEXT.test(key) || !TAG_TEXT.test(value)) {
      throw new S3Error(
        'InvalidTag',
        'A tag is empty, too long or has signs that S3 does not take.',
      );
    }
  }
  return tags;
}
