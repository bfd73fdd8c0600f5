import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc64Nvme, toBase64 } from '#domain/crc64-nvme.ts';
import { ServiceUnavailable } from '#errors';
import { makeArchiveSpec, makeTableData, writeArchive } from '#test/archive-writer.ts';
import { makeMemoryObjects } from '#test/fakes.ts';
import { uploadArchive } from '../../tasks/dump-database/upload-archive.ts';

const MIB = 1024 * 1024;
const KEY = 'backups/orders/shop/20261120T020000Z-k3v9qd/archive.dump';

/** An archive of about `mebibytes`, in tables of different sizes. */
function bigSpec(mebibytes: number, withOffsets = false) {
  const tables = Array.from({ length: mebibytes }, (_, i) =>
    makeTableData({
      dumpId: 100 + i,
      tag: `t${i}`,
      table: [Buffer.alloc(MIB - 3 * i, 0x41 + (i % 20))],
    }),
  );
  return makeArchiveSpec({ withOffsets, entries: [...makeArchiveSpec().entries, ...tables] });
}

function chunked(bytes: Buffer, chunkBytes: number): Readable {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    chunks.push(bytes.subarray(at, at + chunkBytes));
  }
  return Readable.from(chunks);
}

async function upload(stdout: Readable, objects = makeMemoryObjects()) {
  const open = await objects.createUpload(KEY, {});
  const archive = await uploadArchive({
    stdout,
    upload: open,
    estimatedBytes: 0,
    memoryBytes: 64 * MIB,
  });
  return { objects, archive };
}

describe('uploading an archive while it is written', () => {
  it('stores what pg_dump would have written to a file, offsets filled in', async () => {
    const { objects, archive } = await upload(chunked(writeArchive(bigSpec(30)).bytes, 65_536));
    await archive.complete();

    const expected = writeArchive(bigSpec(30, true)).bytes;
    const stored = await objects.get(KEY);
    expect(stored?.body.equals(expected)).toBe(true);
    expect(stored?.head.crc64nvme).toBe(archive.crc64nvme);
    expect(archive.head.equals(expected.subarray(0, archive.head.length))).toBe(true);
    expect(archive.sizeBytes).toBe(expected.length);
  });

  it('does so wherever the stream is cut', async () => {
    const written = writeArchive(makeArchiveSpec()).bytes;
    const expected = writeArchive(makeArchiveSpec({ withOffsets: true })).bytes;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: written.length }), async (chunkBytes) => {
        const { objects, archive } = await upload(chunked(written, chunkBytes));
        await archive.complete();
        const stored = await objects.get(KEY);
        expect(stored?.body.equals(expected)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('keeps a table of contents that is larger than a part whole in the first part', async () => {
    const wide = (withOffsets: boolean) =>
      makeArchiveSpec({
        withOffsets,
        entries: Array.from({ length: 20 }, (_, i) =>
          makeTableData({ dumpId: i + 1, tag: `t${i}`, definition: 'x'.repeat(MIB), table: [] }),
        ),
      });
    const { objects, archive } = await upload(chunked(writeArchive(wide(false)).bytes, 65_536));
    await archive.complete();
    expect(archive.head.length).toBeGreaterThan(20 * MIB);
    const stored = await objects.get(KEY);
    expect(stored?.body.equals(writeArchive(wide(true)).bytes)).toBe(true);
  });

  it('sends no more parts at a time than its memory has room for', async () => {
    const mostSentWith = async (memoryBytes: number, atMostSeconds: number) => {
      let sending = 0;
      let most = 0;
      const second = Promise.withResolvers<void>();
      const open = await makeMemoryObjects().createUpload(KEY, {});
      await uploadArchive({
        stdout: chunked(writeArchive(bigSpec(60)).bytes, 65_536),
        upload: {
          ...open,
          async putPart() {
            most = Math.max(most, ++sending);
            if (sending > 1) second.resolve();
            await Promise.race([
              second.promise,
              sleep(atMostSeconds * 1000, undefined, { ref: false }),
            ]);
            sending--;
          },
        },
        estimatedBytes: 9_000 * 12 * MIB,
        memoryBytes,
      });
      return most;
    };
    // Beside the first part of 8 MiB: room for the one that is filled, or for others of 12 MiB as well.
    // Filling a part takes 20 ms.
    expect(await mostSentWith(24 * MIB, 0.2)).toBe(1);
    expect(await mostSentWith(128 * MIB, 60)).toBeGreaterThan(1);
  });

  it('makes no object before it is told to complete', async () => {
    const { objects } = await upload(chunked(writeArchive(bigSpec(20)).bytes, 65_536));
    expect(objects.keys()).toEqual([]);
  });

  it('fails with ArchiveCorrupt when the stream breaks off', async () => {
    const bytes = writeArchive(bigSpec(20)).bytes;
    const broken = upload(chunked(bytes.subarray(0, bytes.length - 1), 65_536));
    await expect(broken).rejects.toMatchObject({ name: 'ArchiveCorrupt' });
  });

  it('fails with ArchiveCorrupt when nothing comes at all', async () => {
    await expect(upload(Readable.from([]))).rejects.toMatchObject({ name: 'ArchiveCorrupt' });
  });

  it('fails with the error of the part that could not be sent, after the others have settled', async () => {
    const objects = makeMemoryObjects();
    let sent = 0;
    objects.fault = (operation) => {
      if (operation === 'putPart' && ++sent === 2) throw new ServiceUnavailable('no answer');
    };
    const failing = upload(chunked(writeArchive(bigSpec(60)).bytes, 65_536), objects);
    await expect(failing).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });
});

describe('the checksums of an archive that is uploaded', () => {
  const crcOf = (bytes: Buffer) => toBase64(crc64Nvme(bytes));
  /** No two pieces are alike, so that none can be taken for another. */
  const variedBytes = (lengthBytes: number, seed: number) =>
    Buffer.from(
      Uint32Array.from({ length: Math.ceil(lengthBytes / 4) }, (_, i) =>
        Math.imul(i + 1 + seed * 7919, 0x9e37_79b1),
      ).buffer,
    ).subarray(0, lengthBytes);

  /** Uploads tables with these bytes, and expects the checksums of parts, blocks and the whole to be theirs. */
  async function expectChecksums(tables: readonly Buffer[], chunkBytes: number): Promise<void> {
    const spec = (withOffsets: boolean) =>
      makeArchiveSpec({
        withOffsets,
        entries: tables.map((bytes, i) =>
          makeTableData({ dumpId: 1 + i, tag: `t${i}`, table: bytes.length > 0 ? [bytes] : [] }),
        ),
      });
    const { bytes, blocks } = writeArchive(spec(true));
    const parts = new Map<number, { body: Buffer; crc64nvme: string }>();
    const archive = await uploadArchive({
      stdout: chunked(writeArchive(spec(false)).bytes, chunkBytes),
      upload: {
        ...(await makeMemoryObjects().createUpload(KEY, {})),
        async putPart(number, body, crc64nvme) {
          parts.set(number, { body: Buffer.from(body), crc64nvme });
        },
        complete: async ({ crc64nvme }) => ({ etag: '""', versionId: undefined, crc64nvme }),
      },
      estimatedBytes: 0,
      memoryBytes: 64 * MIB,
    });
    const { crc64nvme } = await archive.complete();

    const inOrder = [...parts].toSorted(([a], [b]) => a - b).map(([, part]) => part);
    expect(Buffer.concat(inOrder.map(({ body }) => body)).equals(bytes)).toBe(true);
    expect(inOrder.map((part) => part.crc64nvme)).toEqual(inOrder.map(({ body }) => crcOf(body)));
    expect(crc64nvme).toBe(crcOf(bytes));
    expect(archive.blocks).toEqual(
      blocks.map((block) => ({
        ...block,
        crc64nvme: crcOf(bytes.subarray(block.offset, block.offset + block.lengthBytes)),
      })),
    );
  }

  it.each([
    ['many in one part', Array.from({ length: 3000 }, (_, i) => (i % 7) * 50)],
    ['one over many parts', [40 * MIB]],
    ['some over the borders of parts', [7 * MIB, 1, 0, 3 * MIB, 17 * MIB, 5, 100_000, 9 * MIB]],
    ['none', []],
  ])('are those of every block, of which there are %s', async (_what, lengths) => {
    const tables = lengths.map(variedBytes);
    await expectChecksums(tables, 65_536);
    await expectChecksums(tables, 1_000_003);
  });

  it('are those of every block wherever the stream is cut', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }),
        fc.integer({ min: 1, max: 3000 }),
        (tables, chunkBytes) =>
          expectChecksums(
            tables.map((it) => Buffer.from(it)),
            chunkBytes,
          ),
      ),
      { numRuns: 60 },
    );
  });
});
