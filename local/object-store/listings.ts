import { bucketOf, type Operation, type OperationContext, OWNER } from './operation.ts';
import { queryNumber } from './request.ts';
import { S3Error } from './s3-error.ts';
import type { Bucket, StoredVersion } from './storage.ts';

/** S3: one page has at most 1,000 entries. */
const MAX_PAGE_ENTRIES = 1000;

/** Compares as S3 lists: by UTF-8 bytes, which is not the order of JavaScript strings. */
function isAfter(text: string, mark: string): boolean {
  return Buffer.compare(Buffer.from(text), Buffer.from(mark)) > 0;
}

/** What a listing asks for. */
interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxEntries: number;
  readonly encode: (text: string) => string;
  readonly encodingType: string | undefined;
}

function listQuery({ request }: OperationContext, maxName: string): ListQuery {
  const { query } = request;
  const encodingType = query.get('encoding-type') ?? undefined;
  if (encodingType !== undefined && encodingType !== 'url') {
    throw new S3Error('InvalidArgument', 'Invalid Encoding Method specified in Request');
  }
  return {
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    maxEntries: Math.min(
      MAX_PAGE_ENTRIES,
      queryNumber(query, maxName, { fallback: MAX_PAGE_ENTRIES, min: 0, max: 2 ** 31 - 1 }),
    ),
    encode: encodingType ? urlEncodeKey : (text) => text,
    encodingType,
  };
}

/** S3's `encoding-type=url`: everything but unreserved characters and the slash. */
function urlEncodeKey(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%2F', '/')
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The part of the key up to the delimiter, when the listing rolls it up. */
function commonPrefix(key: string, { prefix, delimiter }: ListQuery): string | undefined {
  if (delimiter === '') return undefined;
  const end = key.indexOf(delimiter, prefix.length);
  return end < 0 ? undefined : key.slice(0, end + delimiter.length);
}

/** Index of the first key after the mark. */
function firstAfter(keys: readonly string[], mark: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter(keys[middle] ?? '', mark)) high = middle;
    else low = middle + 1;
  }
  return low;
}

type Entry = { readonly key: string } | { readonly commonPrefix: string };

/** Keys and common prefixes in order; `visible` says which keys count. */
function* entries(
  bucket: Bucket,
  list: ListQuery,
  from: number,
  visible: (key: string) => boolean,
): Generator<Entry> {
  const keys = bucket.sortedKeys();
  let rolledUp: string | undefined;
  for (let index = from; index < keys.length; index++) {
    const key = keys[index] ?? '';
    if (!key.startsWith(list.prefix)) {
      if (isAfter(key, list.prefix)) return;
      continue;
    }
    if (!visible(key)) continue;
    const prefix = commonPrefix(key, list);
    if (prefix === undefined) yield { key };
    else if (prefix !== rolledUp) {
      rolledUp = prefix;
      yield { commonPrefix: prefix };
    }
  }
}

export const listObjectsV2: Operation = (context) => {
  const bucket = bucketOf(context);
  const { query } = context.request;
  if (query.get('list-type') !== '2') throw new S3Error('NotImplemented');
  const list = listQuery(context, 'max-keys');
  const startAfter = query.get('start-after') ?? '';
  const token = query.get('continuation-token');
  // The token is the last entry of the page before: a key, or a common prefix to skip as a whole.
  const last = token === null ? startAfter : Buffer.from(token, 'base64url').toString();
  const contents: object[] = [];
  const prefixes: object[] = [];
  let lastEntry = '';
  let truncated = false;
  const visible = (key: string) => context.storage.current(bucket, key) !== undefined;
  for (const entry of entries(bucket, list, firstAfter(bucket.sortedKeys(), last), visible)) {
    const name = 'key' in entry ? entry.key : entry.commonPrefix;
    if (token !== null && !isAfter(name, last)) continue;
    if (contents.length + prefixes.length >= list.maxEntries) {
      truncated = list.maxEntries > 0;
      break;
    }
    lastEntry = name;
    if ('commonPrefix' in entry) prefixes.push({ Prefix: list.encode(entry.commonPrefix) });
    else {
      const object = context.storage.current(bucket, entry.key);
      if (object)
        contents.push({ ...objectEntry(context, bucket, object), Key: list.encode(name) });
    }
  }
  return {
    xml: {
      root: 'ListBucketResult',
      content: {
        Name: bucket.name,
        Prefix: list.encode(list.prefix),
        Delimiter: list.delimiter === '' ? undefined : list.encode(list.delimiter),
        MaxKeys: list.maxEntries,
        EncodingType: list.encodingType,
        KeyCount: contents.length + prefixes.length,
        IsTruncated: truncated,
        StartAfter: startAfter === '' ? undefined : list.encode(startAfter),
        ContinuationToken: token ?? undefined,
        NextContinuationToken: truncated ? Buffer.from(lastEntry).toString('base64url') : undefined,
        Contents: contents,
        CommonPrefixes: prefixes,
      },
    },
  };
};

export const listObjectVersions: Operation = (context) => {
  const bucket = bucketOf(context);
  const { query } = context.request;
  const list = listQuery(context, 'max-keys');
  const keyMarker = query.get('key-marker') ?? '';
  const versionMarker = query.get('version-id-marker') ?? '';
  const content: Record<'Version' | 'DeleteMarker' | 'CommonPrefixes', object[]> = {
    Version: [],
    DeleteMarker: [],
    CommonPrefixes: [],
  };
  let count = 0;
  let next: { key: string; versionId: string | undefined } | undefined;
  let truncated = false;
  const keys = bucket.sortedKeys();
  // With a version marker, the marked key's older versions are still to come.
  const after = firstAfter(keys, keyMarker);
  const from = versionMarker !== '' && keys[after - 1] === keyMarker ? after - 1 : after;
  pages: for (const entry of entries(bucket, list, from, () => true)) {
    const name = 'key' in entry ? entry.key : entry.commonPrefix;
    if ('commonPrefix' in entry && !isAfter(name, keyMarker)) continue;
    const versions = 'key' in entry ? (bucket.versions.get(entry.key) ?? []) : [undefined];
    const skip =
      name === keyMarker && versionMarker !== ''
        ? versions.findIndex((v) => v?.versionId === versionMarker) + 1
        : 0;
    for (const version of versions.slice(skip)) {
      if (count >= list.maxEntries) {
        truncated = list.maxEntries > 0;
        break pages;
      }
      count += 1;
      next = { key: name, versionId: version?.versionId };
      if (!version) content.CommonPrefixes.push({ Prefix: list.encode(name) });
      else {
        content[version.deleteMarker ? 'DeleteMarker' : 'Version'].push({
          ...objectEntry(context, bucket, version),
          Key: list.encode(name),
          VersionId: version.versionId,
          IsLatest: version === versions[0],
        });
      }
    }
  }
  return {
    xml: {
      root: 'ListVersionsResult',
      content: {
        Name: bucket.name,
        Prefix: list.encode(list.prefix),
        Delimiter: list.delimiter === '' ? undefined : list.encode(list.delimiter),
        MaxKeys: list.maxEntries,
        EncodingType: list.encodingType,
        IsTruncated: truncated,
        KeyMarker: list.encode(keyMarker),
        VersionIdMarker: versionMarker,
        NextKeyMarker: truncated && next ? list.encode(next.key) : undefined,
        NextVersionIdMarker: truncated ? next?.versionId : undefined,
        ...content,
      },
    },
  };
};

function objectEntry(context: OperationContext, bucket: Bucket, version: StoredVersion): object {
  const common = { LastModified: version.lastModified, Owner: OWNER };
  if (version.deleteMarker) return common;
  return {
    ...common,
    ETag: `"${version.etag}"`,
    ChecksumAlgorithm: version.checksum.algorithm,
    ChecksumType: version.checksum.type,
    Size: context.storage.sizeBytes(bucket, version),
    StorageClass: version.storageClass,
  };
}

export const listMultipartUploads: Operation = (context) => {
  const bucket = bucketOf(context);
  const { query } = context.request;
  const list = listQuery(context, 'max-uploads');
  if (list.delimiter !== '') throw new S3Error('NotImplemented');
  const keyMarker = query.get('key-marker') ?? '';
  const uploadMarker = query.get('upload-id-marker') ?? '';
  const all = context.uploads.list(bucket).filter(({ key }) => key.startsWith(list.prefix));
  const marked = all.findIndex((u) => u.key === keyMarker && u.uploadId === uploadMarker);
  const rest = marked >= 0 ? all.slice(marked + 1) : all.filter((u) => isAfter(u.key, keyMarker));
  const page = rest.slice(0, list.maxEntries);
  const truncated = page.length < rest.length;
  const last = page.at(-1);
  return {
    xml: {
      root: 'ListMultipartUploadsResult',
      content: {
        Bucket: bucket.name,
        Prefix: list.encode(list.prefix),
        KeyMarker: list.encode(keyMarker),
        UploadIdMarker: uploadMarker,
        NextKeyMarker: truncated && last ? list.encode(last.key) : undefined,
        NextUploadIdMarker: truncated ? last?.uploadId : undefined,
        MaxUploads: list.maxEntries,
        EncodingType: list.encodingType,
        IsTruncated: truncated,
        Upload: page.map((upload) => ({
          Key: list.encode(upload.key),
          UploadId: upload.uploadId,
          Initiator: OWNER,
          Owner: OWNER,
          StorageClass: upload.description.storageClass,
          Initiated: upload.initiated,
          ChecksumAlgorithm: upload.algorithm,
          ChecksumType: upload.algorithm && upload.checksumType,
        })),
      },
    },
  };
};
