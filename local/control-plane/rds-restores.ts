import { randomBytes, randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Operations, operation } from './operation.ts';
import type { RdsBackups } from './rds-backups.ts';
import { ordinaryAttributes, type Window } from './rds-description.ts';
import {
  badCombination,
  badValue,
  flag,
  type Kind,
  list,
  MASTER_USER,
  type ServedCopy,
  type Server,
  type Snapshot,
  Tag,
  terms,
} from './rds-model.ts';
import {
  attributesOf,
  clusterSettings,
  definedOf,
  instanceSettings,
  remembered,
  ServerId,
  type Settings,
  settings,
  tagsOf,
  time,
} from './rds-restore-parameters.ts';
import type { SecretsManager } from './secrets-manager.ts';
import { ServiceError } from './service-error.ts';

/** What the restores need of the rest of RDS. */
export interface RestoresOptions {
  /** The data of restored servers go below it. */
  readonly directory: string;
  readonly backups: RdsBackups;
  readonly secrets: SecretsManager;
  /** By ARN; restored ones are added, deleted ones removed. */
  readonly servers: Map<string, Server>;
  arnOf(kind: Kind, identifier: string): string;
  /** Throws the service's own "not found". */
  find(kind: Kind, identifier: string): Server;
  describe(server: Server): object;
  /** Throws the service's own "not found". */
  findSnapshot(kind: Kind, id: string): Snapshot;
  snapshots(): Iterable<Snapshot>;
}

/** A server that was restored here, as opposed to one that was registered. */
interface Restored {
  readonly server: Server;
  readonly directory: string;
  /** Ends when it is available or has failed. Never rejects. */
  making: Promise<void>;
  running: ServedCopy | undefined;
}

/** RDS: servers that are made of snapshots and of points in time, and their end. */
export class RdsRestores {
  readonly operations: Operations;
  /** Of a region; clusters have the same. */
  serverQuota = 40;
  readonly #options: RestoresOptions;
  readonly #restored = new Map<Server, Restored>();

  constructor(options: RestoresOptions) {
    this.#options = options;
    this.operations = {
      RestoreDBInstanceFromDBSnapshot: operation(
        z.strictObject({
          DBInstanceIdentifier: ServerId,
          DBSnapshotIdentifier: z.string(),
          ...instanceSettings,
          ...settings,
        }),
        ({ DBInstanceIdentifier, DBSnapshotIdentifier, ...rest }) =>
          this.#fromSnapshot('instance', DBInstanceIdentifier, DBSnapshotIdentifier, rest),
      ),
      RestoreDBClusterFromSnapshot: operation(
        z.strictObject({
          DBClusterIdentifier: ServerId,
          SnapshotIdentifier: z.string(),
          Engine: z.literal('aurora-postgresql'),
          EngineVersion: z.string().optional(),
          ...clusterSettings,
          ...settings,
        }),
        ({ DBClusterIdentifier, SnapshotIdentifier, ...rest }) =>
          this.#fromSnapshot('cluster', DBClusterIdentifier, SnapshotIdentifier, rest),
      ),
      RestoreDBInstanceToPointInTime: operation(
        z.strictObject({
          TargetDBInstanceIdentifier: ServerId,
          SourceDBInstanceIdentifier: z.string().optional(),
          SourceDbiResourceId: z.string().optional(),
          UseLatestRestorableTime: flag,
          RestoreTime: time,
          ...instanceSettings,
          ...settings,
        }),
        ({
          TargetDBInstanceIdentifier,
          SourceDBInstanceIdentifier,
          SourceDbiResourceId,
          UseLatestRestorableTime,
          RestoreTime,
          ...rest
        }) =>
          this.#toPointInTime('instance', TargetDBInstanceIdentifier, {
            identifier: SourceDBInstanceIdentifier,
            resourceId: SourceDbiResourceId,
            latest: UseLatestRestorableTime === 'true',
            time: RestoreTime,
            settings: rest,
          }),
      ),
      RestoreDBClusterToPointInTime: operation(
        z.strictObject({
          DBClusterIdentifier: ServerId,
          SourceDBClusterIdentifier: z.string().optional(),
          SourceDbClusterResourceId: z.string().optional(),
          UseLatestRestorableTime: flag,
          RestoreToTime: time,
          RestoreType: z.literal('full-copy').optional(),
          ...clusterSettings,
          ...settings,
        }),
        ({
          DBClusterIdentifier,
          SourceDBClusterIdentifier,
          SourceDbClusterResourceId,
          UseLatestRestorableTime,
          RestoreToTime,
          ...rest
        }) =>
          this.#toPointInTime('cluster', DBClusterIdentifier, {
            identifier: SourceDBClusterIdentifier,
            resourceId: SourceDbClusterResourceId,
            latest: UseLatestRestorableTime === 'true',
            time: RestoreToTime,
            settings: rest,
          }),
      ),
      CreateDBInstance: operation(
        z.strictObject({
          DBInstanceIdentifier: ServerId,
          DBClusterIdentifier: z.string(),
          DBInstanceClass: z.string().startsWith('db.'),
          Engine: z.literal('aurora-postgresql'),
          DBParameterGroupName: z.string().optional(),
          CACertificateIdentifier: z.string().optional(),
          PubliclyAccessible: flag,
          AutoMinorVersionUpgrade: flag,
          Tags: list(Tag),
        }),
        ({ DBInstanceIdentifier, DBClusterIdentifier, ...rest }) =>
          this.#addMember(DBInstanceIdentifier, DBClusterIdentifier, rest),
      ),
      ModifyDBInstance: this.#modification('instance', 'DBInstanceIdentifier'),
      ModifyDBCluster: this.#modification('cluster', 'DBClusterIdentifier'),
      DeleteDBInstance: this.#deletion('instance', 'DBInstanceIdentifier'),
      DeleteDBCluster: this.#deletion('cluster', 'DBClusterIdentifier'),
    };
  }

  /** Makes RDS forget a server, as if somebody had deleted it; its automated backups stay if so asked. */
  removeServer(kind: Kind, identifier: string, { keepBackups = false } = {}): void {
    const server = this.#options.find(kind, identifier);
    if (keepBackups) this.#options.backups.keep(server);
    this.#options.servers.delete(server.arn);
  }

  /** Of the servers that were restored here and are not deleted yet, instances of clusters too. */
  identifiers(): string[] {
    const isOurs = (server: Server) =>
      [...this.#restored.keys()].some((it) => it === server || this.#isMember(server, it));
    return [...this.#options.servers.values()].filter(isOurs).map((it) => it.identifier);
  }

  /** Stops and deletes what was restored. */
  async close(): Promise<void> {
    await Promise.all([...this.#restored.values()].map((restored) => this.#discard(restored)));
  }

  #fromSnapshot(kind: Kind, identifier: string, id: string, input: Settings): object {
    const { snapshotState, serverName } = terms[kind];
    const snapshot = this.#options.findSnapshot(kind, id);
    if (snapshot.status !== 'available') {
      throw new ServiceError(snapshotState, `The snapshot ${id} is not available.`);
    }
    const server = this.#newServer(kind, identifier, snapshot.server, input);
    const { data } = snapshot.server;
    const restored = this.#start(server, async (destination) => {
      if (!data.clone) throw new Error('the copies of this server cannot be copied');
      await data.clone({ from: snapshot.directory, destination });
      return data;
    });
    return { [serverName]: this.#options.describe(restored.server) };
  }

  /**
   * The stand-in keeps no log to replay: a time in the past becomes the newest snapshot from before it,
   * where there is one; else, and for the latest time, the data as they are now.
   */
  #toPointInTime(
    kind: Kind,
    identifier: string,
    wanted: {
      readonly identifier: string | undefined;
      readonly resourceId: string | undefined;
      readonly latest: boolean;
      readonly time: Date | undefined;
      readonly settings: Settings;
    },
  ): object {
    const { server: source, window } = this.#sourceOf(kind, wanted);
    if (!window) {
      throw new ServiceError(
        'PointInTimeRestoreNotEnabled',
        `Automated backups are off for ${source.identifier}.`,
      );
    }
    if (wanted.latest === (wanted.time !== undefined)) {
      throw badCombination('Specify either a time or the latest restorable time.');
    }
    const { time: at } = wanted;
    if (at && (at < window.earliest || at > window.latest)) {
      throw badValue(`The specified time is not in the restorable range of ${source.identifier}.`);
    }
    const server = this.#newServer(kind, identifier, source, wanted.settings);
    const archived = at && this.#newestBefore(source, at);
    const { data } = source;
    const restored = this.#start(server, async (destination) => {
      if (archived && data.clone) await data.clone({ from: archived.directory, destination });
      else await data.copy({ snapshotId: identifier, destination });
      return data;
    });
    return { [terms[kind].serverName]: this.#options.describe(restored.server) };
  }

  #sourceOf(
    kind: Kind,
    { identifier, resourceId }: { identifier: string | undefined; resourceId: string | undefined },
  ): { server: Server; window: Window | undefined } {
    if ((identifier === undefined) === (resourceId === undefined)) {
      throw badCombination('Specify either the source identifier or its resource id.');
    }
    if (identifier !== undefined) {
      const server = this.#options.find(kind, identifier);
      return { server, window: this.#options.backups.windowOf(server) };
    }
    const kept = this.#options.backups.kept(kind, resourceId);
    if (kept) return kept;
    throw new ServiceError(
      `${terms[kind].serverName}AutomatedBackupNotFound`,
      `There are no automated backups of ${resourceId}.`,
      404,
    );
  }

  #newestBefore(source: Server, at: Date): Snapshot | undefined {
    const own = [...this.#options.snapshots()].filter(
      ({ server, status }) => server.arn === source.arn && status === 'available',
    );
    const timeOf = ({ createTime }: Snapshot) => createTime?.getTime() ?? Number.POSITIVE_INFINITY;
    return own
      .filter((snapshot) => timeOf(snapshot) <= at.getTime())
      .toSorted((a, b) => timeOf(b) - timeOf(a))[0];
  }

  #newServer(kind: Kind, identifier: string, source: Server, input: Settings): Server {
    const { serverExists, serverName, serverQuota } = terms[kind];
    const arn = this.#options.arnOf(kind, identifier);
    if (this.#options.servers.has(arn)) {
      throw new ServiceError(serverExists, `${serverName} ${identifier} already exists.`);
    }
    const taken = [...this.#options.servers.values()].filter((it) => it.kind === kind).length;
    if (taken >= this.serverQuota) {
      throw new ServiceError(serverQuota, `Cannot have more than ${this.serverQuota} servers.`);
    }
    const { StorageType: storage, Iops } = { ...source.attributes, ...definedOf(input) };
    if (storage === 'gp3' && input['Iops'] !== undefined && source.allocatedGiB < 400) {
      throw badCombination(
        `You can't specify IOPS or storage throughput for engine postgres and a storage size less than 400. (${String(Iops)})`,
      );
    }
    return {
      kind,
      identifier,
      arn,
      resourceId: `${kind === 'cluster' ? 'cluster' : 'db'}-${randomBytes(13).toString('hex').toUpperCase()}`,
      engineVersion: source.engineVersion,
      allocatedGiB: source.allocatedGiB,
      clusterIdentifier: undefined,
      attributes: {
        ...ordinaryAttributes(kind, source.engineVersion),
        ...remembered(source.attributes),
        ...attributesOf(kind, input),
      },
      tags: tagsOf(input),
      created: new Date(),
      status: 'creating',
      masterSecret: undefined,
      endpoint: undefined,
      data: source.data,
    };
  }

  /** Lets a new server be made of data that are yet to be laid down. */
  #start(server: Server, fill: (destination: string) => Promise<Server['data']>): Restored {
    const directory = join(
      this.#options.directory,
      `${server.identifier}-${randomBytes(4).toString('hex')}`,
    );
    const restored: Restored = {
      server,
      directory,
      making: Promise.resolve(),
      running: undefined,
    };
    restored.making = this.#make(restored, async () => {
      const data = await fill(join(directory, 'data'));
      // A cluster of Aurora has a volume and an address; who answers there are its instances.
      if (server.kind === 'cluster') server.endpoint = { host: '127.0.0.1', port: 5432 };
      else await this.#serve(restored, data);
    });
    this.#options.servers.set(server.arn, server);
    this.#restored.set(server, restored);
    return restored;
  }

  async #make(restored: Restored, work: () => Promise<void>): Promise<void> {
    const { server } = restored;
    await Promise.resolve(); // the answer of the call comes first, and says "creating"
    try {
      await work();
      if (server.status === 'creating') server.status = 'available';
    } catch {
      if (server.status === 'creating') server.status = terms[server.kind].lost;
    }
  }

  async #serve(restored: Restored, data: Server['data']): Promise<void> {
    if (!data.serve) throw new Error('the copies of this server cannot be served');
    const running = await data.serve({ dataDirectory: join(restored.directory, 'data') });
    restored.running = running;
    restored.server.endpoint = { host: running.host, port: running.port };
    restored.server.data = running;
  }

  #addMember(identifier: string, clusterIdentifier: string, input: Settings): object {
    const cluster = this.#options.find('cluster', clusterIdentifier);
    const restored = this.#restored.get(cluster);
    const arn = this.#options.arnOf('instance', identifier);
    if (this.#options.servers.has(arn)) {
      throw new ServiceError('DBInstanceAlreadyExists', `DBInstance ${identifier} already exists.`);
    }
    if (!restored || cluster.status !== 'available') {
      throw new ServiceError(
        'InvalidDBClusterStateFault',
        `${clusterIdentifier} is not in the available state, or was not restored here.`,
      );
    }
    const member: Server = {
      ...cluster,
      kind: 'instance',
      identifier,
      arn,
      resourceId: `db-${randomBytes(13).toString('hex').toUpperCase()}`,
      clusterIdentifier: cluster.identifier,
      attributes: {
        ...ordinaryAttributes('instance', cluster.engineVersion, true),
        ...attributesOf('instance', input),
      },
      tags: tagsOf(input),
      created: new Date(),
      status: 'creating',
      masterSecret: undefined,
      endpoint: undefined,
    };
    const making = this.#make({ ...restored, server: member }, async () => {
      await this.#serve(restored, cluster.data);
      member.endpoint = cluster.endpoint;
    });
    restored.making = making;
    this.#options.servers.set(arn, member);
    return { DBInstance: this.#options.describe(member) };
  }

  /** Of what can be changed only who keeps the master user's password, and only of what was restored here. */
  #modification(kind: Kind, name: 'DBInstanceIdentifier' | 'DBClusterIdentifier') {
    const { serverName, serverState } = terms[kind];
    return operation(
      z.strictObject({
        [name]: z.string(),
        ManageMasterUserPassword: z.literal('true'),
        ApplyImmediately: flag,
      }) as unknown as z.ZodType<Readonly<Record<string, string | undefined>>>,
      (input) => {
        const server = this.#options.find(kind, input[name] ?? '');
        const running = this.#restored.get(server)?.running;
        if (server.status !== 'available' || !running) {
          throw new ServiceError(serverState, `${server.identifier} is not available.`);
        }
        void this.#managePassword(server, running);
        return { [serverName]: this.#options.describe(server) };
      },
    );
  }

  async #managePassword(server: Server, running: ServedCopy): Promise<void> {
    const { secrets } = this.#options;
    const password = randomBytes(24).toString('base64url');
    const type = server.kind === 'cluster' ? 'cluster' : 'db';
    const name = `rds!${type}-${randomUUID()}`;
    const arn = secrets.setSecret(name, { username: MASTER_USER, password });
    const secret = { arn, name, isActive: false };
    server.masterSecret = secret;
    server.status = 'resetting-master-credentials';
    try {
      await running.setPassword(password);
    } catch {
      // A server that is being deleted has no use for it.
    }
    secret.isActive = true;
    if (server.status === 'resetting-master-credentials') server.status = 'available';
  }

  #deletion(kind: Kind, name: 'DBInstanceIdentifier' | 'DBClusterIdentifier') {
    const { serverName, serverState } = terms[kind];
    return operation(
      z.strictObject({
        [name]: z.string(),
        SkipFinalSnapshot: flag,
        DeleteAutomatedBackups: flag,
      }) as unknown as z.ZodType<Readonly<Record<string, string | undefined>>>,
      (input) => {
        const server = this.#options.find(kind, input[name] ?? '');
        const member = server.clusterIdentifier;
        if (server.attributes['DeletionProtection'] === true) {
          throw badCombination(
            'Cannot delete a protected server, please disable deletion protection.',
          );
        }
        if (member === undefined && input['SkipFinalSnapshot'] !== 'true') {
          throw badCombination('FinalDBSnapshotIdentifier is required unless it is skipped.');
        }
        const isAlive = (it: Server) =>
          it.clusterIdentifier === server.identifier && it.status !== 'deleting';
        if (kind === 'cluster' && [...this.#options.servers.values()].some(isAlive)) {
          throw new ServiceError(
            serverState,
            'Cluster cannot be deleted, it still contains DB instances in non-deleting state.',
          );
        }
        if (server.status === 'deleting') {
          throw new ServiceError(serverState, `${server.identifier} is already being deleted.`);
        }
        const home = member === undefined ? server : this.#options.find('cluster', member);
        const restored = this.#restored.get(home);
        if (!restored) {
          // Somebody's own server, which only was made known to us.
          throw new ServiceError(serverState, `${server.identifier} was not restored here.`);
        }
        server.status = 'deleting';
        void this.#delete(server, restored);
        return { [serverName]: this.#options.describe(server) };
      },
    );
  }

  #isMember(server: Server, { kind, identifier }: Server): boolean {
    return kind === 'cluster' && server.clusterIdentifier === identifier;
  }

  async #delete(server: Server, restored: Restored): Promise<void> {
    await restored.making;
    if (server.clusterIdentifier === undefined) {
      await this.#discard(restored);
    } else {
      await restored.running?.stop();
      this.#options.servers.delete(server.arn);
    }
  }

  async #discard(restored: Restored): Promise<void> {
    const { server } = restored;
    await restored.making;
    await restored.running?.stop();
    this.#restored.delete(server);
    if (server.masterSecret) this.#options.secrets.deleteSecret(server.masterSecret.name);
    for (const it of this.#options.servers.values()) {
      if (it === server || this.#isMember(it, server)) this.#options.servers.delete(it.arn);
    }
    await rm(restored.directory, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}
