import { RETRIEVAL_TIERS } from './archived-objects.ts';
import { assertLockable, assertTags } from './description.ts';
import { assertRetentionChange, parseRetention } from './object-lock.ts';
import {
  bucketOf,
  type Operation,
  type OperationContext,
  requestedVersion,
  type S3Answer,
  versionIdHeader,
} from './operation.ts';
import { header } from './request.ts';
import { S3Error } from './s3-error.ts';
import type { ObjectVersion } from './storage.ts';
import { child, childList, childText } from './xml.ts';
import { receiveXml } from './xml-body.ts';

export const getObjectTagging: Operation = (context) => {
  const object = requestedVersion(context);
  return {
    headers: versionHeader(context, object),
    xml: {
      root: 'Tagging',
      content: { TagSet: { Tag: object.tags.map(([Key, Value]) => ({ Key, Value })) } },
    },
  };
};

export const putObjectTagging: Operation = async (context) => {
  const body = await receiveXml(context.request, 'Tagging');
  const tags = childList(child(body, 'TagSet'), 'Tag');
  return update(context, {
    tags: assertTags(
      tags.map((tag) => [childText(tag, 'Key') ?? '', childText(tag, 'Value') ?? '']),
    ),
  });
};

export const deleteObjectTagging: Operation = (context) => ({
  ...update(context, { tags: [] }),
  status: 204,
});

export const getObjectRetention: Operation = (context) => {
  const { retention } = requestedVersion(context).lock;
  if (!retention) throw new S3Error('NoSuchObjectLockConfiguration');
  const content = { Mode: retention.mode, RetainUntilDate: retention.until };
  return { xml: { root: 'Retention', content } };
};

export const putObjectRetention: Operation = async (context) => {
  assertLockable(bucketOf(context));
  const body = await receiveXml(context.request, 'Retention');
  const { lock } = requestedVersion(context);
  const retention = parseRetention(
    childText(body, 'Mode'),
    childText(body, 'RetainUntilDate'),
    context.now,
  );
  if (!retention) throw new S3Error('MalformedXML');
  const { headers } = context.request;
  const bypass = header(headers, 'x-amz-bypass-governance-retention') === 'true';
  assertRetentionChange(lock.retention, retention, context.now, bypass);
  return update(context, { lock: { ...lock, retention } });
};

export const getObjectLegalHold: Operation = (context) => {
  const { legalHold } = requestedVersion(context).lock;
  return { xml: { root: 'LegalHold', content: { Status: legalHold ? 'ON' : 'OFF' } } };
};

export const putObjectLegalHold: Operation = async (context) => {
  assertLockable(bucketOf(context));
  const status = childText(await receiveXml(context.request, 'LegalHold'), 'Status');
  if (status !== 'ON' && status !== 'OFF') throw new S3Error('MalformedXML');
  const { lock } = requestedVersion(context);
  return update(context, { lock: { ...lock, legalHold: status === 'ON' } });
};

/** 202: it has begun. 200: the copy that is there stays longer. */
export const restoreObject: Operation = async (context) => {
  const { request, retrievals, requestId } = context;
  const body = await receiveXml(request, 'RestoreRequest');
  const object = requestedVersion(context);
  const tierText =
    childText(child(body, 'GlacierJobParameters'), 'Tier') ?? childText(body, 'Tier') ?? 'Standard';
  const tier = RETRIEVAL_TIERS.find((name) => name === tierText);
  const daysText = childText(body, 'Days');
  const days = daysText === undefined ? undefined : Number(daysText);
  if (!tier || (days !== undefined && !(Number.isInteger(days) && days > 0))) {
    throw new S3Error('MalformedXML', 'Tier or Days is not valid.');
  }
  const bucket = bucketOf(context);
  const outcome = retrievals.request(bucket, request.key, object, { tier, days }, requestId);
  return { headers: versionHeader(context, object), status: outcome === 'accepted' ? 202 : 200 };
};

function update(
  context: OperationContext,
  change: Parameters<OperationContext['storage']['updateVersion']>[3],
): S3Answer {
  const object = requestedVersion(context);
  context.storage.updateVersion(bucketOf(context), context.request.key, object, change);
  return { headers: versionHeader(context, object) };
}

function versionHeader(
  context: OperationContext,
  object: ObjectVersion,
): Record<string, string | undefined> {
  return { 'x-amz-version-id': versionIdHeader(bucketOf(context), object.versionId) };
}
