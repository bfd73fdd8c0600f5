import * as z from 'zod';
import { DrillRecord } from '#contracts/drill.ts';
import type { MetricValues } from '#contracts/metrics.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import type { Inventory } from '#domain/backup-inventory.ts';
import { countsForSource } from '#domain/drill/whole-drill.ts';
import { backupAges, snapshotQuotaPercent, storedBytes } from '#domain/monitoring/heartbeat.ts';
import { planSchedules } from '#domain/monitoring/plan-schedules.ts';
import { drillsPrefix, parseBackupId, parseDrillRecordKey } from '#domain/names.ts';
import { monthlyBackupCostUsd } from '#domain/storage-cost.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { firstSeenAt } from './first-seen.ts';
import { knownExtent } from './known-extent.ts';
import { toTheEnd } from './to-the-end.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'metrics' | 'objects' | 'surroundings'>;

/** Drills that failed in a row, after which the last one that passed is too old anyway. One is some KB. */
const MOST_DRILLS_READ = 50;

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
      const extent = await knownExtent(deps, plan);
      const firstSeen = await firstSeenAt(deps, source, inventory);
      const now = deps.clock.now();
      const ages = backupAges(plan, { inventory, extent, firstSeen, now });
      for (const [database, age] of ages.databases) {
        deps.metrics.record({ source, database }, { BackupAge: age });
      }
      record({ BackupAge: ages.source });
    },
    drillAge: async () => {
      const since =
        (await lastDrillPassedAt(deps, source)) ?? (await firstSeenAt(deps, source, inventory));
      record({ DrillAge: Math.max(0, (deps.clock.now().getTime() - since.getTime()) / 1000) });
    },
    storage: async () => {
      const dollars = monthlyBackupCostUsd(inventory, deps.surroundings.region);
      record({ ...storedBytes(inventory), MonthlyCost: dollars });
    },
    schedules: async () => {
      const enabled = await schedulesEnabled(deps, plan);
      if (enabled !== undefined) record({ ScheduleEnabled: enabled ? 1 : 0 });
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

/**
 * Whether every schedule that the plan wants is there and enabled. One that is not is enough for a no, and is told of in
 * the log; undefined: the plan wants none, or one could not be asked about and the other is well.
 */
async function schedulesEnabled(
  { log, surroundings }: Needs,
  plan: SourcePlan,
): Promise<boolean | undefined> {
  const { source } = plan;
  const states: (boolean | undefined)[] = [];
  for (const { starts, name: schedule } of planSchedules(plan)) {
    const answer = await surroundings.schedule(schedule);
    states.push(answer.known ? answer.fact?.enabled === true : undefined);
    if (!answer.known) {
      log.warn(LOG.metricUnknown, { source, schedule, ...answer });
    } else if (!answer.fact?.enabled) {
      const found = answer.fact ? 'disabled' : 'gone';
      log.warn(LOG.scheduleOff, { source, starts, schedule, found });
    }
  }
  if (states.includes(false)) return false;
  return states.length === 0 || states.includes(undefined) ? undefined : true;
}

/** What is asked of a record here; the rest may be of another version. */
const DrillOutcome = z.object({
  status: DrillRecord.shape.status,
  endedAt: DrillRecord.shape.endedAt,
  drill: z.object({ part: z.literal(true).optional() }).optional(),
  databases: z
    .array(
      z.object({
        report: z.object({ tablesLeftOut: z.number().optional() }).nullable().optional(),
      }),
    )
    .optional(),
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
    if (outcome && countsForSource(outcome)) return new Date(outcome.endedAt);
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
