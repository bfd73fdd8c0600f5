import type { Connection } from '#contracts/source-plan.ts';
import { withSession } from '#operations/restore/target-server.ts';
import type { Databases, Session } from '#runtime/ports.ts';

/**
 * What a database or a role may have been given for good (`ALTER DATABASE … SET`) and came back with the data, and
 * would keep a check from doing its work, or damage from being seen. The last two are a superuser's to change.
 */
const NEUTRAL = `
  SELECT pg_catalog.set_config(s.name, v.value, false)
  FROM (VALUES ('default_transaction_read_only', 'off'), ('default_transaction_deferrable', 'off'),
               ('default_transaction_isolation', 'read committed'), ('lock_timeout', '0'),
               ('row_security', 'on'), ('zero_damaged_pages', 'off'),
               ('ignore_checksum_failure', 'off')) AS v (name, value)
  JOIN pg_catalog.pg_settings AS s ON s.name = v.name
  WHERE s.context = 'user' OR pg_catalog.current_setting('is_superuser')::pg_catalog.bool`;

/**
 * A session for the checks of a drill: as `withSession`, and whatever the database is set to, it may write, waits for
 * locks and is who it logged in as. Throws what `withSession` throws.
 */
export function withCheckSession<T>(
  databases: Databases,
  connection: Connection,
  database: string,
  use: (session: Session) => Promise<T>,
  options: { signal?: AbortSignal } = {},
): Promise<T> {
  return withSession(
    databases,
    connection,
    database,
    async (session) => {
      // Not RESET ROLE, which would be the role that the database is set to.
      await session.query('SET ROLE NONE');
      await session.query(NEUTRAL);
      return use(session);
    },
    options,
  );
}
