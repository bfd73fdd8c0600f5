import { ArchiveCorrupt } from '#errors';
import type { ArchiveIndex, DataBlock } from './block-index.ts';
import { littleEndian, type Toc, type TocEntry, TocParser } from './toc.ts';

export interface ArchiveReaderOptions {
  /** Heads are kept in memory; a larger one is refused. */
  readonly maxHeadBytes?: number;
  /** Called for each data block as its last byte is read. */
  readonly onBlock?: (block: DataBlock) => void;
}

/** Half a gigabyte is a schema of millions of objects. */
const defaultMaxHeadBytes = 512 * 1024 * 1024;

const tableBlock = 1;
const blobsBlock = 3;

/** What the next bytes after the head are, once the current chunk of data is skipped. */
type Expected = 'block type' | 'dump id' | 'large object id' | 'chunk length';

/**
 * Follows a custom-format archive as it streams by, and knows at its end where every data block is.
 *
 * It keeps the head (header and table of contents) and nothing of the data, of which it reads only
 * the lengths. Chunks may be cut anywhere. After the head, the format is a sequence of blocks: a type
 * byte, a dump id, then chunks of a length and that many bytes until a length of 0; in a block of
 * large objects each has its oid before its chunks, and oid 0 ends the block (`_StartData`,
 * `_StartLOs` and `_skipData` in PostgreSQL's `pg_backup_custom.c`).
 *
 * An archive that records its offsets already is held against them.
 */
export class ArchiveReader {
  readonly #onBlock: ((block: DataBlock) => void) | undefined;
  readonly #tocParser: TocParser;
  readonly #blocks: DataBlock[] = [];
  /** Entries whose data has not come yet. */
  readonly #awaited = new Map<number, TocEntry>();

  #headBytes: Buffer = Buffer.alloc(0);
  #head: Buffer | undefined;
  #toc: Toc | undefined;
  #position = 0;
  #failure: unknown;

  #expected: Expected = 'block type';
  #skipBytes = 0;
  /** Bytes of an integer that the end of a push cut. */
  readonly #cutInt = Buffer.alloc(9);
  #cutIntLength = 0;
  #intSizeBytes = 4;

  #blockKind: DataBlock['kind'] = 'table';
  #blockOffset = 0;
  #blockDumpId = 0;

  constructor(options: ArchiveReaderOptions = {}) {
    this.#onBlock = options.onBlock;
    this.#tocParser = new TocParser(options.maxHeadBytes ?? defaultMaxHeadBytes);
  }

  /** Bytes read so far; during `onBlock`, those of the pushes before. */
  get position(): number {
    return this.#position;
  }

  /** The archive's bytes before its first data block, once they are complete. */
  get head(): Buffer | undefined {
    return this.#head;
  }

  get toc(): Toc | undefined {
    return this.#toc;
  }

  /** The data blocks that are complete. */
  get blocks(): readonly DataBlock[] {
    return this.#blocks;
  }

  /**
   * Takes the archive's next bytes; they are not kept.
   *
   * @throws ArchiveCorrupt, ArchiveUnsupported as soon as the bytes cannot be an archive's; every
   *   later call throws the same.
   */
  push(chunk: Buffer): void {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      const at = this.#toc === undefined ? this.#readHead(chunk) : 0;
      this.#readBlocks(chunk, at);
      this.#position += chunk.length;
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }

  /**
   * Says that the archive has ended.
   *
   * @throws ArchiveCorrupt when it may not end here.
   */
  end(): ArchiveIndex {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#toc === undefined) {
      throw new ArchiveCorrupt(
        `the archive ends at byte ${this.#position} in its table of contents`,
      );
    }
    if (this.#expected !== 'block type') {
      throw new ArchiveCorrupt(
        `the archive ends at byte ${this.#position} in the data of entry ${this.#blockDumpId}`,
      );
    }
    const [missing] = this.#awaited.values();
    if (missing !== undefined) {
      throw new ArchiveCorrupt(
        `the archive ends at byte ${this.#position} without the data of ${this.#awaited.size} ` +
          `entries, the first of which is ${missing.dumpId} (${missing.desc} ${missing.tag})`,
      );
    }
    return {
      header: this.#toc.header,
      entries: this.#toc.entries,
      blocks: this.#blocks,
      headLengthBytes: this.#toc.headLengthBytes,
      sizeBytes: this.#position,
    };
  }

  /** Answers where in the chunk the head ends; that is its length when the head goes on. */
  #readHead(chunk: Buffer): number {
    const lengthBytes = this.#position + chunk.length;
    // Doubling keeps the cost linear, and the memory in proportion to what really came.
    if (lengthBytes > this.#headBytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(lengthBytes, this.#headBytes.length * 2));
      this.#headBytes.copy(grown, 0, 0, this.#position);
      this.#headBytes = grown;
    }
    chunk.copy(this.#headBytes, this.#position);
    const toc = this.#tocParser.parse(this.#headBytes.subarray(0, lengthBytes));
    if (toc === undefined) return chunk.length;

    this.#toc = toc;
    this.#head = Buffer.from(this.#headBytes.subarray(0, toc.headLengthBytes));
    this.#headBytes = Buffer.alloc(0);
    this.#intSizeBytes = toc.header.intSizeBytes;
    for (const entry of toc.entries) if (entry.hasData) this.#awaited.set(entry.dumpId, entry);
    return toc.headLengthBytes - this.#position;
  }

  /** The hot path: per chunk of data it reads one integer and moves on. */
  #readBlocks(chunk: Buffer, start: number): void {
    const end = chunk.length;
    const intBytes = 1 + this.#intSizeBytes;
    let at = start;
    while (at < end) {
      if (this.#skipBytes > 0) {
        const skipped = Math.min(this.#skipBytes, end - at);
        this.#skipBytes -= skipped;
        at += skipped;
      } else if (this.#expected === 'block type') {
        this.#startBlock(chunk[at] as number, this.#position + at);
        at += 1;
      } else if (this.#cutIntLength === 0 && end - at >= intBytes) {
        const value = this.#int(chunk, at);
        at += intBytes;
        this.#takeInt(value, this.#position + at);
      } else {
        this.#cutInt[this.#cutIntLength] = chunk[at] as number;
        this.#cutIntLength += 1;
        at += 1;
        if (this.#cutIntLength === intBytes) {
          this.#cutIntLength = 0;
          this.#takeInt(this.#int(this.#cutInt, 0), this.#position + at);
        }
      }
    }
  }

  #int(bytes: Buffer, at: number): number {
    const sign = bytes[at] as number;
    const value = littleEndian(bytes, at + 1, this.#intSizeBytes);
    if (sign === 0) return value;
    if (sign !== 1 || value === 0) {
      throw new ArchiveCorrupt(`the data of entry ${this.#blockDumpId} has a malformed integer`);
    }
    return -value;
  }

  #takeInt(value: number, position: number): void {
    switch (this.#expected) {
      case 'chunk length':
        if (value > 0) this.#skipBytes = value;
        else if (value < 0) {
          throw new ArchiveCorrupt(`a chunk of ${value} bytes before byte ${position}`);
        } else if (this.#blockKind === 'blobs') this.#expected = 'large object id';
        else this.#endBlock(position);
        break;
      case 'large object id':
        // Oids above 2^31 were written as negative integers.
        if (value === 0) this.#endBlock(position);
        else this.#expected = 'chunk length';
        break;
      case 'dump id':
        this.#nameBlock(value);
        break;
      case 'block type':
        break;
    }
  }

  #startBlock(type: number, offset: number): void {
    if (this.#awaited.size === 0) {
      throw new ArchiveCorrupt(`the archive goes on at byte ${offset}, after its last data block`);
    }
    if (type !== tableBlock && type !== blobsBlock) {
      throw new ArchiveCorrupt(`unknown data block type ${type} at byte ${offset}`);
    }
    this.#blockKind = type === tableBlock ? 'table' : 'blobs';
    this.#blockOffset = offset;
    this.#expected = 'dump id';
  }

  #nameBlock(dumpId: number): void {
    const at = `at byte ${this.#blockOffset}`;
    const entry = this.#awaited.get(dumpId);
    if (entry === undefined) {
      throw new ArchiveCorrupt(`a data block ${at} for entry ${dumpId}, which awaits none`);
    }
    if ((entry.desc === 'BLOBS') !== (this.#blockKind === 'blobs')) {
      throw new ArchiveCorrupt(
        `a ${this.#blockKind} block ${at} for entry ${dumpId} (${entry.desc})`,
      );
    }
    if (entry.dataOffset !== undefined && entry.dataOffset !== this.#blockOffset) {
      throw new ArchiveCorrupt(
        `the data of entry ${dumpId} is ${at}, but the table of contents says ${entry.dataOffset}`,
      );
    }
    this.#blockDumpId = dumpId;
    this.#expected = this.#blockKind === 'blobs' ? 'large object id' : 'chunk length';
  }

  #endBlock(position: number): void {
    const block: DataBlock = {
      dumpId: this.#blockDumpId,
      kind: this.#blockKind,
      offset: this.#blockOffset,
      lengthBytes: position - this.#blockOffset,
    };
    this.#awaited.delete(block.dumpId);
    this.#blocks.push(block);
    this.#expected = 'block type';
    this.#onBlock?.(block);
  }
}
