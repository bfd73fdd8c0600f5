import { startObjectStore } from '#local/object-store/server.ts';

/**
 * The local object store as a process of its own, so that its work is not counted as anybody else's.
 * Prints its endpoint; ends with its standard input.
 */
const [directory, bucket] = process.argv.slice(2) as [string, string];
const store = await startObjectStore({ directory });
// As the deployed bucket: under SSE-KMS, S3 computes no MD5.
store.createBucket(bucket, { encryption: 'aws:kms' });
process.stdout.write(`${store.endpoint}\n`);
process.stdin.resume();
process.stdin.once('end', () => void store.close());
