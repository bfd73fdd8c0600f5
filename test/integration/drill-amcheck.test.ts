import { copyFile, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type AmcheckResult, amcheck, checkDataChecksums } from '#operations/drill/amcheck.ts';
import type { ThrowawayServer } from '#runtime/ports.ts';
import {
  makeThrowawayPlace,
  overwrite,
  runOn,
  type ThrowawayPlace,
} from '../support/throwaway-place.ts';

const PAGE_BYTES = 8192;
const { signal } = new AbortController();
let place: ThrowawayPlace;
beforeAll(async () => {
  place = await makeThrowawayPlace();
});
afterAll(() => place.remove());

const FILL = [
  'CREATE SCHEMA "odd ""schema"',
  'CREATE TABLE "odd ""schema".orders (id int PRIMARY KEY, body text, total int)',
  `INSERT INTO "odd ""schema".orders SELECT n, md5(n::text), n % 100 FROM generate_series(1, 2000) AS n`,
  'CREATE INDEX orders_total ON "odd ""schema".orders (total)',
  'CREATE TABLE sound AS SELECT n FROM generate_series(1, 100) AS n',
  `CREATE TABLE long AS SELECT 1 AS id, string_agg(md5(n::text), '') AS body FROM generate_series(1, 5000) AS n`,
  'CREATE MATERIALIZED VIEW summed AS SELECT sum(n) FROM sound',
  'CREATE SEQUENCE numbers',
  'VACUUM FREEZE',
  'CHECKPOINT',
];

/** 15 is the oldest at hand, 18 the newest; each has other functions and checks. */
describe.each([15, 18])('On PostgreSQL %i', (major) => {
  let server: ThrowawayServer;
  beforeEach(async () => {
    server = await place.servers.start({ major, signal });
    await runOn(server, 'postgres', 'CREATE DATABASE shop');
    await runOn(server, 'shop', ...FILL);
  });
  afterEach(() => server.stop());

  const check = (mode: 'full' | 'quick' | 'off' = 'full'): Promise<AmcheckResult> =>
    amcheck(server, { connection: server.connection, database: 'shop', mode, jobs: 3, signal });
  const fileOf = async (relation: string) => {
    const [row] = await runOn(
      server,
      'shop',
      `SELECT pg_relation_filepath('${relation.replaceAll("'", "''")}') AS path`,
    );
    return join(server.dataDirectory, String(row?.['path']));
  };
  const checksums = async () => {
    const session = await server.databases.connect(server.connection, 'shop');
    try {
      return await checkDataChecksums(session);
    } finally {
      await session.close();
    }
  };
  const damageOf = ({ checks }: AmcheckResult) =>
    [...new Set(checks.damage.map(({ relation }) => relation))].sort();

  test('Sound data are clean, and the catalogs are among what was checked', async () => {
    const { checks, unchecked } = await check();
    expect(checks).toMatchObject({ state: 'clean', damage: [], reason: null });
    expect(unchecked).toEqual([]);
    expect(checks.tables).toBeGreaterThan(60);
    expect(checks.indexes).toBeGreaterThan(100);
    expect(await checksums()).toEqual({ state: 'clean', failures: 0 });
  });

  test('A page of a table that the disk changed is found, named and counted', async () => {
    const file = await fileOf('"odd ""schema".orders');
    await overwrite(file, 3 * PAGE_BYTES + 8000, Buffer.alloc(100, 0xff));
    await server.restart();
    const result = await check();
    expect(result.checks.state).toBe('damaged');
    // Its indexes look their rows up in it.
    expect(damageOf(result)).toContain('"odd ""schema".orders');
    expect(result.checks.damage[0]?.message).toMatch(/invalid page in block 3 of relation/);
    expect(damageOf(result)).not.toContain('public.sound');
    const { state, failures } = await checksums();
    expect({ state, some: failures > 0 }).toEqual({ state: 'failures', some: true });
  });

  test('A page of an index that the disk changed is found, and all else is checked nevertheless', async () => {
    await overwrite(
      await fileOf('"odd ""schema".orders_total'),
      PAGE_BYTES + 8000,
      Buffer.alloc(60, 0x7f),
    );
    await overwrite(await fileOf('sound'), 8000, Buffer.alloc(60, 0x7f));
    await server.restart();
    const result = await check();
    expect(damageOf(result)).toEqual(['"odd ""schema".orders_total', 'public.sound']);
  });

  test('Of a long value a piece is lost: the table that points to it is named', async () => {
    const [row] = await runOn(
      server,
      'shop',
      `SELECT reltoastrelid::regclass::text AS toast FROM pg_class WHERE oid = 'long'::regclass`,
    );
    const toast = String(row?.['toast']);
    await runOn(
      server,
      'shop',
      'CREATE EXTENSION pg_surgery',
      `SELECT heap_force_kill('${toast}', ARRAY(SELECT ctid FROM ${toast} WHERE chunk_seq = 2))`,
    );
    const result = await check();
    expect(damageOf(result)).toContain('public.long');
    expect(result.checks.damage[0]?.message).toMatch(/toast value \d+/);
  });

  test('An index that lacks a row is found by the full check and not by the quick one', async () => {
    const file = await fileOf('"odd ""schema".orders_total');
    await server.restart();
    await copyFile(file, `${file}.before`);
    await runOn(
      server,
      'shop',
      `INSERT INTO "odd ""schema".orders VALUES (5000, 'late', 50)`,
      'CHECKPOINT',
    );
    // As from a backup of another moment: each page is sound by itself.
    await overwrite(file, 0, await readFile(`${file}.before`));
    await rm(`${file}.before`);
    await server.restart();
    expect((await check('quick')).checks.state).toBe('clean');
    const full = await check('full');
    expect(damageOf(full)).toEqual(['"odd ""schema".orders_total']);
    expect(full.checks.damage[0]?.message).toMatch(/lacks matching index tuple/);
  });

  test('The file of an index is not there any more: that is damage too', async () => {
    const file = await fileOf('"odd ""schema".orders_total');
    await server.restart();
    await rm(file);
    const result = await check();
    expect(damageOf(result)).toEqual(['"odd ""schema".orders_total']);
  });

  test('The extension is used where the database has it, under whatever schema', async () => {
    await runOn(server, 'shop', 'CREATE EXTENSION amcheck WITH SCHEMA "odd ""schema"');
    expect((await check()).checks.state).toBe('clean');
    const rows = await runOn(
      server,
      'shop',
      `SELECT FROM pg_namespace WHERE nspname = 'holdfast_amcheck'`,
    );
    expect(rows).toEqual([]);
  });

  test('The plan switches it off: it says so and reads nothing', async () => {
    expect(await check('off')).toMatchObject({
      checks: { state: 'skipped', tables: 0, reason: expect.stringContaining('switches it off') },
    });
  });

  test('The database itself forbids extensions by an event trigger: its drill does not mind', async () => {
    await runOn(
      server,
      'shop',
      `CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'not here'; END $$`,
      `CREATE EVENT TRIGGER forbid ON ddl_command_start EXECUTE FUNCTION public.forbid()`,
    );
    expect((await check()).checks).toMatchObject({ state: 'clean', reason: null });
  });

  test('The database is frozen, and brings a role and a library along that are none of ours: it is checked', async () => {
    await runOn(
      server,
      'postgres',
      'CREATE ROLE app',
      'ALTER DATABASE shop SET default_transaction_read_only = on',
      `ALTER DATABASE shop SET role = 'app'`,
      'ALTER DATABASE shop SET session_preload_libraries = not_of_this_server',
      `ALTER DATABASE shop SET lock_timeout = '1ms'`,
      `ALTER DATABASE shop SET default_transaction_isolation = 'serializable'`,
    );
    expect(await check()).toMatchObject({
      checks: { state: 'clean', reason: null },
      unchecked: [],
    });
  });

  test.each([
    ['zero_damaged_pages', 100],
    // Within the value of the first row, which is as good as any other to whoever does not look at checksums.
    ['ignore_checksum_failure', PAGE_BYTES - 8],
  ])(
    'The database has %s on, and a page of it is damaged: that is found all the same',
    async (setting, offset) => {
      await overwrite(await fileOf('public.sound'), offset, Buffer.from('lie'));
      await server.restart();
      await runOn(server, 'postgres', `ALTER DATABASE shop SET ${setting} = on`);
      const result = await check();
      expect(result.checks.state).toBe('damaged');
      expect(damageOf(result)).toEqual(['public.sound']);
    },
  );

  test('A stop ends the check with its reason', async () => {
    const stop = new AbortController();
    const running = amcheck(server, {
      connection: server.connection,
      database: 'shop',
      mode: 'full',
      jobs: 2,
      signal: stop.signal,
    });
    stop.abort(new Error('told to stop'));
    await expect(running).rejects.toThrow('told to stop');
  });
});
