import fc from 'fast-check';
import { expect, it } from 'vitest';
import { combineCrc64Nvme, crc64Nvme, fromBase64, toBase64 } from '#domain/crc64-nvme.ts';

/** The definition, bit by bit and unreflected, to hold the fast one against. */
function slowCrc64Nvme(bytes: Uint8Array): bigint {
  const reverse = (value: bigint, bits: number) =>
    BigInt(`0b${value.toString(2).padStart(bits, '0').split('').reverse().join('')}`);
  const mask = (1n << 64n) - 1n;
  let remainder = mask;
  for (const byte of bytes) {
    remainder ^= reverse(BigInt(byte), 8) << 56n;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = remainder >> 63n;
      remainder = ((remainder << 1n) & mask) ^ (carry ? 0xad93d23594c93659n : 0n);
    }
  }
  return reverse(remainder, 64) ^ mask;
}

const anyBytes = fc.uint8Array({ maxLength: 300 });

it('gives the check value of the specification', () => {
  const check = Buffer.from('123456789');
  expect(crc64Nvme(check)).toBe(0xae8b14860a799888n);
  expect(slowCrc64Nvme(check)).toBe(0xae8b14860a799888n);
});

it('gives the values of 4096 zero bytes and of 4096 bytes FF that the specification lists', () => {
  expect(crc64Nvme(Buffer.alloc(4096))).toBe(0x6482d367eb22b64en);
  expect(crc64Nvme(Buffer.alloc(4096, 0xff))).toBe(0xc0ddba7302eca3acn);
});

it('equals the definition for any bytes at any alignment', () => {
  fc.assert(
    fc.property(anyBytes, fc.nat({ max: 9 }), (bytes, shift) => {
      const shifted = new Uint8Array(new ArrayBuffer(bytes.length + shift), shift);
      shifted.set(bytes);
      expect(crc64Nvme(shifted)).toBe(slowCrc64Nvme(bytes));
    }),
  );
});

it('goes on from the checksum of the bytes before', () => {
  fc.assert(
    fc.property(fc.array(anyBytes, { maxLength: 5 }), (chunks) => {
      const streamed = chunks.reduce((crc, chunk) => crc64Nvme(chunk, crc), 0n);
      expect(streamed).toBe(crc64Nvme(Buffer.concat(chunks)));
    }),
  );
});

it('combines the checksums of two halves into that of the whole', () => {
  fc.assert(
    fc.property(anyBytes, anyBytes, (a, b) => {
      const combined = combineCrc64Nvme(crc64Nvme(a), crc64Nvme(b), b.length);
      expect(combined).toBe(crc64Nvme(Buffer.concat([a, b])));
    }),
  );
});

it('combines over lengths beyond 32 bits as over their parts', () => {
  let zeros = crc64Nvme(Buffer.alloc(2 ** 20));
  for (let length = 2 ** 20; length < 2 ** 33; length *= 2) {
    zeros = combineCrc64Nvme(zeros, zeros, length);
  }
  const a = crc64Nvme(Buffer.from('a'));
  const inOneStep = combineCrc64Nvme(a, combineCrc64Nvme(zeros, zeros, 2 ** 33), 2 ** 34);
  const inTwoSteps = combineCrc64Nvme(combineCrc64Nvme(a, zeros, 2 ** 33), zeros, 2 ** 33);
  expect(inOneStep).toBe(inTwoSteps);
});

it('writes eight bytes, highest first, in base64 as S3 does', () => {
  expect(toBase64(0xae8b14860a799888n)).toBe('rosUhgp5mIg=');
  expect(toBase64(0n)).toBe('AAAAAAAAAAA=');
  expect(fromBase64('rosUhgp5mIg=')).toBe(0xae8b14860a799888n);
});
