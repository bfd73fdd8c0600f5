import { describe, expect, it } from 'vitest';
import type { BucketPosture, CheckId, Finding, LifecycleRulePosture } from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { judgeBucket } from '#domain/doctor/bucket-checks.ts';
import { refusesPlainHttp } from '#domain/doctor/bucket-policy.ts';
import { judgeLifecycle, retentionReachDays } from '#domain/doctor/lifecycle-checks.ts';
import {
  denied,
  known,
  makeBucketPosture,
  makeLifecycleRule,
  TLS_POLICY,
} from '#test/fakes/posture.ts';
import { makePlan } from '#test/fakes.ts';

const now = new Date('2026-11-20T12:00:00Z');
const examination = { now, region: 'eu-west-1', absence: undefined };
const judge = (changes: Partial<BucketPosture> = {}, plans: readonly SourcePlan[] = [makePlan()]) =>
  judgeBucket(examination, plans, 'holdfast-test', makeBucketPosture(changes));

function one(findings: readonly Finding[], check: CheckId): Finding {
  const found = findings.filter((finding) => finding.check === check);
  expect(found).toHaveLength(1);
  return found[0] as Finding;
}

describe('a bucket', () => {
  it('that is set up well passes every check', () => {
    expect(judge().filter(({ severity }) => severity !== 'ok')).toEqual([]);
    expect(judge().length).toBeGreaterThan(9);
  });

  it('that is not there fails', () => {
    const findings = judgeBucket(examination, [], 'holdfast-test', undefined);
    expect(findings).toMatchObject([{ check: 'bucket', severity: 'fail' }]);
  });

  it.each([
    ['bucket-versioning', { versioning: known({ state: 'Off', mfaDelete: true }) }, 'fail'],
    ['bucket-versioning', { versioning: known({ state: 'Suspended', mfaDelete: true }) }, 'fail'],
    ['mfa-delete', { versioning: known({ state: 'Enabled', mfaDelete: false }) }, 'info'],
    ['bucket-encryption', { encryption: known(undefined) }, 'warn'],
    [
      'bucket-encryption',
      { encryption: known({ algorithm: 'AES256', keyId: undefined, bucketKey: false }) },
      'warn',
    ],
    [
      'bucket-encryption',
      { encryption: known({ algorithm: 'aws:kms', keyId: 'k', bucketKey: false }) },
      'warn',
    ],
    [
      'bucket-encryption',
      { encryption: known({ algorithm: 'aws:kms:dsse', keyId: 'k', bucketKey: false }) },
      'ok',
    ],
    ['bucket-public-access', { publicAccess: known(undefined) }, 'fail'],
    ['bucket-tls-policy', { policy: known(undefined) }, 'fail'],
    ['bucket-tls-policy', { policy: known('{') }, 'unknown'],
    ['bucket-events', { eventBridge: known(false) }, 'fail'],
    ['object-lock', { objectLock: known(undefined) }, 'info'],
    ['object-lock', { objectLock: known({ mode: undefined, defaultDays: undefined }) }, 'info'],
    ['replication', { replication: known([]) }, 'info'],
    ['replication', { replication: known([{ enabled: false, to: 'copies' }]) }, 'warn'],
    ['access-logging', { accessLogs: known(undefined) }, 'info'],
  ] as [CheckId, Partial<BucketPosture>, string][])(
    'is judged by %s with %o: %s',
    (check, changes, severity) => {
      const finding = one(judge(changes), check);
      expect(finding.severity).toBe(severity);
      expect(finding.remedy === null).toBe(severity === 'ok');
    },
  );

  it.each(['blockPublicAcls', 'ignorePublicAcls', 'blockPublicPolicy', 'restrictPublicBuckets'])(
    'is open to the public when %s alone is off',
    (name) => {
      const publicAccess = {
        blockPublicAcls: true,
        ignorePublicAcls: true,
        blockPublicPolicy: true,
        restrictPublicBuckets: true,
      };
      const finding = one(
        judge({ publicAccess: known({ ...publicAccess, [name]: false }) }),
        'bucket-public-access',
      );
      expect(finding.severity).toBe('fail');
      expect(finding.title).toContain(name);
    },
  );

  it('has a remedy that a shell takes as it is', () => {
    const finding = one(judge({ encryption: known(undefined) }), 'bucket-encryption');
    expect(finding.remedy).toContain(
      `aws s3api put-bucket-encryption --bucket holdfast-test --server-side-encryption-configuration '{"Rules"`,
    );
    expect(finding.remedy).toMatch(/ --region eu-west-1$/);
  });

  it('of which nothing may be read has one finding a question, each with its permission', () => {
    const findings = judge({
      versioning: denied('s3:GetBucketVersioning'),
      encryption: denied('s3:GetEncryptionConfiguration'),
      publicAccess: denied('s3:GetBucketPublicAccessBlock'),
      policy: denied('s3:GetBucketPolicy'),
      eventBridge: denied('s3:GetBucketNotification'),
      lifecycle: denied('s3:GetLifecycleConfiguration'),
      objectLock: denied('s3:GetBucketObjectLockConfiguration'),
      replication: denied('s3:GetReplicationConfiguration'),
      accessLogs: denied('s3:GetBucketLogging'),
    });
    expect(findings).toHaveLength(10);
    expect(findings.filter(({ severity }) => severity !== 'unknown')).toEqual([]);
    for (const { remedy } of findings) expect(remedy).toMatch(/^allow s3:Get\w+ to/);
  });
});

describe('a policy', () => {
  const [statement] = TLS_POLICY.Statement;
  const refuses = (...statements: object[]) =>
    refusesPlainHttp(
      JSON.stringify({ Version: '2012-10-17', Statement: statements }),
      'holdfast-test',
    );
  const other = { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: '*' };

  it.each([
    ['as the stack writes it', [other, { ...statement }]],
    ['with an account-wide principal', [{ ...statement, Principal: { AWS: ['*'] } }]],
    ['with every action', [{ ...statement, Action: ['*'] }]],
    ['with a boolean', [{ ...statement, Condition: { Bool: { 'aws:SecureTransport': false } } }]],
    [
      'with BoolIfExists',
      [{ ...statement, Condition: { BoolIfExists: { 'AWS:securetransport': ['false'] } } }],
    ],
    ['with one pattern for both', [{ ...statement, Resource: 'arn:aws:s3:::holdfast-test*' }]],
    ['for everything', [{ ...statement, Resource: '*' }]],
    [
      'in two statements',
      [
        { ...statement, Resource: 'arn:aws-cn:s3:::holdfast-test' },
        { ...statement, Resource: 'arn:aws-cn:s3:::holdfast-test/*' },
      ],
    ],
  ])('%s refuses plain HTTP', (_what, statements) => {
    expect(refuses(...statements)).toBe(true);
  });

  it.each([
    ['without the statement', [other]],
    ['that allows', [{ ...statement, Effect: 'Allow' }]],
    ['for one account', [{ ...statement, Principal: { AWS: 'arn:aws:iam::123456789012:root' } }]],
    ['for all but one', [{ ...statement, Principal: undefined, NotPrincipal: { AWS: '*' } }]],
    ['for one action', [{ ...statement, Action: 's3:GetObject' }]],
    ['for all actions but one', [{ ...statement, Action: undefined, NotAction: 's3:GetObject' }]],
    ['for the objects alone', [{ ...statement, Resource: 'arn:aws:s3:::holdfast-test/*' }]],
    ['for the bucket alone', [{ ...statement, Resource: 'arn:aws:s3:::holdfast-test' }]],
    [
      'for another bucket',
      [{ ...statement, Resource: ['arn:aws:s3:::other', 'arn:aws:s3:::other/*'] }],
    ],
    [
      'for a folder',
      [
        {
          ...statement,
          Resource: ['arn:aws:s3:::holdfast-test', 'arn:aws:s3:::holdfast-test/a/*'],
        },
      ],
    ],
    ['against TLS', [{ ...statement, Condition: { Bool: { 'aws:SecureTransport': 'true' } } }]],
    ['without a condition', [{ ...statement, Condition: undefined }]],
    [
      'under a second condition',
      [
        {
          ...statement,
          Condition: { ...statement?.Condition, StringEquals: { 'aws:SourceVpc': 'vpc-1' } },
        },
      ],
    ],
    [
      'under a second condition of the same kind',
      [
        {
          ...statement,
          Condition: { Bool: { 'aws:SecureTransport': 'false', 'aws:ViaAWSService': 'false' } },
        },
      ],
    ],
  ])('%s does not', (_what, statements) => {
    expect(refuses(...statements)).toBe(false);
  });

  it('that is none is not judged', () => {
    expect(refusesPlainHttp('[]', 'holdfast-test')).toBeUndefined();
    expect(refusesPlainHttp('no JSON', 'holdfast-test')).toBeUndefined();
  });
});

describe('lifecycle rules', () => {
  const sound = [
    makeLifecycleRule({ expireOldVersionsAfterDays: 30, abortUploadsAfterDays: 2 }),
    makeLifecycleRule({ id: 'expire-backups', prefix: 'backups/', expireAfterDays: 730 }),
  ];
  const archives = makeLifecycleRule({
    id: 'to-glacier',
    prefix: 'backups/',
    tags: { 'holdfast-kind': 'archive', 'holdfast-state': 'verified' },
    transitions: [{ storageClass: 'GLACIER', afterDays: 30 }],
  });
  const bad = (rules: readonly LifecycleRulePosture[], plans = [makePlan()]) =>
    judgeLifecycle(examination, plans, known(rules))
      .filter(({ severity }) => severity !== 'ok')
      .map(({ severity, title }) => `${severity}: ${title}`);

  it('of the stack are well', () => {
    expect(bad([...sound, archives])).toEqual([]);
  });

  it('that are not there let uploads, old versions and lost sources be', () => {
    expect(bad([])).toEqual([
      'warn: incomplete uploads are never removed',
      'warn: old versions never expire',
      'info: no rule deletes backups: retention alone does',
    ]);
  });

  it.each([
    ['are disabled', { enabled: false }],
    ['are for one folder', { prefix: 'runs/' }],
    ['are for one tag', { tags: { a: 'b' } }],
    ['are for big objects', { bySize: true }],
  ])('that %s do not remove every incomplete upload', (_what, changes) => {
    const rule = makeLifecycleRule({ abortUploadsAfterDays: 2, ...changes });
    expect(bad([rule])).toContain('warn: incomplete uploads are never removed');
  });

  it('that delete before the retention does are told, for the sources concerned', () => {
    const early = makeLifecycleRule({
      id: 'early',
      prefix: 'backups/orders/',
      expireAfterDays: 90,
    });
    const billing = makePlan({ source: 'billing' });
    const findings = judgeLifecycle(examination, [makePlan(), billing], known([...sound, early]));
    const warnings = findings.filter(({ severity }) => severity === 'warn');
    expect(warnings).toMatchObject([{ source: 'orders' }]);
    expect(warnings[0]?.title).toBe('early deletes backups of orders after 90 days');
    expect(warnings[0]?.why).toContain('730 days');
  });

  it.each([
    [{ daily: 14, weekly: 0, monthly: 0, yearly: 0 }, 14],
    [{ daily: 14, weekly: 8, monthly: 0, yearly: 0 }, 56],
    [{ daily: 14, weekly: 8, monthly: 12, yearly: 0 }, 360],
    [{ daily: 14, weekly: 8, monthly: 12, yearly: 2 }, 730],
  ])('are held against a retention of %o: %s days', (rules, days) => {
    expect(retentionReachDays({ ...makePlan().retention.archives, ...rules })).toBe(days);
  });

  it('that move manifests to Glacier fail', () => {
    expect(bad([...sound, { ...archives, tags: {} }])).toEqual([
      'fail: to-glacier moves more than archives to GLACIER',
    ]);
  });

  it('that move the newest backup to Glacier are told', () => {
    const weekly = makePlan({ schedule: { expression: 'cron(0 3 ? * SUN *)', timezone: 'UTC' } });
    const at = (afterDays: number) => ({
      ...archives,
      transitions: [{ storageClass: 'DEEP_ARCHIVE', afterDays }],
    });
    expect(bad([...sound, at(3)], [weekly])).toEqual([
      'warn: the newest backup of orders may lie in DEEP_ARCHIVE',
    ]);
    expect(bad([...sound, at(7)], [weekly])).toEqual([]);
    expect(bad([...sound, at(3)])).toEqual([]);
  });
});
