import { describe, expect, it } from 'vitest';
import { backupKey } from '#domain/names.ts';
import {
  crc64NvmeBase64,
  makeClock,
  makeDeps,
  makeJob,
  makeManifest,
  makeMemoryObjects,
  manifestSha256,
  seedBackup,
} from '#test/fakes.ts';

describe('the in-memory bucket, on which the other tests lean', () => {
  it('knows the check value of CRC-64/NVME', () => {
    const crc = Buffer.from(crc64NvmeBase64(Buffer.from('123456789')), 'base64').toString('hex');
    expect(crc).toBe('ae8b14860a799888');
  });

  it('refuses a conditional write when the key exists, and allows it after a delete', async () => {
    const objects = makeMemoryObjects();
    const { etag } = await objects.put('a', '1', { condition: 'absent' });
    await expect(objects.put('a', '2', { condition: 'absent' })).rejects.toThrow('exists already');
    await objects.put('a', '2', { condition: { etag } });
    await expect(objects.put('a', '3', { condition: { etag } })).rejects.toThrow('has changed');
    await objects.delete(['a']);
    expect(await objects.get('a')).toBeUndefined();
    await objects.put('a', '4', { condition: 'absent' });
    expect(objects.text('a')).toBe('4');
  });

  it('keeps old versions readable behind a delete marker', async () => {
    const objects = makeMemoryObjects();
    const { versionId } = await objects.put('a', 'old');
    await objects.delete(['a']);
    expect(await objects.versions('a')).toMatchObject([{ deleteMarker: true }, { versionId }]);
    expect((await objects.get('a', versionId === undefined ? {} : { versionId }))?.body).toEqual(
      Buffer.from('old'),
    );
  });

  it('completes an upload of parts in any order only with the right checksum', async () => {
    const objects = makeMemoryObjects(makeClock());
    const upload = await objects.createUpload('a', {});
    const parts = [Buffer.from('one '), Buffer.from('two')] as const;
    await upload.putPart(2, parts[1], crc64NvmeBase64(parts[1]));
    await upload.putPart(1, parts[0], crc64NvmeBase64(parts[0]));
    const crc64nvme = crc64NvmeBase64(Buffer.from('one two'));
    await expect(upload.complete({ sizeBytes: 7, crc64nvme: 'wrong' })).rejects.toThrow('checksum');
    await upload.complete({ sizeBytes: 7, crc64nvme });
    expect(objects.text('a')).toBe('one two');
    expect(objects.openUploads()).toEqual([]);
  });
});

describe('the builders', () => {
  it('make a backup whose manifest fits its objects and its own hash', async () => {
    const { objects } = makeDeps();
    const ref = seedBackup(objects, { database: 'shop' });
    const manifest = makeManifest(ref);
    expect(manifest.sha256).toBe(manifestSha256(manifest));
    const head = await objects.head(backupKey(ref, 'archive.dump'));
    expect(head?.crc64nvme).toBe(manifest.objects.archive.crc64nvme);
    expect(ref.backupId).toBe(makeJob().backupId);
  });
});
