import { type PlannedRestore, RestoreRecord } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { displayName } from '#domain/display-text.ts';
import { restoreKey } from '#domain/names.ts';
import { parseMark } from '#domain/restore/target-mark.ts';
import { errorName } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from '../records.ts';
import { cleanUpTarget } from './clean-up-target.ts';
import { restoreOfDraft } from './marked-database.ts';
import { withSession } from './target-server.ts';

type Needs = Pick<Deps, 'databases' | 'objects' | 'log'>;

/** Our marks, and the names of drafts that died before they got one. */
const OF_RESTORES = `
  SELECT datname::pg_catalog.text AS "name",
         pg_catalog.shobj_description(oid, 'pg_database') AS "comment"
  FROM pg_catalog.pg_database
  WHERE pg_catalog.shobj_description(oid, 'pg_database') LIKE 'holdfast restore %'
     OR datname LIKE 'holdfast\\_restored\\_%'
  ORDER BY 1`;

/**
 * Takes back what earlier restores left on the server that a new one goes to: those whose record says that they
 * failed and that their clean-up did too, as when the server had no room for its log and stopped. What is being
 * restored, was to be kept, or has no such record is not touched. Answers what was done, and what could not be,
 * for the report; never throws, as the restore does not depend on it. `signal`: when it has to be enough.
 */
export async function sweepLeftovers(
  deps: Needs,
  connection: Connection,
  restore: PlannedRestore,
  signal: AbortSignal,
): Promise<string[]> {
  const said: string[] = [];
  try {
    for (const restoreId of await restoresOnServer(deps, connection)) {
      const left =
        restoreId === restore.restoreId ? null : await findLeft(deps, restoreId, restore);
      if (!left) continue;
      const { target } = left;
      const request = { connection, restoreId, target, keepOnFailure: false, signal };
      const cleanUp = await cleanUpTarget(deps, request);
      deps.log.warn(LOG.restoreCleanedUp, { ...cleanUp, restoreId });
      const what = `what the failed restore ${restoreId} had left in ${displayName(target.database)}`;
      said.push(
        cleanUp.status === 'failed' || cleanUp.status === 'kept'
          ? `${what} is still there: ${cleanUp.detail}`
          : `${what} was taken back`,
      );
    }
  } catch (error) {
    const { restoreId } = restore;
    deps.log.warn(LOG.failed, { restoreId, while: 'sweeping', error: errorName(error) });
  }
  return said;
}

async function restoresOnServer(
  { databases }: Needs,
  connection: Connection,
): Promise<ReadonlySet<string>> {
  const rows = await withSession(databases, connection, connection.maintenanceDatabase, (session) =>
    session.query<{ name: string; comment: string | null }>(OF_RESTORES),
  );
  const ids = rows.flatMap(({ name, comment }) => {
    const mark = parseMark(comment);
    if (mark) return mark.state === 'in-progress' ? [mark.restoreId] : [];
    return restoreOfDraft(name) ?? [];
  });
  return new Set(ids);
}

/** The restore of that id, where it failed into the same server and left something. */
async function findLeft(
  { objects }: Needs,
  restoreId: string,
  { source, target }: PlannedRestore,
): Promise<PlannedRestore | undefined> {
  // Only of these two it is known where the record would be.
  for (const of of new Set([source, target.source])) {
    const key = restoreKey({ source: of, restoreId }, 'restore.json');
    const found = await objects.get(key);
    if (!found) continue;
    const { status, cleanUp, restore } = parseRecord(RestoreRecord, found.body, key);
    const isLeft = status === 'FAILED' && cleanUp?.status === 'failed' && !restore.keepOnFailure;
    if (isLeft && restore.target.source === target.source) return restore;
  }
  return undefined;
}
