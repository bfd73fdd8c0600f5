/**
 * CRC-64/NVME, the checksum S3 calls CRC64NVME: polynomial 0xAD93D23594C93659, bits reflected,
 * starting and ending with all bits inverted; "123456789" gives 0xAE8B14860A799888 (NVM Command Set
 * specification 1.0, section 5.2.1.3.4).
 *
 * The checksum is a bigint at the edges and two 32-bit halves inside. Eight bytes are taken at a
 * time, one table for each ("slicing by 8").
 */
const polynomial = 0x9a6c9329ac4bc9b5n; // bits reflected
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

/** The checksum of A followed by B, from the checksums of both and the length of B. */
export function combineCrc64Nvme(crcA: bigint, crcB: bigint, lengthBytesB: number): bigint {
  // Appending B multiplies A's remainder by x^(8 * length of B); the inversions cancel out.
  let shift = 1n << 63n; // x^0: the highest bit is the lowest power
  let power = 1n << 55n; // x^8, squared in each round
  for (let rest = BigInt(lengthBytesB); rest > 0n; rest >>= 1n) {
    if (rest & 1n) shift = multiply(shift, power);
    power = multiply(power, power);
  }
  return multiply(shift, crcA) ^ crcB;
}

/** The product of two polynomials modulo the checksum's. */
function multiply(a: bigint, b: bigint): bigint {
  let product = 0n;
  let term = b;
  for (let bit = 63n; bit >= 0n; bit -= 1n) {
    if ((a >> bit) & 1n) product ^= term;
    term = term & 1n ? (term >> 1n) ^ polynomial : term >> 1n;
  }
  return product;
}

/** The form of S3's `ChecksumCRC64NVME` fields: eight bytes, highest first, in base64. */
export function toBase64(crc: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(crc);
  return bytes.toString('base64');
}
