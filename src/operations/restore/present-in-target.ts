import type { PlannedRestore } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { IsPresent } from '#domain/restore/selection.ts';
import type { Deps } from '#runtime/ports.ts';
import { withSession } from './target-server.ts';

/**
 * Tells which entries of an archive a restore will find in its target. A new database has nothing of its
 * own; an existing one, which has no objects of users, may have extensions and their schemas. Where only
 * data are restored, all else has to be there, which the preparation of the target sees to.
 */
export async function presentInTarget(
  { databases }: Pick<Deps, 'databases'>,
  connection: Connection,
  { target, selection }: Pick<PlannedRestore, 'target' | 'selection'>,
): Promise<IsPresent> {
  if (selection.only === 'data') return ({ section }) => section !== 'data';
  if (target.mode !== 'existing') return () => false;
  const names = await withSession(databases, connection, target.database, (session) =>
    session.query<{ kind: string; name: string }>(
      `SELECT 'EXTENSION' AS "kind", extname::pg_catalog.text AS "name" FROM pg_catalog.pg_extension
       UNION ALL
       SELECT 'SCHEMA', nspname::pg_catalog.text FROM pg_catalog.pg_namespace`,
    ),
  );
  const there = new Set(names.map(({ kind, name }) => `${kind} ${name}`));
  return ({ desc, tag }) => there.has(`${desc} ${tag}`);
}
