import type {
  ArchiveDrill,
  Drill,
  DrillRecord,
  DrillReport,
  MissingDrill,
  ServerDrill,
} from '#contracts/drill.ts';
import { makeDrillRecord } from '#domain/drill/drill-record.ts';
import { backupKey } from '#domain/names.ts';
import { backupIdAt, executionArnOf, makePlannedRestore, makeRestoreReport } from './builders.ts';
import { makeServerSettings } from './servers.ts';

/** Builders of what a drill's states pass on; name only what the test is about. */

export const DRILL_ID = '20261120T100000Z-k3v9qd';

/** A drill of archives that began on 2026-11-20 at 10:00 UTC, with the plan's default targets. */
export function makeDrill(changes: Partial<Drill> = {}): Drill {
  return {
    drillId: DRILL_ID,
    source: 'orders',
    planVersion: 1,
    executionArn: executionArnOf('drill-1'),
    startedAt: '2026-11-20T10:00:00.000Z',
    trigger: 'schedule',
    reason: null,
    kind: 'archive',
    targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
    notes: [],
    ...changes,
  };
}

/** Of the latest backup of `shop`, which is eight hours old. */
export function makeArchiveDrill(
  database = 'shop',
  {
    inGlacier = false,
    timeoutSeconds = 3600,
    ...changes
  }: Partial<ArchiveDrill> & {
    inGlacier?: boolean;
    timeoutSeconds?: number;
  } = {},
): ArchiveDrill {
  const backupId = backupIdAt('2026-11-20T02:00:00Z');
  const ref = { source: 'orders', database, backupId };
  return {
    restore: {
      ...makePlannedRestore(),
      backup: { database, backupId },
      archive: { key: backupKey(ref, 'archive.dump'), sizeBytes: 1000 },
      target: { source: 'orders', planVersion: 1, database, mode: 'new', swapWith: null },
      roles: { createMissing: true, noOwner: false },
    },
    retrieval: {
      needed: inGlacier,
      tier: 'standard',
      storageClass: inGlacier ? 'GLACIER' : 'STANDARD',
      timeoutSeconds: 20_000,
    },
    task: { heartbeatSeconds: 300, timeoutSeconds },
    chosenBy: 'latest',
    newestBackupAt: '2026-11-20T02:00:00.000Z',
    ...changes,
  };
}

export function makeMissing(database = 'lost'): MissingDrill {
  return {
    database,
    backupId: null,
    failure: { Error: 'BackupNotFound', Cause: `${database} has no verified backup` },
    newestBackupAt: null,
  };
}

/** Everything in order; the data were back in two minutes. */
export function makeDrillReport(changes: Partial<DrillReport> = {}): DrillReport {
  const { checks, ...restore } = makeRestoreReport();
  return {
    version: 1,
    database: 'shop',
    backupId: backupIdAt('2026-11-20T02:00:00Z'),
    server: { version: '17.11', versionNumber: 170011 },
    restore,
    checks: {
      restored: checks,
      amcheck: {
        state: 'clean',
        tables: 2,
        indexes: 3,
        damage: [],
        reason: null,
        seconds: 1,
      },
      dataChecksums: { state: 'clean', failures: 0 },
      smokeQueries: [],
    },
    phases: [
      { phase: 'server', seconds: 20 },
      { phase: 'restore', seconds: 90 },
      { phase: 'amcheck', seconds: 10 },
    ],
    tables: 2,
    rows: 4600,
    sizeBytes: 10_000_000,
    measuredSeconds: 120,
    rtoSeconds: 120,
    extrapolated: false,
    findings: [],
    ...changes,
  };
}

/** The record of a drill of one database that passed. */
export function makePastDrill(
  changes: { drill?: Partial<Drill>; database?: Partial<DrillRecord['databases'][number]> } = {},
): DrillRecord {
  const { version: _version, database, backupId, ...report } = makeDrillReport();
  const drill = makeDrill(changes.drill);
  return makeDrillRecord({
    event: {},
    drill,
    databases: [
      {
        database,
        backupId,
        chosenBy: 'latest',
        status: 'PASSED',
        report,
        rpoSeconds: 28_800,
        findings: [],
        error: null,
        cause: null,
        ...changes.database,
      },
    ],
    endedAt: new Date(Date.parse(drill.startedAt) + 180_000),
  });
}

/** Of a temporary instance, made of the snapshot of 02:00. */
export function makeServerDrill({ timeoutSeconds = 3600 } = {}): ServerDrill {
  const identifier = 'orders-prod-drill-20261120t100000z';
  return {
    restore: {
      restoreId: DRILL_ID,
      source: 'orders',
      planVersion: 1,
      executionArn: executionArnOf('drill-1'),
      startedAt: '2026-11-20T10:00:00.000Z',
      reason: null,
      kind: 'instance',
      sourceIdentifier: 'orders-prod',
      engine: 'postgres',
      engineVersion: '17.6',
      origin: {
        type: 'snapshot',
        snapshotId: 'holdfast-orders-20261120t020000z-k3v9qd',
        arn: 'arn:aws:rds:eu-west-1:123456789012:snapshot:holdfast-orders-20261120t020000z-k3v9qd',
        snapshotType: 'manual',
        createdAt: '2026-11-20T02:00:00.000Z',
        serverIdentifier: 'orders-prod',
        sizeGiB: 20,
      },
      target: {
        identifier,
        writer: null,
        settings: makeServerSettings({ securityGroups: ['sg-0a1b2c3d'] }),
      },
      warnings: [],
      cleanUp: 'always',
      timeoutSeconds: 86_400,
    },
    task: { heartbeatSeconds: 300, timeoutSeconds },
    newestDataAt: '2026-11-20T02:00:00.000Z',
  };
}
