import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';

/** The algorithms of `x-amz-checksum-*`, by the name that S3 uses in values and (lower case) headers. */
export const CHECKSUM_ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];
export type ChecksumType = 'COMPOSITE' | 'FULL_OBJECT';

export interface StoredChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
  /** Base64 of the big-endian value; composite ones end in `-<parts>`. */
  readonly value: string;
}

export interface RunningChecksum {
  update(chunk: Uint8Array): void;
  /** Base64, as in the header. */
  digest(): string;
}

const DIGEST_BYTES = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 } as const;
/** Reflected generator polynomials. */
const POLYNOMIALS = {
  CRC32: 0xedb88320n,
  CRC32C: 0x82f63b78n,
  CRC64NVME: 0x9a6c9329ac4bc9b5n,
} as const;

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** Whether the text has the shape of a checksum of this algorithm. */
export function isChecksumValue(algorithm: ChecksumAlgorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64');
  return bytes.length === DIGEST_BYTES[algorithm] && bytes.toString('base64') === value;
}

export function startChecksum(algorithm: ChecksumAlgorithm): RunningChecksum {
  switch (algorithm) {
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(algorithm.toLowerCase());
      return { update: (chunk) => hash.update(chunk), digest: () => hash.digest('base64') };
    }
    case 'CRC32':
      return start32(crc32);
    case 'CRC32C':
      return start32(crc32c);
    case 'CRC64NVME': {
      let crc = 0n;
      return {
        update: (chunk) => {
          crc = crc64Nvme(chunk, crc);
        },
        digest: () => toBase64(crc),
      };
    }
  }
}

function start32(step: (chunk: Uint8Array, crc: number) => number): RunningChecksum {
  let crc = 0;
  return {
    update: (chunk) => {
      crc = step(chunk, crc);
    },
    digest: () => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(crc);
      return bytes.toString('base64');
    },
  };
}

const CRC32C_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0x82f63b78 : value >>> 1;
  return value;
});

/** Byte by byte, about 0.4 GB/s: nothing of ours sends CRC32C, clients in other languages may. */
function crc32c(chunk: Uint8Array, previous: number): number {
  let crc = ~previous;
  for (const byte of chunk) crc = (CRC32C_TABLE[(crc ^ byte) & 255] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** SHA-256 and SHA-1 of a whole object cannot be had from those of its parts. */
export function canCombine(algorithm: ChecksumAlgorithm): algorithm is keyof typeof POLYNOMIALS {
  return algorithm in POLYNOMIALS;
}

export interface PartChecksum {
  readonly checksum: string;
  readonly sizeBytes: number;
}

/**
 * The CRC of the concatenated parts: crc(A‖B) = crc(A)·x^(8·|B|) mod P, plus crc(B). On purpose not the
 * combination in `#domain`, so that the store cannot share a mistake with the code that it judges.
 */
export function combineParts(
  algorithm: keyof typeof POLYNOMIALS,
  parts: readonly PartChecksum[],
): string {
  const digestBytes = DIGEST_BYTES[algorithm];
  const polynomial = POLYNOMIALS[algorithm];
  const topBit = 1n << BigInt(8 * digestBytes - 1);
  const multiply = (a: bigint, b: bigint): bigint => {
    let product = 0n;
    let shifted = b;
    for (let mask = topBit; mask > 0n; mask >>= 1n) {
      if (a & mask) product ^= shifted;
      shifted = shifted & 1n ? (shifted >> 1n) ^ polynomial : shifted >> 1n;
    }
    return product;
  };
  // All parts but the last usually have one size, so that its factor is computed once.
  const factors = new Map<number, bigint>();
  const factorOf = (sizeBytes: number): bigint => {
    let factor = factors.get(sizeBytes);
    if (factor === undefined) {
      factor = topBit; // x^0
      let power = topBit >> 8n; // x^8: one byte
      for (let rest = BigInt(sizeBytes); rest > 0n; rest >>= 1n) {
        if (rest & 1n) factor = multiply(factor, power);
        power = multiply(power, power);
      }
      factors.set(sizeBytes, factor);
    }
    return factor;
  };
  let crc = 0n;
  for (const part of parts) {
    const own = BigInt(`0x${Buffer.from(part.checksum, 'base64').toString('hex')}`);
    crc = multiply(crc, factorOf(part.sizeBytes)) ^ own;
  }
  return Buffer.from(crc.toString(16).padStart(2 * digestBytes, '0'), 'hex').toString('base64');
}

/** Checksum of the parts' checksums, with their number: S3's COMPOSITE type. */
export function compositeOfParts(
  algorithm: ChecksumAlgorithm,
  parts: readonly PartChecksum[],
): string {
  const running = startChecksum(algorithm);
  for (const part of parts) running.update(Buffer.from(part.checksum, 'base64'));
  return `${running.digest()}-${parts.length}`;
}
