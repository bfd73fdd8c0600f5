import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { Manifest } from '#contracts/manifest.ts';
import { openArchive } from '#operations/restore/open-archive.ts';
import {
  type ArchiveSpec,
  appendToc,
  makeArchiveSpec,
  type WrittenArchive,
  writeArchive,
} from '#test/archive-writer.ts';
import { type Changes, crc64NvmeBase64, makeManifest, makeMemoryObjects } from '#test/fakes.ts';

const key = 'imports/shop.dump';

/** A bucket with one archive, that archive, and what a dump task would say of it. */
function prepare(spec: Partial<ArchiveSpec> = {}, changes: Changes<Manifest> = {}) {
  const archive = writeArchive(makeArchiveSpec({ withOffsets: true, ...spec }));
  const { bytes, headLengthBytes, blocks } = archive;
  const objects = makeMemoryObjects();
  objects.seed(key, bytes);
  const sha256 = (part: Buffer) => createHash('sha256').update(part).digest('hex');
  const manifest = makeManifest({
    ...changes,
    objects: {
      archive: {
        key,
        sizeBytes: bytes.length,
        crc64nvme: crc64NvmeBase64(bytes),
        versionId: 'v1',
        ...changes.objects?.archive,
      },
    },
    archive: {
      headBytes: headLengthBytes,
      headSha256: sha256(bytes.subarray(0, headLengthBytes)),
      blocks: [...blocks],
      ...changes.archive,
    },
  } as Changes<Manifest>);
  return { objects, archive, manifest };
}

const { signal } = new AbortController();

function open(
  { objects, archive }: ReturnType<typeof prepare>,
  manifest?: Manifest,
  sizeBytes = archive.bytes.length,
) {
  return openArchive({ objects }, { archive: { key, sizeBytes }, manifest, signal });
}

function withByte({ bytes }: WrittenArchive, at: number, value: number): Buffer {
  const damaged = Buffer.from(bytes);
  damaged[at] = value;
  return damaged;
}

describe('an archive with its manifest', () => {
  it('is opened by one read of its head', async () => {
    const prepared = prepare();
    const reads: string[] = [];
    prepared.objects.fault = (operation) => reads.push(operation);

    const access = await open(prepared, prepared.manifest);

    const { bytes, headLengthBytes, blocks } = prepared.archive;
    expect(reads).toEqual(['head', 'getRange']);
    expect(access.head).toEqual(bytes.subarray(0, headLengthBytes));
    expect(access.blocks).toEqual(blocks);
    expect(access.sizeBytes).toBe(bytes.length);
    expect(access.openedBytes).toBe(headLengthBytes);
    expect(access.crc64nvme).toBe(crc64NvmeBase64(bytes));
    expect(access.toc.entries).toHaveLength(6);
    expect(await buffer(access.read(10, 20))).toEqual(bytes.subarray(10, 20));
  });

  it.each([
    ['SizeMismatch', { objects: { archive: { sizeBytes: 5 } } }],
    ['ChecksumMismatch', { objects: { archive: { crc64nvme: 'AAAAAAAAAAA=' } } }],
    ['ObjectReplaced', { objects: { archive: { versionId: 'v0' } } }],
    ['ChecksumMismatch', { archive: { headSha256: '0'.repeat(64) } }],
    ['ArchiveCorrupt', { archive: { blocks: [] } }],
  ])('is refused with %s where the two do not agree', async (name, changes) => {
    const prepared = prepare({}, changes as Changes<Manifest>);
    await expect(open(prepared, prepared.manifest)).rejects.toMatchObject({ name });
  });

  it.each([
    [
      'begins elsewhere',
      (it: WrittenArchive['blocks'][number]) => ({ ...it, offset: it.offset + 1 }),
    ],
    [
      'ends elsewhere',
      (it: WrittenArchive['blocks'][number]) => ({ ...it, lengthBytes: it.lengthBytes - 1 }),
    ],
    ['is of another entry', (it: WrittenArchive['blocks'][number]) => ({ ...it, dumpId: 77 })],
  ])('is refused where a block %s', async (_, change) => {
    const prepared = prepare();
    const blocks = prepared.archive.blocks.map((it, i) => (i === 1 ? change(it) : it));
    const manifest = { ...prepared.manifest, archive: { ...prepared.manifest.archive, blocks } };
    await expect(open(prepared, manifest)).rejects.toMatchObject({ name: 'ArchiveCorrupt' });
  });

  it('is not there any more', async () => {
    const prepared = prepare();
    await prepared.objects.delete([key]);
    await expect(open(prepared, prepared.manifest)).rejects.toMatchObject({
      name: 'ObjectMissing',
    });
  });
});

describe('an archive of pg_dump alone', () => {
  it.each([
    ['that knows where its data are', true],
    ['that was piped and does not', false],
  ])('%s is opened with the same result', async (_, withOffsets) => {
    const prepared = prepare({ withOffsets });

    const access = await open(prepared);

    const { bytes, headLengthBytes, blocks } = prepared.archive;
    expect(access.head).toEqual(bytes.subarray(0, headLengthBytes));
    expect(access.blocks).toEqual(blocks);
    expect(access.crc64nvme).toBe(crc64NvmeBase64(bytes));
    expect(access.sizeBytes).toBe(bytes.length);
  });

  /** Far larger than what is read of a stream before one looks at it. */
  const large: Partial<ArchiveSpec> = {
    entries: makeArchiveSpec().entries.map((entry) =>
      entry.table ? { ...entry, table: [Buffer.alloc(200_000, 'x')] } : entry,
    ),
  };

  it('is read no further than its head where it knows where its data are', async () => {
    const seekable = await open(prepare({ ...large, withOffsets: true }));
    const piped = await open(prepare({ ...large, withOffsets: false }));

    expect(seekable.openedBytes).toBeLessThan(100_000);
    expect(piped.openedBytes).toBe(piped.sizeBytes);
    expect(seekable.blocks).toEqual(piped.blocks);
  });

  it.each([
    ['small', {}],
    ['large', large],
  ])('that was written into an open file, a %s one, is opened by its end', async (_, changes) => {
    const spec = makeArchiveSpec({ ...changes, withOffsets: false });
    const prepared = prepare(spec);
    const bytes = appendToc(spec);
    prepared.objects.seed(key, bytes);

    const access = await open(prepared, undefined, bytes.length);

    expect(access.blocks).toEqual(prepared.archive.blocks);
    expect(access.head).toEqual(bytes.subarray(0, prepared.archive.headLengthBytes));
    expect(access.tail).toEqual(bytes.subarray(prepared.archive.bytes.length));
    expect(access.openedBytes).toBeLessThan(100_000);
  });

  it.each([
    ['an end that was cut', (bytes: Buffer) => bytes.subarray(0, -1)],
    ['a byte too many', (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ])('that was written into an open file is refused with %s', async (_, change) => {
    const spec = makeArchiveSpec({ withOffsets: false });
    const prepared = prepare(spec);
    const bytes = change(appendToc(spec));
    prepared.objects.seed(key, bytes);
    await expect(open(prepared, undefined, bytes.length)).rejects.toMatchObject({
      name: 'ArchiveCorrupt',
    });
  });

  it.each([4, 8])('with integers of %d bytes is opened, too', async (intSizeBytes) => {
    const access = await open(prepare({ intSizeBytes, offsetSizeBytes: 4, minor: 12 }));
    expect(access.blocks).toHaveLength(3);
  });

  it('without any data is its head alone', async () => {
    const entries = makeArchiveSpec().entries.filter(({ table, blobs }) => !table && !blobs);
    const access = await open(prepare({ entries }));
    expect(access.blocks).toEqual([]);
    expect(access.head.length).toBe(access.sizeBytes);
  });

  it('whose data are not where it says is refused', async () => {
    const prepared = prepare(large);
    const { offset = 0 } = prepared.archive.blocks[1] ?? {};
    for (const at of [offset, offset + 1, offset + 2]) {
      prepared.objects.seed(key, withByte(prepared.archive, at, 9));
      await expect(open(prepared)).rejects.toMatchObject({ name: 'ContentsMismatch' });
    }
  });

  it('that is small is read to its end, so that damage in it shows at once', async () => {
    const prepared = prepare();
    const { offset = 0 } = prepared.archive.blocks[0] ?? {};
    // The sign of the first chunk's length.
    prepared.objects.seed(key, withByte(prepared.archive, offset + 6, 1));
    await expect(open(prepared)).rejects.toMatchObject({ name: 'ArchiveCorrupt' });
  });

  it('that is cut short is refused', async () => {
    for (const withOffsets of [true, false]) {
      const prepared = prepare({ withOffsets });
      const { bytes } = prepared.archive;
      prepared.objects.seed(key, bytes.subarray(0, -1));
      await expect(open(prepared)).rejects.toMatchObject({ name: 'SizeMismatch' });
    }
    const piped = prepare({ withOffsets: false });
    piped.objects.seed(key, piped.archive.bytes.subarray(0, -1));
    const sizeBytes = piped.archive.bytes.length - 1;
    await expect(open(piped, undefined, sizeBytes)).rejects.toMatchObject({
      name: 'ArchiveCorrupt',
    });
  });

  it('that is none, or is of an unknown version, is refused as what it is', async () => {
    const prepared = prepare();
    prepared.objects.seed(key, withByte(prepared.archive, 6, 99));
    await expect(open(prepared)).rejects.toMatchObject({ name: 'ArchiveUnsupported' });
    prepared.objects.seed(key, withByte(prepared.archive, 0, 0));
    await expect(open(prepared)).rejects.toMatchObject({ name: 'ArchiveCorrupt' });
  });
});
