import type {
  PlannedServerRestore,
  ServerKind,
  ServerRestoreInput,
  ServerSettings,
  ServerTarget,
} from '#contracts/restore-server.ts';
import { restoredWriterName } from '#domain/names.ts';
import { takeOverSettings } from '#domain/restore/server-settings.ts';
import type { Tags } from '#domain/snapshot-tags.ts';
import { TargetNotEmpty } from '#errors';
import type { Deps } from '#runtime/ports.ts';
import { findOrigin, findServerSource } from './find-origin.ts';

export interface RestoredServerRequest {
  /** What the plan takes over as it is. */
  readonly restore: Pick<
    PlannedServerRestore,
    | 'restoreId'
    | 'source'
    | 'planVersion'
    | 'executionArn'
    | 'startedAt'
    | 'reason'
    | 'cleanUp'
    | 'timeoutSeconds'
  >;
  /** The original. */
  readonly kind: ServerKind;
  readonly identifier: string;
  readonly origin: Pick<ServerRestoreInput, 'snapshot' | 'pointInTime'>;
  /** Of the new server. */
  readonly name: string;
  readonly target: ServerTarget;
  readonly ownTags: Tags;
  /** Whatever the original has. */
  readonly fixedSettings?: Partial<ServerSettings>;
  /** What to do where another server has the name. */
  readonly remedyIfTaken: string;
}

/**
 * Which snapshot or point in time becomes which server, with which settings. Looks only: nothing is made.
 * Throws InvalidInput, SnapshotNotFound, ServerRestoreFailed, TargetNotEmpty.
 */
export async function planRestoredServer(
  { servers }: Pick<Deps, 'servers'>,
  request: RestoredServerRequest,
): Promise<PlannedServerRestore> {
  const { kind, identifier, name, target, ownTags } = request;
  const { source } = request.restore;
  const { server, sought } = await findServerSource({ servers }, source, kind, identifier);
  const { origin, snapshot, warnings } = await findOrigin({ servers }, request.origin, sought);
  const takenOver = takeOverSettings({
    kind,
    identifier,
    source: server,
    snapshot,
    target,
    ownTags,
  });
  const restore: PlannedServerRestore = {
    ...request.restore,
    kind,
    sourceIdentifier: identifier,
    engine: sought.engine,
    engineVersion: snapshot?.engineVersion ?? null,
    origin,
    target: {
      identifier: name,
      writer: kind === 'cluster' ? restoredWriterName(name) : null,
      settings: { ...takenOver.settings, ...request.fixedSettings },
    },
    warnings: [...warnings, ...takenOver.warnings],
  };
  const existing = await servers.findRestored(restore);
  if (existing && !existing.ours) {
    throw new TargetNotEmpty(`a server ${name} exists already`, { remedy: request.remedyIfTaken });
  }
  return restore;
}
