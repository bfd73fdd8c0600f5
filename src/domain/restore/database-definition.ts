import type { Selection } from '#contracts/restore.ts';
import { type Toc, type TocEntry, textAt } from '../archive/toc.ts';
import {
  quoteIdentifier,
  quoteLiteral,
  renderTokens,
  type SqlTextOptions,
  type SqlToken,
  StatementReader,
  sqlStatements,
} from './sql-tokens.ts';

/**
 * What an archive says about its database as a whole. Source: `dumpDatabase` in PostgreSQL's `pg_dump.c`,
 * which writes the entries DATABASE, DATABASE PROPERTIES, and for `DATABASE <name>` COMMENT, ACL and
 * SECURITY LABEL. The name in all of them is that of the dumped database; a restore gives it another one.
 */
export interface ArchivedDatabase {
  /** Undefined where the archive has no DATABASE entry. */
  readonly name: string | undefined;
  readonly owner: string | undefined;
  /** As the server names it: UTF8, LATIN1, EUC_JP, SQL_ASCII … */
  readonly encoding: string | undefined;
  /** Options of CREATE DATABASE by their keyword, but ENCODING and TEMPLATE. */
  readonly options: ReadonlyMap<string, string>;
  readonly comment: string | undefined;
  readonly statements: readonly DatabaseStatement[];
  /** What was not understood, and therefore is left out. */
  readonly warnings: readonly string[];
}

/**
 * A statement about the database, under any name. `early`: the restore itself should run with it, as
 * pg_restore does it; `late`: it would stand in the way of the restore, or is for others to see.
 */
export interface DatabaseStatement {
  readonly when: 'early' | 'late';
  readonly kind: 'setting' | 'property' | 'privilege' | 'label';
  /** Run the statement as this role: a grant that was made by another role than the owner. */
  readonly grantor: string | undefined;
  /** In short, for a warning: `SET search_path`. */
  readonly summary: string;
  readonly sql: (database: string) => string;
}

/** Options of CREATE DATABASE, and the first major that has each. Source: the manual's release notes. */
const OPTION_MAJORS: Readonly<Record<string, number>> = {
  LC_COLLATE: 10,
  LC_CTYPE: 10,
  TABLESPACE: 10,
  LOCALE: 13,
  LOCALE_PROVIDER: 15,
  ICU_LOCALE: 15,
  ICU_RULES: 16,
  BUILTIN_LOCALE: 17,
};

/** Values of LOCALE_PROVIDER, and the first major that has each. */
const PROVIDER_MAJORS: Readonly<Record<string, number>> = { libc: 15, icu: 15, builtin: 17 };

/** Settings that could keep the restore from writing, or from seeing what it writes. */
const HINDERING =
  /^(default_transaction_\w+|transaction_\w+|statement_timeout|lock_timeout|idle_\w+|row_security|role|session_\w+|\w+_preload_libraries)$/i;

/** Reads it out of an archive. `head` is what the TOC was parsed from. */
export function archivedDatabase(
  head: Buffer,
  toc: Pick<Toc, 'entries' | 'decode'>,
): ArchivedDatabase {
  const text = (entry: TocEntry | undefined) =>
    entry?.definition ? textAt(head, entry.definition, toc.decode) : '';
  const find = (desc: string) => toc.entries.find((entry) => entry.desc === desc);
  const options = archiveTextOptions(head, toc);
  const encoding = firstStatement(text(find('ENCODING')), options);
  encoding.take('SET', 'CLIENT_ENCODING', '=');
  const entry = find('DATABASE');
  const warnings: string[] = [];
  const read: ArchivedDatabase = {
    name: entry?.tag,
    owner: entry?.owner,
    encoding: encoding.string(),
    options: new Map(),
    comment: undefined,
    statements: [],
    warnings,
  };
  if (!entry) return read;
  const name = entry.tag;
  const create = readCreateDatabase(firstStatement(text(entry), options), name);
  if (create === undefined) warnings.push('the definition of the database was not understood');
  const related = databaseEntries(toc).filter((other) => other !== entry);
  const statements = related.flatMap((other) =>
    readStatements(text(other), name, options, (rest) => {
      warnings.push(`left out, as it was not understood: ${renderTokens(rest).slice(0, 100)}`);
    }),
  );
  const { ENCODING: ownEncoding, TEMPLATE: _, ...rest } = Object.fromEntries(create ?? []);
  return {
    ...read,
    encoding: ownEncoding ?? read.encoding,
    options: new Map(Object.entries(rest)),
    comment: statements.flatMap((it) => ('comment' in it ? [it.comment] : [])).at(-1),
    statements: statements.flatMap((it) => ('comment' in it ? [] : [it])),
  };
}

/** Whether a restore is of the database as a whole, so that its own settings and grants come back too. */
export function isOfDatabaseItself({
  tables,
  schemas,
  only,
}: Pick<Selection, 'tables' | 'schemas' | 'only'>): boolean {
  return tables === undefined && schemas === undefined && only !== 'data';
}

/** Entries about the database itself: no part of what pg_restore makes inside of it. */
export function databaseEntries(toc: Pick<Toc, 'entries'>): readonly TocEntry[] {
  const database = toc.entries.find((entry) => entry.desc === 'DATABASE');
  if (!database) return [];
  // Written before PostgreSQL 18's quoting, or as fmtId does it.
  const tags = new Set([`DATABASE ${database.tag}`, `DATABASE ${quoteIdentifier(database.tag)}`]);
  return toc.entries.filter(
    ({ desc, tag }) =>
      desc === 'DATABASE' ||
      desc === 'DATABASE PROPERTIES' ||
      (['ACL', 'COMMENT', 'SECURITY LABEL'].includes(desc) && tags.has(tag)),
  );
}

/** How strings in the archive's definitions are to be read. */
export function archiveTextOptions(head: Buffer, toc: Pick<Toc, 'entries'>): SqlTextOptions {
  const entry = toc.entries.find(({ desc }) => desc === 'STDSTRINGS');
  const definition = entry?.definition ? textAt(head, entry.definition) : '';
  return { standardStrings: !/'off'/.test(definition) };
}

function firstStatement(text: string, options: SqlTextOptions): StatementReader {
  const [tokens = []] = sqlStatements(text, options);
  return new StatementReader(tokens);
}

/** `CREATE DATABASE x WITH TEMPLATE = template0 ENCODING = 'UTF8' …`; undefined when it is anything else. */
function readCreateDatabase(
  reader: StatementReader,
  name: string,
): ReadonlyMap<string, string> | undefined {
  if (!reader.take('CREATE', 'DATABASE') || reader.name() !== name || !reader.take('WITH')) {
    return undefined;
  }
  const options = new Map<string, string>();
  while (!reader.atEnd) {
    const keyword = reader.name()?.toUpperCase();
    if (keyword === undefined || !reader.take('=')) return undefined;
    const value = reader.string() ?? reader.name();
    if (value === undefined || options.has(keyword)) return undefined;
    options.set(keyword, value);
  }
  return options;
}

type Read = DatabaseStatement | { readonly comment: string };

function readStatements(
  text: string,
  name: string,
  options: SqlTextOptions,
  leaveOut: (tokens: readonly SqlToken[]) => void,
): Read[] {
  const found: Read[] = [];
  let grantor: string | undefined;
  for (const tokens of sqlStatements(text, options)) {
    const reader = new StatementReader(tokens);
    if (reader.take('SET', 'SESSION', 'AUTHORIZATION')) {
      grantor = reader.name() ?? reader.string();
    } else if (reader.take('RESET', 'SESSION', 'AUTHORIZATION')) {
      grantor = undefined;
    } else {
      const statement = readStatement(tokens, name, grantor);
      if (statement) found.push(statement);
      else leaveOut(tokens);
    }
  }
  return found;
}

function readStatement(
  tokens: readonly SqlToken[],
  name: string,
  grantor: string | undefined,
): Read | undefined {
  const reader = new StatementReader(tokens);
  const common = { when: 'late', grantor } as const;
  if (reader.take('ALTER', 'DATABASE')) {
    if (reader.name() !== name) return undefined;
    if (reader.take('SET')) {
      const setting = readSetting(reader);
      if (!setting) return undefined;
      return {
        ...common,
        when: HINDERING.test(setting.name) ? 'late' : 'early',
        kind: 'setting',
        summary: `SET ${setting.name}`,
        sql: (database) => `ALTER DATABASE ${quoteIdentifier(database)} ${renderSetting(setting)}`,
      };
    }
    const property = readProperty(reader);
    if (property === undefined) return undefined;
    return {
      ...common,
      kind: 'property',
      summary: property,
      sql: (database) => `ALTER DATABASE ${quoteIdentifier(database)} ${property}`,
    };
  }
  if (reader.take('ALTER', 'ROLE')) {
    const role = reader.name();
    if (role === undefined || !reader.take('IN', 'DATABASE') || reader.name() !== name) {
      return undefined;
    }
    const setting = reader.take('SET') ? readSetting(reader) : undefined;
    if (!setting) return undefined;
    return {
      ...common,
      kind: 'setting',
      summary: `SET ${setting.name} for role ${role}`,
      sql: (database) =>
        `ALTER ROLE ${quoteIdentifier(role)} IN DATABASE ${quoteIdentifier(database)} ${renderSetting(setting)}`,
    };
  }
  if (reader.take('COMMENT', 'ON', 'DATABASE')) {
    if (reader.name() !== name || !reader.take('IS')) return undefined;
    const comment = reader.string();
    return comment === undefined || !reader.atEnd ? undefined : { comment };
  }
  if (reader.take('SECURITY', 'LABEL', 'FOR')) {
    const provider = reader.name() ?? reader.string();
    if (provider === undefined || !reader.take('ON', 'DATABASE') || reader.name() !== name) {
      return undefined;
    }
    const label = reader.take('IS') ? reader.string() : undefined;
    if (label === undefined || !reader.atEnd) return undefined;
    return {
      ...common,
      kind: 'label',
      summary: `SECURITY LABEL FOR ${provider}`,
      sql: (database) =>
        `SECURITY LABEL FOR ${quoteIdentifier(provider)} ON DATABASE ${quoteIdentifier(database)} IS ${quoteLiteral(label)}`,
    };
  }
  return readPrivilege(tokens, name, grantor);
}

/** `GRANT CONNECT,TEMPORARY ON DATABASE x TO y WITH GRANT OPTION`, and REVOKE … FROM. */
function readPrivilege(
  tokens: readonly SqlToken[],
  name: string,
  grantor: string | undefined,
): DatabaseStatement | undefined {
  const reader = new StatementReader(tokens);
  if (!reader.take('GRANT') && !reader.take('REVOKE')) return undefined;
  if (!reader.skipTo('ON')) return undefined;
  const before = renderTokens(tokens.slice(0, tokens.length - reader.rest.length));
  if (!/^(GRANT|REVOKE( GRANT OPTION FOR)?) [A-Z]+( , [A-Z]+)*$/i.test(before)) return undefined;
  if (!reader.take('ON', 'DATABASE') || reader.name() !== name) return undefined;
  const after = renderTokens(reader.rest);
  if (!reader.take('TO') && !reader.take('FROM')) return undefined;
  return {
    when: 'late',
    kind: 'privilege',
    grantor,
    summary: `${before} ON DATABASE … ${after}`,
    sql: (database) => `${before} ON DATABASE ${quoteIdentifier(database)} ${after}`,
  };
}

/** `CONNECTION LIMIT = 7` and `IS_TEMPLATE = true`; what else there is (in upgrades) is not for a restore. */
function readProperty(reader: StatementReader): string | undefined {
  if (reader.take('CONNECTION', 'LIMIT', '=')) {
    const limit = reader.integer();
    return limit === undefined || !reader.atEnd ? undefined : `CONNECTION LIMIT = ${limit}`;
  }
  if (reader.take('IS_TEMPLATE', '=', 'TRUE') && reader.atEnd) return 'IS_TEMPLATE = true';
  return undefined;
}

/** A setting of a role or a database: its name and its values as they are, without quotes. */
export interface Setting {
  readonly name: string;
  readonly values: readonly string[];
}

/** Behind SET: `search_path TO 'a', 'b c'`, `"app.x" TO 'v'`, `work_mem = '5MB'`. */
export function readSetting(reader: StatementReader): Setting | undefined {
  let name = reader.name() ?? '';
  // Some versions quote the parts of a name with a dot one by one.
  while (reader.take('.')) name += `.${reader.name() ?? ''}`;
  if (name === '' || !(reader.take('TO') || reader.take('='))) return undefined;
  const values: string[] = [];
  do {
    const value = reader.string();
    if (value === undefined) return undefined;
    values.push(value);
  } while (reader.take(','));
  return reader.atEnd ? { name, values } : undefined;
}

export function renderSetting({ name, values }: Setting): string {
  return `SET ${quoteIdentifier(name)} TO ${values.map(quoteLiteral).join(', ')}`;
}

/** The server that is to have the database. */
export interface DatabaseServer {
  readonly versionNumber: number;
  /** Whether the role may create in a tablespace of that name. */
  readonly hasTablespace: (name: string) => boolean;
}

/**
 * CREATE DATABASE for a target, under a name of its own and from template0: with the archive's encoding
 * and locale as far as the server knows such options. The owner is whoever runs it.
 */
export function createDatabaseStatement(
  database: string,
  archived: Pick<ArchivedDatabase, 'encoding' | 'options'>,
  { versionNumber, hasTablespace }: DatabaseServer,
): { sql: string; warnings: string[] } {
  const major = Math.floor(versionNumber / 10_000);
  const warnings: string[] = [];
  const clauses = ['TEMPLATE template0'];
  if (archived.encoding !== undefined) {
    clauses.push(`ENCODING ${quoteLiteral(archived.encoding)}`);
  }
  for (const [keyword, value] of archived.options) {
    const since = keyword === 'LOCALE_PROVIDER' ? PROVIDER_MAJORS[value] : OPTION_MAJORS[keyword];
    if (keyword === 'TABLESPACE') {
      if (hasTablespace(value)) clauses.push(`TABLESPACE ${quoteIdentifier(value)}`);
      else warnings.push(`the target has no tablespace ${value} for us: the default one is used`);
    } else if (since === undefined) {
      warnings.push(
        `the database was made with ${keyword}, which was left out: it is not known here`,
      );
    } else if (since <= major) {
      clauses.push(`${keyword} ${quoteLiteral(value)}`);
    } else if (keyword !== 'LOCALE_PROVIDER' || value !== 'libc') {
      // Before there were providers, all was libc.
      warnings.push(
        `PostgreSQL ${major} has no ${keyword}: the database sorts by its LOCALE, not by ${keyword} ${value}`,
      );
    }
  }
  return { sql: `CREATE DATABASE ${quoteIdentifier(database)} ${clauses.join(' ')}`, warnings };
}
