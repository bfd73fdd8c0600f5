import type { Connection } from '#contracts/source-plan.ts';
import { displayName } from '#domain/display-text.ts';
import { SQLSTATE, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { HoldfastError, SwapFailed } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';
import { findDatabase, withSession } from './target-server.ts';

export interface SwapRequest {
  readonly connection: Connection;
  /** The restored database. */
  readonly restored: string;
  /** Whose name it gets. */
  readonly original: string;
  /** What the original is called from then on. */
  readonly previous: string;
}

export interface Swapped {
  /** Null: there was no original. */
  readonly previousDatabase: string | null;
  readonly warnings: readonly string[];
}

/** The server itself waits 5 s within each try for sessions to go (`CountOtherDBBackends`). */
const TRIES = 3;
const LOCK_TIMEOUT_SECONDS = 10;
const POLL_MILLISECONDS = 20;

/**
 * Puts a restored database in the place of another one: both renames in one transaction, so that whoever
 * connects sees the one or the other, and nothing has changed when anything fails or when this process dies.
 *
 * The first rename locks the database, so that new connections wait; from another session those that are
 * there are ended. Nobody has to be locked out beforehand by settings or grants that a crash would leave.
 *
 * The restored database keeps what the backup says of owner, grants and settings. What the original has
 * beyond that is not taken over, but named in a warning.
 *
 * Throws SwapFailed with the sessions that hold it; the original is untouched then, unless the message says that
 * nobody knows.
 */
export async function swapDatabase(
  { databases, clock }: Pick<Deps, 'databases' | 'clock'>,
  request: SwapRequest,
): Promise<Swapped> {
  const { connection, restored, original, previous } = request;
  const { maintenanceDatabase } = connection;
  if ([restored, original].includes(maintenanceDatabase)) {
    throw new SwapFailed(
      `${displayName(maintenanceDatabase)} cannot be renamed from within itself`,
      { remedy: 'set connection.maintenanceDatabase in the plan to another database' },
    );
  }
  return withSession(databases, connection, maintenanceDatabase, (renaming) =>
    withSession(databases, connection, maintenanceDatabase, async (ending) => {
      const there = await findDatabase(renaming, original);
      const warnings = there ? await compareDatabases(renaming, original, restored) : [];
      const renames = [
        ...(there ? [[original, previous] as const] : []),
        [restored, original] as const,
      ];
      const names = renames.map(([from]) => from);
      const end = { databases: names, refused: new Map<number, string>() };
      for (let attempt = 1; ; attempt += 1) {
        const over = new AbortController();
        const watching = keepEnding(ending, end, clock, over.signal);
        try {
          await renameAll(renaming, renames);
          break;
        } catch (error) {
          const state = sqlStateOf(error);
          if (state === undefined && !(error instanceof HoldfastError)) throw error;
          // A connection that was lost as it committed says nothing about whether it did.
          if (state === undefined && (await isDone(databases, request))) break;
          const again = state === SQLSTATE.objectInUse && attempt < TRIES && end.refused.size === 0;
          if (!again) throw await swapFailed(ending, error, request, end.refused);
        } finally {
          over.abort();
          await watching;
        }
      }
      return { previousDatabase: there ? previous : null, warnings };
    }),
  );
}

/**
 * Whether the restored database has the original's name by now. Throws SwapFailed where the server cannot be asked:
 * nothing that is tried again, as that would put aside what has been written since into a database that did swap.
 */
async function isDone(
  databases: Deps['databases'],
  { connection, restored, original }: SwapRequest,
): Promise<boolean> {
  try {
    return await withSession(
      databases,
      connection,
      connection.maintenanceDatabase,
      async (session) => {
        const left = await findDatabase(session, restored);
        const there = await findDatabase(session, original);
        return left === undefined && there !== undefined;
      },
    );
  } catch (cause) {
    throw new SwapFailed(
      `the connection was lost while ${displayName(restored)} took the place of ${displayName(original)}, and the server does not say whether it did: ${serverMessage(cause)}`,
      { remedy: `look whether there is still a database ${displayName(restored)}`, cause },
    );
  }
}

async function renameAll(
  session: Session,
  renames: readonly (readonly [from: string, to: string])[],
): Promise<void> {
  await session.query('BEGIN');
  try {
    await session.query(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT_SECONDS}s'`);
    for (const [from, to] of renames) {
      await session.query(
        `ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`,
      );
    }
    await session.query('COMMIT');
  } catch (error) {
    await session.query('ROLLBACK').catch(() => {});
    throw error;
  }
}

interface Ending {
  readonly databases: readonly string[];
  /** Process id of each session that we may not end, and why. */
  readonly refused: Map<number, string>;
}

/** Ends the sessions of the databases again and again, until the signal. */
async function keepEnding(
  session: Session,
  { databases, refused }: Ending,
  clock: Deps['clock'],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const found = await session.query<{ pid: number }>(
        `SELECT pid AS "pid" FROM pg_catalog.pg_stat_activity
         WHERE datname = ANY ($1::pg_catalog.text[]) AND pid <> pg_catalog.pg_backend_pid()`,
        [databases],
      );
      for (const { pid } of found) {
        if (refused.has(pid)) continue;
        try {
          await session.query('SELECT pg_catalog.pg_terminate_backend($1)', [pid]);
        } catch (error) {
          refused.set(pid, serverMessage(error));
        }
      }
      await clock.sleep(POLL_MILLISECONDS, signal);
    } catch {
      // The end of the wait, or a lost connection: the rename then says what is the matter.
      return;
    }
  }
}

async function swapFailed(
  session: Session,
  cause: unknown,
  { restored, original }: SwapRequest,
  refused: ReadonlyMap<number, string>,
): Promise<Error> {
  const held = await session
    .query<{ text: string; pid: number }>(
      `SELECT pid AS "pid", pg_catalog.format('process %s of %s (%s) in %I', pid,
         COALESCE(usename, backend_type), NULLIF(application_name, ''), datname) AS "text"
       FROM pg_catalog.pg_stat_activity WHERE datname = ANY ($1::pg_catalog.text[]) ORDER BY 1`,
      [[restored, original]],
    )
    .catch(() => []);
  const sessions = held
    .slice(0, 10)
    .map(({ text, pid }) => (refused.has(pid) ? `${text}: ${refused.get(pid)}` : text));
  const holding = sessions.length > 0 ? `; held by ${sessions.join(', ')}` : '';
  return new SwapFailed(
    `${displayName(restored)} could not take the place of ${displayName(original)}, which is untouched: ${serverMessage(cause)}${holding}`,
    {
      remedy: `end these sessions and rename by hand (ALTER DATABASE … RENAME TO …), or start again`,
      cause,
    },
  );
}

/** What the original has and the restored one does not: owner, grants, settings, slots. */
async function compareDatabases(
  session: Session,
  original: string,
  restored: string,
): Promise<string[]> {
  const [was, becomes] = [
    await describeDatabase(session, original),
    await describeDatabase(session, restored),
  ];
  const known = new Set(becomes);
  const lost = was.filter((fact) => !known.has(fact));
  const slots = await session.query<{ name: string }>(
    `SELECT slot_name::pg_catalog.text AS "name" FROM pg_catalog.pg_replication_slots
     WHERE database = $1 ORDER BY 1`,
    [original],
  );
  return [
    ...(lost.length > 0
      ? [`the database that was replaced had, and the restored one has not: ${lost.join('; ')}`]
      : []),
    ...(slots.length > 0
      ? [
          `replication slots stay with the database that was replaced: ${slots.map(({ name }) => name).join(', ')}`,
        ]
      : []),
  ];
}

async function describeDatabase(session: Session, database: string): Promise<string[]> {
  const rows = await session.query<{ fact: string }>(
    `WITH d AS (SELECT * FROM pg_catalog.pg_database WHERE datname = $1)
     SELECT pg_catalog.format('owner %I', pg_catalog.pg_get_userbyid(datdba)) AS "fact" FROM d
     UNION ALL
     SELECT pg_catalog.format('connection limit %s', datconnlimit) FROM d WHERE datconnlimit >= 0
     UNION ALL
     SELECT pg_catalog.format('%s for %s', a.privilege_type, CASE a.grantee WHEN 0 THEN 'PUBLIC'
              ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END)
     FROM d, pg_catalog.aclexplode(COALESCE(datacl, pg_catalog.acldefault('d', datdba))) AS a
     WHERE a.grantee <> datdba
     UNION ALL
     SELECT pg_catalog.format('setting %s%s', c, CASE s.setrole WHEN 0 THEN ''
              ELSE pg_catalog.format(' of role %I', pg_catalog.pg_get_userbyid(s.setrole)) END)
     FROM d JOIN pg_catalog.pg_db_role_setting AS s ON s.setdatabase = d.oid,
          pg_catalog.unnest(s.setconfig) AS c`,
    [database],
  );
  return rows.map(({ fact }) => fact);
}
