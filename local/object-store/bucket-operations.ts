import { deleteObject } from './object-operations.ts';
import type { Operation } from './operation.ts';
import { bucketOf, OWNER } from './operation.ts';
import { assertKey, header } from './request.ts';
import { S3Error } from './s3-error.ts';
import { childList, childText } from './xml.ts';
import { receiveXml } from './xml-body.ts';

/** S3: one DeleteObjects request names at most 1,000 keys. */
const MAX_DELETED_KEYS = 1000;

export const listBuckets: Operation = ({ storage }) => ({
  xml: {
    root: 'ListAllMyBucketsResult',
    content: {
      Owner: OWNER,
      Buckets: {
        Bucket: storage
          .buckets()
          .map(({ name, created }) => ({ Name: name, CreationDate: created })),
      },
    },
  },
});

export const createBucket: Operation = ({ request, storage }) => {
  const objectLock = header(request.headers, 'x-amz-bucket-object-lock-enabled') === 'true';
  storage.createBucket(request.bucket, {
    versioning: objectLock ? 'Enabled' : 'Unversioned',
    objectLock,
    encryption: 'AES256',
  });
  return { headers: { location: `/${request.bucket}` } };
};

export const headBucket: Operation = (context) => {
  bucketOf(context);
  return { headers: { 'x-amz-bucket-region': context.region } };
};

export const getBucketVersioning: Operation = (context) => {
  const { versioning } = bucketOf(context).settings;
  const Status = versioning === 'Unversioned' ? undefined : versioning;
  return { xml: { root: 'VersioningConfiguration', content: { Status } } };
};

export const putBucketVersioning: Operation = async (context) => {
  const bucket = bucketOf(context);
  const status = childText(await receiveXml(context.request, 'VersioningConfiguration'), 'Status');
  if (status !== 'Enabled' && status !== 'Suspended') throw new S3Error('MalformedXML');
  if (bucket.settings.objectLock && status === 'Suspended') {
    throw new S3Error('InvalidRequest', 'A bucket with Object Lock stays versioned.');
  }
  context.storage.setVersioning(bucket, status);
  return {};
};

/** Each key succeeds or fails on its own; the answer is 200 either way. */
export const deleteObjects: Operation = async (context) => {
  const bucket = bucketOf(context);
  const { headers } = context.request;
  if (!Object.keys(headers).some((name) => /^(content-md5|x-amz-checksum-.*)$/.test(name))) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: Content-MD5');
  }
  const body = await receiveXml(context.request, 'Delete');
  const objects = childList(body, 'Object');
  if (objects.length === 0 || objects.length > MAX_DELETED_KEYS) throw new S3Error('MalformedXML');
  const deleted: object[] = [];
  const errors: object[] = [];
  for (const object of objects) {
    const key = childText(object, 'Key') ?? '';
    const versionId = childText(object, 'VersionId');
    try {
      assertKey(key);
      const result = deleteObject(context, bucket, key, versionId, childText(object, 'ETag'));
      deleted.push({
        Key: key,
        VersionId: versionId,
        DeleteMarker: result.deleteMarker || undefined,
        DeleteMarkerVersionId: result.deleteMarker ? result.versionId : undefined,
      });
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      errors.push({ Key: key, VersionId: versionId, Code: error.code, Message: error.message });
    }
  }
  const quiet = childText(body, 'Quiet') === 'true';
  return {
    xml: { root: 'DeleteResult', content: { Deleted: quiet ? [] : deleted, Error: errors } },
  };
};
