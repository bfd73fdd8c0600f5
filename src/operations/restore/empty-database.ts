import { serverMessage } from '#domain/restore/sql-state.ts';
import { quoteIdentifier, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import type {
  BeforeRestore,
  DefaultPrivileges,
  Grant,
  PublicSchema,
} from '#domain/restore/target-mark.ts';
import {
  dropStatement,
  LARGE_OBJECTS_QUERY,
  SUBSCRIPTIONS_QUERY,
  type SubscriptionRow,
  USER_OBJECTS_QUERY,
  type UserObject,
} from '#domain/restore/user-objects.ts';
import type { Session } from '#runtime/ports.ts';
import { queryAsOwner } from './target-server.ts';

/** Drops in one implicit transaction: their locks fit into a server's default lock table many times. */
const DROPS_AT_A_TIME = 50;
/** Each large object takes a lock until the transaction ends. */
const LARGE_OBJECTS_AT_A_TIME = 1_000;
/** What could not go the first time may go when what stood in its way is gone. */
const ROUNDS = 4;

/** What a database has that is not the restore's: to be put back by {@link emptyDatabase}. */
export async function recordBefore(
  session: Session,
  comment: string | null,
): Promise<BeforeRestore> {
  const extensions = (await userObjects(session)).filter(({ type }) => type === 'extension');
  return {
    comment,
    extensions: extensions.map(({ identity }) => identity),
    publicSchema: await publicSchema(session),
    defaultPrivileges: await defaultPrivileges(session),
  };
}

export async function userObjects(session: Session): Promise<UserObject[]> {
  return session.query<UserObject>(USER_OBJECTS_QUERY);
}

export async function countLargeObjects(session: Session): Promise<number> {
  const [row] = await session.query<{ total: string }>(LARGE_OBJECTS_QUERY);
  return Number(row?.total ?? 0);
}

/**
 * Takes everything out of a database that was not in it before, or only the rows where data alone were
 * restored. Idempotent; what is done stays done when it is cut off. Answers what could not be removed,
 * each with the server's reason; empty when all is as it was.
 *
 * Not undone: rows that a restore added to tables of an extension, and grants on what belongs to the server
 * or to an extension that was there.
 */
export async function emptyDatabase(session: Session, before: BeforeRestore): Promise<string[]> {
  if (before.loaded) {
    const left = await emptyTables(session, before.loaded.tables);
    if (before.loaded.largeObjects) left.push(...(await unlinkLargeObjects(session)));
    return left;
  }
  await dropActors(session);
  let left: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const known = new Set(before.extensions);
    const objects = (await userObjects(session)).filter(
      ({ type, identity }) => type !== 'extension' || !known.has(identity),
    );
    left = objects.length === 0 ? [] : await dropAll(session, objects);
    if (left.length === 0 || left.length === objects.length) break;
  }
  left.push(...(await unlinkLargeObjects(session)));
  await resetDefaultPrivileges(session, before.defaultPrivileges);
  await resetPublicSchema(session, before.publicSchema);
  return left;
}

/**
 * Takes out what acts on its own: event triggers, which could refuse every DROP, then subscriptions.
 *
 * DROP SUBSCRIPTION would also drop the slot on the publisher, which the original may still use: so the
 * subscription is cut off from its slot first. A database with subscriptions cannot be dropped either.
 */
export async function dropActors(session: Session): Promise<void> {
  const triggers = (await userObjects(session)).filter(({ type }) => type === 'event trigger');
  for (const trigger of triggers) {
    await queryAsOwner(session, trigger.owner, dropStatement(trigger));
  }
  for (const { identity, owner } of await session.query<SubscriptionRow>(SUBSCRIPTIONS_QUERY)) {
    for (const sql of [
      `ALTER SUBSCRIPTION ${identity} DISABLE`,
      `ALTER SUBSCRIPTION ${identity} SET (slot_name = NONE)`,
      `DROP SUBSCRIPTION ${identity}`,
    ]) {
      await queryAsOwner(session, owner, sql);
    }
  }
}

/** In batches; a batch that fails is tried one by one. Answers what is left. */
async function dropAll(session: Session, objects: readonly UserObject[]): Promise<string[]> {
  const left: string[] = [];
  for (let at = 0; at < objects.length; at += DROPS_AT_A_TIME) {
    const batch = objects.slice(at, at + DROPS_AT_A_TIME);
    try {
      await session.query(batch.map(dropStatement).join('; '));
    } catch {
      for (const object of batch) {
        try {
          await queryAsOwner(session, object.owner, dropStatement(object));
        } catch (error) {
          left.push(`${object.type} ${object.identity}: ${serverMessage(error)}`);
        }
      }
    }
  }
  return left;
}

async function unlinkLargeObjects(session: Session): Promise<string[]> {
  const owners = await session.query<{ oid: string; owner: string }>(`
    SELECT DISTINCT lomowner::pg_catalog.text AS "oid",
           pg_catalog.pg_get_userbyid(lomowner)::pg_catalog.text AS "owner"
    FROM pg_catalog.pg_largeobject_metadata`);
  for (const { oid, owner } of owners) {
    try {
      let unlinked: { total: number }[];
      do {
        unlinked = await queryAsOwner<{ total: number }>(
          session,
          owner,
          `SELECT pg_catalog.count(pg_catalog.lo_unlink(o.oid))::pg_catalog.int4 AS "total"
           FROM (SELECT oid FROM pg_catalog.pg_largeobject_metadata WHERE lomowner = $1::pg_catalog.oid
                 LIMIT ${LARGE_OBJECTS_AT_A_TIME}) AS o`,
          [oid],
        );
      } while ((unlinked[0]?.total ?? 0) > 0);
    } catch (error) {
      return [`large objects of ${owner}: ${serverMessage(error)}`];
    }
  }
  return [];
}

/** A table by its quoted name, with whoever may act on it. */
export interface LoadedTable extends Record<string, unknown> {
  readonly schema: string;
  readonly table: string;
  /** Null: there is none of that name. */
  readonly owner: string | null;
}

export async function findTables(
  session: Session,
  tables: readonly (readonly [schema: string, table: string])[],
): Promise<LoadedTable[]> {
  return session.query<LoadedTable>(
    `SELECT t.schema AS "schema", t.name AS "table",
            pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS "owner"
     FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
       WITH ORDINALITY AS t(schema, name, position)
     LEFT JOIN (pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace)
       ON n.nspname = t.schema AND c.relname = t.name AND c.relkind IN ('r', 'p', 'f')
     ORDER BY t.position`,
    [tables.map(([schema]) => schema), tables.map(([, table]) => table)],
  );
}

export function tableName({ schema, table }: Pick<LoadedTable, 'schema' | 'table'>): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/** The tables that have rows; row-level security hides none. Throws InsufficientPrivilege. */
export async function tablesWithRows(
  session: Session,
  tables: readonly LoadedTable[],
): Promise<LoadedTable[]> {
  const found: LoadedTable[] = [];
  await session.query('SET row_security = off');
  for (const table of tables) {
    if (table.owner === null) continue;
    const [row] = await queryAsOwner<{ any: boolean }>(
      session,
      table.owner,
      `SELECT EXISTS (SELECT FROM ONLY ${tableName(table)}) AS "any"`,
    );
    if (row?.any) found.push(table);
  }
  return found;
}

/** Takes the rows out of tables that had none before. */
async function emptyTables(
  session: Session,
  names: readonly (readonly [string, string])[],
): Promise<string[]> {
  const there = (await findTables(session, names)).filter(({ owner }) => owner !== null);
  const filled = await tablesWithRows(session, there);
  if (filled.length === 0) return [];
  const truncate = (tables: readonly LoadedTable[]) =>
    `TRUNCATE ${tables.map((table) => `ONLY ${tableName(table)}`).join(', ')}`;
  // TRUNCATE refuses tables that others refer to, unless these are in the list; DELETE looks at the rows.
  const tries = [
    truncate(filled),
    truncate(there),
    `WITH ${filled.map((table, i) => `d${i} AS (DELETE FROM ONLY ${tableName(table)})`).join(', ')} SELECT`,
  ];
  for (const sql of tries) {
    try {
      await queryAsOwner(session, filled[0]?.owner ?? '', sql);
      return [];
    } catch {
      // Then the next.
    }
  }
  return emptyOneByOne(session, filled);
}

/**
 * For more tables than the server can lock at a time, or of several owners. A table that others refer to can
 * be emptied when they are. Answers what is left, with the reason.
 */
async function emptyOneByOne(session: Session, filled: readonly LoadedTable[]): Promise<string[]> {
  let waiting = filled;
  for (;;) {
    const left: { readonly table: LoadedTable; readonly reason: string }[] = [];
    for (const table of waiting) {
      try {
        await queryAsOwner(session, table.owner ?? '', `DELETE FROM ONLY ${tableName(table)}`);
      } catch (error) {
        left.push({ table, reason: serverMessage(error) });
      }
    }
    if (left.length === 0 || left.length === waiting.length) {
      return left.map(({ table, reason }) => `rows of ${tableName(table)}: ${reason}`);
    }
    waiting = left.map(({ table }) => table);
  }
}

const GRANTS = (acl: string) => `
  (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object(
     'grantee', CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee)::pg_catalog.text END,
     'privilege', a.privilege_type, 'grantable', a.is_grantable)
     ORDER BY a.grantee, a.privilege_type), '[]') FROM pg_catalog.aclexplode(${acl}) AS a)`;

async function publicSchema(session: Session): Promise<PublicSchema | null> {
  const [found] = await session.query<{ owner: string; grants: Grant[]; comment: string | null }>(`
    SELECT pg_catalog.pg_get_userbyid(nspowner)::pg_catalog.text AS "owner",
           ${GRANTS(`COALESCE(nspacl, pg_catalog.acldefault('n', nspowner))`)} AS "grants",
           pg_catalog.obj_description(oid, 'pg_namespace') AS "comment"
    FROM pg_catalog.pg_namespace WHERE nspname = 'public'`);
  return found ?? null;
}

async function resetPublicSchema(session: Session, wanted: PublicSchema | null): Promise<void> {
  const now = await publicSchema(session);
  if (!wanted) {
    if (now) await queryAsOwner(session, now.owner, 'DROP SCHEMA public');
    return;
  }
  if (!now) await session.query('CREATE SCHEMA public');
  const owner = now?.owner ?? wanted.owner;
  if (now?.owner !== wanted.owner) {
    await queryAsOwner(
      session,
      owner,
      `ALTER SCHEMA public OWNER TO ${quoteIdentifier(wanted.owner)}`,
    );
  }
  const { grants = [], comment = null } = (await publicSchema(session)) ?? {};
  if (JSON.stringify(grants) !== JSON.stringify(wanted.grants)) {
    const statements = regrant(grants, wanted.grants, 'ON SCHEMA public');
    await queryAsOwner(session, wanted.owner, statements.join('; '));
  }
  if (comment !== wanted.comment) {
    const text = wanted.comment === null ? 'NULL' : quoteLiteral(wanted.comment);
    await queryAsOwner(session, wanted.owner, `COMMENT ON SCHEMA public IS ${text}`);
  }
}

/** REVOKE and GRANT statements that make grants of other ones; `on`: `ON SCHEMA public`. */
function regrant(now: readonly Grant[], wanted: readonly Grant[], on: string): string[] {
  const named = (grantee: string | null) =>
    grantee === null ? 'PUBLIC' : quoteIdentifier(grantee);
  const grantees = new Set(now.map(({ grantee }) => grantee));
  return [
    ...[...grantees].map((grantee) => `REVOKE ALL ${on} FROM ${named(grantee)}`),
    ...wanted.map(
      ({ grantee, privilege, grantable }) =>
        `GRANT ${privilege} ${on} TO ${named(grantee)}${grantable ? ' WITH GRANT OPTION' : ''}`,
    ),
  ];
}

async function defaultPrivileges(session: Session): Promise<DefaultPrivileges[]> {
  return session.query<DefaultPrivileges & Record<string, unknown>>(`
    SELECT pg_catalog.pg_get_userbyid(d.defaclrole)::pg_catalog.text AS "role",
           n.nspname::pg_catalog.text AS "schema", d.defaclobjtype::pg_catalog.text AS "objects",
           ${GRANTS('d.defaclacl')} AS "grants"
    FROM pg_catalog.pg_default_acl AS d
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace ORDER BY 1, 2, 3`);
}

/** The words of ALTER DEFAULT PRIVILEGES, and the letter by which `acldefault` knows the kind. */
const DEFAULT_PRIVILEGE_OBJECTS: Readonly<
  Record<DefaultPrivileges['objects'], readonly [words: string, letter: string]>
> = {
  r: ['TABLES', 'r'],
  S: ['SEQUENCES', 's'],
  f: ['FUNCTIONS', 'f'],
  T: ['TYPES', 'T'],
  n: ['SCHEMAS', 'n'],
  L: ['LARGE OBJECTS', 'L'],
};

async function resetDefaultPrivileges(
  session: Session,
  before: readonly DefaultPrivileges[],
): Promise<void> {
  const keyOf = ({ role, schema, objects }: DefaultPrivileges) =>
    JSON.stringify([role, schema, objects]);
  const nowOf = new Map((await defaultPrivileges(session)).map((it) => [keyOf(it), it]));
  const beforeOf = new Map(before.map((it) => [keyOf(it), it]));
  for (const [key, { role, schema, objects }] of new Map([...nowOf, ...beforeOf])) {
    const [words, letter] = DEFAULT_PRIVILEGE_OBJECTS[objects];
    // Where the catalog has no entry, the server's own default holds; a schema adds to that.
    const unset = schema === null ? await serverDefault(session, letter, role) : [];
    const grants = nowOf.get(key)?.grants ?? unset;
    const wanted = beforeOf.get(key)?.grants ?? unset;
    if (JSON.stringify(grants) === JSON.stringify(wanted)) continue;
    const where = schema === null ? '' : ` IN SCHEMA ${quoteIdentifier(schema)}`;
    const prefix = `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteIdentifier(role)}${where}`;
    const statements = regrant(grants, wanted, `ON ${words}`).map((it) => `${prefix} ${it}`);
    await queryAsOwner(session, role, statements.join('; '));
  }
}

async function serverDefault(session: Session, letter: string, role: string): Promise<Grant[]> {
  const [row] = await session.query<{ grants: Grant[] }>(
    `SELECT ${GRANTS('pg_catalog.acldefault($1::pg_catalog."char", oid)')} AS "grants"
     FROM pg_catalog.pg_roles WHERE rolname = $2`,
    [letter, role],
  );
  return row?.grants ?? [];
}
