import { matchesInTime } from '#adapters/matches-in-time.ts';
import type { SmokeResult } from '#contracts/drill.ts';
import type { Connection, SmokeQuery } from '#contracts/source-plan.ts';
import { displayText } from '#domain/display-text.ts';
import { describeExpectation, judge, VALUE_CHARACTERS } from '#domain/drill/expectation.ts';
import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { serverTrouble } from '#domain/restore/statement-failure.ts';
import type { Databases, Deps, Session } from '#runtime/ports.ts';
import { withCheckSession } from './check-session.ts';

export interface SmokeRequest {
  readonly connection: Connection;
  readonly database: string;
  /** As the database is called in the plan; queries that name another one are not run. */
  readonly name: string;
  readonly queries: readonly SmokeQuery[];
  /** What ages are counted from: when the backup began. */
  readonly now: Date;
  /** No data are younger; default: `now`. */
  readonly newestAt?: Date | undefined;
  readonly signal: AbortSignal;
}

export interface SmokeOutcome {
  readonly result: SmokeResult;
  /** Of a query that the server refused. */
  readonly sqlState: string | undefined;
  /** Of a value that failed for something that its text does not show. */
  readonly reason?: string | undefined;
}

/** query_canceled: only statement_timeout does that here. */
const TIMED_OUT = '57014';
/** Beyond the query's own time, for a server that does not even report it. */
const ANSWER_SECONDS = 15;

/**
 * Runs the plan's own queries, one after the other, each in a read-only transaction of a session of its own, and
 * holds the first column of the first row against its expectation. A query that fails is a result, not an error.
 *
 * Throws ConnectionLost, DatabaseUnreachable and what `databases.connect` throws, or the signal's reason.
 */
export async function runSmokeQueries(
  deps: { databases: Databases } & Pick<Deps, 'clock'>,
  { connection, database, name, queries, now, newestAt, signal }: SmokeRequest,
): Promise<SmokeOutcome[]> {
  const outcomes: SmokeOutcome[] = [];
  for (const query of queries) {
    if (query.database !== undefined && query.database !== name) continue;
    signal.throwIfAborted();
    const began = deps.clock.now().getTime();
    const { sqlState, reason, ...outcome } = await runQuery(deps.databases, {
      connection,
      database,
      query,
      signal,
      now,
      newestAt,
    });
    const seconds = Math.max(0, (deps.clock.now().getTime() - began) / 1000);
    outcomes.push({ result: { name: query.name, ...outcome, seconds }, sqlState, reason });
  }
  return outcomes;
}

interface OneQuery
  extends Pick<SmokeRequest, 'connection' | 'database' | 'signal' | 'now' | 'newestAt'> {
  readonly query: SmokeQuery;
}

async function runQuery(
  databases: Databases,
  { connection, database, query, signal, now, newestAt }: OneQuery,
): Promise<Omit<SmokeResult, 'name' | 'seconds'> & Omit<SmokeOutcome, 'result'>> {
  const expected = describeExpectation(query.expect);
  const late = AbortSignal.timeout((query.timeoutSeconds + ANSWER_SECONDS) * 1000);
  try {
    const value = await withCheckSession(
      databases,
      connection,
      database,
      (session) => firstValue(session, query),
      { signal: AbortSignal.any([signal, late]) },
    );
    const { passed, reason } = judge(value, query.expect, {
      now,
      newestAt,
      matches: matchesInTime,
    });
    const actual = value === null ? null : displayText(value, VALUE_CHARACTERS);
    const state = passed ? 'passed' : 'failed';
    return { state, expected, actual, sqlState: undefined, reason };
  } catch (error) {
    signal.throwIfAborted();
    if (late.aborted || sqlStateOf(error) === TIMED_OUT) {
      return { state: 'timeout', expected, actual: null, sqlState: TIMED_OUT };
    }
    const sqlState = sqlStateOf(error);
    if (sqlState === undefined || serverTrouble(sqlState)) throw error;
    const actual = displayText(serverMessage(error), VALUE_CHARACTERS);
    return { state: 'error', expected, actual, sqlState };
  }
}

const SETTINGS = `
  SELECT pg_catalog.set_config('statement_timeout', $1, true),
         pg_catalog.set_config('datestyle', 'ISO, YMD', true),
         pg_catalog.set_config('timezone', 'UTC', true),
         pg_catalog.set_config('extra_float_digits', '1', true)`;

/** Null for NULL, and where there is no row. */
async function firstValue(
  session: Session,
  { query, timeoutSeconds }: SmokeQuery,
): Promise<string | null> {
  // As the application has it; our sessions have none.
  await session.query('RESET search_path');
  await session.query('BEGIN READ ONLY');
  await session.query(SETTINGS, [String(timeoutSeconds * 1000)]);
  const text = query.trim().replace(/(\s*;)+$/, '');
  // With a bound value the server takes one statement and no more, and in a FROM only one that reads. The line
  // feed ends a comment. No column of the query's own may have that name.
  const rows = await session.query<{ value: string | null }>(
    `SELECT holdfast_first::pg_catalog.text AS "value" FROM (${text}\n) AS smoke (holdfast_first) LIMIT $1`,
    [1],
  );
  return rows[0]?.value ?? null;
}
