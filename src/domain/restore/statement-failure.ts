import {
  AuthenticationFailed,
  ConnectionLost,
  type HoldfastErrorClass,
  RestoreFailed,
  TargetFull,
} from '#errors';
import type { TocEntry } from '../archive/toc.ts';
import { isOutOfLocks } from '../pg-errors.ts';
import type { ScriptPart } from './script.ts';
import { quoteIdentifier } from './sql-tokens.ts';

/** A statement that the server refused. */
export interface StatementFailure {
  /** Undefined where the server did not answer with one. */
  readonly sqlState: string | undefined;
  readonly entry: Pick<TocEntry, 'desc' | 'tag' | 'schema' | 'owner'>;
  readonly part: ScriptPart['kind'];
  /** What of the entry's own dependencies was tolerated as failed; `EXTENSION postgis`. */
  readonly because?: string | undefined;
  /** Owners and grantees need not exist: `noOwner` or `role` was asked for. */
  readonly rolesOptional: boolean;
  /** The server's own. */
  readonly hint?: string | undefined;
  readonly message?: string | undefined;
  /** The statement as people read it; what it begins with can tell what it is about. */
  readonly text?: string | undefined;
}

/** Fatal: the database is not whole without it. Otherwise what it means, and what to do if it matters. */
export type Verdict =
  | {
      readonly fatal: true;
      readonly errorClass: HoldfastErrorClass;
      readonly remedy: string | undefined;
    }
  | { readonly fatal: false; readonly advice: string };

/** Of the server, whatever the statement was. A code of two characters stands for its whole class. */
const OF_THE_SERVER: Readonly<Record<string, HoldfastErrorClass>> = {
  '08': ConnectionLost,
  '28': AuthenticationFailed,
  '53100': TargetFull,
  '57P01': ConnectionLost,
  '57P02': ConnectionLost,
  '57P03': ConnectionLost,
  '57P05': ConnectionLost,
};

const DENIED = ['42501'];
/** 42704 undefined object, 3F000 schema, 42883 function, 42P01 table, 0A000 not supported. */
const ABSENT = ['42704', '3F000', '42883', '42P01', '0A000'];
/**
 * An extension's control file is missing: 58P01, from 13 on 0A000; 22023: no such version; 55000: it wants to be
 * loaded first. P0001: its script refuses, as that of pg_cron does in every database but one.
 */
const UNAVAILABLE = ['58P01', '0A000', '22023', '55000', 'P0001'];

interface Tolerable {
  readonly desc: readonly string[];
  readonly sqlStates: readonly string[];
  readonly part?: ScriptPart['kind'];
  readonly when?: (failure: StatementFailure) => boolean;
  readonly advice: string;
}

/** Roles of managed services that own objects no one else can make or give away. */
const OF_THE_SERVICE =
  /^(rdsadmin|rds_\w+|rdsrepladmin|rdstopmgr|rdsproxyadmin|rdswriteforwarduser|cloudsql(admin|superuser)|azuresu|azure_(pg_admin|superuser)|alloydb(admin|superuser)|pg_\w+)$/;
/** What a comment or a label is on, where its own owner is often a superuser: the tag begins with it. */
const COMMONLY_FOREIGN =
  /^(EXTENSION|EVENT TRIGGER|PUBLICATION|SUBSCRIPTION|(PROCEDURAL )?LANGUAGE|SERVER|FOREIGN DATA WRAPPER|CAST|ACCESS METHOD|LARGE OBJECT|SCHEMA "?public"?$)/;

const isOfPublicSchema = ({ entry }: StatementFailure) => entry.tag === 'public';
/** Where a grant is made in the name of who has the right to pass it on; not the owner. */
export const AS_GRANTOR = /^SET SESSION AUTHORIZATION /;

const isOfSystemSchema = ({ entry }: StatementFailure) =>
  entry.schema === 'pg_catalog' || entry.schema === 'information_schema';

/**
 * What may fail without a loss of anybody's data, by SQLSTATE and kind of object; the first row that fits
 * says what it means. Whatever is in no row is fatal: tables, types, functions, indexes, constraints …
 */
const TOLERABLE: readonly Tolerable[] = [
  {
    desc: ['EXTENSION'],
    sqlStates: ['42710'],
    advice: 'the target has it already',
  },
  {
    desc: ['EXTENSION'],
    sqlStates: [...DENIED, ...UNAVAILABLE],
    part: 'definition',
    advice:
      'the target server does not offer it to this role; if it is needed, let an administrator create it, then restore again',
  },
  {
    desc: ['PROCEDURAL LANGUAGE'],
    sqlStates: [...DENIED, '42710', ...UNAVAILABLE],
    advice:
      'a language needs a superuser or its extension; functions in it would have failed loudly',
  },
  {
    desc: ['SCHEMA'],
    sqlStates: ['42P06'],
    advice: 'the target has it already, and it was used as it is',
  },
  {
    desc: ['SCHEMA'],
    sqlStates: DENIED,
    part: 'owner',
    when: isOfPublicSchema,
    advice: 'the schema public keeps the owner that it has in the target',
  },
  {
    desc: ['COMMENT', 'SECURITY LABEL'],
    sqlStates: DENIED,
    when: ({ entry }) => COMMONLY_FOREIGN.test(entry.tag),
    advice: "only the object's owner may do that; it is missing, nothing else",
  },
  {
    desc: ['SECURITY LABEL'],
    sqlStates: ['22023', '42704', '0A000'],
    advice: 'the target has no such label provider loaded; the label is missing, nothing else',
  },
  {
    desc: ['ACL'],
    sqlStates: [...DENIED, ...ABSENT],
    when: isOfSystemSchema,
    advice: 'privileges on objects of the system are for a superuser to give',
  },
  {
    desc: ['ACL'],
    sqlStates: DENIED,
    when: ({ entry }) => COMMONLY_FOREIGN.test(entry.tag),
    advice:
      "only the object's owner may give privileges on it; give them by hand if they are needed",
  },
  {
    desc: ['ACL', 'ACL LANGUAGE'],
    sqlStates: DENIED,
    part: 'privilege',
    when: ({ text = '' }) => AS_GRANTOR.test(text),
    advice:
      "the restoring role may not act as who gave the privilege: it is given all the same, in the owner's name",
  },
  {
    desc: ['ACL', 'DEFAULT ACL', 'POLICY'],
    sqlStates: ['42704'],
    when: ({ rolesOptional }) => rolesOptional,
    advice:
      'the role does not exist on the target server; create it and give it its privileges by hand',
  },
  {
    desc: ['DEFAULT ACL'],
    sqlStates: DENIED,
    advice: 'default privileges are for the role itself to set; existing objects are not affected',
  },
  {
    desc: ['EVENT TRIGGER'],
    sqlStates: DENIED,
    advice:
      'event triggers need a superuser (on RDS: rds_superuser); create it by hand if it is needed',
  },
  {
    desc: ['PUBLICATION', 'SUBSCRIPTION', 'FOREIGN DATA WRAPPER', 'SERVER'],
    sqlStates: DENIED,
    part: 'owner',
    advice:
      'it is there and belongs to the restoring role; its owner is for an administrator to set',
  },
  {
    desc: ['PUBLICATION', 'PUBLICATION TABLE', 'PUBLICATION TABLES IN SCHEMA'],
    sqlStates: DENIED,
    advice:
      'a publication of all tables or of a schema needs a superuser; create it by hand if it is needed',
  },
  {
    // 2F003: a password is required in the connection string.
    desc: ['SUBSCRIPTION', 'SUBSCRIPTION TABLE'],
    sqlStates: [...DENIED, '2F003', '42710', '0A000', '42601'],
    advice:
      'a subscription needs pg_create_subscription; create it by hand when this database is to receive changes',
  },
  {
    desc: ['FOREIGN DATA WRAPPER', 'SERVER', 'USER MAPPING'],
    sqlStates: [...DENIED, '42710', ...ABSENT],
    advice: 'access to other servers is missing; create it by hand if it is needed',
  },
  {
    desc: ['BLOB', 'BLOB METADATA'],
    sqlStates: DENIED,
    part: 'owner',
    advice: 'these large objects belong to the restoring role',
  },
  {
    // Functions that load statistics came with 18; ANALYZE follows in any case.
    desc: ['STATISTICS DATA'],
    sqlStates: [...DENIED, ...ABSENT, '22023', '22P02', '42804', '42703'],
    advice: 'statistics come from ANALYZE instead',
  },
];

/** What hangs on a tolerated entry directly, holds no data, and cannot be without it. */
const FALLS_WITH_IT = new Set([
  'ACL',
  'COMMENT',
  'DEFAULT ACL',
  'EVENT TRIGGER',
  'FOREIGN DATA WRAPPER',
  'FOREIGN TABLE',
  'PUBLICATION TABLE',
  'PUBLICATION TABLES IN SCHEMA',
  'SECURITY LABEL',
  'SERVER',
  'STATISTICS DATA',
  'SUBSCRIPTION TABLE',
  'USER MAPPING',
]);

/** The error where the server as a whole is in trouble, and not the statement. */
export function serverTrouble(sqlState: string | undefined): HoldfastErrorClass | undefined {
  if (sqlState === undefined) return undefined;
  return OF_THE_SERVER[sqlState] ?? OF_THE_SERVER[sqlState.slice(0, 2)];
}

/** Says what a refused statement means for the restore. */
export function classifyStatementFailure(failure: StatementFailure): Verdict {
  const { sqlState, entry, part, because } = failure;
  const ofServer = serverTrouble(sqlState);
  if (ofServer || sqlState === undefined) {
    return { fatal: true, errorClass: ofServer ?? RestoreFailed, remedy: undefined };
  }
  const row = TOLERABLE.find(
    (it) =>
      it.desc.includes(entry.desc) &&
      it.sqlStates.includes(sqlState) &&
      (it.part ?? part) === part &&
      (it.when?.(failure) ?? true),
  );
  if (row) return { fatal: false, advice: row.advice };
  if (
    part === 'owner' &&
    OF_THE_SERVICE.test(entry.owner ?? '') &&
    /^42(501|704)$/.test(sqlState)
  ) {
    return {
      fatal: false,
      advice: `${entry.owner} belongs to the managed service; the restoring role owns it instead`,
    };
  }
  if (because !== undefined && FALLS_WITH_IT.has(entry.desc)) {
    return { fatal: false, advice: `because ${because} failed` };
  }
  return { fatal: true, errorClass: RestoreFailed, remedy: remedyOf(failure) };
}

/** By SQLSTATE, where the object does not matter. */
const REMEDIES: Readonly<Record<string, string>> = {
  '42501': 'grant the restoring role what is missing',
  '53200':
    'give the target server more memory, or lower its maintenance_work_mem; then start again',
  '53400': 'raise the limit that is named, such as temp_file_limit; then start again',
  '58030': "look at the target server's disk and its log",
};

function remedyOf(failure: StatementFailure): string | undefined {
  const { sqlState, part, because, hint } = failure;
  if (because !== undefined) return `${because} failed before, which it needs`;
  if (part === 'owner' && sqlState === '42501') return ownerRemedy(failure);
  // A foreign key to a table of thousands of partitions locks them all.
  if (isOutOfLocks(sqlState, hint)) {
    return 'give the target server a larger max_locks_per_transaction (and restart it): one statement locks every partition of a table; then start again';
  }
  return sqlState === undefined ? undefined : REMEDIES[sqlState];
}

/**
 * The server says 42501 to three things: the restoring role may not act as the new owner; the new owner may not
 * create in the schema, and we could not let it; the restoring role may not create schemas in the database. A
 * server that does not speak English is not understood, so all is said then.
 */
function ownerRemedy({ entry, message = '' }: StatementFailure): string {
  const { desc, schema = '', owner = '' } = entry;
  const role = quoteIdentifier(owner);
  const otherwise = ', or restore with "noOwner": true';
  if (/^permission denied for schema /.test(message)) {
    return `let the owner of the schema run: GRANT CREATE ON SCHEMA ${quoteIdentifier(schema)} TO ${role}${otherwise}`;
  }
  if (/^permission denied for database /.test(message)) {
    const who = desc === 'SCHEMA' ? 'the restoring role' : role;
    return `let the owner of the database grant CREATE on it to ${who}${otherwise}`;
  }
  const member = `make the restoring role a member of ${owner}`;
  // From 16 on "must be able to SET ROLE", before "must be member of role".
  if (/^must be /.test(message) || schema === '') return `${member}${otherwise}`;
  return `${member}, let ${role} have CREATE on the schema ${quoteIdentifier(schema)}${otherwise}`;
}

/** Statements of these hold connection strings and options, and with them passwords. */
const SECRETIVE = new Set(['USER MAPPING', 'SUBSCRIPTION', 'SERVER', 'FOREIGN DATA WRAPPER']);
/** The server's message to these names objects and roles alone. */
const HARMLESS_MESSAGES = new Set(['42501', '42704', '42710', '42P01', '3F000', '2F003']);
const STATEMENT_CHARACTERS = 200;

/** Whether texts of the entry's statements must not be shown, logged or kept. */
export function isSecretive({ desc }: Pick<TocEntry, 'desc'>): boolean {
  return SECRETIVE.has(desc);
}

/** The object as a reader knows it: `TABLE sales.orders`. */
export function objectOf({ schema, tag }: Pick<TocEntry, 'schema' | 'tag'>): string {
  return schema ? `${schema}.${tag}` : tag;
}

/** The beginning of a statement on one line; for what may hold a password, what it is about. */
export function statementBeginning(
  entry: Pick<TocEntry, 'desc' | 'schema' | 'tag'>,
  text: string,
): string {
  if (isSecretive(entry)) return `CREATE ${entry.desc} ${objectOf(entry)} …`;
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > STATEMENT_CHARACTERS ? `${line.slice(0, STATEMENT_CHARACTERS)}…` : line;
}

/** What the server said, unless that may repeat a password. */
export function shownMessage(
  entry: Pick<TocEntry, 'desc'>,
  sqlState: string | undefined,
  message: string,
): string {
  if (!isSecretive(entry) || HARMLESS_MESSAGES.has(sqlState ?? '')) return message;
  return `SQLSTATE ${sqlState ?? 'unknown'} (its text is not shown, as the statement may hold a password)`;
}
