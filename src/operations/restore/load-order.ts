import type { Connection } from '#contracts/source-plan.ts';
import type { Toc } from '#domain/archive/toc.ts';
import { orderByReferences, type Reference } from '#domain/restore/load-order.ts';
import { SQLSTATE, sqlStateOf } from '#domain/restore/sql-state.ts';
import type { Deps, Session } from '#runtime/ports.ts';
import { withSession } from './target-server.ts';

export interface LoadOrder {
  /** Rows are loaded as a replica applies them: without foreign keys and triggers. */
  readonly replica: boolean;
  /** Dump ids of TABLE DATA, loaded one set after the other; undefined: in any order. */
  readonly levels: readonly ReadonlySet<number>[] | undefined;
  readonly warnings: readonly string[];
}

/**
 * How rows alone are loaded into tables that have their foreign keys and triggers already. Best without either,
 * as a replica does; that takes a right which few roles have. Else referenced tables come first.
 *
 * Throws TargetUnsuitable where there is no such order, and what connecting throws.
 */
export async function planLoadOrder(
  { databases }: Pick<Deps, 'databases'>,
  target: {
    readonly connection: Connection;
    readonly database: string;
    readonly toc: Pick<Toc, 'entries'>;
    readonly ids: ReadonlySet<number>;
  },
): Promise<LoadOrder> {
  const { connection, database, toc, ids } = target;
  return withSession(databases, connection, database, async (session) => {
    if (await mayActAsReplica(session)) return { replica: true, levels: undefined, warnings: [] };
    const tables = toc.entries.flatMap(({ dumpId, desc, hasData, schema = '', tag: table }) =>
      ids.has(dumpId) && desc === 'TABLE DATA' && hasData ? [{ dumpId, schema, table }] : [],
    );
    const levels = orderByReferences(tables, await session.query<ReferenceRow>(REFERENCES_QUERY));
    return {
      replica: false,
      levels,
      warnings: [
        'the restoring role may not set session_replication_role: triggers fired for the rows that were loaded, and foreign keys were checked',
      ],
    };
  });
}

async function mayActAsReplica(session: Session): Promise<boolean> {
  try {
    await session.query(
      "SELECT pg_catalog.set_config('session_replication_role', 'replica', true)",
    );
    return true;
  } catch (error) {
    if (sqlStateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    return false;
  }
}

interface ReferenceRow extends Record<string, unknown>, Reference {}

/**
 * Foreign keys whose trigger on the referencing table is at work: none that is disabled or NOT ENFORCED. A
 * partition has the keys of its parent as its own; what refers to a partitioned table refers to its partitions.
 */
const REFERENCES_QUERY = `
  WITH keys AS (
    SELECT c.conname, c.conrelid, c.confrelid FROM pg_catalog.pg_constraint AS c
    WHERE c.contype = 'f' AND EXISTS (
      SELECT FROM pg_catalog.pg_trigger AS t
      WHERE t.tgconstraint = c.oid AND t.tgrelid = c.conrelid AND t.tgenabled IN ('O', 'A')))
  SELECT k.conname::pg_catalog.text AS "constraint",
         fn.nspname::pg_catalog.text AS "fromSchema", f.relname::pg_catalog.text AS "fromTable",
         tn.nspname::pg_catalog.text AS "toSchema", t.relname::pg_catalog.text AS "toTable"
  FROM keys AS k
  JOIN LATERAL (SELECT k.confrelid AS oid
                UNION SELECT p.relid FROM pg_catalog.pg_partition_tree(k.confrelid) AS p) AS r ON true
  JOIN pg_catalog.pg_class AS f ON f.oid = k.conrelid
  JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.relnamespace
  JOIN pg_catalog.pg_class AS t ON t.oid = r.oid
  JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
  ORDER BY 2, 3, 1, 4, 5`;
