import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { GetObjectTaggingCommand, S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { Manifest } from '#contracts/manifest.ts';
import { TAG_STATE } from '#contracts/verification.ts';
import { type BackupFile, type BackupRef, backupKey, parseBackupKey } from '#domain/names.ts';
import type { BusEvent } from '#local/control-plane/event-bus.ts';
import { LOCAL } from '#local/stack.ts';
import { manifestDigest } from '#operations/records.ts';
import { listBackups, listOpenUploads, type Pipeline, type RunOutcome } from './stack.ts';

/** What every failure case asks besides its own question: what is left, and what was not touched. */

/** EventBridge's pattern of the event that starts a verification. */
export const MANIFEST_CREATED = {
  'detail-type': ['Object Created'],
  detail: { object: { key: [{ wildcard: 'backups/*/manifest.json' }] } },
};

/** For plans: retention is not the question, and a file makes more backups than a day keeps. */
export const KEEP_ALL = { archives: { keepLast: 1000 } };

/** A backup whose manifest is written, and whose event has not been delivered. */
export interface HeldBackup {
  readonly ref: BackupRef;
  readonly key: (file: BackupFile) => string;
  /** The stored bytes, read past the protocol. */
  readonly bytes: (file: BackupFile) => Buffer;
  readonly event: BusEvent;
}

/** Calls `harm` between a run's dump and its verification, then lets the manifest's event go. */
export async function runWithHarm(
  pipeline: Pipeline,
  harm: (held: HeldBackup) => unknown,
  input: Record<string, unknown> = {},
): Promise<RunOutcome & { held: HeldBackup }> {
  const { bus, sns } = pipeline.stack.plane;
  const alertsBefore = sns.messages.length;
  const { held, running } = await startHeldRun(pipeline, input);
  const eventsBefore = bus.history.length;
  await harm(held);
  // A manifest that the harm wrote itself has had its own event.
  const rewritten = () =>
    bus.history.slice(eventsBefore).some((event) => keyOf(event) === held.key('manifest.json'));
  if (!rewritten()) bus.put(held.event);
  const outcome = await running;
  await bus.idle();
  return { ...outcome, alerts: sns.messages.slice(alertsBefore), held };
}

/** Starts a run and returns once its manifest is there and the task gone; the event is dropped. */
export async function startHeldRun(
  pipeline: Pipeline,
  input: Record<string, unknown> = {},
): Promise<{ held: HeldBackup; running: Promise<RunOutcome> }> {
  const { bus, ecs } = pipeline.stack.plane;
  const before = bus.history.length;
  bus.disturb({ pattern: MANIFEST_CREATED, drop: true });
  const running = pipeline.run(input);
  const manifestEvent = () =>
    bus.history
      .slice(before)
      .find((event) => event['detail-type'] === 'Object Created' && refOf(event) !== undefined);
  await expect.poll(manifestEvent, { interval: 20 }).toBeDefined();
  const event = manifestEvent() as BusEvent;
  await expect.poll(() => runningTasks(ecs), { interval: 20 }).toEqual([]);
  await bus.idle();
  const ref = refOf(event) as BackupRef;
  const key = (file: BackupFile) => backupKey(ref, file);
  return { held: { ref, event, key, bytes: (file) => storedBytes(pipeline, key(file)) }, running };
}

/** The key of the object that an event is about. */
export function keyOf({ detail }: Pick<BusEvent, 'detail'>): string {
  return (detail['object'] as { key?: string } | undefined)?.key ?? '';
}

function refOf(event: BusEvent): BackupRef | undefined {
  const parsed = parseBackupKey(keyOf(event));
  if (parsed?.file !== 'manifest.json') return undefined;
  const { source, database, backupId } = parsed;
  return { source, database, backupId };
}

/** The bytes of a key's current version, as they lie on the disk. */
export function storedBytes({ stack }: Pipeline, key: string): Buffer {
  return readFileSync(stack.store.path(LOCAL.bucket, key) ?? '');
}

/** A changed manifest with a digest that fits, as one would write who knows how. */
export function resign(manifest: Buffer, change: (manifest: Manifest) => Manifest): string {
  const changed = change(Manifest.parse(JSON.parse(manifest.toString('utf8'))));
  return JSON.stringify({ ...changed, sha256: manifestDigest(changed) });
}

/** Makes a backup before the fault; the answer checks that nothing of it has changed since. */
export async function makeGoodBackup(pipeline: Pipeline): Promise<() => Promise<void>> {
  const before = new Set((await listBackups(pipeline)).keys());
  const { execution } = await pipeline.run();
  expect(execution).toMatchObject({ status: 'SUCCEEDED' });
  const backupId = [...(await listBackups(pipeline)).keys()].find((id) => !before.has(id)) ?? '';
  const state = () => describeBackup(pipeline, backupId);
  const made = await state();
  expect(made.map(({ file }) => file)).toContain('verification.json');
  return async () => expect(await state()).toEqual(made);
}

/** The manifest of the newest backup of `shop`. */
export async function newestManifest(pipeline: Pipeline): Promise<Manifest> {
  const backupId = [...(await listBackups(pipeline)).keys()].sort().at(-1) ?? '';
  const key = backupKey({ source: 'orders', database: 'shop', backupId }, 'manifest.json');
  return Manifest.parse(JSON.parse(storedBytes(pipeline, key).toString('utf8')));
}

/** The run sent one alert and no other, with these attributes among its own. */
export function expectOneRunAlert(
  { alerts }: RunOutcome,
  attributes: Readonly<Record<string, string>>,
): void {
  const expected = [{ event: 'backup', ...attributes }];
  expect(alerts.map((alert) => alert.attributes)).toMatchObject(expected);
}

/** The run succeeded, said so once, and counted every row of `shop`. */
export function expectVerified({ sample }: Pipeline, outcome: RunOutcome): void {
  expect(outcome.execution).toMatchObject({ status: 'SUCCEEDED' });
  expectOneRunAlert(outcome, { status: 'SUCCEEDED' });
  const rows = Object.values(sample.databases.shop ?? {}).reduce((sum, count) => sum + count, 0);
  expect(outcome.summary?.databases).toMatchObject([{ status: 'verified', rows }]);
}

/** Each object of a backup with all its versions and the digest of its bytes. */
async function describeBackup(pipeline: Pipeline, backupId: string) {
  const objects = [];
  for await (const { key } of pipeline.stack.objects.list('backups/')) {
    const parsed = parseBackupKey(key);
    if (parsed?.backupId !== backupId) continue;
    objects.push({
      file: parsed.file,
      versions: await pipeline.stack.objects.versions(key),
      sha256: createHash('sha256').update(storedBytes(pipeline, key)).digest('hex'),
    });
  }
  return objects;
}

/** No open upload, no backup without manifest or verdict, no task that still runs. */
export async function expectNothingHalfWritten(pipeline: Pipeline): Promise<void> {
  const { bus, ecs } = pipeline.stack.plane;
  await bus.idle();
  const leftovers = async () => ({
    uploads: await listOpenUploads(pipeline),
    folders: [...(await listBackups(pipeline))]
      .filter(([, files]) => !files.has('manifest.json') && !files.has('quarantine.json'))
      .map(([backupId, files]) => `${backupId}: ${[...files].join(', ')}`),
    tasks: runningTasks(ecs),
  });
  await expect.poll(leftovers).toEqual({ uploads: [], folders: [], tasks: [] });
}

function runningTasks(ecs: Pipeline['stack']['plane']['ecs']): object[] {
  const tasks = ecs.tasks() as { lastStatus?: string }[];
  return tasks.filter(({ lastStatus }) => lastStatus !== 'STOPPED');
}

/** The `holdfast-state` tag of a key's current version. */
export async function stateTag({ stack }: Pipeline, key: string): Promise<string | undefined> {
  const client = new S3Client({
    endpoint: stack.store.endpoint,
    region: 'eu-west-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  try {
    const tags = await client.send(new GetObjectTaggingCommand({ Bucket: LOCAL.bucket, Key: key }));
    return tags.TagSet?.find((tag) => tag.Key === TAG_STATE)?.Value;
  } finally {
    client.destroy();
  }
}
