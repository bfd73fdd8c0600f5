import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { ChecksumMismatch, ObjectMissing, SizeMismatch, WriteConflict } from '#errors';
import type {
  Clock,
  ListedObject,
  ObjectHead,
  Objects,
  PutResult,
  Upload,
} from '#runtime/ports.ts';
import { crc64NvmeBase64 } from './crc64-reference.ts';

export type ObjectOperation =
  | 'head'
  | 'get'
  | 'getRange'
  | 'stream'
  | 'retrieve'
  | 'put'
  | 'list'
  | 'versions'
  | 'delete'
  | 'tag'
  | 'createUpload'
  | 'putPart'
  | 'complete'
  | 'uploads'
  | 'abortUpload';

interface Version {
  readonly versionId: string;
  /** Null: a delete marker. */
  readonly body: Buffer | null;
  readonly lastModified: Date;
  readonly etag: string;
  tags: Record<string, string>;
}

interface OpenUpload {
  readonly key: string;
  readonly uploadId: string;
  readonly initiated: Date;
  readonly tags: Readonly<Record<string, string>>;
  readonly parts: Map<number, Buffer>;
}

/** The Objects port, with eyes and hands for tests. */
export interface MemoryObjects extends Objects {
  /** Called before every operation (for `delete`: before each key); throw from it to inject a fault. */
  fault: ((operation: ObjectOperation, key: string) => void) | undefined;
  /** Keys that exist now, sorted. */
  keys(prefix?: string): string[];
  /** The current body; throws when there is none. */
  text(key: string): string;
  json(key: string): unknown;
  tagsOf(key: string): Readonly<Record<string, string>>;
  /** Puts an object as if it had been written at `lastModified` (default: now). */
  seed(key: string, body: Buffer | string | object, lastModified?: Date): void;
  /** Keys of uploads that were neither completed nor aborted. */
  openUploads(): string[];
}

/**
 * A versioned bucket in memory: conditions, tags, listing in byte order, multipart uploads whose
 * checksums are really checked. Reading what is not there behaves as the port says.
 */
export function makeMemoryObjects(
  clock: Pick<Clock, 'now'> = { now: () => new Date() },
  bucket = 'holdfast-test',
): MemoryObjects {
  const store = new Map<string, Version[]>();
  const uploads = new Map<string, OpenUpload>();
  let serial = 0;

  const latest = (key: string) => {
    const version = store.get(key)?.at(-1);
    return version?.body === null ? undefined : version;
  };
  const find = (key: string, versionId?: string) =>
    versionId === undefined
      ? latest(key)
      : store.get(key)?.find((v) => v.versionId === versionId && v.body !== null);
  const existing = (key: string, versionId?: string) => {
    const version = find(key, versionId);
    if (!version) throw new ObjectMissing(`object ${key} does not exist`);
    return version;
  };
  const bytes = (version: Version) => version.body ?? Buffer.alloc(0);
  const headOf = (key: string, version: Version): ObjectHead => ({
    key,
    sizeBytes: bytes(version).length,
    etag: version.etag,
    versionId: version.versionId,
    crc64nvme: crc64NvmeBase64(bytes(version)),
    lastModified: version.lastModified,
    storageClass: 'STANDARD',
    retrieval: 'none',
    metadata: {},
  });
  const write = (
    key: string,
    body: Buffer | null,
    lastModified = clock.now(),
    tags: Readonly<Record<string, string>> = {},
  ): PutResult => {
    serial += 1;
    const version: Version = {
      versionId: `v${serial}`,
      body,
      lastModified,
      etag: `"${createHash('md5')
        .update(body ?? '')
        .digest('hex')}"`,
      tags: { ...tags },
    };
    store.set(key, [...(store.get(key) ?? []), version]);
    return {
      etag: version.etag,
      versionId: version.versionId,
      crc64nvme: body ? crc64NvmeBase64(body) : undefined,
    };
  };
  const currentKeys = (prefix: string) =>
    [...store.keys()]
      .filter((key) => key.startsWith(prefix) && latest(key) !== undefined)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  /** As the adapter does: the same bytes under the key are taken for our own write. */
  const ownWrite = (key: string, body: Buffer): PutResult | undefined => {
    const version = latest(key);
    if (!version) return undefined;
    if (!version.body?.equals(body)) throw new WriteConflict(`object ${key} exists already`);
    return headOf(key, version);
  };

  const objects: MemoryObjects = {
    bucket,
    fault: undefined,

    async head(key, versionId) {
      objects.fault?.('head', key);
      const version = find(key, versionId);
      return version && headOf(key, version);
    },
    async get(key, options = {}) {
      objects.fault?.('get', key);
      const version = find(key, options.versionId);
      if (!version) return undefined;
      const limit = options.maxBytes ?? 64 * 1024 * 1024;
      if (bytes(version).length > limit) {
        throw new SizeMismatch(`object ${key} has more than ${limit} bytes`);
      }
      return { body: Buffer.from(bytes(version)), head: headOf(key, version) };
    },
    async getRange(key, start, end, versionId) {
      objects.fault?.('getRange', key);
      return Buffer.from(bytes(existing(key, versionId)).subarray(start, end));
    },
    stream(key, options = {}) {
      return Readable.from(
        (async function* () {
          objects.fault?.('stream', key);
          const body = bytes(existing(key, options.versionId));
          const chunkBytes = 64 * 1024;
          const end = options.end ?? body.length;
          for (let at = options.start ?? 0; at < end; at += chunkBytes) {
            yield Buffer.from(body.subarray(at, Math.min(end, at + chunkBytes)));
          }
        })(),
        { objectMode: false },
      );
    },
    async retrieve(key) {
      objects.fault?.('retrieve', key);
      existing(key, undefined);
      return 'ongoing';
    },
    async put(key, body, options = {}) {
      objects.fault?.('put', key);
      const { condition } = options;
      const bodyBytes = Buffer.from(body);
      const own = condition === 'absent' ? ownWrite(key, bodyBytes) : undefined;
      if (own) return own;
      if (typeof condition === 'object' && latest(key)?.etag !== condition.etag) {
        throw new WriteConflict(`object ${key} has changed`);
      }
      return write(key, bodyBytes, clock.now(), options.tags);
    },
    async *list(prefix) {
      objects.fault?.('list', prefix);
      for (const key of currentKeys(prefix)) {
        const version = latest(key);
        if (!version) continue;
        const listed: ListedObject = {
          key,
          sizeBytes: bytes(version).length,
          lastModified: version.lastModified,
        };
        yield listed;
      }
    },
    async versions(key) {
      objects.fault?.('versions', key);
      return [...(store.get(key) ?? [])]
        .reverse()
        .map(({ versionId, body }) => ({ versionId, deleteMarker: body === null }));
    },
    async delete(keys) {
      for (const key of keys) {
        objects.fault?.('delete', key);
        write(key, null);
      }
    },
    async tag(key, tags, versionId) {
      objects.fault?.('tag', key);
      existing(key, versionId).tags = { ...tags };
    },
    async createUpload(key, options) {
      objects.fault?.('createUpload', key);
      serial += 1;
      const upload: OpenUpload = {
        key,
        uploadId: `upload-${serial}`,
        initiated: clock.now(),
        tags: options.tags ?? {},
        parts: new Map(),
      };
      uploads.set(upload.uploadId, upload);
      return handleOf(upload);
    },
    async *uploads(prefix) {
      objects.fault?.('uploads', prefix);
      for (const { key, uploadId, initiated } of [...uploads.values()]) {
        if (key.startsWith(prefix)) yield { key, uploadId, initiated };
      }
    },
    async abortUpload(key, uploadId) {
      objects.fault?.('abortUpload', key);
      if (uploads.get(uploadId)?.key === key) uploads.delete(uploadId);
    },

    keys: (prefix = '') => currentKeys(prefix),
    text: (key) => bytes(existing(key)).toString('utf8'),
    json: (key) => JSON.parse(objects.text(key)),
    tagsOf: (key) => existing(key).tags,
    seed(key, body, lastModified) {
      const plain = typeof body === 'string' || Buffer.isBuffer(body);
      write(key, Buffer.from(plain ? body : JSON.stringify(body)), lastModified);
    },
    openUploads: () => [...uploads.values()].map(({ key }) => key),
  };

  const handleOf = (upload: OpenUpload): Upload => ({
    uploadId: upload.uploadId,
    async putPart(partNumber, body, crc64nvme) {
      objects.fault?.('putPart', upload.key);
      if (!uploads.has(upload.uploadId)) throw new ObjectMissing(`no upload ${upload.uploadId}`);
      if (partNumber < 1 || partNumber > 10_000) throw new RangeError(`part ${partNumber}`);
      if (crc64NvmeBase64(body) !== crc64nvme) {
        throw new ChecksumMismatch(
          `part ${partNumber} of ${upload.key} does not match its checksum`,
        );
      }
      upload.parts.set(partNumber, Buffer.from(body));
    },
    async complete(expected) {
      objects.fault?.('complete', upload.key);
      if (!uploads.has(upload.uploadId)) throw new ObjectMissing(`no upload ${upload.uploadId}`);
      const ordered = [...upload.parts].sort(([a], [b]) => a - b).map(([, part]) => part);
      const body = Buffer.concat(ordered);
      if (body.length !== expected.sizeBytes) {
        throw new SizeMismatch(`${upload.key} has ${body.length} bytes, not ${expected.sizeBytes}`);
      }
      if (crc64NvmeBase64(body) !== expected.crc64nvme) {
        throw new ChecksumMismatch(`${upload.key} does not match its checksum`);
      }
      const own = ownWrite(upload.key, body);
      uploads.delete(upload.uploadId);
      return own ?? write(upload.key, body, clock.now(), upload.tags);
    },
    async abort() {
      await objects.abortUpload(upload.key, upload.uploadId);
    },
  });

  return objects;
}
