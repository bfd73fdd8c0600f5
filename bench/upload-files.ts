import { open, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';

/**
 * What a script does after its dump: uploads a file, or every file of a folder one after the other, as
 * `aws s3 cp` would: parts of 8 MiB, ten at a time, each with the checksum that the SDK adds by itself.
 * Usage: upload-files.ts <file or folder> <bucket> <key or prefix>
 */
const PART_BYTES = 8 * 1024 * 1024;
const PARTS_AT_A_TIME = 10;

const [source, bucket, key] = process.argv.slice(2) as [string, string, string];
const client = new S3Client({});

if ((await stat(source)).isDirectory()) {
  for (const name of await readdir(source)) await upload(path.join(source, name), `${key}/${name}`);
} else {
  await upload(source, key);
}

async function upload(file: string, Key: string): Promise<void> {
  const target = { Bucket: bucket, Key };
  await using handle = await open(file);
  const { size } = await handle.stat();
  const slice = async (from: number) => {
    const body = Buffer.allocUnsafe(Math.min(PART_BYTES, size - from));
    await handle.read(body, 0, body.length, from);
    return body;
  };
  if (size <= PART_BYTES) {
    await client.send(new PutObjectCommand({ ...target, Body: await slice(0) }));
    return;
  }
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: 'CRC32' }),
  );
  const parts: {
    PartNumber: number;
    ETag: string | undefined;
    ChecksumCRC32: string | undefined;
  }[] = [];
  let next = 0;
  const workers = Array.from({ length: PARTS_AT_A_TIME }, async () => {
    for (let index = next++; index * PART_BYTES < size; index = next++) {
      const PartNumber = index + 1;
      const { ETag, ChecksumCRC32 } = await client.send(
        new UploadPartCommand({
          ...target,
          UploadId,
          PartNumber,
          Body: await slice(index * PART_BYTES),
          ChecksumAlgorithm: 'CRC32',
        }),
      );
      parts[index] = { PartNumber, ETag, ChecksumCRC32 };
    }
  });
  await Promise.all(workers);
  await client.send(
    new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: parts } }),
  );
}
