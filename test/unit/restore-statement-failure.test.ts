import { describe, expect, it } from 'vitest';
import {
  classifyStatementFailure,
  type StatementFailure,
  serverTrouble,
  shownMessage,
  statementBeginning,
} from '#domain/restore/statement-failure.ts';
import { AuthenticationFailed, ConnectionLost, RestoreFailed, TargetFull } from '#errors';

interface Changes extends Partial<Omit<StatementFailure, 'entry'>> {
  readonly desc?: string;
  readonly tag?: string;
  readonly schema?: string | undefined;
  readonly owner?: string;
}

function verdictOn(changes: Changes) {
  const {
    desc = 'TABLE',
    tag = 'orders',
    schema = 'public',
    owner = 'postgres',
    ...rest
  } = changes;
  return classifyStatementFailure({
    sqlState: '42501',
    entry: { desc, tag, schema, owner },
    part: 'definition',
    rolesOptional: false,
    ...rest,
  });
}

describe('a statement that was refused', () => {
  it('is no loss where a grant cannot be made in the name of its grantor, and only there', () => {
    const refused = { desc: 'ACL', tag: 'TABLE orders', part: 'privilege' } as const;
    const text = 'SET SESSION AUTHORIZATION "x";';
    expect(verdictOn({ ...refused, text })).toMatchObject({
      fatal: false,
      advice: expect.stringContaining("in the owner's name"),
    });
    expect(verdictOn({ ...refused, text: 'GRANT SELECT ON orders TO y;' }).fatal).toBe(true);
  });

  it.each([
    ['EXTENSION', 'postgis', '0A000'],
    ['EXTENSION', 'postgis', '58P01'],
    ['EXTENSION', 'pg_cron', '42501'],
    ['EXTENSION', 'plpgsql', '42710'],
    ['COMMENT', 'EXTENSION plpgsql', '42501'],
    ['COMMENT', 'SCHEMA public', '42501'],
    ['PROCEDURAL LANGUAGE', 'plperlu', '42501'],
    ['SCHEMA', 'public', '42P06'],
    ['SECURITY LABEL', 'TABLE orders', '22023'],
    ['EVENT TRIGGER', 'watch', '42501'],
    ['PUBLICATION', 'all_tables', '42501'],
    ['PUBLICATION TABLES IN SCHEMA', 'x', '42501'],
    ['SUBSCRIPTION', 'asleep', '42501'],
    ['SUBSCRIPTION', 'asleep', '2F003'],
    ['FOREIGN DATA WRAPPER', 'nowhere', '42501'],
    ['SERVER', 'far', '42704'],
    ['USER MAPPING', 'x SERVER far', '42501'],
    ['STATISTICS DATA', 'orders', '42883'],
  ])('is no loss of data: %s "%s" with %s', (desc, tag, sqlState) => {
    const verdict = verdictOn({ desc, tag, sqlState, schema: undefined });
    expect(verdict).toMatchObject({ fatal: false, advice: expect.stringMatching(/\w{4}/) });
  });

  it.each([
    ['TABLE', 'orders', '42501'],
    ['TABLE', 'orders', '42704'],
    ['TYPE', 'state', '42710'],
    ['FUNCTION', 'f()', '42501'],
    ['INDEX', 'i', '23505'],
    ['CONSTRAINT', 'c', '23514'],
    ['FK CONSTRAINT', 'c', '23503'],
    ['VIEW', 'v', '42P01'],
    ['MATERIALIZED VIEW DATA', 'v', '22012'],
    ['TRIGGER', 't', '42501'],
    ['POLICY', 'p', '42704'],
    ['SEQUENCE SET', 's', '42501'],
    ['ACL', 'TABLE orders', '42501'],
    ['ACL', 'TABLE orders', '42704'],
    ['COMMENT', 'TABLE orders', '42501'],
    ['EXTENSION', 'postgis', 'XX000'],
    ['EVENT TRIGGER', 'watch', '42883'],
    ['SCHEMA', 'sales', '42501'],
    ['STATISTICS', 'both', '42501'],
    ['PUBLICATION', 'x', '42601'],
  ])('ends the restore: %s "%s" with %s', (desc, tag, sqlState) => {
    const verdict = verdictOn({ desc, tag, sqlState });
    expect(verdict).toMatchObject({ fatal: true, errorClass: RestoreFailed });
  });

  it.each([
    ['53100', TargetFull],
    ['08006', ConnectionLost],
    ['57P01', ConnectionLost],
    ['57P03', ConnectionLost],
    ['28P01', AuthenticationFailed],
  ])('with %s is what the server suffers from, whatever it was about', (sqlState, errorClass) => {
    const verdict = verdictOn({ desc: 'EVENT TRIGGER', sqlState });
    expect(verdict).toMatchObject({ fatal: true, errorClass });
    expect(serverTrouble(sqlState)).toBe(errorClass);
  });

  it.each([
    ['You might need to increase "max_locks_per_transaction".', /max_locks_per_transaction/],
    [undefined, /more memory/],
  ])('out of memory, with the hint %s, says what there was too little of', (hint, remedy) => {
    const verdict = verdictOn({ desc: 'INDEX', sqlState: '53200', hint });
    expect(verdict).toMatchObject({ fatal: true, remedy: expect.stringMatching(remedy) });
  });

  it('ends the restore when the server gave no code', () => {
    expect(verdictOn({ desc: 'EVENT TRIGGER', sqlState: undefined })).toMatchObject({
      fatal: true,
    });
    expect(serverTrouble(undefined)).toBeUndefined();
    expect(serverTrouble('42501')).toBeUndefined();
  });
});

describe('an owner that cannot be given', () => {
  it.each([
    ['TABLE', 'must be able to SET ROLE "app"', /^make the restoring role a member of app, or/],
    ['TABLE', 'must be member of role "app"', /^make the restoring role a member of app, or/],
    [
      'TABLE',
      'permission denied for schema public',
      /^let the owner of the schema run: GRANT CREATE ON SCHEMA "public" TO "app", or/,
    ],
    [
      'SCHEMA',
      'permission denied for database shop',
      /^let the owner of the database grant CREATE on it to the restoring role, or/,
    ],
    [
      'TABLE',
      'keine Berechtigung für Schema public',
      /^make the restoring role a member of app, let "app" have CREATE on the schema "public", or/,
    ],
  ])('of a %s, as the server says %s, has a remedy that helps', (desc, message, remedy) => {
    const schema = desc === 'SCHEMA' ? '' : 'public';
    const verdict = verdictOn({ desc, schema, owner: 'app', part: 'owner', message });
    expect(verdict).toMatchObject({ fatal: true, remedy: expect.stringMatching(remedy) });
    expect(verdict).toMatchObject({ remedy: expect.stringContaining('"noOwner": true') });
  });

  it.each(['PUBLICATION', 'SUBSCRIPTION', 'SERVER', 'FOREIGN DATA WRAPPER'])(
    'leaves a %s with the restoring role, and does not say that it is missing',
    (desc) => {
      const verdict = verdictOn({ desc, schema: '', owner: 'app', part: 'owner' });
      const advice = expect.stringContaining('belongs to the restoring role');
      expect(verdict).toMatchObject({ fatal: false, advice });
    },
  );

  it.each(['rdsadmin', 'rds_superuser', 'pg_database_owner', 'cloudsqladmin'])(
    'is no loss where it is %s of the service',
    (owner) => {
      for (const sqlState of ['42501', '42704']) {
        expect(verdictOn({ part: 'owner', owner, sqlState })).toMatchObject({ fatal: false });
      }
    },
  );

  it.each(['rdsapp', 'app', 'my_rds_admin'])('ends the restore where it is %s', (owner) => {
    expect(verdictOn({ part: 'owner', owner, sqlState: '42501' })).toEqual(
      expect.objectContaining({ fatal: true, remedy: expect.stringContaining(owner) }),
    );
  });

  it('is no loss of the schema public, of event triggers, and of large objects', () => {
    for (const desc of ['EVENT TRIGGER', 'BLOB', 'BLOB METADATA', 'PUBLICATION']) {
      expect(verdictOn({ part: 'owner', desc })).toMatchObject({ fatal: false });
    }
    expect(verdictOn({ part: 'owner', desc: 'SCHEMA', tag: 'public' })).toMatchObject({
      fatal: false,
    });
    expect(verdictOn({ part: 'owner', desc: 'SCHEMA', tag: 'sales' })).toMatchObject({
      fatal: true,
    });
  });
});

describe('a role that is missing', () => {
  it.each(['ACL', 'DEFAULT ACL'])('is no loss in %s, where roles may be missing', (desc) => {
    const failure = { desc, tag: 'TABLE orders', sqlState: '42704', part: 'privilege' } as const;
    expect(verdictOn({ ...failure, rolesOptional: true })).toMatchObject({ fatal: false });
    expect(verdictOn({ ...failure, rolesOptional: false })).toMatchObject({ fatal: true });
  });
});

describe('what hangs on something that failed', () => {
  it('falls with it, where it holds no data', () => {
    const because = 'SERVER far';
    expect(verdictOn({ desc: 'FOREIGN TABLE', sqlState: '42704', because })).toEqual({
      fatal: false,
      advice: 'because SERVER far failed',
    });
    expect(verdictOn({ desc: 'FOREIGN TABLE', sqlState: '42704' })).toMatchObject({ fatal: true });
  });

  it('ends the restore where it does, and says of what', () => {
    expect(verdictOn({ sqlState: '42704', because: 'EXTENSION postgis' })).toMatchObject({
      fatal: true,
      remedy: 'EXTENSION postgis failed before, which it needs',
    });
  });
});

describe('what is shown of a statement', () => {
  const mapping = { desc: 'USER MAPPING', tag: 'USER MAPPING x SERVER far', schema: undefined };

  it('is its beginning, on one line', () => {
    const table = { desc: 'TABLE', tag: 'orders', schema: 'public' };
    expect(statementBeginning(table, 'CREATE TABLE\n  public.orders  (\n')).toBe(
      'CREATE TABLE public.orders (',
    );
    expect(statementBeginning(table, 'x'.repeat(1000))).toHaveLength(201);
  });

  it.each(['USER MAPPING', 'SUBSCRIPTION', 'SERVER'])('of a %s never is its text', (desc) => {
    const statement = "CREATE IT OPTIONS (password 's3cret-word')";
    expect(statementBeginning({ ...mapping, desc }, statement)).not.toContain('s3cret');
  });

  it("is the server's message, unless that may repeat a password", () => {
    const message = 'syntax error at or near "s3cret-word"';
    expect(shownMessage({ desc: 'TABLE' }, '42601', message)).toBe(message);
    expect(shownMessage(mapping, '42601', message)).not.toContain('s3cret');
    expect(shownMessage(mapping, undefined, message)).not.toContain('s3cret');
    expect(shownMessage(mapping, '42501', 'permission denied')).toBe('permission denied');
  });
});
