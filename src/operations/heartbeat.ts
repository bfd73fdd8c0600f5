import * as z from 'zod';
import { DrillRecord } from '#contracts/drill.ts';
import type { MetricValues } from '#contracts/metrics.ts';
import { SourceExtent } from '#contracts/source-extent.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import type { Inventory } from '#domain/backup-inventory.ts';
import { backupAges, snapshotQuotaPercent, storedBytes } from '#domain/monitoring/heartbeat.ts';
import {
  alertMarkerKey,
  drillsPrefix,
  parseBackupId,
  parseDrillRecordKey,
  sourceExtentKey,
} from '#domain/names.ts';
import { monthlyStorageCostUsd } from '#domain/storage-cost.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from './records.ts';
import { toTheEnd } from './to-the-end.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'metrics' | 'objects' | 'surroundings'>;

/** Drills that failed in a row, after which the last one that passed is too old anyway. One is some KB. */
const MOST_DRILLS_READ = 50;
/** The bucket's lifecycle may expire alerts; written again this often, the mark outlives it. */
const MARK_AGAIN_AFTER_MILLISECONDS = 20 * 86_400_000;

/**
 * What one source is like now, as the records in S3 have it: whatever the workflow does or does not. Each metric is
 * recorded by itself: what cannot be asked keeps nothing else back. Throws the first error at the end; a question
 * that AWS does not answer is none, and its metric is missing.
 */
export async function recordHeartbeat(
  deps: Needs,
  plan: SourcePlan,
  inventory: Inventory,
): Promise<void> {
  const { source } = plan;
  const record = (values: MetricValues) => deps.metrics.record({ source }, values);
  const readings: Record<string, () => Promise<void>> = {
    backupAge: async () => {
      const extent = await readExtent(deps, source);
      const firstSeen = await firstSeenAt(deps, source);
      const now = deps.clock.now();
      const ages = backupAges(plan, { inventory, extent, firstSeen, now });
      for (const [database, age] of ages.databases) {
        deps.metrics.record({ source, database }, { BackupAge: age });
      }
      record({ BackupAge: ages.source });
    },
    drillAge: async () => {
      const since = (await lastDrillPassedAt(deps, source)) ?? (await firstSeenAt(deps, source));
      record({ DrillAge: Math.max(0, (deps.clock.now().getTime() - since.getTime()) / 1000) });
    },
    storage: async () => {
      const objects = [...inventory.databases.values()]
        .flat()
        .flatMap(({ files }) => [...files.values()]);
      const dollars = monthlyStorageCostUsd(objects, deps.surroundings.region);
      record({ ...storedBytes(inventory), MonthlyCost: dollars });
    },
    schedule: async () => {
      if (!plan.schedule) return;
      const answer = await deps.surroundings.schedule(source);
      if (answer.known) record({ ScheduleEnabled: answer.fact?.enabled ? 1 : 0 });
      else deps.log.warn(LOG.metricUnknown, { source, ...answer });
    },
    snapshotQuota: async () => {
      if (!defaultKinds(plan).includes('snapshot')) return;
      const answer = await deps.surroundings.snapshotQuotas();
      const percent = answer.known ? snapshotQuotaPercent(plan, answer.fact) : undefined;
      if (percent !== undefined) record({ SnapshotQuotaUsed: percent });
      else deps.log.warn(LOG.metricUnknown, { source, ...(answer.known ? {} : answer) });
    },
  };
  await toTheEnd(Object.values(readings), (read) => read());
}

async function readExtent(
  { objects }: Pick<Deps, 'objects'>,
  source: string,
): Promise<SourceExtent | undefined> {
  const key = sourceExtentKey(source);
  const found = await objects.get(key);
  return found && parseRecord(SourceExtent, found.body, key);
}

const SourceSeen = z.object({ since: z.iso.datetime() });

/** When this deployment first knew the source; noted here when it is new. */
async function firstSeenAt(
  { clock, objects }: Pick<Deps, 'clock' | 'objects'>,
  source: string,
): Promise<Date> {
  const key = alertMarkerKey(source, 'first-seen');
  const found = await objects.get(key);
  const now = clock.now();
  const since = found ? new Date(parseRecord(SourceSeen, found.body, key).since) : now;
  const age = found && now.getTime() - found.head.lastModified.getTime();
  if (age === undefined || age > MARK_AGAIN_AFTER_MILLISECONDS) {
    await objects.put(key, JSON.stringify({ since: since.toISOString() }));
  }
  return since;
}

/** What is asked of a record here; the rest may be of another version. */
const DrillOutcome = z.object({
  status: DrillRecord.shape.status,
  endedAt: DrillRecord.shape.endedAt,
  drill: z.object({ part: z.literal(true).optional() }).optional(),
});

/** When the last drill of the whole source that passed ended; undefined: none did, of the last ones. */
async function lastDrillPassedAt(
  { objects }: Pick<Deps, 'objects'>,
  source: string,
): Promise<Date | undefined> {
  const drills = [];
  for await (const { key } of objects.list(drillsPrefix(source))) {
    const drill = parseDrillRecordKey(key);
    if (drill && parseBackupId(drill.drillId)) drills.push({ key, drillId: drill.drillId });
  }
  // Ids begin with the time.
  drills.sort((a, b) => (a.drillId < b.drillId ? 1 : -1));
  for (const { key } of drills.slice(0, MOST_DRILLS_READ)) {
    const found = await objects.get(key);
    const outcome = found && DrillOutcome.safeParse(parseJson(found.body)).data;
    if (outcome?.status === 'PASSED' && !outcome.drill?.part) return new Date(outcome.endedAt);
  }
  return undefined;
}

/** Undefined where it is none: one broken record must not hide the drills before it. */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
