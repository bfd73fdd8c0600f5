import {
  PlannedServerRestore,
  type RestoredServerName,
  type RestoreWindow,
  type ServerSettings,
  type ServerSnapshot,
  type SourceServer,
} from '#contracts/restore-server.ts';
import { drillOf, isOfRestore, serverTags } from '#domain/restore/server-settings.ts';
import { InstanceNotFound, TargetNotEmpty } from '#errors';
import type { RestoredServer, ServerLogin, Servers } from '#runtime/ports.ts';
import { ACCOUNT, type Changes, executionArnOf } from './builders.ts';

const arn = (type: string, name: string) => `arn:aws:rds:eu-west-1:${ACCOUNT}:${type}:${name}`;

export function makeServerSettings(changes: Partial<ServerSettings> = {}): ServerSettings {
  return {
    instanceClass: 'db.r6g.large',
    subnetGroup: 'private',
    securityGroups: ['sg-0aaa'],
    parameterGroup: 'orders-17',
    clusterParameterGroup: null,
    optionGroup: 'default:postgres-17',
    caCertificate: 'rds-ca-rsa2048-g1',
    storageType: 'gp3',
    iops: 3000,
    storageThroughput: 125,
    port: 5432,
    multiAz: true,
    autoMinorVersionUpgrade: true,
    iamAuthentication: true,
    logExports: ['postgresql'],
    networkType: 'IPV4',
    kmsKeyId: `arn:aws:kms:eu-west-1:${ACCOUNT}:key/11111111`,
    copyTagsToSnapshot: true,
    serverless: null,
    publiclyAccessible: false,
    deletionProtection: true,
    tags: { team: 'shop' },
    ...changes,
  };
}

/** The instance of {@link makePlan}, with 100 GiB. */
export function makeSourceServer(changes: Partial<SourceServer> = {}): SourceServer {
  return {
    identifier: 'orders-prod',
    engine: 'postgres',
    engineVersion: '17.4',
    allocatedGiB: 100,
    resourceId: 'db-ORDERS',
    settings: makeServerSettings(),
    ...changes,
  };
}

export function makeServerSnapshot(changes: Partial<ServerSnapshot> = {}): ServerSnapshot {
  const snapshotId = changes.snapshotId ?? 'holdfast-orders-20261120t020000z-k3v9qd';
  return {
    snapshotId,
    arn: arn('snapshot', snapshotId),
    type: 'manual',
    status: 'available',
    serverIdentifier: 'orders-prod',
    resourceId: 'db-ORDERS',
    engine: 'postgres',
    engineVersion: '17.4',
    sizeGiB: 100,
    createdAt: new Date('2026-11-20T02:03:00Z'),
    tags: { 'holdfast:managed': 'true', 'holdfast:source': 'orders' },
    settings: {
      optionGroup: 'default:postgres-17',
      storageType: 'gp3',
      iops: 3000,
      storageThroughput: 125,
      port: 5432,
      iamAuthentication: true,
      kmsKeyId: `arn:aws:kms:eu-west-1:${ACCOUNT}:key/11111111`,
    },
    ...changes,
  };
}

const RESTORE_ID = '20261120T030000Z-0a1b2c';

/** The restore of that snapshot, as Plan Server Restore plans it. */
export function makeServerRestore(
  changes: Omit<Changes<PlannedServerRestore>, 'origin' | 'target'> & {
    readonly origin?: PlannedServerRestore['origin'];
    readonly target?: Partial<PlannedServerRestore['target']>;
  } = {},
): PlannedServerRestore {
  const snapshot = makeServerSnapshot();
  const base = {
    restoreId: RESTORE_ID,
    source: 'orders',
    planVersion: 1,
    executionArn: executionArnOf('restore-1'),
    startedAt: '2026-11-20T03:00:00.000Z',
    reason: null,
    kind: 'instance',
    sourceIdentifier: 'orders-prod',
    engine: 'postgres',
    engineVersion: '17.4',
    warnings: [],
    cleanUp: 'unfinished',
    timeoutSeconds: 86_400,
    ...changes,
  };
  return PlannedServerRestore.parse({
    ...base,
    origin: changes.origin ?? {
      type: 'snapshot',
      snapshotId: snapshot.snapshotId,
      arn: snapshot.arn,
      snapshotType: snapshot.type,
      createdAt: snapshot.createdAt?.toISOString(),
      serverIdentifier: snapshot.serverIdentifier,
      sizeGiB: snapshot.sizeGiB,
    },
    target: {
      identifier: 'orders-prod-restored-20261120t030000z',
      writer: null,
      settings: makeServerSettings({
        iops: null,
        storageThroughput: null,
        deletionProtection: false,
        tags: serverTags({
          source: changes.source ?? 'orders',
          restoreId: changes.restoreId ?? RESTORE_ID,
          reason: null,
        }),
      }),
      ...changes.target,
    },
  });
}

export interface FakeServers extends Servers {
  /** Servers that exist and can be described, by identifier. */
  readonly sources: Map<string, SourceServer>;
  readonly snapshots: ServerSnapshot[];
  /** Restored ones and whatever else has a name, by identifier; change a status to let time pass. */
  readonly restored: Map<
    string,
    { server: RestoredServer; tags: Readonly<Record<string, string>> }
  >;
  window: RestoreWindow | undefined;
  /** What is in force when it is asked for; undefined: not yet. */
  login: ServerLogin | undefined;
  /** Identifiers in the order in which their deletion was asked for. */
  readonly deleted: string[];
}

/** Knows the source of {@link makePlan} and one snapshot of it. A restored server stays `creating`. */
export function makeServers(): FakeServers {
  const ours = (restore: RestoredServerName) => {
    const found = fake.restored.get(restore.target.identifier);
    return found && { ...found.server, ours: isOfRestore(found.tags, restore) };
  };
  const fake: FakeServers = {
    sources: new Map([['orders-prod', makeSourceServer()]]),
    snapshots: [makeServerSnapshot()],
    restored: new Map(),
    window: {
      earliest: new Date('2026-11-13T00:00:00Z'),
      latest: new Date('2026-11-20T02:55:00Z'),
      keptResourceId: null,
    },
    login: undefined,
    deleted: [],
    describe: async (_kind, identifier) => fake.sources.get(identifier),
    findSnapshot: async (_kind, id) =>
      fake.snapshots.find((it) => it.snapshotId === id || it.arn === id),
    listSnapshots: async () => fake.snapshots,
    restoreWindow: async () => fake.window,
    async restore(restore) {
      const { identifier, settings } = restore.target;
      const existing = ours(restore);
      if (existing && !existing.ours) throw new TargetNotEmpty(`${identifier} exists`);
      if (existing) return { ...existing, adopted: true };
      const server: RestoredServer = {
        identifier,
        arn: arn('db', identifier),
        status: 'creating',
        ours: true,
        needsWriter: false,
        endpoint: undefined,
      };
      fake.restored.set(identifier, { server, tags: settings.tags });
      return { ...server, adopted: false };
    },
    findRestored: async (restore) => ours(restore),
    async ownLogin(restore) {
      if (!ours(restore)?.ours) throw new InstanceNotFound(`${restore.target.identifier} is gone`);
      return fake.login;
    },
    listDrilled: async () =>
      [...fake.restored.values()].flatMap(({ server, tags }) => {
        const drill = drillOf(tags);
        if (!drill) return [];
        const { executionArn, ...of } = drill;
        const target = { identifier: server.identifier, writer: null };
        const name = { ...of, kind: 'instance' as const, target };
        return [{ name, executionArn, status: server.status }];
      }),
    async addWriter(restore) {
      const found = fake.restored.get(restore.target.identifier);
      if (!found?.server.needsWriter) throw new Error('the fake has no cluster without a writer');
      found.server = { ...found.server, needsWriter: false, status: 'creating' };
    },
    async deleteRestored(restore) {
      const found = ours(restore);
      if (!found) return 'absent';
      if (!found.ours) return 'not-ours';
      fake.restored.delete(restore.target.identifier);
      fake.deleted.push(restore.target.identifier);
      return 'deleting';
    },
  };
  return fake;
}
