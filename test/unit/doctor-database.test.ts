import { describe, expect, it } from 'vitest';
import type { CheckId, Finding } from '#contracts/posture.ts';
import {
  judgeClients,
  judgeTrust,
  judgeVisit,
  type Visit,
} from '#domain/doctor/database-checks.ts';
import { makePlan } from '#test/fakes.ts';

const now = new Date('2026-11-20T12:00:00Z');
const server = { version: '17.5', versionNumber: 170_005, isReplica: false, role: 'backup' };
const shop = { database: 'shop', sizeBytes: 1, problem: null };

const connected = (changes: Partial<Extract<Visit, { connected: true }>> = {}): Visit => ({
  connected: true,
  server,
  readsAll: true,
  databases: [{ found: shop, warnings: [] }],
  missing: [],
  ...changes,
});
const refused = (error: string, tlsFailed = false): Visit => ({
  connected: false,
  error,
  message: 'a fact',
  remedy: 'a remedy',
  tlsFailed,
});
const severities = (findings: readonly Finding[]) =>
  findings.map(({ check, severity }) => [check, severity]);

describe('a server that lets us in', () => {
  it('is well when its certificate is checked and the role reads everything', () => {
    expect(severities(judgeVisit(makePlan(), connected()))).toEqual([
      ['connection', 'ok'],
      ['tls', 'ok'],
      ['role-privileges', 'ok'],
    ]);
  });

  it.each(['verify-ca', 'require', 'disable'] as const)('is not proved by TLS mode %s', (mode) => {
    const plan = makePlan({ connection: { tls: { mode } } });
    const [finding] = judgeVisit(plan, connected()).filter(({ check }) => check === 'tls');
    expect(finding).toMatchObject({ severity: 'warn' });
    expect(finding?.title).toContain(mode);
  });

  it('fails for each database that cannot be dumped, with what to run', () => {
    const problem = {
      error: 'InsufficientPrivilege',
      cause: [
        'the role backup may not use schema a; read table b; run as an administrator: GRANT pg_read_all_data TO backup;',
        'row-level security would hide rows; run as an administrator: ALTER ROLE backup BYPASSRLS;',
      ].join('\n'),
    };
    const findings = judgeVisit(
      makePlan(),
      connected({
        databases: [
          { found: shop, warnings: ['shop: subscriptions are left out'] },
          { found: { ...shop, database: 'audit', problem }, warnings: [] },
        ],
      }),
    ).filter(({ check }) => check === 'role-privileges');
    expect(findings.map(({ severity }) => severity)).toEqual(['warn', 'fail']);
    expect(findings[1]).toMatchObject({
      title: 'audit cannot be dumped: InsufficientPrivilege',
      why: 'the role backup may not use schema a; read table b\nrow-level security would hide rows',
      remedy:
        'run as an administrator: GRANT pg_read_all_data TO backup;\nrun as an administrator: ALTER ROLE backup BYPASSRLS;',
    });
  });

  it.each([
    [170_005, 'GRANT pg_read_all_data TO backup;'],
    [130_022, 'ALTER DEFAULT PRIVILEGES'],
  ])(
    'of version %s is told that grants of today are not those of tomorrow',
    (versionNumber, sql) => {
      const visit = connected({ readsAll: false, server: { ...server, versionNumber } });
      const findings = judgeVisit(makePlan(), visit);
      const warning = findings.find(({ severity }) => severity === 'warn');
      expect(warning).toMatchObject({ check: 'role-privileges' });
      expect(warning?.remedy).toContain(sql);
    },
  );

  it('fails when a database of the plan is not there, or none is', () => {
    const missing = judgeVisit(makePlan(), connected({ missing: ['billing'] }));
    expect(missing.find(({ severity }) => severity === 'fail')?.title).toContain('billing');
    const none = judgeVisit(makePlan(), connected({ databases: [] }));
    expect(none.find(({ severity }) => severity === 'fail')?.why).toContain('NoDatabases');
  });
});

describe('a server that does not let us in', () => {
  it.each([
    ['AuthenticationFailed', 'fail'],
    ['SecretUnusable', 'fail'],
    ['DatabaseNotFound', 'fail'],
    ['DatabaseUnreachable', 'unknown'],
    ['ConnectionLost', 'unknown'],
    ['AccessDenied', 'unknown'],
    ['InvalidEnvironment', 'unknown'],
    ['TypeError', 'unknown'],
  ])('because of %s is judged %s', (error, severity) => {
    const findings = judgeVisit(makePlan(), refused(error));
    expect(severities(findings)).toEqual([['connection', severity]]);
    expect(findings[0]?.remedy).not.toBeNull();
  });

  it('because of its certificate fails, wherever one connects from', () => {
    const findings = judgeVisit(makePlan(), refused('DatabaseUnreachable', true));
    expect(severities(findings)).toEqual([['tls', 'fail']]);
  });

  it('names the permission that reading the secret takes', () => {
    const [finding] = judgeVisit(makePlan(), refused('AccessDenied'));
    expect(finding?.remedy).toContain('secretsmanager:GetSecretValue');
  });

  it('has a TLS mode all the same', () => {
    const plan = makePlan({ connection: { tls: { mode: 'require' } } });
    expect(severities(judgeVisit(plan, refused('DatabaseUnreachable')))).toEqual([
      ['connection', 'unknown'],
      ['tls', 'warn'],
    ]);
  });
});

describe('the clients', () => {
  it.each([
    [17, [16, 17, 18], 'ok', 'client 17 dumps PostgreSQL 17'],
    [14, [16, 17, 18], 'ok', 'client 16 dumps PostgreSQL 14'],
    [19, [16, 17, 18], 'fail', 'no client is new enough for PostgreSQL 19'],
    [17, [], 'unknown', 'no PostgreSQL clients are at hand here'],
    [17, undefined, 'unknown', 'no PostgreSQL clients are at hand here'],
  ])('for PostgreSQL %s are %o: %s', (major, majors, severity, title) => {
    expect(judgeClients('orders', major, majors)).toMatchObject({ severity, title });
  });
});

describe('the CA bundle', () => {
  const where = { now, region: 'eu-west-1' };
  const ends = new Date('2061-05-25T00:00:00Z');
  const file = '/opt/rds-ca/global-bundle.pem';
  const ours = { subject: 'Amazon RDS eu-west-1 Root CA RSA2048 G1', ends };
  const theirs = { subject: 'Amazon RDS eu-west-2 Root CA RSA2048 G1', ends };
  const old = { ...ours, ends: new Date('2024-08-22T00:00:00Z') };
  const check: CheckId = 'ca-bundle';

  it.each([
    ['has the CA of the region', [theirs, ours, old], true, 'ok'],
    ['has that of other regions', [theirs], true, 'fail'],
    ['has an expired one', [old], true, 'fail'],
    ['has some, for a server elsewhere', [theirs], false, 'ok'],
    ['is empty', [], false, 'fail'],
  ])('that %s is judged so', (_what, certificates, anyRds, severity) => {
    expect(judgeTrust(where, { file, certificates }, anyRds)).toMatchObject({ check, severity });
  });

  it('that is not here is not known, and can be fetched', () => {
    const finding = judgeTrust(where, undefined, true);
    expect(finding).toMatchObject({ check, severity: 'unknown' });
    expect(finding.remedy).toMatch(/^curl .*global-bundle\.pem, then set HOLDFAST_CA_FILE/);
  });
});
