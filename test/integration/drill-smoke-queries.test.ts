import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#adapters/clock.ts';
import { type Expectation, SmokeQuery } from '#contracts/source-plan.ts';
import { runSmokeQueries, type SmokeOutcome } from '#operations/drill/smoke-queries.ts';
import type { ThrowawayServer } from '#runtime/ports.ts';
import { makeThrowawayPlace, runOn, type ThrowawayPlace } from '../support/throwaway-place.ts';

const NOW = new Date('2026-11-21T03:00:00Z');
let place: ThrowawayPlace;
let server: ThrowawayServer;

beforeAll(async () => {
  place = await makeThrowawayPlace();
  server = await place.servers.start({ major: 18, signal: new AbortController().signal });
  await runOn(server, 'postgres', 'CREATE DATABASE shop');
  await runOn(
    server,
    'shop',
    'CREATE SCHEMA sales',
    `ALTER DATABASE shop SET search_path = sales`,
    `ALTER DATABASE shop SET timezone = 'America/New_York'`,
    `ALTER DATABASE shop SET datestyle = 'German'`,
    'CREATE TABLE sales.orders (id bigint, body text, at timestamptz, plain timestamp)',
    `INSERT INTO sales.orders
     SELECT n, md5(n::text), '2026-11-21 02:30:00+00', '2026-11-21 02:30:00' FROM generate_series(1, 1200) AS n`,
  );
});
afterAll(async () => {
  await server.stop();
  await place.remove();
});

async function run(
  query: string,
  expect: Expectation,
  {
    signal = new AbortController().signal,
    timeoutSeconds = 20,
    ...rest
  }: { signal?: AbortSignal; timeoutSeconds?: number; database?: string } = {},
): Promise<SmokeOutcome | undefined> {
  const queries = [SmokeQuery.parse({ name: 'it', query, expect, timeoutSeconds, ...rest })];
  const { connection } = server;
  const outcomes = await runSmokeQueries(
    { databases: server.databases, clock: systemClock },
    { connection, database: 'shop', name: 'shop', queries, now: NOW, signal },
  );
  return outcomes[0];
}

test.each<[string, Expectation, string | null]>([
  ['SELECT count(*) FROM orders', { atLeast: 1000 }, '1200'],
  ['SELECT count(*) FROM sales.orders;', { equals: 1200 }, '1200'],
  ['SELECT id, body FROM orders ORDER BY id DESC', { equals: 1200 }, '1200'],
  ['SELECT id, id FROM orders ORDER BY 1 -- the oldest', { equals: 1 }, '1'],
  ['SELECT 7 AS a, 8 AS first', { equals: 7 }, '7'],
  ['WITH o AS (SELECT * FROM orders) SELECT count(*) > 10 FROM o', { equals: true }, 'true'],
  ['VALUES (1.50::numeric)', { equals: 1.5 }, '1.50'],
  ['TABLE orders', { matches: '^[0-9]+$' }, '1'],
  ['SELECT max(at) FROM orders', { maxAgeMinutes: 30 }, '2026-11-21 02:30:00+00'],
  ['SELECT max(plain) FROM orders', { maxAgeMinutes: 30 }, '2026-11-21 02:30:00'],
  [`SELECT current_setting('server_version_num')`, { atLeast: 180000 }, expect.any(String)],
  ['SELECT id FROM orders WHERE id < 0', { equals: null }, null],
  ['SELECT NULL', { equals: null }, null],
  [`SELECT '{"a":1}'::jsonb`, { equals: '{"a": 1}' }, '{"a": 1}'],
])('%s passes as %j', async (query, expectation, actual) => {
  expect(await run(query, expectation)).toMatchObject({ result: { state: 'passed', actual } });
});

test('A value that is not what the plan expects is told beside what it expects', async () => {
  expect(await run('SELECT count(*) FROM orders', { atLeast: 5000 })).toMatchObject({
    result: { name: 'it', state: 'failed', expected: 'at least 5000', actual: '1200' },
    sqlState: undefined,
  });
  expect(await run('SELECT max(at) FROM orders', { maxAgeMinutes: 29 })).toMatchObject({
    result: { state: 'failed' },
  });
  expect(await run('SELECT id FROM orders WHERE id < 0', { atLeast: 0 })).toMatchObject({
    result: { state: 'failed', actual: null },
  });
});

test('A row of the year 2999 does not make the data young: it is told as what it is', async () => {
  const query = `SELECT max(at) FROM (SELECT at FROM orders UNION ALL SELECT '2999-01-01') AS all_orders`;
  expect(await run(query, { maxAgeMinutes: 120 })).toMatchObject({
    result: { state: 'failed', actual: '2999-01-01 00:00:00+00' },
    reason: expect.stringContaining('later than the backup'),
  });
});

test('A long value is cut, and unprintable characters are shown', async () => {
  const outcome = await run(`SELECT chr(27) || repeat('x', 10000)`, { equals: 'y' });
  expect(outcome?.result.actual).toHaveLength(200);
  expect(outcome?.result.actual).toMatch(/^\\u\{1b\}x+…$/);
});

test.each([
  ['a second statement', 'SELECT 1; DROP TABLE sales.orders', '42601'],
  [
    'one that leaves the transaction',
    'SELECT 1; COMMIT; DROP TABLE sales.orders; SELECT 1',
    '42601',
  ],
  ['one that leaves the parentheses', 'SELECT 1) AS a; DROP TABLE sales.orders; --', '42601'],
  ['a statement that is no query', 'DELETE FROM sales.orders', '42601'],
  [
    'a delete within a query',
    'WITH d AS (DELETE FROM sales.orders RETURNING id) SELECT count(*) FROM d',
    '0A000',
  ],
  ['a function that writes', 'SELECT sales.empty_orders()', '25006'],
  ['a lock', 'SELECT id FROM sales.orders FOR UPDATE', '25006'],
  ['a sequence that is used up', `SELECT nextval('sales.numbers')`, '25006'],
  ['a way out of read-only', `SELECT set_config('transaction_read_only', 'off', false)`, '25001'],
  ['a typing error', 'SELEC 1', '42601'],
  ['a table that is not there', 'SELECT count(*) FROM nothing', '42P01'],
])('%s is refused, and nothing has changed', async (_, query, sqlState) => {
  await runOn(
    server,
    'shop',
    `CREATE OR REPLACE FUNCTION sales.empty_orders() RETURNS int LANGUAGE sql AS
     'DELETE FROM sales.orders; SELECT 1'`,
    'CREATE SEQUENCE IF NOT EXISTS sales.numbers',
  );
  expect(await run(query, { equals: 1 })).toMatchObject({ result: { state: 'error' }, sqlState });
  expect(await runOn(server, 'shop', 'SELECT count(*) FROM sales.orders')).toEqual([
    { count: '1200' },
  ]);
});

test('A query that takes too long ends when its time is up, and the next one runs', async () => {
  const began = performance.now();
  expect(await run('SELECT pg_sleep(60)', { equals: '' }, { timeoutSeconds: 1 })).toMatchObject({
    result: { state: 'timeout', actual: null },
  });
  expect(performance.now() - began).toBeLessThan(30_000);
  expect(await run('SELECT 1', { equals: 1 })).toMatchObject({ result: { state: 'passed' } });
});

test('A query of another database is not run here', async () => {
  expect(await run('SELECT 1', { equals: 1 }, { database: 'other' })).toBeUndefined();
  expect(await run('SELECT 1', { equals: 1 }, { database: 'shop' })).toMatchObject({
    result: { state: 'passed' },
  });
});

test('A drill that is stopped does not wait for its query', async () => {
  const stop = new AbortController();
  const running = run('SELECT pg_sleep(60)', { equals: '' }, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error('told to stop')), 300);
  await expect(running).rejects.toThrow('told to stop');
});
