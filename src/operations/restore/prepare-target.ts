import type { RoleHandling, Selection, TargetMode } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { Toc } from '#domain/archive/toc.ts';
import { displayName } from '#domain/display-text.ts';
import {
  type ArchivedDatabase,
  archivedDatabase,
  createDatabaseStatement,
  type DatabaseStatement,
  isOfDatabaseItself,
} from '#domain/restore/database-definition.ts';
import { SQLSTATE, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier, quoteLiteral } from '#domain/restore/sql-tokens.ts';
import {
  type BeforeRestore,
  markAsRestored,
  markInProgress,
  parseMark,
} from '#domain/restore/target-mark.ts';
import {
  InsufficientPrivilege,
  InvalidInput,
  TargetFull,
  TargetNotEmpty,
  TargetUnsuitable,
} from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';
import { keepRoles } from './created-roles.ts';
import { draftName, dropDatabase, setMark, taken } from './marked-database.ts';
import { prepareExisting } from './prepare-existing.ts';
import {
  findDatabase,
  inspectTargetServer,
  type TargetDatabase,
  type TargetServer,
  withSession,
} from './target-server.ts';

export interface TargetRequest {
  readonly connection: Connection;
  readonly restoreId: string;
  readonly mode: TargetMode;
  readonly database: string;
  /** What the archive's table of contents was parsed from. */
  readonly head: Buffer;
  readonly toc: Toc;
  /** Dump ids that are restored. */
  readonly ids: ReadonlySet<number>;
  readonly selection: Pick<Selection, 'tables' | 'schemas' | 'only' | 'without'>;
  readonly roles: Pick<RoleHandling, 'noOwner' | 'role'>;
}

export interface PreparedTarget {
  readonly server: TargetServer;
  /** What was in an existing database; undefined for a new one. */
  readonly before: BeforeRestore | undefined;
  readonly warnings: readonly string[];
}

const NAME_BYTES = 63;
/** SQLSTATEs of CREATE DATABASE for an encoding, a locale or a provider that the server does not have. */
const NO_SUCH_LOCALE: readonly string[] = [
  SQLSTATE.wrongObjectType,
  SQLSTATE.invalidParameterValue,
  SQLSTATE.featureNotSupported,
  SQLSTATE.undefinedObject,
];

/**
 * Makes the database of a restore, or makes sure that an existing one is empty, and marks it as this
 * restore's (see domain/restore/target-mark.ts). Called again for the same restore it starts over:
 * what an earlier try left is dropped or emptied first. Nothing without the mark is changed.
 *
 * Throws TargetNotEmpty, TargetUnsuitable, TargetFull, DatabaseNotFound, DependencyMissing, InvalidInput,
 * InsufficientPrivilege, and what `databases.connect` throws.
 */
export async function prepareTarget(
  { databases }: Pick<Deps, 'databases'>,
  request: TargetRequest,
): Promise<PreparedTarget> {
  const { connection, database, mode } = request;
  checkName(database);
  return withSession(databases, connection, connection.maintenanceDatabase, async (session) => {
    const server = await inspectTargetServer(session);
    if (server.isReplica) {
      throw new TargetUnsuitable('the target server is a replica: it takes no writes', {
        remedy: 'restore to its primary',
      });
    }
    await lockName(session, database);
    const there = await findDatabase(session, database);
    if (mode === 'existing') return prepareExisting({ databases }, session, server, there, request);
    const { warnings, archived } = await makeDatabase(
      { databases },
      session,
      server,
      there,
      request,
    );
    if (isOfDatabaseItself(request.selection)) {
      const early = archived.statements.filter(({ when }) => when === 'early');
      warnings.push(...(await applyStatements(session, early, database, server.role)));
    }
    const { role } = request.roles;
    // Otherwise the role could not make anything in the schema public.
    if (role !== undefined) await giveAway(session, database, role, server.role);
    return { server, before: undefined, warnings };
  });
}

/** Until the session ends: of two restores into one database, the second sees the mark of the first. */
async function lockName(session: Session, database: string): Promise<void> {
  await session.query('SELECT pg_catalog.pg_advisory_lock(pg_catalog.hashtextextended($1, 0))', [
    `holdfast restore into ${database}`,
  ]);
}

/** PostgreSQL would cut a longer name without an error, and another database would be meant. */
function checkName(database: string): void {
  const bytes = Buffer.byteLength(database);
  if (bytes > 0 && bytes <= NAME_BYTES && !database.includes('\0')) return;
  throw new InvalidInput(
    `${displayName(database)} cannot be a database: its name has ${bytes} bytes`,
    { remedy: `give target.database a name of at most ${NAME_BYTES} bytes` },
  );
}

/**
 * A new database that is empty and carries the mark. It is made under a name that has the restore's id in
 * it, marked, and then renamed: at no moment is there one of the wanted name that nobody knows.
 */
async function makeDatabase(
  { databases }: Pick<Deps, 'databases'>,
  session: Session,
  server: TargetServer,
  there: TargetDatabase | undefined,
  request: TargetRequest,
): Promise<{ warnings: string[]; archived: ArchivedDatabase }> {
  const { connection, database, restoreId, head, toc } = request;
  const draft = draftName(restoreId);
  if (there && there.name !== draft) {
    const mark = parseMark(there.comment);
    // Also one that an earlier try restored to the end: that try died before it could tell anybody.
    if (mark?.restoreId !== restoreId) throw taken(there, mark);
    await dropDatabase({ databases }, session, connection, there);
  }
  const left = await findDatabase(session, draft);
  if (left) await dropDatabase({ databases }, session, connection, left);

  const archived = archivedDatabase(head, toc);
  const { sql, warnings } = createDatabaseStatement(draft, archived, {
    versionNumber: server.versionNumber,
    hasTablespace: await usableTablespaces(session),
  });
  try {
    await session.query(sql);
  } catch (error) {
    throw creationFailed(error, database, archived, server);
  }
  const mark = quoteLiteral(markInProgress(restoreId));
  await session.query(`COMMENT ON DATABASE ${quoteIdentifier(draft)} IS ${mark}`);
  if (draft !== database) {
    await session.query(
      `ALTER DATABASE ${quoteIdentifier(draft)} RENAME TO ${quoteIdentifier(database)}`,
    );
  }
  return { warnings: [...archived.warnings, ...warnings], archived };
}

async function usableTablespaces(session: Session): Promise<(name: string) => boolean> {
  const rows = await session.query<{ name: string }>(
    `SELECT spcname::pg_catalog.text AS "name" FROM pg_catalog.pg_tablespace
     WHERE pg_catalog.has_tablespace_privilege(oid, 'CREATE')`,
  );
  const names = new Set(rows.map(({ name }) => name));
  return (name) => names.has(name);
}

function creationFailed(
  error: unknown,
  database: string,
  archived: ArchivedDatabase,
  { role, version }: TargetServer,
): unknown {
  const state = sqlStateOf(error) ?? '';
  const said = serverMessage(error);
  if (state === SQLSTATE.insufficientPrivilege) {
    return new InsufficientPrivilege(
      `the role ${displayName(role)} may not create the database ${displayName(database)}: ${said}`,
      {
        remedy: `run as an administrator: ALTER ROLE ${quoteIdentifier(role)} CREATEDB`,
        cause: error,
      },
    );
  }
  if (state === SQLSTATE.diskFull) {
    return new TargetFull(`cannot create ${displayName(database)}: ${said}`, { cause: error });
  }
  if (!NO_SUCH_LOCALE.includes(state)) return error;
  const wanted = [...archived.options].map(([option, value]) => `${option} ${value}`).join(', ');
  return new TargetUnsuitable(
    `PostgreSQL ${version} cannot create a database with ENCODING ${archived.encoding ?? 'of its own'}, ${wanted}: ${said}`,
    {
      remedy:
        'create an empty database with a locale that this server has, and restore into it with target.mode "existing"',
      cause: error,
    },
  );
}

async function giveAway(
  session: Session,
  database: string,
  role: string,
  self: string,
): Promise<void> {
  try {
    await session.query(
      `ALTER DATABASE ${quoteIdentifier(database)} OWNER TO ${quoteIdentifier(role)}`,
    );
  } catch (error) {
    if (sqlStateOf(error) === undefined) throw error;
    throw new InsufficientPrivilege(
      `the database cannot be given to roles.role ${displayName(role)}: ${serverMessage(error)}`,
      {
        remedy: `create the role, and run as an administrator: GRANT ${quoteIdentifier(role)} TO ${quoteIdentifier(self)}`,
        cause: error,
      },
    );
  }
}

/** Runs statements about the database; what the server refuses becomes a warning. */
async function applyStatements(
  session: Session,
  statements: readonly DatabaseStatement[],
  database: string,
  self: string,
): Promise<string[]> {
  const warnings: string[] = [];
  for (const { sql, summary, grantor } of statements) {
    try {
      if (grantor !== undefined && grantor !== self) {
        await session.query(`SET ROLE ${quoteIdentifier(grantor)}`);
      }
      await session.query(sql(database));
    } catch (error) {
      if (sqlStateOf(error) === undefined) throw error;
      warnings.push(
        `of the database's own properties, the server refused ${summary}: ${serverMessage(error)}`,
      );
    } finally {
      if (grantor !== undefined) await session.query('RESET ROLE');
    }
  }
  return warnings;
}

/**
 * Gives the restored and checked database what it is to have in the end: grants, settings that would have
 * stood in the way, owner, and the comment that says where it came from instead of the mark. From here on
 * no clean-up touches it, nor the roles that were made. An existing database gets back the comment that it had,
 * and below it where the data came from. `origin`: as in `markAsRestored`. Answers warnings: what the server refused.
 */
export async function markRestored(
  { databases }: Pick<Deps, 'databases'>,
  request: TargetRequest & { readonly origin: string },
): Promise<readonly string[]> {
  const { connection, database, restoreId, head, toc, selection, roles } = request;
  return withSession(databases, connection, connection.maintenanceDatabase, async (session) => {
    const server = await inspectTargetServer(session);
    const there = await findDatabase(session, database);
    const mark = parseMark(there?.comment ?? null);
    if (!there || mark?.state !== 'in-progress' || mark.restoreId !== restoreId) {
      throw new TargetNotEmpty(
        `the database ${displayName(database)} does not carry the mark of the restore ${restoreId} any more`,
        { remedy: 'find out who dropped or changed it, and start again' },
      );
    }
    if (mark.before) {
      // Not only the comment that it had: who looks after a task that was killed must see that all is there.
      const { comment } = mark.before;
      await setMark(
        session,
        there,
        markAsRestored(request.origin, restoreId, comment ?? undefined),
      );
      return keepRoles(session, restoreId);
    }
    const archived = archivedDatabase(head, toc);
    const whole = isOfDatabaseItself(request.selection);
    const wanted = whole ? archived.statements.filter(({ when }) => when === 'late') : [];
    const without = new Set<string>(selection.without);
    const [last, first] = [
      wanted.filter(({ kind }) => kind === 'property'),
      wanted.filter(({ kind }) => kind !== 'property'),
    ];
    const apply = (statements: readonly DatabaseStatement[]) =>
      applyStatements(session, statements, database, server.role);
    const kept = first.filter(({ kind }) => kind !== 'privilege' || !without.has('privileges'));
    const warnings = await apply(kept);
    const comment = whole && !without.has('comments') ? archived.comment : undefined;
    // The mark is taken off before the owner changes, after which we may not be allowed to.
    await setMark(session, there, markAsRestored(request.origin, restoreId, comment));
    warnings.push(...(await apply(last)));
    if (whole && !roles.noOwner && roles.role === undefined && archived.owner !== undefined) {
      warnings.push(...(await changeOwner(session, there, archived.owner)));
    }
    warnings.push(...(await keepRoles(session, restoreId)));
    return warnings;
  });
}

async function changeOwner(
  session: Session,
  { name, owner: now }: TargetDatabase,
  owner: string,
): Promise<string[]> {
  if (owner === now) return [];
  try {
    await session.query(
      `ALTER DATABASE ${quoteIdentifier(name)} OWNER TO ${quoteIdentifier(owner)}`,
    );
    return [];
  } catch (error) {
    if (sqlStateOf(error) === undefined) throw error;
    return [
      `the database belongs to ${displayName(now)}, not to ${displayName(owner)} as it did: ${serverMessage(error)}`,
    ];
  }
}
