import { S3Client } from '@aws-sdk/client-s3';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { systemClock } from '#adapters/clock.ts';
import { makeObjects } from '#adapters/objects.ts';
import { readVariable } from '../environment.ts';
import type { Objects } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideObjects(environment: Environment): Objects {
  return makeObjects({
    // We check what we read ourselves: SHA-256 from the manifest, not S3's own header.
    client: bounded(
      new S3Client({ ...clientConfig(), responseChecksumValidation: 'WHEN_REQUIRED' }),
    ),
    bucket: readVariable('HOLDFAST_BUCKET', environment),
    clock: systemClock,
  });
}
