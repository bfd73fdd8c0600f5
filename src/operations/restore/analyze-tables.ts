import type { Connection } from '#contracts/source-plan.ts';
import { SQLSTATE, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { serverTrouble } from '#domain/restore/statement-failure.ts';
import { ConnectionLost } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';

export interface AnalyzeOptions {
  readonly connection: Connection;
  readonly database: string;
  /** Undefined: all of the database. */
  readonly tables: readonly { readonly schema: string; readonly table: string }[] | undefined;
  readonly roleName: string | undefined;
  readonly jobs: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Tables and materialized views, the largest first. A partitioned table is analyzed with all its partitions,
 * so that these are left out where everything is wanted. (pg_partition_tree would lock all of them.)
 */
const RELATIONS = `
  WITH RECURSIVE tree (root, relation) AS (
    SELECT oid, oid FROM pg_catalog.pg_class WHERE relkind = 'p'
    UNION ALL
    SELECT t.root, i.inhrelid FROM tree AS t
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.relation)
  SELECT n.nspname AS schema, c.relname AS table, c.relkind = 'p' AS partitioned
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT root, pg_catalog.sum(pg_catalog.pg_relation_size(relation)) AS bytes
             FROM tree GROUP BY root) AS s ON s.root = c.oid
  WHERE c.relkind IN ('r', 'm', 'p')
    AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND CASE WHEN $1 THEN NOT c.relispartition
             ELSE (n.nspname::text, c.relname::text) IN (
               SELECT * FROM unnest($2::text[], $3::text[])) END
  ORDER BY CASE c.relkind
             WHEN 'p' THEN s.bytes
             ELSE pg_catalog.pg_relation_size(c.oid) END DESC NULLS LAST, 1, 2`;

/** One level below a partitioned table. */
const PARTITIONS = `
  SELECT n.nspname AS schema, c.relname AS table, c.relkind = 'p' AS partitioned
  FROM pg_catalog.pg_inherits AS i
  JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE i.inhparent = (SELECT p.oid FROM pg_catalog.pg_class AS p
      JOIN pg_catalog.pg_namespace AS s ON s.oid = p.relnamespace
      WHERE s.nspname = $1 AND p.relname = $2)
    AND c.relkind IN ('r', 'p')
  ORDER BY 1, 2`;

interface Relation extends Record<string, unknown> {
  readonly schema: string;
  readonly table: string;
  readonly partitioned: boolean;
}

/**
 * Gathers the planner's statistics, on up to `jobs` sessions. A table that cannot be analyzed is a warning:
 * it has all its rows, and autovacuum comes to it later. A partitioned one whose partitions are more than the
 * server can lock at a time is not analyzed as a whole, but each of them is.
 *
 * Throws what `connect` throws, TargetFull, ConnectionLost, or the signal's reason.
 */
export async function analyzeTables(
  { databases }: Pick<Deps, 'databases'>,
  options: AnalyzeOptions,
): Promise<{ warnings: string[] }> {
  const { connection, database, tables, roleName, jobs, signal, onProgress } = options;
  const warnings: string[] = [];
  const sessions: Session[] = [];
  const closeAll = () => Promise.all(sessions.map((session) => session.close()));
  const onAbort = () => void closeAll();
  const open = async () => {
    const session = await databases.connect(connection, database, { unlimited: true });
    sessions.push(session);
    signal.throwIfAborted();
    if (roleName !== undefined) {
      await session.query("SELECT pg_catalog.set_config('role', $1, false)", [roleName]);
    }
    return session;
  };
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const first = await open();
    const waiting = await first.query<Relation>(RELATIONS, [
      tables === undefined,
      tables?.map(({ schema }) => schema) ?? [],
      tables?.map(({ table }) => table) ?? [],
    ]);
    const count = waiting.length;
    let total = count;
    let done = 0;
    const work = async (session: Session) => {
      for (let it = waiting.shift(); it !== undefined; it = waiting.shift()) {
        const name = `${quoteIdentifier(it.schema)}.${quoteIdentifier(it.table)}`;
        try {
          await session.query(`ANALYZE ${name}`);
        } catch (error) {
          const sqlState = sqlStateOf(error);
          const trouble = serverTrouble(sqlState) ?? (sqlState ? undefined : ConnectionLost);
          if (trouble) {
            waiting.length = 0;
            throw new trouble(`analyze: ${name} failed: ${serverMessage(error)}`, { cause: error });
          }
          const parts =
            it.partitioned && sqlState === SQLSTATE.outOfMemory
              ? await session.query<Relation>(PARTITIONS, [it.schema, it.table])
              : [];
          waiting.push(...parts);
          total += parts.length;
          const instead = parts.length > 0 ? '; its partitions are, each by itself' : '';
          warnings.push(`${name} could not be analyzed: ${serverMessage(error)}${instead}`);
        }
        done += 1;
        onProgress?.(done, total);
      }
    };
    const others = Array.from({ length: Math.min(jobs, count) - 1 }, async () => {
      // Where the server has no further connection, those that are there do it all.
      const session = await open().catch(() => undefined);
      if (session) await work(session);
    });
    const results = await Promise.allSettled([work(first), ...others]);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason;
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await closeAll();
  }
  return { warnings };
}
