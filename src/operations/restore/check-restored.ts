import type { RestoreChecks, RowCheck } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { TableRows } from '#domain/copy-text.ts';
import { displayCount } from '#domain/display-text.ts';
import { type ArchiveExpectations, objectKey } from '#domain/restore/archive-expectations.ts';
import { displayList } from '#domain/restore/entry-kinds.ts';
import { SQLSTATE, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { SUBSCRIPTIONS_QUERY, type SubscriptionRow } from '#domain/restore/user-objects.ts';
import type { Deps, Session } from '#runtime/ports.ts';
import {
  findExtensions,
  findInvalidConstraints,
  findInvalidIndexes,
  findPublications,
  sequenceStates,
} from './catalog-checks.ts';
import { countLargeObjects } from './empty-database.ts';
import { queryAsOwner, withSession } from './target-server.ts';

export interface CheckRequest {
  readonly connection: Connection;
  readonly database: string;
  /** Of the entries that were restored. */
  readonly expected: ArchiveExpectations;
  /** `tables` of verification.json; undefined where there is none. */
  readonly expectedRows: readonly TableRows[] | undefined;
  /** Indexes and constraints were there before: what is wrong with them is no fault of the restore. */
  readonly dataOnly: boolean;
  /** Sessions that count at the same time. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** What is not as the backup has it; `message` is what `checks.problems` says. */
export interface RestoreProblem {
  readonly check: 'rows' | 'sequences' | 'indexes' | 'constraints' | 'large-objects' | 'restore';
  /** The table, sequence, index …; null: the whole. */
  readonly subject: string | null;
  readonly message: string;
}

/**
 * Looks at a restored database. `problems` says what is not as the backup has it: the restore then
 * failed. `warnings` says what could not be looked at, or was odd in the backup already.
 *
 * Rows are counted as the verification counts them: those of each table that has data in the archive
 * itself, without what inherits from it, and of tables of extensions only what pg_dump takes.
 */
export async function checkRestored(
  { databases }: Pick<Deps, 'databases'>,
  request: CheckRequest,
): Promise<{ checks: RestoreChecks; warnings: string[]; problems: RestoreProblem[] }> {
  const { connection, database, expected, dataOnly, signal } = request;
  const problems: RestoreProblem[] = [];
  const warnings: string[] = [];
  const rows = await countRows({ databases }, request, problems, warnings);
  const lookAtRest = async (session: Session) => {
    const sequences = await checkSequences(session, expected, problems, warnings);
    const invalidIndexes = await findInvalidIndexes(session);
    const invalidConstraints = (await findInvalidConstraints(session))
      .filter(({ key }) => !expected.notValid.has(key))
      .map(({ name }) => name);
    const found = [
      ...invalidIndexes.broken.map((subject): RestoreProblem => {
        return { check: 'indexes', subject, message: `the index ${subject} is invalid` };
      }),
      ...invalidConstraints.map((subject): RestoreProblem => {
        return {
          check: 'constraints',
          subject,
          message: `the constraint ${subject} is not validated`,
        };
      }),
    ];
    if (dataOnly) warnings.push(...found.map(({ message }) => message));
    else problems.push(...found);
    warnings.push(
      ...invalidIndexes.incomplete.map(
        (name) => `the partitioned index ${name} is invalid: a partition has no index for it`,
      ),
    );
    const largeObjects = {
      expected: expected.largeObjects,
      actual: await countLargeObjects(session),
    };
    if (
      largeObjects.actual !== largeObjects.expected &&
      !(dataOnly && largeObjects.expected === 0)
    ) {
      problems.push({
        check: 'large-objects',
        subject: null,
        message: `${displayCount(largeObjects.actual)} large objects instead of ${displayCount(largeObjects.expected)}`,
      });
    }
    const subscriptions = await session.query<SubscriptionRow>(SUBSCRIPTIONS_QUERY);
    const enabled = subscriptions.filter((it) => it.enabled);
    problems.push(
      ...enabled.map(({ identity }): RestoreProblem => {
        return {
          check: 'restore',
          subject: identity,
          message: `the subscription ${identity} is enabled`,
        };
      }),
    );
    return {
      sequences,
      invalidIndexes: [...invalidIndexes.broken, ...invalidIndexes.incomplete],
      invalidConstraints,
      largeObjects,
      extensions: [...(await findExtensions(session))],
      publications: [...(await findPublications(session))],
      subscriptions: subscriptions.map(({ identity, enabled: on }) => ({
        name: identity,
        enabled: on,
      })),
    };
  };
  const rest = await withSession(databases, connection, database, lookAtRest, { signal });
  const messages = problems.map(({ message }) => message);
  return { checks: { rows, ...rest, problems: messages }, warnings, problems };
}

interface Countable extends Record<string, unknown> {
  readonly schema: string;
  readonly table: string;
  /** Null: the table is not there. */
  readonly owner: string | null;
  /** Of a table that an extension configures with: the condition for what is dumped; may be empty. */
  readonly condition: string | null;
}

/** The tables in the archive's order, with what is needed to count each. */
const COUNTABLE_QUERY = `
  SELECT t.schema AS "schema", t.name AS "table",
         pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS "owner",
         (SELECT e.extcondition[pg_catalog.array_position(e.extconfig, c.oid)]
          FROM pg_catalog.pg_extension AS e WHERE c.oid = ANY (e.extconfig) LIMIT 1) AS "condition"
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
    WITH ORDINALITY AS t(schema, name, position)
  LEFT JOIN (pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace)
    ON n.nspname = t.schema AND c.relname = t.name AND c.relkind IN ('r', 'p', 'f')
  ORDER BY t.position`;

async function countRows(
  { databases }: Pick<Deps, 'databases'>,
  request: CheckRequest,
  problems: RestoreProblem[],
  warnings: string[],
): Promise<RowCheck[]> {
  const { connection, database, expected, expectedRows, jobs, signal } = request;
  const { tables } = expected;
  if (tables.length === 0) return [];
  const expectedOf = new Map(
    expectedRows?.map(({ schema, table, rows }) => [
      objectKey(expected.readName(schema), expected.readName(table)),
      rows,
    ]),
  );
  const found = await withSession(databases, connection, database, (session) =>
    session.query<Countable>(COUNTABLE_QUERY, [
      tables.map(({ schema }) => schema),
      tables.map(({ table }) => table),
    ]),
  );
  const uncounted = found.filter((it) => !expectedOf.has(objectKey(it.schema, it.table)));
  if (expectedRows !== undefined && uncounted.length > 0) {
    warnings.push(
      `the verification has no count of the rows of ${displayList(uncounted.map(fullName))}, so that theirs are compared with nothing`,
    );
  }
  const results: (RowCheck | undefined)[] = [];
  const waiting = found.entries();
  const count = async (session: Session) => {
    await session.query('SET row_security = off');
    for (const [at, countable] of waiting) {
      const { schema, table } = countable;
      const wanted = expectedOf.get(objectKey(schema, table)) ?? null;
      const actual = await countTable(session, countable, problems, warnings);
      if (actual === undefined) continue;
      results[at] = { schema, table, expected: wanted, actual };
      if (wanted !== null && wanted !== actual) {
        problems.push({
          check: 'rows',
          subject: fullName(countable),
          message: `${fullName(countable)} has ${displayCount(actual)} rows instead of ${displayCount(wanted)}`,
        });
      }
    }
  };
  // One that fails stops the others; all of them end before this does.
  const failed = new AbortController();
  const either = { signal: AbortSignal.any([signal, failed.signal]) };
  const workers = Array.from({ length: Math.min(jobs, found.length) }, () =>
    withSession(databases, connection, database, count, either).catch((error: unknown) =>
      failed.abort(error),
    ),
  );
  await Promise.all(workers);
  either.signal.throwIfAborted();
  return results.filter((it) => it !== undefined);
}

function fullName({ schema, table }: { schema: string; table: string }): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}

/** Undefined where it could not be counted, which is said. */
async function countTable(
  session: Session,
  countable: Countable,
  problems: RestoreProblem[],
  warnings: string[],
): Promise<number | undefined> {
  const name = fullName(countable);
  const { owner, condition } = countable;
  if (owner === null) {
    problems.push({ check: 'rows', subject: name, message: `the table ${name} is not there` });
    return undefined;
  }
  try {
    const [row] = await queryAsOwner<{ total: string }>(
      session,
      owner,
      // The extension's own words: pg_dump uses them in the same place.
      `SELECT pg_catalog.count(*)::pg_catalog.text AS "total" FROM ONLY ${name} ${condition ?? ''}`,
    );
    return Number(row?.total ?? 0);
  } catch (error) {
    if (sqlStateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
    warnings.push(`the rows of ${name} could not be counted: ${serverMessage(error)}`);
    return undefined;
  }
}

/**
 * Holds each sequence against what the archive sets it to, and against the columns that it feeds. One that
 * is behind its column just as the archive has it was so in the source: that is said, and no problem.
 */
async function checkSequences(
  session: Session,
  { sequences }: ArchiveExpectations,
  problems: RestoreProblem[],
  warnings: string[],
): Promise<RestoreChecks['sequences']> {
  const behind: string[] = [];
  const checked = new Set<string>();
  for await (const state of sequenceStates(session)) {
    const { name, position, refusal } = state;
    if (position) {
      const { lastValue, isCalled } = position;
      const expected = sequences.get(objectKey(state.schema, state.sequence));
      const asInArchive = expected?.lastValue === lastValue && expected.isCalled === isCalled;
      if (expected && !asInArchive && !checked.has(name)) {
        problems.push({
          check: 'sequences',
          subject: name,
          message: `the sequence ${name} is at ${lastValue}, the backup has ${expected.lastValue}`,
        });
      }
      checked.add(name);
      if (state.behind !== undefined) {
        const text = `${name} is behind ${state.behind}`;
        behind.push(text);
        if (expected && !asInArchive) {
          problems.push({ check: 'sequences', subject: name, message: `the sequence ${text}` });
        } else warnings.push(`the sequence ${text}, as in the backup`);
      }
    }
    if (refusal !== undefined) {
      warnings.push(`the sequence ${name} could not be looked at: ${refusal}`);
    }
  }
  return { checked: checked.size, behind };
}
