import { closeSync, createReadStream } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Cut } from './faults.ts';
import type { S3Answer } from './operation.ts';
import type { S3Error } from './s3-error.ts';
import { renderXml } from './xml.ts';

const READ_BYTES = 256 * 1024;

/** Resets the connection, so that the client sees it at once. */
export function cut(response: ServerResponse): void {
  response.socket?.resetAndDestroy();
}

/** Sends a success, unless a fault wants the connection cut. */
export async function send(
  response: ServerResponse,
  answer: S3Answer,
  how: { readonly head: boolean; readonly cut: Cut | undefined },
): Promise<void> {
  const { status = 200, headers = {}, xml, file } = answer;
  const sentBytes = file && (how.cut === 'in-body' ? Math.floor(file.length / 2) : file.length);
  if (how.cut === 'after-effect' || (how.cut === 'in-body' && !sentBytes)) {
    if (file) closeSync(file.descriptor);
    cut(response);
    return;
  }
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) response.setHeader(name, value);
  }
  if (file) {
    const stream = createReadStream('', {
      fd: file.descriptor,
      start: file.start,
      // Inclusive; of an empty file nothing comes whatever it says.
      end: Math.max(file.start + (sentBytes ?? 0) - 1, file.start),
      highWaterMark: READ_BYTES,
    });
    await pipeline(stream, response, { end: how.cut !== 'in-body' });
    if (how.cut === 'in-body') response.socket?.destroySoon();
  } else if (xml) {
    const body = renderXml(xml.root, xml.content);
    response.setHeader('content-type', 'application/xml');
    response.setHeader('content-length', Buffer.byteLength(body));
    response.end(body);
  } else {
    if (!how.head && status !== 204 && status !== 304) response.setHeader('content-length', 0);
    response.end();
  }
}

/** Sends a failure as S3's XML; cuts the connection where an answer has begun already. */
export function sendError(
  response: ServerResponse,
  error: S3Error,
  how: { readonly requestId: string; readonly head: boolean },
): void {
  if (response.headersSent) {
    cut(response);
    return;
  }
  response.statusCode = error.status;
  for (const [name, value] of Object.entries(error.headers)) response.setHeader(name, value);
  if (how.head) {
    response.end();
    return;
  }
  const { code: Code, message: Message, details } = error;
  const content = { Code, Message, ...details, RequestId: how.requestId };
  const body = renderXml('Error', content);
  response.setHeader('content-type', 'application/xml');
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(body);
}
