import type { Connection } from '#contracts/source-plan.ts';
import type { DiscoveredDatabase } from '#contracts/workflow.ts';
import {
  DATABASES_QUERY,
  type DatabaseFacts,
  describeGaps,
  type Findings,
  GAP_QUERIES,
  judgeFindings,
  type ListedName,
  PREFLIGHT_QUERIES,
  SERVER_QUERY,
  type ServerFacts,
} from '#domain/preflight.ts';
import { DatabaseUnreachable, errorName, HoldfastError, InsufficientPrivilege } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';

type Needs = Pick<Deps, 'databases'>;

/** The server's facts and its databases, as the maintenance database tells them. */
export async function inspectServer(
  { databases }: Needs,
  connection: Connection,
): Promise<{ server: ServerFacts; existing: readonly DatabaseFacts[] }> {
  const session = await databases.connect(connection, connection.maintenanceDatabase);
  try {
    const [server] = await session.query<ServerFacts>(SERVER_QUERY);
    if (!server) throw new DatabaseUnreachable('the server answered nothing about itself');
    return { server, existing: await session.query<DatabaseFacts>(DATABASES_QUERY) };
  } finally {
    await session.close();
  }
}

/**
 * One database, with what stands in a dump's way as its `problem`: one that cannot even be looked into
 * must not keep the others from being dumped.
 */
export async function inspectDatabase(
  { databases }: Needs,
  connection: Connection,
  server: ServerFacts,
  facts: DatabaseFacts,
): Promise<{ found: DiscoveredDatabase; warnings: readonly string[] }> {
  const { name, quotedName, mayConnect } = facts;
  const found = { database: name, sizeBytes: Number(facts.sizeBytes ?? 0), problem: null };
  const unknownSize =
    facts.sizeBytes === null ? [`${name}: the server does not tell its size`] : [];
  try {
    if (!mayConnect) {
      throw new InsufficientPrivilege(`the role ${server.role} may not connect to ${quotedName}`, {
        remedy: `run as an administrator: GRANT CONNECT ON DATABASE ${quotedName} TO ${server.role};`,
      });
    }
    const session = await databases.connect(connection, name);
    try {
      const judged = judgeFindings(name, server, await askAll(session, server));
      const warnings = [...unknownSize, ...judged.warnings];
      return { found: { ...found, problem: judged.problem }, warnings };
    } finally {
      await session.close();
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    const problem = { error: errorName(error), cause: error.message };
    return { found: { ...found, problem }, warnings: unknownSize };
  }
}

/** What the dump of a database will lack without a word of pg_dump, as its own session tells it. */
export async function inspectGaps(session: Session): Promise<string[]> {
  return describeGaps({
    unlogged: await session.query<ListedName>(GAP_QUERIES.unlogged()),
    userMappings: await session.query<ListedName>(GAP_QUERIES.userMappings()),
  });
}

async function askAll(session: Session, server: ServerFacts): Promise<Findings> {
  const answers: Record<string, ListedName[]> = {};
  for (const [topic, query] of Object.entries(PREFLIGHT_QUERIES)) {
    answers[topic] = await session.query<ListedName>(query(server.versionNumber));
  }
  return answers as unknown as Findings;
}
