import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  openSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { startChecksum } from './checksums.ts';
import type { ObjectStorage, ObjectVersion } from './storage.ts';

/**
 * Harm done to stored objects behind the protocol's back: no request, no event. `flipBit` and `truncate`
 * leave everything that the store says about the object as it was (checksum, ETag, version).
 */
export class Damage {
  readonly #storage: ObjectStorage;

  constructor(storage: ObjectStorage) {
    this.#storage = storage;
  }

  /** Flips the lowest bit of the byte at the offset; negative offsets count from the end. */
  flipBit(bucket: string, key: string, offset: number): void {
    const file = openSync(this.#path(bucket, key), 'r+');
    try {
      const position = offset < 0 ? fstatSync(file).size + offset : offset;
      const byte = Buffer.alloc(1);
      if (readSync(file, byte, 0, 1, position) !== 1) {
        throw new RangeError(`${key} has no byte at ${offset}`);
      }
      byte.writeUInt8(byte.readUInt8() ^ 1);
      writeSync(file, byte, 0, 1, position);
    } finally {
      closeSync(file);
    }
  }

  /** Cuts the object after so many bytes. */
  truncate(bucket: string, key: string, sizeBytes: number): void {
    truncateSync(this.#path(bucket, key), sizeBytes);
  }

  /** Puts other bytes in the object's place, as somebody with write access would: a new version. */
  replace(bucket: string, key: string, bytes: Uint8Array): void {
    const current = this.#current(bucket, key);
    const checksum = startChecksum('CRC64NVME');
    checksum.update(bytes);
    const path = this.#storage.temporaryPath();
    writeFileSync(path, bytes);
    this.#storage.putObject(
      this.#storage.bucket(bucket),
      key,
      {
        headers: current.headers,
        tags: [],
        storageClass: current.storageClass,
        lock: current.lock,
        etag: createHash('md5').update(bytes).digest('hex'),
        checksum: { algorithm: 'CRC64NVME', type: 'FULL_OBJECT', value: checksum.digest() },
      },
      { path, keepSource: false },
      { ifMatch: undefined, ifNoneMatch: undefined },
    );
  }

  /** Removes every version of the key, whatever locks say. */
  remove(bucket: string, key: string): void {
    this.#storage.forget(this.#storage.bucket(bucket), key);
  }

  #current(bucket: string, key: string): ObjectVersion {
    return this.#storage.find(this.#storage.bucket(bucket), key, undefined);
  }

  #path(bucket: string, key: string): string {
    return this.#storage.dataPath(this.#storage.bucket(bucket), this.#current(bucket, key).file);
  }
}
