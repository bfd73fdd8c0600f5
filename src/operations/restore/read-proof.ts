import { createHash } from 'node:crypto';
import type { Manifest } from '#contracts/manifest.ts';
import type { PlannedRestore } from '#contracts/restore.ts';
import { Verification } from '#contracts/verification.ts';
import { backupKey } from '#domain/names.ts';
import { ChecksumMismatch, errorName, ObjectMissing } from '#errors';
import { loadManifest, parseRecord } from '#operations/records.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

export interface Proof {
  readonly manifest?: Manifest;
  readonly verification?: Verification;
}

/** What vouches for the archive. Of a quarantined one nothing does: it is read as anybody's. */
export async function readProof(
  { objects, log }: Pick<Deps, 'objects' | 'log'>,
  { backup, source, trust }: PlannedRestore,
): Promise<Proof> {
  if (!backup || trust === 'quarantined') return {};
  const ref = { source, ...backup };
  if (trust !== 'verified') {
    try {
      const found = await loadManifest(objects, ref);
      return found ? { manifest: found.manifest } : {};
    } catch (error) {
      log.warn(LOG.failed, { ...ref, while: 'reading the manifest', error: errorName(error) });
      return {};
    }
  }
  const found = await loadManifest(objects, ref);
  const key = backupKey(ref, 'verification.json');
  const record = await objects.get(key);
  if (!found) throw new ObjectMissing(`there is no ${backupKey(ref, 'manifest.json')} any more`);
  if (!record) throw new ObjectMissing(`there is no ${key} any more`);
  return {
    manifest: found.manifest,
    verification: parseRecord(Verification, record.body, key),
  };
}

/**
 * Reads `globals.sql` of the backup when it is wanted; a foreign archive has none. What roles may do is made
 * of it, so it must be the one that the manifest names.
 */
export function globalsOf(
  { objects }: Pick<Deps, 'objects'>,
  { source, backup }: PlannedRestore,
  manifest: Manifest | undefined,
) {
  if (!backup) return undefined;
  return async () => {
    const key = backupKey({ source, ...backup }, 'globals.sql');
    const stored = manifest?.objects.globals;
    const version = stored?.versionId === undefined ? {} : { versionId: stored.versionId };
    const found = await objects.get(key, version);
    if (!found) throw new ObjectMissing(`there is no ${key}`);
    const sha256 = createHash('sha256').update(found.body).digest('hex');
    if (stored?.sha256 !== undefined && stored.sha256 !== sha256) {
      throw new ChecksumMismatch(`${key} does not have its SHA-256`);
    }
    return found.body.toString('utf8');
  };
}
