import { describe, expect, it } from 'vitest';
import type { Answer, CheckId, Finding, ServerPosture } from '#contracts/posture.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import {
  COMMUNITY_ENDS,
  judgeCommunitySupport,
  majorOf,
  RDS_STANDARD_ENDS,
} from '#domain/doctor/engine-support.ts';
import { notesOn } from '#domain/doctor/finding.ts';
import {
  judgeServer,
  judgeSnapshotQuotas,
  type ServerAnswers,
} from '#domain/doctor/server-checks.ts';
import {
  denied,
  known,
  makeInstancePosture,
  makeServerPosture,
  notServed,
} from '#test/fakes/posture.ts';
import { makePlan } from '#test/fakes.ts';

const now = new Date('2026-11-20T12:00:00Z');
const examination = { now, region: 'eu-west-1', absence: undefined };
const instance = { kind: 'instance', identifier: 'orders-prod' } as const;

function judge(
  server: Partial<ServerPosture> = {},
  answers: Partial<ServerAnswers> = {},
  plan = makePlan(),
): Finding[] {
  return judgeServer(examination, plan, instance, {
    server: known(makeServerPosture(server)),
    maintenance: known([]),
    certificates: known([
      { identifier: 'rds-ca-rsa2048-g1', ends: new Date('2061-05-25T00:00:00Z') },
      { identifier: 'rds-ca-soon', ends: new Date('2027-01-20T00:00:00Z') },
      { identifier: 'rds-ca-2019', ends: new Date('2024-08-22T00:00:00Z') },
    ]),
    lifecycles: known(
      new Map([
        [
          17,
          {
            standardEnds: new Date('2030-02-28T23:59:59Z'),
            extendedEnds: new Date('2033-02-28T23:59:59Z'),
          },
        ],
        [
          11,
          {
            standardEnds: new Date('2024-02-29T00:00:00Z'),
            extendedEnds: new Date('2027-03-31T00:00:00Z'),
          },
        ],
        [
          10,
          {
            standardEnds: new Date('2022-11-10T00:00:00Z'),
            extendedEnds: new Date('2025-11-10T00:00:00Z'),
          },
        ],
      ]),
    ),
    ...answers,
  });
}

const of = (findings: readonly Finding[], check: CheckId) =>
  findings.filter((finding) => finding.check === check);

/** The one finding of a check. */
function one(findings: readonly Finding[], check: CheckId): Finding {
  const found = of(findings, check);
  expect(found).toHaveLength(1);
  return found[0] as Finding;
}

describe('a server that is set up well', () => {
  it('passes every check but the one that RDS cannot answer', () => {
    const bad = judge().filter(({ severity }) => severity !== 'ok');
    expect(bad.map(({ check, severity }) => [check, severity])).toEqual([
      ['private-subnets', 'unknown'],
    ]);
    expect(bad[0]?.remedy).toContain('Values=subnet-a,subnet-b');
  });
});

describe('a server that is', () => {
  it('not there fails, with what lists those that are', () => {
    const findings = judge({}, { server: known(undefined) });
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ check: 'server', severity: 'fail', source: 'orders' });
    expect(findings[0]?.remedy).toContain('aws rds describe-db-instances --region eu-west-1');
  });

  it('refused by IAM is not known, and the missing permission is named', () => {
    const findings = judge({}, { server: denied('rds:DescribeDBInstances') });
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ check: 'server', severity: 'unknown' });
    expect(findings[0]?.remedy).toContain('allow rds:DescribeDBInstances');
  });
});

describe('automated backups', () => {
  it.each([
    [0, 'fail'],
    [1, 'warn'],
    [6, 'warn'],
    [7, 'ok'],
    [35, 'ok'],
    [undefined, 'unknown'],
  ])('that are kept for %s days are judged %s', (backupRetentionDays, severity) => {
    expect(one(judge({ backupRetentionDays }), 'automated-backups').severity).toBe(severity);
  });

  it('are turned on by the command that is shown', () => {
    expect(one(judge({ backupRetentionDays: 0 }), 'automated-backups').remedy).toBe(
      'aws rds modify-db-instance --db-instance-identifier orders-prod --backup-retention-period 7 --apply-immediately --region eu-west-1',
    );
    const cluster = { kind: 'cluster', identifier: 'orders', backupRetentionDays: 1 } as const;
    expect(one(judge(cluster), 'automated-backups').remedy).toBe(
      'aws rds modify-db-cluster --db-cluster-identifier orders --backup-retention-period 7 --apply-immediately --region eu-west-1',
    );
  });
});

describe('what one setting decides', () => {
  it.each([
    ['deletion-protection', { deletionProtection: false }, 'warn', '--deletion-protection'],
    ['storage-encryption', { storageEncrypted: false }, 'fail', 'copy-db-snapshot'],
    ['deletion-protection', { deletionProtection: undefined }, 'unknown', ''],
    ['storage-encryption', { storageEncrypted: undefined }, 'unknown', ''],
  ] as const)('%s with %o is judged %s', (check, changes, severity, remedy) => {
    const finding = one(judge(changes), check);
    expect(finding.severity).toBe(severity);
    expect(finding.remedy ?? '').toContain(remedy);
  });

  it('encrypts a cluster by restoring its snapshot', () => {
    const finding = one(judge({ kind: 'cluster', storageEncrypted: false }), 'storage-encryption');
    expect(finding.remedy).toContain('restore-db-cluster-from-snapshot');
    expect(finding.remedy).not.toContain('copy-db-snapshot');
  });
});

describe('members of a cluster', () => {
  const members = (...changes: Parameters<typeof makeInstancePosture>) =>
    ({
      kind: 'cluster',
      identifier: 'orders',
      instances: [
        makeInstancePosture({ identifier: 'orders-a' }),
        makeInstancePosture({ identifier: 'orders-b', ...changes[0] }),
      ],
    }) as const;

  it.each([
    ['public-access', { publiclyAccessible: true }, 'fail', '--no-publicly-accessible'],
    ['minor-upgrades', { autoMinorUpgrade: false }, 'warn', '--auto-minor-version-upgrade'],
  ] as const)('count each for %s', (check, changes, severity, option) => {
    const finding = one(judge(members(changes)), check);
    expect(finding.severity).toBe(severity);
    expect(finding.remedy).toBe(
      `aws rds modify-db-instance --db-instance-identifier orders-b ${option} --apply-immediately --region eu-west-1`,
    );
  });

  it('that say nothing of public access leave it unknown, also beside one that does', () => {
    const silent = judge(members({ publiclyAccessible: undefined }));
    expect(one(silent, 'public-access').severity).toBe('unknown');
    expect(one(judge({ instances: [] }), 'public-access').severity).toBe('unknown');
  });

  it('have a CA each', () => {
    const findings = of(judge(members({ caCertificate: 'rds-ca-2019' })), 'ca-certificate');
    expect(findings.map(({ severity }) => severity)).toEqual(['ok', 'fail']);
    expect(findings[1]?.remedy).toContain('orders-b --ca-certificate-identifier rds-ca-rsa2048-g1');
  });
});

describe('the CA of the server', () => {
  it.each([
    ['rds-ca-rsa2048-g1', 'ok'],
    ['rds-ca-soon', 'warn'],
    ['rds-ca-2019', 'fail'],
    ['rds-ca-nobody-knows', 'unknown'],
    [undefined, 'unknown'],
  ])('%s is judged %s', (caCertificate, severity) => {
    const findings = judge({ instances: [makeInstancePosture({ caCertificate })] });
    expect(one(findings, 'ca-certificate').severity).toBe(severity);
  });

  it('is not known where the list of CAs is refused', () => {
    const findings = judge({}, { certificates: denied('rds:DescribeCertificates') });
    expect(one(findings, 'ca-certificate')).toMatchObject({ severity: 'unknown' });
    expect(one(findings, 'ca-certificate').remedy).toContain('rds:DescribeCertificates');
  });
});

describe('pending maintenance', () => {
  const action = {
    arn: 'arn:aws:rds:eu-west-1:123456789012:db:orders-prod',
    action: 'system-update',
    description: 'New Operating System update is available',
    forcedAt: undefined,
    plannedAt: undefined,
  };

  it.each([
    ['with a date', { forcedAt: new Date('2026-12-01T00:00:00Z') }, 'warn'],
    ['that is planned', { plannedAt: new Date('2026-12-01T00:00:00Z') }, 'warn'],
    ['without a date', {}, 'info'],
  ])('%s is judged, and can be applied', (_what, changes, severity) => {
    const findings = judge({}, { maintenance: known([{ ...action, ...changes }]) });
    const finding = one(findings, 'pending-maintenance');
    expect(finding.severity).toBe(severity);
    expect(finding.remedy).toContain(`--resource-identifier ${action.arn}`);
    expect(finding.remedy).toContain('--apply-action system-update');
  });

  it('that cannot be asked for is unknown', () => {
    const maintenance = denied('rds:DescribePendingMaintenanceActions');
    expect(one(judge({}, { maintenance }), 'pending-maintenance').severity).toBe('unknown');
  });
});

describe('the support of the engine', () => {
  const at = (engineVersion: string, changes: Partial<ServerPosture> = {}) =>
    one(judge({ engineVersion, ...changes }), 'engine-support');

  it('is taken from RDS before the table', () => {
    expect(at('17.5')).toMatchObject({ severity: 'ok' });
    expect(at('17.5').title).toContain('2030-02-28');
    const early = known(
      new Map([[17, { standardEnds: new Date('2026-12-31T00:00:00Z'), extendedEnds: undefined }]]),
    );
    const judged = one(judge({}, { lifecycles: early }), 'engine-support');
    expect(judged).toMatchObject({ severity: 'warn' });
    expect(judged.title).toContain('2026-12-31');
  });

  it.each([
    ['16.9', 'ok', '2029-02-28'],
    ['14.20', 'warn', '2027-02-28'],
    ['13.22', 'warn', '2026-02-28'],
    ['11.22', 'warn', '2024-02-29'],
    ['10.23', 'fail', '2022-11-10'],
    ['99.1', 'unknown', ''],
  ])('%s is judged %s', (version, severity, day) => {
    expect(at(version).severity).toBe(severity);
    expect(at(version).title).toContain(day);
  });

  it('that has ended costs more, or ends in an upgrade by RDS', () => {
    expect(at('11.22', { extendedSupport: true }).why).toMatch(/charged.*until 2027-03-31/);
    expect(at('11.22', { extendedSupport: false }).why).toContain('upgrades the server');
  });

  it('names the permission where RDS does not tell its dates, and judges by the table', () => {
    const lifecycles = denied('rds:DescribeDBMajorEngineVersions');
    const findings = of(judge({}, { lifecycles }), 'engine-support');
    expect(findings.map(({ severity }) => severity)).toEqual(['ok', 'unknown']);
    const standIn: Answer<never> = notServed('rds:DescribeDBMajorEngineVersions');
    expect(of(judge({}, { lifecycles: standIn }), 'engine-support')).toHaveLength(1);
  });

  it('says of a date that RDS did not tell whose it is and of when', () => {
    const own = /Holdfast's own table of November 2026/;
    for (const version of ['16.9', '14.20', '13.22']) expect(at(version).why).toMatch(own);
    expect(at('14.20').why).toMatch(/^after that, .*charged/);
    for (const version of ['17.5', '11.22']) expect(at(version).why).not.toMatch(own);
    const dateless = known(new Map([[17, { standardEnds: undefined, extendedEnds: undefined }]]));
    expect(one(judge({}, { lifecycles: dateless }), 'engine-support').why).toMatch(own);
  });

  it.each([
    [18, 'ok'],
    [15, 'ok'],
    [14, 'fail'],
    [99, 'unknown'],
  ])('of a server elsewhere is that of the project: %s is judged %s', (major, severity) => {
    expect(judgeCommunitySupport(notesOn('x'), { major, now }).severity).toBe(severity);
  });

  it('ends with its last day, half a year after it is told of', () => {
    const on = (day: string) =>
      judgeCommunitySupport(notesOn('x'), { major: 17, now: new Date(day) }).severity;
    expect(on('2029-05-01T00:00:00Z')).toBe('ok');
    expect(on('2029-06-01T00:00:00Z')).toBe('warn');
    expect(on('2029-11-08T23:00:00Z')).toBe('warn');
    expect(on('2029-11-09T00:00:00Z')).toBe('fail');
  });

  it('has a date for the same majors in both tables, at RDS a later one', () => {
    expect([...COMMUNITY_ENDS.keys()]).toEqual([...RDS_STANDARD_ENDS.keys()]);
    for (const [major, day] of COMMUNITY_ENDS) {
      expect((RDS_STANDARD_ENDS.get(major) ?? '') > day).toBe(true);
    }
    expect(majorOf('17.5')).toBe(17);
    expect(majorOf('')).toBeNaN();
  });
});

describe('IAM authentication', () => {
  const { connection, ...rest } = makePlan();
  const byIam = SourcePlan.parse({
    ...rest,
    connection: { ...connection, user: 'backup', auth: { type: 'iam' } },
  });

  it('is no matter where the plan has a secret', () => {
    expect(of(judge({ iamAuthentication: false }), 'iam-authentication')).toEqual([]);
  });

  it.each([
    [true, 'ok'],
    [false, 'fail'],
    [undefined, 'unknown'],
  ])('that is %s at the server is judged %s where the plan wants it', (isOn, severity) => {
    const findings = judge({ iamAuthentication: isOn }, {}, byIam);
    expect(one(findings, 'iam-authentication').severity).toBe(severity);
  });
});

describe('the quota of manual snapshots', () => {
  const quotas = (used: number) =>
    judgeSnapshotQuotas(
      examination,
      new Set(['instance']),
      known({ instance: { used, max: 100 }, cluster: undefined }),
    );

  it.each([
    [79, 'ok'],
    [80, 'warn'],
    [99, 'warn'],
    [100, 'fail'],
  ])('with %s of 100 taken is judged %s', (used, severity) => {
    expect(quotas(used)).toMatchObject([{ check: 'snapshot-quota', severity, source: null }]);
  });

  it('is judged of each kind that the plans take, and unknown where it is not told', () => {
    const both = new Set(['instance', 'cluster'] as const);
    const answer = known({ instance: { used: 1, max: 100 }, cluster: undefined });
    const severities = judgeSnapshotQuotas(examination, both, answer).map((it) => it.severity);
    expect(severities).toEqual(['ok', 'unknown']);
    const refused = judgeSnapshotQuotas(examination, both, denied('rds:DescribeAccountAttributes'));
    expect(refused).toMatchObject([{ severity: 'unknown' }]);
  });
});
