import { makeClients } from '#adapters/clients.ts';
import { systemClock } from '#adapters/clock.ts';
import type { DrillOrder, DrillReport } from '#contracts/drill.ts';
import type { PlannedRestore, Selection } from '#contracts/restore.ts';
import { DrillRules } from '#contracts/source-plan.ts';
import { type BackupRef, backupKey, makeBackupId } from '#domain/names.ts';
import { rehearseArchive } from '#operations/drill/rehearse-archive.ts';
import type { Deps, Objects } from '#runtime/ports.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';
import { makeThrowawayPlace, type ThrowawayPlace } from './throwaway-place.ts';

export type DrillNeeds = Pick<Deps, 'clock' | 'log' | 'objects' | 'clients' | 'throwawayServers'>;

/** Where drills of a test file run, as in a task: programs, a directory for data, and the bucket. */
export interface DrillPlace extends ThrowawayPlace {
  readonly deps: DrillNeeds;
}

export async function makeDrillPlace(objects: Objects): Promise<DrillPlace> {
  const [place, clients] = await Promise.all([
    makeThrowawayPlace(),
    ensurePostgresClients({ log: () => {} }),
  ]);
  return {
    ...place,
    deps: {
      clock: systemClock,
      log: { info: () => {}, warn: () => {}, error: () => {} },
      objects,
      clients: makeClients(clients.directory),
      throwawayServers: place.servers,
    },
  };
}

/** The order of a drill of one backup, as Drill Database writes it. */
export async function makeDrillOrder(
  objects: Objects,
  backup: BackupRef,
  {
    selection = {},
    ...changes
  }: Partial<Pick<DrillOrder, 'smokeQueries' | 'checks'>> & {
    selection?: Partial<Selection>;
  } = {},
): Promise<DrillOrder & { subject: { type: 'archive'; restore: PlannedRestore } }> {
  const rules = DrillRules.parse({});
  const now = new Date();
  const drillId = makeBackupId(now, 'a drill of a test');
  const key = backupKey(backup, 'archive.dump');
  const head = await objects.head(key);
  const { source, database, backupId } = backup;
  const common = {
    source,
    executionArn: 'arn:aws:states:eu-west-1:123456789012:execution:holdfast-local-drill:one',
    startedAt: now.toISOString(),
    reason: null,
  };
  return {
    version: 1,
    drill: {
      ...common,
      drillId,
      planVersion: 1,
      trigger: 'manual',
      kind: 'archive',
      targets: { rtoSeconds: 14_400, rpoSeconds: 86_400 },
      notes: [],
    },
    subject: {
      type: 'archive',
      restore: {
        ...common,
        restoreId: drillId,
        backup: { database, backupId },
        trust: 'verified',
        archive: {
          key,
          sizeBytes: head?.sizeBytes ?? 0,
          ...(head?.versionId === undefined ? {} : { versionId: head.versionId }),
        },
        target: { source, planVersion: 1, database, mode: 'new', swapWith: null },
        selection: { without: [], withDependencies: false, ...selection },
        roles: { createMissing: true, noOwner: false },
        jobs: 2,
        keepOnFailure: false,
      },
    },
    taskToken: 'token',
    createdAt: now.toISOString(),
    begunAt: now.toISOString(),
    heartbeatSeconds: 300,
    checks: rules.checks,
    smokeQueries: rules.smokeQueries,
    task: rules.task,
    network: { subnets: ['subnet-1'], securityGroups: ['sg-1'], assignPublicIp: false },
    ...changes,
  };
}

/** Rehearses as the task does. */
export async function rehearse(
  deps: DrillNeeds,
  order: Awaited<ReturnType<typeof makeDrillOrder>>,
  signal: AbortSignal = new AbortController().signal,
): Promise<DrillReport> {
  const { restore } = order.subject;
  return rehearseArchive(deps, { order, restore, signal, progressSeconds: 30 });
}
