import { randomUUID } from 'node:crypto';
import type { FaultInjector } from './faults.ts';

/** Amazon EventBridge's event of an S3 bucket. Keys are not URL-encoded here. */
export interface S3ObjectEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type':
    | 'Object Created'
    | 'Object Deleted'
    | `Object Restore ${RetrievalChange['retrieval']}`;
  readonly source: 'aws.s3';
  readonly account: string;
  /** ISO 8601 to the second. */
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: {
    readonly version: '0';
    readonly bucket: { readonly name: string };
    readonly object: {
      readonly key: string;
      readonly size?: number;
      readonly etag?: string;
      readonly 'version-id'?: string;
      /** Hexadecimal; of two events of one key, the later has the greater one. None of a restore. */
      readonly sequencer?: string;
    };
    readonly 'request-id': string;
    readonly requester: string;
    /** Only where somebody asked for it. */
    readonly 'source-ip-address'?: string;
    readonly reason?: ObjectChange['reason'];
    readonly 'deletion-type'?: 'Permanently Deleted' | 'Delete Marker Created';
    readonly 'source-storage-class'?: string;
    /** ISO 8601 to the second: when the copy goes. */
    readonly 'restore-expiry-time'?: string;
  };
}

/** What happened, told by the operation that did it. */
export interface ObjectChange {
  readonly bucket: string;
  readonly key: string;
  readonly reason: 'PutObject' | 'CopyObject' | 'CompleteMultipartUpload' | 'DeleteObject';
  readonly sizeBytes?: number;
  readonly etag?: string;
  readonly versionId: string | undefined;
  readonly deletionType?: 'Permanently Deleted' | 'Delete Marker Created';
}

/** What happened to an archived object. */
export interface RetrievalChange {
  readonly bucket: string;
  readonly key: string;
  readonly retrieval: 'Initiated' | 'Completed' | 'Expired';
  readonly sizeBytes: number;
  readonly etag: string;
  readonly versionId: string | undefined;
  readonly storageClass: string;
  readonly expiresAt: string | undefined;
}

/** An account id that AWS reserves for documentation. */
const ACCOUNT = '123456789012';
/** How long a reordered event waits for another one to overtake it. */
const REORDER_WINDOW_MILLISECONDS = 1000;

/** Builds events and delivers them, after the request's own turn, as the faults say. */
export class EventDispatcher {
  readonly #deliver: (event: S3ObjectEvent) => void;
  readonly #faults: FaultInjector;
  readonly #clock: () => Date;
  readonly #region: string;
  readonly #timers = new Set<NodeJS.Timeout>();
  #overtaken: (() => void)[] = [];
  #sequence = 0;

  constructor(options: {
    deliver: (event: S3ObjectEvent) => void;
    faults: FaultInjector;
    clock: () => Date;
    region: string;
  }) {
    this.#deliver = options.deliver;
    this.#faults = options.faults;
    this.#clock = options.clock;
    this.#region = options.region;
  }

  publish(change: ObjectChange | RetrievalChange, requestId: string): void {
    const detail =
      'retrieval' in change
        ? restoreDetail(change, requestId)
        : this.#changeDetail(change, requestId);
    this.#dispatch(this.#envelop(change, detail));
  }

  #dispatch(event: S3ObjectEvent): void {
    const { copies, delayMilliseconds, reorder } = this.#faults.forEvent(event);
    const held = this.#overtaken;
    this.#overtaken = [];
    for (let copy = 0; copy < copies; copy++) {
      // Each delivery is its own object, as it would be over the wire.
      const deliver = () => this.#deliver(structuredClone(event));
      if (reorder) this.#hold(deliver);
      else this.#after(delayMilliseconds, deliver);
    }
    for (const deliver of held) this.#after(0, deliver);
  }

  /** Forgets what was not delivered yet. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #hold(deliver: () => void): void {
    let done = false;
    const once = () => {
      if (!done) deliver();
      done = true;
    };
    this.#overtaken.push(once);
    this.#after(REORDER_WINDOW_MILLISECONDS, once);
  }

  #after(milliseconds: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, milliseconds);
    this.#timers.add(timer);
  }

  #envelop(change: ObjectChange | RetrievalChange, detail: S3ObjectEvent['detail']): S3ObjectEvent {
    return {
      version: '0',
      id: randomUUID(),
      'detail-type':
        'retrieval' in change
          ? `Object Restore ${change.retrieval}`
          : change.reason === 'DeleteObject'
            ? 'Object Deleted'
            : 'Object Created',
      source: 'aws.s3',
      account: ACCOUNT,
      time: toTheSecond(this.#clock()),
      region: this.#region,
      resources: [`arn:aws:s3:::${change.bucket}`],
      detail,
    };
  }

  #changeDetail(change: ObjectChange, requestId: string): S3ObjectEvent['detail'] {
    this.#sequence += 1;
    return {
      version: '0',
      bucket: { name: change.bucket },
      object: { ...objectOf(change), sequencer: sequencer(this.#clock(), this.#sequence) },
      'request-id': requestId,
      requester: ACCOUNT,
      'source-ip-address': '127.0.0.1',
      reason: change.reason,
      ...(change.deletionType === undefined ? {} : { 'deletion-type': change.deletionType }),
    };
  }
}

/** Fields as in the S3 User Guide, "EventBridge event message structure": the class is not in Expired. */
function restoreDetail(change: RetrievalChange, requestId: string): S3ObjectEvent['detail'] {
  const { retrieval, expiresAt, storageClass } = change;
  return {
    version: '0',
    bucket: { name: change.bucket },
    object: objectOf(change),
    'request-id': requestId,
    ...(retrieval === 'Initiated'
      ? { requester: ACCOUNT, 'source-ip-address': '127.0.0.1' }
      : { requester: 's3.amazonaws.com' }),
    ...(expiresAt === undefined ? {} : { 'restore-expiry-time': toTheSecond(new Date(expiresAt)) }),
    ...(retrieval === 'Expired' ? {} : { 'source-storage-class': storageClass }),
  };
}

function objectOf({ key, sizeBytes, etag, versionId }: ObjectChange | RetrievalChange) {
  return {
    key,
    ...(sizeBytes === undefined ? {} : { size: sizeBytes }),
    ...(etag === undefined ? {} : { etag }),
    ...(versionId === undefined ? {} : { 'version-id': versionId }),
  };
}

function toTheSecond(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

/** The time first, so that it also grows from one start of the store to the next. */
function sequencer(now: Date, sequence: number): string {
  const text =
    now.getTime().toString(16).padStart(12, '0') + sequence.toString(16).padStart(6, '0');
  return text.toUpperCase();
}
