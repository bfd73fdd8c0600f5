import { randomBytes } from 'node:crypto';
import {
  assertRestorable,
  copyExpiry,
  RETRIEVAL_TIERS,
  type RetrievalTier,
  restoreStateAt,
} from './archived-objects.ts';
import type { RetrievalChange } from './events.ts';
import { S3Error } from './s3-error.ts';
import type { Bucket, ObjectStorage, ObjectVersion } from './storage.ts';

/** A standard retrieval takes hours in S3, and seconds here. */
const STANDARD_SECONDS = 2;
/** As multiples of the standard one; in S3 it is minutes, 3 to 5 hours, 5 to 12 hours. */
const TIER_FACTORS = { Expedited: 0.5, Standard: 1, Bulk: 2 } as const;
/** Node: a longer timer fires at once. */
const MAX_TIMER_MILLISECONDS = 2 ** 31 - 1;

type Publish = (change: RetrievalChange, requestId: string) => void;

/** Restores of archived objects: begun by a request, ended by time or by hand, also after a new start. */
export class Retrievals {
  readonly #storage: ObjectStorage;
  readonly #clock: () => Date;
  readonly #publish: Publish;
  readonly #standardSeconds: number;
  readonly #timers = new Set<NodeJS.Timeout>();

  /** @param options.standardSeconds Infinity: no retrieval ends but by hand. Default 2. */
  constructor(options: {
    storage: ObjectStorage;
    clock: () => Date;
    publish: Publish;
    standardSeconds: number | undefined;
  }) {
    this.#storage = options.storage;
    this.#clock = options.clock;
    this.#publish = options.publish;
    this.#standardSeconds = options.standardSeconds ?? STANDARD_SECONDS;
    for (const bucket of this.#storage.buckets()) {
      for (const [key, versions] of bucket.versions) {
        for (const version of versions)
          if (!version.deleteMarker) this.#watch(bucket, key, version);
      }
    }
  }

  /**
   * `accepted`: it has begun, or goes on faster. `extended`: the copy that is there stays for that long
   * from now. Throws InvalidObjectState, InvalidArgument, RestoreAlreadyInProgress.
   */
  request(
    bucket: Bucket,
    key: string,
    object: ObjectVersion,
    wanted: { readonly tier: RetrievalTier; readonly days: number | undefined },
    requestId: string,
  ): 'accepted' | 'extended' {
    assertRestorable(object, wanted);
    const now = this.#clock();
    const before = restoreStateAt(object, now);
    if (before !== 'none' && before.state === 'done') {
      const expiresAt = copyExpiry(now, wanted.days ?? 1);
      this.#change(bucket, key, object, { restore: { state: 'done', expiresAt } });
      return 'extended';
    }
    const { tier } = wanted;
    // A faster tier speeds up what goes on, and leaves the days as they are.
    const faster =
      before !== 'none' && RETRIEVAL_TIERS.indexOf(tier) > RETRIEVAL_TIERS.indexOf(before.tier);
    if (before !== 'none' && !faster) throw new S3Error('RestoreAlreadyInProgress');
    const readyAt = now.getTime() + this.#standardSeconds * TIER_FACTORS[tier] * 1000;
    this.#change(bucket, key, object, {
      restore: {
        state: 'ongoing',
        tier,
        days: before === 'none' ? wanted.days : before.days,
        readyAt: Number.isFinite(readyAt) ? new Date(readyAt).toISOString() : null,
      },
    });
    if (before === 'none') this.#tell('Initiated', bucket, key, object, undefined, requestId);
    return 'accepted';
  }

  /** The hours are over. Throws RangeError when nothing is being restored. */
  complete(bucket: Bucket, key: string, object: ObjectVersion): void {
    const { restore } = object;
    if (restore === 'none' || restore.state !== 'ongoing') {
      throw new RangeError(`${key} is not being restored`);
    }
    const expiresAt =
      restore.days === undefined ? undefined : copyExpiry(this.#clock(), restore.days);
    this.#change(
      bucket,
      key,
      object,
      expiresAt === undefined
        ? { restore: 'none', accessTier: undefined }
        : { restore: { state: 'done', expiresAt } },
    );
    this.#tell('Completed', bucket, key, object, expiresAt);
  }

  /** The days are over. Throws RangeError when there is no copy. */
  expire(bucket: Bucket, key: string, object: ObjectVersion): void {
    const { restore } = object;
    if (restore === 'none' || restore.state !== 'done') {
      throw new RangeError(`${key} has no restored copy`);
    }
    this.#change(bucket, key, object, { restore: 'none' });
    this.#tell('Expired', bucket, key, object, undefined);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #change(
    bucket: Bucket,
    key: string,
    object: ObjectVersion,
    change: Pick<ObjectVersion, 'restore'> & Partial<Pick<ObjectVersion, 'accessTier'>>,
  ): void {
    this.#watch(bucket, key, this.#storage.updateVersion(bucket, key, object, change));
  }

  /** Does what is due when it is due, unless something else has happened to the version by then. */
  #watch(bucket: Bucket, key: string, object: ObjectVersion): void {
    const { restore } = object;
    if (restore === 'none') return;
    const at = restore.state === 'ongoing' ? restore.readyAt : restore.expiresAt;
    const milliseconds = at === null ? Infinity : Date.parse(at) - this.#clock().getTime();
    if (milliseconds > MAX_TIMER_MILLISECONDS) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        const same = bucket.versions
          .get(key)
          ?.find((version) => version.versionId === object.versionId);
        if (same?.deleteMarker !== false || same.restore !== restore) return;
        if (restore.state === 'ongoing') this.complete(bucket, key, same);
        else this.expire(bucket, key, same);
      },
      Math.max(0, milliseconds),
    );
    this.#timers.add(timer);
  }

  #tell(
    retrieval: RetrievalChange['retrieval'],
    bucket: Bucket,
    key: string,
    object: ObjectVersion,
    expiresAt: string | undefined,
    requestId = randomBytes(8).toString('hex').toUpperCase(),
  ): void {
    const change: RetrievalChange = {
      bucket: bucket.name,
      key,
      retrieval,
      sizeBytes: this.#storage.sizeBytes(bucket, object),
      etag: object.etag,
      versionId: bucket.settings.versioning === 'Unversioned' ? undefined : object.versionId,
      storageClass: object.storageClass,
      expiresAt,
    };
    this.#publish(change, requestId);
  }
}
