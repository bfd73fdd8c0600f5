import type { RoleHandling } from '#contracts/restore.ts';
import { displayName } from '#domain/display-text.ts';
import type { ArchiveRoles } from '#domain/restore/archive-roles.ts';
import { renderSetting } from '#domain/restore/database-definition.ts';
import {
  membershipOptions,
  parseGlobals,
  plainAttributes,
  type RoleDefinition,
  specialAttributes,
} from '#domain/restore/globals-sql.ts';
import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { InsufficientPrivilege, RolesMissing } from '#errors';
import type { Session } from '#runtime/ports.ts';
import { markRoleStatement, rolesMadeBy, shareRoles } from './created-roles.ts';
import { inspectTargetServer } from './target-server.ts';

/** So many names stand in a message; the rest is counted. */
const NAMED = 20;

/** Which of these roles the server does not have, in their order. */
export async function findMissingRoles(
  session: Session,
  roles: Iterable<string>,
): Promise<string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT r.name AS "name"
     FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS r(name, position)
     WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r.name) ORDER BY r.position`,
    [[...roles]],
  );
  return rows.map(({ name }) => name);
}

/**
 * Sees to it that the roles of an archive are there and that the restoring role can give objects to their
 * owners, as `roles` says. Run it before anything is made. `globals`: reads the backup's globals.sql;
 * undefined for a foreign archive. What is made carries the mark of `restoreId`, so that a failed restore can take
 * it back; undefined: the server lives no longer than the restore. `created` has what an earlier try made, too.
 *
 * Throws RolesMissing, which names them, InsufficientPrivilege, and what `globals` throws.
 */
export async function requireRoles(
  session: Session,
  { owners, named }: ArchiveRoles,
  roles: RoleHandling,
  globals: (() => Promise<string>) | undefined,
  restoreId?: string,
): Promise<{ created: string[]; warnings: string[] }> {
  const ownersCount = !roles.noOwner && roles.role === undefined;
  const wanted = new Set([
    ...(ownersCount ? owners : []),
    ...named,
    ...(roles.role === undefined ? [] : [roles.role]),
  ]);
  const missing = await findMissingRoles(session, wanted);
  if (missing.length > 0 && (!roles.createMissing || !globals)) throw rolesMissing(missing, owners);
  const actingAs = roles.role !== undefined ? [roles.role] : ownersCount ? [...owners] : [];
  // As a role that is named all is made; of owners the privileges are needed while it is not.
  const { versionNumber } = await inspectTargetServer(session);
  const privileges = privilegesNeeded(versionNumber, roles.role === undefined);
  const made = new Set(missing);
  // First those that are there: nothing is made before something else is found to be wrong.
  await requireMembership(
    session,
    actingAs.filter((it) => !made.has(it)),
    privileges,
  );
  let earlier: string[] = [];
  if (restoreId !== undefined) {
    earlier = (await rolesMadeBy(session, restoreId)).filter((role) => wanted.has(role));
    await shareRoles(session, [...wanted], restoreId);
  }
  if (missing.length === 0 || !globals) return { created: earlier, warnings: [] };
  const done = await createMissingRoles(session, await globals(), missing, restoreId);
  await requireMembership(session, actingAs, privileges);
  return { ...done, created: [...earlier, ...done.created] };
}

function rolesMissing(missing: readonly string[], owners: ReadonlySet<string>): Error {
  const listed = missing.map((role) =>
    owners.has(role) ? `${displayName(role)} (owns objects)` : displayName(role),
  );
  return new RolesMissing(`the target server lacks ${enumerate(listed)}`, {
    remedy:
      'start again with roles.createMissing (without passwords), with roles.noOwner, without "privileges", or create them',
  });
}

/** `a, b and 3 more` */
function enumerate(names: readonly string[]): string {
  const shown = names.slice(0, NAMED).join(', ');
  return names.length > NAMED ? `${shown} and ${names.length - NAMED} more` : shown;
}

/** Ways of being a member, as `pg_has_role` names them, of which each stands in a GRANT from 16 on. */
type Membership = 'SET' | 'MEMBER' | 'USAGE';

/**
 * ALTER … OWNER TO a role needs membership in it, from PostgreSQL 16 on with the SET option. What is given away
 * then still gets its rows, indexes and grants: that needs the privileges of the owner, inherited.
 */
function privilegesNeeded(versionNumber: number, inherited: boolean): Membership[] {
  return [versionNumber >= 160_000 ? 'SET' : 'MEMBER', ...(inherited ? ['USAGE' as const] : [])];
}

async function requireMembership(
  session: Session,
  owners: readonly string[],
  privileges: readonly Membership[],
): Promise<void> {
  const { role, versionNumber } = await inspectTargetServer(session);
  const lacking = async (privilege: Membership) => {
    const rows = await session.query<{ name: string }>(
      `SELECT r.name AS "name" FROM pg_catalog.unnest($1::pg_catalog.text[]) AS r(name)
       WHERE NOT pg_catalog.pg_has_role(r.name, $2) ORDER BY 1`,
      // Membership in this one comes with owning the database.
      [owners.filter((name) => name !== 'pg_database_owner'), privilege],
    );
    return rows.map(({ name }) => name);
  };
  for (const privilege of privileges) {
    const names = await lacking(privilege);
    if (names.length === 0) continue;
    const listed = enumerate(names.map((it) => displayName(it)));
    const fact =
      privilege === 'USAGE'
        ? `the role ${displayName(role)} is a member of ${listed}, but does not inherit from it: it could not fill what it gives away`
        : `the role ${displayName(role)} cannot make ${listed} the owner of anything, as it is no member`;
    const grant = `GRANT ${names.map(quoteIdentifier).join(', ')} TO ${quoteIdentifier(role)}`;
    const command =
      versionNumber >= 160_000
        ? `${grant} WITH INHERIT TRUE, SET TRUE`
        : privilege === 'USAGE'
          ? `ALTER ROLE ${quoteIdentifier(role)} INHERIT`
          : grant;
    throw new InsufficientPrivilege(fact, {
      remedy: `run as an administrator: ${command}; or start again with roles.noOwner`,
    });
  }
}

/**
 * Makes the missing roles as the backup's globals.sql describes them, in one transaction: attributes, role
 * settings and memberships, never a password. What the server refuses (superuser attributes on RDS) is
 * left out and said. A restoring role that is no superuser becomes a member of them, to give them objects.
 *
 * Throws RolesMissing when globals.sql does not have one, or the server does not let us make it.
 */
export async function createMissingRoles(
  session: Session,
  globalsSql: string,
  missing: readonly string[],
  restoreId?: string,
): Promise<{ created: string[]; warnings: string[] }> {
  const globals = parseGlobals(globalsSql);
  const unknown = missing.filter((name) => !globals.roles.has(name));
  if (unknown.length > 0) {
    throw new RolesMissing(
      `the target server lacks ${enumerate(unknown.map((it) => displayName(it)))}, which globals.sql of the backup does not have either`,
      { remedy: 'create them, or start again with roles.noOwner or without "privileges"' },
    );
  }
  const { role: self, versionNumber } = await inspectTargetServer(session);
  const [{ superuser } = { superuser: false }] = await session.query<{ superuser: boolean }>(
    `SELECT pg_catalog.current_setting('is_superuser')::pg_catalog.bool AS "superuser"`,
  );
  const definitions = missing.flatMap((name) => globals.roles.get(name) ?? []);
  const warnings: string[] = [];
  const attempt = async (sql: string, refused: string) => {
    const reason = await tryInTransaction(session, sql);
    if (reason !== undefined) warnings.push(`${refused}: ${reason}`);
  };

  await session.query('BEGIN');
  try {
    for (const definition of definitions) {
      await createRole(session, definition);
      const name = displayName(definition.name);
      const quoted = quoteIdentifier(definition.name);
      if (restoreId !== undefined) {
        await attempt(
          markRoleStatement(definition.name, restoreId),
          `the role ${name} has no mark, and would stay if the restore failed`,
        );
      }
      for (const attribute of specialAttributes(definition)) {
        await attempt(
          `ALTER ROLE ${quoted} ${attribute}`,
          `the role ${name} was made without ${attribute}`,
        );
      }
      for (const setting of definition.settings) {
        await attempt(
          `ALTER ROLE ${quoted} ${renderSetting(setting)}`,
          `the role ${name} was made without its setting ${setting.name}`,
        );
      }
    }
    const known = new Set(missing);
    for (const membership of globals.memberships) {
      const { role, member } = membership;
      if (!known.has(role) && !known.has(member)) continue;
      await attempt(
        `GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(member)}${membershipOptions(membership, versionNumber)}`,
        `the role ${displayName(member)} is no member of ${displayName(role)}`,
      );
    }
    if (!superuser) {
      for (const name of missing) {
        const options = versionNumber >= 160_000 ? ' WITH INHERIT TRUE, SET TRUE' : '';
        await attempt(
          `GRANT ${quoteIdentifier(name)} TO ${quoteIdentifier(self)}${options}`,
          `the restoring role is no member of ${displayName(name)}`,
        );
      }
    }
    await session.query('COMMIT');
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {});
    throw error;
  }
  const logins = definitions.filter(({ attributes }) => attributes.get('LOGIN'));
  if (logins.length > 0) {
    const names = enumerate(logins.map(({ name }) => displayName(name)));
    warnings.push(`${names} cannot log in until a password is set: a backup has none`);
  }
  return { created: [...missing], warnings };
}

async function createRole(session: Session, definition: RoleDefinition): Promise<void> {
  const { name } = definition;
  try {
    await session.query(`CREATE ROLE ${quoteIdentifier(name)} ${plainAttributes(definition)}`);
  } catch (error) {
    if (sqlStateOf(error) === undefined) throw error;
    throw new RolesMissing(
      `the role ${displayName(name)} is missing and cannot be made: ${serverMessage(error)}`,
      {
        remedy: 'let an administrator create it (or grant CREATEROLE), or start again with noOwner',
        cause: error,
      },
    );
  }
}

/** Answers the server's reason when it refused; what was done before stays. */
async function tryInTransaction(session: Session, sql: string): Promise<string | undefined> {
  await session.query('SAVEPOINT attempt');
  try {
    await session.query(sql);
    await session.query('RELEASE SAVEPOINT attempt');
    return undefined;
  } catch (error) {
    if (sqlStateOf(error) === undefined) throw error;
    await session.query('ROLLBACK TO SAVEPOINT attempt');
    return serverMessage(error);
  }
}
