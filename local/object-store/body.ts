import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import {
  CHECKSUM_ALGORITHMS,
  type ChecksumAlgorithm,
  checksumHeader,
  isChecksumValue,
  type RunningChecksum,
  startChecksum,
} from './checksums.ts';
import { header } from './request.ts';
import { S3Error } from './s3-error.ts';

/** S3: one PUT or one part carries at most 5 GiB. */
const MAX_BODY_BYTES = 5 * 1024 ** 3;
/** A line between chunks: a size, a signature or a checksum. */
const MAX_LINE_BYTES = 8192;

/** What the headers say about the body. */
export interface Announced {
  /** Undefined when the request only says it with the body's end (small XML bodies). */
  readonly sizeBytes: number | undefined;
  readonly chunked: boolean;
  readonly contentMd5: string | undefined;
  /** Hex; undefined when the payload is not signed as a whole. */
  readonly payloadSha256: string | undefined;
  /** `value` is undefined when it comes in the trailer. */
  readonly checksum: { algorithm: ChecksumAlgorithm; value: string | undefined } | undefined;
}

export interface Received {
  readonly sizeBytes: number;
  readonly md5: string | undefined;
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, string>;
}

/** Throws InvalidRequest, InvalidDigest, MissingContentLength, EntityTooLarge. */
export function readAnnounced(headers: IncomingHttpHeaders): Announced {
  const contentSha256 = header(headers, 'x-amz-content-sha256');
  const chunked =
    contentSha256?.startsWith('STREAMING-') === true ||
    (header(headers, 'content-encoding') ?? '').split(/\s*,\s*/).includes('aws-chunked');
  const length = header(headers, chunked ? 'x-amz-decoded-content-length' : 'content-length');
  if (length === undefined && (chunked || headers['transfer-encoding'] !== undefined)) {
    throw new S3Error('MissingContentLength');
  }
  const sizeBytes = length === undefined ? undefined : Number(length);
  if (sizeBytes !== undefined && !Number.isSafeInteger(sizeBytes)) {
    throw new S3Error('InvalidArgument', 'The length of the body is not a number.');
  }
  if ((sizeBytes ?? 0) > MAX_BODY_BYTES) throw new S3Error('EntityTooLarge');
  const contentMd5 = header(headers, 'content-md5');
  if (contentMd5 !== undefined && Buffer.from(contentMd5, 'base64').length !== 16) {
    throw new S3Error('InvalidDigest');
  }
  return {
    sizeBytes,
    chunked,
    contentMd5,
    payloadSha256: /^[0-9a-f]{64}$/.test(contentSha256 ?? '') ? contentSha256 : undefined,
    checksum: readAnnouncedChecksum(headers),
  };
}

function readAnnouncedChecksum(headers: IncomingHttpHeaders): Announced['checksum'] {
  const found: { algorithm: ChecksumAlgorithm; value: string | undefined }[] = [];
  const trailers = (header(headers, 'x-amz-trailer') ?? '').toLowerCase().split(/\s*,\s*/);
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const name = checksumHeader(algorithm);
    const value = header(headers, name);
    if (value !== undefined && !isChecksumValue(algorithm, value)) {
      throw new S3Error('InvalidRequest', `Value for ${name} header is invalid.`);
    }
    if (value !== undefined || trailers.includes(name)) found.push({ algorithm, value });
  }
  if (found.length > 1) {
    throw new S3Error('InvalidRequest', 'Expecting a single x-amz-checksum- header.');
  }
  const named = header(headers, 'x-amz-sdk-checksum-algorithm')?.toUpperCase();
  if (named !== undefined && named !== found[0]?.algorithm) {
    throw new S3Error(
      'InvalidRequest',
      `x-amz-sdk-checksum-algorithm says ${named}, but no such checksum header or trailer came.`,
    );
  }
  return found[0];
}

/**
 * Streams the body to `write` while it computes what was announced and what is asked for, and checks it
 * at the end as S3 does. Never holds more than a chunk.
 * Throws BadDigest, XAmzContentSHA256Mismatch, IncompleteBody, MalformedTrailerError.
 */
export async function receiveBody(
  source: AsyncIterable<Uint8Array>,
  announced: Announced,
  wanted: { readonly md5: boolean; readonly algorithms: readonly ChecksumAlgorithm[] },
  write: (chunk: Uint8Array) => Promise<void> | undefined,
): Promise<Received> {
  const trailers = new Map<string, string>();
  const md5 = wanted.md5 || announced.contentMd5 !== undefined ? createHash('md5') : undefined;
  const running = new Map<ChecksumAlgorithm, RunningChecksum>();
  for (const algorithm of wanted.algorithms) running.set(algorithm, startChecksum(algorithm));
  const declared = announced.checksum?.algorithm;
  if (declared && !running.has(declared)) running.set(declared, startChecksum(declared));
  const payload = announced.payloadSha256 === undefined ? undefined : createHash('sha256');

  let sizeBytes = 0;
  for await (const chunk of announced.chunked ? decodeChunked(source, trailers) : source) {
    sizeBytes += chunk.length;
    if (sizeBytes > (announced.sizeBytes ?? MAX_BODY_BYTES)) throw new S3Error('IncompleteBody');
    md5?.update(chunk);
    payload?.update(chunk);
    for (const checksum of running.values()) checksum.update(chunk);
    await write(chunk);
  }
  if (announced.sizeBytes !== undefined && sizeBytes !== announced.sizeBytes) {
    throw new S3Error('IncompleteBody');
  }

  if (payload && payload.digest('hex') !== announced.payloadSha256) {
    throw new S3Error('XAmzContentSHA256Mismatch');
  }
  const md5Bytes = md5?.digest();
  if (announced.contentMd5 !== undefined && md5Bytes?.toString('base64') !== announced.contentMd5) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.');
  }
  const checksums = new Map<ChecksumAlgorithm, string>();
  for (const [algorithm, checksum] of running) checksums.set(algorithm, checksum.digest());
  if (declared) {
    const expected = announced.checksum?.value ?? trailers.get(checksumHeader(declared));
    if (expected === undefined) throw new S3Error('MalformedTrailerError');
    if (checksums.get(declared) !== expected) {
      throw new S3Error(
        'BadDigest',
        `The ${declared} you specified did not match the calculated checksum.`,
      );
    }
  }
  return { sizeBytes, md5: md5Bytes?.toString('hex'), checksums };
}

/**
 * The data of an `aws-chunked` body: `<hex size>[;chunk-signature=…]` lines, each followed by that many
 * bytes; size 0 begins the trailer of `name:value` lines, which an empty line ends.
 */
export async function* decodeChunked(
  source: AsyncIterable<Uint8Array>,
  trailers: Map<string, string>,
): AsyncGenerator<Uint8Array> {
  let state: 'size' | 'data' | 'after-data' | 'trailer' | 'end' = 'size';
  let dataBytes = 0;
  let line = '';
  for await (let rest of source) {
    while (rest.length > 0) {
      if (state === 'data') {
        const data = rest.subarray(0, dataBytes);
        rest = rest.subarray(data.length);
        dataBytes -= data.length;
        if (dataBytes === 0) state = 'after-data';
        yield data;
        continue;
      }
      const newline = rest.indexOf(0x0a);
      line += Buffer.from(newline < 0 ? rest : rest.subarray(0, newline)).toString('latin1');
      if (line.length > MAX_LINE_BYTES) throw new S3Error('IncompleteBody');
      if (newline < 0) break;
      rest = rest.subarray(newline + 1);
      const text = line.replace(/\r$/, '');
      line = '';
      if (state === 'size') {
        const size = /^([0-9a-f]{1,10})(;.*)?$/i.exec(text)?.[1];
        if (size === undefined) throw new S3Error('IncompleteBody', 'A chunk size is malformed.');
        dataBytes = Number.parseInt(size, 16);
        state = dataBytes > 0 ? 'data' : 'trailer';
      } else if (state === 'after-data') {
        if (text !== '') throw new S3Error('IncompleteBody', 'A chunk is longer than its size.');
        state = 'size';
      } else if (state === 'trailer') {
        if (text === '') state = 'end';
        else {
          const colon = text.indexOf(':');
          if (colon < 1) throw new S3Error('MalformedTrailerError');
          trailers.set(text.slice(0, colon).toLowerCase(), text.slice(colon + 1).trim());
        }
      } else throw new S3Error('IncompleteBody', 'Bytes came after the trailer.');
    }
  }
  if (state !== 'end' || line !== '') throw new S3Error('IncompleteBody');
}
