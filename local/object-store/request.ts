import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { S3Error } from './s3-error.ts';

/** Operation, method, what it addresses, and the query parameters that select it. */
const ROUTES = [
  ['ListBuckets', 'GET', 'service', ''],
  ['CreateBucket', 'PUT', 'bucket', ''],
  ['HeadBucket', 'HEAD', 'bucket', ''],
  ['GetBucketVersioning', 'GET', 'bucket', 'versioning'],
  ['PutBucketVersioning', 'PUT', 'bucket', 'versioning'],
  ['ListObjectsV2', 'GET', 'bucket', 'list-type'],
  ['ListObjectVersions', 'GET', 'bucket', 'versions'],
  ['ListMultipartUploads', 'GET', 'bucket', 'uploads'],
  ['DeleteObjects', 'POST', 'bucket', 'delete'],
  ['PutObject', 'PUT', 'object', ''],
  ['CopyObject', 'PUT', 'object', 'x-amz-copy-source'],
  ['GetObject', 'GET', 'object', ''],
  ['HeadObject', 'HEAD', 'object', ''],
  ['DeleteObject', 'DELETE', 'object', ''],
  ['GetObjectTagging', 'GET', 'object', 'tagging'],
  ['PutObjectTagging', 'PUT', 'object', 'tagging'],
  ['DeleteObjectTagging', 'DELETE', 'object', 'tagging'],
  ['GetObjectRetention', 'GET', 'object', 'retention'],
  ['PutObjectRetention', 'PUT', 'object', 'retention'],
  ['GetObjectLegalHold', 'GET', 'object', 'legal-hold'],
  ['PutObjectLegalHold', 'PUT', 'object', 'legal-hold'],
  ['RestoreObject', 'POST', 'object', 'restore'],
  ['CreateMultipartUpload', 'POST', 'object', 'uploads'],
  ['UploadPart', 'PUT', 'object', 'partNumber,uploadId'],
  ['CompleteMultipartUpload', 'POST', 'object', 'uploadId'],
  ['AbortMultipartUpload', 'DELETE', 'object', 'uploadId'],
  ['ListParts', 'GET', 'object', 'uploadId'],
] as const;

export type S3Operation = (typeof ROUTES)[number][0];

const OPERATIONS: ReadonlyMap<string, S3Operation> = new Map(
  ROUTES.map(([operation, method, scope, selectors]) => [
    `${method} ${scope} ${selectors}`,
    operation,
  ]),
);

/** Parameters that refine an operation. Any other one selects it, so that `?acl` is not a PutObject. */
const REFINING =
  /^(x-id|versionId|prefix|delimiter|start-after|continuation-token|encoding-type|fetch-owner|key-marker|version-id-marker|upload-id-marker|part-number-marker|max-(keys|uploads|parts)|response-.*|x-amz-(algorithm|credential|date|expires|signature|signedheaders|security-token|content-sha256|checksum-mode|sdk-.*)|user-agent)$/i;

/** S3: "up to 1,024 bytes" of UTF-8. */
const MAX_KEY_BYTES = 1024;
const BUCKET_NAME = /^(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

export interface S3Request {
  readonly operation: S3Operation;
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** May be left unread at any point: the connection lives on, to carry the answer. */
  readonly body: AsyncIterable<Uint8Array>;
}

/** Path-style addresses only: `/bucket/key`. Throws InvalidURI, InvalidBucketName, NotImplemented. */
export function parseRequest(source: IncomingMessage): S3Request {
  const url = source.url ?? '/';
  const method = source.method ?? '';
  const mark = url.indexOf('?');
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  // Not with `new URL`: it would resolve `..` and change the key.
  const path = decodePath(mark < 0 ? url : url.slice(0, mark)).slice(1);
  const slash = path.indexOf('/');
  const bucket = slash < 0 ? path : path.slice(0, slash);
  const key = slash < 0 ? '' : path.slice(slash + 1);
  if (bucket !== '') assertBucketName(bucket);
  if (key !== '') assertKey(key);

  const scope = key ? 'object' : bucket ? 'bucket' : 'service';
  const selectors = [...new Set(query.keys())].filter((name) => !REFINING.test(name)).sort();
  if (source.headers['x-amz-copy-source'] !== undefined) selectors.push('x-amz-copy-source');
  const operation = OPERATIONS.get(`${method} ${scope} ${selectors.join(',')}`);
  if (!operation) {
    throw new S3Error(
      'NotImplemented',
      `${method} on a ${scope} with [${selectors.join(', ')}] is not implemented.`,
    );
  }
  const body = source.iterator({ destroyOnReturn: false });
  return { operation, method, bucket, key, query, headers: source.headers, body };
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new S3Error('InvalidURI', undefined, { cause });
  }
}

export function assertBucketName(name: string): void {
  if (!BUCKET_NAME.test(name)) throw new S3Error('InvalidBucketName');
}

/**
 * Keys that a path could mistake for something else are refused; S3 itself takes most of them. Nothing
 * is ever stored under a key, so this is a second line of defence (see object-view.ts).
 */
export function assertKey(key: string): void {
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) throw new S3Error('KeyTooLongError');
  if (key.includes('\0') || key.split(/[/\\]/).some((part) => part === '.' || part === '..')) {
    throw new S3Error('InvalidArgument', 'A key must not have "." or ".." segments or NUL bytes.');
  }
}

/** A header as one string. */
export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}

/** A whole number in the query, within bounds, or the fallback. Throws InvalidArgument. */
export function queryNumber(
  query: URLSearchParams,
  name: string,
  { fallback, min, max }: { fallback: number; min: number; max: number },
): number {
  const text = query.get(name);
  if (text === null || text === '') return fallback;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw new S3Error('InvalidArgument', `${name} must be a number from ${min} to ${max}.`);
  }
  return value;
}
