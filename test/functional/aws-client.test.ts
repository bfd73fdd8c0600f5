import { S3Client } from '@aws-sdk/client-s3';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import * as z from 'zod';
import { bounded, clientConfig, retryStrategy } from '#adapters/aws-client.ts';
import { millisecondsLeft, withinMilliseconds } from '#adapters/call-deadline.ts';
import { makeObjects } from '#adapters/objects.ts';
import { type ObjectStoreServer, startObjectStore } from '#local/object-store/server.ts';
import { lambdaHandler } from '#runtime/handler.ts';
import { makeClock } from '#test/fakes.ts';
import { makeTemporaryDirectory } from '#test/object-store-targets.ts';

const BUCKET = 'holdfast-backups';

let directory: ReturnType<typeof makeTemporaryDirectory>;
let store: ObjectStoreServer;
let client: S3Client;
beforeAll(async () => {
  directory = makeTemporaryDirectory();
  store = await startObjectStore({ directory: directory.path });
  store.createBucket(BUCKET, { versioning: true });
  client = bounded(
    new S3Client({
      ...clientConfig(),
      endpoint: store.endpoint,
      region: 'eu-west-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    }),
  );
});
afterEach(() => store.faults.clear());
afterAll(async () => {
  client.destroy();
  await store.close();
  directory.remove();
});

const objects = () => makeObjects({ client, bucket: BUCKET, clock: makeClock() });

/** What a call ended in, and how long it took. */
async function timed(work: () => Promise<unknown>) {
  const began = Date.now();
  const error = await work().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { name: (error as Error | undefined)?.name, milliseconds: Date.now() - began };
}

/** As Lambda calls a function that has so much of its time left. */
function invoke(leftMilliseconds: number, work: () => Promise<unknown>) {
  const handler = lambdaHandler(z.object({}), work, {} as never);
  const context = { getRemainingTimeInMillis: () => leftMilliseconds };
  return (handler as unknown as (event: object, context: object) => Promise<unknown>)({}, context);
}

describe('the pauses between attempts', () => {
  const longest = async (errorType: 'THROTTLING' | 'TRANSIENT', retryAfterHint?: Date) => {
    const strategy = retryStrategy(8, () => 1);
    const pauses: number[] = [];
    let token = await strategy.acquireInitialRetryToken();
    const failed = { errorType, ...(retryAfterHint ? { retryAfterHint } : {}) };
    try {
      for (;;) {
        token = await strategy.refreshRetryTokenForRetry(token, failed);
        pauses.push(token.getRetryDelay());
      }
    } catch {
      return { pauses, sum: pauses.reduce((sum, pause) => sum + pause, 0) };
    }
  };

  it('take 35.5 seconds at most where AWS asks us to slow down, and less after errors', async () => {
    expect(await longest('THROTTLING')).toEqual({
      pauses: [500, 1_000, 2_000, 4_000, 8_000, 10_000, 10_000],
      sum: 35_500,
    });
    expect((await longest('TRANSIENT')).sum).toBe(100 + 200 + 400 + 800 + 1_600 + 3_200 + 6_400);
  });

  it('are as long as the service says, and no longer than ours', async () => {
    const { pauses } = await longest('TRANSIENT', new Date(Date.now() + 3_600_000));
    expect(pauses).toEqual(Array.from({ length: 7 }, () => 10_000));
  });

  it('are none after an error that another attempt does not mend', async () => {
    const strategy = retryStrategy(8);
    const token = await strategy.acquireInitialRetryToken();
    const refused = { errorType: 'CLIENT_ERROR' } as const;
    await expect(strategy.refreshRetryTokenForRetry(token, refused)).rejects.toThrow(RangeError);
  });
});

describe('a store that asks us to slow down for ever', () => {
  it('is Throttled before the time of the caller is up', async () => {
    store.faults.failNext('PutObject', { status: 503, times: 1_000 });
    const { name, milliseconds } = await timed(() =>
      withinMilliseconds(2_500, () => objects().put('runs/x', 'y')),
    );
    expect(name).toBe('Throttled');
    // All attempts take 17 s on average.
    expect(milliseconds).toBeLessThan(7_500);
  });

  it('fails a function under that name, seconds before Lambda would end it', async () => {
    store.faults.failNext('PutObject', { status: 503, times: 1_000 });
    const { name, milliseconds } = await timed(() =>
      invoke(7_000, () => objects().put('runs/x', 'y')),
    );
    expect(name).toBe('Throttled');
    expect(milliseconds).toBeLessThan(7_000);
  });

  it('is Throttled also where time is up while another attempt is on its way', async () => {
    store.faults.failNext('PutObject', { status: 503, times: 1 });
    store.faults.plan = { delayMilliseconds: 20_000 };
    const { name, milliseconds } = await timed(() =>
      withinMilliseconds(1_500, () => objects().put('runs/x', 'y')),
    );
    expect(name).toBe('Throttled');
    expect(milliseconds).toBeLessThan(10_000);
  });
});

describe('a store that does not answer', () => {
  it('is ServiceUnavailable when the time of the caller is up', async () => {
    await objects().put('runs/slow', 'y');
    store.faults.plan = { delayMilliseconds: 20_000 };
    const { name, milliseconds } = await timed(() =>
      invoke(6_000, () => objects().get('runs/slow')),
    );
    expect(name).toBe('ServiceUnavailable');
    expect(milliseconds).toBeGreaterThan(800);
    expect(milliseconds).toBeLessThan(6_000);
  });

  it('is not even asked where no time is left', async () => {
    const asked = () => store.requests.byOperation.GetObject ?? 0;
    const before = asked();
    const { name } = await timed(() => invoke(4_000, () => objects().get('runs/x')));
    expect(name).toBe('ServiceUnavailable');
    expect(asked()).toBe(before);
  });
});

describe('the time of a caller', () => {
  it('is unlimited where nobody says, and the shortest where several do', async () => {
    expect(millisecondsLeft()).toBe(Infinity);
    const left = await withinMilliseconds(1_000, () =>
      withinMilliseconds(9_000, async () => millisecondsLeft()),
    );
    expect(left).toBeLessThanOrEqual(1_000);
  });

  it('ends no body that is being read', async () => {
    await objects().put('runs/long', Buffer.alloc(300_000, 7));
    await withinMilliseconds(3_000, async () => {
      const body = objects().stream('runs/long')[Symbol.asyncIterator]();
      let bytes = ((await body.next()).value as Buffer).length;
      await new Promise((resolve) => setTimeout(resolve, 3_200));
      for (let next = await body.next(); !next.done; next = await body.next()) {
        bytes += (next.value as Buffer).length;
      }
      expect(bytes).toBe(300_000);
    });
  });
});
