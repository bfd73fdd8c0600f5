import { serverMessage, sqlStateOf } from '#domain/restore/sql-state.ts';
import { quoteIdentifier } from '#domain/restore/sql-tokens.ts';

/** What it needs of a session. */
export interface LoanSession {
  query<Row extends Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]>;
}

/** A role that is to own something there; schema null: in the database itself, as publications are. */
export interface NewOwner {
  readonly schema: string | null;
  readonly role: string;
}

interface Place extends Record<string, unknown> {
  readonly schema: string | null;
  readonly role: string;
  readonly database: string;
  /** The owner, where the restoring role does not have its privileges by itself, and must act as it. */
  readonly actAs: string | null;
  /** The role may not create there, and we are no superuser, whom nobody asks. */
  readonly lacks: boolean;
}

/** Those that exist. Whoever may act as the database's owner may also act as pg_database_owner. */
const PLACES_QUERY = `
  SELECT w.schema AS "schema", w.role AS "role", d.datname::pg_catalog.text AS "database",
         CASE WHEN NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
              THEN pg_catalog.pg_get_userbyid(o.owner)::pg_catalog.text END AS "actAs",
         NOT pg_catalog.current_setting('is_superuser')::pg_catalog.bool
           AND NOT CASE WHEN n.oid IS NULL
                        THEN pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE')
                        ELSE pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') END AS "lacks"
  FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.text[]), pg_catalog.unnest($2::pg_catalog.text[]))
         AS w (schema, role)
  JOIN pg_catalog.pg_roles AS r ON r.rolname = w.role
  JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
  LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.schema
  CROSS JOIN LATERAL (SELECT COALESCE(n.nspowner, d.datdba)) AS o (owner)
  WHERE n.oid IS NOT NULL OR w.schema IS NULL`;

/**
 * Only who may create in a schema can be given something in it, unless a superuser gives. In an archive the
 * right to do so comes too late: privileges follow all that is made, and the database, whose owner may create in
 * the schema public, is given away last. The right may also be gone since, as it was needed on one day only. So
 * it is lent to those who lack it, and taken back before the archive's own privileges come.
 *
 * Source: `ATExecChangeOwner` in PostgreSQL's `tablecmds.c`, `AlterObjectOwner_internal` in `alter.c`,
 * `AlterPublicationOwner_internal` in `publicationcmds.c`.
 */
export class CreateLoans {
  readonly #warnings: string[];
  readonly #seen = new Set<string>();
  #lent: NewOwner[] = [];

  /** To `warnings` goes what was refused at the end: somebody may do more than before. */
  constructor(warnings: string[]) {
    this.#warnings = warnings;
  }

  get isEmpty(): boolean {
    return this.#lent.length === 0;
  }

  /** Whether one of them was not asked for yet. */
  hasNew(owners: readonly NewOwner[]): boolean {
    return owners.some((owner) => !this.#seen.has(keyOf(owner)));
  }

  /**
   * Lends to those that lack the right. Where the server does not let us, the statement that gives the object
   * says so itself. Those whose schema is not there yet are looked for again, but for those that are `due`.
   */
  async lend(
    session: LoanSession,
    owners: readonly NewOwner[],
    due: readonly NewOwner[],
  ): Promise<void> {
    const fresh = owners.filter((owner) => !this.#seen.has(keyOf(owner)));
    for (const place of await placesOf(session, fresh)) {
      this.#seen.add(keyOf(place));
      if (!place.lacks) continue;
      const reason = await change(session, place, (on, role) => `GRANT CREATE ON ${on} TO ${role}`);
      if (reason === undefined) this.#lent.push({ schema: place.schema, role: place.role });
    }
    for (const owner of due) this.#seen.add(keyOf(owner));
  }

  async takeBack(session: LoanSession): Promise<void> {
    const lent = this.#lent;
    this.#lent = [];
    for (const { schema, role } of lent) this.#seen.delete(keyOf({ schema, role }));
    for (const place of await placesOf(session, lent)) {
      const reason = await change(
        session,
        place,
        (on, role) => `REVOKE CREATE ON ${on} FROM ${role}`,
      );
      if (reason !== undefined) {
        this.#warnings.push(
          `the right to create that was lent to ${place.role} could not be taken back (${nameOf(place)}): ${reason}`,
        );
      }
    }
  }
}

async function placesOf(session: LoanSession, owners: readonly NewOwner[]): Promise<Place[]> {
  if (owners.length === 0) return [];
  const distinct = [...new Map(owners.map((owner) => [keyOf(owner), owner])).values()];
  return session.query<Place>(PLACES_QUERY, [
    distinct.map(({ schema }) => schema),
    distinct.map(({ role }) => role),
  ]);
}

/** Answers the server's reason when it refused. */
async function change(
  session: LoanSession,
  place: Place,
  statement: (on: string, role: string) => string,
): Promise<string | undefined> {
  const sql = statement(nameOf(place), quoteIdentifier(place.role));
  try {
    // In one transaction: what fails leaves the session's role as it was.
    await session.query(
      place.actAs === null ? sql : `SET ROLE ${quoteIdentifier(place.actAs)}; ${sql}; RESET ROLE`,
    );
    return undefined;
  } catch (error) {
    if (sqlStateOf(error) === undefined) throw error;
    return serverMessage(error);
  }
}

function nameOf({ schema, database }: Pick<Place, 'schema' | 'database'>): string {
  return schema === null
    ? `DATABASE ${quoteIdentifier(database)}`
    : `SCHEMA ${quoteIdentifier(schema)}`;
}

function keyOf({ schema, role }: NewOwner): string {
  return JSON.stringify([schema, role]);
}
