import type {
  DrillFinding,
  DrillOrder,
  DrillPhase,
  DrillReport,
  DrillSubject,
} from '#contracts/drill.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { displayName } from '#domain/display-text.ts';
import { dataFinding } from '#domain/drill/findings.ts';
import { PhaseTimes } from '#operations/restore/phase-times.ts';
import { inspectTargetServer, withSession } from '#operations/restore/target-server.ts';
import type { Deps, Session } from '#runtime/ports.ts';
import { checkDatabase } from './check-database.ts';

type Needs = Pick<Deps, 'clock' | 'databases'>;

export interface CheckServerOptions {
  readonly order: DrillOrder;
  readonly server: Extract<DrillSubject, { type: 'server' }>;
  readonly signal: AbortSignal;
  /** Told of each database as it is done, so that what was found is kept when the next one fails. */
  readonly onReport: (report: DrillReport) => Promise<void>;
}

/** Of RDS itself: nobody can connect. */
const DATABASES_QUERY = `
  SELECT datname::pg_catalog.text AS "name",
         pg_catalog.pg_database_size(oid)::pg_catalog.text AS "sizeBytes"
  FROM pg_catalog.pg_database
  WHERE datallowconn AND NOT datistemplate AND datname <> 'rdsadmin'
    AND pg_catalog.has_database_privilege(oid, 'CONNECT')
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
  { order, server: subject, signal, onReport }: CheckServerOptions,
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
  const { server, databases } = await ask(maintenanceDatabase, async (session) => ({
    server: await inspectTargetServer(session),
    databases: await session.query<{ name: string; sizeBytes: string }>(DATABASES_QUERY),
  }));
  const { version, versionNumber } = server;
  const names = databases.map(({ name }) => name);
  const selected = selectDatabases(subject.databases, null, names);
  const asked = order.smokeQueries.flatMap(({ database }) => database ?? []);
  const absent = new Set([...selected.missing, ...asked.filter((name) => !names.includes(name))]);
  let missing: readonly DrillFinding[] = Array.from(absent, notThere);
  for (const { name, sizeBytes } of databases) {
    const isOfPlan = selected.names.includes(name);
    const phases = new PhaseTimes<DrillPhase>(deps);
    phases.add(...before);
    const [contents] = await ask(name, (session) =>
      session.query<{ tables: number; rows: string }>(CONTENTS_QUERY),
    );
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
      measuredSeconds,
      rtoSeconds: measuredSeconds,
      extrapolated: false,
      findings: [...missing, ...findings],
    });
    missing = [];
  }
}

function notThere(database: string): DrillFinding {
  const what = displayName(database);
  return dataFinding(
    'restore',
    database,
    `the server has no database ${what}, or none that may be connected to; the plan names it`,
  );
}
