import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { Links } from '#runtime/operator-ports.ts';
import type { Clock } from '#runtime/ports.ts';

/**
 * Presigned links to objects of the bucket. Signing calls nobody: whether the object is there, and whether
 * the signer may read it, is decided when the link is used.
 */
export function makeLinks(options: { client: S3Client; bucket: string; clock: Clock }): Links {
  const { client, bucket, clock } = options;
  return {
    async create({ key, versionId, fileName, expiresSeconds }) {
      // Before the signature, which is made with whole seconds: the link lives at least as long as we say.
      const signedAt = Math.floor(clock.now().getTime() / 1000) * 1000;
      const { expiration } = await client.config.credentials();
      const url = await getSignedUrl(
        client,
        new GetObjectCommand({
          Bucket: bucket,
          Key: key,
          ...(versionId === undefined ? {} : { VersionId: versionId }),
          ResponseContentDisposition: `attachment; filename="${fileName}"`,
        }),
        { expiresIn: expiresSeconds, signingDate: new Date(signedAt) },
      );
      return {
        url,
        expiresAt: new Date(signedAt + expiresSeconds * 1000),
        credentialsEndAt: expiration,
      };
    },
  };
}
