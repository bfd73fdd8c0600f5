import { describe, expect, it } from 'vitest';
import { classifyClientFailure, redact, translatePgError } from '#domain/pg-errors.ts';

describe('an error of a session', () => {
  it.each([
    ['28P01', 'AuthenticationFailed'],
    ['28000', 'AuthenticationFailed'],
    ['3D000', 'DatabaseNotFound'],
    ['42501', 'InsufficientPrivilege'],
    ['55P03', 'LockTimeout'],
    ['57P01', 'ConnectionLost'],
    ['57P02', 'ConnectionLost'],
    ['57P03', 'ConnectionLost'],
    ['57P04', 'DatabaseNotFound'],
    ['57P05', 'ConnectionLost'],
    ['57000', 'ConnectionLost'],
    ['08006', 'ConnectionLost'],
    ['08P01', 'ConnectionLost'],
    ['53300', 'DatabaseUnreachable'],
    ['53000', 'ServerOutOfResources'],
    ['53100', 'ServerOutOfResources'],
    ['53200', 'ServerOutOfResources'],
    ['53400', 'ServerOutOfResources'],
    ['58000', 'ServerStorageFault'],
    ['58030', 'ServerStorageFault'],
    ['58P01', 'ServerStorageFault'],
    ['XX001', 'ServerStorageFault'],
    ['XX002', 'ServerStorageFault'],
    ['57014', 'DatabaseUnreachable'],
    ['ECONNRESET', 'ConnectionLost'],
    ['EPIPE', 'ConnectionLost'],
    ['ECONNREFUSED', 'DatabaseUnreachable'],
    ['ENOTFOUND', 'DatabaseUnreachable'],
    ['ETIMEDOUT', 'DatabaseUnreachable'],
    ['EHOSTUNREACH', 'DatabaseUnreachable'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'DatabaseUnreachable'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'DatabaseUnreachable'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'DatabaseUnreachable'],
    ['CERT_HAS_EXPIRED', 'DatabaseUnreachable'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'DatabaseUnreachable'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'DatabaseUnreachable'],
  ])('with the code %s is %s', (code, name) => {
    const cause = Object.assign(new Error('the reason'), { code });
    expect(translatePgError(cause, 'connect to "shop" on db:5432')).toMatchObject({
      name,
      cause,
      message: expect.stringMatching(/^cannot connect to "shop" on db:5432: the reason; \S/),
    });
  });

  it.each([
    ['Connection terminated unexpectedly', 'ConnectionLost'],
    ['Client has encountered a connection error and is not queryable', 'ConnectionLost'],
    ['Query read timeout', 'ConnectionLost'],
    ['timeout expired', 'DatabaseUnreachable'],
    ['The server does not support SSL connections', 'DatabaseUnreachable'],
  ])('of the driver, %s, is %s', (message, name) => {
    expect(translatePgError(new Error(message), 'query')).toMatchObject({ name });
  });

  it.each([
    ['53100', undefined, /more storage/],
    ['53200', undefined, /more memory/],
    ['53200', 'You might need to increase "max_locks_per_transaction".', /max_locks_per_trans/],
    ['53300', undefined, /max_connections/],
    ['53400', undefined, /temp_file_limit/],
    ['57014', undefined, /load of the server/],
  ])(
    'with the code %s and the hint %s says what helps, not to look at the network',
    (code, hint, remedy) => {
      const error = translatePgError(Object.assign(new Error('no'), { code, hint }), 'query');
      expect(error).toMatchObject({ remedy: expect.stringMatching(remedy) });
      expect(String(error)).not.toContain('security groups');
    },
  );

  it.each(['42P01', '42601', '22012', 'XX000'])(
    'with the code %s stays what it is: a bug',
    (code) => {
      const error = Object.assign(new Error('syntax error'), { code });
      expect(translatePgError(error, 'query')).toBe(error);
    },
  );

  it('never has a secret in its text', () => {
    const error = Object.assign(new Error('bad s3cr%t for x'), { code: '28P01' });
    expect(String(translatePgError(error, 'connect', ['s3cr%t']))).not.toContain('s3cr%t');
  });
});

it('redacts a secret as it is and as it stands in a URL, and nothing for an empty one', () => {
  expect(redact('p@ss, p%40ss, pass', ['p@ss', ''])).toBe('***, ***, pass');
});

/** What pg_dump 17.11 and 18.6 printed against servers 15, 17 and 18. */
const PRINTED: readonly [situation: string, name: string, stderr: string][] = [
  [
    'a wrong password',
    'AuthenticationFailed',
    `pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: FATAL:  password authentication failed for user "reader"
connection to server at "127.0.0.1", port 44473 failed: FATAL:  password authentication failed for user "reader"`,
  ],
  [
    'no password',
    'AuthenticationFailed',
    'pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: fe_sendauth: no password supplied',
  ],
  [
    'an unknown database',
    'DatabaseNotFound',
    'pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: FATAL:  database "nope" does not exist',
  ],
  [
    'a newer server',
    'ClientTooOld',
    `pg_dump: error: aborting because of server version mismatch
pg_dump: detail: server version: 18.4; pg_dump version: 17.11`,
  ],
  [
    'a snapshot whose session is gone, server 17 and newer',
    'ConnectionLost',
    `pg_dump: error: query failed: ERROR:  snapshot "00000003-00000002-1" does not exist
pg_dump: detail: Query was: SET TRANSACTION SNAPSHOT '00000003-00000002-1'`,
  ],
  [
    'a snapshot whose session is gone, server 15',
    'ConnectionLost',
    `pg_dump: error: query failed: ERROR:  invalid snapshot identifier: "00000003-00000002-1"
pg_dump: detail: Query was: SET TRANSACTION SNAPSHOT '00000003-00000002-1'`,
  ],
  [
    'a schema without USAGE',
    'InsufficientPrivilege',
    `pg_dump: error: query failed: ERROR:  permission denied for schema app
pg_dump: detail: Query was: LOCK TABLE app.t, public.rls, public.colonly IN ACCESS SHARE MODE`,
  ],
  [
    'a table without SELECT',
    'InsufficientPrivilege',
    `pg_dump: error: query failed: ERROR:  permission denied for table t
pg_dump: detail: Query was: LOCK TABLE app.t, public.rls, public.colonly IN ACCESS SHARE MODE`,
  ],
  [
    'a sequence without SELECT, client 17',
    'InsufficientPrivilege',
    `pg_dump: error: query failed: ERROR:  permission denied for sequence sq
pg_dump: detail: Query was: SELECT last_value, is_called FROM public.sq`,
  ],
  [
    'a sequence without SELECT, client 18',
    'InsufficientPrivilege',
    'pg_dump: error: failed to get data for sequence "sq"; user may lack SELECT privilege on the sequence or the sequence may have been concurrently dropped',
  ],
  [
    'a large object without SELECT',
    'InsufficientPrivilege',
    'pg_dump: error: could not open large object 4242: ERROR:  permission denied for large object 4242',
  ],
  [
    'a database without CONNECT',
    'InsufficientPrivilege',
    `pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: FATAL:  permission denied for database "shop"
DETAIL:  User does not have CONNECT privilege.`,
  ],
  [
    'row-level security in the way',
    'RowLevelSecurity',
    `pg_dump: error: query failed: ERROR:  query would be affected by row-level security policy for table "rls"
pg_dump: detail: Query was: COPY public.rls (a) TO stdout;`,
  ],
  [
    'a lock that is not granted',
    'LockTimeout',
    `pg_dump: error: query failed: ERROR:  canceling statement due to statement timeout
pg_dump: detail: Query was: LOCK TABLE app.t, public.rls, public.colonly IN ACCESS SHARE MODE`,
  ],
  [
    'a session that is terminated',
    'ConnectionLost',
    `pg_dump: error: query failed: FATAL:  terminating connection due to administrator command
SSL connection has been closed unexpectedly
pg_dump: detail: Query was: LOCK TABLE app.t IN ACCESS SHARE MODE`,
  ],
  [
    'a server that is killed, without TLS',
    'ConnectionLost',
    `pg_dump: error: Dumping the contents of table "big" failed: PQgetCopyData() failed.
pg_dump: detail: Error message from server: server closed the connection unexpectedly
	This probably means the server terminated abnormally
	before or while processing the request.
pg_dump: detail: Command was: COPY public.big (g, repeat) TO stdout;`,
  ],
  [
    'a server that is killed, with TLS',
    'ConnectionLost',
    `pg_dump: error: Dumping the contents of table "big" failed: PQgetCopyData() failed.
pg_dump: detail: Error message from server: SSL error: unexpected eof while reading
pg_dump: detail: Command was: COPY public.big (g, repeat) TO stdout;`,
  ],
  [
    'a server that is killed while it waits, with TLS',
    'ConnectionLost',
    `pg_dump: error: query failed: SSL SYSCALL error: EOF detected
pg_dump: detail: Query was: LOCK TABLE app.t IN ACCESS SHARE MODE`,
  ],
  [
    'a refused connection',
    'DatabaseUnreachable',
    `pg_dump: error: connection to server at "127.0.0.1", port 1 failed: Connection refused
	Is the server running on that host and accepting TCP/IP connections?`,
  ],
  [
    'a host without address',
    'DatabaseUnreachable',
    'pg_dump: error: could not translate host name "nohost.invalid" to address: Name or service not known',
  ],
  [
    'a certificate that is not trusted',
    'DatabaseUnreachable',
    'pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: SSL error: certificate verify failed',
  ],
  [
    'a certificate for another host',
    'DatabaseUnreachable',
    'pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: server certificate for "127.0.0.1" (and 1 other name) does not match host name "localhost.localdomain"',
  ],
  [
    'a missing CA file',
    'DatabaseUnreachable',
    `pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: root certificate file "/nonexistent" does not exist
Either provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable server certificate verification.`,
  ],
  [
    'too many connections',
    'DatabaseUnreachable',
    'pg_dump: error: connection to server at "127.0.0.1", port 44473 failed: FATAL:  too many connections for role "reader"',
  ],
  [
    'pg_dumpall and a wrong password',
    'AuthenticationFailed',
    'pg_dumpall: error: connection to server at "127.0.0.1", port 44473 failed: FATAL:  password authentication failed for user "reader"',
  ],
  [
    'a full disk, which has no name of its own',
    'DumpFailed',
    'pg_dump: error: could not write to file: No space left on device',
  ],
];

describe('what pg_dump prints', () => {
  it.each(PRINTED)('for %s is %s', (_, name, stderr) => {
    const error = classifyClientFailure('pg_dump', { exitCode: 1, stderr: stderr.split('\n') });
    expect(error.name).toBe(name);
    const [first = ''] = stderr.replace(/^pg_\w+: error: (query failed: )?/, '').split('\n');
    expect(error.message.startsWith(`pg_dump ended with 1: ${first}`)).toBe(true);
  });

  it('is classified by errors alone, not by warnings before them', () => {
    const stderr = [
      'pg_dump: warning: subscriptions not dumped because current user is not a superuser',
      'pg_dump: warning: FATAL:  password authentication failed for user "x"',
      'pg_dump: error: out of memory',
    ];
    const error = classifyClientFailure('pg_dump', { exitCode: 1, stderr });
    expect(error).toMatchObject({
      name: 'DumpFailed',
      message: 'pg_dump ended with 1: out of memory',
    });
  });

  it('is not classified by the text of a query, whatever names are in it', () => {
    const stderr = [
      'pg_dump: error: query failed: ERROR:  cache lookup failed for relation 4711',
      'pg_dump: detail: Query was: COPY public."ERROR:  permission denied for table x" TO stdout;',
      'FATAL:  password authentication failed for user "second line of the query"',
    ];
    expect(classifyClientFailure('pg_dump', { exitCode: 1, stderr }).name).toBe('DumpFailed');
  });

  it('may be nothing, when a signal ended it', () => {
    const end = { exitCode: null, signal: 'SIGKILL', stderr: [] };
    expect(classifyClientFailure('pg_dump', end)).toMatchObject({
      name: 'DumpFailed',
      message: 'pg_dump was ended by SIGKILL and said nothing',
    });
  });

  it('includes details that help: the versions that do not fit', () => {
    const stderr = [
      'pg_dump: error: aborting because of server version mismatch',
      'pg_dump: detail: server version: 18.4; pg_dump version: 17.11',
    ];
    expect(classifyClientFailure('pg_dump', { exitCode: 1, stderr }).message).toContain(
      'server version: 18.4; pg_dump version: 17.11',
    );
  });
});
