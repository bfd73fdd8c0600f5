import { readdir, readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { ServiceUnavailable } from '#errors';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import type { Databases } from '#runtime/ports.ts';
import { makeAwkwardDatabase } from '#test/awkward-database.ts';
import { newestDumpableMajor, usePostgres, withClient } from '#test/postgres.ts';
import {
  accessTo,
  contentsOf,
  dumpOf,
  emptyDatabase,
  type Login,
  restoreDeps,
  restoreInto,
  runProgram,
} from '#test/restored-copy.ts';

const major = await newestDumpableMajor();
/** A word that must never be seen. */
const SECRET = 's3cret-word';

describe('what goes wrong in a restore', () => {
  const postgres = usePostgres({ major });
  const limited: Login = { user: 'limited', password: 'of-no-importance' };

  const sessionsOn = (database: string) =>
    postgres.query(
      'postgres',
      'SELECT pid, state, query FROM pg_stat_activity WHERE datname = $1',
      [database],
    );

  beforeAll(async () => {
    for (const role of ['limited', 'few CONNECTION LIMIT 2']) {
      await postgres.query('postgres', `CREATE ROLE ${role} LOGIN PASSWORD '${limited.password}'`);
    }
    await makeAwkwardDatabase(postgres.server, 'awkward');
    await postgres.query('postgres', 'CREATE DATABASE managed TEMPLATE template0');
    for (const statement of [
      'CREATE TABLE data (id int PRIMARY KEY, note text)',
      "INSERT INTO data SELECT i, 'note ' || i FROM generate_series(1, 1000) AS i",
      "CREATE FUNCTION watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
      'CREATE EVENT TRIGGER watching ON sql_drop EXECUTE FUNCTION watch()',
      "COMMENT ON EVENT TRIGGER watching IS 'of a superuser'",
      'CREATE PUBLICATION everything FOR ALL TABLES',
      `CREATE SUBSCRIPTION asleep CONNECTION 'host=192.0.2.1 password=${SECRET}'
         PUBLICATION x WITH (connect = false, slot_name = NONE)`,
      "COMMENT ON SUBSCRIPTION asleep IS 'x'",
      'CREATE FOREIGN DATA WRAPPER nowhere',
      "CREATE SERVER far FOREIGN DATA WRAPPER nowhere OPTIONS (host '192.0.2.1')",
      `CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (password '${SECRET}')`,
      'CREATE FOREIGN TABLE distant (id int) SERVER far',
      'ALTER DEFAULT PRIVILEGES FOR ROLE "awkward owner" GRANT SELECT ON TABLES TO PUBLIC',
      'GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text) TO "awkward owner"',
    ]) {
      await postgres.query('managed', statement);
    }
  });

  it('reports what only a superuser may make, with what it means; the rest is there', async () => {
    const copy = await emptyDatabase(postgres, 'OWNER limited');

    const { tolerated } = await restoreInto(
      postgres.server,
      copy,
      await dumpOf(postgres.server, 'managed'),
      { login: limited, roles: { noOwner: true } },
    );

    const found = tolerated.map((it) => `${it.sqlState} ${it.objectType} ${it.object}`);
    expect(found.toSorted()).toEqual([
      '42501 ACL pg_catalog.FUNCTION pg_ls_dir(text)',
      '42501 DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES',
      '42501 EVENT TRIGGER watching',
      '42501 FOREIGN DATA WRAPPER nowhere',
      '42501 PUBLICATION everything',
      '42501 SUBSCRIPTION asleep',
      '42704 COMMENT EVENT TRIGGER watching',
      '42704 COMMENT SUBSCRIPTION asleep',
      '42704 FOREIGN TABLE public.distant',
      '42704 SERVER far',
      '42704 USER MAPPING USER MAPPING public SERVER far',
    ]);
    expect(tolerated.every(({ advice, message }) => advice !== '' && message !== '')).toBe(true);
    expect(JSON.stringify(tolerated)).not.toContain(SECRET);
    const [row] = await postgres.query(copy, 'SELECT count(*)::int AS rows FROM data');
    expect(row).toEqual({ rows: 1000 });
  });

  it('leaves out what belongs to an extension that the target does not have, and says so', async () => {
    const original = await emptyDatabase(postgres);
    for (const statement of [
      'CREATE TABLE data (id int PRIMARY KEY)',
      'INSERT INTO data VALUES (1), (2)',
      'CREATE EXTENSION hstore',
      "COMMENT ON EXTENSION hstore IS 'ours'",
      'CREATE TABLE settings (name text)',
      "INSERT INTO settings VALUES ('of the extension')",
      'ALTER EXTENSION hstore ADD TABLE settings',
      `UPDATE pg_extension SET extconfig = ARRAY['settings'::regclass::oid], extcondition = ARRAY['']
        WHERE extname = 'hstore'`,
    ]) {
      await postgres.query(original, statement);
    }
    const archive = await dumpOf(postgres.server, original);
    // As long as the other, and nowhere to be had.
    const unknown = Buffer.from(
      archive.toString('latin1').replaceAll('hstore', 'nstore'),
      'latin1',
    );
    const copy = await emptyDatabase(postgres);

    const restored = await restoreInto(postgres.server, copy, unknown);

    expect(restored.tolerated).toMatchObject([
      { sqlState: '0A000', objectType: 'EXTENSION', object: 'nstore' },
      { sqlState: '42704', objectType: 'COMMENT', advice: 'because EXTENSION nstore failed' },
    ]);
    expect(restored.warnings).toEqual([
      'TABLE DATA public.settings was left out: the table is not there, as its extension is not',
    ]);
    expect(restored.leftOut.size).toBe(1);
    expect(restored.checksum).toBe('not-whole');
    expect((await contentsOf(postgres.server, copy)).tables).toMatchObject([
      { table: 'public.data', rows: 2 },
    ]);
  });

  it('ends where a table needs an extension that the target does not have, and says which', async () => {
    const original = await emptyDatabase(postgres);
    await postgres.query(original, 'CREATE EXTENSION hstore');
    await postgres.query(original, 'CREATE TABLE data (h hstore)');
    const archive = await dumpOf(postgres.server, original);
    const text = archive.toString('latin1').replaceAll('hstore', 'nstore');
    const copy = await emptyDatabase(postgres);

    await expect(
      restoreInto(postgres.server, copy, Buffer.from(text, 'latin1')),
    ).rejects.toMatchObject({
      name: 'RestoreFailed',
      message: expect.stringMatching(
        /^pre-data: TABLE public\.data failed: type "public\.nstore" does not exist .*; EXTENSION nstore failed before, which it needs$/,
      ),
    });
  });

  it('ends at an owner that the restoring role cannot act for, and says what would help', async () => {
    const copy = await emptyDatabase(postgres, 'OWNER limited');
    const archive = await dumpOf(postgres.server, 'managed');

    await expect(
      restoreInto(postgres.server, copy, archive, { login: limited }),
    ).rejects.toMatchObject({
      name: 'RestoreFailed',
      message: expect.stringMatching(
        /^pre-data: FUNCTION public\.watch\(\) failed: .*\(SQLSTATE 42501\), in: ALTER FUNCTION public\.watch\(\) OWNER TO "postgres";; make the restoring role a member of postgres/,
      ),
    });
  });

  it('gives everything to a role that is named', async () => {
    const copy = await emptyDatabase(postgres);
    await postgres.query(copy, 'GRANT CREATE ON SCHEMA public TO limited');
    const access = await accessTo(await dumpOf(postgres.server, 'managed'));
    const wanted = access.toc.entries.filter(({ tag }) => /^data( data_pkey)?$/.test(tag));

    await restoreInto(postgres.server, copy, access, {
      roles: { role: 'limited' },
      ids: new Set(wanted.map(({ dumpId }) => dumpId)),
    });

    const [row] = await postgres.query(
      copy,
      `SELECT relowner::regrole::text AS owner, (SELECT count(*)::int FROM data) AS rows
         FROM pg_class WHERE relname = 'data'`,
    );
    expect(row).toEqual({ owner: 'limited', rows: 1000 });
  });

  it.each([
    [
      'pre-data',
      'CREATE TABLE data (other int)',
      /^pre-data: TABLE public\.data failed: relation "data" already exists \(SQLSTATE 42P07\), in: CREATE TABLE public\.data \( id integer NOT NULL, note text \);/,
    ],
    [
      'post-data',
      'CREATE TABLE data_pkey (other int)',
      /^post-data: CONSTRAINT public\.data data_pkey failed: relation "data_pkey" already exists \(SQLSTATE 42P07\), in: ALTER TABLE ONLY public\.data ADD CONSTRAINT/,
    ],
  ])('ends at a statement that fails in %s, and names it', async (_, before, message) => {
    const copy = await emptyDatabase(postgres);
    await postgres.query(copy, before);
    const archive = await dumpOf(postgres.server, 'managed');

    await expect(restoreInto(postgres.server, copy, archive)).rejects.toMatchObject({
      name: 'RestoreFailed',
      message: expect.stringMatching(message),
    });
  });

  it('ends at rows that a table refuses, and names the table without showing them', async () => {
    const copy = await emptyDatabase(postgres);
    await postgres.query(copy, 'CREATE TABLE data (id int PRIMARY KEY, note text)');
    await postgres.query(copy, 'INSERT INTO data VALUES (500)');
    const archive = await dumpOf(postgres.server, 'managed');

    const failing = restoreInto(postgres.server, copy, archive, { dataOnly: true });

    await expect(failing).rejects.toThrow(
      'pg_restore ended with 1 in the data of public.data: COPY failed for table "data": ' +
        'ERROR:  duplicate key value violates unique constraint "data_pkey" / COPY data, line 500',
    );
    await expect(failing).rejects.toMatchObject({ name: 'RestoreFailed' });
  });

  it('names a server that has no more room, for rows and for indexes', async () => {
    const archive = await dumpOf(postgres.server, 'managed');
    const full = (type: string) => `CREATE FUNCTION full_up() RETURNS ${type} LANGUAGE plpgsql AS
      $f$ BEGIN RAISE EXCEPTION 'could not extend file "base/5/16400": No space left on device'
        USING ERRCODE = 'disk_full'; END $f$`;
    const withRows = await emptyDatabase(postgres);
    for (const statement of [
      full('trigger'),
      'CREATE TABLE data (id int, note text)',
      'CREATE TRIGGER full_up BEFORE INSERT ON data FOR EACH ROW EXECUTE FUNCTION full_up()',
    ]) {
      await postgres.query(withRows, statement);
    }
    await expect(
      restoreInto(postgres.server, withRows, archive, { dataOnly: true }),
    ).rejects.toMatchObject({ name: 'TargetFull' });

    const withIndex = await emptyDatabase(postgres);
    await postgres.query(withIndex, full('event_trigger'));
    await postgres.query(
      withIndex,
      `CREATE EVENT TRIGGER full_up ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
         EXECUTE FUNCTION full_up()`,
    );
    await expect(
      restoreInto(postgres.server, withIndex, archive, { roles: { noOwner: true } }),
    ).rejects.toMatchObject({
      name: 'TargetFull',
      message: expect.stringContaining('post-data: CONSTRAINT public.data data_pkey'),
    });
  });

  it('loads rows past triggers and foreign keys where that was asked for', async () => {
    const copy = await emptyDatabase(postgres);
    const schema = await runProgram(
      'pg_dump',
      ['--schema-only', '--format=custom', '--dbname=awkward'],
      { server: postgres.server },
    );
    await restoreInto(postgres.server, copy, schema);
    await postgres.query(copy, 'ALTER TABLE typed ENABLE TRIGGER touched');
    const archive = await dumpOf(postgres.server, 'awkward');

    const { phases } = await restoreInto(postgres.server, copy, archive, {
      dataOnly: true,
      replica: true,
    });

    expect(phases.map(({ phase }) => phase)).toEqual(['data', 'analyze']);
    const { tables, largeObjects, sequences } = await contentsOf(postgres.server, copy);
    const original = await contentsOf(postgres.server, 'awkward');
    expect(tables).toEqual(original.tables);
    expect(largeObjects).toEqual(original.largeObjects);
    expect(sequences).toEqual(original.sequences);
  });

  it('ends at bytes that changed while nobody looked, though pg_restore took them', async () => {
    const archive = await dumpOf(postgres.server, 'managed', { args: ['--compress=none'] });
    const access = await accessTo(archive);
    const damaged = Buffer.from(archive);
    damaged.write('tone', damaged.indexOf('note 777'));
    const copy = await emptyDatabase(postgres);

    await expect(
      restoreInto(postgres.server, copy, {
        ...access,
        read: (start, end) => Readable.from([damaged.subarray(start, end)]),
      }),
    ).rejects.toMatchObject({ name: 'ChecksumMismatch' });
  });

  it.each([
    ['that pg_restore took', ['--compress=none'], 0.9],
    ['that pg_restore stumbled over', ['--compress=gzip:1'], 0.1],
  ])('commits no row of a table with bytes %s', async (_what, args, place) => {
    const archive = await dumpOf(postgres.server, 'managed', { args });
    const access = await accessTo(archive);
    const blocks = access.blocks.map((block) => ({
      ...block,
      crc64nvme: toBase64(
        crc64Nvme(archive.subarray(block.offset, block.offset + block.lengthBytes)),
      ),
    }));
    const largest = blocks.toSorted((a, b) => b.lengthBytes - a.lengthBytes)[0];
    const at = (largest?.offset ?? 0) + Math.floor((largest?.lengthBytes ?? 0) * place);
    const damaged = Buffer.from(archive);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
    const copy = await emptyDatabase(postgres);

    await expect(
      restoreInto(postgres.server, copy, {
        ...access,
        blocks,
        read: (start, end) => Readable.from([damaged.subarray(start, end)]),
      }),
    ).rejects.toMatchObject({
      name: 'ChecksumMismatch',
      message: expect.stringContaining('the data of public.data have CRC-64'),
    });
    expect(await postgres.query(copy, 'SELECT count(*)::int AS n FROM data')).toEqual([{ n: 0 }]);
  });

  it('says that the archive cannot be read on, not what pg_restore makes of it', async () => {
    const access = await accessTo(await dumpOf(postgres.server, 'managed'));
    const copy = await emptyDatabase(postgres);
    const read = (start: number, end: number) =>
      Readable.from(
        (async function* () {
          for await (const chunk of access.read(start, end)) {
            yield (chunk as Buffer).subarray(0, 10);
            throw new ServiceUnavailable('the store is gone');
          }
        })(),
      );

    await expect(restoreInto(postgres.server, copy, { ...access, read })).rejects.toMatchObject({
      name: 'ServiceUnavailable',
    });
    expect(await clientsOf(process.pid)).toEqual([]);
  });

  it('fetches a password that changed in the meantime once more, and no oftener', async () => {
    const archive = await dumpOf(postgres.server, 'managed');
    const { databases } = await restoreDeps(postgres.server);
    const asked: boolean[] = [];
    let works = true;
    const rotated: Databases = {
      connect: (...args) => databases.connect(...args),
      async clientEnvironment(connection, database, { refresh = false } = {}) {
        asked.push(refresh);
        const fresh = await databases.clientEnvironment(connection, database);
        const password = refresh && works ? postgres.server.password : 'the old one';
        return { ...fresh, environment: { ...fresh.environment, PGPASSWORD: password } };
      },
    };

    const copy = await emptyDatabase(postgres);
    const restored = await restoreInto(postgres.server, copy, archive, { databases: rotated });
    expect(restored.checksum).toBe('matched');
    expect(asked).toEqual([false, true]);

    works = false;
    asked.length = 0;
    const other = await emptyDatabase(postgres);
    await expect(
      restoreInto(postgres.server, other, archive, { databases: rotated }),
    ).rejects.toMatchObject({ name: 'AuthenticationFailed' });
    expect(asked).toEqual([false, true]);
  });

  it('makes do with the connections that the server has', async () => {
    const copy = await emptyDatabase(postgres, 'OWNER few');
    const original = await emptyDatabase(postgres);
    for (let i = 0; i < 6; i += 1) {
      await postgres.query(
        original,
        `CREATE TABLE t${i} (id int PRIMARY KEY, noise text STORAGE EXTERNAL)`,
      );
      await postgres.query(
        original,
        `INSERT INTO t${i} SELECT i, repeat(md5(i::text), 8000) FROM generate_series(1, 20) AS i`,
      );
    }
    const archive = await dumpOf(postgres.server, original, { args: ['--compress=none'] });

    const { warnings } = await restoreInto(postgres.server, copy, archive, {
      login: { user: 'few', password: limited.password },
      roles: { noOwner: true },
      jobs: 8,
    });

    expect(warnings).toContainEqual(expect.stringMatching(/^the server took 2 connections/));
    expect(warnings).toContainEqual(expect.stringMatching(/^the server has too few connections/));
    expect((await contentsOf(postgres.server, copy)).tables).toEqual(
      (await contentsOf(postgres.server, original)).tables,
    );
  });

  it('ends at once when it is aborted, and leaves no process and no session', async () => {
    const access = await accessTo(await dumpOf(postgres.server, 'awkward'));
    const copy = await emptyDatabase(postgres);
    const controller = new AbortController();
    const reason = new Error('the task is to stop');
    let running: string[] = [];
    const read = (start: number, end: number) =>
      Readable.from(
        (async function* () {
          for await (const chunk of access.read(start, end)) {
            yield (chunk as Buffer).subarray(0, 100);
            running = await clientsOf(process.pid);
            controller.abort(reason);
            await sleep(300_000, undefined, { ref: false });
          }
        })(),
      );

    const started = Date.now();
    await expect(
      restoreInto(postgres.server, copy, { ...access, read }, { signal: controller.signal }),
    ).rejects.toBe(reason);

    expect(Date.now() - started).toBeLessThan(100_000);
    expect(running).toContain('pg_restore');
    expect(await clientsOf(process.pid)).toEqual([]);
    await expect.poll(() => sessionsOn(copy)).toEqual([]);
  });

  it('does not wait for the end of a statement when it is aborted', async () => {
    const archive = await dumpOf(postgres.server, 'managed');
    const copy = await emptyDatabase(postgres);
    await postgres.query(
      copy,
      `CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM pg_sleep(300); END'`,
    );
    await postgres.query(
      copy,
      `CREATE EVENT TRIGGER wait ON ddl_command_start WHEN TAG IN ('ALTER TABLE')
         EXECUTE FUNCTION wait()`,
    );
    const controller = new AbortController();
    const reason = new Error('the task is to stop');
    const started = Date.now();

    await expect(
      restoreInto(postgres.server, copy, archive, {
        roles: { noOwner: true },
        signal: controller.signal,
        onPhase: (phase) => {
          if (phase === 'post-data') setTimeout(() => controller.abort(reason), 500);
        },
      }),
    ).rejects.toBe(reason);

    expect(Date.now() - started).toBeLessThan(100_000);
    // The server looks every ten seconds whether we are still there.
    await expect.poll(() => sessionsOn(copy), { interval: 500 }).toEqual([]);
  });

  it('calls it a lost connection when the server dies in the middle', async () => {
    const server = await startPostgres({ major });
    try {
      const access = await accessTo(await dumpOf(postgres.server, 'managed'));
      await withClient(server, 'postgres', (client) => client.query('CREATE DATABASE doomed'));
      const read = (start: number, end: number) =>
        Readable.from(
          (async function* () {
            for await (const chunk of access.read(start, end)) {
              yield (chunk as Buffer).subarray(0, 100);
              await loading(server, 'doomed');
              await server.kill();
              yield (chunk as Buffer).subarray(100);
            }
          })(),
        );

      await expect(
        restoreInto(server, 'doomed', { ...access, read }, { roles: { noOwner: true } }),
      ).rejects.toMatchObject({ name: 'ConnectionLost', retryable: true });
      expect(await clientsOf(process.pid)).toEqual([]);
    } finally {
      await server.stop('immediate');
    }
  });
});

/** Waits until rows go into a database. */
async function loading(server: PostgresServer, database: string): Promise<void> {
  await withClient(server, 'postgres', async (client) => {
    for (;;) {
      const { rows } = await client.query(
        "SELECT FROM pg_stat_activity WHERE datname = $1 AND query LIKE 'COPY %'",
        [database],
      );
      if (rows.length > 0) return;
      await sleep(20);
    }
  });
}

/** Names of the programs that a process has started and that still run. */
async function clientsOf(pid: number): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const [, name = '', parent] = /^\d+ \((.*)\) \S (\d+) /s.exec(stat) ?? [];
    if (Number(parent) === pid && name.startsWith('pg_')) names.push(name);
  }
  return names;
}
