import * as z from 'zod';
import { ServiceError } from './service-error.ts';

/** What the parts of the local RDS share: its servers and snapshots, its names and its limits. */

export type Kind = 'instance' | 'cluster';

/** The user that RDS calls master, of every server here. */
export const MASTER_USER = 'postgres';

/** What can be done with the data of a server. Each path is one that does not exist yet. */
export interface ServerData {
  /** Copies the running server's data; a rejection makes the snapshot `failed`. */
  readonly copy: (request: {
    readonly snapshotId: string;
    readonly destination: string;
  }) => Promise<unknown>;
  readonly deleteCopy: (destination: string) => Promise<void>;
  /** Copies a copy, as a server changes what it runs on. */
  readonly clone?: (request: {
    readonly from: string;
    readonly destination: string;
  }) => Promise<unknown>;
  /** Starts a server on a copy. Without it and `clone` a restore fails. */
  readonly serve?: (request: { readonly dataDirectory: string }) => Promise<ServedCopy>;
}

export interface ServedCopy extends ServerData {
  readonly host: string;
  readonly port: number;
  /** Gives its superuser {@link MASTER_USER} another password. */
  setPassword(password: string): Promise<void>;
  stop(): Promise<void>;
}

/** A database server that can be snapshotted and restored. The callbacks work on its real data directory. */
export interface RegisteredServer extends ServerData {
  readonly identifier: string;
  readonly engineVersion: string;
  readonly host: string;
  readonly port: number;
  readonly allocatedGiB?: number;
  /** Default `available`. */
  readonly status?: string;
  readonly tags?: Readonly<Record<string, string>>;
  /** Members of DBInstance or DBCluster that differ from those of an ordinary new server. */
  readonly attributes?: Readonly<Record<string, unknown>>;
}

export interface Server {
  readonly kind: Kind;
  readonly identifier: string;
  readonly arn: string;
  readonly resourceId: string;
  readonly engineVersion: string;
  readonly allocatedGiB: number;
  readonly created: Date;
  /** Of an instance in an Aurora cluster. */
  readonly clusterIdentifier: string | undefined;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly tags: ReadonlyMap<string, string>;
  status: string;
  /** Of its master user, where RDS manages the password. */
  masterSecret: { readonly arn: string; readonly name: string; isActive: boolean } | undefined;
  /** Undefined while it is being made. */
  endpoint: { readonly host: string; readonly port: number } | undefined;
  data: ServerData;
}

export type SnapshotType = 'manual' | 'automated' | 'awsbackup';

export interface Snapshot {
  readonly kind: Kind;
  readonly type: SnapshotType;
  readonly id: string;
  readonly arn: string;
  readonly server: Server;
  readonly directory: string;
  readonly tags: Map<string, string>;
  createTime?: Date;
  status: 'creating' | 'available' | 'failed' | 'deleted';
}

/** Names and codes that differ between instances and clusters. */
export const terms = {
  instance: {
    prefix: 'DB',
    arnType: 'snapshot',
    serverArnType: 'db',
    snapshotNotFound: 'DBSnapshotNotFound',
    snapshotExists: 'DBSnapshotAlreadyExists',
    snapshotState: 'InvalidDBSnapshotState',
    serverNotFound: 'DBInstanceNotFound',
    serverExists: 'DBInstanceAlreadyExists',
    serverState: 'InvalidDBInstanceState',
    serverName: 'DBInstance',
    quota: 'SnapshotQuotaExceeded',
    serverQuota: 'InstanceQuotaExceeded',
    /** Where RDS gives up on a restore. */
    lost: 'incompatible-restore',
  },
  cluster: {
    prefix: 'DBCluster',
    arnType: 'cluster-snapshot',
    serverArnType: 'cluster',
    snapshotNotFound: 'DBClusterSnapshotNotFoundFault',
    snapshotExists: 'DBClusterSnapshotAlreadyExistsFault',
    snapshotState: 'InvalidDBClusterSnapshotStateFault',
    serverNotFound: 'DBClusterNotFoundFault',
    serverExists: 'DBClusterAlreadyExistsFault',
    serverState: 'InvalidDBClusterStateFault',
    serverName: 'DBCluster',
    quota: 'SnapshotQuotaExceeded',
    serverQuota: 'DBClusterQuotaExceededFault',
    lost: 'failed',
  },
} as const;

/** An empty list comes as an empty text in the query protocol. */
export const list = <Item extends z.ZodType>(item: Item) =>
  z.preprocess((value) => (value === '' ? [] : value), z.array(item)).optional();
export const Tag = z.strictObject({
  Key: z.string().min(1).max(128),
  Value: z.string().max(256).default(''),
});
export const Filters = list(z.strictObject({ Name: z.string(), Values: z.array(z.string()) }));
export const flag = z.enum(['true', 'false']).optional();
export const Paging = {
  MaxRecords: z.coerce.number().int().min(20).max(100).default(100),
  Marker: z.string().optional(),
};

export function engineOf(kind: Kind): string {
  return kind === 'cluster' ? 'aurora-postgresql' : 'postgres';
}

export function tagList(tags: ReadonlyMap<string, string>): object[] {
  return [...tags].map(([Key, Value]) => ({ Key, Value }));
}

export function badValue(message: string): ServiceError {
  return new ServiceError('InvalidParameterValue', message);
}

export function badCombination(message: string): ServiceError {
  return new ServiceError('InvalidParameterCombination', message);
}
