import type { RestoredServerState, ServerInspection } from '#contracts/restore-server.ts';
import type { Connection, SourcePlan } from '#contracts/source-plan.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { displayName } from '#domain/display-text.ts';
import type { DatabaseFacts } from '#domain/preflight.ts';
import {
  checksOf,
  type DatabaseLook,
  extensionsOf,
  type ServerLook,
  serverWarnings,
  slotNames,
} from '#domain/restore/server-look.ts';
import { serverMessage } from '#domain/restore/sql-state.ts';
import {
  AuthenticationFailed,
  DatabaseUnreachable,
  errorName,
  HoldfastError,
  ServerRestoreFailed,
} from '#errors';
import type { Databases, Deps, Session } from '#runtime/ports.ts';
import { inspectServer } from './inspect-databases.ts';
import { findReplicationSlots, lookIntoDatabase } from './look-into-database.ts';
import { listServerDatabases } from './restore/server-databases.ts';

/** Of the databases, in the result: a share of the run's payload (256 KiB). */
const LISTED = 100;
/** Sessions at a time: a server of the smallest class has two processors. */
const SESSIONS = 4;
const MAX_WARNINGS = 50;
/** The function has 240 seconds. What is begun then may still connect, which takes 15 seconds at most. */
const LOOK_MILLISECONDS = 150_000;
/** Of one query: the blocks of a new server come from S3 as they are first read. */
const STATEMENT_TIMEOUT = "SET statement_timeout = '30s'";

export interface InspectionLimits {
  /** For looking into databases; those that were not reached by then are named. */
  readonly lookMilliseconds?: number;
}

/**
 * What a restored server says of itself, over SQL: that it can be written to, which databases it has, how
 * large they are, and of the largest what their catalogs say; what is odd is a warning. Logs in as the plan does at
 * the source. Throws AuthenticationFailed, DatabaseUnreachable, ServerRestoreFailed.
 */
export async function inspectRestoredServer(
  deps: Pick<Deps, 'databases'>,
  plan: SourcePlan,
  { identifier, host, port }: RestoredServerState,
  { lookMilliseconds = LOOK_MILLISECONDS }: InspectionLimits = {},
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
  const missing = selected.missing.map(
    (name) => `the plan backs up ${displayName(name)}, which is not on the restored server`,
  );
  const bySize = existing.toSorted((a, b) => sizeOf(b) - sizeOf(a)).slice(0, LISTED);
  const look = await lookAround(deps, connection, {
    open: bySize.filter(({ mayConnect }) => mayConnect).map(({ name }) => name),
    versionNumber: server.versionNumber,
    lookMilliseconds,
  });
  const small =
    existing.length > LISTED
      ? [`only the ${LISTED} largest of ${existing.length} databases were looked into`]
      : [];
  const looks = new Map(look.looks.map((it) => [it.database, it]));
  const { version, versionNumber, isReplica } = server;
  return {
    server: { version, versionNumber, isReplica },
    databases: bySize.map(({ name, sizeBytes }) => {
      const found = looks.get(name);
      return {
        database: name,
        sizeBytes: sizeBytes === null ? null : Number(sizeBytes),
        tables: found?.tables ?? null,
        ...(found ? { checks: checksOf(found) } : {}),
      };
    }),
    extensions: extensionsOf(look.looks),
    replicationSlots: slotNames(look),
    databaseCount: existing.length,
    totalBytes: existing.reduce((sum, facts) => sum + sizeOf(facts), 0),
    warnings: cut([...missing, ...serverWarnings(look), ...small]),
  };
}

interface LookRequest {
  readonly open: readonly string[];
  readonly versionNumber: number;
  readonly lookMilliseconds: number;
}

/** Looks at the server, and into its databases in this order, as far as the time goes. */
async function lookAround(
  { databases }: Pick<Deps, 'databases'>,
  connection: Connection,
  { open, versionNumber, lookMilliseconds }: LookRequest,
): Promise<ServerLook> {
  const timeIsUp = AbortSignal.timeout(lookMilliseconds);
  const ask = <T>(database: string, use: (session: Session) => Promise<T>, signal?: AbortSignal) =>
    withBoundedSession(databases, connection, database, use, signal);
  const { slots, listed } = await ask(connection.maintenanceDatabase, async (session) => ({
    slots: await findReplicationSlots(session),
    listed: await listServerDatabases(session),
  }));
  const closed = listed.flatMap(({ name, obstacle }) =>
    obstacle === null ? [] : [{ database: name, reason: obstacle }],
  );
  const obstructed = new Set(closed.map(({ database }) => database));
  const wanted = open.filter((name) => !obstructed.has(name));
  const looks: DatabaseLook[] = [];
  const unlooked: string[] = [];
  const waiting = wanted.values();
  const work = async () => {
    for (const name of waiting) {
      if (timeIsUp.aborted) {
        unlooked.push(name);
        continue;
      }
      try {
        const into = (session: Session) => lookIntoDatabase(session, name, versionNumber);
        looks.push(await ask(name, into, timeIsUp));
      } catch (error) {
        // The others may be fine.
        if (timeIsUp.aborted) unlooked.push(name);
        else closed.push({ database: name, reason: reasonOf(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, work));
  return { slots, looks, closed, unlooked };
}

/** The signal ends what is running; a query has a time limit of its own. */
async function withBoundedSession<T>(
  databases: Databases,
  connection: Connection,
  database: string,
  use: (session: Session) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const session = await databases.connect(connection, database);
  const onAbort = () => void session.close();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    signal?.throwIfAborted();
    await session.query(STATEMENT_TIMEOUT);
    return await use(session);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await session.close();
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof HoldfastError) return `${errorName(error)}: ${error.message}`;
  return serverMessage(error);
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

/** The first ones are those that matter most. */
function cut(warnings: readonly string[]): string[] {
  if (warnings.length <= MAX_WARNINGS) return [...warnings];
  const kept = warnings.slice(0, MAX_WARNINGS - 1);
  return [...kept, `and ${warnings.length - kept.length} more warnings, left out here`];
}

function sizeOf({ sizeBytes }: DatabaseFacts): number {
  return Number(sizeBytes ?? 0);
}
