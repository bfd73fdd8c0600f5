import { objectKey } from '#domain/restore/archive-expectations.ts';
import { SQLSTATE, serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import type { Session } from '#runtime/ports.ts';
import { queryAsOwner } from './target-server.ts';

/** What a database's own catalogs say of it, whoever restored it: an archive, or RDS. */

/** `incomplete`: of a partitioned table, without an index on each partition; valid once there is one. */
export async function findInvalidIndexes(
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
export async function findInvalidConstraints(
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

export async function findExtensions(
  session: Session,
): Promise<readonly { name: string; version: string }[]> {
  return session.query<{ name: string; version: string }>(
    `SELECT extname::pg_catalog.text AS "name", extversion AS "version"
     FROM pg_catalog.pg_extension ORDER BY 1`,
  );
}

export async function findPublications(session: Session): Promise<readonly string[]> {
  const rows = await session.query<{ name: string }>(
    `SELECT pubname::pg_catalog.text AS "name" FROM pg_catalog.pg_publication ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
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
  /** An index begins with the column: its furthest value is found without reading the table. */
  readonly indexed: boolean;
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
         pg_catalog.pg_get_userbyid(t.relowner)::pg_catalog.text AS "tableOwner",
         EXISTS (SELECT FROM pg_catalog.pg_index AS i
                 JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid
                 JOIN pg_catalog.pg_am AS am ON am.oid = ic.relam AND am.amname = 'btree'
                 WHERE i.indrelid = t.oid AND i.indkey[0] = a.attnum AND i.indisvalid
                   AND i.indpred IS NULL) AS "indexed"
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

export interface SequenceState {
  readonly schema: string;
  readonly sequence: string;
  /** Quoted and qualified. */
  readonly name: string;
  /** Undefined: `refusal` says why it could not be read. */
  readonly position: { readonly lastValue: string; readonly isCalled: boolean } | undefined;
  /** `table.column` that is further than the sequence; its next values collide there. */
  readonly behind: string | undefined;
  /** What the server says where sequence or table may not be read. */
  readonly refusal: string | undefined;
}

/**
 * Each sequence, once for each column that it feeds. With `indexedOnly` no table is read: where no index begins with
 * the column, only the sequence's own position is told. Sets `row_security` off in the session.
 */
export async function* sequenceStates(
  session: Session,
  { indexedOnly = false }: { indexedOnly?: boolean } = {},
): AsyncGenerator<SequenceState> {
  await session.query('SET row_security = off');
  for (const row of await session.query<SequenceRow>(SEQUENCES_QUERY)) {
    const { schema, sequence } = row;
    const name = `${quoteIdentifier(schema)}.${quoteIdentifier(sequence)}`;
    const state = { schema, sequence, name };
    let position: SequenceState['position'];
    let behind: string | undefined;
    let refusal: string | undefined;
    try {
      const [found] = await queryAsOwner<{ lastValue: string; isCalled: boolean }>(
        session,
        row.owner,
        `SELECT last_value::pg_catalog.text AS "lastValue", is_called AS "isCalled" FROM ${name}`,
      );
      if (!found) continue;
      position = { lastValue: found.lastValue, isCalled: found.isCalled };
      if (row.indexed || !indexedOnly) behind = await columnBeyond(session, row, position);
    } catch (error) {
      if (sqlStateOf(error) !== SQLSTATE.insufficientPrivilege) throw error;
      refusal = serverMessage(error);
    }
    yield { ...state, position, behind, refusal };
  }
}

/** The column that the row names, where it has a value that the sequence has yet to give. */
async function columnBeyond(
  session: Session,
  { tableName, columnName, tableOwner, owner, ascending }: SequenceRow,
  { lastValue, isCalled }: NonNullable<SequenceState['position']>,
): Promise<string | undefined> {
  if (tableName === null || columnName === null) return undefined;
  const furthest = ascending ? 'max' : 'min';
  const beyond = ascending ? '>' : '<';
  const [column] = await queryAsOwner<{ isBehind: boolean }>(
    session,
    tableOwner ?? owner,
    `SELECT COALESCE(pg_catalog.${furthest}(${columnName}) ${beyond} $1::pg_catalog.int8
       OR (NOT $2 AND pg_catalog.${furthest}(${columnName}) = $1::pg_catalog.int8), false) AS "isBehind"
     FROM ${tableName}`,
    [lastValue, isCalled],
  );
  return column?.isBehind ? `${tableName}.${columnName}` : undefined;
}
