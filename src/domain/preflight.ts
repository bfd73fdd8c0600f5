import type { DiscoveredDatabase } from '#contracts/workflow.ts';
import { type HoldfastError, InsufficientPrivilege, RowLevelSecurity } from '#errors';

/**
 * What a dump would stumble over, found out before it starts: the queries, and what their answers mean.
 * The queries run with an empty search path and see what pg_dump would dump: no temporary tables, no
 * members of extensions (but their configuration tables), no system schemas.
 */

/** So many names stand in a message; the rest is counted. A message also fits the run's payload. */
const NAMED = 10;

/** One row: {@link ServerFacts}. */
export const SERVER_QUERY = `
  SELECT pg_catalog.current_setting('server_version') AS "version",
         pg_catalog.current_setting('server_version_num')::pg_catalog.int4 AS "versionNumber",
         pg_catalog.pg_is_in_recovery() AS "isReplica",
         pg_catalog.quote_ident(current_user) AS "role"`;

export interface ServerFacts extends Record<string, unknown> {
  readonly version: string;
  readonly versionNumber: number;
  readonly isReplica: boolean;
  /** Quoted as an identifier. */
  readonly role: string;
}

/**
 * The databases that can be dumped: no templates, none that takes no connections, and none whose
 * DROP DATABASE was interrupted (connection limit -2). The size needs CONNECT or pg_read_all_stats.
 */
export const DATABASES_QUERY = `
  SELECT datname AS "name",
         pg_catalog.quote_ident(datname) AS "quotedName",
         pg_catalog.has_database_privilege(oid, 'CONNECT') AS "mayConnect",
         CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT')
                OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
              THEN pg_catalog.pg_database_size(oid) END::pg_catalog.text AS "sizeBytes",
         pg_catalog.shobj_description(oid, 'pg_database') AS "comment"
  FROM pg_catalog.pg_database
  WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2
  ORDER BY datname`;

export interface DatabaseFacts extends Record<string, unknown> {
  readonly name: string;
  /** Quoted as an identifier. */
  readonly quotedName: string;
  readonly mayConnect: boolean;
  /** A decimal number, as bigint is more than JavaScript's; null where the server does not tell it. */
  readonly sizeBytes: string | null;
  /** What a restore marks its databases with; see domain/restore/target-mark.ts. */
  readonly comment: string | null;
}

const DUMPED_RELATIONS = `
  SELECT c.oid, c.relkind, c.relpersistence, c.relrowsecurity, n.oid AS schema_oid,
         pg_catalog.quote_ident(n.nspname) AS schema,
         pg_catalog.format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't'
    AND pg_catalog.left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'
    AND (NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                     WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                       AND d.objid = c.oid AND d.deptype = 'e')
         OR EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE c.oid = ANY (e.extconfig)))`;

const IS_SUPERUSER = `pg_catalog.current_setting('is_superuser')::pg_catalog.bool`;

/** Names of one kind, the first few of `total`. No row where there are none. */
function listed(name: string, from: string): string {
  return `SELECT ${name} AS "name", pg_catalog.count(*) OVER ()::pg_catalog.int4 AS "total"
    FROM ${from} ORDER BY 1 LIMIT ${NAMED}`;
}

export interface ListedName extends Record<string, unknown> {
  readonly name: string;
  readonly total: number;
}

/** A row may vanish while it is looked at: privilege functions answer null then. */
export const PREFLIGHT_QUERIES = {
  /** Schemas that hold something to dump, without USAGE. */
  schemas: () =>
    listed(
      'schema',
      `(SELECT DISTINCT schema FROM (${DUMPED_RELATIONS}) AS r
        WHERE NOT pg_catalog.has_schema_privilege(schema_oid, 'USAGE')) AS s`,
    ),
  /** Tables without SELECT. A grant on each column is not enough: LOCK TABLE asks for the table. */
  tables: () =>
    listed(
      'name',
      `(${DUMPED_RELATIONS}) AS r
        WHERE relkind <> 'S' AND NOT pg_catalog.has_table_privilege(oid, 'SELECT')`,
    ),
  /** CASE fixes the order: has_sequence_privilege fails on what is not a sequence. */
  sequences: () =>
    listed(
      'name',
      `(${DUMPED_RELATIONS}) AS r
        WHERE CASE WHEN relkind = 'S'
          THEN NOT pg_catalog.has_sequence_privilege(oid, 'SELECT') ELSE false END`,
    ),
  /**
   * Large objects without SELECT. pg_read_all_data does not cover them (seen with 15, 17 and 18).
   * has_largeobject_privilege came with 18; before, the list of grants is read as the server reads it.
   */
  largeObjects: (versionNumber: number) =>
    listed(
      'oid::pg_catalog.text',
      `pg_catalog.pg_largeobject_metadata AS l
        WHERE NOT pg_catalog.current_setting('lo_compat_privileges')::pg_catalog.bool AND NOT ${
          versionNumber >= 180_000
            ? `pg_catalog.has_largeobject_privilege(oid, 'SELECT')`
            : `(pg_catalog.pg_has_role(lomowner, 'USAGE') OR EXISTS (
                SELECT FROM pg_catalog.aclexplode(lomacl) AS a WHERE a.privilege_type = 'SELECT'
                  AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))))`
        }`,
    ),
  /** Tables whose rows a policy would filter: owner, BYPASSRLS and FORCE are taken into account. */
  rowSecurity: () =>
    listed(
      'name',
      `(${DUMPED_RELATIONS}) AS r
        WHERE relkind = 'r' AND relrowsecurity AND pg_catalog.row_security_active(oid)`,
    ),
  /** A replica has no rows of unlogged tables. */
  unlogged: () =>
    listed(
      'name',
      `(${DUMPED_RELATIONS}) AS r
        WHERE relkind = 'r' AND relpersistence = 'u' AND pg_catalog.pg_is_in_recovery()`,
    ),
  /** User mappings whose options (passwords, mostly) the server hides from the role, or that have none. */
  userMappings: () =>
    listed(
      `pg_catalog.format('%s for %I', usename, srvname)`,
      `pg_catalog.pg_user_mappings WHERE umoptions IS NULL AND NOT ${IS_SUPERUSER}`,
    ),
  /** Subscriptions: pg_dump leaves them out unless a superuser runs it. */
  subscriptions: () =>
    listed(
      'pg_catalog.quote_ident(subname)',
      `pg_catalog.pg_subscription AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.subdbid
        WHERE d.datname = pg_catalog.current_database() AND NOT ${IS_SUPERUSER}`,
    ),
} as const;

export type Findings = Readonly<Record<keyof typeof PREFLIGHT_QUERIES, readonly ListedName[]>>;

/** What the findings mean: the first problem's name with all that is missing, and the warnings. */
export function judgeFindings(
  database: string,
  server: Pick<ServerFacts, 'role' | 'versionNumber'>,
  findings: Findings,
): { problem: DiscoveredDatabase['problem']; warnings: readonly string[] } {
  const errors = [
    unreadableRelations(server, findings),
    unreadableLargeObjects(server, findings),
    filteredRows(server, findings),
  ].filter((error) => error !== undefined);
  const subscriptions = named(
    findings.subscriptions,
    'subscriptions are left out, as the role is no superuser',
  );
  const warnings = [...describeGaps(findings), ...subscriptions];
  return {
    problem: errors[0]
      ? { error: errors[0].name, cause: errors.map(({ message }) => message).join('\n') }
      : null,
    warnings: warnings.map((warning) => `${database}: ${warning}`),
  };
}

/** What a dump lacks without a word of pg_dump. */
export const GAP_QUERIES = {
  unlogged: PREFLIGHT_QUERIES.unlogged,
  userMappings: PREFLIGHT_QUERIES.userMappings,
} as const;

/** The manifest keeps them: whoever restores is told. */
export function describeGaps(findings: Pick<Findings, keyof typeof GAP_QUERIES>): string[] {
  return [
    ...named(
      findings.unlogged,
      'on a replica, the rows of unlogged tables are missing from the dump',
    ),
    ...named(
      findings.userMappings,
      'options of user mappings may be hidden from the role, and missing',
    ),
  ];
}

function named(names: readonly ListedName[], text: string): string[] {
  return names.length > 0 ? [`${text}: ${enumerate(names)}`] : [];
}

function unreadableRelations(
  { role, versionNumber }: Pick<ServerFacts, 'role' | 'versionNumber'>,
  { schemas, tables, sequences }: Findings,
): HoldfastError | undefined {
  const kinds = [
    { what: 'use schema', names: schemas, grant: 'USAGE ON SCHEMA' },
    { what: 'read table', names: tables, grant: 'SELECT ON TABLE' },
    { what: 'read sequence', names: sequences, grant: 'SELECT ON SEQUENCE' },
  ].filter(({ names }) => names.length > 0);
  if (kinds.length === 0) return undefined;
  const facts = kinds.map(({ what, names }) => `${what} ${enumerate(names)}`).join('; ');
  const grants =
    versionNumber >= 140_000
      ? [`GRANT pg_read_all_data TO ${role};`]
      : kinds.map(
          ({ grant, names }) =>
            `GRANT ${grant} ${names.map(({ name }) => name).join(', ')} TO ${role};`,
        );
  return new InsufficientPrivilege(`the role ${role} may not ${facts}`, {
    remedy: `run as an administrator: ${grants.join(' ')}`,
  });
}

function unreadableLargeObjects(
  { role }: Pick<ServerFacts, 'role'>,
  { largeObjects }: Findings,
): HoldfastError | undefined {
  const total = largeObjects[0]?.total;
  if (total === undefined) return undefined;
  const command =
    total <= NAMED
      ? `GRANT SELECT ON LARGE OBJECT ${largeObjects.map(({ name }) => name).join(', ')} TO ${role};`
      : `SELECT pg_catalog.format('GRANT SELECT ON LARGE OBJECT %s TO %s', oid, $$${role}$$) FROM pg_catalog.pg_largeobject_metadata \\gexec`;
  return new InsufficientPrivilege(
    `the role ${role} may not read large object ${enumerate(largeObjects)}, which pg_read_all_data does not cover`,
    { remedy: `run as their owner or an administrator in psql: ${command}` },
  );
}

function filteredRows(
  { role }: Pick<ServerFacts, 'role'>,
  { rowSecurity }: Findings,
): HoldfastError | undefined {
  if (rowSecurity.length === 0) return undefined;
  return new RowLevelSecurity(
    `row-level security would hide rows of ${enumerate(rowSecurity)} from the role ${role}`,
    { remedy: `run as an administrator: ALTER ROLE ${role} BYPASSRLS;` },
  );
}

/** `a, b and 3 more` */
function enumerate(names: readonly ListedName[]): string {
  const more = (names[0]?.total ?? 0) - names.length;
  return `${names.map(({ name }) => name).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
