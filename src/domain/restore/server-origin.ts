import type { RestoreWindow, ServerOrigin, ServerSnapshot } from '#contracts/restore-server.ts';
import { InvalidInput, ServerRestoreFailed, SnapshotNotFound } from '#errors';
import { isOurs, SNAPSHOT_TAG } from '../snapshot-tags.ts';

/** Whose snapshots, or point in time, are asked for. */
export interface SoughtServer {
  readonly source: string;
  readonly identifier: string;
  /** Of the server that has the identifier now; a snapshot of a renamed one has the same. */
  readonly resourceId: string | null;
}

/**
 * The newest available snapshot of a source, whoever took it: by our tags, else of its server.
 * Throws SnapshotNotFound.
 */
export function latestSnapshot(
  snapshots: readonly ServerSnapshot[],
  sought: SoughtServer,
): ServerSnapshot {
  const own = snapshots.filter((snapshot) => isOf(snapshot, sought));
  const [newest] = own
    .filter(({ status }) => status === 'available')
    .toSorted((a, b) => (b.createdAt?.getTime() ?? 0) - (a.createdAt?.getTime() ?? 0));
  if (newest) return newest;
  throw new SnapshotNotFound(
    own.length === 0
      ? `${sought.source} has no snapshot: neither one of ours nor an automated one of ${sought.identifier}`
      : `none of the ${own.length} snapshots of ${sought.source} is available yet`,
    { remedy: 'restore a point in time, or a database from its archive' },
  );
}

function isOf(
  { tags, serverIdentifier, resourceId }: ServerSnapshot,
  { source, identifier, resourceId: current }: SoughtServer,
): boolean {
  if (isOurs(tags, source)) return true;
  if (tags[SNAPSHOT_TAG.managed] === 'true') return false; // another source's
  return serverIdentifier === identifier || (resourceId !== null && resourceId === current);
}

/**
 * Whether a snapshot that was named can be restored for the source. One of another server is allowed, as
 * servers get other names and accounts other snapshots, but it is said.
 * Throws SnapshotNotFound for one that we took of another source, ServerRestoreFailed for one that is not
 * available, InvalidInput for another engine.
 */
export function checkSnapshot(
  snapshot: ServerSnapshot,
  sought: SoughtServer & { readonly engine: string },
): string[] {
  const { snapshotId, tags, status, engine, serverIdentifier } = snapshot;
  const owner = tags[SNAPSHOT_TAG.source];
  const ownedByAnother = tags[SNAPSHOT_TAG.managed] === 'true' && owner !== sought.source;
  if (ownedByAnother) {
    throw new SnapshotNotFound(
      `the snapshot ${snapshotId} is of ${owner ?? 'another source'}, not of ${sought.source}`,
      { remedy: `start again with "source":"${owner ?? '…'}", or with another snapshot` },
    );
  }
  if (engine !== sought.engine) {
    throw new InvalidInput(
      `the snapshot ${snapshotId} is of ${engine}, not of ${sought.engine}, which ${sought.source} is`,
      { remedy: 'name a snapshot of the same engine' },
    );
  }
  if (status !== 'available') {
    throw new ServerRestoreFailed(`the snapshot ${snapshotId} is ${status}, not available`, {
      remedy: 'wait until it is available, or name another one',
    });
  }
  if (isOf(snapshot, sought)) return [];
  return [
    `the snapshot ${snapshotId} is of the server ${serverIdentifier}, not of ${sought.identifier}: make sure that it is the one you mean`,
  ];
}

export function snapshotOrigin(snapshot: ServerSnapshot): ServerOrigin {
  const { snapshotId, arn, type, createdAt, serverIdentifier, sizeGiB } = snapshot;
  // An available snapshot has a time.
  const created = (createdAt ?? new Date(0)).toISOString();
  return {
    type: 'snapshot',
    snapshotId,
    arn,
    snapshotType: type,
    createdAt: created,
    serverIdentifier,
    sizeGiB,
  };
}

/**
 * A point in time that RDS can restore. `time`: ISO 8601 with any offset, or `latest`.
 * Throws InvalidInput, which names the earliest and the latest restorable time.
 */
export function pointInTimeOrigin(
  window: RestoreWindow | undefined,
  time: string,
  { source, identifier }: SoughtServer,
): ServerOrigin {
  if (!window) {
    throw new InvalidInput(`RDS keeps no backups of ${identifier} that reach a point in time`, {
      remedy: `turn on automated backups for ${identifier}; now restore a snapshot: {"source":"${source}","snapshot":"latest"}`,
    });
  }
  const { earliest, latest, keptResourceId } = window;
  const wanted = time === 'latest' ? undefined : new Date(time);
  if (wanted && (wanted > latest || (earliest && wanted < earliest))) {
    const from = earliest ? `from ${earliest.toISOString()} ` : '';
    throw new InvalidInput(
      `${identifier} cannot be restored to ${wanted.toISOString()}: only ${from}to ${latest.toISOString()}`,
      {
        remedy:
          wanted > latest
            ? 'write "pointInTime":"latest", or wait: RDS is some minutes behind'
            : 'name a later time, or restore a snapshot from before',
      },
    );
  }
  return {
    type: 'point-in-time',
    time: wanted?.toISOString() ?? null,
    latest: latest.toISOString(),
    keptResourceId,
  };
}
