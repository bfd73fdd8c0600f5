/**
 * CRC-64/NVME, the checksum S3 calls CRC64NVME: polynomial 0xAD93D23594C93659, bits reflected,
 * starting and ending with all bits inverted; "123456789" gives 0xAE8B14860A799888 (NVM Command Set
 * specification 1.0, section 5.2.1.3.4).
 *
 * The checksum is a bigint at the edges and two 32-bit halves inside. Eight bytes are taken at a
 * time, one table for each ("slicing by 8").
 */
/** Bits reflected. */
const polynomialHigh = 0x9a6c9329;
const polynomialLow = 0xac4bc9b5;
const allOnes = 0xffff_ffff_ffff_ffffn;

/** Row s, 256 wide: what a byte's remainder becomes when s zero bytes follow it. */
const [tableHigh, tableLow] = makeTables();

function makeTables(): [high: Int32Array, low: Int32Array] {
  const high = new Int32Array(8 * 256);
  const low = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let h = 0;
    let l = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = l & 1;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (carry) {
        h ^= polynomialHigh;
        l ^= polynomialLow;
      }
    }
    high[byte] = h;
    low[byte] = l;
  }
  for (let i = 256; i < high.length; i += 1) {
    const h = high[i - 256] as number;
    const l = low[i - 256] as number;
    const byte = l & 255;
    low[i] = ((l >>> 8) | (h << 24)) ^ (low[byte] as number);
    high[i] = (h >>> 8) ^ (high[byte] as number);
  }
  return [high, low];
}

/** The remainder while a checksum is made: high half, low half. */
type Remainder = Int32Array;

/** The checksum of `chunk`, or of everything so far when `previous` is that of the bytes before. */
export function crc64Nvme(chunk: Uint8Array, previous = 0n): bigint {
  const start = previous ^ allOnes;
  const remainder = Int32Array.of(Number(start >> 32n), Number(start & 0xffff_ffffn));
  // Words must lie at multiples of four bytes; what is before and after them goes byte by byte.
  const wordsStart = Math.min(-chunk.byteOffset & 3, chunk.length);
  const wordPairs = Math.floor((chunk.length - wordsStart) / 8);
  addBytes(remainder, chunk.subarray(0, wordsStart));
  if (wordPairs > 0) {
    const wordsAt = chunk.byteOffset + wordsStart;
    addWords(remainder, new Int32Array(chunk.buffer, wordsAt, wordPairs * 2));
  }
  addBytes(remainder, chunk.subarray(wordsStart + wordPairs * 8));
  const [high = 0, low = 0] = remainder;
  return ((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)) ^ allOnes;
}

function addBytes(remainder: Remainder, bytes: Uint8Array): void {
  let [high = 0, low = 0] = remainder;
  for (const value of bytes) {
    const byte = (low ^ value) & 255;
    low = ((low >>> 8) | (high << 24)) ^ (tableLow[byte] as number);
    high = (high >>> 8) ^ (tableHigh[byte] as number);
  }
  remainder[0] = high;
  remainder[1] = low;
}

/** Takes words in the machine's order, which is little-endian on x86-64 and arm64. */
function addWords(remainder: Remainder, words: Int32Array): void {
  let [h = 0, l = 0] = remainder;
  const H = tableHigh;
  const L = tableLow;
  for (let i = 0; i < words.length; i += 2) {
    l ^= words[i] as number;
    h ^= words[i + 1] as number;
    const a = 1792 + (l & 255);
    const b = 1536 + ((l >>> 8) & 255);
    const c = 1280 + ((l >>> 16) & 255);
    const d = 1024 + (l >>> 24);
    const e = 768 + (h & 255);
    const f = 512 + ((h >>> 8) & 255);
    const g = 256 + ((h >>> 16) & 255);
    const k = h >>> 24;
    // biome-ignore format: the two halves are the same sum over the two tables
    l = (L[a] as number) ^ (L[b] as number) ^ (L[c] as number) ^ (L[d] as number) ^
      (L[e] as number) ^ (L[f] as number) ^ (L[g] as number) ^ (L[k] as number);
    // biome-ignore format: as above
    h = (H[a] as number) ^ (H[b] as number) ^ (H[c] as number) ^ (H[d] as number) ^
      (H[e] as number) ^ (H[f] as number) ^ (H[g] as number) ^ (H[k] as number);
  }
  remainder[0] = h;
  remainder[1] = l;
}

/** Bits of a length in bytes: the largest is that of the largest safe integer. */
const lengthBits = 53;
/** Row k, high half and low half: x^(8 * 2^k), which 2^k bytes that follow multiply a remainder by. */
const shifts = makeShifts();

function makeShifts(): Int32Array {
  const made = new Int32Array(2 * lengthBits);
  // x^8. The highest bit is the lowest power.
  const shift = Int32Array.of(1 << 23, 0);
  for (let at = 0; at < made.length; at += 2) {
    made.set(shift, at);
    multiply(shift, made[at] as number, made[at + 1] as number);
  }
  return made;
}

/**
 * The checksum of A followed by B, from the checksums of both and the length of B. It takes a microsecond or
 * two, whatever the length.
 */
export function combineCrc64Nvme(crcA: bigint, crcB: bigint, lengthBytesB: number): bigint {
  // What follows shifts A's remainder; the inversions cancel out.
  const remainder = Int32Array.of(Number(crcA >> 32n), Number(crcA & 0xffff_ffffn));
  for (let rest = lengthBytesB, at = 0; rest > 0; rest = Math.floor(rest / 2), at += 2) {
    if (rest % 2 === 1) multiply(remainder, shifts[at] as number, shifts[at + 1] as number);
  }
  const [high = 0, low = 0] = remainder;
  return ((BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)) ^ crcB;
}

/** Multiplies a polynomial by another, modulo the checksum's. */
function multiply(factor: Remainder, otherHigh: number, otherLow: number): void {
  let productHigh = 0;
  let productLow = 0;
  let h = otherHigh;
  let l = otherLow;
  for (let half = 0; half < 2; half += 1) {
    let bits = factor[half] as number;
    for (let bit = 0; bit < 32; bit += 1) {
      const taken = bits >> 31; // all ones where the bit is set, else zero
      productHigh ^= h & taken;
      productLow ^= l & taken;
      bits <<= 1;
      const carry = -(l & 1);
      l = ((l >>> 1) | (h << 31)) ^ (polynomialLow & carry);
      h = (h >>> 1) ^ (polynomialHigh & carry);
    }
  }
  factor[0] = productHigh;
  factor[1] = productLow;
}

/** The form of S3's `ChecksumCRC64NVME` fields: eight bytes, highest first, in base64. */
export function toBase64(crc: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(crc);
  return bytes.toString('base64');
}

/** The checksum that `toBase64` wrote. */
export function fromBase64(text: string): bigint {
  return Buffer.from(text, 'base64').readBigUInt64BE();
}
