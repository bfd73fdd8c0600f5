import { isAscii, isUtf8 } from 'node:buffer';
import { ArchiveUnsupported } from '#errors';
import { parseToc, type TextRange, type TocEntry } from '../archive/toc.ts';
import { quoteIdentifier, quoteLiteral } from './sql-tokens.ts';

/**
 * The statements that make what an archive's entries describe: the same that pg_restore sends, from the same
 * bytes, without its process and without reading them back out of its text. Source: `_printTocEntry`,
 * `_getObjectDescription` and `_doSetFixedOutputState` in PostgreSQL's `pg_backup_archiver.c`,
 * `IssueCommandPerBlob` and `IssueACLPerBlob` in `pg_backup_db.c`, as of 18; tests hold it against what
 * pg_restore prints.
 *
 * An archive's texts are in the encoding of the dumped database, a session speaks UTF-8. What is not the
 * same in both goes to the server as the bytes it is, and the server reads them in their encoding.
 */
export interface ArchiveScript {
  /** As PostgreSQL names it; of the dumped database. */
  readonly encoding: string;
  /** Each session's settings, by name; those that the server does not know are for it to leave out. */
  readonly settings: ReadonlyMap<string, string>;
  /** What an entry takes. Empty for an entry that is only there to be known of. */
  statements(dumpId: number): EntryStatements;
}

export interface EntryStatements {
  /** Settings that must hold while the statements run; undefined: whatever they are. */
  readonly settings: EntrySettings;
  /** In order; each is one query. */
  readonly parts: readonly ScriptPart[];
  /** Whether all parts may go into one transaction: not those about very many large objects. */
  readonly together: boolean;
}

export interface EntrySettings {
  /** `search_path` as SQL, for archives before 10.3 and 9.6.8, whose names have no schema. */
  readonly searchPath: string | undefined;
  /** Name of the tablespace; empty: the database's own. */
  readonly tablespace: string | undefined;
  /** Of the table access method. */
  readonly accessMethod: string | undefined;
}

export interface ScriptPart {
  /** A `privilege` is one of several statements of its entry, which stand each for itself. */
  readonly kind: 'definition' | 'privilege' | 'owner' | 'access method';
  /** To be sent as it is. */
  readonly sql: string;
  /** The same for people: nothing of it is disguised for an encoding. */
  readonly text: string;
}

export interface ScriptOptions {
  /** Everything belongs to who makes it. */
  readonly noOwner?: boolean;
}

/** Commands on large objects in one query: each takes a lock until its end, and locks are limited. */
const LARGE_OBJECTS_AT_A_TIME = 500;

const PRIVILEGES = new Set(['ACL', 'ACL LANGUAGE', 'DEFAULT ACL']);

/** Owned by their name alone, which may have a schema. */
const OWNED_BY_NAME = new Set([
  'COLLATION',
  'CONVERSION',
  'DOMAIN',
  'FOREIGN TABLE',
  'MATERIALIZED VIEW',
  'SEQUENCE',
  'STATISTICS',
  'TABLE',
  'TEXT SEARCH DICTIONARY',
  'TEXT SEARCH CONFIGURATION',
  'TYPE',
  'VIEW',
  'DATABASE',
  'PROCEDURAL LANGUAGE',
  'SCHEMA',
  'EVENT TRIGGER',
  'FOREIGN DATA WRAPPER',
  'SERVER',
  'PUBLICATION',
  'SUBSCRIPTION',
]);
/** Their DROP statement names them as ALTER … OWNER does: with arguments, operands or a method. */
const OWNED_AS_DROPPED = new Set([
  'AGGREGATE',
  'FUNCTION',
  'OPERATOR',
  'OPERATOR CLASS',
  'OPERATOR FAMILY',
  'PROCEDURE',
]);
/** They have a DROP statement and no owner of their own. */
const NOT_OWNED = new Set([
  'CAST',
  'CHECK CONSTRAINT',
  'CONSTRAINT',
  'DATABASE PROPERTIES',
  'DEFAULT',
  'FK CONSTRAINT',
  'INDEX',
  'RULE',
  'TRIGGER',
  'ROW SECURITY',
  'POLICY',
  'USER MAPPING',
]);

/**
 * Reads the script of an archive from its head.
 *
 * @throws ArchiveCorrupt, ArchiveUnsupported when the head cannot be read; `statements` throws
 *   ArchiveUnsupported for an entry whose owner cannot be told.
 */
export function archiveScript(head: Buffer, options: ScriptOptions = {}): ArchiveScript {
  // Byte by byte, so that every text can be turned back into exactly its bytes.
  const toc = parseToc(head, (bytes) => bytes.toString('latin1'));
  const textOf = (range: TextRange | undefined) =>
    range && head.toString('latin1', range.offset, range.offset + range.lengthBytes);
  const entries = new Map(toc.entries.map((entry) => [entry.dumpId, entry]));
  const special = (desc: string) =>
    textOf(toc.entries.find((entry) => entry.desc === desc)?.definition) ?? '';
  const encoding = /'(\w+)'/.exec(special('ENCODING'))?.[1] ?? 'SQL_ASCII';
  const standardStrings = !/'off'/.test(special('STDSTRINGS'));
  const hasSearchPath = special('SEARCHPATH') !== '';
  const writer = new EntryWriter(entries, textOf, options.noOwner ?? false);

  return {
    encoding,
    settings: new Map([
      ['lock_timeout', '0'],
      ['statement_timeout', '0'],
      ['transaction_timeout', '0'],
      ['idle_session_timeout', '0'],
      ['idle_in_transaction_session_timeout', '0'],
      ['standard_conforming_strings', standardStrings ? 'on' : 'off'],
      ['escape_string_warning', 'off'],
      ['check_function_bodies', 'off'],
      ['xmloption', 'content'],
      ['client_min_messages', 'warning'],
      ['row_security', 'off'],
    ]),
    statements(dumpId) {
      const entry = entries.get(dumpId);
      if (!entry) throw new RangeError(`no entry ${dumpId}`);
      const { schema, tablespace, accessMethod, relationKind } = entry;
      const named = (name: string | undefined) =>
        name === undefined ? undefined : displayed(name, encoding);
      const path = schema ? searchPathOf(schema) : undefined;
      return {
        settings: {
          searchPath: hasSearchPath || path === undefined ? undefined : named(path),
          tablespace: named(tablespace),
          // That of a partitioned table is for its partitions to come: set after it is made.
          accessMethod: relationKind === 'p' ? undefined : named(accessMethod),
        },
        parts: writer.parts(entry).map(({ kind, sql }) => ({
          kind,
          sql: sendable(sql, encoding),
          text: displayed(sql, encoding),
        })),
        together: !isOfLargeObjects(entry),
      };
    },
  };
}

/** Entries of pg_dump 17 and newer, which stand for a thousand large objects. */
function isOfLargeObjects({ desc, tag }: TocEntry): boolean {
  return desc === 'BLOB METADATA' || (desc === 'ACL' && tag.startsWith('LARGE OBJECTS'));
}

function searchPathOf(schema: string): string {
  return schema === 'pg_catalog' ? 'pg_catalog' : `${quoteIdentifier(schema)}, pg_catalog`;
}

/** Works on texts of which each character is a byte. */
class EntryWriter {
  readonly #entries: ReadonlyMap<number, TocEntry>;
  readonly #textOf: (range: TextRange | undefined) => string | undefined;
  readonly #noOwner: boolean;

  constructor(
    entries: ReadonlyMap<number, TocEntry>,
    textOf: (range: TextRange | undefined) => string | undefined,
    noOwner: boolean,
  ) {
    this.#entries = entries;
    this.#textOf = textOf;
    this.#noOwner = noOwner;
  }

  parts(entry: TocEntry): { kind: ScriptPart['kind']; sql: string }[] {
    const kind = PRIVILEGES.has(entry.desc) ? 'privilege' : 'definition';
    const parts = this.#definition(entry).map((sql) => ({ kind, sql }) as const);
    const owners = this.#owner(entry).map((sql) => ({ kind: 'owner' as const, sql }));
    const { relationKind, accessMethod, schema, tag } = entry;
    if (relationKind !== 'p' || !accessMethod) return [...parts, ...owners];
    const table = `${schema ? `${quoteIdentifier(schema)}.` : ''}${quoteIdentifier(tag)}`;
    const sql = `ALTER TABLE ${table} SET ACCESS METHOD ${quoteIdentifier(accessMethod)};`;
    return [...parts, ...owners, { kind: 'access method', sql }];
  }

  #definition(entry: TocEntry): string[] {
    const { desc, tag } = entry;
    const definition = this.#textOf(entry.definition) ?? '';
    if (definition === '') return [];
    if (desc === 'BLOB METADATA') {
      return this.#perLargeObject(entry, (oid) => `SELECT pg_catalog.lo_create('${oid}');`);
    }
    if (isOfLargeObjects(entry)) return this.#largeObjectPrivileges(entry);
    if (PRIVILEGES.has(desc)) return splitStatements(definition);
    // Before 9.3 the owner stood in the statement itself.
    if (this.#noOwner && desc === 'SCHEMA' && !definition.startsWith('--')) {
      return [`CREATE SCHEMA ${quoteIdentifier(tag)};`];
    }
    return [definition];
  }

  #owner(entry: TocEntry): string[] {
    const { desc, tag, owner, schema } = entry;
    const drop = this.#textOf(entry.dropStatement) ?? '';
    if (this.#noOwner || !owner || drop === '') return [];
    const newOwner = quoteIdentifier(owner);
    if (desc === 'BLOB METADATA') {
      return this.#perLargeObject(
        entry,
        (oid) => `ALTER LARGE OBJECT ${oid} OWNER TO ${newOwner};`,
      );
    }
    if (NOT_OWNED.has(desc)) return [];
    if (desc === 'BLOB') return [`ALTER LARGE OBJECT ${oidOf(tag)} OWNER TO ${newOwner};`];
    if (OWNED_AS_DROPPED.has(desc) && drop.startsWith('DROP ')) {
      const object = drop.slice('DROP '.length).replace(/[;\n]+$/, '');
      return [`ALTER ${object} OWNER TO ${newOwner};`];
    }
    if (OWNED_BY_NAME.has(desc)) {
      const name = `${schema ? `${quoteIdentifier(schema)}.` : ''}${quoteIdentifier(tag)}`;
      return [`ALTER ${desc} ${name} OWNER TO ${newOwner};`];
    }
    throw new ArchiveUnsupported(
      `nobody knows how to set the owner of a ${desc} (entry ${entry.dumpId})`,
      {
        remedy: 'restore with "noOwner": true',
      },
    );
  }

  /** The definition of BLOB METADATA is a list of oids, each with a line feed. */
  #perLargeObject({ definition }: TocEntry, command: (oid: string) => string): string[] {
    const oids = (this.#textOf(definition) ?? '').split('\n').filter((line) => line !== '');
    const queries: string[] = [];
    for (let at = 0; at < oids.length; at += LARGE_OBJECTS_AT_A_TIME) {
      const some = oids.slice(at, at + LARGE_OBJECTS_AT_A_TIME);
      queries.push(some.map((oid) => command(oidOf(oid))).join('\n'));
    }
    return queries;
  }

  /** Commands for the first large object of a group, meant for all of them. */
  #largeObjectPrivileges(entry: TocEntry): string[] {
    const metadata = this.#entries.get(entry.dependencies[0] ?? 0);
    if (metadata?.desc !== 'BLOB METADATA') {
      throw new ArchiveUnsupported(`entry ${entry.dumpId} (ACL) names no large objects`);
    }
    return splitStatements(this.#textOf(entry.definition) ?? '').flatMap((statement) => {
      const [before, after] = splitAtLargeObject(statement);
      return after === undefined
        ? [statement]
        : this.#perLargeObject(metadata, (oid) => `${before}${oid}${after}`);
    });
  }
}

function oidOf(text: string): string {
  if (/^\d{1,10}$/.test(text)) return text;
  throw new ArchiveUnsupported(`a large object has the number ${JSON.stringify(text)}`);
}

/** Around the number in `… ON LARGE OBJECT 16400 TO …`, unless that stands within a quoted name. */
function splitAtLargeObject(statement: string): [before: string, after?: string] {
  const found = /^((?:[^"]|"[^"]*")*?\bLARGE OBJECT )\d+(.*)$/s.exec(statement);
  return found ? [found[1] ?? '', found[2] ?? ''] : [statement];
}

/**
 * The statements of an entry that holds privileges. They have nothing that is hard to read but names in
 * double quotes, in which a semicolon ends nothing.
 */
function splitStatements(text: string): string[] {
  return (text.match(/(?:[^;"]|"[^"]*")+;?/g) ?? [])
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/** As a session can send it, which speaks UTF-8. `bytes` has a character for each byte. */
function sendable(bytes: string, encoding: string): string {
  const raw = Buffer.from(bytes, 'latin1');
  if (isAscii(raw)) return bytes;
  if ((encoding === 'UTF8' || encoding === 'SQL_ASCII') && isUtf8(raw)) return raw.toString('utf8');
  return (
    'DO LANGUAGE plpgsql $holdfast$ BEGIN EXECUTE pg_catalog.convert_from(' +
    `pg_catalog.decode('${raw.toString('hex')}', 'hex'), ${quoteLiteral(encoding)}); END $holdfast$;`
  );
}

function displayed(bytes: string, encoding: string): string {
  const raw = Buffer.from(bytes, 'latin1');
  if (isAscii(raw)) return bytes;
  return encoding.startsWith('LATIN') || !isUtf8(raw) ? bytes : raw.toString('utf8');
}
