/**
 * CRC-64/NVME by its definition, a table and BigInt: slow, and independent of the product's own, so
 * that a fault there is not agreed with here. Check value of `123456789`: ae8b14860a799888.
 */
const POLYNOMIAL = 0x9a6c9329ac4bc9b5n;

const table = Array.from({ length: 256 }, (_, byte) => {
  let crc = BigInt(byte);
  for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ POLYNOMIAL : crc >> 1n;
  return crc;
});

/** As S3 writes it: base64 of the eight bytes, big-endian. */
export function crc64NvmeBase64(body: Uint8Array): string {
  let crc = 0xffff_ffff_ffff_ffffn;
  for (const byte of body) crc = (table[Number((crc ^ BigInt(byte)) & 0xffn)] ?? 0n) ^ (crc >> 8n);
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(crc ^ 0xffff_ffff_ffff_ffffn);
  return out.toString('base64');
}
