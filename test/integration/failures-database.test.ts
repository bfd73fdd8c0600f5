import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { BULK_ENVIRONMENT, makeBulkDatabase } from '#test/bulk-database.ts';
import { type ClientDirectory, makeClientDirectory } from '#test/client-directory.ts';
import { expectNothingHalfWritten, makeGoodBackup } from '#test/failure-case.ts';
import {
  actWhileHeld,
  expectNoProcess,
  expectNoSecret,
  expectOneAlert,
  findPrograms,
} from '#test/pipeline-processes.ts';
import { withClient } from '#test/postgres.ts';
import { listBackups, SECRET_ID, usePipeline } from '#test/stack.ts';

describe('a backup whose database or client fails', () => {
  const events: ExecutionEvent[] = [];
  const clientsDirectory = mkdtempSync(join(tmpdir(), 'holdfast-clients-'));
  const pipeline = usePipeline({
    plan: {
      databases: ['audit'],
      dump: { lockWaitTimeoutSeconds: 1 },
      retention: { archives: { keepLast: 100 } },
    },
    stack: {
      clientsDirectory,
      environment: BULK_ENVIRONMENT,
      waitScale: 0.01,
      onExecutionEvent: (event) => events.push(event),
    },
  });
  let clients: ClientDirectory;
  let expectGoodBackup: () => Promise<void>;
  const passwords: string[] = [];

  beforeAll(async () => {
    clients = await makeClientDirectory(clientsDirectory);
    await makeBulkDatabase(pipeline().server);
    passwords.push(pipeline().sample.backup.password, pipeline().server.password);
    expectGoodBackup = await makeGoodBackup(pipeline());
  });
  beforeEach(() => {
    events.length = 0;
  });
  afterEach(async () => {
    await expectNothingHalfWritten(pipeline());
    await expectNoProcess(pipeline());
    await expectGoodBackup();
    await expectNoSecret(pipeline().directory, passwords);
  });
  afterAll(() => rm(clientsDirectory, { recursive: true, force: true }));

  const sql = (text: string, database = 'postgres') =>
    withClient(pipeline().server, database, async (client) => {
      const { rows } = await client.query<Record<string, unknown>>(text);
      return rows;
    });
  const retriedErrors = () =>
    events.flatMap((event) =>
      event.type === 'StateRetried' && event.state === 'Dump Database' ? [event.error] : [],
    );
  /** Acts while pg_dump stands in the middle of its output. */
  const dumpHalfWay = (act: () => Promise<void>) =>
    actWhileHeld(pipeline(), 'UploadPart', () => pipeline().run({ databases: ['bulk'] }), act);
  /** Acts between the preflight and pg_dump's connection. */
  const beforeDump = (act: () => Promise<void>) =>
    actWhileHeld(pipeline(), 'CreateMultipartUpload', () => pipeline().run(), act);

  it('fails by name when pg_dump is killed half-way', async () => {
    const outcome = await dumpHalfWay(async () => {
      const [pid, ...others] = await findPrograms(pipeline(), 'pg_dump');
      expect(others).toEqual([]);
      process.kill(pid ?? 0, 'SIGKILL');
    });
    expectOneAlert(outcome, 'DumpFailed', 'pg_dump was ended by SIGKILL');
    expect(retriedErrors()).toEqual([]);
  });

  it('tries again and succeeds when a crash of the server cut the dump off', async () => {
    const before = (await listBackups(pipeline())).size;
    const { execution, alerts } = await dumpHalfWay(async () => {
      const [backend] = await sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' AND query LIKE 'COPY%'",
      );
      process.kill(Number(backend?.['pid']), 'SIGKILL');
    });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(retriedErrors()[0]).toBe('ConnectionLost');
    expect(alerts).toHaveLength(1);
    expect((await listBackups(pipeline())).size).toBe(before + 1);
  });

  it('tries again and succeeds when the session that holds its snapshot was ended', async () => {
    const { execution } = await beforeDump(async () => {
      const ended = await sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'",
      );
      expect(ended).toHaveLength(1);
    });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(retriedErrors()).toEqual(['ConnectionLost']);
  });

  it('names a password that the server rejects, and shows it nowhere', async () => {
    const [current = ''] = passwords;
    const other = randomBytes(18).toString('base64url');
    passwords.push(other);
    await setPassword(other);
    try {
      const outcome = await pipeline().run();
      expectOneAlert(outcome, 'AuthenticationFailed', /password authentication failed.*secret/);
      expect(outcome.summary?.problems).toMatchObject([{ stage: 'discovery' }]);
    } finally {
      await setPassword(current);
    }
  });

  it('fetches the secret anew when the password is rotated while it works', async () => {
    const { requests } = pipeline().stack.store;
    const before = requests.byOperation.CreateMultipartUpload ?? 0;
    const rotated = `'"\\ %&=;$(id)${randomBytes(18).toString('base64url')}`;
    passwords.push(rotated);
    const { execution } = await beforeDump(async () => {
      await setPassword(rotated);
      const secret = { username: 'holdfast_backup', password: rotated };
      pipeline().stack.plane.secrets.setSecret(SECRET_ID, secret);
    });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    // The first pg_dump had the old password already.
    expect(requests.byOperation.CreateMultipartUpload).toBe(before + 2);
    // Discover Databases still has the old one in its cache.
    expect((await pipeline().run()).execution).toMatchObject({ status: 'SUCCEEDED' });
  });

  const setPassword = (password: string) =>
    sql(`ALTER ROLE holdfast_backup PASSWORD ${pg.escapeLiteral(password)}`);

  it('backs up the others when a database of the input does not exist', async () => {
    const outcome = await pipeline().run({ databases: ['audit', 'nope'] });
    expectOneAlert(outcome, 'BackupIncomplete', 'database nope does not exist');
    expect(outcome.summary?.problems).toMatchObject([
      { stage: 'database', database: 'nope', error: 'DatabaseNotFound' },
    ]);
    expect(outcome.summary?.databases).toContainEqual(
      expect.objectContaining({ database: 'audit', status: 'verified' }),
    );
  });

  it('says which grant is missing when the role may not read a table', async () => {
    await sql('REVOKE pg_read_all_data FROM holdfast_backup');
    try {
      expectOneAlert(
        await pipeline().run(),
        'InsufficientPrivilege',
        /may not .*trail\.entries.*GRANT pg_read_all_data TO holdfast_backup;/,
      );
    } finally {
      await sql('GRANT pg_read_all_data TO holdfast_backup');
    }
  });

  it('refuses to dump a table of which row-level security would hide rows', async () => {
    await sql('ALTER ROLE holdfast_backup NOBYPASSRLS');
    try {
      const outcome = await pipeline().run({ databases: ['shop'] });
      expectOneAlert(outcome, 'RowLevelSecurity', 'ALTER ROLE holdfast_backup BYPASSRLS;');
    } finally {
      await sql('ALTER ROLE holdfast_backup BYPASSRLS');
    }
  });

  it('tries again, then names the lock, when a table stays locked', async () => {
    const outcome = await withClient(pipeline().server, 'audit', async (client) => {
      await client.query('BEGIN; LOCK TABLE trail.entries IN ACCESS EXCLUSIVE MODE');
      return pipeline().run();
    });
    expectOneAlert(outcome, 'LockTimeout', /lock/);
    expect(retriedErrors()).toEqual(['LockTimeout', 'LockTimeout', 'LockTimeout']);
  });

  it('names a privilege that was revoked after the preflight', async () => {
    try {
      const outcome = await beforeDump(async () => {
        await sql('REVOKE pg_read_all_data FROM holdfast_backup');
      });
      expectOneAlert(outcome, 'InsufficientPrivilege', 'permission denied for');
    } finally {
      await sql('GRANT pg_read_all_data TO holdfast_backup');
    }
  });

  it.each([
    ['pg_dump', 'prints nothing', 'exit 0', 'ArchiveCorrupt', 'ends at byte 0'],
    ['pg_dump', 'stops in its contents', '"$REAL" "$@" | head -c 1000', 'ArchiveCorrupt', '1000'],
    ['pg_dump', 'stops in its data', '"$REAL" "$@" | head -c 20000', 'ArchiveCorrupt', '20000'],
    ['pg_dump', 'goes on after its end', '"$REAL" "$@"; echo bye', 'ArchiveCorrupt', 'goes on'],
    ['pg_dumpall', 'prints nothing', 'exit 0', 'DumpFailed', '0 bytes of roles'],
  ] as const)('makes no backup when %s %s and ends with 0', async (...row) => {
    const [program, , commands, error, cause] = row;
    await clients.replace(program, commands);
    try {
      expectOneAlert(await pipeline().run(), error, cause);
    } finally {
      await clients.restore(program);
    }
  });

  it('makes no backup when pg_dump prints a whole archive and ends with 1', async () => {
    await clients.replace(
      'pg_dump',
      '"$REAL" "$@"; echo "pg_dump: error: out of luck" >&2; exit 1',
    );
    try {
      const outcome = await pipeline().run();
      expectOneAlert(outcome, 'DumpFailed', 'pg_dump ended with 1: out of luck');
    } finally {
      await clients.restore('pg_dump');
    }
  });

  it('backs up databases whose names look like options, strings, keys and SQL', async () => {
    const names = [
      `we"ird =db';--\n日本`,
      '-rf',
      '--version',
      'dbname=x host=evil',
      'postgres://evil/x',
      '$(id) `id` \\ %s',
      '../../up',
      'a*?b',
    ];
    for (const name of names) await sql(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
    for (const name of names) {
      await sql('CREATE TABLE here AS SELECT generate_series(1, 7) AS n', name);
    }
    const { execution, summary } = await pipeline().run({ databases: names });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    const rows = summary?.databases.map((result) => [
      result.database,
      result.status === 'verified' ? result.rows : result.failure,
    ]);
    expect(Object.fromEntries(rows ?? [])).toEqual(
      Object.fromEntries(names.map((name) => [name, 7])),
    );
    for (const name of names) await sql(`DROP DATABASE ${pg.escapeIdentifier(name)}`);
  });

  it('backs up 2,000 tables in 200 schemas within its time', async () => {
    await sql('CREATE DATABASE wide');
    await sql(
      `DO $$ BEGIN FOR s IN 1..200 LOOP
        EXECUTE format('CREATE SCHEMA s%s', s);
        FOR t IN 1..10 LOOP EXECUTE format('CREATE TABLE s%s.t%s AS SELECT 1 AS n', s, t); END LOOP;
      END LOOP; END $$`,
      'wide',
    );
    const { execution, summary } = await pipeline().run({ databases: ['wide'] });
    expect(execution).toMatchObject({ status: 'SUCCEEDED' });
    expect(summary?.databases).toMatchObject([{ tables: 2000, rows: 2000 }]);
  });

  // The last two: the server does not come back.
  it('tries again, then names the server, when that is stopped half-way for good', async () => {
    const outcome = await dumpHalfWay(async () => {
      process.kill(pipeline().server.pid, 'SIGQUIT');
      await expect.poll(() => pipeline().server.isRunning).toBe(false);
    });
    expectOneAlert(outcome, 'DatabaseUnreachable', 'ECONNREFUSED');
    expect(retriedErrors()).toEqual([
      'ConnectionLost',
      'DatabaseUnreachable',
      'DatabaseUnreachable',
    ]);
  });

  it('names the server when that is down from the start', async () => {
    const outcome = await pipeline().run();
    expectOneAlert(outcome, 'DatabaseUnreachable', 'ECONNREFUSED');
    expect(outcome.summary?.problems).toMatchObject([{ stage: 'discovery' }]);
  });
});

describe('a server that is newer than every client', () => {
  const clientsDirectory = mkdtempSync(join(tmpdir(), 'holdfast-clients-'));
  const pipeline = usePipeline({ scale: 0.001, stack: { clientsDirectory } });
  beforeAll(() => makeClientDirectory(clientsDirectory, { as: 17 }), 60_000);
  afterAll(() => rm(clientsDirectory, { recursive: true, force: true }));

  it('is refused before anything is dumped', async () => {
    const outcome = await pipeline().run();
    expectOneAlert(
      outcome,
      'ClientTooOld',
      /the server is PostgreSQL 18, the clients at hand are 17.*add client 18 to/,
    );
    expect(pipeline().stack.plane.ecs.tasks()).toEqual([]);
    await expectNothingHalfWritten(pipeline());
  });
});
