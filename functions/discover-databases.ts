import type * as z from 'zod';
import { type DiscoveredDatabase, type Discovery, RunEvent } from '#contracts/workflow.ts';
import { chooseClientMajor } from '#domain/client-choice.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { DatabaseNotFound, NoDatabases } from '#errors';
import { inspectDatabase, inspectServer } from '#operations/inspect-databases.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClients } from '#runtime/providers/clients.ts';
import { provideDatabases } from '#runtime/providers/databases.ts';
import { providePlans } from '#runtime/providers/plans.ts';

/** Shares of the run's payload (256 KiB in all), so that a server of many tenants leaves room. */
const MAX_WARNINGS = 50;
const MAX_CAUSES_CHARACTERS = 60_000;

/**
 * Which databases the run dumps, and what stands in a dump's way, over SQL. A database with a problem is
 * in the list: it fails in its own item of the Map, beside the others.
 * Throws NoDatabases, ClientTooOld, UnknownSource, and what connecting to the server throws.
 */
export const discoverDatabases: Handle<
  z.infer<typeof RunEvent>,
  Discovery,
  'databases' | 'plans' | 'clients' | 'log'
> = async ({ run }, deps) => {
  const { plan } = await deps.plans.load(run.source, run.planVersion);
  const { server, existing } = await inspectServer(deps, plan.connection);
  chooseClientMajor(server.versionNumber, await deps.clients.majors());

  const selected = selectDatabases(plan.databases, run.databases, existing);
  if (selected.names.length + selected.missing.length === 0) {
    const known = existing.map(({ name }) => name).join(', ');
    throw new NoDatabases(`no database of ${run.source} is selected; the server has: ${known}`, {
      remedy: "correct the names and patterns in the plan's databases or in the input",
    });
  }

  const warnings = [
    ...selected.copies.map(
      (name) =>
        `${name} is a copy that a restore made, and is not backed up: drop it when nobody needs it, or rename it, or name it in the plan's databases`,
    ),
    ...selected.unmatched.map((pattern) => `the pattern ${pattern} matches no database`),
  ];
  const databases = selected.missing.map((database): DiscoveredDatabase => {
    const { name, message } = new DatabaseNotFound(
      `database ${database} does not exist, or is one that nobody can connect to`,
      { remedy: 'correct the name in the plan or in the input' },
    );
    return { database, sizeBytes: 0, problem: { error: name, cause: message } };
  });
  for (const facts of existing.filter(({ name }) => selected.names.includes(name))) {
    const inspected = await inspectDatabase(deps, plan.connection, server, facts);
    databases.push(inspected.found);
    warnings.push(...inspected.warnings);
  }
  // The longest first, so that none is left to run alone at the end.
  databases.sort((a, b) => b.sizeBytes - a.sizeBytes);

  const problems = databases.filter(({ problem }) => problem !== null);
  deps.log.info(LOG.discovered, { databases: databases.length, problems, warnings });
  const { version, versionNumber, isReplica } = server;
  return {
    server: { version, versionNumber, isReplica },
    databases: shortenCauses(databases, Math.floor(MAX_CAUSES_CHARACTERS / problems.length)),
    warnings: warnings.slice(0, MAX_WARNINGS),
  };
};

function shortenCauses(databases: readonly DiscoveredDatabase[], limit: number) {
  return databases.map((database) => {
    const { problem } = database;
    if (!problem || problem.cause.length <= limit) return database;
    return { ...database, problem: { ...problem, cause: `${problem.cause.slice(0, limit)}…` } };
  });
}

export const handler = lambdaHandler(RunEvent, discoverDatabases, {
  plans: providePlans,
  databases: provideDatabases,
  clients: provideClients,
});
