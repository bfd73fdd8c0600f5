import { createHash } from 'node:crypto';
import * as z from 'zod';
import { DumpJob } from '#contracts/job.ts';
import { Manifest } from '#contracts/manifest.ts';
import { type BackupRef, backupKey, jobKey } from '#domain/names.ts';
import { InvalidEnvironment, ManifestInvalid } from '#errors';
import type { ObjectHead, Objects } from '#runtime/ports.ts';

/** The job record of a backup, or undefined when there is none (a backup copied from elsewhere). */
export async function loadJob(
  objects: Pick<Objects, 'get'>,
  ref: BackupRef,
): Promise<DumpJob | undefined> {
  const key = jobKey(ref);
  const found = await objects.get(key);
  return found && parseRecord(DumpJob, found.body, key);
}

/** A JSON record as its schema says. Throws InvalidEnvironment with the key and the path. */
export function parseRecord<Schema extends z.ZodType>(
  schema: Schema,
  body: Buffer,
  key: string,
): z.infer<Schema> {
  const result = schema.safeParse(parseJson(body));
  if (result.success) return result.data;
  throw new InvalidEnvironment(`the record ${key} is not valid: ${z.prettifyError(result.error)}`);
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}

/** SHA-256 over a manifest's canonical JSON: keys sorted at every depth, without `sha256` itself. */
export function manifestDigest(manifest: Omit<Manifest, 'sha256'>): string {
  const { sha256: _own, ...content } = manifest as Manifest;
  return createHash('sha256').update(canonicalJson(content)).digest('hex');
}

function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

/**
 * The manifest of a backup, proved to be the one that its dump task wrote for this very key.
 * Undefined when there is none. Throws ManifestInvalid.
 */
export async function loadManifest(
  objects: Pick<Objects, 'get'>,
  ref: BackupRef,
): Promise<{ manifest: Manifest; head: ObjectHead } | undefined> {
  const key = backupKey(ref, 'manifest.json');
  const found = await objects.get(key);
  if (!found) return undefined;
  const result = Manifest.safeParse(parseJson(found.body));
  if (!result.success) {
    throw new ManifestInvalid(`${key} is malformed: ${z.prettifyError(result.error)}`);
  }
  const manifest = result.data;
  if (manifestDigest(manifest) !== manifest.sha256) {
    throw new ManifestInvalid(`${key} was altered: its content does not have its own SHA-256`);
  }
  const { source, database, backupId, objects: stored } = manifest;
  const named = { source, database, backupId };
  const keysFit =
    stored.archive.key === backupKey(ref, 'archive.dump') &&
    stored.toc.key === backupKey(ref, 'toc.dump') &&
    stored.globals.key === backupKey(ref, 'globals.sql');
  if (backupKey(named, 'manifest.json') !== key || !keysFit) {
    throw new ManifestInvalid(`${key} describes another backup: ${source}/${backupId}`);
  }
  return { manifest, head: found.head };
}
