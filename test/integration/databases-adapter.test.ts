import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { makeDatabases } from '#adapters/databases.ts';
import type { Credentials } from '#adapters/secrets.ts';
import { Connection } from '#contracts/source-plan.ts';
import { startPostgres } from '#local/postgres-server.ts';
import type { Changes } from '#test/fakes.ts';
import { usePostgres } from '#test/postgres.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';

const ODD_NAME = `od'd "n%ame"=x user=nobody ü`;
const PASSWORD = `p'a ss\\w=örd"%`;
const postgres = usePostgres({ tls: true });

beforeAll(async () => {
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  await postgres.query(
    'postgres',
    `CREATE ROLE reader LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`,
  );
  await postgres.query('postgres', `CREATE DATABASE ${quoted(ODD_NAME)}`);
  await postgres.query('postgres', 'CREATE DATABASE shop');
});

function makeConnection(changes: Changes<Connection> = {}): Connection {
  const { host, port } = postgres.server;
  return Connection.parse({
    host,
    port,
    auth: { type: 'secret', secretId: 'db' },
    ...changes,
  });
}

/** An adapter whose secret has one value when it is cached and another one when it is fresh. */
function makeAdapter(
  cached: Partial<Credentials> = {},
  fresh: Partial<Credentials> = cached,
  connectSeconds = 15,
) {
  const fetches: boolean[] = [];
  const databases = makeDatabases({
    region: 'eu-west-1',
    connectSeconds,
    caFile: postgres.server.caCertificateFile ?? '',
    iamToken: async ({ hostname, port, username, region }) =>
      username === 'reader' ? PASSWORD : `${username}@${hostname}:${port} in ${region}`,
    secrets: {
      async credentials(_secretId, { refresh = false } = {}) {
        fetches.push(refresh);
        return { username: 'reader', password: PASSWORD, ...(refresh ? fresh : cached) };
      },
    },
  });
  return { databases, fetches };
}

describe('a session', () => {
  it('is encrypted, verified, named, and sees the catalog alone', async () => {
    const session = await makeAdapter().databases.connect(makeConnection(), ODD_NAME);
    const [row] = await session.query<Record<string, unknown>>(
      `SELECT current_database() AS database, current_user AS user, ssl,
         current_setting('application_name') AS application,
         current_setting('statement_timeout') AS timeout,
         current_setting('search_path') AS path, $1::text AS bound
       FROM pg_stat_ssl WHERE pid = pg_backend_pid()`,
      [`'; DROP TABLE x; --`],
    );
    await session.close();
    expect(row).toEqual({
      database: ODD_NAME,
      user: 'reader',
      ssl: true,
      application: 'holdfast',
      timeout: '1min',
      path: '',
      bound: `'; DROP TABLE x; --`,
    });
  });

  it('has no time limits of the role, however hostile its settings', async () => {
    await postgres.query('shop', 'CREATE SCHEMA evil GRANT USAGE ON SCHEMA evil TO PUBLIC');
    await postgres.query(
      'shop',
      `CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS
         $$ BEGIN RAISE 'hijacked'; END $$;
       CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS
         $$ BEGIN RAISE 'hijacked'; END $$;
       CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.eq);
       ALTER ROLE reader IN DATABASE shop SET search_path = evil, pg_catalog;
       ALTER ROLE reader SET idle_in_transaction_session_timeout = 1000;
       ALTER ROLE reader SET transaction_timeout = 1000;`,
    );
    const session = await makeAdapter().databases.connect(makeConnection(), 'shop');
    const rows = await session.query<{ setting: string }>(
      `SELECT setting FROM pg_settings WHERE name IN ('transaction_timeout',
         'idle_in_transaction_session_timeout', 'idle_session_timeout')`,
    );
    await session.close();
    await postgres.query('shop', 'ALTER ROLE reader RESET ALL');
    expect(rows).toEqual([{ setting: '0' }, { setting: '0' }, { setting: '0' }]);
  });

  it.each([
    ['42501', 'SELECT * FROM pg_catalog.pg_authid', 'InsufficientPrivilege'],
    ['57P01', 'SELECT pg_terminate_backend(pg_backend_pid())', 'ConnectionLost'],
  ])('reports the SQLSTATE %s by its name', async (_, text, name) => {
    const session = await makeAdapter().databases.connect(makeConnection(), 'postgres');
    await expect(session.query(text)).rejects.toThrow(expect.objectContaining({ name }));
    await session.close();
  });

  it('reports a connection that broke while it was idle, and ends no process', async () => {
    const session = await makeAdapter().databases.connect(makeConnection(), 'postgres');
    const [row] = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await postgres.query('postgres', 'SELECT pg_terminate_backend($1)', [row?.pid]);
    await new Promise((passed) => setTimeout(passed, 100));
    await expect(session.query('SELECT 1')).rejects.toThrow(
      expect.objectContaining({ name: 'ConnectionLost' }),
    );
    await session.close();
  });
});

describe('a password', () => {
  it('that was rotated is fetched once more', async () => {
    const { databases, fetches } = makeAdapter({ password: 'old' }, { password: PASSWORD });
    await (await databases.connect(makeConnection(), 'postgres')).close();
    expect(fetches).toEqual([false, true]);
  });

  it('that is wrong also when it is fresh is AuthenticationFailed, without the password', async () => {
    const { databases, fetches } = makeAdapter({ password: 'old' }, { password: 'hunter2-new' });
    const error = await databases.connect(makeConnection(), 'postgres').catch((e: unknown) => e);
    expect(error).toMatchObject({ name: 'AuthenticationFailed' });
    expect(String(error)).toContain('as reader: password authentication failed');
    expect(String(error)).not.toContain('hunter2');
    expect(fetches).toEqual([false, true]);
  });

  it('that has not changed is not tried twice', async () => {
    const before = await rejections();
    const { databases } = makeAdapter({ password: 'wrong' });
    await expect(databases.connect(makeConnection(), 'postgres')).rejects.toThrow('authentication');
    expect((await rejections()) - before).toBe(1);
  });

  it('of IAM is made for the server, its user and its region', async () => {
    const { databases } = makeAdapter();
    const iam = makeConnection({ auth: { type: 'iam' }, user: 'reader' });
    await (await databases.connect(iam, 'postgres')).close();
    const there = makeConnection({
      auth: { type: 'iam' },
      user: 'backup',
      host: 'shop.cluster-abc.us-gov-west-1.rds.amazonaws.com',
    });
    const { environment } = await databases.clientEnvironment(there, 'shop');
    expect(environment['PGPASSWORD']).toBe(`backup@${there.host}:${there.port} in us-gov-west-1`);
  });

  it('without a user anywhere is SecretUnusable', async () => {
    const { databases } = makeAdapter({ username: undefined } as Partial<Credentials>);
    await expect(databases.connect(makeConnection(), 'postgres')).rejects.toThrow(
      expect.objectContaining({ name: 'SecretUnusable' }),
    );
  });
});

/** How often the server has rejected a password so far. */
async function rejections(): Promise<number> {
  const log = await readFile(postgres.server.logFile, 'utf8');
  return log.split('password authentication failed').length - 1;
}

describe('a server that cannot be used', () => {
  it.each<[string, () => Changes<Connection>, string, string]>([
    ['nobody listens', () => ({ port: 1 }), 'DatabaseUnreachable', 'ECONNREFUSED'],
    [
      'its name is unknown',
      () => ({ host: 'nohost.invalid' }),
      'DatabaseUnreachable',
      'nohost.invalid',
    ],
    [
      'its certificate is for another host',
      () => ({ host: '127.0.0.2' }),
      'DatabaseUnreachable',
      '127.0.0.2',
    ],
    [
      'the CA file is missing',
      () => ({ tls: { mode: 'verify-full', caFile: '/nonexistent/ca.pem' } }),
      'InvalidEnvironment',
      '/nonexistent/ca.pem',
    ],
  ])('because %s', async (_, changes, name, message) => {
    await expect(
      makeAdapter().databases.connect(makeConnection(changes()), 'postgres'),
    ).rejects.toThrow(expect.objectContaining({ name, message: expect.stringContaining(message) }));
  });

  it('because the database does not exist is DatabaseNotFound', async () => {
    await expect(makeAdapter().databases.connect(makeConnection(), 'nope')).rejects.toThrow(
      expect.objectContaining({ name: 'DatabaseNotFound' }),
    );
  });

  it('because its certificate is not trusted: verify-full and verify-ca refuse, require accepts', async () => {
    const other = await startPostgres({ tls: true, major: 17 });
    try {
      const { databases } = makeAdapter({ username: 'postgres', password: other.password });
      const connect = (mode: Connection['tls']['mode']) =>
        databases.connect(makeConnection({ port: other.port, tls: { mode } }), 'postgres');
      for (const mode of ['verify-full', 'verify-ca'] as const) {
        await expect(connect(mode)).rejects.toThrow(
          expect.objectContaining({ name: 'DatabaseUnreachable' }),
        );
      }
      await (await connect('require')).close();
    } finally {
      await other.stop('immediate');
    }
  });

  it('because it has no TLS is refused rather than talked to in the clear', async () => {
    const plain = await startPostgres({ major: 17 });
    try {
      const { databases } = makeAdapter({ username: 'postgres', password: plain.password });
      const at = (mode: Connection['tls']['mode']) =>
        makeConnection({ port: plain.port, tls: { mode } });
      for (const mode of ['verify-full', 'require'] as const) {
        await expect(databases.connect(at(mode), 'postgres')).rejects.toThrow(
          /does not support SSL/,
        );
      }
      await (await databases.connect(at('disable'), 'postgres')).close();
    } finally {
      await plain.stop('immediate');
    }
  });

  it('because it says nothing is given up when the time to connect is over', async () => {
    const silent = createServer();
    await new Promise<void>((ready) => silent.listen(0, '127.0.0.1', ready));
    const { port } = silent.address() as AddressInfo;
    const started = performance.now();
    try {
      await expect(
        makeAdapter({}, {}, 1).databases.connect(makeConnection({ port }), 'postgres'),
      ).rejects.toThrow(expect.objectContaining({ name: 'DatabaseUnreachable' }));
      expect(performance.now() - started).toBeLessThan(10_000);
    } finally {
      silent.close();
    }
  });
});

describe('the environment of a client program', () => {
  it('is enough for psql to connect, to a database of any name', async () => {
    const { databases } = makeAdapter();
    const { environment, secrets } = await databases.clientEnvironment(makeConnection(), ODD_NAME);
    const { directory, majors } = await ensurePostgresClients();
    const { stdout } = await promisify(execFile)(
      `${directory}/${majors.at(-1)}/bin/psql`,
      [
        '--no-psqlrc',
        '-Atc',
        'SELECT current_database(), current_user, ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()',
      ],
      { env: { PATH: '/usr/bin:/bin', ...environment }, timeout: 120_000 },
    );
    expect(stdout.trim()).toBe(`${ODD_NAME}|reader|t`);
    expect(secrets).toEqual([PASSWORD]);
  });

  it.each([
    ['verify-full', true],
    ['verify-ca', true],
    ['require', false],
    ['disable', false],
  ] as const)('with %s names a root certificate: %s', async (mode, named) => {
    const { databases } = makeAdapter();
    const { environment } = await databases.clientEnvironment(
      makeConnection({ tls: { mode } }),
      'shop',
    );
    expect(environment).toMatchObject({ PGSSLMODE: mode, LC_ALL: 'C', PGCONNECT_TIMEOUT: '15' });
    expect('PGSSLROOTCERT' in environment).toBe(named);
  });

  it('takes a fresh secret when asked to', async () => {
    const { databases, fetches } = makeAdapter();
    await databases.clientEnvironment(makeConnection(), 'shop', { refresh: true });
    expect(fetches).toEqual([true]);
  });
});
