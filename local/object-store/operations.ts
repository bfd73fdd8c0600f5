import * as attributes from './attribute-operations.ts';
import * as buckets from './bucket-operations.ts';
import * as listings from './listings.ts';
import * as multipart from './multipart-operations.ts';
import * as objects from './object-operations.ts';
import type { Operation } from './operation.ts';
import type { S3Operation } from './request.ts';

/** Who does what. */
export const OPERATIONS: Readonly<Record<S3Operation, Operation>> = {
  ListBuckets: buckets.listBuckets,
  CreateBucket: buckets.createBucket,
  HeadBucket: buckets.headBucket,
  GetBucketVersioning: buckets.getBucketVersioning,
  PutBucketVersioning: buckets.putBucketVersioning,
  DeleteObjects: buckets.deleteObjects,
  ListObjectsV2: listings.listObjectsV2,
  ListObjectVersions: listings.listObjectVersions,
  ListMultipartUploads: listings.listMultipartUploads,
  PutObject: objects.putObject,
  CopyObject: objects.copyObject,
  GetObject: objects.getObject,
  HeadObject: objects.headObject,
  DeleteObject: objects.deleteObjectOperation,
  GetObjectTagging: attributes.getObjectTagging,
  PutObjectTagging: attributes.putObjectTagging,
  DeleteObjectTagging: attributes.deleteObjectTagging,
  GetObjectRetention: attributes.getObjectRetention,
  PutObjectRetention: attributes.putObjectRetention,
  GetObjectLegalHold: attributes.getObjectLegalHold,
  PutObjectLegalHold: attributes.putObjectLegalHold,
  RestoreObject: attributes.restoreObject,
  CreateMultipartUpload: multipart.createMultipartUpload,
  UploadPart: multipart.uploadPart,
  CompleteMultipartUpload: multipart.completeMultipartUpload,
  AbortMultipartUpload: multipart.abortMultipartUpload,
  ListParts: multipart.listParts,
};
