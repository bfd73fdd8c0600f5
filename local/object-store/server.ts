import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ACCESS_TIERS } from './archived-objects.ts';
import { authenticate } from './authentication.ts';
import { Damage } from './damage.ts';
import { EventDispatcher, type S3ObjectEvent } from './events.ts';
import { FaultInjector } from './faults.ts';
import { MultipartUploads } from './multipart.ts';
import type { OperationContext } from './operation.ts';
import { OPERATIONS } from './operations.ts';
import { parseRequest, type S3Operation, type S3Request } from './request.ts';
import { Retrievals } from './retrievals.ts';
import { S3Error } from './s3-error.ts';
import { cut, send, sendError } from './send.ts';
import { type BucketSettings, ObjectStorage } from './storage.ts';

export interface ObjectStoreOptions {
  /** Made when it does not exist. What is in it from an earlier start is served again. */
  readonly directory: string;
  readonly clock?: () => Date;
  readonly faults?: FaultInjector;
  /** Told of each object that is created, deleted or restored, shortly after the effect. */
  readonly onEvent?: (event: S3ObjectEvent) => void;
  /** In events and bucket answers. Default eu-west-1. */
  readonly region?: string;
  /**
   * How long a standard retrieval takes; an expedited one half of it, a bulk one twice as long. Default 2;
   * Infinity: until `finishRestore`.
   */
  readonly retrievalSeconds?: number;
}

/** What came in since the start. */
export interface RequestCounters {
  total: number;
  readonly byOperation: Partial<Record<S3Operation, number>>;
}

export interface ObjectStoreServer {
  /** `http://127.0.0.1:<port>`, for AWS_ENDPOINT_URL_S3. */
  readonly endpoint: string;
  readonly faults: FaultInjector;
  readonly damage: Damage;
  readonly requests: RequestCounters;
  /** Default: unversioned, no lock, AES256. Object Lock makes it versioned. Does nothing if it exists. */
  createBucket(
    name: string,
    settings?: {
      versioning?: boolean;
      objectLock?: boolean;
      encryption?: BucketSettings['encryption'];
    },
  ): void;
  /** The plain file of a key's current version; undefined when the key cannot be a path. */
  path(bucket: string, key: string): string | undefined;
  /** What a lifecycle rule would do, or INTELLIGENT_TIERING: ARCHIVE_ACCESS, DEEP_ARCHIVE_ACCESS. */
  setStorageClass(bucket: string, key: string, storageClass: string): void;
  /** What hours of waiting after RestoreObject would do. */
  finishRestore(bucket: string, key: string): void;
  /** What days of waiting after that would do. */
  expireRestore(bucket: string, key: string): void;
  close(): Promise<void>;
}

/** Starts an S3-protocol server on a free port of the loopback interface. */
export async function startObjectStore(options: ObjectStoreOptions): Promise<ObjectStoreServer> {
  const clock = options.clock ?? (() => new Date());
  const region = options.region ?? 'eu-west-1';
  const faults = options.faults ?? new FaultInjector();
  const storage = new ObjectStorage(options.directory, clock);
  const uploads = new MultipartUploads(storage, clock);
  const deliver = options.onEvent ?? (() => undefined);
  const events = new EventDispatcher({ deliver, faults, clock, region });
  const retrievals = new Retrievals({
    storage,
    clock,
    publish: (change, requestId) => events.publish(change, requestId),
    standardSeconds: options.retrievalSeconds,
  });
  const requests: RequestCounters = { total: 0, byOperation: {} };

  async function answer(request: S3Request, response: ServerResponse, requestId: string) {
    requests.total += 1;
    requests.byOperation[request.operation] = (requests.byOperation[request.operation] ?? 0) + 1;
    const fault = faults.forRequest(request);
    if (fault.delayMilliseconds > 0)
      await sleep(fault.delayMilliseconds, undefined, { ref: false });
    if (fault.until) await Promise.allSettled([fault.until]);
    if (fault.cut === 'before-effect') {
      cut(response);
      return;
    }
    if (fault.answer) throw S3Error.injected(fault.answer);
    const now = clock();
    authenticate(request, now);
    const publish: OperationContext['publish'] = (change) => events.publish(change, requestId);
    const operation = OPERATIONS[request.operation];
    const result = await operation({
      request,
      requestId,
      storage,
      uploads,
      retrievals,
      now,
      region,
      publish,
    });
    await send(response, result, { head: request.method === 'HEAD', cut: fault.cut });
  }

  async function handle(source: IncomingMessage, response: ServerResponse): Promise<void> {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    response.setHeader('x-amz-request-id', requestId);
    response.setHeader('x-amz-id-2', requestId);
    response.setHeader('server', 'AmazonS3');
    try {
      await answer(parseRequest(source), response, requestId);
    } catch (error) {
      const known = error instanceof S3Error;
      sendError(
        response,
        known ? error : new S3Error('InternalError', String(error), { cause: error }),
        { requestId, head: source.method === 'HEAD' },
      );
    } finally {
      // What is left of a refused body, so that the connection can be used again.
      source.resume();
    }
  }

  const server = createServer((source, response) => void handle(source, response));
  // Idle clients may come back late, and a dump may feed a part slowly.
  server.keepAliveTimeout = 60_000;
  server.requestTimeout = 0;
  await listen(server);
  const { port } = server.address() as AddressInfo;
  const current = (bucket: string, key: string) =>
    storage.find(storage.bucket(bucket), key, undefined);

  return {
    endpoint: `http://127.0.0.1:${port}`,
    faults,
    damage: new Damage(storage),
    requests,
    createBucket(name, settings = {}) {
      if (storage.buckets().some((bucket) => bucket.name === name)) return;
      const { objectLock = false, versioning = objectLock, encryption = 'AES256' } = settings;
      storage.createBucket(name, {
        versioning: versioning ? 'Enabled' : 'Unversioned',
        objectLock,
        encryption,
      });
    },
    path: (bucket, key) => storage.view.path(bucket, key),
    setStorageClass(bucket, key, storageClass) {
      const accessTier = ACCESS_TIERS.find((tier) => tier === storageClass);
      storage.updateVersion(storage.bucket(bucket), key, current(bucket, key), {
        storageClass: accessTier === undefined ? storageClass : 'INTELLIGENT_TIERING',
        accessTier,
        restore: 'none',
      });
    },
    finishRestore(bucket, key) {
      retrievals.complete(storage.bucket(bucket), key, current(bucket, key));
    },
    expireRestore(bucket, key) {
      retrievals.expire(storage.bucket(bucket), key, current(bucket, key));
    },
    async close() {
      retrievals.close();
      events.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function listen(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
}
