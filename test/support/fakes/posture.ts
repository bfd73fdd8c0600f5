import type {
  Answer,
  BucketPosture,
  InstancePosture,
  LifecycleRulePosture,
  ServerPosture,
  Unanswered,
} from '#contracts/posture.ts';
import type { Posture } from '#runtime/operator-ports.ts';
import { ACCOUNT } from './builders.ts';

/** Postures in which all is well; name only what is not. */

export const known = <Fact>(fact: Fact): Answer<Fact> => ({ known: true, fact });

export const denied = (action: string): Unanswered => ({
  known: false,
  reason: 'denied',
  action,
  detail: `not authorized to perform ${action}`,
});

export const notServed = (action: string): Unanswered => ({
  known: false,
  reason: 'not-served',
  action,
  detail: `nobody answers ${action} here`,
});

export function makeInstancePosture(changes: Partial<InstancePosture> = {}): InstancePosture {
  return {
    identifier: 'orders-prod',
    arn: `arn:aws:rds:eu-west-1:${ACCOUNT}:db:orders-prod`,
    publiclyAccessible: false,
    autoMinorUpgrade: true,
    caCertificate: 'rds-ca-rsa2048-g1',
    ...changes,
  };
}

/** PostgreSQL 17, as RDS would have it. */
export function makeServerPosture(changes: Partial<ServerPosture> = {}): ServerPosture {
  return {
    kind: 'instance',
    identifier: 'orders-prod',
    arn: `arn:aws:rds:eu-west-1:${ACCOUNT}:db:orders-prod`,
    engine: 'postgres',
    engineVersion: '17.5',
    backupRetentionDays: 14,
    deletionProtection: true,
    storageEncrypted: true,
    iamAuthentication: false,
    extendedSupport: true,
    subnets: ['subnet-a', 'subnet-b'],
    instances: [makeInstancePosture()],
    ...changes,
  };
}

export function makeLifecycleRule(
  changes: Partial<LifecycleRulePosture> = {},
): LifecycleRulePosture {
  return {
    id: 'a-rule',
    enabled: true,
    prefix: '',
    tags: {},
    bySize: false,
    expireAfterDays: undefined,
    expireOldVersionsAfterDays: undefined,
    abortUploadsAfterDays: undefined,
    transitions: [],
    ...changes,
  };
}

export const TLS_POLICY = {
  Version: '2012-10-17',
  Statement: [
    {
      Effect: 'Deny',
      Principal: '*',
      Action: 's3:*',
      Resource: ['arn:aws:s3:::holdfast-test', 'arn:aws:s3:::holdfast-test/*'],
      Condition: { Bool: { 'aws:SecureTransport': 'false' } },
    },
  ],
};

export function makeBucketPosture(changes: Partial<BucketPosture> = {}): BucketPosture {
  return {
    bucket: 'holdfast-test',
    versioning: known({ state: 'Enabled', mfaDelete: true }),
    encryption: known({ algorithm: 'aws:kms', keyId: 'key', bucketKey: true }),
    publicAccess: known({
      blockPublicAcls: true,
      ignorePublicAcls: true,
      blockPublicPolicy: true,
      restrictPublicBuckets: true,
    }),
    policy: known(JSON.stringify(TLS_POLICY)),
    eventBridge: known(true),
    lifecycle: known([
      makeLifecycleRule({ expireOldVersionsAfterDays: 30, abortUploadsAfterDays: 2 }),
      makeLifecycleRule({ id: 'expire-backups', prefix: 'backups/', expireAfterDays: 730 }),
    ]),
    objectLock: known({ mode: 'GOVERNANCE', defaultDays: 30 }),
    replication: known([{ enabled: true, to: 'holdfast-copies' }]),
    accessLogs: known('holdfast-logs'),
    ...changes,
  };
}

export function makePosture(changes: Partial<Posture> = {}): Posture {
  const ends = new Date('2061-05-25T00:00:00Z');
  const standardEnds = new Date('2030-02-28T23:59:59Z');
  const extendedEnds = new Date('2033-02-28T23:59:59Z');
  return {
    server: async () => known(makeServerPosture()),
    maintenance: async () => known([]),
    snapshotQuotas: async () =>
      known({ instance: { used: 12, max: 100 }, cluster: { used: 0, max: 100 } }),
    certificates: async () => known([{ identifier: 'rds-ca-rsa2048-g1', ends }]),
    engineLifecycles: async () => known(new Map([[17, { standardEnds, extendedEnds }]])),
    bucket: async () => makeBucketPosture(),
    schedule: async () =>
      known({ enabled: true, expression: 'cron(0 3 * * ? *)', timezone: 'Europe/Berlin' }),
    queuedMessages: async () => known(0),
    stateMachine: async () => known({ status: 'ACTIVE', logLevel: 'ALL' }),
    topic: async () => known({ confirmed: 1, pending: 0 }),
    trustedCertificates: async () => ({
      file: '/opt/rds-ca/global-bundle.pem',
      certificates: [{ subject: 'Amazon RDS eu-west-1 Root CA RSA2048 G1', ends }],
    }),
    ...changes,
  };
}
