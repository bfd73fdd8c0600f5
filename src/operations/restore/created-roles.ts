import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import { ANY_MARK_OF_ROLE, markOfRole } from '#domain/restore/target-mark.ts';
import type { Session } from '#runtime/ports.ts';

/** Says of a role that this restore has made it; within the transaction that makes it. */
export function markRoleStatement(role: string, restoreId: string): string {
  return commentStatement(role, quoteLiteral(markOfRole(restoreId)));
}

function commentStatement(role: string, comment: string): string {
  return `COMMENT ON ROLE ${quoteIdentifier(role)} IS ${comment}`;
}

/** The roles that a restore made, an earlier try of it too, and that are still its own. */
export async function rolesMadeBy(session: Session, restoreId: string): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT rolname::pg_catalog.text AS "name" FROM pg_catalog.pg_roles
     WHERE pg_catalog.shobj_description(oid, 'pg_authid') = $1 ORDER BY 1`,
    [markOfRole(restoreId)],
  );
  return rows.map(({ name }) => name);
}

/**
 * Takes the mark off the roles of a restore that has ended well: they are there to stay. Answers warnings.
 */
export async function keepRoles(session: Session, restoreId: string): Promise<string[]> {
  const warnings: string[] = [];
  for (const role of await rolesMadeBy(session, restoreId)) {
    try {
      await session.query(commentStatement(role, 'NULL'));
    } catch (error) {
      if (sqlStateOf(error) === undefined) throw error;
      warnings.push(
        `the comment on the role ${quoteIdentifier(role)} stays: ${serverMessage(error)}`,
      );
    }
  }
  return warnings;
}

/**
 * Of roles that a restore needs and found, those that another one made and could still take back are not that
 * other one's any more. Where the server does not let us say so, they are left as they are.
 */
export async function shareRoles(
  session: Session,
  roles: readonly string[],
  restoreId: string,
): Promise<void> {
  const rows = await session.query<{ name: string }>(
    `SELECT rolname::pg_catalog.text AS "name" FROM pg_catalog.pg_roles
     WHERE rolname = ANY ($1::pg_catalog.text[])
       AND pg_catalog.shobj_description(oid, 'pg_authid') LIKE $2
       AND pg_catalog.shobj_description(oid, 'pg_authid') <> $3`,
    [roles, ANY_MARK_OF_ROLE, markOfRole(restoreId)],
  );
  for (const { name } of rows) {
    await session.query(commentStatement(name, 'NULL')).catch((error: unknown) => {
      if (sqlStateOf(error) === undefined) throw error;
    });
  }
}

export interface DroppedRoles {
  readonly dropped: readonly string[];
  /** What somebody uses by now, and why it cannot go. */
  readonly left: readonly { readonly role: string; readonly reason: string }[];
}

/**
 * Drops the roles that a failed restore made. One that owns something or has privileges somewhere, and one that
 * somebody is logged in as, stays: what the restore itself gave it has to be gone before.
 */
export async function dropRolesMadeBy(session: Session, restoreId: string): Promise<DroppedRoles> {
  const dropped: string[] = [];
  let waiting = await rolesMadeBy(session, restoreId);
  for (;;) {
    const left: { role: string; reason: string }[] = [];
    for (const role of waiting) {
      const reason = await tryDrop(session, role);
      if (reason === undefined) dropped.push(role);
      else left.push({ role, reason });
    }
    // One may have stood in the way of another: by what it granted to it.
    if (left.length === 0 || left.length === waiting.length) return { dropped, left };
    waiting = left.map(({ role }) => role);
  }
}

/** Answers why it stays; undefined: it is gone. */
async function tryDrop(session: Session, role: string): Promise<string | undefined> {
  const [{ sessions } = { sessions: 0 }] = await session.query<{ sessions: number }>(
    `SELECT pg_catalog.count(*)::pg_catalog.int4 AS "sessions"
     FROM pg_catalog.pg_stat_activity WHERE usename = $1`,
    [role],
  );
  if (sessions > 0) return `somebody is logged in as it (${sessions} sessions)`;
  try {
    await session.query(`DROP ROLE ${quoteIdentifier(role)}`);
    return undefined;
  } catch (error) {
    if (sqlStateOf(error) === undefined) throw error;
    const detail = serverDetail(error);
    return detail === undefined ? serverMessage(error) : `${serverMessage(error)}: ${detail}`;
  }
}

/** What depends on it; the message alone says that something does. */
function serverDetail(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth += 1) {
    const { detail } = at as { detail?: unknown };
    if (typeof detail === 'string') return detail.replaceAll('\n', ', ');
  }
  return undefined;
}
