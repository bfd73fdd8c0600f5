import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { constants, type FileHandle, open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type Announced, type Received, receiveBody } from './body.ts';
import {
  type ChecksumAlgorithm,
  type ChecksumType,
  canCombine,
  combineParts,
  compositeOfParts,
  type StoredChecksum,
} from './checksums.ts';
import { hasMd5Etag } from './description.ts';
import { FileSink } from './file-sink.ts';
import { S3Error } from './s3-error.ts';
import {
  type Bucket,
  type ObjectDescription,
  type ObjectStorage,
  type ObjectVersion,
  readJson,
  type WriteConditions,
} from './storage.ts';

/** S3: every part but the last has at least 5 MiB; parts are numbered 1 to 10,000. */
const MIN_PART_BYTES = 5 * 1024 ** 2;
export const MAX_PART_NUMBER = 10_000;
/** Positions above this are not used: file systems end at 16 TiB (ext4), and a hole is no gain. */
const MAX_SLOT_OFFSET_BYTES = 1024 ** 4;
/** Where parts lie at their final position; see `#place`. */
const SHARED_FILE = 'data';

export interface UploadRecord {
  readonly uploadId: string;
  readonly key: string;
  /** ISO 8601. */
  readonly initiated: string;
  readonly description: ObjectDescription;
  /** Undefined: the client named none, parts may use any, S3 itself keeps a CRC64NVME. */
  readonly algorithm: ChecksumAlgorithm | undefined;
  readonly checksumType: ChecksumType;
  /** Distance of parts in the shared file: the length of the part that came first. */
  readonly slotBytes: number | undefined;
}

export interface PartRecord {
  readonly partNumber: number;
  readonly sizeBytes: number;
  /** Without quotes. */
  readonly etag: string;
  /** Of the upload's algorithm, else CRC64NVME. */
  readonly checksum: string;
  readonly lastModified: string;
  readonly file: string;
  readonly offset: number;
}

export interface RequestedPart {
  readonly partNumber: number;
  readonly etag: string;
  /** The checksum of the upload's algorithm, where the client lists it. */
  readonly checksum: string | undefined;
}

/** What the client says when it completes an upload. */
export interface Completion {
  readonly parts: readonly RequestedPart[];
  readonly objectSizeBytes: number | undefined;
  readonly checksum: { algorithm: ChecksumAlgorithm; value: string } | undefined;
  readonly checksumType: string | undefined;
  readonly conditions: WriteConditions;
}

export interface Upload {
  record: UploadRecord;
  readonly parts: Map<number, PartRecord>;
  /** Numbers of parts that are, or are being written, in the shared file. */
  readonly occupied: Set<number>;
  completing: Promise<ObjectVersion> | undefined;
}

/** Unfinished multipart uploads of all buckets, on disk under `uploads/<id>/`. */
export class MultipartUploads {
  readonly #storage: ObjectStorage;
  readonly #clock: () => Date;
  readonly #uploads = new Map<Bucket, Map<string, Upload>>();
  /** Data files by the id of the upload that made them: S3 answers a repeated completion again. */
  readonly #completed = new Map<string, string>();

  constructor(storage: ObjectStorage, clock: () => Date) {
    this.#storage = storage;
    this.#clock = clock;
    for (const bucket of storage.buckets()) {
      for (const id of readdirSync(storage.bucketPath(bucket.name, 'uploads'))) {
        this.#load(bucket, id);
      }
    }
  }

  #load(bucket: Bucket, uploadId: string): void {
    const path = this.#path(bucket, uploadId);
    if (!existsSync(join(path, 'upload.json'))) {
      rmSync(path, { recursive: true }); // the process ended while it was created or removed
      return;
    }
    const upload = newUpload(readJson<UploadRecord>(join(path, 'upload.json')));
    const used = new Set(['upload.json', SHARED_FILE]);
    for (const name of readdirSync(path).filter((file) => /^\d+\.json$/.test(file))) {
      const part = readJson<PartRecord>(join(path, name));
      upload.parts.set(part.partNumber, part);
      if (part.file === SHARED_FILE) upload.occupied.add(part.partNumber);
      used.add(name).add(part.file);
    }
    for (const name of readdirSync(path)) if (!used.has(name)) rmSync(join(path, name));
    this.#of(bucket).set(uploadId, upload);
  }

  #of(bucket: Bucket): Map<string, Upload> {
    let uploads = this.#uploads.get(bucket);
    if (!uploads) {
      uploads = new Map();
      this.#uploads.set(bucket, uploads);
    }
    return uploads;
  }

  #path(bucket: Bucket, uploadId: string): string {
    return this.#storage.bucketPath(bucket.name, 'uploads', uploadId);
  }

  create(
    bucket: Bucket,
    record: Pick<UploadRecord, 'key' | 'description' | 'algorithm' | 'checksumType'>,
  ): UploadRecord {
    const uploadId = randomBytes(48).toString('base64url');
    const initiated = this.#clock().toISOString();
    const upload = newUpload({ ...record, uploadId, initiated, slotBytes: undefined });
    mkdirSync(this.#path(bucket, uploadId), { recursive: true });
    this.#save(bucket, upload);
    this.#of(bucket).set(uploadId, upload);
    return upload.record;
  }

  #save(bucket: Bucket, { record }: Upload): void {
    this.#storage.writeJson(join(this.#path(bucket, record.uploadId), 'upload.json'), record);
  }

  /** Throws NoSuchUpload, also when the upload is of another key. */
  find(bucket: Bucket, key: string, uploadId: string): Upload {
    const upload = this.#of(bucket).get(uploadId);
    if (!upload || upload.record.key !== key) throw new S3Error('NoSuchUpload');
    return upload;
  }

  /** By key, then by the time they began. */
  list(bucket: Bucket): readonly UploadRecord[] {
    return [...this.#of(bucket).values()]
      .map((upload) => upload.record)
      .sort(
        (a, b) =>
          Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) ||
          a.initiated.localeCompare(b.initiated) ||
          (a.uploadId < b.uploadId ? -1 : 1),
      );
  }

  /** Receives a part; one of the same number that came before stays until this one is complete. */
  async putPart(
    bucket: Bucket,
    upload: Upload,
    partNumber: number,
    announced: Announced,
    source: AsyncIterable<Uint8Array>,
  ): Promise<{ part: PartRecord; received: Received }> {
    const algorithm = upload.record.algorithm ?? 'CRC64NVME';
    const folder = this.#path(bucket, upload.record.uploadId);
    const place = this.#place(bucket, upload, partNumber, announced.sizeBytes);
    const release = () => {
      if (place.file === SHARED_FILE) upload.occupied.delete(partNumber);
      else rmSync(join(folder, place.file), { force: true });
    };
    try {
      const path = join(folder, place.file);
      const md5 = hasMd5Etag(upload.record.description);
      const received = await writeFileAt(path, place.offset, (sink) =>
        receiveBody(source, announced, { md5, algorithms: [algorithm] }, (c) => sink.write(c)),
      );
      // It may have been aborted or completed while the body came.
      if (this.#of(bucket).get(upload.record.uploadId) !== upload || upload.completing) {
        throw new S3Error('NoSuchUpload');
      }
      const part: PartRecord = {
        partNumber,
        sizeBytes: received.sizeBytes,
        etag: received.md5 ?? randomBytes(16).toString('hex'),
        checksum: received.checksums.get(algorithm) ?? '',
        lastModified: this.#clock().toISOString(),
        ...place,
      };
      const replaced = upload.parts.get(partNumber);
      this.#storage.writeJson(join(folder, `${partNumber}.json`), part);
      upload.parts.set(partNumber, part);
      if (replaced?.file === SHARED_FILE) upload.occupied.delete(partNumber);
      else if (replaced) rmSync(join(folder, replaced.file), { force: true });
      return { part, received };
    } catch (error) {
      release();
      // Aborted meanwhile: the folder is gone, which is not the disk's fault.
      if (this.#of(bucket).get(upload.record.uploadId) !== upload) {
        throw new S3Error('NoSuchUpload', undefined, { cause: error });
      }
      throw error;
    }
  }

  /**
   * Where a part is written. Clients cut all parts but the last to one size, so part n goes to
   * (n - 1) x that size in a shared file, which then *is* the object when it is completed: no byte is
   * copied. A part that does not fit (longer than the first that came, or sent again) gets its own file
   * and is copied on completion; all parts are, where the sizes are not what was expected.
   */
  #place(
    bucket: Bucket,
    upload: Upload,
    partNumber: number,
    sizeBytes: number | undefined,
  ): { file: string; offset: number } {
    if (upload.record.slotBytes === undefined && (sizeBytes ?? 0) >= MIN_PART_BYTES) {
      upload.record = { ...upload.record, slotBytes: sizeBytes };
      this.#save(bucket, upload);
    }
    const { slotBytes } = upload.record;
    const offset = (partNumber - 1) * (slotBytes ?? 0);
    const fits = slotBytes !== undefined && sizeBytes !== undefined && sizeBytes <= slotBytes;
    const free = !upload.occupied.has(partNumber) && upload.completing === undefined;
    if (!fits || !free || offset > MAX_SLOT_OFFSET_BYTES) {
      return { file: randomUUID(), offset: 0 };
    }
    upload.occupied.add(partNumber);
    return { file: SHARED_FILE, offset };
  }

  /**
   * Checks everything that S3 checks, then makes the object. A completion that is repeated (because the
   * first answer was lost) is answered again. Throws NoSuchUpload, InvalidPart, InvalidPartOrder,
   * EntityTooSmall, InvalidRequest, BadDigest, PreconditionFailed.
   */
  async complete(
    bucket: Bucket,
    key: string,
    uploadId: string,
    completion: Completion,
  ): Promise<{ object: ObjectVersion; repeated: boolean }> {
    const file = this.#completed.get(uploadId);
    const made = (bucket.versions.get(key) ?? []).find((v) => !v.deleteMarker && v.file === file);
    if (made?.deleteMarker === false) return { object: made, repeated: true };
    const upload = this.find(bucket, key, uploadId);
    const repeated = upload.completing !== undefined;
    upload.completing ??= this.#complete(bucket, upload, completion).finally(() => {
      upload.completing = undefined;
    });
    return { object: await upload.completing, repeated };
  }

  async #complete(bucket: Bucket, upload: Upload, completion: Completion): Promise<ObjectVersion> {
    const { record } = upload;
    const parts = selectParts(upload, completion.parts);
    const totalBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    if (completion.objectSizeBytes !== undefined && completion.objectSizeBytes !== totalBytes) {
      throw new S3Error(
        'InvalidRequest',
        `x-amz-mp-object-size is ${completion.objectSizeBytes}, but the parts have ${totalBytes} bytes.`,
      );
    }
    const checksum = checksumOfObject(record, parts);
    assertCompletionChecksum(completion, checksum);
    this.#storage.assertConditions(bucket, record.key, completion.conditions);

    const folder = this.#path(bucket, record.uploadId);
    const laidOut = layOut(parts);
    const strays = laidOut.filter(({ part, target }) => !isAt(part, target));
    // Not where a part of the shared file is in another one's place, nor where a straggler that is not
    // listed is still being written to it: it would go on writing into the object.
    const listed = new Set(parts.map((part) => part.partNumber));
    const inPlace =
      strays.every(({ part }) => part.file !== SHARED_FILE) &&
      [...upload.occupied].every((partNumber) => listed.has(partNumber));
    const path = inPlace ? join(folder, SHARED_FILE) : this.#storage.temporaryPath();
    try {
      await copyParts(folder, inPlace ? strays : laidOut, path);
      await truncate(path, totalBytes);
      // Linked, not moved: if the process ends before the record is there, the upload is still whole.
      const object = this.#storage.putObject(
        bucket,
        record.key,
        { ...record.description, etag: etagOfParts(parts), checksum },
        { path, keepSource: inPlace },
        completion.conditions,
      );
      this.#completed.set(record.uploadId, object.file);
      this.#remove(bucket, record.uploadId);
      return object;
    } finally {
      if (!inPlace) rmSync(path, { force: true });
    }
  }

  /** Removes the upload and its parts. Throws NoSuchUpload. */
  async abort(bucket: Bucket, key: string, uploadId: string): Promise<void> {
    await this.find(bucket, key, uploadId).completing?.catch(() => undefined);
    this.find(bucket, key, uploadId);
    this.#remove(bucket, uploadId);
  }

  #remove(bucket: Bucket, uploadId: string): void {
    this.#of(bucket).delete(uploadId);
    // The record first: a folder without it is removed by the next start.
    rmSync(join(this.#path(bucket, uploadId), 'upload.json'), { force: true });
    rmSync(this.#path(bucket, uploadId), { recursive: true, force: true });
  }
}

function newUpload(record: UploadRecord): Upload {
  return { record, parts: new Map(), occupied: new Set(), completing: undefined };
}

/** The stored parts that the client lists, in its order. */
function selectParts(upload: Upload, requested: readonly RequestedPart[]): readonly PartRecord[] {
  const { algorithm, checksumType } = upload.record;
  const needsChecksums = algorithm !== undefined && checksumType === 'COMPOSITE';
  if (requested.some((part, i) => part.partNumber <= (requested[i - 1]?.partNumber ?? 0))) {
    throw new S3Error('InvalidPartOrder');
  }
  const parts = requested.map(({ partNumber, etag, checksum }) => {
    const part = upload.parts.get(partNumber);
    if (!part || part.etag !== etag) throw new S3Error('InvalidPart');
    if (checksum !== undefined && checksum !== part.checksum) throw new S3Error('InvalidPart');
    if (checksum === undefined && needsChecksums) {
      throw new S3Error(
        'InvalidRequest',
        `The upload uses ${algorithm}: the checksum of part ${partNumber} is missing in the request.`,
      );
    }
    return part;
  });
  if (parts.slice(0, -1).some((part) => part.sizeBytes < MIN_PART_BYTES)) {
    throw new S3Error('EntityTooSmall');
  }
  return parts;
}

function checksumOfObject(record: UploadRecord, parts: readonly PartRecord[]): StoredChecksum {
  const algorithm = record.algorithm ?? 'CRC64NVME';
  return record.checksumType === 'FULL_OBJECT' && canCombine(algorithm)
    ? { algorithm, type: 'FULL_OBJECT', value: combineParts(algorithm, parts) }
    : { algorithm, type: 'COMPOSITE', value: compositeOfParts(algorithm, parts) };
}

function assertCompletionChecksum(completion: Completion, actual: StoredChecksum): void {
  const { checksum: expected, checksumType } = completion;
  if (checksumType !== undefined && checksumType !== actual.type) {
    throw new S3Error('InvalidRequest', `The upload has checksums of type ${actual.type}.`);
  }
  if (!expected) return;
  if (expected.algorithm !== actual.algorithm) {
    throw new S3Error('InvalidRequest', `The upload has checksums of ${actual.algorithm}.`);
  }
  // A composite value may come without its number of parts.
  if (expected.value !== actual.value && expected.value !== actual.value.replace(/-\d+$/, '')) {
    throw new S3Error(
      'BadDigest',
      `The ${actual.algorithm} you specified did not match the calculated checksum.`,
    );
  }
}

/** S3's form: the MD5 of the parts' ETags as bytes, with the number of parts. */
function etagOfParts(parts: readonly PartRecord[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(Buffer.from(part.etag, 'hex'));
  return `${hash.digest('hex')}-${parts.length}`;
}

interface LaidOutPart {
  readonly part: PartRecord;
  /** Where the part begins in the object. */
  readonly target: number;
}

function layOut(parts: readonly PartRecord[]): readonly LaidOutPart[] {
  let end = 0;
  return parts.map((part) => {
    const target = end;
    end += part.sizeBytes;
    return { part, target };
  });
}

function isAt(part: PartRecord, target: number): boolean {
  return part.file === SHARED_FILE && part.offset === target;
}

/** Copies parts to their places in the object; creates the file when there is none. */
async function copyParts(
  folder: string,
  parts: readonly LaidOutPart[],
  path: string,
): Promise<void> {
  for (const { part, target } of parts) {
    await writeFileAt(path, target, async (sink) => {
      if (part.sizeBytes === 0) return; // a stream cannot read an empty range
      await using source = await open(join(folder, part.file), 'r');
      const stream = source.createReadStream({
        start: part.offset,
        end: part.offset + part.sizeBytes - 1,
        highWaterMark: 1024 * 1024,
        autoClose: false,
      });
      for await (const chunk of stream as AsyncIterable<Buffer>) await sink.write(chunk);
    });
  }
}

/** Opens (creates, never truncates) a file, lets `fill` write from `offset` on, and closes it. */
export async function writeFileAt<T>(
  path: string,
  offset: number,
  fill: (sink: FileSink) => Promise<T>,
): Promise<T> {
  const handle: FileHandle = await open(path, constants.O_RDWR | constants.O_CREAT);
  try {
    const sink = new FileSink(handle, offset);
    const result = await fill(sink);
    await sink.flush();
    return result;
  } finally {
    await handle.close();
  }
}
