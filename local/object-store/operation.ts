import type { ObjectChange } from './events.ts';
import type { MultipartUploads } from './multipart.ts';
import { header, type S3Request } from './request.ts';
import type { Retrievals } from './retrievals.ts';
import { S3Error } from './s3-error.ts';
import type { Bucket, ObjectStorage, ObjectVersion, WriteConditions } from './storage.ts';

/** What an operation has at hand for one request. */
export interface OperationContext {
  readonly request: S3Request;
  readonly storage: ObjectStorage;
  readonly uploads: MultipartUploads;
  readonly retrievals: Retrievals;
  readonly requestId: string;
  readonly now: Date;
  readonly region: string;
  readonly publish: (change: ObjectChange) => void;
}

/** A success; failures are thrown as S3Error. At most one of `xml` and `file`. */
export interface S3Answer {
  readonly status?: number;
  /** Members that are undefined are not sent. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly xml?: { readonly root: string; readonly content: object };
  /** A descriptor, which whoever sends the answer closes, and the bytes to send. */
  readonly file?: { readonly descriptor: number; readonly start: number; readonly length: number };
}

export type Operation = (context: OperationContext) => S3Answer | Promise<S3Answer>;

/** The bucket that the request names. Throws NoSuchBucket. */
export function bucketOf({ request, storage }: OperationContext): Bucket {
  return storage.bucket(request.bucket);
}

/** The object that a read means. Throws NoSuchKey, NoSuchVersion, MethodNotAllowed. */
export function requestedVersion({ request, storage }: OperationContext): ObjectVersion {
  const versionId = request.query.get('versionId') ?? undefined;
  return storage.find(storage.bucket(request.bucket), request.key, versionId);
}

export function writeConditions({ request }: OperationContext): WriteConditions {
  return {
    ifMatch: header(request.headers, 'if-match'),
    ifNoneMatch: header(request.headers, 'if-none-match'),
  };
}

/** `x-amz-version-id`: only buckets that are or were versioned say it. */
export function versionIdHeader(bucket: Bucket, versionId: string): string | undefined {
  return bucket.settings.versioning === 'Unversioned' ? undefined : versionId;
}

export function requiredQuery({ request }: OperationContext, name: string): string {
  const value = request.query.get(name);
  if (value === null || value === '') {
    throw new S3Error('InvalidArgument', `The query parameter ${name} is missing.`);
  }
  return value;
}

/** Who owns everything here. */
export const OWNER = { ID: '75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a' };
