import { combineCrc64Nvme, crc64Nvme } from '../crc64-nvme.ts';
import type { DataBlock } from './block-index.ts';

/**
 * Computes the CRC-64 of each data block while the bytes go by, cut anywhere; every byte is taken once.
 *
 * `blocks` are in the order in which their bytes come, beginning with the first byte of the first. The list may
 * grow meanwhile, as long as it has every block that ends in what is given to `add`. `onBlock` is called with
 * each block and its checksum when its last byte was taken; what it throws, `add` throws.
 */
export class BlockChecksums<Block extends DataBlock> {
  readonly #blocks: readonly Block[];
  readonly #onBlock: (block: Block, crc: bigint) => void;
  #done = 0;
  /** Of the block that has begun and not ended. */
  #crc = 0n;
  #lengthBytes = 0;

  constructor(blocks: readonly Block[], onBlock: (block: Block, crc: bigint) => void) {
    this.#blocks = blocks;
    this.#onBlock = onBlock;
  }

  /** The block that has begun and not ended, and the position of its next byte in the archive. */
  get open(): { readonly block: Block; readonly position: number } | undefined {
    const block = this.#blocks[this.#done];
    if (block === undefined || this.#lengthBytes === 0) return undefined;
    return { block, position: block.offset + this.#lengthBytes };
  }

  /** Takes the next bytes, and answers their own checksum. */
  add(bytes: Buffer): bigint {
    let crc = 0n;
    for (let at = 0; at < bytes.length; ) {
      const block = this.#blocks[this.#done];
      const awaitedBytes = block === undefined ? Infinity : block.lengthBytes - this.#lengthBytes;
      const piece = bytes.subarray(at, Math.min(at + awaitedBytes, bytes.length));
      const pieceCrc = crc64Nvme(piece);
      crc = at === 0 ? pieceCrc : combineCrc64Nvme(crc, pieceCrc, piece.length);
      this.#crc =
        this.#lengthBytes === 0 ? pieceCrc : combineCrc64Nvme(this.#crc, pieceCrc, piece.length);
      this.#lengthBytes += piece.length;
      at += piece.length;
      if (block !== undefined && this.#lengthBytes === block.lengthBytes) this.#endBlock(block);
    }
    return crc;
  }

  #endBlock(block: Block): void {
    const crc = this.#crc;
    this.#done += 1;
    this.#crc = 0n;
    this.#lengthBytes = 0;
    this.#onBlock(block, crc);
  }
}
