import { createHash } from 'node:crypto';
import { DumpJob } from '#contracts/job.ts';
import { Manifest } from '#contracts/manifest.ts';
import { PlannedRestore, RestoreReport } from '#contracts/restore.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import { Quarantine, Verification } from '#contracts/verification.ts';
import { type Results, Run, SnapshotState, type VerifiedDatabase } from '#contracts/workflow.ts';
import {
  type BackupRef,
  backupKey,
  jobKey,
  makeBackupId,
  parseBackupId,
  restoredDatabaseName,
} from '#domain/names.ts';
import { crc64NvmeBase64 } from './crc64-reference.ts';
import type { MemoryObjects } from './memory-objects.ts';

/** Builders of valid records: name only what the test is about. */

/** Deep merge of plain objects; anything else (arrays too) is replaced. */
function merge(base: unknown, change: unknown): unknown {
  if (!isPlain(base) || !isPlain(change)) return change === undefined ? base : change;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(change)) merged[key] = merge(base[key], value);
  return merged;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export type Changes<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { [K in keyof T]?: Changes<T[K]> | undefined }
    : T;

export const ACCOUNT = '123456789012';
export const STATE_MACHINE_ARN = `arn:aws:states:eu-west-1:${ACCOUNT}:stateMachine:holdfast-test-backup`;

export function executionArnOf(runId: string): string {
  return `arn:aws:states:eu-west-1:${ACCOUNT}:execution:holdfast-test-backup:${runId}`;
}

/** The source `orders` on an RDS instance, daily at 03:00 in Berlin. */
export function makePlan(changes: Changes<SourcePlan> = {}): SourcePlan {
  return SourcePlan.parse(
    merge(
      {
        source: 'orders',
        engine: { type: 'rds-instance', identifier: 'orders-prod' },
        connection: {
          host: 'orders.example.internal',
          auth: { type: 'secret', secretId: 'holdfast/orders' },
        },
        schedule: { expression: 'cron(0 3 * * ? *)', timezone: 'Europe/Berlin' },
      },
      changes,
    ),
  );
}

/** A scheduled run that began on 2026-11-20 at 02:00 UTC. */
export function makeRun(changes: Changes<Run> = {}): Run {
  const runId = changes.runId ?? 'orders-20261120T020000Z-k3v9qd';
  return Run.parse(
    merge(
      {
        source: 'orders',
        runId,
        executionArn: executionArnOf(runId),
        startedAt: '2026-11-20T02:00:00.000Z',
        trigger: 'schedule',
        reason: null,
        kinds: ['snapshot', 'logical'],
        databases: null,
        planVersion: 1,
      },
      changes,
    ),
  );
}

/** The same id for the same time, so that tests can name backups by their time alone. */
export function backupIdAt(time: Date | string, seed = 'test'): string {
  return makeBackupId(new Date(time), seed);
}

export function makeJob(changes: Changes<DumpJob> = {}): DumpJob {
  const plan = makePlan();
  const run = makeRun();
  return DumpJob.parse(
    merge(
      {
        version: 1,
        source: run.source,
        database: 'shop',
        backupId: backupIdAt('2026-11-20T02:01:00Z'),
        runId: run.runId,
        executionArn: run.executionArn,
        taskToken: 'token-1',
        createdAt: '2026-11-20T02:01:00.000Z',
        connection: plan.connection,
        serverVersion: 170011,
        estimatedBytes: 10_000_000,
        dump: plan.dump,
        verification: plan.verification,
        task: plan.task,
      },
      changes,
    ),
  );
}

/** SHA-256 of the canonical JSON of everything but `sha256`, as the contract defines it. */
export function manifestSha256(manifest: Omit<Manifest, 'sha256'>): string {
  const { sha256: _own, ...content } = manifest as Manifest;
  const canonical = JSON.stringify(content, (_key, value) =>
    isPlain(value)
      ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
      : value,
  );
  return createHash('sha256').update(canonical).digest('hex');
}

export const ARCHIVE_BODY = Buffer.from('PGDMP the archive of a test');
export const TOC_BODY = Buffer.from('PGDMP the head of a test');
export const GLOBALS_BODY = Buffer.from('CREATE ROLE app;\n');

function storedObject(key: string, body: Buffer) {
  return {
    key,
    sizeBytes: body.length,
    sha256: createHash('sha256').update(body).digest('hex'),
    crc64nvme: crc64NvmeBase64(body),
  };
}

/** The manifest that fits the objects of {@link seedBackup}; its `sha256` fits the changes. */
export function makeManifest(changes: Changes<Manifest> = {}): Manifest {
  const job = makeJob();
  const ref: BackupRef = {
    source: changes.source ?? job.source,
    database: changes.database ?? job.database,
    backupId: changes.backupId ?? job.backupId,
  };
  const began = parseBackupId(ref.backupId)?.time ?? new Date(job.createdAt);
  const at = (seconds: number) => new Date(began.getTime() + seconds * 1000).toISOString();
  const { sha256: _of, ...archive } = storedObject(backupKey(ref, 'archive.dump'), ARCHIVE_BODY);
  const manifest = merge(
    {
      version: 1,
      tool: { name: 'holdfast', version: '0.1.0' },
      ...ref,
      runId: job.runId,
      executionArn: job.executionArn,
      startedAt: at(2),
      endedAt: at(12),
      server: {
        version: '17.11',
        versionNumber: 170011,
        isReplica: false,
        lsn: '0/1A2B3C8',
        snapshotId: '00000003-0000001B-1',
        encoding: 'UTF8',
      },
      client: { major: 17, version: 'pg_dump (PostgreSQL) 17.11' },
      options: {
        format: 'custom',
        compression: { algorithm: 'zstd', level: 1 },
        lockWaitTimeoutSeconds: 60,
      },
      databaseSizeBytes: job.estimatedBytes,
      objects: {
        archive,
        toc: storedObject(backupKey(ref, 'toc.dump'), TOC_BODY),
        globals: storedObject(backupKey(ref, 'globals.sql'), Buffer.from('-- roles of a test\n')),
      },
      archive: {
        formatVersion: '1.16.0',
        headBytes: TOC_BODY.length,
        headSha256: createHash('sha256').update(TOC_BODY).digest('hex'),
        bodySha256: createHash('sha256').update(ARCHIVE_BODY).digest('hex'),
        tocEntries: 1,
        blocks: [],
      },
      warnings: [],
    },
    changes,
  ) as Omit<Manifest, 'sha256'>;
  return Manifest.parse({
    ...manifest,
    sha256: changes.sha256 ?? manifestSha256(manifest),
  });
}

export function makeVerification(changes: Changes<Verification> = {}): Verification {
  const manifest = makeManifest({
    source: changes.source,
    database: changes.database,
    backupId: changes.backupId,
  });
  const { source, database, backupId } = manifest;
  return Verification.parse(
    merge(
      {
        version: 1,
        source,
        database,
        backupId,
        level: 'full',
        verifiedAt: new Date(Date.parse(manifest.endedAt) + 5000).toISOString(),
        durationSeconds: 5,
        manifest: { sha256: manifest.sha256 },
        archiveBytes: ARCHIVE_BODY.length,
        blocks: 1,
        tables: [{ schema: 'public', table: 'orders', rows: 1200 }],
        warnings: [],
      },
      changes,
    ),
  );
}

/**
 * Lays a whole backup into the bucket, dated by its id. `running`: job record and nothing else;
 * `unverified`: no verification yet.
 */
export function seedBackup(
  objects: MemoryObjects,
  ref: Partial<BackupRef>,
  state: 'verified' | 'unverified' | 'quarantined' | 'running' = 'verified',
): BackupRef {
  const { source, database, backupId } = makeJob(ref);
  const whole = { source, database, backupId };
  const at = parseBackupId(backupId)?.time ?? new Date();
  const job = makeJob({ ...whole, createdAt: at.toISOString() });
  objects.seed(jobKey(whole), job, at);
  if (state === 'running') return whole;
  objects.seed(backupKey(whole, 'archive.dump'), ARCHIVE_BODY, at);
  objects.seed(backupKey(whole, 'toc.dump'), TOC_BODY, at);
  objects.seed(backupKey(whole, 'globals.sql'), GLOBALS_BODY, at);
  objects.seed(backupKey(whole, 'manifest.json'), makeManifest(whole), at);
  if (state === 'verified') {
    objects.seed(backupKey(whole, 'verification.json'), makeVerification(whole), at);
  }
  if (state === 'quarantined') {
    const quarantine: Quarantine = {
      version: 1,
      ...whole,
      quarantinedAt: at.toISOString(),
      error: 'ChecksumMismatch',
      cause: 'the archive does not have the checksum in its manifest',
    };
    objects.seed(backupKey(whole, 'quarantine.json'), Quarantine.parse(quarantine), at);
  }
  return whole;
}

export function makeSnapshotState(changes: Changes<SnapshotState> = {}): SnapshotState {
  const snapshotId = changes.snapshotId ?? 'holdfast-orders-20261120t020000z-k3v9qd';
  return SnapshotState.parse(
    merge(
      {
        snapshotId,
        arn: `arn:aws:rds:eu-west-1:${ACCOUNT}:snapshot:${snapshotId}`,
        kind: 'instance',
        status: 'available',
        adopted: false,
        startedAt: '2026-11-20T02:00:05.000Z',
        progressPercent: 100,
        sizeGiB: 20,
      },
      changes,
    ),
  );
}

export function makeVerifiedDatabase(changes: Changes<VerifiedDatabase> = {}): VerifiedDatabase {
  return {
    status: 'verified',
    database: 'shop',
    backupId: backupIdAt('2026-11-20T02:01:00Z'),
    sizeBytes: 4_200_000,
    level: 'full',
    tables: 12,
    rows: 340_000,
    dumpSeconds: 10,
    verifySeconds: 5,
    warnings: 0,
    ...changes,
  } as VerifiedDatabase;
}

/** A run in which everything that the plan's kinds ask for worked: one snapshot, one database. */
export function makeResults(changes: Partial<Results> = {}): Results {
  return {
    snapshot: { status: 'available', snapshot: makeSnapshotState() },
    logical: {
      status: 'done',
      discovery: {
        server: { version: '17.11', versionNumber: 170011, isReplica: false },
        databases: [{ database: 'shop', sizeBytes: 10_000_000, problem: null }],
        warnings: [],
      },
      databases: [makeVerifiedDatabase()],
    },
    ...changes,
  };
}

/** A restore of the newest backup of `shop` beside the original. */
export function makePlannedRestore(changes: Changes<PlannedRestore> = {}): PlannedRestore {
  const backupId = backupIdAt('2026-11-20T02:01:00Z');
  const restoreId = makeBackupId(new Date('2026-11-20T10:00:00Z'), 'restore');
  return PlannedRestore.parse(
    merge(
      {
        restoreId,
        source: 'orders',
        executionArn: executionArnOf('restore-1'),
        startedAt: '2026-11-20T10:00:00.000Z',
        reason: null,
        backup: { database: 'shop', backupId },
        trust: 'verified',
        archive: {
          key: backupKey({ source: 'orders', database: 'shop', backupId }, 'archive.dump'),
          sizeBytes: 1000,
        },
        target: {
          source: 'orders',
          planVersion: 1,
          database: restoredDatabaseName('shop', restoreId),
          mode: 'new',
          swapWith: null,
        },
        selection: { without: [], withDependencies: false },
        roles: { createMissing: false, noOwner: false },
        jobs: 2,
        keepOnFailure: false,
      },
      changes,
    ),
  );
}

/** What a restore of two tables found, everything in order. */
export function makeRestoreReport(changes: Changes<RestoreReport> = {}): RestoreReport {
  return RestoreReport.parse(
    merge(
      {
        server: { version: '17.11', versionNumber: 170011 },
        database: makePlannedRestore().target.database,
        previousDatabase: null,
        archiveBytes: 1000,
        bytesRead: 1000,
        checksum: 'matched',
        entries: { selected: 10, total: 10 },
        phases: [{ phase: 'data', seconds: 2 }],
        tolerated: [],
        createdRoles: [],
        checks: {
          rows: [
            { schema: 'public', table: 'orders', expected: 1200, actual: 1200 },
            { schema: 'public', table: 'items', expected: 3400, actual: 3400 },
          ],
          sequences: { checked: 1, behind: [] },
          invalidIndexes: [],
          invalidConstraints: [],
          extensions: [{ name: 'plpgsql', version: '1.0' }],
          largeObjects: { expected: 0, actual: 0 },
          publications: [],
          subscriptions: [],
          problems: [],
        },
        warnings: [],
      },
      changes,
    ),
  );
}
