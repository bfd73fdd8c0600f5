import { readFile } from 'node:fs/promises';
import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import { Signer } from '@aws-sdk/rds-signer';
import pg from 'pg';
import type { Connection } from '#contracts/source-plan.ts';
import { translatePgError } from '#domain/pg-errors.ts';
import { AuthenticationFailed, InvalidEnvironment, SecretUnusable } from '#errors';
import type { Databases, Session } from '#runtime/ports.ts';
import { translateAwsError } from './aws-errors.ts';
import type { Secrets } from './secrets.ts';

/** DNS, TCP, TLS and SCRAM together; a server that needs longer is not fit to be dumped. */
const CONNECT_SECONDS = 15;
/** Our own queries read catalogs only. A session that waits for pg_dump sets it to 0 for itself. */
const STATEMENT_SECONDS = 60;
/** When the server does not even report its own timeout, the network is gone. */
const ANSWER_SECONDS = STATEMENT_SECONDS + 15;
const CLOSE_SECONDS = 5;
const APPLICATION_NAME = 'holdfast';

/** Makes an IAM token: a password that is valid for 15 minutes and checked at connect only. */
export type IamToken = (target: {
  hostname: string;
  port: number;
  username: string;
  region: string;
}) => Promise<string>;

export interface DatabasesOptions {
  readonly secrets: Secrets;
  /** Of the server, unless its host name tells another one. */
  readonly region: string;
  /** PEM file to trust where the plan names none. */
  readonly caFile: string;
  readonly iamToken?: IamToken;
  readonly connectSeconds?: number;
  /** `-c name=value …`, over what a database or a role is set to. Of servers without a pooler alone, which refuses them. */
  readonly startupOptions?: string;
}

interface Login {
  readonly user: string;
  readonly password: string;
}

/** PostgreSQL sessions by node-postgres, and the environment of libpq programs. */
export function makeDatabases(options: DatabasesOptions): Databases {
  const { secrets, region, caFile, iamToken = signToken } = options;
  const { connectSeconds = CONNECT_SECONDS, startupOptions } = options;
  const certificates = new Map<string, Promise<string>>();

  async function login(connection: Connection, refresh: boolean): Promise<Login> {
    const { auth, host, port } = connection;
    if (auth.type === 'secret') {
      const { username, password } = await secrets.credentials(auth.secretId, { refresh });
      const user = connection.user ?? username;
      if (user !== undefined) return { user, password };
      throw new SecretUnusable(`secret ${auth.secretId} has no username`, {
        remedy: 'add it, or write connection.user in the plan',
      });
    }
    const user = connection.user ?? '';
    const target = { hostname: host, port, username: user, region: regionOf(host) ?? region };
    return { user, password: await iamToken(target) };
  }

  function certificate(file: string): Promise<string> {
    const known = certificates.get(file) ?? readFile(file, 'utf8');
    certificates.set(file, known);
    return known.catch((cause: unknown) => {
      certificates.delete(file);
      throw new InvalidEnvironment(`the CA file ${file} cannot be read`, {
        remedy: 'put it into the image and the layer, or correct connection.tls.caFile',
        cause,
      });
    });
  }

  async function tlsOptions(connection: Connection): Promise<ConnectionOptions | false> {
    const { mode, caFile: ownFile } = connection.tls;
    if (mode === 'disable') return false;
    if (mode === 'require') return { rejectUnauthorized: false };
    return {
      ca: await certificate(ownFile ?? caFile),
      rejectUnauthorized: true,
      // The plan's host: Node would take "localhost" where the host is an address.
      checkServerIdentity: (_host, peer) =>
        mode === 'verify-full' ? checkServerIdentity(connection.host, peer) : undefined,
    };
  }

  async function open(
    connection: Connection,
    database: string,
    { user, password }: Login,
    { unlimited = false }: { unlimited?: boolean },
  ): Promise<Session> {
    const { host, port } = connection;
    const client = new pg.Client({
      host,
      port,
      user,
      password,
      database,
      ssl: await tlsOptions(connection),
      application_name: APPLICATION_NAME,
      ...(startupOptions === undefined ? {} : { options: startupOptions }),
      connectionTimeoutMillis: connectSeconds * 1000,
      ...(unlimited ? {} : { query_timeout: ANSWER_SECONDS * 1000 }),
      keepAlive: true,
    });
    // Without a listener, a connection that breaks while idle would end the process.
    client.on('error', () => {});
    const where = `${JSON.stringify(database)} on ${host}:${port}`;
    try {
      await client.connect();
      await client.query(EMPTY_SEARCH_PATH);
      await client.query(SESSION_SETTINGS, [String(unlimited ? 0 : STATEMENT_SECONDS * 1000)]);
    } catch (error) {
      await close(client);
      throw translatePgError(error, `connect to ${where} as ${user}`, [password]);
    }
    return {
      async query<Row extends Record<string, unknown>>(
        text: string,
        values: readonly unknown[] = [],
      ) {
        try {
          return (await client.query<Row>(text, [...values])).rows;
        } catch (error) {
          throw translatePgError(error, `query ${where}`, [password]);
        }
      },
      close: () => close(client),
    };
  }

  return {
    async connect(connection, database, options = {}) {
      const first = await login(connection, false);
      try {
        return await open(connection, database, first, options);
      } catch (error) {
        if (!(error instanceof AuthenticationFailed) || connection.auth.type !== 'secret')
          throw error;
        // The password may have been rotated since the secret was cached.
        const fresh = await login(connection, true);
        if (fresh.user === first.user && fresh.password === first.password) throw error;
        return open(connection, database, fresh, options);
      }
    },

    async clientEnvironment(connection, database, { refresh = false } = {}) {
      const { user, password } = await login(connection, refresh);
      const { mode, caFile: ownFile } = connection.tls;
      const verifies = mode === 'verify-full' || mode === 'verify-ca';
      return {
        environment: {
          PGHOST: connection.host,
          PGPORT: String(connection.port),
          PGUSER: user,
          // Taken literally here; as an argument, a name with "=" would be a connection string.
          PGDATABASE: database,
          PGPASSWORD: password,
          PGSSLMODE: mode,
          // Where libpq finds a root certificate, `require` verifies like `verify-ca`: so only here.
          ...(verifies ? { PGSSLROOTCERT: ownFile ?? caFile } : {}),
          PGAPPNAME: APPLICATION_NAME,
          PGCONNECT_TIMEOUT: String(connectSeconds),
          // English messages, see pg-errors.ts. No PGCLIENTENCODING: a dump is in the database's own
          // encoding, as a conversion could fail or lose.
          LC_ALL: 'C',
        },
        secrets: [password],
      };
    },
  };
}

/** From here on nothing in the database can stand in for an object of the catalog. */
const EMPTY_SEARCH_PATH = "SELECT pg_catalog.set_config('search_path', '', false)";

/**
 * A role or a database may have time limits of its own. Only those that the server knows are changed; as
 * settings, not as start-up parameters, because poolers refuse those.
 */
const SESSION_SETTINGS = `
  SELECT pg_catalog.set_config(name, CASE name WHEN 'statement_timeout' THEN $1 ELSE '0' END, false)
  FROM pg_catalog.pg_settings
  WHERE name IN ('statement_timeout', 'transaction_timeout', 'idle_session_timeout',
                 'idle_in_transaction_session_timeout')`;

async function close(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => client.connection.stream.destroy(), CLOSE_SECONDS * 1000);
  try {
    await client.end();
  } catch {
    // It is gone, which is what was wanted.
  } finally {
    clearTimeout(timer);
  }
}

/** The region in an RDS host name: a token signed for another one is rejected. */
function regionOf(host: string): string | undefined {
  return /\.([a-z]{2}(?:-[a-z]+)+-\d)\.rds\.amazonaws\.com(?:\.cn)?$/.exec(host)?.[1];
}

async function signToken(target: Parameters<IamToken>[0]): Promise<string> {
  try {
    return await new Signer(target).getAuthToken();
  } catch (error) {
    throw translateAwsError(error, `sign an IAM token for ${target.username}`);
  }
}
