import type {
  ServerKind,
  ServerOrigin,
  ServerRestoreInput,
  ServerSnapshot,
  SourceServer,
} from '#contracts/restore-server.ts';
import {
  checkSnapshot,
  latestSnapshot,
  pointInTimeOrigin,
  type SoughtServer,
  snapshotOrigin,
} from '#domain/restore/server-origin.ts';
import { InvalidInput, SnapshotNotFound } from '#errors';
import type { Deps } from '#runtime/ports.ts';

/** What a plan of this kind is about, at RDS. */
const ENGINES = { instance: 'postgres', cluster: 'aurora-postgresql' } as const;

export interface SoughtKind extends SoughtServer {
  readonly kind: ServerKind;
  readonly engine: string;
}

/** The server of a source as it is now, if it still is. Throws InvalidInput for another engine. */
export async function findServerSource(
  { servers }: Pick<Deps, 'servers'>,
  source: string,
  kind: ServerKind,
  identifier: string,
): Promise<{ server: SourceServer | undefined; sought: SoughtKind }> {
  const server = await servers.describe(kind, identifier);
  const engine = ENGINES[kind];
  if (server && server.engine !== engine) {
    throw new InvalidInput(`${identifier} is of the engine ${server.engine}, not ${engine}`, {
      remedy: 'restore it in the RDS console: this works for RDS instances and Aurora clusters',
    });
  }
  const resourceId = server?.resourceId ?? null;
  return { server, sought: { source, identifier, resourceId, kind, engine } };
}

export interface FoundOrigin {
  readonly origin: ServerOrigin;
  readonly snapshot: ServerSnapshot | undefined;
  readonly warnings: readonly string[];
}

/**
 * The snapshot or the point in time that is asked for. Throws SnapshotNotFound, ServerRestoreFailed, InvalidInput.
 */
export async function findOrigin(
  { servers }: Pick<Deps, 'servers'>,
  {
    snapshot: wanted,
    pointInTime = 'latest',
  }: Pick<ServerRestoreInput, 'snapshot' | 'pointInTime'>,
  sought: SoughtKind,
): Promise<FoundOrigin> {
  const { kind, identifier, source } = sought;
  if (wanted === undefined) {
    const window = await servers.restoreWindow(kind, identifier);
    const origin = pointInTimeOrigin(window, pointInTime, sought);
    return { origin, snapshot: undefined, warnings: [] };
  }
  const snapshot =
    wanted === 'latest'
      ? latestSnapshot(await servers.listSnapshots(kind, identifier), sought)
      : await servers.findSnapshot(kind, wanted);
  if (!snapshot) {
    throw new SnapshotNotFound(`RDS has no snapshot ${wanted} of ${ofKind[kind]} in this region`, {
      remedy: `write "snapshot":"latest" for the newest one of ${source}, or an id that RDS lists`,
    });
  }
  const warnings = checkSnapshot(snapshot, sought);
  return { origin: snapshotOrigin(snapshot), snapshot, warnings };
}

const ofKind = { instance: 'an instance', cluster: 'a cluster' } as const;
