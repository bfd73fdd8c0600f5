import type { Connection } from '#contracts/source-plan.ts';
import { SQLSTATE, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { DatabaseUnreachable } from '#errors';
import type { Databases, Session } from '#runtime/ports.ts';

/** What decides how a server can be restored into. */
export interface TargetServer extends Record<string, unknown> {
  readonly version: string;
  readonly versionNumber: number;
  readonly isReplica: boolean;
  /** RDS or Aurora: nobody there is a superuser. */
  readonly isRds: boolean;
  /** Who restores. */
  readonly role: string;
}

export async function inspectTargetServer(session: Session): Promise<TargetServer> {
  const [server] = await session.query<TargetServer>(`
    SELECT pg_catalog.current_setting('server_version') AS "version",
           pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS "versionNumber",
           pg_catalog.pg_is_in_recovery() AS "isReplica",
           EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'rds_superuser') AS "isRds",
           current_user::pg_catalog.text AS "role"`);
  if (!server) throw new DatabaseUnreachable('the target server answered nothing about itself');
  return server;
}

export interface TargetDatabase extends Record<string, unknown> {
  readonly name: string;
  readonly owner: string;
  readonly encoding: string;
  readonly comment: string | null;
}

/** Of a database as the server lists it; undefined: there is none of that name. */
export async function findDatabase(
  session: Session,
  name: string,
): Promise<TargetDatabase | undefined> {
  const [database] = await session.query<TargetDatabase>(
    `SELECT datname::pg_catalog.text AS "name",
            pg_catalog.pg_get_userbyid(datdba)::pg_catalog.text AS "owner",
            pg_catalog.pg_encoding_to_char(encoding)::pg_catalog.text AS "encoding",
            pg_catalog.shobj_description(oid, 'pg_database') AS "comment"
     FROM pg_catalog.pg_database WHERE datname = $1`,
    [name],
  );
  return database;
}

/**
 * A session that is closed in any case; statements have no time limit. The signal closes it too, which ends
 * what is running, and its reason is thrown then.
 */
export async function withSession<T>(
  databases: Databases,
  connection: Connection,
  database: string,
  use: (session: Session) => Promise<T>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<T> {
  signal?.throwIfAborted();
  const session = await databases.connect(connection, database, { unlimited: true });
  const onAbort = () => void session.close();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    const result = await use(session);
    signal?.throwIfAborted();
    return result;
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await session.close();
  }
}

/**
 * Runs a statement; where the role may not, once more as the owner of what it is about. A member of the
 * owner does not always have its privileges (NOINHERIT, and memberships from PostgreSQL 16 on), but may
 * act as it. Not within a transaction. Throws what the first try threw.
 */
export async function queryAsOwner<Row extends Record<string, unknown>>(
  session: Session,
  owner: string,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  try {
    return await session.query<Row>(sql, values);
  } catch (error) {
    if (sqlStateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    try {
      await session.query(`SET ROLE ${quoteIdentifier(owner)}`);
    } catch {
      throw error;
    }
    try {
      return await session.query<Row>(sql, values);
    } finally {
      await session.query('RESET ROLE');
    }
  }
}
