import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import {
  type DBCluster,
  type DBInstance,
  DescribeDBClustersCommand,
  DescribeDBInstancesCommand,
  paginateDescribeCertificates,
  paginateDescribeDBMajorEngineVersions,
  paginateDescribePendingMaintenanceActions,
  type RDSClient,
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
  type LifecycleRule,
  type S3Client,
} from '@aws-sdk/client-s3';
import type { SchedulerClient } from '@aws-sdk/client-scheduler';
import { DescribeStateMachineCommand, type SFNClient } from '@aws-sdk/client-sfn';
import { paginateListSubscriptionsByTopic, type SNSClient } from '@aws-sdk/client-sns';
import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type {
  Answer,
  BucketPosture,
  CertificateAuthority,
  EngineLifecycle,
  InstancePosture,
  LifecycleRulePosture,
  MaintenanceAction,
  ServerPosture,
  TrustedCertificates,
} from '#contracts/posture.ts';
import type { Posture } from '#runtime/operator-ports.ts';
import { ask } from './posture-answer.ts';
import { askSchedule, askSnapshotQuotas } from './surroundings.ts';

export interface PostureOptions {
  readonly rds: RDSClient;
  readonly s3: S3Client;
  readonly scheduler: SchedulerClient;
  readonly sqs: SQSClient;
  readonly sfn: SFNClient;
  readonly sns: SNSClient;
  readonly bucket: string;
  /** PEM file that servers are verified with where the plan names none. */
  readonly caFile: string;
}

/** Reads only. */
export function makePosture(options: PostureOptions): Posture {
  const { rds, s3, scheduler, sqs, sfn, sns, bucket, caFile } = options;

  const describeInstance = (identifier: string) =>
    ask(
      'DescribeDBInstances',
      async () => {
        const { DBInstances } = await rds.send(
          new DescribeDBInstancesCommand({ DBInstanceIdentifier: identifier }),
        );
        return DBInstances?.[0];
      },
      { DBInstanceNotFoundFault: undefined, DBInstanceNotFound: undefined },
    );

  async function describeCluster(identifier: string): Promise<Answer<ServerPosture | undefined>> {
    const cluster = await ask(
      'DescribeDBClusters',
      async () => {
        const { DBClusters } = await rds.send(
          new DescribeDBClustersCommand({ DBClusterIdentifier: identifier }),
        );
        return DBClusters?.[0];
      },
      { DBClusterNotFoundFault: undefined, DBClusterNotFound: undefined },
    );
    if (!cluster.known || !cluster.fact) return cluster as Answer<undefined>;
    // Network, certificates and minor upgrades are of the members. Aurora has at most 16 of them.
    const names = (cluster.fact.DBClusterMembers ?? []).flatMap(
      ({ DBInstanceIdentifier: name }) => name ?? [],
    );
    const members: DBInstance[] = [];
    for (const answer of await Promise.all(names.map(describeInstance))) {
      if (!answer.known) return answer;
      if (answer.fact) members.push(answer.fact);
    }
    return { known: true, fact: postureOfCluster(cluster.fact, members) };
  }

  return {
    async server(kind, identifier) {
      if (kind === 'cluster') return describeCluster(identifier);
      const answer = await describeInstance(identifier);
      if (!answer.known) return answer;
      return { known: true, fact: answer.fact && postureOfInstance(answer.fact) };
    },

    maintenance: (arns) =>
      ask('DescribePendingMaintenanceActions', async () => {
        const found = await Promise.all(arns.map(maintenanceOf));
        return found.flat();
      }),

    snapshotQuotas: () => askSnapshotQuotas(rds),

    certificates: () =>
      ask('DescribeCertificates', async () => {
        const found: CertificateAuthority[] = [];
        for await (const { Certificates = [] } of paginateDescribeCertificates(
          { client: rds },
          {},
        )) {
          for (const { CertificateIdentifier: identifier, ValidTill: ends } of Certificates) {
            if (identifier !== undefined && ends) found.push({ identifier, ends });
          }
        }
        return found;
      }),

    engineLifecycles: (engine) =>
      ask('DescribeDBMajorEngineVersions', async () => {
        const found = new Map<number, EngineLifecycle>();
        const pages = paginateDescribeDBMajorEngineVersions({ client: rds }, { Engine: engine });
        for await (const { DBMajorEngineVersions = [] } of pages) {
          for (const {
            MajorEngineVersion,
            SupportedEngineLifecycles = [],
          } of DBMajorEngineVersions) {
            const ends = (support: string) =>
              SupportedEngineLifecycles.find(
                ({ LifecycleSupportName }) => LifecycleSupportName === support,
              )?.LifecycleSupportEndDate;
            found.set(Number(MajorEngineVersion), {
              standardEnds: ends('open-source-rds-standard-support'),
              extendedEnds: ends('open-source-rds-extended-support'),
            });
          }
        }
        return found;
      }),

    async bucket() {
      const Bucket = bucket;
      const versioning = await ask(
        'GetBucketVersioning',
        async () => {
          const answer = await s3.send(new GetBucketVersioningCommand({ Bucket }));
          return {
            state: answer.Status ?? 'Off',
            mfaDelete: answer.MFADelete === 'Enabled',
          } as const;
        },
        { NoSuchBucket: 'no bucket' } as const,
      );
      if (versioning.known && versioning.fact === 'no bucket') return undefined;
      const [encryption, publicAccess, policy, eventBridge, ...others] = await Promise.all([
        ask(
          'GetBucketEncryption',
          async () => {
            const answer = await s3.send(new GetBucketEncryptionCommand({ Bucket }));
            const rule = answer.ServerSideEncryptionConfiguration?.Rules?.[0];
            const byDefault = rule?.ApplyServerSideEncryptionByDefault;
            if (!byDefault?.SSEAlgorithm) return undefined;
            return {
              algorithm: byDefault.SSEAlgorithm,
              keyId: byDefault.KMSMasterKeyID,
              bucketKey: rule?.BucketKeyEnabled === true,
            };
          },
          { ServerSideEncryptionConfigurationNotFoundError: undefined },
        ),
        ask(
          'GetPublicAccessBlock',
          async () => {
            const answer = await s3.send(new GetPublicAccessBlockCommand({ Bucket }));
            const block = answer.PublicAccessBlockConfiguration ?? {};
            return {
              blockPublicAcls: block.BlockPublicAcls === true,
              ignorePublicAcls: block.IgnorePublicAcls === true,
              blockPublicPolicy: block.BlockPublicPolicy === true,
              restrictPublicBuckets: block.RestrictPublicBuckets === true,
            };
          },
          { NoSuchPublicAccessBlockConfiguration: undefined },
        ),
        ask(
          'GetBucketPolicy',
          async () => (await s3.send(new GetBucketPolicyCommand({ Bucket }))).Policy,
          { NoSuchBucketPolicy: undefined },
        ),
        ask('GetBucketNotificationConfiguration', async () => {
          const answer = await s3.send(new GetBucketNotificationConfigurationCommand({ Bucket }));
          // An empty element: that it is there is what says it is on.
          return answer.EventBridgeConfiguration !== undefined;
        }),
        ask(
          'GetBucketLifecycleConfiguration',
          async () => {
            const answer = await s3.send(new GetBucketLifecycleConfigurationCommand({ Bucket }));
            return (answer.Rules ?? []).map(postureOfRule);
          },
          { NoSuchLifecycleConfiguration: [] },
        ),
        ask(
          'GetObjectLockConfiguration',
          async () => {
            const answer = await s3.send(new GetObjectLockConfigurationCommand({ Bucket }));
            const lock = answer.ObjectLockConfiguration;
            if (lock?.ObjectLockEnabled !== 'Enabled') return undefined;
            const { Mode: mode, Days, Years } = lock.Rule?.DefaultRetention ?? {};
            const defaultDays = Days ?? (Years === undefined ? undefined : Years * 365);
            return { mode, defaultDays };
          },
          { ObjectLockConfigurationNotFoundError: undefined },
        ),
        ask(
          'GetBucketReplication',
          async () => {
            const answer = await s3.send(new GetBucketReplicationCommand({ Bucket }));
            const rules = answer.ReplicationConfiguration?.Rules ?? [];
            return rules.map(({ Status, Destination }) => ({
              enabled: Status === 'Enabled',
              to: Destination?.Bucket?.replace(/^arn:[^:]*:s3:::/, '') ?? '',
            }));
          },
          { ReplicationConfigurationNotFoundError: [] },
        ),
        ask('GetBucketLogging', async () => {
          const answer = await s3.send(new GetBucketLoggingCommand({ Bucket }));
          return answer.LoggingEnabled?.TargetBucket;
        }),
      ]);
      const [lifecycle, objectLock, replication, accessLogs] = others;
      return {
        bucket,
        versioning: versioning as BucketPosture['versioning'],
        encryption,
        publicAccess,
        policy,
        eventBridge,
        lifecycle,
        objectLock,
        replication,
        accessLogs,
      };
    },

    schedule: (group, name) => askSchedule(scheduler, group, name),

    queuedMessages: (queueUrl) =>
      ask(
        'GetQueueAttributes',
        async () => {
          const { Attributes = {} } = await sqs.send(
            new GetQueueAttributesCommand({
              QueueUrl: queueUrl,
              AttributeNames: ['ApproximateNumberOfMessages'],
            }),
          );
          return Number(Attributes['ApproximateNumberOfMessages'] ?? 0);
        },
        { QueueDoesNotExist: undefined, 'AWS.SimpleQueueService.NonExistentQueue': undefined },
      ),

    stateMachine: (arn) =>
      ask(
        'DescribeStateMachine',
        async () => {
          const { status = '', loggingConfiguration } = await sfn.send(
            new DescribeStateMachineCommand({ stateMachineArn: arn }),
          );
          return { status, logLevel: loggingConfiguration?.level };
        },
        { StateMachineDoesNotExist: undefined },
      ),

    topic: (arn) =>
      ask(
        'ListSubscriptionsByTopic',
        async () => {
          const counts = { confirmed: 0, pending: 0 };
          const pages = paginateListSubscriptionsByTopic({ client: sns }, { TopicArn: arn });
          for await (const { Subscriptions = [] } of pages) {
            for (const { SubscriptionArn: subscription = '' } of Subscriptions) {
              // SNS says `PendingConfirmation` or `Deleted` where the ARN would be.
              if (subscription.startsWith('arn:')) counts.confirmed += 1;
              else if (subscription === 'PendingConfirmation') counts.pending += 1;
            }
          }
          return counts;
        },
        { NotFoundException: undefined, NotFound: undefined },
      ),

    async trustedCertificates() {
      const text = await readFile(caFile, 'utf8').catch(() => undefined);
      return text === undefined ? undefined : readCertificates(caFile, text);
    },
  };

  async function maintenanceOf(arn: string): Promise<MaintenanceAction[]> {
    const found: MaintenanceAction[] = [];
    const pages = paginateDescribePendingMaintenanceActions(
      { client: rds },
      { ResourceIdentifier: arn },
    );
    for await (const { PendingMaintenanceActions = [] } of pages) {
      for (const { PendingMaintenanceActionDetails: details = [] } of PendingMaintenanceActions) {
        for (const detail of details) {
          found.push({
            arn,
            action: detail.Action ?? '',
            description: detail.Description ?? '',
            forcedAt: detail.ForcedApplyDate,
            plannedAt: detail.CurrentApplyDate ?? detail.AutoAppliedAfterDate,
          });
        }
      }
    }
    return found;
  }
}

function postureOfInstance(instance: DBInstance): ServerPosture {
  return {
    kind: 'instance',
    identifier: instance.DBInstanceIdentifier ?? '',
    arn: instance.DBInstanceArn ?? '',
    engine: instance.Engine ?? '',
    engineVersion: instance.EngineVersion ?? '',
    backupRetentionDays: instance.BackupRetentionPeriod,
    deletionProtection: instance.DeletionProtection,
    storageEncrypted: instance.StorageEncrypted,
    iamAuthentication: instance.IAMDatabaseAuthenticationEnabled,
    extendedSupport: extendedSupportOf(instance.EngineLifecycleSupport),
    subnets: subnetsOf([instance]),
    instances: [memberOf(instance)],
  };
}

function postureOfCluster(cluster: DBCluster, members: readonly DBInstance[]): ServerPosture {
  return {
    kind: 'cluster',
    identifier: cluster.DBClusterIdentifier ?? '',
    arn: cluster.DBClusterArn ?? '',
    engine: cluster.Engine ?? '',
    engineVersion: cluster.EngineVersion ?? '',
    backupRetentionDays: cluster.BackupRetentionPeriod,
    deletionProtection: cluster.DeletionProtection,
    storageEncrypted: cluster.StorageEncrypted,
    iamAuthentication: cluster.IAMDatabaseAuthenticationEnabled,
    extendedSupport: extendedSupportOf(cluster.EngineLifecycleSupport),
    subnets: subnetsOf(members),
    instances: members.map(memberOf),
  };
}

function memberOf(instance: DBInstance): InstancePosture {
  return {
    identifier: instance.DBInstanceIdentifier ?? '',
    arn: instance.DBInstanceArn ?? '',
    publiclyAccessible: instance.PubliclyAccessible,
    autoMinorUpgrade: instance.AutoMinorVersionUpgrade,
    caCertificate: instance.CACertificateIdentifier ?? instance.CertificateDetails?.CAIdentifier,
  };
}

function extendedSupportOf(lifecycle: string | undefined): boolean | undefined {
  return lifecycle === undefined ? undefined : lifecycle === 'open-source-rds-extended-support';
}

function subnetsOf(instances: readonly DBInstance[]): string[] {
  const ids = instances.flatMap(({ DBSubnetGroup: group }) =>
    (group?.Subnets ?? []).flatMap(({ SubnetIdentifier: id }) => id ?? []),
  );
  return [...new Set(ids)].sort();
}

/** A filter of S3 has a prefix, a tag, sizes, or an `And` of them; old rules have a prefix beside it. */
function postureOfRule(rule: LifecycleRule): LifecycleRulePosture {
  const { Filter: filter = {}, Expiration: expiration } = rule;
  const all = filter.And ?? {};
  const tags = [...(filter.Tag ? [filter.Tag] : []), ...(all.Tags ?? [])];
  const sizes = [
    filter.ObjectSizeGreaterThan,
    filter.ObjectSizeLessThan,
    all.ObjectSizeGreaterThan,
    all.ObjectSizeLessThan,
  ];
  return {
    id: rule.ID ?? '',
    enabled: rule.Status === 'Enabled',
    prefix: rule.Prefix ?? filter.Prefix ?? all.Prefix ?? '',
    tags: Object.fromEntries(tags.map(({ Key = '', Value = '' }) => [Key, Value])),
    bySize: sizes.some((size) => size !== undefined),
    expireAfterDays: expiration?.Days,
    expireOldVersionsAfterDays: rule.NoncurrentVersionExpiration?.NoncurrentDays,
    abortUploadsAfterDays: rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation,
    transitions: (rule.Transitions ?? []).flatMap(({ StorageClass, Days }) =>
      StorageClass === undefined ? [] : [{ storageClass: StorageClass, afterDays: Days ?? 0 }],
    ),
  };
}

/** What in the file is no certificate is left out, as OpenSSL does. */
function readCertificates(file: string, text: string): TrustedCertificates {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const certificates = blocks.flatMap((pem) => {
    try {
      const { subject, validTo } = new X509Certificate(pem);
      const commonName = /^CN=(.*)$/m.exec(subject)?.[1] ?? subject;
      return [{ subject: commonName, ends: new Date(validTo) }];
    } catch {
      return [];
    }
  });
  return { file, certificates };
}
