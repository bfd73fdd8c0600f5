import type {
  DrillFinding,
  DrillOrder,
  DrillPhase,
  DrillReport,
  DrillSubject,
} from '#contracts/drill.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { displayName, displayText } from '#domain/display-text.ts';
import { dataFinding, environmentFinding } from '#domain/drill/findings.ts';
import { SUBSCRIPTIONS_QUERY, type SubscriptionRow } from '#domain/restore/user-objects.ts';
import { PhaseTimes } from '#operations/restore/phase-times.ts';
import { listServerDatabases, type ServerDatabase } from '#operations/restore/server-databases.ts';
import { inspectTargetServer, withSession } from '#operations/restore/target-server.ts';
import type { TellProgress } from '#operations/task-progress.ts';
import type { Deps, Session } from '#runtime/ports.ts';
import { checkDatabase } from './check-database.ts';

type Needs = Pick<Deps, 'clock' | 'databases'>;

export interface CheckServerOptions {
  readonly order: DrillOrder;
  readonly server: Extract<DrillSubject, { type: 'server' }>;
  readonly signal: AbortSignal;
  /** Told where the drill is. */
  readonly tell?: TellProgress;
  /** Told of each database as it is done, so that what was found is kept when the next one fails. */
  readonly onReport: (report: DrillReport) => Promise<void>;
}

/** Only of those that can be connected to: of the others a role may not even ask. The largest first. */
const SIZES_QUERY = `
  SELECT datname::pg_catalog.text AS "name",
         pg_catalog.pg_database_size(oid)::pg_catalog.text AS "sizeBytes"
  FROM pg_catalog.pg_database WHERE datname = ANY ($1)
  ORDER BY pg_catalog.pg_database_size(oid) DESC, datname`;

/** Rows are the planner's estimate: counting them all would read what amcheck reads anyway. */
const CONTENTS_QUERY = `
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS "tables",
         COALESCE(pg_catalog.sum(GREATEST(c.reltuples, 0)), 0)::pg_catalog.int8::pg_catalog.text AS "rows"
  FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** Sessions at a time: a server of the smallest class has two processors. */
const JOBS = 4;

/**
 * Looks at every database of a server that RDS restored, the largest first. Rows are not compared with anything:
 * nothing says how many there were at that moment. A database that the plan or one of its queries names, and that
 * is not there, is a finding of the largest.
 *
 * Throws what `databases.connect` throws, ConnectionLost, or the signal's reason.
 */
export async function checkServer(
  deps: Needs,
  { order, server: subject, signal, tell, onReport }: CheckServerOptions,
): Promise<void> {
  const { connection } = subject;
  const arrivedAt = deps.clock.now().toISOString();
  const seconds = (from: string, to: string) =>
    Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000);
  const before = [
    { phase: 'restore' as const, seconds: seconds(order.begunAt, order.createdAt) },
    { phase: 'launch' as const, seconds: seconds(order.createdAt, arrivedAt) },
  ];
  const { maintenanceDatabase } = connection;
  const ask = <T>(database: string, use: (session: Session) => Promise<T>) =>
    withSession(deps.databases, connection, database, use, { signal });
  const { server, listed, databases } = await ask(maintenanceDatabase, async (session) => {
    const existing = await listServerDatabases(session);
    const open = existing.filter(({ obstacle }) => obstacle === null).map(({ name }) => name);
    return {
      server: await inspectTargetServer(session),
      listed: existing,
      databases: await session.query<{ name: string; sizeBytes: string }>(SIZES_QUERY, [open]),
    };
  });
  const { version, versionNumber } = server;
  const names = databases.map(({ name }) => name);
  const selected = selectDatabases(
    subject.databases,
    null,
    listed.filter(({ name }) => names.includes(name)),
  );
  const asked = order.smokeQueries.flatMap(({ database }) => database ?? []);
  const absent = new Set([...selected.missing, ...asked.filter((name) => !names.includes(name))]);
  const closed = listed.filter(({ name, obstacle }) => obstacle !== null && !absent.has(name));
  let missing: readonly DrillFinding[] = [...Array.from(absent, notThere), ...closed.map(notSeen)];
  for (const { name, sizeBytes } of databases) {
    const isOfPlan = selected.names.includes(name);
    const phases = new PhaseTimes<DrillPhase>(deps, (phase) => tell?.({ phase, subject: name }));
    phases.add(...before);
    const { contents, subscribed } = await ask(name, async (session) => {
      const [counted] = await session.query<{ tables: number; rows: string }>(CONTENTS_QUERY);
      const subscriptions = await session.query<SubscriptionRow>(SUBSCRIPTIONS_QUERY);
      return { contents: counted, subscribed: subscriptions.filter(({ enabled }) => enabled) };
    });
    const { checks, findings } = await checkDatabase(deps, {
      connection,
      database: name,
      name,
      order: {
        checks: order.checks,
        // What is asked in every database is asked in every one of the source.
        smokeQueries: order.smokeQueries.filter(({ database }) => database === name || isOfPlan),
      },
      jobs: JOBS,
      now: new Date(subject.newestDataAt),
      // RDS takes the latest restorable time when it begins, which is later than when that was asked.
      ...(order.drill.kind === 'point-in-time' ? { newestAt: new Date(order.createdAt) } : {}),
      isPart: false,
      phases,
      signal,
    });
    const measuredSeconds = seconds(order.begunAt, deps.clock.now().toISOString());
    await onReport({
      version: 1,
      database: name,
      backupId: null,
      server: { version, versionNumber },
      restore: null,
      checks: { restored: null, ...checks },
      phases: phases.all(),
      tables: contents?.tables ?? 0,
      rows: Number(contents?.rows ?? 0),
      sizeBytes: Number(sizeBytes),
      begunAt: order.begunAt,
      measuredSeconds,
      rtoSeconds: measuredSeconds,
      extrapolated: false,
      findings: [...missing, ...pulling(name, subscribed), ...findings],
    });
    missing = [];
  }
}

function notSeen({ name, obstacle }: ServerDatabase): DrillFinding {
  return environmentFinding(
    'restore',
    name,
    `the database ${displayName(name)} was not looked at, so that nothing is known of what came back of it: ${displayText(obstacle ?? '', 200)}`,
    'on the source, let the role of the drill connect to it (GRANT CONNECT ON DATABASE), or drop it if nobody needs it',
  );
}

/** RDS brings a subscription back as it was, and it starts with the server: long before this can be seen. */
function pulling(database: string, subscribed: readonly SubscriptionRow[]): DrillFinding[] {
  return subscribed.map(({ identity }) =>
    environmentFinding(
      'restore',
      database,
      `the subscription ${identity} in ${displayName(database)} is enabled: the drill's server may pull from production's publisher, under the slot of the original, which then misses those changes`,
      'set drill.kinds to [archive]: what a drill restores of an archive is never enabled',
    ),
  );
}

function notThere(database: string): DrillFinding {
  const what = displayName(database);
  return dataFinding(
    'restore',
    database,
    `the server has no database ${what}, or none that may be connected to; the plan names it`,
  );
}
