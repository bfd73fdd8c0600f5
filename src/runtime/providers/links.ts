import { S3Client } from '@aws-sdk/client-s3';
import { clientConfig } from '#adapters/aws-client.ts';
import { systemClock } from '#adapters/clock.ts';
import { makeLinks } from '#adapters/links.ts';
import { readVariable } from '../environment.ts';
import type { Links } from '../operator-ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideLinks(environment: Environment): Links {
  return makeLinks({
    // Checksums are headers, which a link cannot carry.
    client: new S3Client({
      ...clientConfig(),
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    }),
    bucket: readVariable('HOLDFAST_BUCKET', environment),
    clock: systemClock,
  });
}
