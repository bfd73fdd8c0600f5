import type { DatabaseLook, ExtensionLook, SlotLook } from '#domain/restore/server-look.ts';
import { serverMessage } from '#domain/restore/sql-state.ts';
import { SUBSCRIPTIONS_QUERY, type SubscriptionRow } from '#domain/restore/user-objects.ts';
import type { Session } from '#runtime/ports.ts';
import {
  findInvalidConstraints,
  findInvalidIndexes,
  findPublications,
  sequenceStates,
} from './restore/catalog-checks.ts';
import { countLargeObjects } from './restore/empty-database.ts';

/** Ordinary tables and partitioned ones, without the system's own. */
const TABLES_QUERY = `
  SELECT pg_catalog.count(*)::pg_catalog.int4 AS "tables"
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    AND pg_catalog.left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'`;

const EXTENSIONS_QUERY = `
  SELECT e.extname::pg_catalog.text AS "name", e.extversion AS "version", a.default_version AS "available"
  FROM pg_catalog.pg_extension AS e
  LEFT JOIN pg_catalog.pg_available_extensions AS a ON a.name = e.extname
  ORDER BY 1`;

/** Of subscribers and of standbys. A slot for the time of a session is the session's. */
const SLOTS_QUERY = `
  SELECT slot_name::pg_catalog.text AS "name",
         pg_catalog.concat_ws(' ', slot_type, CASE WHEN active THEN 'in use' END) AS "kind"
  FROM pg_catalog.pg_replication_slots WHERE NOT temporary ORDER BY 1`;

/**
 * Collations whose rules are another version's than those that the data were put in order with. Which the database
 * itself was made with is known from PostgreSQL 15 on.
 */
function collationsQuery(versionNumber: number): string {
  const differs = `
    SELECT pg_catalog.format('%I.%I', n.nspname, c.collname) AS name, c.collversion AS made,
           pg_catalog.pg_collation_actual_version(c.oid) AS present
    FROM pg_catalog.pg_collation AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
    WHERE c.collversion IS NOT NULL`;
  const ofDatabase = `
    SELECT 'the default of the database', d.datcollversion,
           pg_catalog.pg_database_collation_actual_version(d.oid)
    FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()`;
  return `
    SELECT pg_catalog.format('%s (made with %s, the server has %s)', name, made, present) AS "text"
    FROM (${differs}${versionNumber >= 150_000 ? ` UNION ALL ${ofDatabase}` : ''}) AS v
    WHERE made <> present ORDER BY 1`;
}

export async function findReplicationSlots(session: Session): Promise<readonly SlotLook[]> {
  return session.query<SlotLook>(SLOTS_QUERY);
}

/**
 * What a database that came back with its server says of itself: all that a restore of an archive looks at and that
 * needs no archive to be compared with. Reads catalogs, sequences, and the ends of indexes; no table.
 * Throws what the server answers, but for sequences, of which the look says why they could not be read.
 */
export async function lookIntoDatabase(
  session: Session,
  database: string,
  versionNumber: number,
): Promise<DatabaseLook> {
  const [counted] = await session.query<{ tables: number }>(TABLES_QUERY);
  const subscriptions = await session.query<SubscriptionRow>(SUBSCRIPTIONS_QUERY);
  const { broken, incomplete } = await findInvalidIndexes(session);
  const constraints = await findInvalidConstraints(session);
  const extensions = await session.query<ExtensionLook>(EXTENSIONS_QUERY);
  const publications = await findPublications(session);
  const largeObjects = await countLargeObjects(session);
  const collations = await session.query<{ text: string }>(collationsQuery(versionNumber));
  return {
    database,
    tables: counted?.tables ?? 0,
    invalidIndexes: [...broken, ...incomplete],
    invalidConstraints: constraints.map(({ name }) => name),
    ...(await lookAtSequences(session)),
    extensions,
    publications: publications.length,
    subscriptions: subscriptions.map(({ identity, enabled }) => ({ identity, enabled })),
    largeObjects,
    collations: collations.map(({ text }) => text),
  };
}

/** Last, as it alone can take long: a query for each sequence. */
async function lookAtSequences(
  session: Session,
): Promise<Pick<DatabaseLook, 'sequencesChecked' | 'sequencesBehind' | 'sequencesUnread'>> {
  const checked = new Set<string>();
  const behind: string[] = [];
  let unread: string | null = null;
  try {
    for await (const state of sequenceStates(session, { indexedOnly: true })) {
      if (state.position) checked.add(state.name);
      if (state.behind !== undefined) behind.push(`${state.name} is behind ${state.behind}`);
      unread ??= state.refusal ?? null;
    }
  } catch (error) {
    unread = serverMessage(error);
  }
  return { sequencesChecked: checked.size, sequencesBehind: behind, sequencesUnread: unread };
}
