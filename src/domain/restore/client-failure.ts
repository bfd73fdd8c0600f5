import {
  ArchiveCorrupt,
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
import type { TocEntry } from '../archive/toc.ts';
import type { ClientEnd } from '../pg-errors.ts';
import { objectOf } from './statement-failure.ts';

/**
 * What pg_restore prints when it cannot load rows: text alone, without an SQLSTATE. It is only for its own
 * stable English (it runs with `LC_ALL=C`) and that of servers with `lc_messages = C` or `en_*`; under another
 * language a refusal is a RestoreFailed, in the server's words.
 *
 * | printed | error |
 * |---|---|
 * | could not uncompress data, could not decompress data | ArchiveCorrupt |
 * | No space left on device, could not extend file, disk quota | TargetFull |
 * | password authentication failed, no pg_hba.conf entry, role does not exist | AuthenticationFailed |
 * | database "…" does not exist | DatabaseNotFound |
 * | permission denied to set parameter (session_replication_role) | InsufficientPrivilege |
 * | terminating connection, server closed the connection, system is starting up | ConnectionLost |
 * | connection to server … failed, too many clients, could not translate host name | DatabaseUnreachable |
 */
const BY_TEXT: readonly (readonly [RegExp, HoldfastErrorClass])[] = [
  [/^could not (uncompress|decompress) data: /, ArchiveCorrupt],
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
 * `loaded` are the entries whose data it was given.
 */
export function classifyRestoreFailure(
  loaded: readonly Pick<TocEntry, 'schema' | 'tag'>[],
  end: ClientEnd,
): ClientFailure | undefined {
  const errors = readErrors(end.stderr);
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
  const fact = `${how} in the data of ${blamed(loaded, real)}${said}`;
  return {
    error: new (errorClass ?? RestoreFailed)(fact),
    atConnect: real.some((it) => AT_CONNECT.test(it)),
    tooManyConnections: real.some((it) => TOO_MANY.test(it)),
  };
}

function isUnknownSetting(error: string): boolean {
  return /unrecognized configuration parameter "transaction_timeout"/.test(error);
}

/** The table by its full name, of which pg_restore says the last part alone. */
function blamed(
  loaded: readonly Pick<TocEntry, 'schema' | 'tag'>[],
  errors: readonly string[],
): string {
  const name = /^COPY failed for table "(.*?)": /.exec(errors[0] ?? '')?.[1];
  const fitting = loaded.filter(({ tag }) => name === undefined || tag === name);
  const [first] = fitting;
  if (first && fitting.length === 1) return objectOf(first);
  return name ?? `${loaded.length} tables`;
}

/**
 * The errors that pg_restore printed. A line without a prefix continues the one before. Not kept is what shows
 * a statement or a row: of CONTEXT there stays which line of which table it is.
 */
function readErrors(stderr: readonly string[]): string[] {
  const errors: string[] = [];
  let inError = false;
  let kept = false;
  const append = (text: string) => errors.push(`${errors.pop() ?? ''}\n${text}`);
  for (const line of stderr) {
    const [, error] = /^pg_restore: error: (.*)$/.exec(line) ?? [];
    if (error !== undefined) {
      errors.push(error);
      inError = true;
      kept = true;
    } else if (line.startsWith('pg_restore: ')) {
      inError = false;
    } else if (inError && /^(Command was|DETAIL|CONTEXT|QUERY|STATEMENT): /.test(line)) {
      const [, place] =
        /^CONTEXT: +(COPY .*?, line \d+(?:, column [^:]*)?)(?::|$)/.exec(line) ?? [];
      if (place !== undefined) append(place);
      kept = false;
    } else if (inError && kept) {
      append(line);
    }
  }
  return errors;
}
