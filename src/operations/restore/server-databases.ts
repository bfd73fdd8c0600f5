import type { Session } from '#runtime/ports.ts';

/** A database as the server lists it. */
export interface ServerDatabase extends Record<string, unknown> {
  readonly name: string;
  readonly comment: string | null;
  /** Why nobody, or not this role, can look into it; null: it can be connected to. */
  readonly obstacle: string | null;
}

/** `rdsadmin` is RDS's own: nobody can connect. A limit of -2 is what a DROP DATABASE that was interrupted leaves behind. */
const DATABASES_QUERY = `
  SELECT d.datname::pg_catalog.text AS "name",
         pg_catalog.shobj_description(d.oid, 'pg_database') AS "comment",
         CASE WHEN d.datconnlimit = -2 THEN 'a DROP DATABASE of it was interrupted'
              WHEN NOT d.datallowconn THEN 'it allows no connections'
              WHEN NOT pg_catalog.has_database_privilege(d.oid, 'CONNECT')
                THEN pg_catalog.format('the role %I may not connect to it', current_user)
              WHEN d.datconnlimit = 0 AND NOT r.rolsuper THEN 'its limit of connections is 0'
         END AS "obstacle"
  FROM pg_catalog.pg_database AS d JOIN pg_catalog.pg_roles AS r ON r.rolname = current_user
  WHERE NOT d.datistemplate AND d.datname <> 'rdsadmin'`;

/** Every database that is no template, those that cannot be looked into as well. */
export async function listServerDatabases(session: Session): Promise<readonly ServerDatabase[]> {
  return session.query<ServerDatabase>(DATABASES_QUERY);
}
