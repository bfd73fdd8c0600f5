import { readAnnounced } from './body.ts';
import {
  CHECKSUM_ALGORITHMS,
  type ChecksumAlgorithm,
  type ChecksumType,
  canCombine,
  checksumHeader,
} from './checksums.ts';
import { describeObject } from './description.ts';
import { type Completion, MAX_PART_NUMBER, type RequestedPart } from './multipart.ts';
import { encryptionHeaders, parseAlgorithm } from './object-operations.ts';
import {
  bucketOf,
  type Operation,
  type OperationContext,
  OWNER,
  requiredQuery,
  versionIdHeader,
  writeConditions,
} from './operation.ts';
import { header, queryNumber } from './request.ts';
import { S3Error } from './s3-error.ts';
import { childList, childText, type XmlNode } from './xml.ts';
import { receiveXml } from './xml-body.ts';

export const createMultipartUpload: Operation = (context) => {
  const { request, uploads } = context;
  const bucket = bucketOf(context);
  const algorithm = parseAlgorithm(header(request.headers, 'x-amz-checksum-algorithm'));
  const upload = uploads.create(bucket, {
    key: request.key,
    description: describeObject(request.headers, bucket, context.now),
    algorithm,
    checksumType: checksumType(algorithm, header(request.headers, 'x-amz-checksum-type')),
  });
  return {
    headers: {
      'x-amz-checksum-algorithm': algorithm,
      'x-amz-checksum-type': algorithm && upload.checksumType,
      ...encryptionHeaders(upload.description),
    },
    xml: {
      root: 'InitiateMultipartUploadResult',
      content: { Bucket: bucket.name, Key: request.key, UploadId: upload.uploadId },
    },
  };
};

/** S3's table: CRC64NVME only FULL_OBJECT (and what S3 uses by itself), SHA only COMPOSITE. */
function checksumType(
  algorithm: ChecksumAlgorithm | undefined,
  requested: string | undefined,
): ChecksumType {
  if (algorithm === undefined) return 'FULL_OBJECT';
  const type = requested ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  const possible =
    (type === 'FULL_OBJECT' && canCombine(algorithm)) ||
    (type === 'COMPOSITE' && algorithm !== 'CRC64NVME');
  if (!possible) {
    throw new S3Error(
      'InvalidRequest',
      `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    );
  }
  return type;
}

export const uploadPart: Operation = async (context) => {
  const { request, uploads } = context;
  const bucket = bucketOf(context);
  const upload = uploads.find(bucket, request.key, requiredQuery(context, 'uploadId'));
  const partNumber = queryNumber(request.query, 'partNumber', {
    fallback: 0,
    min: 1,
    max: MAX_PART_NUMBER,
  });
  if (partNumber === 0) throw new S3Error('InvalidArgument', 'partNumber is missing.');
  const announced = readAnnounced(request.headers);
  const expected = upload.record.algorithm;
  const actual = announced.checksum?.algorithm;
  if (expected !== undefined && expected !== actual) {
    throw new S3Error(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${expected.toLowerCase()}, actual checksum Type: ${actual?.toLowerCase() ?? 'null'}`,
    );
  }
  const { part, received } = await uploads.putPart(
    bucket,
    upload,
    partNumber,
    announced,
    request.body,
  );
  const algorithm = actual ?? 'CRC64NVME';
  return {
    headers: {
      etag: `"${part.etag}"`,
      [checksumHeader(algorithm)]: received.checksums.get(algorithm),
      ...encryptionHeaders(upload.record.description),
    },
  };
};

export const completeMultipartUpload: Operation = async (context) => {
  const { request, uploads, storage, publish } = context;
  const bucket = bucketOf(context);
  const body = await receiveXml(
    // The checksum headers of this request are of the object, not of the XML.
    { ...request, headers: withoutChecksums(request.headers) },
    'CompleteMultipartUpload',
  );
  const { object, repeated } = await uploads.complete(
    bucket,
    request.key,
    requiredQuery(context, 'uploadId'),
    completion(context, body),
  );
  if (!repeated) {
    publish({
      bucket: bucket.name,
      key: request.key,
      reason: 'CompleteMultipartUpload',
      sizeBytes: storage.sizeBytes(bucket, object),
      etag: object.etag,
      versionId: versionIdHeader(bucket, object.versionId),
    });
  }
  const { algorithm, type, value } = object.checksum;
  return {
    headers: {
      'x-amz-version-id': versionIdHeader(bucket, object.versionId),
      ...encryptionHeaders(object),
    },
    xml: {
      root: 'CompleteMultipartUploadResult',
      content: {
        Location: `/${bucket.name}/${request.key}`,
        Bucket: bucket.name,
        Key: request.key,
        ETag: `"${object.etag}"`,
        [`Checksum${algorithm}`]: value,
        ChecksumType: type,
      },
    },
  };
};

function withoutChecksums(headers: OperationContext['request']['headers']): typeof headers {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum-')),
  );
}

function completion(context: OperationContext, body: XmlNode): Completion {
  const { headers } = context.request;
  const parts = childList(body, 'Part').map(requestedPart);
  if (parts.length === 0) throw new S3Error('MalformedXML');
  const size = header(headers, 'x-amz-mp-object-size');
  const algorithm = CHECKSUM_ALGORITHMS.find(
    (name) => header(headers, checksumHeader(name)) !== undefined,
  );
  return {
    parts,
    objectSizeBytes: size === undefined ? undefined : Number(size),
    checksum: algorithm && {
      algorithm,
      value: header(headers, checksumHeader(algorithm)) ?? '',
    },
    checksumType: header(headers, 'x-amz-checksum-type'),
    conditions: writeConditions(context),
  };
}

function requestedPart(node: XmlNode): RequestedPart {
  const partNumber = Number(childText(node, 'PartNumber'));
  const etag = childText(node, 'ETag');
  if (!Number.isInteger(partNumber) || etag === undefined) throw new S3Error('MalformedXML');
  const checksum = CHECKSUM_ALGORITHMS.map((name) => childText(node, `Checksum${name}`)).find(
    (value) => value !== undefined,
  );
  return { partNumber, etag: etag.replaceAll('"', ''), checksum };
}

export const abortMultipartUpload: Operation = async (context) => {
  const uploadId = requiredQuery(context, 'uploadId');
  await context.uploads.abort(bucketOf(context), context.request.key, uploadId);
  return { status: 204 };
};

export const listParts: Operation = (context) => {
  const { request, uploads } = context;
  const bucket = bucketOf(context);
  const upload = uploads.find(bucket, request.key, requiredQuery(context, 'uploadId'));
  const bounds = { min: 0, max: MAX_PART_NUMBER };
  const marker = queryNumber(request.query, 'part-number-marker', { ...bounds, fallback: 0 });
  const maxParts = Math.min(
    1000,
    queryNumber(request.query, 'max-parts', { fallback: 1000, min: 0, max: 2 ** 31 - 1 }),
  );
  const rest = [...upload.parts.values()]
    .filter((part) => part.partNumber > marker)
    .sort((a, b) => a.partNumber - b.partNumber);
  const page = rest.slice(0, maxParts);
  const { algorithm, checksumType: type } = upload.record;
  return {
    xml: {
      root: 'ListPartsResult',
      content: {
        Bucket: bucket.name,
        Key: request.key,
        UploadId: upload.record.uploadId,
        Initiator: OWNER,
        Owner: OWNER,
        StorageClass: upload.record.description.storageClass,
        PartNumberMarker: marker,
        NextPartNumberMarker: page.at(-1)?.partNumber,
        MaxParts: maxParts,
        IsTruncated: page.length < rest.length,
        ChecksumAlgorithm: algorithm,
        ChecksumType: algorithm && type,
        Part: page.map((part) => ({
          PartNumber: part.partNumber,
          LastModified: part.lastModified,
          ETag: `"${part.etag}"`,
          Size: part.sizeBytes,
          ...(algorithm ? { [`Checksum${algorithm}`]: part.checksum } : {}),
        })),
      },
    },
  };
};
