import { describe, expect, it } from 'vitest';
import { classifyRestoreFailure } from '#domain/restore/client-failure.ts';

const loaded = [
  { schema: 'public', tag: 'orders' },
  { schema: 'audit', tag: 'log' },
];

function classify(stderr: readonly string[], exitCode: number | null = 1) {
  return classifyRestoreFailure(loaded, {
    exitCode,
    signal: exitCode === null ? 'SIGKILL' : null,
    stderr,
  });
}

const connect = 'pg_restore: error: connection to server at "db" (10.0.0.5), port 5432 failed: ';
const copy = 'pg_restore: error: COPY failed for table "orders": ';

describe('a pg_restore that failed', () => {
  // Each was printed by a real pg_restore 17 or 18.
  it.each([
    [`${connect}FATAL:  password authentication failed for user "x"`, 'AuthenticationFailed', true],
    [`${connect}FATAL:  role "x" does not exist`, 'AuthenticationFailed', true],
    [`${connect}FATAL:  database "x" does not exist`, 'DatabaseNotFound', true],
    [`${connect}FATAL:  sorry, too many clients already`, 'DatabaseUnreachable', true],
    [`${connect}FATAL:  too many connections for role "x"`, 'DatabaseUnreachable', true],
    [
      `${connect}FATAL:  permission denied to set parameter "session_replication_role"`,
      'InsufficientPrivilege',
      true,
    ],
    [`${connect}Connection refused`, 'DatabaseUnreachable', true],
    [
      'pg_restore: error: could not translate host name "db" to address: Name or service not known',
      'DatabaseUnreachable',
      true,
    ],
    [`${copy}server closed the connection unexpectedly`, 'ConnectionLost', false],
    [`${copy}FATAL:  terminating connection due to administrator command`, 'ConnectionLost', false],
    [
      `${copy}ERROR:  could not extend file "base/5/16400": No space left on device`,
      'TargetFull',
      false,
    ],
    [`${copy}ERROR:  value too long for type character varying(3)`, 'RestoreFailed', false],
    ['pg_restore: error: could not read from input file: end of file', 'RestoreFailed', false],
  ])('with "%s" is %s', (line, name, atConnect) => {
    expect(classify([line])).toMatchObject({ error: { name }, atConnect });
  });

  it('because of too many connections can be told from others', () => {
    const crowded = (line: string) => classify([`${connect}FATAL:  ${line}`])?.tooManyConnections;
    expect(crowded('sorry, too many clients already')).toBe(true);
    expect(
      crowded('remaining connection slots are reserved for roles with the SUPERUSER attribute'),
    ).toBe(true);
    expect(crowded('the database system is starting up')).toBe(false);
  });

  it('names the table in full, the line and the column, and shows no row', () => {
    const failure = classify([
      `${copy}ERROR:  invalid input syntax for type integer`,
      'DETAIL:  Key (id)=(secret row) already exists.',
      'CONTEXT:  COPY orders, line 7, column id: "secret row"',
      'pg_restore: warning: errors ignored on restore: 1',
    ]);
    expect(failure?.error.message).toBe(
      'pg_restore ended with 1 in the data of public.orders: COPY failed for table "orders": ' +
        'ERROR:  invalid input syntax for type integer / COPY orders, line 7, column id',
    );
  });

  it('shows no statement either', () => {
    const failure = classify([
      'pg_restore: error: could not execute query: ERROR:  syntax error',
      "Command was: INSERT INTO orders VALUES ('secret row');",
      '',
    ]);
    expect(failure?.error.message).not.toContain('secret');
    expect(failure?.error.message).toContain('2 tables');
  });

  it('because it was killed says so', () => {
    expect(classify([], null)?.error.message).toBe(
      'pg_restore was ended by SIGKILL in the data of 2 tables and said nothing',
    );
  });
});

describe('a server that is too old for one setting', () => {
  const unknown = [
    'pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
    'Command was: SET transaction_timeout = 0;',
    '',
  ];

  it('is no failure', () => {
    expect(
      classify([...unknown, 'pg_restore: warning: errors ignored on restore: 1']),
    ).toBeUndefined();
  });

  it.each([
    [
      'anything else fails',
      [...unknown, `${copy}ERROR:  x`, 'pg_restore: warning: errors ignored on restore: 2'],
      1,
    ],
    [
      'more was ignored than was seen',
      [...unknown, 'pg_restore: warning: errors ignored on restore: 2'],
      1,
    ],
    ['it stopped right there', unknown, 1],
    ['it was killed', [...unknown, 'pg_restore: warning: errors ignored on restore: 1'], null],
    [
      'another setting is unknown',
      unknown.map((line) => line.replace('transaction_timeout', 'other')),
      1,
    ],
  ])('is a failure where %s', (_, stderr, exitCode) => {
    expect(classify(stderr, exitCode)?.error.name).toBe('RestoreFailed');
  });

  it('does not hide what went wrong beside it', () => {
    const failure = classify([
      ...unknown,
      `${copy}ERROR:  duplicate key`,
      'pg_restore: warning: errors ignored on restore: 2',
    ]);
    expect(failure?.error.message).toBe(
      'pg_restore ended with 1 in the data of public.orders: COPY failed for table "orders": ERROR:  duplicate key',
    );
  });
});
