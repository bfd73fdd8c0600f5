import { statSync } from 'node:fs';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SourcePlan } from '#contracts/source-plan.ts';
import type { BackupRef } from '#domain/names.ts';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import { LOCAL } from '#local/stack.ts';
import { withClient } from '#test/postgres.ts';
import { alertText, expectFailure, expectNoSession, useDesk } from '#test/restore-case.ts';
import { contentsOf } from '#test/restored-copy.ts';
import {
  mountSmallFileSystem,
  type SmallFileSystem,
  whyNoSmallFileSystem,
} from '#test/small-file-system.ts';

const impossible = whyNoSmallFileSystem();
const skipped = impossible === undefined ? '' : ` (skipped, none can be mounted: ${impossible})`;
const MB = 1024 ** 2;

/** 20 MB of rows, and two indexes of several MB; zeros of the empty database are 8 MB. */
const FILL = `
  CREATE TABLE wide (id int NOT NULL, body text NOT NULL, word text NOT NULL);
  ALTER TABLE wide ALTER body SET STORAGE PLAIN;
  INSERT INTO wide SELECT n, repeat(md5(n::text), 4), md5((n * 7)::text) || md5((n * 11)::text)
    FROM generate_series(1, 80000) AS n;
  CREATE INDEX wide_word ON wide (word);
  CREATE INDEX wide_body ON wide (body)`;

describe.skipIf(impossible !== undefined)(`a disk that is full${skipped}`, () => {
  const desk = useDesk();
  let disk: SmallFileSystem;
  let backup: BackupRef;
  beforeAll(async () => {
    const { server } = desk.pipeline;
    disk = mountSmallFileSystem(statSync(server.dataDirectory));
    await desk.query(`CREATE TABLESPACE small LOCATION '${disk.directory}'`);
    await desk.query('CREATE DATABASE bulky TABLESPACE small');
    await desk.query(FILL, 'bulky');
    await desk.query('CHECKPOINT');
    backup = await desk.backUp('bulky');
    await desk.accept();
  });
  afterAll(async () => {
    await desk.query('DROP DATABASE bulky WITH (FORCE)');
    await desk.query('DROP TABLESPACE small');
    disk?.unmount();
  });

  const restore = (input = {}) =>
    desk.restore({ database: 'bulky', backup: backup.backupId, ...input });

  it.each([
    ['the database is made', 1 * MB, /cannot create bulky_restored_\w+: .*No space left on device/],
    ['rows are loaded', 14 * MB, /data of public\.wide: .*No space left on device/],
    ['indexes are built', 34 * MB, /post-data: INDEX public\.wide_\w+ .*No space left on device/],
  ])('while %s is said, and what was made is dropped', async (_, room, cause) => {
    disk.leaveRoom(room);
    const before = disk.usedBytes();
    const outcome = await restore();
    expectFailure(outcome, { error: 'TargetFull', cause, left: 'nothing-left' });
    expect(alertText(outcome)).toContain('Give the target server more storage');
    // The room that it took is there again, and the server can do with it what it likes.
    expect(disk.usedBytes()).toBe(before);
    await desk.query('CREATE TABLE goes_on (); DROP TABLE goes_on', 'bulky');
  });

  it('while rows are loaded into a database that was there leaves it empty', async () => {
    await desk.query('CREATE DATABASE spare TABLESPACE small');
    disk.leaveRoom(8 * MB);
    const outcome = await restore({ target: { mode: 'existing', database: 'spare' } });
    expectFailure(outcome, { error: 'TargetFull', cause: 'public.wide', left: 'emptied' });
    const [{ found } = { found: NaN }] = await desk.query(
      "SELECT count(*)::int AS found FROM pg_class WHERE relnamespace = 'public'::regnamespace",
      'spare',
    );
    expect(found).toBe(0);
    await desk.query('DROP DATABASE spare');
  });

  it('is no matter any more when there is room again', async () => {
    disk.leaveRoom(14 * MB);
    expect((await restore()).execution).toMatchObject({ error: 'TargetFull' });
    disk.leaveRoom(200 * MB);
    const { execution, record } = await restore();
    expect(execution).toMatchObject({ status: 'SUCCEEDED', error: undefined });
    const database = record?.report?.database ?? '';
    expect(await contentsOf(desk.pipeline.server, database)).toEqual(
      await contentsOf(desk.pipeline.server, 'bulky'),
    );
    await desk.query(`DROP DATABASE "${database}"`);
  });

  describe('under a whole server', () => {
    let whole: SmallFileSystem;
    let roomy: string;
    let server: PostgresServer;
    /** The same port is not to be had again: the plan of `small` says where it is now. */
    const start = async (settings: Record<string, string>) => {
      const { stack, plan } = desk.pipeline;
      const password = 'password-of-the-small-server';
      server = await startPostgres({
        dataDirectory: join(whole.directory, 'data'),
        settings: { fsync: 'off', restart_after_crash: 'off', ...settings },
        password,
      });
      desk.secrets.push(password);
      stack.plane.secrets.setSecret('small', { username: server.user, password });
      const { host, port } = server;
      const small = SourcePlan.parse({
        ...plan,
        source: 'small',
        engine: { type: 'postgres' },
        connection: { ...plan.connection, host, port },
        restore: { auth: { type: 'secret', secretId: 'small' } },
      });
      stack.plane.ssm.putParameter(`${LOCAL.planPrefix}small`, JSON.stringify(small));
    };
    const run = (sql: string, database = 'postgres') =>
      withClient(server, database, async (client) => (await client.query(sql)).rows);
    const databases = async () =>
      (await run('SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1')).map(
        ({ datname }) => String(datname),
      );
    const restoreThere = () => restore({ target: { source: 'small' }, roles: { noOwner: true } });
    const expectRestored = async (...warnings: RegExp[]) => {
      const { execution, record } = await restoreThere();
      expect(execution).toMatchObject({ status: 'SUCCEEDED', error: undefined });
      const database = record?.report?.database ?? '';
      expect(record?.report?.warnings).toEqual(
        expect.arrayContaining(warnings.map((warning) => expect.stringMatching(warning))),
      );
      const { tables } = await contentsOf(desk.pipeline.server, 'bulky');
      expect((await contentsOf(server, database)).tables).toEqual(tables);
      await run(`DROP DATABASE "${database}"`);
    };

    beforeEach(async () => {
      whole = mountSmallFileSystem();
      roomy = await mkdtemp(join(tmpdir(), 'holdfast-roomy-'));
    });
    afterEach(async () => {
      await server?.stop('immediate');
      whole?.unmount();
      await rm(roomy, { recursive: true, force: true });
    });

    it('with room for its log leaves the server running, and nothing of the restore', async () => {
      await start({ min_wal_size: '256MB' });
      // A server that has worked keeps files of its log for what comes.
      for (let file = 0; file < 16; file += 1) {
        await run('CREATE TABLE logged (); DROP TABLE logged; SELECT pg_switch_wal()');
      }
      await run('CHECKPOINT');
      whole.leaveRoom(14 * MB);
      const outcome = await restoreThere();
      expectFailure(outcome, {
        error: 'TargetFull',
        cause: /data of public\.wide: .*No space left on device/,
        left: 'nothing-left',
      });
      expect(server.isRunning).toBe(true);
      await expectNoSession(server);
      expect(await databases()).toEqual(['postgres']);
      whole.leaveRoom(300 * MB);
      await expectRestored();
    });

    it('without room for its log stops the server, and it is said what may be left', async () => {
      await start({ max_wal_size: '32MB', min_wal_size: '32MB' });
      const { uid, gid } = statSync(server.dataDirectory);
      await chown(roomy, uid, gid);
      await run(`CREATE TABLESPACE small LOCATION '${roomy}'`);
      whole.leaveRoom(8 * MB);
      const outcome = await restoreThere();
      // Whichever process needs more log is the one that ends the server: ours, which says why, or another one.
      expect(['TargetFull', 'DatabaseUnreachable']).toContain(outcome.execution.error);
      expectFailure(outcome, {
        error: outcome.execution.error ?? '',
        cause: /pg_wal.*No space left on device|ECONNREFUSED/,
        left: 'failed',
      });
      const left = outcome.record?.restore.target.database ?? '';
      expect(alertText(outcome)).toContain(
        `The database ${left} on the server of small may be there, half restored. The next restore`,
      );
      await expect.poll(() => server.isRunning).toBe(false);
      whole.leaveRoom(300 * MB);
      await start({});
      expect(await databases()).toEqual([left, 'postgres']);
      await expectRestored(/^what the failed restore \S+ had left in \S+ was taken back$/);
      expect(await databases()).toEqual(['postgres']);
    });
  });
});
