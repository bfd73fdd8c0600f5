import { createHash, randomBytes, randomUUID } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { AccessTier, RestoreState } from './archived-objects.ts';
import type { StoredChecksum } from './checksums.ts';
import { assertDeletable, type LockState } from './object-lock.ts';
import { ObjectView } from './object-view.ts';
import { assertBucketName } from './request.ts';
import { S3Error } from './s3-error.ts';

export type VersioningState = 'Unversioned' | 'Enabled' | 'Suspended';
export type Encryption = 'AES256' | 'aws:kms';

export interface BucketSettings {
  readonly versioning: VersioningState;
  readonly objectLock: boolean;
  /** Applied to objects whose upload does not name an encryption. */
  readonly encryption: Encryption;
}

/** What the upload says about an object, apart from its bytes. */
export interface ObjectDescription {
  /** Headers that reads return as they came: content-type, x-amz-meta-*, encryption, … */
  readonly headers: Readonly<Record<string, string>>;
  readonly tags: readonly (readonly [string, string])[];
  readonly storageClass: string;
  readonly lock: LockState;
}

export interface ObjectVersion extends ObjectDescription {
  readonly deleteMarker: false;
  readonly versionId: string;
  /** ISO 8601. */
  readonly lastModified: string;
  /** Without quotes. */
  readonly etag: string;
  readonly checksum: StoredChecksum;
  /** Name of the data file. */
  readonly file: string;
  readonly restore: RestoreState;
  /** Where INTELLIGENT_TIERING has archived it. */
  readonly accessTier?: AccessTier | undefined;
}

export interface DeleteMarker {
  readonly deleteMarker: true;
  readonly versionId: string;
  readonly lastModified: string;
}

export type StoredVersion = ObjectVersion | DeleteMarker;

/** What has to hold about the current version for a write to happen. */
export interface WriteConditions {
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
}

interface BucketRecord extends BucketSettings {
  readonly created: string;
}

interface KeyRecord {
  readonly key: string;
  /** Newest first; never empty. */
  readonly versions: readonly StoredVersion[];
}

export class Bucket {
  readonly name: string;
  readonly created: string;
  settings: BucketSettings;
  readonly versions = new Map<string, readonly StoredVersion[]>();
  #sorted: readonly string[] | undefined;

  constructor(name: string, { created, ...settings }: BucketRecord) {
    this.name = name;
    this.created = created;
    this.settings = settings;
  }

  /** Keys with any version, in the order of their UTF-8 bytes, as S3 lists them. */
  sortedKeys(): readonly string[] {
    this.#sorted ??= [...this.versions.keys()]
      .map((key) => Buffer.from(key))
      .sort((a, b) => Buffer.compare(a, b))
      .map((bytes) => bytes.toString());
    return this.#sorted;
  }

  set(key: string, versions: readonly StoredVersion[]): void {
    const exists = versions.length > 0;
    if (exists !== this.versions.has(key)) this.#sorted = undefined;
    if (exists) this.versions.set(key, versions);
    else this.versions.delete(key);
  }
}

/**
 * Buckets, keys and versions, in memory and on disk:
 *
 *     <directory>/<bucket>/<key>                         the current version, as a plain file
 *     <directory>/.store/buckets/<bucket>/bucket.json    settings
 *                                        /keys/*.json    one key's versions, newest first
 *                                        /data/*         the bytes of every version
 *                                        /uploads/*      unfinished multipart uploads
 *     <directory>/.store/temporary                       bodies being received
 *
 * A change is committed by renaming one key record into place. Data is there before its record and goes
 * after it, so that a process killed at any point leaves the state before or after, plus files that the
 * next start removes. (Not written through to the disk: it survives a crash of the process, not of the
 * machine.) Commits are synchronous: a few small calls, and no two of them can interleave.
 */
export class ObjectStorage {
  readonly view: ObjectView;
  readonly #buckets = new Map<string, Bucket>();
  readonly #directory: string;
  readonly #root: string;
  readonly #clock: () => Date;

  constructor(directory: string, clock: () => Date) {
    this.#directory = directory;
    this.#root = join(directory, '.store');
    this.#clock = clock;
    const temporary = join(this.#root, 'temporary');
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    mkdirSync(join(this.#root, 'buckets'), { recursive: true });
    this.view = new ObjectView(directory, temporary);
    for (const name of readdirSync(join(this.#root, 'buckets'))) this.#load(name);
  }

  #load(name: string): void {
    if (!existsSync(this.bucketPath(name, 'bucket.json'))) {
      rmSync(this.bucketPath(name), { recursive: true }); // the process ended while it was created
      return;
    }
    const bucket = new Bucket(name, readJson<BucketRecord>(this.bucketPath(name, 'bucket.json')));
    this.#buckets.set(name, bucket);
    const used = new Set<string>();
    for (const file of readdirSync(this.bucketPath(name, 'keys'))) {
      const record = readJson<KeyRecord>(this.bucketPath(name, 'keys', file));
      bucket.set(record.key, record.versions);
      for (const version of record.versions) if (!version.deleteMarker) used.add(version.file);
      const current = record.versions[0];
      if (current?.deleteMarker === false) {
        const dataPath = this.dataPath(bucket, current.file);
        if (!this.view.shows(name, record.key, dataPath)) {
          this.view.show(name, record.key, dataPath);
        }
      }
    }
    for (const file of readdirSync(this.bucketPath(name, 'data'))) {
      if (!used.has(file)) rmSync(this.dataPath(bucket, file));
    }
  }

  buckets(): readonly Bucket[] {
    return [...this.#buckets.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Throws NoSuchBucket. */
  bucket(name: string): Bucket {
    const bucket = this.#buckets.get(name);
    if (!bucket) throw new S3Error('NoSuchBucket');
    return bucket;
  }

  /** Throws BucketAlreadyOwnedByYou, InvalidBucketName. */
  createBucket(name: string, settings: BucketSettings): Bucket {
    assertBucketName(name);
    if (this.#buckets.has(name)) throw new S3Error('BucketAlreadyOwnedByYou');
    const bucket = new Bucket(name, { ...settings, created: this.#clock().toISOString() });
    for (const folder of ['keys', 'data', 'uploads']) {
      mkdirSync(this.bucketPath(name, folder), { recursive: true });
    }
    mkdirSync(join(this.#directory, name), { recursive: true });
    this.#saveSettings(bucket);
    this.#buckets.set(name, bucket);
    return bucket;
  }

  setVersioning(bucket: Bucket, versioning: VersioningState): void {
    bucket.settings = { ...bucket.settings, versioning };
    this.#saveSettings(bucket);
  }

  #saveSettings(bucket: Bucket): void {
    const record: BucketRecord = { ...bucket.settings, created: bucket.created };
    this.writeJson(this.bucketPath(bucket.name, 'bucket.json'), record);
  }

  bucketPath(bucket: string, ...names: string[]): string {
    return join(this.#root, 'buckets', bucket, ...names);
  }

  dataPath(bucket: Bucket, file: string): string {
    return this.bucketPath(bucket.name, 'data', file);
  }

  temporaryPath(): string {
    return join(this.#root, 'temporary', randomUUID());
  }

  /** Replaces a JSON file in one step. */
  writeJson(path: string, value: unknown): void {
    const temporary = this.temporaryPath();
    writeFileSync(temporary, JSON.stringify(value));
    renameSync(temporary, path);
  }

  /** The current object, or undefined when there is none or it was deleted. */
  current(bucket: Bucket, key: string): ObjectVersion | undefined {
    const newest = bucket.versions.get(key)?.[0];
    return newest?.deleteMarker === false ? newest : undefined;
  }

  /** The object that a read means. Throws NoSuchKey, NoSuchVersion, MethodNotAllowed (a marker). */
  find(bucket: Bucket, key: string, versionId: string | undefined): ObjectVersion {
    const versions = bucket.versions.get(key) ?? [];
    const version =
      versionId === undefined ? versions[0] : versions.find((v) => v.versionId === versionId);
    if (!version) throw new S3Error(versionId === undefined ? 'NoSuchKey' : 'NoSuchVersion');
    if (!version.deleteMarker) return version;
    throw new S3Error(versionId === undefined ? 'NoSuchKey' : 'MethodNotAllowed', undefined, {
      headers: { 'x-amz-delete-marker': 'true', 'x-amz-version-id': version.versionId },
    });
  }

  /** Size as it is on disk, so that a file damaged by hand is seen as S3 would show it. */
  sizeBytes(bucket: Bucket, version: ObjectVersion): number {
    return statSync(this.dataPath(bucket, version.file), { throwIfNoEntry: false })?.size ?? 0;
  }

  /** A descriptor that stays readable when the version is deleted meanwhile. The caller closes it. */
  open(bucket: Bucket, version: ObjectVersion): number {
    try {
      return openSync(this.dataPath(bucket, version.file), 'r');
    } catch (cause) {
      throw new S3Error('NoSuchKey', 'The data file is gone.', { cause });
    }
  }

  /** Throws PreconditionFailed, NoSuchKey, NotImplemented. */
  assertConditions(bucket: Bucket, key: string, conditions: WriteConditions): void {
    const current = this.current(bucket, key);
    if (conditions.ifNoneMatch !== undefined) {
      if (conditions.ifNoneMatch !== '*') throw new S3Error('NotImplemented');
      if (current) throw new S3Error('PreconditionFailed');
    }
    if (conditions.ifMatch !== undefined) {
      if (!current) throw new S3Error('NoSuchKey');
      if (!matchesEtag(conditions.ifMatch, current.etag)) throw new S3Error('PreconditionFailed');
    }
  }

  /**
   * Makes a file of this file system the newest version of the key, or fails and leaves all as it was.
   * The file is moved, or linked where `keepSource` says so.
   */
  putObject(
    bucket: Bucket,
    key: string,
    object: ObjectDescription & Pick<ObjectVersion, 'etag' | 'checksum'>,
    source: { readonly path: string; readonly keepSource: boolean },
    conditions: WriteConditions,
  ): ObjectVersion {
    this.assertConditions(bucket, key, conditions);
    const file = randomUUID();
    if (source.keepSource) linkSync(source.path, this.dataPath(bucket, file));
    else renameSync(source.path, this.dataPath(bucket, file));
    const version: ObjectVersion = {
      ...object,
      file,
      deleteMarker: false,
      restore: 'none',
      ...this.#stamp(bucket),
    };
    this.#push(bucket, key, version);
    return version;
  }

  /** Deletes the current object; returns the marker that a versioned bucket gets. */
  deleteCurrent(
    bucket: Bucket,
    key: string,
    ifMatch: string | undefined,
  ): DeleteMarker | undefined {
    this.assertConditions(bucket, key, { ifMatch, ifNoneMatch: undefined });
    if (bucket.settings.versioning === 'Unversioned') {
      this.#commit(bucket, key, []);
      return undefined;
    }
    const marker: DeleteMarker = { deleteMarker: true, ...this.#stamp(bucket) };
    this.#push(bucket, key, marker);
    return marker;
  }

  /** Deletes one version for good; returns it, or undefined when there is none. Throws AccessDenied. */
  deleteVersion(
    bucket: Bucket,
    key: string,
    versionId: string,
    bypassGovernance: boolean,
  ): StoredVersion | undefined {
    const versions = bucket.versions.get(key) ?? [];
    const version = versions.find((v) => v.versionId === versionId);
    if (!version) return undefined;
    if (!version.deleteMarker) assertDeletable(version.lock, this.#clock(), bypassGovernance);
    this.#commit(
      bucket,
      key,
      versions.filter((v) => v !== version),
    );
    return version;
  }

  /** Every version is gone, without a trace and whatever locks say. */
  forget(bucket: Bucket, key: string): void {
    this.#commit(bucket, key, []);
  }

  /** Changes what is known about a version: tags, lock, class. Returns it as it is then. */
  updateVersion(
    bucket: Bucket,
    key: string,
    version: ObjectVersion,
    change: Partial<
      Pick<ObjectVersion, 'tags' | 'lock' | 'storageClass' | 'restore' | 'accessTier'>
    >,
  ): ObjectVersion {
    const versions = bucket.versions.get(key) ?? [];
    const changed = { ...version, ...change };
    this.#commit(
      bucket,
      key,
      versions.map((v) => (v === version ? changed : v)),
    );
    return changed;
  }

  /** Versions outside versioned buckets have the id `null`; there is at most one of them. */
  #stamp(bucket: Bucket): { versionId: string; lastModified: string } {
    const versioned = bucket.settings.versioning === 'Enabled';
    return {
      versionId: versioned ? randomBytes(24).toString('base64url') : 'null',
      lastModified: this.#clock().toISOString(),
    };
  }

  #push(bucket: Bucket, key: string, version: StoredVersion): void {
    const older = bucket.versions.get(key) ?? [];
    const kept = older.filter((v) => v.versionId !== version.versionId);
    this.#commit(bucket, key, [version, ...kept]);
  }

  #commit(bucket: Bucket, key: string, versions: readonly StoredVersion[]): void {
    const before = bucket.versions.get(key) ?? [];
    const newest = versions[0];
    const shown = newest?.deleteMarker === false ? newest.file : undefined;
    const wasShown = before[0]?.deleteMarker === false ? before[0].file : undefined;
    // The view goes before the record and comes after it: a start repairs a file that is missing, but
    // could not tell a stale one from a stranger's.
    if (shown === undefined && wasShown !== undefined) this.view.hide(bucket.name, key);
    const name = `${createHash('sha256').update(key).digest('hex')}.json`;
    const path = this.bucketPath(bucket.name, 'keys', name);
    if (versions.length === 0) rmSync(path, { force: true });
    else this.writeJson(path, { key, versions } satisfies KeyRecord);
    bucket.set(key, versions);
    if (shown !== undefined && shown !== wasShown) {
      this.view.show(bucket.name, key, this.dataPath(bucket, shown));
    }
    const kept = new Set(versions.map((v) => (v.deleteMarker ? '' : v.file)));
    for (const version of before) {
      if (!version.deleteMarker && !kept.has(version.file)) {
        rmSync(this.dataPath(bucket, version.file), { force: true });
      }
    }
  }
}

/** `*`, or one of a list of ETags, quoted or not. */
export function matchesEtag(condition: string, etag: string): boolean {
  return condition
    .split(',')
    .map((item) => item.trim().replace(/^W\//, '').replaceAll('"', ''))
    .some((item) => item === '*' || item === etag);
}

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}
