import type { Manifest } from '#contracts/manifest.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import {
  type BackupState,
  Quarantine,
  TAG_KIND,
  TAG_STATE,
  Verification,
} from '#contracts/verification.ts';
import type { VerifiedDatabase } from '#contracts/workflow.ts';
import { quarantineAlert } from '#domain/alert-message.ts';
import {
  alertMarkerKey,
  type BackupFile,
  type BackupRef,
  backupKey,
  databasePrefix,
  parseBackupKey,
} from '#domain/names.ts';
import { judgeSize } from '#domain/size-anomaly.ts';
import {
  ArchiveCorrupt,
  ArchiveUnsupported,
  ChecksumMismatch,
  ContentsMismatch,
  errorName,
  ManifestInvalid,
  ObjectMissing,
  ObjectReplaced,
  SizeAnomaly,
  SizeMismatch,
  WriteConflict,
} from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { loadJob, loadManifest, parseRecord } from './records.ts';
import { sendAlert } from './send-alert.ts';
import { verifyArchive } from './verify-archive.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'objects' | 'clients' | 'workflow' | 'alerts'>;

/** Findings about the backup itself. Anything else that is thrown says nothing about it: try again. */
const DAMNING = [
  ManifestInvalid,
  ObjectMissing,
  ObjectReplaced,
  SizeMismatch,
  ChecksumMismatch,
  ContentsMismatch,
  ArchiveCorrupt,
  ArchiveUnsupported,
  SizeAnomaly,
];

/** Between a token's answer and the marker is one PutObject, with its retries. */
const MARKER_PATIENCE_MILLISECONDS = 3_000;

const DEFAULT_RULES = SourcePlan.shape.verification.parse({});

/**
 * Verifies a backup and settles it: `verification.json` or `quarantine.json`, tags, the answer to the
 * waiting state, an alert when no run waits for it any more. Events come twice, late and out of order:
 * every step finds what an earlier delivery did and leads to the same outcome.
 *
 * Throws only what another try may cure; the backup is then neither verified nor quarantined.
 */
export async function settleVerification(
  deps: Needs,
  { source, database, backupId }: BackupRef,
  signal: AbortSignal,
): Promise<'verified' | 'quarantined'> {
  // Only these three: a job record fits the type as well, and its token must not reach the log.
  const ref = { source, database, backupId };
  const quarantineKey = backupKey(ref, 'quarantine.json');
  const earlier = await deps.objects.get(quarantineKey);
  if (earlier) {
    await finishQuarantine(deps, ref, parseRecord(Quarantine, earlier.body, quarantineKey));
    return 'quarantined';
  }
  try {
    const { verification, manifest } = await verify(deps, ref, signal);
    await finishVerified(deps, ref, verification, manifest);
    return 'verified';
  } catch (error) {
    if (!DAMNING.some((errorClass) => error instanceof errorClass)) throw error;
    const quarantine = await writeOnce(deps, quarantineKey, Quarantine, {
      version: 1,
      source: ref.source,
      database: ref.database,
      backupId: ref.backupId,
      quarantinedAt: deps.clock.now().toISOString(),
      error: errorName(error),
      cause: (error as Error).message,
    });
    await finishQuarantine(deps, ref, quarantine);
    return 'quarantined';
  }
}

async function verify(
  deps: Needs,
  ref: BackupRef,
  signal: AbortSignal,
): Promise<{ verification: Verification; manifest: Manifest }> {
  const began = deps.clock.now().getTime();
  const { manifest, head } = await requireManifest(deps, ref);
  const key = backupKey(ref, 'verification.json');
  const earlier = await deps.objects.get(key);
  if (earlier) return { verification: parseRecord(Verification, earlier.body, key), manifest };

  const job = await loadJob(deps.objects, ref);
  const rules = job?.verification ?? DEFAULT_RULES;
  deps.log.info(LOG.verificationStarted, { ...ref, level: rules.level });
  const tables = await verifyArchive(deps, manifest, rules.level, signal);
  const oddSize = await findOddSize(deps, ref, manifest, rules.sizeAnomaly);
  if (oddSize !== undefined && rules.sizeAnomaly.action === 'fail') {
    throw new SizeAnomaly(oddSize, {
      remedy: 'compare the row counts with the last backup; raise sizeAnomaly.ratio if it is meant',
    });
  }
  const verification = await writeOnce(deps, key, Verification, {
    version: 1,
    source: ref.source,
    database: ref.database,
    backupId: ref.backupId,
    level: rules.level,
    verifiedAt: deps.clock.now().toISOString(),
    durationSeconds: (deps.clock.now().getTime() - began) / 1000,
    manifest: {
      sha256: manifest.sha256,
      ...(head.versionId === undefined ? {} : { versionId: head.versionId }),
    },
    archiveBytes: manifest.objects.archive.sizeBytes,
    blocks: manifest.archive.blocks.length,
    tables: tables.map(({ schema, table, rows }) => ({ schema, table, rows })),
    warnings: [...manifest.warnings, ...(oddSize === undefined ? [] : [oddSize])],
  });
  return { verification, manifest };
}

/** The manifest, which must be the only version of its key that was ever written. */
async function requireManifest(deps: Needs, ref: BackupRef) {
  const found = await loadManifest(deps.objects, ref);
  const key = backupKey(ref, 'manifest.json');
  if (!found) throw new ObjectMissing(`there is no ${key}`);
  const versions = await deps.objects.versions(key);
  if (versions.length > 1) {
    throw new ManifestInvalid(`${key} was written ${versions.length} times; we write it once`);
  }
  return found;
}

async function findOddSize(
  { objects }: Needs,
  ref: BackupRef,
  manifest: Manifest,
  rules: Parameters<typeof judgeSize>[2],
): Promise<string | undefined> {
  const sizes = new Map<string, number>();
  const verified = new Set<string>();
  for await (const { key, sizeBytes } of objects.list(databasePrefix(ref.source, ref.database))) {
    const parsed = parseBackupKey(key);
    if (!parsed || parsed.backupId === ref.backupId) continue;
    if (parsed.file === 'archive.dump') sizes.set(parsed.backupId, sizeBytes);
    if (parsed.file === 'verification.json') verified.add(parsed.backupId);
  }
  const newestFirst = [...verified].sort().reverse();
  const earlier = newestFirst.flatMap((backupId) => sizes.get(backupId) ?? []);
  return judgeSize(manifest.objects.archive.sizeBytes, earlier, rules);
}

/** Writes a record that must exist once. Whoever was first wins, and both go on with the winner's. */
async function writeOnce<Kind extends Verification | Quarantine>(
  { objects }: Needs,
  key: string,
  schema: { parse(value: unknown): Kind },
  record: Kind,
): Promise<Kind> {
  try {
    await objects.put(key, JSON.stringify(record, null, 1), {
      condition: 'absent',
      contentType: 'application/json',
    });
    return record;
  } catch (error) {
    if (!(error instanceof WriteConflict)) throw error;
    const winner = await objects.get(key);
    if (!winner) throw error;
    return schema.parse(JSON.parse(winner.body.toString('utf8')));
  }
}

async function finishVerified(
  deps: Needs,
  ref: BackupRef,
  verification: Verification,
  manifest: Manifest,
): Promise<void> {
  await tagAll(deps, ref, 'verified');
  const output: VerifiedDatabase = {
    status: 'verified',
    database: ref.database,
    backupId: ref.backupId,
    sizeBytes: verification.archiveBytes,
    level: verification.level,
    tables: verification.tables.length,
    rows: verification.tables.reduce((sum, { rows }) => sum + rows, 0),
    dumpSeconds: (Date.parse(manifest.endedAt) - Date.parse(manifest.startedAt)) / 1000,
    verifySeconds: verification.durationSeconds,
    warnings: verification.warnings.length,
  };
  const job = await loadJob(deps.objects, ref);
  const answer = job ? await deps.workflow.succeed(job.taskToken, output) : 'closed';
  deps.log.info(LOG.verified, { ...output, token: answer });
}

async function finishQuarantine(
  deps: Needs,
  ref: BackupRef,
  quarantine: Quarantine,
): Promise<void> {
  await tagAll(deps, ref, 'quarantined');
  const { error, cause } = quarantine;
  const job = await loadJob(deps.objects, ref).catch(() => undefined);
  const answer = job ? await deps.workflow.fail(job.taskToken, error, cause) : 'closed';
  deps.log.error(LOG.quarantined, { ...ref, error, cause, token: answer });

  // The run that waited says it in its own alert. Where none waits, we do; the marker keeps a second
  // delivery of the event from saying it again, and comes last: twice is better than never.
  const marker = alertMarkerKey(ref.source, `quarantined-${ref.database}-${ref.backupId}`);
  if (answer === 'closed') {
    if (await deps.objects.head(marker)) return;
    // A delivery at the same time may have given the answer that closed the token just now.
    await deps.clock.sleep(MARKER_PATIENCE_MILLISECONDS);
    if (await deps.objects.head(marker)) return;
    await sendAlert(deps, quarantineAlert({ quarantine, executionArn: job?.executionArn }));
  }
  await deps.objects.put(marker, JSON.stringify({ alertedAt: deps.clock.now().toISOString() }));
}

const TAGGED: readonly BackupFile[] = ['archive.dump', 'toc.dump', 'globals.sql'];

/** Tags are for lifecycle rules and people; the records are what counts. */
async function tagAll(deps: Needs, ref: BackupRef, state: BackupState): Promise<void> {
  for (const file of TAGGED) {
    const key = backupKey(ref, file);
    const kind = file.split('.')[0] ?? file;
    if (await deps.objects.head(key)) {
      await deps.objects.tag(key, { [TAG_STATE]: state, [TAG_KIND]: kind });
    }
  }
}
