import type { RestoredServerState, ServerInspection } from '#contracts/restore-server.ts';
import type { Connection, SourcePlan } from '#contracts/source-plan.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { displayName } from '#domain/display-text.ts';
import type { DatabaseFacts } from '#domain/preflight.ts';
import {
  AuthenticationFailed,
  DatabaseUnreachable,
  errorName,
  HoldfastError,
  ServerRestoreFailed,
} from '#errors';
import type { Deps } from '#runtime/ports.ts';
import { inspectServer } from './inspect-databases.ts';

/** Of the databases, in the result: a share of the run's payload (256 KiB). */
const LISTED = 100;
/** So many are opened, the largest first: each costs a connection. */
const OPENED = 20;
const MAX_WARNINGS = 50;

/** Ordinary tables and partitioned ones, without the system's own. */
const TABLES_QUERY = `
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS "tables"
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND pg_catalog.left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'`;

/**
 * What a restored server says of itself, over SQL: that it can be written to, which databases it has, how
 * large they are, and that the largest can be opened. Logs in as the plan does at the source.
 * Throws AuthenticationFailed, DatabaseUnreachable, ServerRestoreFailed.
 */
export async function inspectRestoredServer(
  deps: Pick<Deps, 'databases'>,
  plan: SourcePlan,
  { identifier, host, port }: RestoredServerState,
): Promise<ServerInspection> {
  if (host === null || port === null) {
    throw new DatabaseUnreachable(`RDS has named no address of ${identifier} yet`);
  }
  const connection: Connection = { ...plan.connection, host, port };
  const { server, existing } = await logIn(deps, connection, identifier);
  if (server.isReplica) {
    throw new ServerRestoreFailed(`the new server ${identifier} is still in recovery`, {
      remedy: "look at its log in the RDS console: it should take writes when it is 'available'",
    });
  }
  const selected = selectDatabases(
    plan.databases,
    null,
    existing.map(({ name }) => name),
  );
  const warnings = selected.missing.map(
    (name) => `the plan backs up ${displayName(name)}, which is not on the restored server`,
  );
  const bySize = existing.toSorted((a, b) => sizeOf(b) - sizeOf(a));
  const databases: ServerInspection['databases'] = [];
  for (const [index, facts] of bySize.slice(0, LISTED).entries()) {
    const tables = index < OPENED ? await countTables(deps, connection, facts, warnings) : null;
    const sizeBytes = facts.sizeBytes === null ? null : Number(facts.sizeBytes);
    databases.push({ database: facts.name, sizeBytes, tables });
  }
  const { version, versionNumber, isReplica } = server;
  return {
    server: { version, versionNumber, isReplica },
    databases,
    databaseCount: existing.length,
    totalBytes: existing.reduce((sum, facts) => sum + sizeOf(facts), 0),
    warnings: warnings.slice(0, MAX_WARNINGS),
  };
}

async function logIn(
  deps: Pick<Deps, 'databases'>,
  connection: Connection,
  identifier: string,
): ReturnType<typeof inspectServer> {
  try {
    return await inspectServer(deps, connection);
  } catch (error) {
    if (!(error instanceof AuthenticationFailed)) throw error;
    throw new AuthenticationFailed(
      `the restored server ${identifier} runs, but it has the roles and passwords of the time that was restored, and not those of today: ${error.message}`,
      {
        remedy: `set the password of the role on ${identifier} to the secret's (its master password can be set in the RDS console); the data need no other restore`,
        cause: error,
      },
    );
  }
}

/** Null where the database cannot be opened; that is a warning, as the others may be fine. */
async function countTables(
  { databases }: Pick<Deps, 'databases'>,
  connection: Connection,
  { name, mayConnect }: DatabaseFacts,
  warnings: string[],
): Promise<number | null> {
  if (!mayConnect) return null;
  try {
    const session = await databases.connect(connection, name);
    try {
      const [row] = await session.query<{ tables: number }>(TABLES_QUERY);
      return row?.tables ?? null;
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    warnings.push(
      `${displayName(name)} could not be opened: ${errorName(error)}: ${error.message}`,
    );
    return null;
  }
}

function sizeOf({ sizeBytes }: DatabaseFacts): number {
  return Number(sizeBytes ?? 0);
}
