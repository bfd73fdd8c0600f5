import {
  AuthenticationFailed,
  ConnectionLost,
  DatabaseNotFound,
  DatabaseUnreachable,
  type HoldfastError,
  type HoldfastErrorClass,
  InsufficientPrivilege,
  RestoreFailed,
  TargetFull,
} from '#errors';
import type { ClientEnd } from '../pg-errors.ts';

/**
 * What pg_restore prints when it cannot load rows: text alone, without an SQLSTATE. It is only for its own
 * stable English (it runs with `LC_ALL=C`) and that of servers with `lc_messages = C` or `en_*`; under another
 * language a refusal is a RestoreFailed, in the server's words.
 *
 * | printed | error |
 * |---|---|
 * | No space left on device, could not extend file, disk quota | TargetFull |
 * | password authentication failed, no pg_hba.conf entry, role does not exist | AuthenticationFailed |
 * | database "…" does not exist | DatabaseNotFound |
 * | permission denied to set parameter (session_replication_role) | InsufficientPrivilege |
 * | terminating connection, server closed the connection, system is starting up | ConnectionLost |
 * | connection to server … failed, too many clients, could not translate host name | DatabaseUnreachable |
 */
const BY_TEXT: readonly (readonly [RegExp, HoldfastErrorClass])[] = [
  [/No space left on device|(ERROR|PANIC): +could not extend file|Disk quota exceeded/, TargetFull],
  [
    /FATAL: +(password|PAM|LDAP|GSSAPI|certificate|peer|Ident) authentication failed for user/i,
    AuthenticationFailed,
  ],
  [/fe_sendauth: no password supplied/, AuthenticationFailed],
  [/FATAL: +role ".*" (does not exist|is not permitted to log in)/, AuthenticationFailed],
  [/FATAL: +(no pg_hba\.conf entry|pg_hba\.conf rejects connection) for/, AuthenticationFailed],
  [/FATAL: +database ".*" does not exist/, DatabaseNotFound],
  [/permission denied to set parameter/, InsufficientPrivilege],
  [/(FATAL|ERROR): +terminating connection due to /, ConnectionLost],
  [
    /server closed the connection unexpectedly|SSL SYSCALL error|unexpected eof while reading|no connection to the server|could not (receive data from|send data to) server|lost synchronization with server/i,
    ConnectionLost,
  ],
  [/^connection to server .* failed: |^could not translate host name /, DatabaseUnreachable],
];

/** A connection that was never there: nothing was loaded, so that it may be tried again. */
const AT_CONNECT = /^connection to server .* failed: |^could not translate host name /;
const TOO_MANY =
  /FATAL: +(sorry, too many clients already|remaining connection slots are reserved|too many connections for )/;
const QUOTED_LINES = 6;

/** Errors that pg_restore printed, without what it was doing and without statements. */
interface Printed {
  /** Each with its continuation lines. */
  readonly errors: readonly string[];
  /** `TABLE DATA sales.orders`, of the entry that it was at. */
  readonly entry: string | undefined;
}

export interface ClientFailure {
  readonly error: HoldfastError;
  /** It failed before it could load anything. */
  readonly atConnect: boolean;
  readonly tooManyConnections: boolean;
}

/**
 * The named error of a pg_restore that did not end with 0; undefined when all it complains of is a setting that
 * the server is too old to know. pg_restore 17 and newer turn `transaction_timeout` off at first, which came
 * with 17, and go on when an older server does not know it, unless they are told to stop at any error.
 */
export function classifyRestoreFailure(what: string, end: ClientEnd): ClientFailure | undefined {
  const { errors, entry } = readPrinted(end.stderr);
  const real = errors.filter((error) => !isUnknownSetting(error));
  if (end.exitCode === 1 && real.length === 0 && errors.length === 1) {
    const ignored = end.stderr.some((line) => /errors ignored on restore: 1$/.test(line));
    if (ignored) return undefined;
  }
  const how =
    end.exitCode === null
      ? `pg_restore was ended by ${end.signal ?? 'a signal'}`
      : `pg_restore ended with ${end.exitCode}`;
  const lines = (real.length > 0 ? real : end.stderr)
    .flatMap((error) => error.split('\n'))
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .slice(0, QUOTED_LINES);
  const said = lines.length > 0 ? `: ${lines.join(' / ')}` : ' and said nothing';
  const errorClass = BY_TEXT.find(([pattern]) => real.some((it) => pattern.test(it)))?.[1];
  const fact = `${how} in the data of ${entry ?? what}${said}`;
  return {
    error: new (errorClass ?? RestoreFailed)(fact),
    atConnect: real.some((it) => AT_CONNECT.test(it)),
    tooManyConnections: real.some((it) => TOO_MANY.test(it)),
  };
}

function isUnknownSetting(error: string): boolean {
  return /unrecognized configuration parameter "transaction_timeout"/.test(error);
}

/**
 * A line without a prefix continues the one before. `Command was:` begins a statement, of which nothing is
 * kept; CONTEXT and DETAIL may show a row, and rows are nobody's business here: the line and the column are.
 */
function readPrinted(stderr: readonly string[]): Printed {
  const errors: string[] = [];
  let entry: string | undefined;
  let keep = false;
  for (const line of stderr) {
    const [, kind, text = ''] =
      /^pg_restore: (error|warning|detail|hint|from TOC entry|while \w+)?:? ?(.*)$/.exec(line) ??
      [];
    if (kind === 'error') {
      errors.push(text);
      keep = true;
    } else if (kind === 'from TOC entry') {
      const [, described] = /^\d+; \d+ \d+ (.*) \S+$/.exec(text) ?? [];
      entry = described;
      keep = false;
    } else if (kind !== undefined || line.startsWith('pg_restore: ')) {
      keep = false;
    } else if (/^(Command was|DETAIL|CONTEXT|QUERY|STATEMENT): /.test(line)) {
      const [, context] =
        /^CONTEXT: +(COPY [^:]*?, line \d+(?:, column [^:]*)?)(?::|$)/.exec(line) ?? [];
      if (context !== undefined && keep) errors.push(`${errors.pop() ?? ''}\n${context}`);
      keep = false;
    } else if (keep) {
      errors.push(`${errors.pop() ?? ''}\n${line}`);
    }
  }
  return { errors, entry };
}
