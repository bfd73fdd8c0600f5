import type { CleanUp, TargetMode } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { displayName } from '#domain/display-text.ts';
import { parseMark } from '#domain/restore/target-mark.ts';
import { isRetryable } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';
import { dropRolesMadeBy, keepRoles, rolesMadeBy } from './created-roles.ts';
import { emptyDatabase } from './empty-database.ts';
import { draftName, dropDatabase, endOwnSessions, isOurs, setMark } from './marked-database.ts';
import { findDatabase, type TargetDatabase, withSession } from './target-server.ts';

export interface CleanUpRequest {
  readonly connection: Connection;
  readonly restoreId: string;
  readonly target: {
    readonly database: string;
    readonly mode: TargetMode;
    /** The name that a swap gives it in the end. */
    readonly swapWith?: string | null;
  };
  readonly keepOnFailure: boolean;
  /** Whoever has a lock on what is to go can make it wait for ever. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Takes back what a failed restore made: a new database is dropped, an existing one is as empty as it was, then
 * the roles go that it made. A role that somebody uses meanwhile stays, which `kept` says with the reason.
 * Only what carries the mark of this very restore is touched; a database that was restored to the end has
 * none any more and stays, which `kept` says. Idempotent; also after the restoring task was killed.
 *
 * Answers `failed` with the reason when something is left. Throws only what may work when it is called again
 * (DatabaseUnreachable, ConnectionLost …).
 */
export async function cleanUpTarget(
  deps: Pick<Deps, 'databases'>,
  request: CleanUpRequest,
): Promise<CleanUp> {
  const { connection, target, keepOnFailure, signal } = request;
  try {
    return await withSession(
      deps.databases,
      connection,
      connection.maintenanceDatabase,
      async (session) => {
        const whole = await findWhole(session, request);
        if (whole) {
          await keepRoles(session, request.restoreId);
          return whole;
        }
        const kept = keepOnFailure ? await describeKept(session, request) : undefined;
        if (kept?.status === 'kept') return kept;
        const cleaned = kept ?? (await cleanUpDatabase(deps, session, request));
        // What is left of the database may be theirs.
        return cleaned.status === 'failed' ? cleaned : takeBackRoles(session, request, cleaned);
      },
      { ...(signal && { signal }) },
    );
  } catch (error) {
    if (isRetryable(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return { status: 'failed', detail: `${displayName(target.database)}: ${reason}` };
  }
}

async function cleanUpDatabase(
  deps: Pick<Deps, 'databases'>,
  session: Session,
  request: CleanUpRequest,
): Promise<CleanUp> {
  const { connection, restoreId, target } = request;
  const draft = await findDatabase(session, draftName(restoreId));
  if (draft && draft.name !== target.database) {
    await dropDatabase(deps, session, connection, draft);
  }
  const there = await findDatabase(session, target.database);
  if (there) return takeBack(deps, session, there, request);
  return nothingLeft(draft ? 'what had been begun was dropped' : 'there is no database');
}

/** The roles that the restore made, after what they had in its database. */
async function takeBackRoles(
  session: Session,
  { restoreId }: CleanUpRequest,
  cleaned: CleanUp,
): Promise<CleanUp> {
  const { dropped, left } = await dropRolesMadeBy(session, restoreId);
  const gone =
    dropped.length > 0
      ? `${cleaned.detail}; the roles that it made were dropped: ${list(dropped)}`
      : cleaned.detail;
  if (left.length === 0) return { ...cleaned, detail: gone };
  const reasons = left.map(({ role, reason }) => `${displayName(role)} (${reason})`);
  return {
    status: 'kept',
    detail: `roles that the restore made and that are used by now: ${reasons.join('; ')}. Of the rest: ${cleaned.status}, ${gone}`,
  };
}

function list(roles: readonly string[]): string {
  return roles.map((role) => displayName(role)).join(', ');
}

function nothingLeft(detail: string): CleanUp {
  return { status: 'nothing-left', detail };
}

/** The task died, or could not swap, after the database was restored and checked: it is good to have. */
async function findWhole(
  session: Session,
  { restoreId, target: { database, swapWith } }: CleanUpRequest,
): Promise<CleanUp | undefined> {
  for (const name of swapWith == null ? [database] : [swapWith, database]) {
    const mark = parseMark((await findDatabase(session, name))?.comment ?? null);
    if (mark?.state !== 'restored' || mark.restoreId !== restoreId) continue;
    const swapped = name === swapWith ? ', and took the place of the original' : '';
    return {
      status: 'kept',
      detail: `the database ${displayName(name)} was restored and checked to the end${swapped}`,
    };
  }
  return undefined;
}

async function describeKept(
  session: Session,
  { restoreId, target }: CleanUpRequest,
): Promise<CleanUp> {
  const there = await findDatabase(session, target.database);
  if (!there || !isOurs(parseMark(there.comment), restoreId)) {
    return nothingLeft(`there is nothing of this restore in ${displayName(target.database)}`);
  }
  const roles = await rolesMadeBy(session, restoreId);
  const theirs = roles.length > 0 ? `, with the roles that it made: ${list(roles)}` : '';
  return {
    status: 'kept',
    detail: `what was restored so far is in the database ${displayName(target.database)}, as you asked${theirs}`,
  };
}

async function takeBack(
  deps: Pick<Deps, 'databases'>,
  session: Session,
  there: TargetDatabase,
  { connection, restoreId, target, signal }: CleanUpRequest,
): Promise<CleanUp> {
  const name = displayName(there.name);
  const mark = parseMark(there.comment);
  const unmarkedDraft = !mark && there.name === draftName(restoreId);
  if (!isOurs(mark, restoreId) && !unmarkedDraft) {
    return nothingLeft(
      target.mode === 'existing'
        ? `the database ${name} was there before, and has nothing of this restore`
        : `the database ${name} is not of this restore, and was not touched`,
    );
  }
  const before = mark?.state === 'in-progress' ? mark.before : undefined;
  if (target.mode !== 'existing' && !before) {
    await dropDatabase(deps, session, connection, there);
    return { status: 'dropped', detail: `the database ${name}` };
  }
  if (!before) {
    return { status: 'failed', detail: `${name}: its mark does not say what was there before` };
  }
  await endOwnSessions(session, there.name);
  const left = await withSession(
    deps.databases,
    connection,
    there.name,
    (inside) => emptyDatabase(inside, before),
    { ...(signal && { signal }) },
  );
  if (left.length > 0) {
    const more = left.length > 5 ? ` and ${left.length - 5} more` : '';
    return { status: 'failed', detail: `${name} still has ${left.slice(0, 5).join('; ')}${more}` };
  }
  // Last, so that a clean-up that is cut off can be done again.
  await setMark(session, there, before.comment);
  const what = before.loaded
    ? `the tables that it loads into in the database ${name}`
    : `the database ${name}`;
  return { status: 'emptied', detail: what };
}
