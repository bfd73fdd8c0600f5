import type { FileHandle } from 'node:fs/promises';
import { S3Error } from './s3-error.ts';

/** One write call per MiB instead of one per 64 KiB chunk from the socket. */
const BATCH_BYTES = 1024 * 1024;

/** Appends chunks to a file from a position on, in batches. The caller flushes and closes. */
export class FileSink {
  readonly #handle: FileHandle;
  #position: number;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;

  constructor(handle: FileHandle, position = 0) {
    this.#handle = handle;
    this.#position = position;
  }

  /** A promise only when a batch is written. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    this.#batch.push(chunk);
    this.#batchBytes += chunk.length;
    return this.#batchBytes >= BATCH_BYTES ? this.flush() : undefined;
  }

  async flush(): Promise<void> {
    if (this.#batchBytes === 0) return;
    const expected = this.#batchBytes;
    const { bytesWritten } = await this.#handle.writev(this.#batch, this.#position);
    if (bytesWritten !== expected) throw new S3Error('InternalError', 'The disk is full.');
    this.#position += bytesWritten;
    this.#batch = [];
    this.#batchBytes = 0;
  }
}
