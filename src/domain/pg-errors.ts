import {
  AuthenticationFailed,
  ClientTooOld,
  ConnectionLost,
  DatabaseNotFound,
  DatabaseUnreachable,
  DumpFailed,
  type HoldfastError,
  type HoldfastErrorClass,
  InsufficientPrivilege,
  LockTimeout,
  RowLevelSecurity,
  ServerOutOfResources,
  ServerStorageFault,
} from '#errors';

/** Text with every secret replaced. Also in the percent-encoded form that stands in URLs. */
export function redact(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret === '') continue;
    clean = clean.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***');
  }
  return clean;
}

const REMEDIES = new Map<HoldfastErrorClass, string>([
  [
    AuthenticationFailed,
    "compare the role and its password with the secret, or for IAM the role's rds_iam grant and the policy",
  ],
  [DatabaseNotFound, 'correct the name, or take it out of the plan'],
  [
    InsufficientPrivilege,
    'grant what is missing to the role, or take the database out of the plan',
  ],
  [RowLevelSecurity, 'let an administrator run ALTER ROLE … BYPASSRLS for the role'],
  [
    LockTimeout,
    'start the run again when the migration is over, or raise dump.lockWaitTimeoutSeconds',
  ],
  [ConnectionLost, "look in the server's log for a restart, a failover or a terminated session"],
  [
    DatabaseUnreachable,
    'check the host, the port, the security groups and the CA file of the plan',
  ],
  [ClientTooOld, "add a client of the server's major to layers/postgres-client/versions.json"],
  [ServerStorageFault, "read the server's log and look at its disk: its files may be damaged"],
]);

/** What helps where the error's name alone does not say it, by SQLSTATE. */
const REMEDY_BY_SQLSTATE: Readonly<Record<string, string>> = {
  '53000': "look in the server's log for what it has too little of, mostly files that may be open",
  '53100': 'give the server more storage',
  '53200': 'give the server more memory, or less to do at the same time',
  '53300': "raise max_connections or the role's CONNECTION LIMIT, or let others connect less",
  '53400': 'raise the limit that is named, such as temp_file_limit',
  '57014': 'look at the load of the server, and for who cancels sessions',
};
const MORE_LOCKS = 'give the server a larger max_locks_per_transaction, and restart it';

/**
 * Whether it was the table of locks that had no room, which has the SQLSTATE of any memory. The name of the
 * setting stands in the server's hint in every language.
 */
export function isOutOfLocks(sqlState: string | undefined, hint: string | undefined): boolean {
  return sqlState === '53200' && (hint ?? '').includes('max_locks_per_transaction');
}

/**
 * SQLSTATE to error. A code of two characters stands for its whole class.
 * Source: appendix A of the PostgreSQL manual.
 */
const BY_SQLSTATE: Readonly<Record<string, HoldfastErrorClass>> = {
  '08': ConnectionLost, // connection exceptions
  '28': AuthenticationFailed, // 28P01 wrong password, 28000 no such role, pg_hba.conf, PAM (IAM)
  '3D': DatabaseNotFound,
  '42501': InsufficientPrivilege,
  '53': ServerOutOfResources, // 53100 disk, 53200 memory or locks, 53400 a limit of its own; 53000 open files
  '53300': DatabaseUnreachable, // out of connections
  '55P03': LockTimeout,
  '57': ConnectionLost, // whatever an operator does to a session
  '57014': DatabaseUnreachable, // our own statement timeout: the server is there and does not answer
  '57P01': ConnectionLost, // terminated by an administrator
  '57P02': ConnectionLost, // another server process crashed
  '57P03': ConnectionLost, // starting up, shutting down, in recovery
  '57P04': DatabaseNotFound, // dropped while it was connected to, as a replica notices it
  '57P05': ConnectionLost, // idle session timeout
  '58': ServerStorageFault, // 58030 input or output, 58P01 a file is missing
  XX001: ServerStorageFault, // data that cannot be
  XX002: ServerStorageFault, // an index that cannot be
};

/** Codes of Node's sockets and of its TLS, which carry no SQLSTATE. */
const BY_NODE_CODE: Readonly<Record<string, HoldfastErrorClass>> = {
  ECONNRESET: ConnectionLost,
  EPIPE: ConnectionLost,
  ECONNREFUSED: DatabaseUnreachable,
  ENOTFOUND: DatabaseUnreachable,
  EAI_AGAIN: DatabaseUnreachable,
  ETIMEDOUT: DatabaseUnreachable,
  EHOSTUNREACH: DatabaseUnreachable,
  ENETUNREACH: DatabaseUnreachable,
};

/** Every code of OpenSSL and of Node's own certificate checks. */
export const TLS_CODE =
  /^(ERR_(TLS|SSL|OSSL)_|(UNABLE_TO|CERT|CRL|DEPTH_ZERO|SELF_SIGNED|INVALID_(CA|PURPOSE)|HOSTNAME)_)/;

/** What node-postgres says where it has no code. */
const BY_DRIVER_MESSAGE: readonly (readonly [RegExp, HoldfastErrorClass])[] = [
  [
    /^Connection terminated|^Client has encountered a connection error|^Query read timeout|^Client was closed/,
    ConnectionLost,
  ],
  [/timeout expired|^Connection terminated due to connection timeout/, DatabaseUnreachable],
  [/does not support SSL|There was an error establishing an SSL connection/, DatabaseUnreachable],
];

/** What an error of node-postgres or of a socket carries. */
interface DriverError {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly severity?: unknown;
  readonly hint?: unknown;
}

/**
 * An error of node-postgres under our name. `what` says what was tried: "connect to shop on db:5432".
 * Anything that is in no table comes back as it is: a fault of ours, not the operator's.
 */
export function translatePgError(
  error: unknown,
  what: string,
  secrets: readonly string[] = [],
): unknown {
  const { code, message, hint } = (error ?? {}) as DriverError;
  const text = typeof message === 'string' ? message : String(error);
  const errorClass = classOfCode(typeof code === 'string' ? code : '', text);
  if (!errorClass) return error;
  const reason = redact(text, secrets) || String(code);
  const sqlState = String(code);
  const noLocks = isOutOfLocks(sqlState, typeof hint === 'string' ? hint : undefined);
  const remedy = noLocks ? MORE_LOCKS : REMEDY_BY_SQLSTATE[sqlState];
  return named(errorClass, `cannot ${what}: ${reason}`, error, remedy);
}

function classOfCode(code: string, message: string): HoldfastErrorClass | undefined {
  const own = BY_SQLSTATE[code] ?? BY_NODE_CODE[code];
  if (own) return own;
  if (/^[0-9A-Z]{5}$/.test(code)) return BY_SQLSTATE[code.slice(0, 2)];
  if (TLS_CODE.test(code)) return DatabaseUnreachable;
  return BY_DRIVER_MESSAGE.find(([pattern]) => pattern.test(message))?.[1];
}

function named(
  errorClass: HoldfastErrorClass,
  fact: string,
  cause?: unknown,
  remedy = REMEDIES.get(errorClass),
): HoldfastError {
  return new errorClass(fact, {
    ...(remedy === undefined ? {} : { remedy }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * What pg_dump and pg_dumpall print when they fail. They give text alone, without a SQLSTATE, hence
 * this table; it is only for their own stable English (they run with `LC_ALL=C`) and for that of servers
 * with `lc_messages = C` or `en_*`. Under another language a server's refusal is a DumpFailed, in its words.
 * Every row was printed by a real pg_dump 17 or 18 and is tested with that text.
 *
 * | printed | error |
 * |---|---|
 * | password authentication failed, no password supplied, role does not exist, no pg_hba.conf entry, PAM | AuthenticationFailed |
 * | database "…" does not exist | DatabaseNotFound |
 * | aborting because of server version mismatch | ClientTooOld |
 * | permission denied for …, user may lack SELECT privilege on the sequence | InsufficientPrivilege |
 * | query would be affected by row-level security policy | RowLevelSecurity |
 * | canceling statement due to lock timeout; due to statement timeout while LOCK TABLE | LockTimeout |
 * | terminating connection, server closed the connection, SSL EOF, system is starting up | ConnectionLost |
 * | snapshot "…" does not exist, invalid snapshot identifier: the session that exported it is gone | ConnectionLost |
 * | connection to server … failed, could not translate host name | DatabaseUnreachable |
 */
const BY_CLIENT_TEXT: readonly (readonly [RegExp, HoldfastErrorClass])[] = [
  [
    /FATAL: +(password|PAM|LDAP|GSSAPI|certificate|peer|Ident) authentication failed for user/i,
    AuthenticationFailed,
  ],
  [/fe_sendauth: no password supplied/, AuthenticationFailed],
  [/FATAL: +role ".*" (does not exist|is not permitted to log in)/, AuthenticationFailed],
  [/FATAL: +(no pg_hba\.conf entry|pg_hba\.conf rejects connection) for/, AuthenticationFailed],
  [/FATAL: +database ".*" does not exist/, DatabaseNotFound],
  [/^aborting because of server version mismatch/, ClientTooOld],
  [/(ERROR|FATAL): +permission denied for /, InsufficientPrivilege],
  [/^failed to get data for sequence .*user may lack SELECT privilege/, InsufficientPrivilege],
  [/ERROR: +query would be affected by row-level security policy for/, RowLevelSecurity],
  [/ERROR: +canceling statement due to lock timeout/, LockTimeout],
  [/(FATAL|ERROR): +terminating connection due to /, ConnectionLost],
  [/FATAL: +the database system is /, ConnectionLost],
  [/ERROR: +(snapshot ".*" does not exist|invalid snapshot identifier: )/, ConnectionLost],
  [
    /server closed the connection unexpectedly|SSL SYSCALL error|unexpected eof while reading|no connection to the server|could not receive data from server/i,
    ConnectionLost,
  ],
  [/^connection to server .* failed: |^could not translate host name /, DatabaseUnreachable],
];

/** How a client program ended: exit code, and what it printed, secrets replaced. */
export interface ClientEnd {
  readonly exitCode: number | null;
  readonly signal?: string | null;
  readonly stderr: readonly string[];
}

/** Lines of the message that go into the error's text; the log has all. */
const QUOTED_LINES = 6;

/**
 * The named error of a pg_dump or pg_dumpall that ended with another code than 0.
 * Never matches the text of a query, as names in it could look like anything.
 */
export function classifyClientFailure(program: string, end: ClientEnd): HoldfastError {
  const { errors, quotable, lockingTables } = readMessages(end.stderr);
  const how =
    end.exitCode === null
      ? `was ended by ${end.signal ?? 'a signal'}`
      : `ended with ${end.exitCode}`;
  const quoted = (quotable.length > 0 ? quotable : end.stderr)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, QUOTED_LINES);
  const said = quoted.length > 0 ? `: ${quoted.join(' / ')}` : ' and said nothing';
  // pg_dump turns --lock-wait-timeout into a statement timeout around LOCK TABLE.
  const timedOut = errors.some((line) => /canceling statement due to statement timeout/.test(line));
  const errorClass =
    timedOut && lockingTables
      ? LockTimeout
      : BY_CLIENT_TEXT.find(([pattern]) => errors.some((line) => pattern.test(line)))?.[1];
  return named(errorClass ?? DumpFailed, `${program} ${how}${said}`);
}

/**
 * The error messages alone: without `pg_dump: error: `, without warnings and without the queries.
 * A line without a prefix continues the one before. `quotable` has the other details too.
 */
function readMessages(stderr: readonly string[]) {
  const errors: string[] = [];
  const quotable: string[] = [];
  let lockingTables = false;
  let inError = false;
  for (const line of stderr) {
    const [, kind, text = ''] = /^pg_\w+: (error|detail|hint|warning): (.*)$/.exec(line) ?? [];
    const isQuery = kind === 'detail' && /^(Query|Command) was: /.test(text);
    const isAnswer = kind === 'detail' && text.startsWith('Error message from server: ');
    lockingTables ||= isQuery && text.startsWith('Query was: LOCK TABLE ');
    if (kind !== undefined) inError = kind === 'error' || isAnswer;
    const message = (kind === undefined ? line : text).replace(
      /^(query failed|Error message from server): /,
      '',
    );
    if (inError) errors.push(message);
    if (inError || (kind === 'detail' && !isQuery)) quotable.push(message);
  }
  return { errors, quotable, lockingTables };
}
