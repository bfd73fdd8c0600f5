import { type Toc, type TocEntry, textAt } from '../archive/toc.ts';
import { archiveTextOptions } from './database-definition.ts';
import { type SqlTextOptions, StatementReader, sqlStatements } from './sql-tokens.ts';

/** The roles that must exist so that what is selected can be restored as it was. */
export interface ArchiveRoles {
  /** They are to own something: the restoring role must be able to act as each of them. */
  readonly owners: ReadonlySet<string>;
  /** They are granted something, or named in a policy or a user mapping. */
  readonly named: ReadonlySet<string>;
}

/**
 * Objects that have an owner of their own, for which pg_restore writes ALTER … OWNER TO. The others
 * (indexes, constraints, triggers, comments …) are owned through their table. The database is not among
 * them: it is no failure when it belongs to who restored it.
 * Source: `_getObjectDescription` in PostgreSQL's `pg_backup_archiver.c`.
 */
const OWNED = new Set([
  'ACCESS METHOD',
  'AGGREGATE',
  'BLOB',
  'BLOB METADATA',
  'COLLATION',
  'CONVERSION',
  'DOMAIN',
  'EVENT TRIGGER',
  'FOREIGN DATA WRAPPER',
  'FOREIGN TABLE',
  'FUNCTION',
  'MATERIALIZED VIEW',
  'OPERATOR',
  'OPERATOR CLASS',
  'OPERATOR FAMILY',
  'PROCEDURAL LANGUAGE',
  'PROCEDURE',
  'PUBLICATION',
  'SCHEMA',
  'SEQUENCE',
  'SERVER',
  'SHELL TYPE',
  'STATISTICS',
  'SUBSCRIPTION',
  'TABLE',
  'TEXT SEARCH CONFIGURATION',
  'TEXT SEARCH DICTIONARY',
  'TYPE',
  'VIEW',
]);

/** Whose definitions name roles. */
const NAMING = new Set(['ACL', 'DEFAULT ACL', 'POLICY', 'USER MAPPING', 'DATABASE PROPERTIES']);

/**
 * Reads the roles out of the entries with these dump ids.
 *
 * @throws ArchiveCorrupt where a definition has a quote without its end.
 */
export function archiveRoles(
  head: Buffer,
  toc: Pick<Toc, 'entries' | 'decode'>,
  ids: ReadonlySet<number>,
): ArchiveRoles {
  const options = archiveTextOptions(head, toc);
  const owners = new Set<string>();
  const named = new Set<string>();
  for (const entry of toc.entries) {
    if (!ids.has(entry.dumpId)) continue;
    if (entry.owner && OWNED.has(entry.desc) && isMade(head, entry)) owners.add(entry.owner);
    if (!NAMING.has(entry.desc) || !entry.definition) continue;
    for (const role of rolesIn(textAt(head, entry.definition, toc.decode), options))
      named.add(role);
  }
  return { owners, named };
}

/** pg_dump writes a comment instead of a definition for a schema public that is as initdb makes it. */
function isMade(head: Buffer, { definition }: TocEntry): boolean {
  return definition === undefined || !textAt(head, definition).startsWith('--');
}

/** The roles that GRANT, REVOKE, default privileges, policies and user mappings name; never PUBLIC. */
export function rolesIn(definition: string, options: SqlTextOptions = {}): Set<string> {
  const roles = new Set<string>();
  for (const tokens of sqlStatements(definition, options)) {
    const reader = new StatementReader(tokens);
    if (reader.take('SET', 'SESSION', 'AUTHORIZATION')) {
      // pg_dump writes a role as a name; RESET has none.
      addRole(roles, reader.name() ?? reader.string());
    } else if (reader.take('ALTER', 'DEFAULT', 'PRIVILEGES')) {
      if (reader.take('FOR', 'ROLE') || reader.take('FOR', 'USER')) addRoles(roles, reader);
      if (reader.skipTo('GRANT', 'REVOKE')) addGrantees(roles, reader);
    } else if (reader.take('GRANT') || reader.take('REVOKE')) {
      addGrantees(roles, reader);
    } else if (reader.take('CREATE', 'POLICY')) {
      // Not the policy's own name, whatever it is; the expressions come after the roles.
      reader.name();
      if (reader.skipTo('TO', 'USING', 'WITH') && reader.take('TO')) addRoles(roles, reader);
    } else if (reader.take('CREATE', 'USER', 'MAPPING', 'FOR')) {
      addRoles(roles, reader);
    } else if (reader.take('ALTER', 'ROLE')) {
      addRoles(roles, reader);
    }
  }
  return roles;
}

/** From behind GRANT or REVOKE: what comes behind TO or FROM. Columns and types stand in parentheses. */
function addGrantees(roles: Set<string>, reader: StatementReader): void {
  // REVOKE GRANT OPTION FOR has no FROM of its own before the one that counts.
  if (reader.skipTo('TO', 'FROM') && (reader.take('TO') || reader.take('FROM'))) {
    addRoles(roles, reader);
  }
}

function addRoles(roles: Set<string>, reader: StatementReader): void {
  do {
    if (reader.take('PUBLIC')) continue;
    addRole(roles, reader.name());
  } while (reader.take(','));
}

function addRole(roles: Set<string>, role: string | undefined): void {
  if (role !== undefined && role !== 'public') roles.add(role);
}
