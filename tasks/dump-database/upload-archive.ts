import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { BlockChecksums } from '#domain/archive/block-checksums.ts';
import type { ArchiveIndex, DataBlock } from '#domain/archive/block-index.ts';
import { patchHead } from '#domain/archive/patch.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { combineCrc64Nvme, crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { partSizeBytes } from '#domain/part-size.ts';
import type { PutResult, Upload } from '#runtime/ports.ts';

/** Parts on their way at the same time; more gain nothing on one dump's stream. */
const MAX_IN_FLIGHT = 4;
/** The first part waits in memory for the end, so it has the least size, whatever the others have. */
const FIRST_PART_BYTES = partSizeBytes(1, 0);

export interface ArchiveUploadOptions {
  readonly stdout: Readable;
  readonly upload: Upload;
  /** Chooses the part size; how wrong it may be is said in domain/part-size.ts. */
  readonly estimatedBytes: number;
  /**
   * For part buffers: the first part, the one being filled, and those on their way. One part is filled
   * in any case, so parts above this (archives above 9,000 times as much) take more.
   */
  readonly memoryBytes: number;
  readonly onProgress?: (progress: { bytes: number; block?: DataBlock; tables: number }) => void;
}

export interface ChecksummedBlock extends DataBlock {
  readonly crc64nvme: string;
}

export interface StreamedArchive {
  readonly index: ArchiveIndex;
  /** Those of the index, each with its checksum. */
  readonly blocks: readonly ChecksummedBlock[];
  readonly sizeBytes: number;
  /** Header and table of contents with the data offsets filled in: `toc.dump`. */
  readonly head: Buffer;
  readonly headSha256: string;
  readonly bodySha256: string;
  readonly crc64nvme: string;
  /** Uploads the held first part and completes the object: the archive exists from here on. */
  complete(): Promise<PutResult>;
}

/**
 * Streams `pg_dump`'s output into a multipart upload while it follows the archive's structure.
 *
 * The first part, which has the header and the table of contents, is held back until every data block
 * has gone by; then its offsets are filled in. S3 takes parts in any order. Nothing touches a disk, and
 * memory is bounded by `memoryBytes` (plus the head, where that is larger than a part). Two parts are the
 * least there can be, so above an estimate of about 500 GiB, where a part is 57 MiB, they set the bound.
 *
 * The caller must call `complete()` only after `pg_dump` ended with exit code 0, and abort the upload
 * otherwise. Throws ArchiveCorrupt when the stream is not one whole archive, and what `putPart` throws.
 */
export async function uploadArchive(options: ArchiveUploadOptions): Promise<StreamedArchive> {
  const { stdout, upload, estimatedBytes, memoryBytes, onProgress } = options;
  const tablesTotal = () =>
    reader.toc?.entries.filter((entry) => entry.desc === 'TABLE DATA').length ?? 0;
  let tables = 0;
  const reader = new ArchiveReader({
    onBlock: (block) => {
      tables ||= tablesTotal();
      onProgress?.({ bytes: reader.position, block, tables });
    },
  });
  const inFlight = new Set<Promise<void>>();
  const spare: Buffer[] = [];
  const bodyHash = createHash('sha256');

  let failure: unknown;
  let partNumber = 1;
  // The held part only has to hold the head: the smallest size there is, whatever the estimate.
  let partBytes = partSizeBytes(1, 0);
  let part: Buffer = Buffer.allocUnsafe(partBytes);
  let filled = 0;
  let firstPart: Buffer | undefined;
  let sizeBytes = 0;
  const blocks: ChecksummedBlock[] = [];
  const checksums = new BlockChecksums(reader.blocks, (block, crc) => {
    blocks.push({ ...block, crc64nvme: toBase64(crc) });
  });
  /** Of what the first part has behind the head. */
  let firstDataCrc = 0n;
  /** Checksum and length of everything behind the first part. */
  let restCrc = 0n;
  let restBytes = 0;

  /** Parts that may be on their way while the next one is filled. */
  function room(): number {
    const buffers = Math.floor((memoryBytes - FIRST_PART_BYTES) / partBytes);
    return Math.max(0, Math.min(MAX_IN_FLIGHT, buffers - 1));
  }

  /** Closes the part being filled and opens the next. The first is kept, later ones are sent. */
  async function closePart(): Promise<void> {
    const body = part.subarray(0, filled);
    if (firstPart === undefined) {
      firstPart = keepFirstPart(body);
    } else {
      await send(partNumber, part, body);
      if (failure !== undefined) throw failure;
    }
    partNumber++;
    partBytes = partSizeBytes(partNumber, estimatedBytes);
    const reuse = spare.pop();
    part = reuse?.length === partBytes ? reuse : Buffer.allocUnsafe(partBytes);
    filled = 0;
  }

  /** Its head is patched at the end; of its data the checksums are made now, in the order of the bytes. */
  function keepFirstPart(body: Buffer): Buffer {
    const data = body.subarray(reader.head?.length);
    bodyHash.update(data);
    firstDataCrc = checksums.add(data);
    return body;
  }

  async function send(number: number, buffer: Buffer, body: Buffer): Promise<void> {
    bodyHash.update(body);
    const crc = checksums.add(body);
    restCrc = restBytes === 0 ? crc : combineCrc64Nvme(restCrc, crc, body.length);
    restBytes += body.length;
    const sending = upload.putPart(number, body, toBase64(crc)).then(
      () => {
        spare.push(buffer);
      },
      (error: unknown) => {
        failure ??= error;
      },
    );
    inFlight.add(sending);
    void sending.finally(() => inFlight.delete(sending));
    while (inFlight.size > room() && failure === undefined) await Promise.race(inFlight);
  }

  /** The head must be whole in the first part, which therefore grows with it. */
  function growFirstPart(needed: number): void {
    const grown = Buffer.allocUnsafe(Math.max(needed, part.length * 2));
    part.copy(grown, 0, 0, filled);
    part = grown;
  }

  try {
    for await (const chunk of stdout as AsyncIterable<Buffer>) {
      reader.push(chunk);
      sizeBytes += chunk.length;
      onProgress?.({ bytes: sizeBytes, tables });
      for (let at = 0; at < chunk.length; ) {
        if (filled === part.length) {
          if (firstPart === undefined && !headIsIn(reader, filled)) growFirstPart(filled + 1);
          else await closePart();
        }
        const copied = chunk.copy(part, filled, at);
        filled += copied;
        at += copied;
      }
      if (failure !== undefined) throw failure;
    }
    const index = reader.end();
    const head = reader.head as Buffer;
    if (firstPart === undefined) {
      firstPart = keepFirstPart(part.subarray(0, filled));
    } else if (filled > 0) {
      await send(partNumber, part, part.subarray(0, filled));
    }
    await Promise.all(inFlight);
    if (failure !== undefined) throw failure;

    const patched = patchHead(head, index);
    const held = firstPart;
    patched.copy(held);
    const heldDataBytes = held.length - head.length;
    const heldCrc = combineCrc64Nvme(crc64Nvme(patched), firstDataCrc, heldDataBytes);
    const crc = restBytes === 0 ? heldCrc : combineCrc64Nvme(heldCrc, restCrc, restBytes);
    const crc64nvme = toBase64(crc);
    return {
      index,
      blocks,
      sizeBytes,
      head: patched,
      headSha256: createHash('sha256').update(patched).digest('hex'),
      bodySha256: bodyHash.digest('hex'),
      crc64nvme,
      async complete() {
        await upload.putPart(1, held, toBase64(heldCrc));
        return upload.complete({ sizeBytes, crc64nvme });
      },
    };
  } finally {
    // No part may still be on its way when the caller aborts the upload.
    await Promise.allSettled(inFlight);
  }
}

function headIsIn(reader: ArchiveReader, bytes: number): boolean {
  return reader.head !== undefined && reader.head.length <= bytes;
}
