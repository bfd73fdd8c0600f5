import type { Connection } from '#contracts/source-plan.ts';
import { displayName } from '#domain/display-text.ts';
import { parseBackupId, restoredDatabaseName } from '#domain/names.ts';
import { SQLSTATE, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import type { TargetMark } from '#domain/restore/target-mark.ts';
import { InsufficientPrivilege, TargetNotEmpty } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';
import { dropActors } from './empty-database.ts';
import {
  inspectTargetServer,
  queryAsOwner,
  type TargetDatabase,
  withSession,
} from './target-server.ts';

/** Format: `holdfast_restored_<restoreId>`: what a database is called until it is marked. */
export function draftName(restoreId: string): string {
  return restoredDatabaseName('holdfast', restoreId);
}

/** The restore whose draft has that name; undefined: it is none. */
export function restoreOfDraft(name: string): string | undefined {
  const [, second = '', suffix = ''] =
    /^holdfast_restored_(\d{8}t\d{6}z)_([0-9a-z]{6})$/.exec(name) ?? [];
  const restoreId = `${second.toUpperCase()}-${suffix}`;
  return parseBackupId(restoreId) && draftName(restoreId) === name ? restoreId : undefined;
}

export function isOurs(mark: TargetMark | undefined, restoreId: string): boolean {
  return mark?.state === 'in-progress' && mark.restoreId === restoreId;
}

/** Why a database that is there cannot be the target. */
export function taken({ name }: TargetDatabase, mark: TargetMark | undefined): Error {
  const whose =
    mark?.state === 'in-progress'
      ? `, where the restore ${mark.restoreId} is at work or was cut off`
      : '';
  return new TargetNotEmpty(`there is a database ${displayName(name)} already${whose}`, {
    remedy: 'give another target.database, or drop it yourself',
  });
}

/** Drops a database of ours whoever is connected to it. */
export async function dropDatabase(
  { databases }: Pick<Deps, 'databases'>,
  session: Session,
  connection: Connection,
  { name, owner }: Pick<TargetDatabase, 'name' | 'owner'>,
): Promise<void> {
  const drop = () =>
    queryAsOwner(session, owner, `DROP DATABASE ${quoteIdentifier(name)} WITH (FORCE)`);
  try {
    await drop();
  } catch (error) {
    if (sqlStateOf(error) !== SQLSTATE.objectInUse) throw error;
    // Subscriptions keep a database from being dropped.
    await withSession(databases, connection, name, dropActors);
    await drop();
  }
}

/** A task of the same restore that was taken for dead must not go on writing. */
export async function endOwnSessions(session: Session, database: string): Promise<void> {
  await session.query(
    `SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
     WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid() AND usename = current_user
       AND application_name = pg_catalog.current_setting('application_name')`,
    [database],
  );
}

/** `comment` null: none. Throws InsufficientPrivilege where the role does not own the database. */
export async function setMark(
  session: Session,
  { name, owner }: Pick<TargetDatabase, 'name' | 'owner'>,
  comment: string | null,
): Promise<void> {
  const text = comment === null ? 'NULL' : quoteLiteral(comment);
  try {
    await queryAsOwner(session, owner, `COMMENT ON DATABASE ${quoteIdentifier(name)} IS ${text}`);
  } catch (error) {
    if (sqlStateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    const { role } = await inspectTargetServer(session);
    throw new InsufficientPrivilege(
      `the database ${displayName(name)} belongs to ${displayName(owner)}: the role ${displayName(role)} could not take back what it restores`,
      {
        remedy: `run as an administrator: GRANT ${quoteIdentifier(owner)} TO ${quoteIdentifier(role)}`,
        cause: error,
      },
    );
  }
}
