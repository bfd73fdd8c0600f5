import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as z from 'zod';
import type { EventBus } from './event-bus.ts';
import { type Operations, operation, page } from './operation.ts';
import { RdsBackups } from './rds-backups.ts';
import { describeServer, describeSnapshot, ordinaryAttributes } from './rds-description.ts';
import {
  badValue,
  engineOf,
  Filters,
  flag,
  type Kind,
  list,
  Paging,
  type RegisteredServer,
  type Server,
  type Snapshot,
  type SnapshotType,
  Tag,
  tagList,
  terms,
} from './rds-model.ts';
import { RdsRestores } from './rds-restores.ts';
import type { SecretsManager } from './secrets-manager.ts';
import { ServiceError } from './service-error.ts';

export type { RegisteredServer } from './rds-model.ts';

export interface RdsOptions {
  readonly account: string;
  readonly region: string;
  readonly bus: EventBus;
  /** Where the passwords go that RDS makes itself. */
  readonly secrets: SecretsManager;
  /** The copies of snapshots lie here, and in `.servers`, which no snapshot can be called, those of restores. */
  readonly snapshotDirectory: string;
}

/** API reference, CreateDBSnapshot: first a letter, then letters, digits and single hyphens. */
const SnapshotId = z
  .string()
  .regex(/^(?!.*--)[A-Za-z][A-Za-z0-9-]{0,254}(?<!-)$/)
  .toLowerCase();

/**
 * RDS: servers are registered from inside, snapshots are copies of their data on disk, and what is restored
 * from them are real servers on further copies.
 */
export class Rds {
  readonly operations: Operations;
  /** Of manual snapshots; instances and clusters count apart. */
  snapshotQuota = 100;
  readonly restores: RdsRestores;
  readonly #backups: RdsBackups;
  readonly #options: RdsOptions;
  readonly #servers = new Map<string, Server>();
  readonly #snapshots = new Map<string, Snapshot>();
  readonly #copies = new Set<Promise<void>>();

  constructor(options: RdsOptions) {
    this.#options = options;
    this.#backups = new RdsBackups(this.#servers);
    this.restores = new RdsRestores({
      secrets: options.secrets,
      backups: this.#backups,
      directory: join(options.snapshotDirectory, '.servers'),
      servers: this.#servers,
      arnOf: (kind, identifier) => this.#arn(terms[kind].serverArnType, identifier),
      find: (kind, identifier) => this.#server(kind, identifier),
      describe: (server) => this.#describeServer(server),
      findSnapshot: (kind, id) => this.#snapshotOf(kind, id),
      snapshots: () => this.#snapshots.values(),
    });
    this.operations = {
      ...this.#backups.operations,
      ...this.restores.operations,
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
      /** Default `manual`; the names of the others begin with `rds:` or `awsbackup:`. */
      readonly type?: SnapshotType;
    },
  ): void {
    const { snapshotId, type = 'manual' } = request;
    const snapshot = this.#newSnapshot(kind, snapshotId, this.#server(kind, request.server), type);
    for (const [key, value] of Object.entries(request.tags ?? {})) snapshot.tags.set(key, value);
    snapshot.createTime = request.createTime;
    snapshot.status = 'available';
    this.#snapshots.set(snapshot.arn, snapshot);
  }

  /** What RDS does by itself once a day. Answers with the snapshot's id when its data are copied. */
  async takeAutomatedSnapshot(kind: Kind, identifier: string): Promise<string> {
    const minute = new Date().toISOString().slice(0, 16).replace(/[T:]/g, '-');
    const server = this.#server(kind, identifier);
    const snapshot = this.#newSnapshot(kind, `rds:${identifier}-${minute}`, server, 'automated');
    this.#snapshots.set(snapshot.arn, snapshot);
    await this.#track(this.#copy(snapshot));
    return snapshot.id;
  }

  /** Where the copy of an available snapshot lies. */
  snapshotDirectory(snapshotId: string): string | undefined {
    return this.snapshots().find(({ id, status }) => id === snapshotId && status === 'available')
      ?.directory;
  }

  snapshots(): readonly Pick<Snapshot, 'kind' | 'id' | 'arn' | 'status' | 'directory'>[] {
    return [...this.#snapshots.values()];
  }

  /**
   * Waits for copies that are being made, as they cannot be stopped half-way; ten seconds at most. Stops and
   * deletes the servers that were restored.
   */
  async close(): Promise<void> {
    const timeUp = new AbortController();
    const patience = sleep(10_000, undefined, { signal: timeUp.signal }).catch(() => undefined);
    await Promise.race([Promise.all(this.#copies), patience]);
    timeUp.abort();
    await this.restores.close();
  }

  #operationsOf(kind: Kind): Operations {
    const { prefix, serverName } = terms[kind];
    const named = <Shape extends z.ZodRawShape>(shape: Shape) =>
      z.preprocess((input) => renameIdentifiers(kind, input as object), z.strictObject(shape));
    const one = (snapshot: Snapshot) => ({ [`${prefix}Snapshot`]: describeSnapshot(snapshot) });
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
          return { Marker: next, [`${prefix}Snapshots`]: items.map(describeSnapshot) };
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
    const { identifier, engineVersion, host, port } = server;
    const arn = this.#arn(terms[kind].serverArnType, identifier);
    const ordinary = ordinaryAttributes(kind, engineVersion, clusterIdentifier !== undefined);
    this.#servers.set(arn, {
      kind,
      identifier,
      arn,
      resourceId: resourceIdOf(kind, arn),
      engineVersion,
      allocatedGiB: server.allocatedGiB ?? 20,
      clusterIdentifier,
      attributes: { ...ordinary, ...server.attributes },
      tags: new Map(Object.entries(server.tags ?? {})),
      created: new Date(),
      status: server.status ?? 'available',
      masterSecret: undefined,
      endpoint: { host, port },
      data: server,
    });
  }

  #arn(type: string, name: string): string {
    const { region, account } = this.#options;
    return `arn:aws:rds:${region}:${account}:${type}:${name}`;
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
      throw badValue(
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
    const taken = [...this.#snapshots.values()].filter(
      (it) => it.kind === kind && it.type === 'manual',
    ).length;
    if (taken >= this.snapshotQuota) {
      throw new ServiceError(
        quota,
        `Cannot create more than ${this.snapshotQuota} manual snapshots`,
      );
    }
    for (const { Key, Value } of tags) snapshot.tags.set(Key, Value);
    this.#snapshots.set(snapshot.arn, snapshot);
    void this.#track(this.#copy(snapshot));
    return snapshot;
  }

  #track(copy: Promise<void>): Promise<void> {
    this.#copies.add(copy);
    return copy.finally(() => this.#copies.delete(copy));
  }

  #newSnapshot(kind: Kind, id: string, server: Server, type: SnapshotType = 'manual'): Snapshot {
    return {
      kind,
      type,
      id,
      arn: this.#arn(terms[kind].arnType, id),
      server,
      directory: join(this.#options.snapshotDirectory, id.replaceAll(':', '_')),
      tags: new Map(),
      status: 'creating',
    };
  }

  /** Never rejects. */
  async #copy(snapshot: Snapshot): Promise<void> {
    await Promise.resolve(); // the answer of Create still has no time of creation, as the real one
    snapshot.createTime = new Date();
    try {
      await snapshot.server.data.copy({ snapshotId: snapshot.id, destination: snapshot.directory });
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
    await snapshot.server.data.deleteCopy(snapshot.directory);
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
        hasType(it, wanted) &&
        (id === undefined || it.id === id || it.arn === wanted.id) &&
        (wanted.server ?? it.server.identifier) === it.server.identifier,
    );
    if (wanted.id !== undefined && found.length === 0) {
      throw new ServiceError(terms[kind].snapshotNotFound, `${wanted.id} not found.`, 404);
    }
    return found;
  }

  /** One that is to be restored: by its id or ARN, whatever its type. */
  #snapshotOf(kind: Kind, id: string): Snapshot {
    const type = /(^|:)(rds|awsbackup):/.exec(id.replace(/^arn:aws:rds:/, ''))?.[2];
    const [snapshot] = this.#findSnapshots(kind, { id, type: type === 'rds' ? 'automated' : type });
    if (snapshot) return snapshot;
    throw new ServiceError(terms[kind].snapshotNotFound, `${id} not found.`, 404);
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

  #describeServer(server: Server): object {
    const members = [...this.#servers.values()].filter(
      (it) => server.kind === 'cluster' && it.clusterIdentifier === server.identifier,
    );
    return describeServer(server, { members, window: this.#backups.windowOf(server) });
  }
}

/** By the API reference: manual and automated ones, and an automated one by its id only with its type. */
function hasType(
  { type }: Snapshot,
  wanted: { id?: string | undefined; type?: string | undefined },
): boolean {
  if (wanted.type !== undefined) return wanted.type === type;
  return type === 'manual' || (type === 'automated' && wanted.id === undefined);
}

/** Format: `db-` or `cluster-` and 26 capitals; the same for the same server. */
function resourceIdOf(kind: Kind, arn: string): string {
  const digest = createHash('sha256').update(arn).digest('hex').slice(0, 26).toUpperCase();
  return `${kind === 'cluster' ? 'cluster' : 'db'}-${digest}`;
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

function parseSnapshotId(value: unknown): string {
  const parsed = SnapshotId.safeParse(value);
  if (parsed.success) return parsed.data;
  throw badValue(`The snapshot identifier ${JSON.stringify(value)} is not a valid identifier.`);
}

/** The filters that we know; another one throws, as it would change the result. */
function passes(
  snapshot: Snapshot,
  filters: readonly { readonly Name: string; readonly Values: readonly string[] }[],
): boolean {
  const { id, server, kind, type } = snapshot;
  const values: Readonly<Record<string, string>> = {
    'snapshot-type': type,
    engine: engineOf(kind),
    ...(kind === 'cluster'
      ? { 'db-cluster-id': server.identifier, 'db-cluster-snapshot-id': id }
      : { 'db-instance-id': server.identifier, 'db-snapshot-id': id }),
  };
  return filters.every(({ Name, Values }) => {
    const value = values[Name];
    if (value !== undefined) return Values.includes(value);
    throw badValue(`Unrecognized filter name: ${Name}`);
  });
}
