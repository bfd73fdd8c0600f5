import type { DrillChecks } from '#contracts/drill.ts';
import type { Connection, DrillRules } from '#contracts/source-plan.ts';
import { displayText } from '#domain/display-text.ts';
import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';
import { serverTrouble } from '#domain/restore/statement-failure.ts';
import type { Databases, Session } from '#runtime/ports.ts';
import { withCheckSession } from './check-session.ts';

export interface AmcheckRequest {
  readonly connection: Connection;
  readonly database: string;
  readonly mode: DrillRules['checks']['amcheck'];
  /** Sessions that check at the same time. */
  readonly jobs: number;
  readonly signal: AbortSignal;
}

export interface AmcheckResult {
  readonly checks: Omit<DrillChecks['amcheck'], 'seconds'>;
  /** Relations that could not be looked at, which says nothing about their data. */
  readonly unchecked: readonly { readonly relation: string; readonly reason: string }[];
}

/** Of one relation; what is damaged in many places is damaged. */
const MESSAGES_PER_RELATION = 5;
const MESSAGE_CHARACTERS = 500;
/** In one report: its reader knows by then. */
const MESSAGES = 200;
/** Our own schema: what a database has under such a name is left alone. */
const SCHEMA = 'holdfast_amcheck';
/** Sequences are checked from this version on. */
const SEQUENCES_FROM = 160_000;
/**
 * What reading a relation ends with when its files are damaged: XX001 data_corrupted, XX002 index_corrupted, XX000
 * (internal: pages that make no sense), 58 (files that cannot be read, or are not there), 22 (a value that cannot
 * be decoded).
 */
const DAMAGE = /^(XX|58|22)/;

/**
 * Reads every table, materialized view, TOAST table and sequence with `verify_heapam`, and every B-tree with
 * `bt_index_check`, as pg_amcheck does; of the catalogs too. In mode `full` each row is looked up in each B-tree,
 * and unique ones are proved to be so. What is damaged is listed, and all else is checked nevertheless.
 *
 * Throws ConnectionLost, DatabaseUnreachable and what `databases.connect` throws, or the signal's reason.
 */
export async function amcheck(
  { databases }: { databases: Databases },
  request: AmcheckRequest,
): Promise<AmcheckResult> {
  const { connection, database, mode, jobs, signal } = request;
  if (mode === 'off') return skipped('the plan switches it off (drill.checks.amcheck)');
  const prepared = await withCheckSession(databases, connection, database, prepare, { signal });
  if (typeof prepared === 'string') return skipped(prepared);
  const damage: { relation: string; message: string }[] = [];
  const unchecked: { relation: string; reason: string }[] = [];
  const waiting = prepared.relations.values();
  const work = async (session: Session) => {
    for (const relation of waiting) {
      signal.throwIfAborted();
      try {
        const messages = await checkRelation(session, prepared, relation, mode === 'full');
        damage.push(...messages.map((message) => ({ relation: relation.name, message })));
      } catch (error) {
        const state = sqlStateOf(error);
        if (state === undefined || serverTrouble(state)) throw error;
        const message = displayText(serverMessage(error), MESSAGE_CHARACTERS);
        if (DAMAGE.test(state)) damage.push({ relation: relation.name, message });
        else unchecked.push({ relation: relation.name, reason: message });
      }
    }
  };
  // One that fails stops the others; all of them end before this does.
  const failed = new AbortController();
  const either = { signal: AbortSignal.any([signal, failed.signal]) };
  const sessions = Array.from({ length: Math.min(jobs, prepared.relations.length) }, () =>
    withCheckSession(databases, connection, database, work, either).catch((error: unknown) =>
      failed.abort(error),
    ),
  );
  await Promise.all(sessions);
  either.signal.throwIfAborted();

  const left = new Set(unchecked.map(({ relation }) => relation));
  const checked = prepared.relations.filter(({ name }) => !left.has(name));
  // Of a role that may read nothing, nothing was checked: that is not clean.
  if (checked.length === 0 && unchecked[0]) return skipped(unchecked[0].reason);
  const indexes = checked.filter(({ isIndex }) => isIndex).length;
  return {
    checks: {
      state: damage.length > 0 ? 'damaged' : 'clean',
      tables: checked.length - indexes,
      indexes,
      damage: damage.slice(0, MESSAGES),
      reason: null,
    },
    unchecked,
  };
}

function skipped(reason: string): AmcheckResult {
  return {
    checks: { state: 'skipped', tables: 0, indexes: 0, damage: [], reason },
    unchecked: [],
  };
}

interface Relation extends Record<string, unknown> {
  readonly oid: string;
  /** `schema.name`, quoted where it has to be. */
  readonly name: string;
  readonly isIndex: boolean;
}

interface Prepared {
  readonly schema: string;
  /** `bt_index_check` can also prove uniqueness: from amcheck 1.4 (PostgreSQL 17) on. */
  readonly checksUnique: boolean;
  /** The largest first: what is long begins early. */
  readonly relations: readonly Relation[];
}

const INSTALLED_QUERY = `
  SELECT n.nspname::pg_catalog.text AS "schema",
         (SELECT pg_catalog.max(p.pronargs) FROM pg_catalog.pg_proc AS p
          WHERE p.pronamespace = n.oid AND p.proname = 'bt_index_check') AS "arguments",
         EXISTS (SELECT FROM pg_catalog.pg_proc AS p
          WHERE p.pronamespace = n.oid AND p.proname = 'verify_heapam') AS "hasHeap"
  FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
  WHERE e.extname = 'amcheck'`;

const RELATIONS_QUERY = `
  SELECT c.oid::pg_catalog.text AS "oid", pg_catalog.format('%I.%I', n.nspname, c.relname) AS "name",
         c.relkind = 'i' AS "isIndex"
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_am AS a ON a.oid = c.relam
  LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid
  WHERE c.relpersistence <> 't'
    AND (c.relkind IN ('r', 'm', 't') AND a.amname = 'heap'
      OR c.relkind = 'S' AND $1
      OR c.relkind = 'i' AND a.amname = 'btree' AND i.indisvalid AND i.indisready AND i.indislive)
  ORDER BY pg_catalog.pg_relation_size(c.oid) DESC NULLS LAST, c.oid`;

/** Makes the extension where it is not there yet. Answers why nothing can be checked, where that is so. */
async function prepare(session: Session): Promise<Prepared | string> {
  const find = async () => {
    const [row] = await session.query<{ schema: string; arguments: number; hasHeap: boolean }>(
      INSTALLED_QUERY,
    );
    return row;
  };
  let installed = await find();
  if (!installed) {
    try {
      // Event triggers of the database are none of ours.
      await session
        .query(`SELECT pg_catalog.set_config('session_replication_role', 'replica', false)`)
        .catch(() => {});
      await session.query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA}`);
      await session.query(`CREATE EXTENSION amcheck WITH SCHEMA ${SCHEMA}`);
    } catch (error) {
      const state = sqlStateOf(error);
      if (state === undefined || serverTrouble(state)) throw error;
      return `the extension amcheck cannot be created: ${serverMessage(error)}`;
    }
    installed = await find();
  }
  if (!installed?.hasHeap) return 'the extension amcheck of this server has no verify_heapam';
  const [{ versionNumber } = { versionNumber: 0 }] = await session.query<{
    versionNumber: number;
  }>(`SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS "versionNumber"`);
  return {
    schema: quoteIdentifier(installed.schema),
    checksUnique: installed.arguments >= 3,
    relations: await session.query<Relation>(RELATIONS_QUERY, [versionNumber >= SEQUENCES_FROM]),
  };
}

/** Messages about damage; what cannot be read at all is thrown. */
async function checkRelation(
  session: Session,
  { schema, checksUnique }: Prepared,
  { oid, isIndex }: Relation,
  full: boolean,
): Promise<string[]> {
  if (isIndex) {
    // Throws at the first damage that it finds.
    await session.query(
      `SELECT ${schema}.bt_index_check($1::pg_catalog.oid::pg_catalog.regclass, $2${checksUnique ? ', $2' : ''})`,
      [oid, full],
    );
    return [];
  }
  const rows = await session.query<{ message: string }>(
    `SELECT pg_catalog.format('block %s, line %s%s: %s', blkno, offnum,
              CASE WHEN attnum IS NOT NULL THEN ', column ' || attnum ELSE '' END, msg) AS "message"
     FROM ${schema}.verify_heapam($1::pg_catalog.oid::pg_catalog.regclass,
       on_error_stop := false, check_toast := true) LIMIT ${MESSAGES_PER_RELATION}`,
    [oid],
  );
  return rows.map(({ message }) => displayText(message, MESSAGE_CHARACTERS));
}

/** Whether pages had the checksums that they were written with, of all that was read since the restore. */
export async function checkDataChecksums(session: Session): Promise<DrillChecks['dataChecksums']> {
  const [row] = await session.query<{ enabled: boolean; failures: string }>(
    `SELECT pg_catalog.current_setting('data_checksums')::pg_catalog.bool AS "enabled",
            (SELECT COALESCE(pg_catalog.sum(checksum_failures), 0)::pg_catalog.text
             FROM pg_catalog.pg_stat_database
             WHERE datname = pg_catalog.current_database() OR datid = 0) AS "failures"`,
  );
  const failures = Number(row?.failures ?? 0);
  if (!row?.enabled) return { state: 'off', failures };
  return { state: failures > 0 ? 'failures' : 'clean', failures };
}
