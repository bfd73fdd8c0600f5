import type { Connection } from '#contracts/source-plan.ts';
import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
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
 * so that these are left out where everything is wanted.
 */
const RELATIONS = `
  SELECT n.nspname AS schema, c.relname AS table
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'm', 'p')
    AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND CASE WHEN $1 THEN NOT c.relispartition
             ELSE (n.nspname::text, c.relname::text) IN (
               SELECT * FROM unnest($2::text[], $3::text[])) END
  ORDER BY CASE c.relkind
             WHEN 'p' THEN (SELECT pg_catalog.sum(pg_catalog.pg_relation_size(t.relid))
                              FROM pg_catalog.pg_partition_tree(c.oid) AS t)
             ELSE pg_catalog.pg_relation_size(c.oid) END DESC NULLS LAST, 1, 2`;

/**
 * Gathers the planner's statistics, on up to `jobs` sessions. A table that cannot be analyzed is a warning:
 * it has all its rows, and autovacuum comes to it later.
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
    const waiting = await first.query<{ schema: string; table: string }>(RELATIONS, [
      tables === undefined,
      tables?.map(({ schema }) => schema) ?? [],
      tables?.map(({ table }) => table) ?? [],
    ]);
    const total = waiting.length;
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
          warnings.push(`${name} could not be analyzed: ${serverMessage(error)}`);
        }
        done += 1;
        onProgress?.(done, total);
      }
    };
    const others = Array.from({ length: Math.min(jobs, total) - 1 }, async () => {
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
