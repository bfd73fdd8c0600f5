import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type ApiCall,
  decodeCall,
  encodeError,
  encodeResult,
  type HttpAnswer,
} from './aws-protocols.ts';
import { ConnectionCut } from './faults.ts';
import { ServiceError } from './service-error.ts';

/** Far above any request of ours: SNS takes 256 KiB, Step Functions 1 MiB. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

export interface HttpEndpoint {
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  close(): Promise<void>;
}

/** Serves the API of every service on one loopback port. */
export async function startHttpEndpoint(options: {
  readonly accessKeyId: string;
  readonly serve: (call: ApiCall) => Promise<object>;
}): Promise<HttpEndpoint> {
  const server = createServer((request, response) => {
    answer(request, options).then(
      (result) => send(response, result),
      () => request.socket.destroy(),
    );
  });
  server.requestTimeout = 30_000;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject).listen(0, '127.0.0.1', resolve);
  await promise;
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      const closed = new Promise((done) => server.close(done));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Rejects where the connection is to be cut. */
async function answer(
  request: IncomingMessage,
  { accessKeyId, serve }: Parameters<typeof startHttpEndpoint>[0],
): Promise<HttpAnswer> {
  const requestId = randomUUID();
  const target = request.headers['x-amz-target'];
  const protocol = target === undefined ? 'query' : 'json';
  try {
    const body = await readBody(request);
    // No signature check, but a process that got no or other credentials should notice here too.
    if (!request.headers.authorization?.includes(`Credential=${accessKeyId}/`)) {
      const code = protocol === 'json' ? 'UnrecognizedClientException' : 'InvalidClientTokenId';
      throw new ServiceError(code, 'the security token included in the request is invalid', 403);
    }
    const call = decodeCall(target?.toString(), body);
    return encodeResult(call, await serve(call), requestId);
  } catch (error) {
    if (error instanceof ConnectionCut) throw error;
    const known =
      error instanceof ServiceError
        ? error
        : new ServiceError('InternalFailure', inner(error), 500);
    return encodeError(protocol, known, requestId);
  }
}

function inner(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    sizeBytes += chunk.byteLength;
    if (sizeBytes > MAX_BODY_BYTES) {
      throw new ServiceError('RequestEntityTooLarge', 'the request is too large', 413);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, { status, headers, body }: HttpAnswer): void {
  response.writeHead(status, headers);
  response.end(body);
}
