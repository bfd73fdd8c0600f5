import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { Manifest } from '#contracts/manifest.ts';
import type { PinnedObject } from '#contracts/restore.ts';
import { appendedTocLimit, readAppendedToc } from '#domain/archive/appended-toc.ts';
import type { DataBlock } from '#domain/archive/block-index.ts';
import { RECOGNIZED_BYTES, recognizeOtherFormat } from '#domain/archive/other-format.ts';
import { ArchiveReader } from '#domain/archive/reader.ts';
import { readableToc } from '#domain/archive/text-encoding.ts';
import type { Toc } from '#domain/archive/toc.ts';
import {
  ArchiveCorrupt,
  ArchiveUnsupported,
  ChecksumMismatch,
  ContentsMismatch,
  ObjectMissing,
  ObjectReplaced,
  SizeMismatch,
} from '#errors';
import type { Deps, ObjectHead, Objects } from '#runtime/ports.ts';

/** An archive in the bucket: what is in it, where its data are, and how to read them. */
export interface ArchiveAccess {
  /** Header and table of contents, byte for byte as they stand in the archive. */
  readonly head: Buffer;
  /** With its names as the database has them, whatever its encoding. */
  readonly toc: Toc;
  /** In the order of the file, without a gap from the head's end to the tail. */
  readonly blocks: readonly DataBlock[];
  /** What is behind the data: nothing, or the second table of contents of a `pg_dump … > file`. */
  readonly tail: Buffer;
  readonly sizeBytes: number;
  /** Of the whole archive, base64, as it should be; undefined where nobody knows. */
  readonly crc64nvme: string | undefined;
  /** Bytes of the archive that opening it has read. */
  readonly openedBytes: number;
  /** Bytes `start` to `end` (exclusive). */
  read(start: number, end: number): Readable;
}

export interface OpenArchiveOptions {
  readonly archive: PinnedObject;
  /** None: the archive was made by pg_dump alone. */
  readonly manifest?: Manifest | undefined;
  readonly signal: AbortSignal;
}

/** Ranged GETs at the same time while block heads are looked at. */
const PROBES_AT_A_TIME = 16;
/** Type byte of a block in the archive (PostgreSQL's pg_backup_custom.c: BLK_DATA, BLK_BLOBS). */
const BLOCK_TYPE = { table: 1, blobs: 3 } as const;

/**
 * Opens an archive for a restore. With its manifest, one ranged GET does, and what comes must be what the
 * manifest says. Of a foreign one the head is read; where the data are follows from the offsets in it or in
 * the second one at the end, each of which is looked at, or, where pg_dump wrote to a pipe and could not fill
 * them in, from reading the archive once to its end.
 *
 * Throws ObjectMissing, ObjectReplaced, SizeMismatch, ChecksumMismatch, ContentsMismatch, ArchiveCorrupt,
 * ArchiveUnsupported, RetrievalFailed, or the signal's reason.
 */
export async function openArchive(
  { objects }: Pick<Deps, 'objects'>,
  { archive, manifest, signal }: OpenArchiveOptions,
): Promise<ArchiveAccess> {
  const { key, versionId } = archive;
  const stored = await requireObject(objects, archive, manifest);
  signal.throwIfAborted();
  const found = manifest
    ? await readKnown(objects, archive, manifest)
    : await readForeign(objects, archive, signal);
  requireSeamless(key, found, stored.sizeBytes);
  return {
    ...found,
    sizeBytes: stored.sizeBytes,
    crc64nvme: manifest?.objects.archive.crc64nvme ?? stored.crc64nvme,
    read: (start, end) =>
      objects.stream(key, { start, end, ...(versionId === undefined ? {} : { versionId }) }),
  };
}

async function requireObject(
  objects: Objects,
  { key, versionId, sizeBytes }: PinnedObject,
  manifest: Manifest | undefined,
): Promise<ObjectHead> {
  const head = await objects.head(key, versionId);
  const which = versionId === undefined ? key : `${key} in version ${versionId}`;
  if (!head) throw new ObjectMissing(`${which} is not there`);
  const written = manifest?.objects.archive;
  if (written?.versionId !== undefined && head.versionId !== written.versionId) {
    throw new ObjectReplaced(
      `${key} is version ${head.versionId}, the dump task wrote version ${written.versionId}`,
      { remedy: 'find out who wrote it; the version of the backup is still in the bucket' },
    );
  }
  const expectedBytes = written?.sizeBytes ?? sizeBytes;
  if (head.sizeBytes !== expectedBytes) {
    throw new SizeMismatch(`${which} has ${head.sizeBytes} bytes, not ${expectedBytes}`);
  }
  if (written && head.crc64nvme !== undefined && head.crc64nvme !== written.crc64nvme) {
    throw new ChecksumMismatch(
      `${which} has CRC-64 ${head.crc64nvme}, the manifest says ${written.crc64nvme}`,
    );
  }
  return head;
}

type Found = Pick<ArchiveAccess, 'head' | 'toc' | 'blocks' | 'tail' | 'openedBytes'>;

const NOTHING = Buffer.alloc(0);

async function readKnown(
  objects: Objects,
  { key, versionId }: PinnedObject,
  manifest: Manifest,
): Promise<Found> {
  const { headBytes, headSha256, blocks } = manifest.archive;
  const head = await objects.getRange(key, 0, headBytes, versionId);
  if (createHash('sha256').update(head).digest('hex') !== headSha256) {
    throw new ChecksumMismatch(`the table of contents in ${key} does not have its SHA-256`);
  }
  return { head, toc: readableToc(head), blocks, tail: NOTHING, openedBytes: head.length };
}

async function readForeign(
  objects: Objects,
  archive: PinnedObject,
  signal: AbortSignal,
): Promise<Found> {
  const { key, versionId } = archive;
  const reader = new ArchiveReader();
  const body = objects.stream(key, versionId === undefined ? {} : { versionId });
  let openedBytes = 0;
  let sought = false;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    if (openedBytes === 0) requireCustomFormat(key, chunk);
    openedBytes += chunk.length;
    let failure: { error: unknown } | undefined;
    try {
      reader.push(chunk);
    } catch (error) {
      // A small archive is here as a whole: what disturbs may be the second table of contents.
      if (sought || !reader.head) throw error;
      failure = { error };
    }
    const { head, toc } = reader;
    if (sought || !head || !toc) continue;
    sought = true;
    const located = await locateBlocks(objects, archive, head, toc);
    if (failure && !located?.tail.length) throw failure.error;
    // Leaving the loop closes the stream.
    if (located) {
      const { blocks, tail } = located;
      await probeBlocks(objects, archive, toc, blocks, signal);
      openedBytes += tail.length;
      return { head, toc: readableToc(head, toc), blocks, tail, openedBytes };
    }
  }
  const { blocks } = reader.end();
  const { head, toc } = reader as { head: Buffer; toc: Toc };
  return { head, toc: readableToc(head, toc), blocks, tail: NOTHING, openedBytes };
}

/** People keep other things as dumps: better named than called damaged. */
function requireCustomFormat(key: string, start: Buffer): void {
  const other = recognizeOtherFormat(start.subarray(0, RECOGNIZED_BYTES));
  if (!other) return;
  throw new ArchiveUnsupported(`${key} is ${other.what}, and no archive in the custom format`, {
    remedy: other.remedy,
  });
}

/**
 * The blocks by the offsets in the table of contents, or else in the one that pg_dump appended; undefined where
 * nobody filled them in.
 */
async function locateBlocks(
  objects: Objects,
  { key, versionId, sizeBytes }: PinnedObject,
  head: Buffer,
  toc: Toc,
): Promise<Pick<Found, 'blocks' | 'tail'> | undefined> {
  const recorded = recordedBlocks(toc, sizeBytes);
  // Where there are no data, a head that lacks no offset does not say that nothing follows it.
  if (recorded && (recorded.length > 0 || head.length >= sizeBytes)) {
    return { blocks: recorded, tail: NOTHING };
  }
  const start = Math.max(head.length, sizeBytes - appendedTocLimit(head, toc));
  if (start >= sizeBytes) return undefined;
  const end = await objects.getRange(key, start, sizeBytes, versionId);
  const appended = readAppendedToc(head, toc, end);
  const blocks = appended && recordedBlocks(appended.toc, sizeBytes - appended.lengthBytes);
  return blocks && { blocks, tail: end.subarray(end.length - appended.lengthBytes) };
}

/** The blocks by the offsets in the table of contents; undefined unless every one is recorded. */
function recordedBlocks(toc: Toc, sizeBytes: number): DataBlock[] | undefined {
  const starts: { dumpId: number; kind: DataBlock['kind']; offset: number }[] = [];
  for (const { hasData, dumpId, desc, dataOffset: offset } of toc.entries) {
    if (!hasData) continue;
    if (offset === undefined) return undefined;
    starts.push({ dumpId, kind: desc === 'BLOBS' ? 'blobs' : 'table', offset });
  }
  starts.sort((a, b) => a.offset - b.offset);
  return starts.map((start, place) => ({
    ...start,
    lengthBytes: (starts[place + 1]?.offset ?? sizeBytes) - start.offset,
  }));
}

/** Reads only the head of each block: its type, and the id of the entry it belongs to. */
async function probeBlocks(
  objects: Objects,
  { key, versionId }: PinnedObject,
  toc: Toc,
  blocks: readonly DataBlock[],
  signal: AbortSignal,
): Promise<void> {
  const { intSizeBytes } = toc.header;
  const waiting = [...blocks];
  async function probe({ offset, kind, dumpId }: DataBlock): Promise<void> {
    // The type byte; then the id as pg_dump writes integers: a sign byte and the rest little-endian.
    const bytes = await objects.getRange(key, offset, offset + 2 + intSizeBytes, versionId);
    if (
      bytes.length < 2 + intSizeBytes ||
      bytes[0] !== BLOCK_TYPE[kind] ||
      bytes[1] !== 0 ||
      bytes.readInt32LE(2) !== dumpId
    ) {
      throw new ContentsMismatch(`the data of entry ${dumpId} is not at byte ${offset} of ${key}`);
    }
  }
  const workers = Array.from({ length: PROBES_AT_A_TIME }, async () => {
    for (let block = waiting.pop(); block !== undefined; block = waiting.pop()) {
      signal.throwIfAborted();
      await probe(block);
    }
  });
  await Promise.all(workers);
}

/** Blocks must be those of the table of contents and leave no byte out, or something is not as we think. */
function requireSeamless(key: string, { head, toc, blocks, tail }: Found, sizeBytes: number): void {
  const awaited = new Set(toc.entries.filter(({ hasData }) => hasData).map(({ dumpId }) => dumpId));
  let position = head.length;
  for (const { dumpId, offset, lengthBytes } of blocks) {
    if (offset !== position || lengthBytes <= 0 || !awaited.delete(dumpId)) {
      throw new ArchiveCorrupt(
        `${key}: the data of entry ${dumpId} should begin at byte ${position}, not at ${offset}`,
      );
    }
    position += lengthBytes;
  }
  if (position + tail.length !== sizeBytes || awaited.size > 0) {
    throw new ArchiveCorrupt(
      `${key}: the data of ${blocks.length} entries end at byte ${position} of ${sizeBytes}, ` +
        `those of ${awaited.size} are missing`,
    );
  }
}
