import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import type { EventBus } from './event-bus.ts';
import { type Operations, operation, page } from './operation.ts';
import { ServiceError } from './service-error.ts';

/** A database server that can be snapshotted. The callbacks copy its real data directory. */
export interface RegisteredServer {
  readonly identifier: string;
  readonly engineVersion: string;
  readonly host: string;
  readonly port: number;
  readonly allocatedGiB?: number;
  /** Default `available`. */
  readonly status?: string;
  /** Copies the server's data; a rejection makes the snapshot `failed`. */
  readonly copy: (request: {
    readonly snapshotId: string;
    /** A path that does not exist yet. */
    readonly destination: string;
  }) => Promise<unknown>;
  readonly deleteCopy: (destination: string) => Promise<void>;
}

type Kind = 'instance' | 'cluster';

interface Server extends RegisteredServer {
  readonly kind: Kind;
  readonly arn: string;
  readonly created: Date;
  /** Instances of an Aurora cluster. */
  readonly clusterIdentifier?: string | undefined;
  status: string;
}

interface Snapshot {
  readonly kind: Kind;
  readonly id: string;
  readonly arn: string;
  readonly server: Server;
  readonly directory: string;
  readonly tags: Map<string, string>;
  createTime?: Date;
  status: 'creating' | 'available' | 'failed' | 'deleted';
}

export interface RdsOptions {
  readonly account: string;
  readonly region: string;
  readonly bus: EventBus;
  readonly snapshotDirectory: string;
}

/** Names and codes that differ between snapshots of instances and of clusters. */
const terms = {
  instance: {
    prefix: 'DB',
    arnType: 'snapshot',
    serverArnType: 'db',
    snapshotNotFound: 'DBSnapshotNotFound',
    snapshotExists: 'DBSnapshotAlreadyExists',
    snapshotState: 'InvalidDBSnapshotState',
    serverNotFound: 'DBInstanceNotFound',
    serverState: 'InvalidDBInstanceState',
    serverName: 'DBInstance',
    quota: 'SnapshotQuotaExceeded',
  },
  cluster: {
    prefix: 'DBCluster',
    arnType: 'cluster-snapshot',
    serverArnType: 'cluster',
    snapshotNotFound: 'DBClusterSnapshotNotFoundFault',
    snapshotExists: 'DBClusterSnapshotAlreadyExistsFault',
    snapshotState: 'InvalidDBClusterSnapshotStateFault',
    serverNotFound: 'DBClusterNotFoundFault',
    serverState: 'InvalidDBClusterStateFault',
    serverName: 'DBCluster',
    quota: 'SnapshotQuotaExceeded',
  },
} as const;

/** An empty list comes as an empty text in the query protocol. */
const list = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => (value === '' ? [] : value), z.array(item)).optional();
const Tag = z.strictObject({
  Key: z.string().min(1).max(128),
  Value: z.string().max(256).default(''),
});
const Filters = list(z.strictObject({ Name: z.string(), Values: z.array(z.string()) }));
const flag = z.enum(['true', 'false']).optional();
const Paging = {
  MaxRecords: z.coerce.number().int().min(20).max(100).default(100),
  Marker: z.string().optional(),
};

/** API reference, CreateDBSnapshot: first a letter, then letters, digits and single hyphens. */
const SnapshotId = z
  .string()
  .regex(/^(?!.*--)[A-Za-z][A-Za-z0-9-]{0,254}(?<!-)$/)
  .toLowerCase();

/** RDS: servers are registered from inside, snapshots are copies of their data on disk. */
export class Rds {
  readonly operations: Operations;
  /** Of manual snapshots; instances and clusters count apart. */
  snapshotQuota = 100;
  readonly #options: RdsOptions;
  readonly #servers = new Map<string, Server>();
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #copies = new Set<Promise<void>>();

  constructor(options: RdsOptions) {
    this.#options = options;
    this.operations = {
      ...this.#operationsOf('instance'),
      ...this.#operationsOf('cluster'),
      ListTagsForResource: operation(
        z.strictObject({ ResourceName: z.string(), Filters }),
        ({ ResourceName }) => ({ TagList: tagList(this.#byArn(ResourceName).tags) }),
      ),
      AddTagsToResource: operation(
        z.strictObject({ ResourceName: z.string(), Tags: z.array(Tag) }),
        ({ ResourceName, Tags }) => {
          const { tags } = this.#byArn(ResourceName);
          for (const { Key, Value } of Tags) tags.set(Key, Value);
          return {};
        },
      ),
    };
  }

  /** `cluster`: the Aurora cluster that it belongs to; such an instance takes no snapshots itself. */
  registerInstance(server: RegisteredServer & { readonly cluster?: string }): void {
    this.#register('instance', server, server.cluster);
  }

  registerCluster(server: RegisteredServer): void {
    this.#register('cluster', server);
  }

  setServerStatus(kind: Kind, identifier: string, status: string): void {
    this.#server(kind, identifier).status = status;
  }

  /** Makes a snapshot known that nobody took here, e.g. one of somebody else. */
  addSnapshot(
    kind: Kind,
    request: {
      readonly snapshotId: string;
      readonly server: string;
      readonly tags?: Readonly<Record<string, string>>;
      readonly createTime: Date;
    },
  ): void {
    const snapshot = this.#newSnapshot(
      kind,
      request.snapshotId,
      this.#server(kind, request.server),
    );
    for (const [key, value] of Object.entries(request.tags ?? {})) snapshot.tags.set(key, value);
    snapshot.createTime = request.createTime;
    snapshot.status = 'available';
    this.#snapshots.set(snapshot.arn, snapshot);
  }

  /** Where the copy of an available snapshot lies. */
  snapshotDirectory(snapshotId: string): string | undefined {
    return this.snapshots().find(({ id, status }) => id === snapshotId && status === 'available')
      ?.directory;
  }

  snapshots(): readonly Pick<Snapshot, 'kind' | 'id' | 'arn' | 'status' | 'directory'>[] {
    return [...this.#snapshots.values()];
  }

  /** Waits for copies that are being made, as they cannot be stopped half-way; ten seconds at most. */
  async close(): Promise<void> {
    const timeUp = new AbortController();
    const patience = sleep(10_000, undefined, { signal: timeUp.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#copies), patience]);
    timeUp.abort();
  }

  #operationsOf(kind: Kind): Operations {
    const { prefix, serverName } = terms[kind];
    const named = <Shape extends z.ZodRawShape>(shape: Shape) =>
      z.preprocess((input) => renameIdentifiers(kind, input as object), z.strictObject(shape));
    const one = (snapshot: Snapshot) => ({ [`${prefix}Snapshot`]: this.#describe(snapshot) });
    return {
      [`Create${prefix}Snapshot`]: operation(
        named({ snapshotId: z.string(), serverId: z.string(), Tags: list(Tag) }),
        ({ snapshotId, serverId, Tags }) =>
          one(this.#create(kind, parseSnapshotId(snapshotId), serverId, Tags ?? [])),
      ),
      [`Delete${prefix}Snapshot`]: operation(
        named({ snapshotId: z.string() }),
        async ({ snapshotId }) => one(await this.#delete(kind, snapshotId)),
      ),
      [`Describe${prefix}Snapshots`]: operation(
        named({
          snapshotId: z.string().optional(),
          serverId: z.string().optional(),
          SnapshotType: z.string().optional(),
          IncludeShared: flag,
          IncludePublic: flag,
          Filters,
          ...Paging,
        }),
        ({ snapshotId, serverId, SnapshotType, Filters: filters, MaxRecords, Marker }) => {
          const wanted = { id: snapshotId, server: serverId, type: SnapshotType };
          const found = this.#findSnapshots(kind, wanted).filter((it) => passes(it, filters ?? []));
          const { items, next } = page(found, Marker, MaxRecords);
          return { Marker: next, [`${prefix}Snapshots`]: items.map((it) => this.#describe(it)) };
        },
      ),
      [`Describe${serverName}s`]: operation(
        named({ serverId: z.string().optional(), ...Paging }),
        ({ serverId, MaxRecords, Marker }) => {
          const all = [...this.#servers.values()].filter((server) => server.kind === kind);
          const found = serverId === undefined ? all : [this.#server(kind, serverId)];
          const { items, next } = page(found, Marker, MaxRecords);
          return { Marker: next, [`${serverName}s`]: items.map((it) => this.#describeServer(it)) };
        },
      ),
    };
  }

  #register(kind: Kind, server: RegisteredServer, clusterIdentifier?: string): void {
    const { region, account } = this.#options;
    const arn = `arn:aws:rds:${region}:${account}:${terms[kind].serverArnType}:${server.identifier}`;
    this.#servers.set(arn, {
      ...server,
      kind,
      arn,
      clusterIdentifier,
      created: new Date(),
      status: server.status ?? 'available',
    });
  }

  #create(
    kind: Kind,
    id: string,
    serverId: string,
    tags: readonly { Key: string; Value: string }[],
  ): Snapshot {
    const { snapshotExists, serverState, quota } = terms[kind];
    const server = this.#server(kind, serverId);
    if (server.clusterIdentifier !== undefined) {
      throw new ServiceError(
        'InvalidParameterValue',
        'The specified instance is a member of a cluster and a snapshot cannot be created directly. Please use the CreateDBClusterSnapshot API instead.',
      );
    }
    if (server.status !== 'available') {
      throw new ServiceError(serverState, `${serverId} is not in the available state.`);
    }
    const snapshot = this.#newSnapshot(kind, id, server);
    if (this.#snapshots.has(snapshot.arn)) {
      throw new ServiceError(
        snapshotExists,
        `Cannot create the snapshot because a snapshot with the identifier ${id} already exists.`,
      );
    }
    const taken = [...this.#snapshots.values()].filter((it) => it.kind === kind).length;
    if (taken >= this.snapshotQuota) {
      throw new ServiceError(
        quota,
        `Cannot create more than ${this.snapshotQuota} manual snapshots`,
      );
    }
    for (const { Key, Value } of tags) snapshot.tags.set(Key, Value);
    this.#snapshots.set(snapshot.arn, snapshot);
    const copy = this.#copy(snapshot);
    this.#copies.add(copy);
    void copy.finally(() => this.#copies.delete(copy));
    return snapshot;
  }

  #newSnapshot(kind: Kind, id: string, server: Server): Snapshot {
    const { region, account, snapshotDirectory } = this.#options;
    return {
      kind,
      id,
      arn: `arn:aws:rds:${region}:${account}:${terms[kind].arnType}:${id}`,
      server,
      directory: join(snapshotDirectory, id),
      tags: new Map(),
      status: 'creating',
    };
  }

  /** Never rejects. */
  async #copy(snapshot: Snapshot): Promise<void> {
    await Promise.resolve(); // the answer of Create still has no time of creation, as the real one
    snapshot.createTime = new Date();
    try {
      await snapshot.server.copy({ snapshotId: snapshot.id, destination: snapshot.directory });
      snapshot.status = 'available';
    } catch {
      snapshot.status = 'failed';
    }
    const cluster = snapshot.kind === 'cluster';
    this.#options.bus.put({
      source: 'aws.rds',
      'detail-type': `RDS DB ${cluster ? 'Cluster ' : ''}Snapshot Event`,
      resources: [snapshot.arn],
      detail: {
        SourceIdentifier: snapshot.id,
        SourceArn: snapshot.arn,
        SourceType: cluster ? 'CLUSTER_SNAPSHOT' : 'SNAPSHOT',
        Message:
          snapshot.status === 'available' ? 'Manual snapshot created' : 'Manual snapshot failed',
      },
    });
  }

  async #delete(kind: Kind, id: string): Promise<Snapshot> {
    const [snapshot] = this.#findSnapshots(kind, { id });
    if (!snapshot || snapshot.status === 'creating') {
      throw new ServiceError(
        terms[kind].snapshotState,
        `The snapshot ${id} is still being created.`,
      );
    }
    await snapshot.server.deleteCopy(snapshot.directory);
    snapshot.status = 'deleted';
    this.#snapshots.delete(snapshot.arn);
    return snapshot;
  }

  /** Throws where an identifier is given that does not exist; a server without snapshots has none. */
  #findSnapshots(
    kind: Kind,
    wanted: { id?: string | undefined; server?: string | undefined; type?: string | undefined },
  ): Snapshot[] {
    const id = wanted.id?.toLowerCase();
    const found = [...this.#snapshots.values()].filter(
      (it) =>
        it.kind === kind &&
        // Every snapshot here is a manual one.
        (wanted.type ?? 'manual') === 'manual' &&
        (id === undefined || it.id === id || it.arn === wanted.id) &&
        (wanted.server ?? it.server.identifier) === it.server.identifier,
    );
    if (wanted.id !== undefined && found.length === 0) {
      throw new ServiceError(terms[kind].snapshotNotFound, `${wanted.id} not found.`, 404);
    }
    return found;
  }

  #server(kind: Kind, identifier: string): Server {
    const found = [...this.#servers.values()].find(
      (it) => it.kind === kind && it.identifier === identifier.toLowerCase(),
    );
    if (found) return found;
    const { serverNotFound, serverName } = terms[kind];
    throw new ServiceError(serverNotFound, `${serverName} ${identifier} not found.`, 404);
  }

  #byArn(arn: string): Snapshot {
    const snapshot = this.#snapshots.get(arn);
    if (snapshot) return snapshot;
    const kind = arn.includes(':cluster-snapshot:') ? 'cluster' : 'instance';
    throw new ServiceError(terms[kind].snapshotNotFound, `${arn} not found.`, 404);
  }

  #describe(snapshot: Snapshot): object {
    const { kind, id, arn, server, status, createTime, tags } = snapshot;
    const { prefix, serverName } = terms[kind];
    return {
      [`${prefix}SnapshotIdentifier`]: id,
      [`${prefix}SnapshotArn`]: arn,
      [`${serverName}Identifier`]: server.identifier,
      SnapshotCreateTime: createTime,
      Engine: engineOf(kind),
      EngineVersion: server.engineVersion,
      AllocatedStorage: server.allocatedGiB ?? 20,
      Status: status,
      Port: server.port,
      SnapshotType: 'manual',
      PercentProgress: status === 'available' ? 100 : 0,
      TagList: tagList(tags),
    };
  }

  #describeServer(server: Server): object {
    const shared = {
      Engine:
        server.kind === 'cluster' || server.clusterIdentifier ? 'aurora-postgresql' : 'postgres',
      EngineVersion: server.engineVersion,
      AllocatedStorage: server.allocatedGiB ?? 20,
      TagList: [],
    };
    if (server.kind === 'cluster') {
      return {
        ...shared,
        DBClusterIdentifier: server.identifier,
        DBClusterArn: server.arn,
        Status: server.status,
        Endpoint: server.host,
        Port: server.port,
        ClusterCreateTime: server.created,
        DBClusterMembers: [...this.#servers.values()]
          .filter((it) => it.clusterIdentifier === server.identifier)
          .map((it) => ({ DBInstanceIdentifier: it.identifier, IsClusterWriter: true })),
      };
    }
    return {
      ...shared,
      DBInstanceIdentifier: server.identifier,
      DBInstanceArn: server.arn,
      DBInstanceStatus: server.status,
      DBClusterIdentifier: server.clusterIdentifier,
      Endpoint: { Address: server.host, Port: server.port },
      InstanceCreateTime: server.created,
    };
  }
}

/** `DBSnapshotIdentifier` and `DBClusterSnapshotIdentifier` become `snapshotId`, and so for servers. */
function renameIdentifiers(kind: Kind, input: object): object {
  const { prefix, serverName } = terms[kind];
  const names: Readonly<Record<string, string>> = {
    [`${prefix}SnapshotIdentifier`]: 'snapshotId',
    [`${serverName}Identifier`]: 'serverId',
  };
  return Object.fromEntries(
    Object.entries(input).map(([name, value]) => [names[name] ?? name, value]),
  );
}

function engineOf(kind: Kind): string {
  return kind === 'cluster' ? 'aurora-postgresql' : 'postgres';
}

function parseSnapshotId(value: unknown): string {
  const parsed = SnapshotId.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new ServiceError(
    'InvalidParameterValue',
    `The snapshot identifier ${JSON.stringify(value)} is not a valid identifier.`,
  );
}

/** The filters that we know; another one throws, as it would change the result. */
function passes(
  snapshot: Snapshot,
  filters: readonly { readonly Name: string; readonly Values: readonly string[] }[],
): boolean {
  const { id, server, kind } = snapshot;
  const values: Readonly<Record<string, string>> = {
    'snapshot-type': 'manual',
    engine: engineOf(kind),
    ...(kind === 'cluster'
      ? { 'db-cluster-id': server.identifier, 'db-cluster-snapshot-id': id }
      : { 'db-instance-id': server.identifier, 'db-snapshot-id': id }),
  };
  return filters.every(({ Name, Values }) => {
    const value = values[Name];
    if (value !== undefined) return Values.includes(value);
    throw new ServiceError('InvalidParameterValue', `Unrecognized filter name: ${Name}`);
  });
}

function tagList(tags: ReadonlyMap<string, string>): object[] {
  return [...tags].map(([Key, Value]) => ({ Key, Value }));
}
