import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import { Connection, SourcePlan } from '#contracts/source-plan.ts';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import { LOCAL } from '#local/stack.ts';
import { withClient } from '#test/postgres.ts';
import { alertText, expectFailure, expectNoSession, useDesk } from '#test/restore-case.ts';
import { contentsOf, dumpOf, restoreInto } from '#test/restored-copy.ts';
import { RESTORE_SECRET_ID } from '#test/stack.ts';

const events: ExecutionEvent[] = [];
const desk = useDesk({ onExecutionEvent: (event) => events.push(event) });
beforeEach(() => {
  events.length = 0;
});

const retriedErrors = () =>
  events.flatMap((event) =>
    event.type === 'StateRetried' && event.state === 'Restore Database' ? [event.error] : [],
  );
const contents = (database: string) => contentsOf(desk.pipeline.server, database);
const setSecret = (username: string, password: string) => {
  desk.secrets.push(password);
  desk.pipeline.stack.plane.secrets.setSecret(RESTORE_SECRET_ID, { username, password });
};
const newPassword = () => `'"\\ %&=;$(id)${randomBytes(18).toString('base64url')}`;
/** From now on another role restores. */
async function restoreAs(attributes: string): Promise<void> {
  const password = newPassword();
  await desk.query(
    `CREATE ROLE restorer LOGIN ${attributes} PASSWORD ${pg.escapeLiteral(password)}`,
  );
  setSecret('restorer', password);
}
const restoreAsBefore = async () => {
  const { user, password } = desk.pipeline.server;
  setSecret(user, password);
  await desk.query('DROP ROLE IF EXISTS restorer');
};
const dropAll = async (pattern: RegExp) => {
  const names = (await desk.databases()).filter((name) => pattern.test(name));
  for (const name of names) await desk.query(`DROP DATABASE "${name}" WITH (FORCE)`);
};

describe('the role that restores', () => {
  afterEach(restoreAsBefore);

  it('must be allowed to create a database, else the statement that helps is named', async () => {
    await restoreAs('NOSUPERUSER NOCREATEDB');
    expectFailure(await desk.restore({ roles: { noOwner: true } }), {
      error: 'InsufficientPrivilege',
      cause: 'ALTER ROLE "restorer" CREATEDB',
      left: 'nothing-left',
    });
  });

  it('must have the password of its secret', async () => {
    await restoreAs('SUPERUSER');
    setSecret('restorer', newPassword());
    // Clean Up Restore cannot look whether anything is left either.
    expectFailure(await desk.restore(), {
      error: 'AuthenticationFailed',
      cause: /password authentication failed.*secret/,
      left: 'failed',
    });
  });

  const rotate = async () => {
    const password = newPassword();
    await desk.query(`ALTER ROLE restorer PASSWORD ${pg.escapeLiteral(password)}`);
    setSecret('restorer', password);
  };

  it.each(['pre-data', 'data'] as const)(
    'may get another password in the middle of the restore: %s',
    async (moment) => {
      await restoreAs('SUPERUSER');
      const outcome = await desk.actAt(moment, rotate);
      expect(retriedErrors()).toEqual([]);
      await desk.expectWhole(outcome);
    },
  );

  it('may get another password when pg_restore is the next to connect', async () => {
    await restoreAs('SUPERUSER');
    // Without large objects, nothing of ours connects between the tables and their rows.
    const outcome = await desk.actAt('pre-data', rotate, { selection: { tables: ['public.*'] } });
    expect(retriedErrors()).toEqual([]);
    expect(outcome.execution).toMatchObject({ status: 'SUCCEEDED' });
    await dropAll(/^desk_restored/);
  });

  it('may have a password that holds for one connection, as tokens hold for minutes', async () => {
    const { server } = desk.pipeline;
    await restoreAs('SUPERUSER');
    await desk.query('CREATE DATABASE late');
    let tokens = 0;
    const databases = makeDatabases({
      region: 'eu-west-1',
      caFile: '',
      secrets: { credentials: () => Promise.reject(new Error('there is no secret')) },
      iamToken: async () => {
        tokens += 1;
        const token = newPassword();
        await desk.query(`ALTER ROLE restorer PASSWORD ${pg.escapeLiteral(token)}`);
        return token;
      },
    });
    const connection = Connection.parse({
      host: server.host,
      port: server.port,
      user: 'restorer',
      auth: { type: 'iam' },
      tls: { mode: 'disable' },
    });
    const archive = await dumpOf(server, 'desk');
    await restoreInto(server, 'late', archive, { databases, connection, jobs: 1 });
    expect(tokens).toBeGreaterThan(3);
    expect(await contents('late')).toEqual(await contents('desk'));
    await desk.query('DROP DATABASE late');
  });
});

describe('a target that is taken', () => {
  it.each([
    ['new', 'there is a database there already'],
    ['existing', 'the database there has 1 table (public.mine)'],
  ] as const)('is refused with what was found, and stays as it is: %s', async (mode, cause) => {
    await desk.query('CREATE DATABASE there');
    await desk.query('CREATE TABLE mine AS SELECT 1 AS n', 'there');
    const before = await contents('there');
    const outcome = await desk.restore({ target: { mode, database: 'there' } });
    expectFailure(outcome, { error: 'TargetNotEmpty', cause, left: 'nothing-left' });
    expect(await contents('there')).toEqual(before);
    await desk.query('DROP DATABASE there');
  });
});

describe('a statement that fails', () => {
  const home = `
    CREATE FUNCTION at_home(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
      IF current_database() <> 'brittle' THEN RAISE EXCEPTION 'not at home'; END IF;
      RETURN n; END $$;
    CREATE TABLE things AS SELECT n FROM generate_series(1, 5) AS n`;
  beforeAll(async () => {
    await desk.query('CREATE DATABASE brittle');
    await desk.query(home, 'brittle');
    await desk.accept();
  });

  it.each([
    ['CREATE INDEX things_home ON things (at_home(n))', /INDEX public\.things_home.*CREATE INDEX/],
    [
      'DROP INDEX things_home; ALTER TABLE things ADD CHECK (at_home(n) > 0)',
      /public\.things.*COPY/,
    ],
  ] as const)('is named with its object, and nothing is left: %s', async (sql, cause) => {
    await desk.query(sql, 'brittle');
    await desk.backUp('brittle');
    const outcome = await desk.restore({ database: 'brittle', backup: 'latest' });
    expectFailure(outcome, { error: 'RestoreFailed', cause, left: 'nothing-left' });
    expect(outcome.execution.cause).toContain('not at home');
  });
});

describe('a swap that does not work', () => {
  const swap = { target: { mode: 'swap', database: 'swapped' } };
  const expectNotSwapped = async (outcome: Parameters<typeof expectFailure>[0], cause: RegExp) => {
    expectFailure(outcome, { error: 'SwapFailed', cause, left: 'kept' });
    const { database } = outcome.record?.restore.target ?? {};
    expect(alertText(outcome)).toContain(`${database} was restored and checked to the end`);
    expect(await desk.databases()).toEqual(expect.arrayContaining(['swapped', database]));
    expect(await desk.query('SELECT n FROM mine', 'swapped')).toEqual([{ n: 1 }]);
  };
  beforeEach(async () => {
    await desk.query('CREATE DATABASE swapped');
    await desk.query('CREATE TABLE mine AS SELECT 1 AS n', 'swapped');
  });
  afterEach(async () => {
    await dropAll(/^swapped/);
    await restoreAsBefore();
  });

  it('leaves the original in its place when a session cannot be ended, which is named', async () => {
    await restoreAs('NOSUPERUSER CREATEDB');
    await desk.query('ALTER DATABASE swapped OWNER TO restorer');
    const outcome = await withClient(desk.pipeline.server, 'swapped', () =>
      desk.restore({ ...swap, roles: { noOwner: true } }),
    );
    await expectNotSwapped(outcome, /held by process \d+ of postgres.*permission denied/);
  });

  it('leaves the original in its place when the name for it is taken', async () => {
    const outcome = await desk.actAt(
      'check',
      async () => {
        // As long as making them takes, and 15 seconds more.
        for (let second = Date.now(); second < Date.now() + 15_000; second += 1000) {
          const time = new Date(second)
            .toISOString()
            .replaceAll(/[-:]|\.\d+/g, '')
            .toLowerCase();
          await desk.query(`CREATE DATABASE swapped_before_${time} STRATEGY file_copy`);
        }
      },
      swap,
    );
    await expectNotSwapped(outcome, /swapped_before_\w+" already exists/);
  });
});

describe('a target server that cuts the restore off', () => {
  it.each(['pre-data', 'post-data'] as const)(
    'by ending its sessions: it is tried again and succeeds: %s',
    async (moment) => {
      const outcome = await desk.actAt(moment, () =>
        desk.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holdfast'",
        ),
      );
      expect(retriedErrors()).toEqual(['ConnectionLost']);
      await desk.expectWhole(outcome);
    },
  );

  it('by a crash in the middle of the data: it is tried again and succeeds', async () => {
    const outcome = await desk.actAt('data', async () => {
      const [session] = await desk.query(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' LIMIT 1",
      );
      process.kill(Number(session?.['pid']), 'SIGKILL');
    });
    expect(retriedErrors()[0]).toBe('ConnectionLost');
    await desk.expectWhole(outcome);
  });
});

describe("another source's server", () => {
  const servers = new Map<number, PostgresServer>();
  const server = (major: number) => servers.get(major) ?? desk.pipeline.server;
  const rolesOf = (major: number) =>
    withClient(server(major), 'postgres', async (client) => {
      const { rows } = await client.query<{ rolname: string }>(
        "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1",
      );
      return rows.map(({ rolname }) => rolname);
    });
  const databasesOf = (major: number) =>
    withClient(server(major), 'postgres', async (client) => {
      const { rows } = await client.query(
        'SELECT datname FROM pg_database WHERE NOT datistemplate',
      );
      return rows;
    });

  beforeAll(async () => {
    const { stack, plan } = desk.pipeline;
    const started = await Promise.all(
      ([15, 17, 18] as const).map((major) => startPostgres({ major })),
    );
    for (const { major, host, port, user, password, ...rest } of started) {
      servers.set(major, { major, host, port, user, password, ...rest });
      desk.secrets.push(password);
      stack.plane.secrets.setSecret(`target-${major}`, { username: user, password });
      const other = SourcePlan.parse({
        ...plan,
        source: `target-${major}`,
        engine: { type: 'postgres' },
        connection: { ...plan.connection, host, port },
        restore: { auth: { type: 'secret', secretId: `target-${major}` } },
      });
      stack.plane.ssm.putParameter(`${LOCAL.planPrefix}target-${major}`, JSON.stringify(other));
    }
  });
  afterAll(async () => {
    await Promise.all([...servers.values()].map((it) => it.stop('immediate')));
  });

  it('that lacks the roles is left as it is, and the roles are named', async () => {
    expectFailure(await desk.restore({ target: { source: 'target-18' } }), {
      error: 'RolesMissing',
      cause: /lacks gate_early \(owns objects\), gate_late/,
      left: 'nothing-left',
    });
    expect(await databasesOf(18)).toEqual([{ datname: 'postgres' }]);
  });

  it.each([15, 17])(
    'of the older major %i is refused before anything is made, roles included',
    async (major) => {
      const target = { source: `target-${major}` };
      expectFailure(await desk.restore({ target, roles: { createMissing: true } }), {
        error: 'TargetUnsuitable',
        cause: `the archive comes from PostgreSQL 18, the target server is PostgreSQL ${major}`,
        left: 'nothing-left',
      });
      expect(await rolesOf(major)).toEqual(['postgres']);
      expect(await databasesOf(major)).toEqual([{ datname: 'postgres' }]);
      await expectNoSession(server(major));
    },
  );

  // The last: that server does not come back.
  it('that is stopped for good is tried again, and it is said that nobody could clean up', async () => {
    const outcome = await desk.actAt(
      'data',
      () => server(18).kill(),
      { target: { source: 'target-18' }, roles: { createMissing: true } },
      server(18),
    );
    expect(retriedErrors()).toEqual(['ConnectionLost', 'DatabaseUnreachable']);
    expectFailure(outcome, { error: 'DatabaseUnreachable', cause: 'ECONNREFUSED', left: 'failed' });
    expect(outcome.record?.cleanUp?.detail).toMatch(/^DatabaseUnreachable: cannot connect/);
  });
});
