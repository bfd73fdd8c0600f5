import { header, type S3Request } from './request.ts';
import { S3Error } from './s3-error.ts';

const CREDENTIAL = String.raw`[^/,\s]+/\d{8}/[a-z0-9-]+/s3/aws4_request`;
const AUTHORIZATION = new RegExp(
  String.raw`^AWS4-HMAC-SHA256 Credential=${CREDENTIAL},\s*SignedHeaders=[a-z0-9;-]+,\s*Signature=[0-9a-f]{64}$`,
);
const QUERY_CREDENTIAL = new RegExp(`^${CREDENTIAL}$`);
/** S3: a presigned URL lives at most seven days. */
const MAX_EXPIRY_SECONDS = 604_800;

/**
 * Refuses anonymous requests, malformed signatures and presigned URLs that have expired. Whose key it
 * is and whether the signature is right is not checked: the store knows no secrets.
 */
export function authenticate(request: S3Request, now: Date): void {
  const authorization = header(request.headers, 'authorization');
  if (authorization !== undefined) {
    if (!AUTHORIZATION.test(authorization)) {
      throw new S3Error('AccessDenied', 'The Authorization header is not a version 4 signature.');
    }
    return;
  }
  const { query } = request;
  if (!query.has('X-Amz-Signature')) throw new S3Error('AccessDenied');
  const signedAt = parseBasicDate(query.get('X-Amz-Date') ?? '');
  const expiresSeconds = Number(query.get('X-Amz-Expires'));
  const wellFormed =
    query.get('X-Amz-Algorithm') === 'AWS4-HMAC-SHA256' &&
    QUERY_CREDENTIAL.test(query.get('X-Amz-Credential') ?? '') &&
    /^[0-9a-f]{64}$/.test(query.get('X-Amz-Signature') ?? '') &&
    signedAt !== undefined &&
    expiresSeconds >= 1 &&
    expiresSeconds <= MAX_EXPIRY_SECONDS;
  if (!wellFormed) throw new S3Error('AccessDenied', 'The presigned query is malformed.');
  if (now.getTime() > signedAt + expiresSeconds * 1000) {
    throw new S3Error('AccessDenied', 'Request has expired');
  }
}

/** `20261120T030000Z` in milliseconds since the epoch. */
function parseBasicDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const time = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(time) ? undefined : time;
}
