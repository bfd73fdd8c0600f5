import type { RestoreChecks, RowCheck } from '#contracts/restore.ts';
import type { Connection } from '#contracts/source-plan.ts';
import type { TableRows } from '#domain/copy-text.ts';
import { displayCount } from '#domain/display-text.ts';
import { type ArchiveExpectations, objectKey } from '#domain/restore/archive-expectations.ts';
import { SQLSTATE, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { SUBSCRIPTIONS_QUERY, type SubscriptionRow } from '#domain/restore/user-objects.ts';
import type { Deps, Session } from '#runtime/ports.ts';
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
      extensions: await session.query<{ name: string; version: string }>(
        `SELECT extname::pg_catalog.text AS "name", extversion AS "version"
         FROM pg_catalog.pg_extension ORDER BY 1`,
      ),
      publications: (
        await session.query<{ name: string }>(
          `SELECT pubname::pg_catalog.text AS "name" FROM pg_catalog.pg_publication ORDER BY 1`,
        )
      ).map(({ name }) => name),
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

interface SequenceRow extends Record<string, unknown> {
  readonly schema: string;
  readonly sequence: string;
  readonly owner: string;
  readonly ascending: boolean;
  /** The column that takes its values from it; null where there is none. */
  readonly tableName: string | null;
  readonly columnName: string | null;
  readonly tableOwner: string | null;
}

/** Each sequence with each column that it feeds: owned by it (serial, identity), or by a default. */
const SEQUENCES_QUERY = `
  WITH feeds AS (
    SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number
    FROM pg_catalog.pg_depend AS d
    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    UNION
    SELECT d.refobjid, a.adrelid, a.adnum
    FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_attrdef AS a ON a.oid = d.objid
    WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
      AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass)
  SELECT n.nspname::pg_catalog.text AS "schema", c.relname::pg_catalog.text AS "sequence",
         pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text AS "owner",
         s.seqincrement > 0 AS "ascending",
         CASE WHEN t.relkind IN ('r', 'p') THEN pg_catalog.format('%I.%I', tn.nspname, t.relname) END AS "tableName",
         pg_catalog.quote_ident(a.attname) AS "columnName",
         pg_catalog.pg_get_userbyid(t.relowner)::pg_catalog.text AS "tableOwner"
  FROM pg_catalog.pg_sequence AS s
  JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN (feeds AS f
    JOIN pg_catalog.pg_class AS t ON t.oid = f.relation
    JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.relation AND a.attnum = f.number
      AND a.atttypid IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype,
                         'int8'::pg_catalog.regtype, 'numeric'::pg_catalog.regtype))
    ON f.sequence = s.seqrelid AND NOT s.seqcycle
  WHERE c.relpersistence <> 't'
  ORDER BY 1, 2, 5, 6`;

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
  await session.query('SET row_security = off');
  const behind: string[] = [];
  const checked = new Set<string>();
  for (const row of await session.query<SequenceRow>(SEQUENCES_QUERY)) {
    const name = fullName({ schema: row.schema, table: row.sequence });
    const expected = sequences.get(objectKey(row.schema, row.sequence));
    try {
      const [state] = await queryAsOwner<{ lastValue: string; isCalled: boolean }>(
        session,
        row.owner,
        `SELECT last_value::pg_catalog.text AS "lastValue", is_called AS "isCalled" FROM ${name}`,
      );
      if (!state) continue;
      const { lastValue, isCalled } = state;
      const asInArchive = expected?.lastValue === lastValue && expected.isCalled === isCalled;
      if (expected && !asInArchive && !checked.has(name)) {
        problems.push({
          check: 'sequences',
          subject: name,
          message: `the sequence ${name} is at ${lastValue}, the backup has ${expected.lastValue}`,
        });
      }
      checked.add(name);
      if (row.tableName === null || row.columnName === null) continue;
      const furthest = row.ascending ? 'max' : 'min';
      const beyond = row.ascending ? '>' : '<';
      const [column] = await queryAsOwner<{ isBehind: boolean }>(
        session,
        row.tableOwner ?? row.owner,
        `SELECT COALESCE(pg_catalog.${furthest}(${row.columnName}) ${beyond} $1::pg_catalog.int8
           OR (NOT $2 AND pg_catalog.${furthest}(${row.columnName}) = $1::pg_catalog.int8), false) AS "isBehind"
         FROM ${row.tableName}`,
        [lastValue, isCalled],
      );
      if (!column?.isBehind) continue;
      const text = `${name} is behind ${row.tableName}.${row.columnName}`;
      behind.push(text);
      if (expected && !asInArchive) {
        problems.push({ check: 'sequences', subject: name, message: `the sequence ${text}` });
      } else warnings.push(`the sequence ${text}, as in the backup`);
    } catch (error) {
      if (sqlStateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
      warnings.push(`the sequence ${name} could not be looked at: ${serverMessage(error)}`);
    }
  }
  return { checked: checked.size, behind };
}

/** `incomplete`: of a partitioned table, without an index on each partition; valid once there is one. */
async function findInvalidIndexes(
  session: Session,
): Promise<{ broken: string[]; incomplete: string[] }> {
  const rows = await session.query<{ name: string; partitioned: boolean }>(`
    SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS "name", c.relkind = 'I' AS "partitioned"
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT (i.indisvalid AND i.indisready AND i.indislive) AND c.relpersistence <> 't' ORDER BY 1`);
  return {
    broken: rows.filter((it) => !it.partitioned).map(({ name }) => name),
    incomplete: rows.filter((it) => it.partitioned).map(({ name }) => name),
  };
}

/** Those of a table's or domain's own; what is inherited follows its parent. */
async function findInvalidConstraints(
  session: Session,
): Promise<readonly { name: string; key: string }[]> {
  const rows = await session.query<{ name: string; schema: string; tag: string }>(`
    SELECT pg_catalog.format('%I on %I.%I', c.conname, n.nspname, o.name) AS "name",
           n.nspname::pg_catalog.text AS "schema",
           pg_catalog.format('%s %s', o.name, c.conname) AS "tag"
    FROM pg_catalog.pg_constraint AS c
    JOIN LATERAL (
      SELECT relname AS name, relnamespace AS schema FROM pg_catalog.pg_class WHERE oid = c.conrelid
      UNION ALL
      SELECT typname, typnamespace FROM pg_catalog.pg_type WHERE oid = c.contypid) AS o ON true
    JOIN pg_catalog.pg_namespace AS n ON n.oid = o.schema
    WHERE NOT c.convalidated AND c.conislocal AND c.conparentid = 0 ORDER BY 1`);
  return rows.map(({ name, schema, tag }) => ({ name, key: objectKey(schema, tag) }));
}
