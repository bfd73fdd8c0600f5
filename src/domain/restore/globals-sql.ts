import { readSetting, type Setting } from './database-definition.ts';
import { quoteLiteral, type SqlToken, StatementReader, sqlStatements } from './sql-tokens.ts';

/**
 * `globals.sql` of a backup, as far as roles go. It is data that came from a bucket: nothing in it is
 * executed. It is read statement by statement, and statements of our own are made of what was read.
 * A password is never read. Source of the format: `dumpRoles`, `dumpRoleMembership` and
 * `dumpUserConfig` in PostgreSQL's `pg_dumpall.c`.
 */
export interface Globals {
  readonly roles: ReadonlyMap<string, RoleDefinition>;
  readonly memberships: readonly Membership[];
}

/** Attributes in the order in which they are granted. */
export const ROLE_ATTRIBUTES = [
  'INHERIT',
  'LOGIN',
  'CREATEDB',
  'CREATEROLE',
  'REPLICATION',
  'BYPASSRLS',
  'SUPERUSER',
] as const;
export type RoleAttribute = (typeof ROLE_ATTRIBUTES)[number];

export interface RoleDefinition {
  readonly name: string;
  readonly attributes: ReadonlyMap<RoleAttribute, boolean>;
  /** -1: none. */
  readonly connectionLimit: number | undefined;
  readonly validUntil: string | undefined;
  /** Of the role in every database. */
  readonly settings: readonly Setting[];
}

export interface Membership {
  readonly role: string;
  /** Gets the privileges of `role`. */
  readonly member: string;
  readonly options: ReadonlyMap<'ADMIN' | 'INHERIT' | 'SET', boolean>;
}

/**
 * Reads the roles and their memberships. Statements of other kinds (tablespaces, comments, parameters) are
 * passed over.
 *
 * @throws ArchiveCorrupt at a quote without its end.
 */
export function parseGlobals(sql: string): Globals {
  const roles = new Map<string, RoleDefinition>();
  const memberships: Membership[] = [];
  // pg_dumpall writes with the setting of the server, which it says at the beginning.
  const standardStrings = !/^SET standard_conforming_strings = off;$/m.test(sql);
  for (const tokens of sqlStatements(sql, { standardStrings })) {
    const reader = new StatementReader(tokens);
    if (reader.take('CREATE', 'ROLE')) {
      const name = reader.name();
      if (name !== undefined && reader.atEnd && !roles.has(name)) roles.set(name, emptyRole(name));
    } else if (reader.take('ALTER', 'ROLE')) {
      const role = roles.get(reader.name() ?? '');
      if (role) roles.set(role.name, { ...role, ...readChange(reader, role) });
    } else {
      const membership = readMembership(tokens);
      if (membership) memberships.push(membership);
    }
  }
  return { roles, memberships };
}

function emptyRole(name: string): RoleDefinition {
  return {
    name,
    attributes: new Map(),
    connectionLimit: undefined,
    validUntil: undefined,
    settings: [],
  };
}

/** `WITH NOSUPERUSER … VALID UNTIL '…'`, or `SET name TO 'value'`. */
function readChange(reader: StatementReader, role: RoleDefinition): Partial<RoleDefinition> {
  if (reader.take('SET')) {
    const setting = readSetting(reader);
    return setting ? { settings: [...role.settings, setting] } : {};
  }
  if (!reader.take('WITH')) return {};
  const attributes = new Map(role.attributes);
  let { connectionLimit, validUntil } = role;
  while (!reader.atEnd) {
    if (reader.take('CONNECTION', 'LIMIT')) connectionLimit = reader.integer();
    else if (reader.take('VALID', 'UNTIL')) validUntil = reader.string();
    else if (reader.take('ENCRYPTED')) continue;
    else if (reader.take('PASSWORD')) {
      if (!reader.take('NULL')) reader.string();
    } else {
      const word = reader.name()?.toUpperCase();
      // Whatever follows is no list of attributes any more.
      if (word === undefined) break;
      const attribute = ROLE_ATTRIBUTES.find((it) => word === it || word === `NO${it}`);
      if (attribute) attributes.set(attribute, word === attribute);
    }
  }
  return { attributes, connectionLimit, validUntil };
}

/** `GRANT a TO b WITH ADMIN OPTION, INHERIT TRUE GRANTED BY c`; not a grant ON something. */
function readMembership(tokens: readonly SqlToken[]): Membership | undefined {
  const reader = new StatementReader(tokens);
  if (!reader.take('GRANT')) return undefined;
  const role = reader.name();
  const member = reader.take('TO') ? reader.name() : undefined;
  if (role === undefined || member === undefined) return undefined;
  const options = new Map<'ADMIN' | 'INHERIT' | 'SET', boolean>();
  if (reader.take('WITH')) {
    do {
      const option = (['ADMIN', 'INHERIT', 'SET'] as const).find((it) => reader.take(it));
      if (!option) return undefined;
      const on = reader.take('OPTION') || reader.take('TRUE');
      if (!on && !reader.take('FALSE')) return undefined;
      options.set(option, on);
    } while (reader.take(','));
  }
  return { role, member, options };
}

/** What is said of a role when it is made; the attributes that may be refused come one by one. */
export function plainAttributes({
  attributes,
  connectionLimit,
  validUntil,
}: RoleDefinition): string {
  const clauses = (['INHERIT', 'LOGIN'] as const).map((it) =>
    attributes.get(it) === false || (it === 'LOGIN' && attributes.get(it) === undefined)
      ? `NO${it}`
      : it,
  );
  return [
    ...clauses,
    ...(connectionLimit === undefined ? [] : [`CONNECTION LIMIT ${connectionLimit}`]),
    ...(validUntil === undefined ? [] : [`VALID UNTIL ${quoteLiteral(validUntil)}`]),
  ].join(' ');
}

/** Attributes that a server may refuse to a role that is no superuser. */
export function specialAttributes({ attributes }: RoleDefinition): readonly RoleAttribute[] {
  return ROLE_ATTRIBUTES.filter(
    (it) => it !== 'INHERIT' && it !== 'LOGIN' && attributes.get(it) === true,
  );
}

/** ` WITH ADMIN TRUE, SET FALSE`; INHERIT and SET are options of memberships from PostgreSQL 16 on. */
export function membershipOptions({ options }: Membership, versionNumber: number): string {
  if (versionNumber < 160_000) return options.get('ADMIN') ? ' WITH ADMIN OPTION' : '';
  const clauses = [...options].map(([option, on]) => `${option} ${on ? 'TRUE' : 'FALSE'}`);
  return clauses.length > 0 ? ` WITH ${clauses.join(', ')}` : '';
}
