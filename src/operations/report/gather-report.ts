import type * as z from 'zod';
import { DrillRecord } from '#contracts/drill.ts';
import { Manifest } from '#contracts/manifest.ts';
import { RetentionPlanRecord } from '#contracts/retention-plan.ts';
import { RunLock } from '#contracts/run-lock.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import { SourceExtent } from '#contracts/source-extent.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { Quarantine, Verification } from '#contracts/verification.ts';
import { type Inventory, type InventoryObject, takeInventory } from '#domain/backup-inventory.ts';
import {
  backupKey,
  parseDrillRecordKey,
  runLockKey,
  SOURCE_NAME,
  sourceExtentKey,
} from '#domain/names.ts';
import { largestTables } from '#domain/report/largest-tables.ts';
import { SHOWN, shownDatabases } from '#domain/report/report-model.ts';
import {
  maySpeak,
  type NewestBackup,
  type ReportRecords,
  type SourceRecords,
  type UnreadableRecord,
  type UntoldRun,
} from '#domain/report/report-records.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from '../records.ts';

export interface GatherNeeds {
  readonly clock: Pick<Deps['clock'], 'now'>;
  readonly objects: Pick<Deps['objects'], 'bucket' | 'get' | 'head' | 'list'>;
  readonly plans: Pick<Deps['plans'], 'list'>;
  readonly surroundings: Pick<Deps['surroundings'], 'region' | 'schedule'>;
  readonly workflow: Pick<Deps['workflow'], 'executionStatus'>;
}

/** Of each source; what is older is in the bucket. Enough for two months of daily runs, two years of drills. */
const RUNS_READ = 60;
const DRILLS_READ = 24;

/** DescribeExecution is eventually consistent: an execution this young may not be known yet. */
const SETTLED_MILLISECONDS = 5 * 60_000;

/** Records read at the same time. */
const READERS = 16;

/**
 * Reads what a report is made of. Three listings, and of each source at most 60 runs, 24 drills, one retention
 * plan, one lock, one extent, and three records of each database that the page will show; and asks for its schedule, and
 * how a run ended that did not tell. A record that is missing, malformed or cannot be read becomes a line of the report;
 * a question that nobody answers stays open. Throws only when the bucket cannot be listed.
 */
export async function gatherReport(deps: GatherNeeds): Promise<ReportRecords> {
  const { objects } = deps;
  const unreadable: UnreadableRecord[] = [];
  const [plans, backups, runs, drills] = await Promise.all([
    loadPlans(deps),
    listBySource(objects, 'backups/'),
    listBySource(objects, 'runs/'),
    listBySource(objects, 'drills/'),
  ]);
  const names = new Set([
    ...plans.found.keys(),
    ...backups.keys(),
    ...runs.keys(),
    ...drills.keys(),
  ]);
  const now = deps.clock.now();
  const { problem: plansUnknown } = plans;
  const read = makeReader(objects, unreadable);
  const sources = await Promise.all(
    [...names].sort().map((source) =>
      readSource(deps, {
        source,
        of: { now, plansUnknown },
        plan: plans.found.get(source),
        inventory: takeInventory(source, backups.get(source) ?? []),
        runObjects: runs.get(source) ?? [],
        drillObjects: drills.get(source) ?? [],
        read,
      }),
    ),
  );
  unreadable.sort((a, b) => (a.key < b.key ? -1 : 1));
  const { region } = deps.surroundings;
  return { now, bucket: objects.bucket, region, sources, unreadable, plansUnknown };
}

/** By source. Without plans the records are still worth a report. */
async function loadPlans({
  plans,
}: GatherNeeds): Promise<{ found: Map<string, SourcePlan>; problem: string | undefined }> {
  const problems: string[] = [];
  const tell = (error: unknown) => problems.push(messageOf(error));
  const found = await plans.list(tell).catch((error: unknown) => {
    tell(error);
    return [];
  });
  const problem = problems.length === 0 ? undefined : problems.join('; ');
  return { found: new Map(found.map((plan) => [plan.source, plan])), problem };
}

/** The objects below a prefix by the source that their second part names. */
async function listBySource(
  objects: GatherNeeds['objects'],
  prefix: string,
): Promise<Map<string, InventoryObject[]>> {
  const bySource = new Map<string, InventoryObject[]>();
  for await (const object of objects.list(prefix)) {
    const source = object.key.split('/')[1] ?? '';
    if (!SOURCE_NAME.test(source)) continue;
    const known = bySource.get(source);
    if (known) known.push(object);
    else bySource.set(source, [object]);
  }
  return bySource;
}

type Read = <Schema extends z.ZodType>(
  source: string,
  key: string,
  schema: Schema,
) => Promise<z.infer<Schema> | undefined>;

/** Reads records, a few at a time; what cannot be read is noted and undefined. */
function makeReader(objects: GatherNeeds['objects'], unreadable: UnreadableRecord[]): Read {
  let free = READERS;
  const waiting: (() => void)[] = [];
  const enter = async () => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
  };
  const leave = () => {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  };
  return async (source, key, schema) => {
    await enter();
    try {
      const found = await objects.get(key);
      if (found) return parseRecord(schema, found.body, key);
      unreadable.push({ source, key, problem: 'it was listed, and is not there' });
    } catch (error) {
      unreadable.push({ source, key, problem: messageOf(error) });
    } finally {
      leave();
    }
    return undefined;
  };
}

interface SourceParts {
  readonly source: string;
  readonly of: Pick<ReportRecords, 'now' | 'plansUnknown'>;
  readonly plan: SourcePlan | undefined;
  readonly inventory: Inventory;
  readonly runObjects: readonly InventoryObject[];
  readonly drillObjects: readonly InventoryObject[];
  readonly read: Read;
}

async function readSource(deps: GatherNeeds, parts: SourceParts): Promise<SourceRecords> {
  const { source, plan, inventory, runObjects, drillObjects, read } = parts;
  const keys = new Set(runObjects.map(({ key }) => key));
  const summaries = newestFirst(
    runObjects.filter(({ key }) => key.endsWith('/summary.json') && key.split('/').length === 4),
  );
  const plans = newestFirst(runObjects.filter(({ key }) => key.endsWith('/retention.json')));
  const drillKeys = drillObjects
    .flatMap(({ key }) => {
      const ref = parseDrillRecordKey(key);
      return ref ? [{ key, drillId: ref.drillId }] : [];
    })
    .sort((a, b) => (a.drillId < b.drillId ? 1 : -1))
    .slice(0, DRILLS_READ);
  const [extent, runs, drills, retention, lock, schedule] = await Promise.all([
    keys.has(sourceExtentKey(source))
      ? read(source, sourceExtentKey(source), SourceExtent)
      : undefined,
    all(summaries.slice(0, RUNS_READ), ({ key }) => read(source, key, RunSummary)),
    all(drillKeys, ({ key }) => read(source, key, DrillRecord)),
    plans[0] && read(source, plans[0].key, RetentionPlanRecord),
    keys.has(runLockKey(source)) ? read(source, runLockKey(source), RunLock) : undefined,
    plan?.schedule && deps.surroundings.schedule(source),
  ]);
  const { untold, told } = await askUntold(deps, parts, lock);
  if (told) runs.push(told);
  const known: SourceRecords = {
    source,
    plan,
    inventory,
    extent,
    runs: runs.sort((a, b) => (a.endedAt < b.endedAt ? 1 : -1)),
    runCount: summaries.length,
    untold,
    schedule,
    newest: new Map(),
    quarantines: new Map(),
    retention,
    drills: drills.sort((a, b) => (a.endedAt < b.endedAt ? 1 : -1)),
  };
  return { ...known, ...(await readShown(known, parts)) };
}

/** What is read of the databases that the page shows. */
async function readShown(
  known: SourceRecords,
  { source, of, read }: SourceParts,
): Promise<Pick<SourceRecords, 'newest' | 'quarantines'>> {
  const databases = shownDatabases(known, of).map(
    (database) => [database, known.inventory.databases.get(database) ?? []] as const,
  );
  const [newest, quarantines] = await Promise.all([
    all(databases, async ([database, backups]) => {
      const backup = backups.find(({ state }) => state === 'verified');
      return backup && ([database, await readNewest(backup, read)] as const);
    }),
    all(databases, async ([database, [backup]]) => {
      if (backup?.state !== 'quarantined') return undefined;
      const record = await read(source, backupKey(backup, 'quarantine.json'), Quarantine);
      return record && ([database, record] as const);
    }),
  ]);
  return { newest: new Map(newest), quarantines: new Map(quarantines) };
}

/** The lock stays when a run ends; where its summary is not there, Step Functions knows whether it goes on. */
async function askUntold(
  { objects, workflow }: GatherNeeds,
  { source, of: { now }, runObjects, read }: SourceParts,
  lock: RunLock | undefined,
): Promise<{ untold?: UntoldRun; told?: RunSummary | undefined }> {
  if (!lock) return {};
  const { runId, executionArn, startedAt } = lock;
  // Of a lock that anybody may have written: not to be refused as a key of ours.
  const summaryKey = `runs/${source}/${runId}/summary.json`;
  if (runObjects.some(({ key }) => key === summaryKey)) return {};
  const isYoung = now.getTime() - Date.parse(startedAt) < SETTLED_MILLISECONDS;
  const status = await workflow.executionStatus(executionArn).then(
    (found) => found ?? (isYoung ? 'RUNNING' : null),
    () => undefined,
  );
  const untold = { runId, executionArn, startedAt, status };
  if (maySpeak(untold)) return { untold };
  // It may have ended since the listing.
  const found = await objects.head(summaryKey).catch(() => undefined);
  return found ? { told: await read(source, summaryKey, RunSummary) } : { untold };
}

async function readNewest(
  backup: Parameters<typeof backupKey>[0],
  read: Read,
): Promise<NewestBackup> {
  const { source, backupId } = backup;
  const [manifest, verification] = await Promise.all([
    read(source, backupKey(backup, 'manifest.json'), Manifest),
    read(source, backupKey(backup, 'verification.json'), Verification),
  ]);
  const counted = verification?.level === 'full' ? verification.tables : undefined;
  return {
    backupId,
    level: verification?.level ?? null,
    rows: counted ? counted.reduce((sum, { rows }) => sum + rows, 0) : null,
    databaseSizeBytes: manifest?.databaseSizeBytes ?? null,
    serverVersion: manifest?.server.version ?? null,
    tables: manifest ? largestTables(manifest, verification ?? null, SHOWN.tables) : [],
    tableCount: manifest?.archive.blocks.filter(({ kind }) => kind === 'table').length ?? 0,
    warnings: [...(verification?.warnings ?? [])],
  };
}

/** What the reader found, without what it did not. */
async function all<Item, Found>(
  items: readonly Item[],
  find: (item: Item) => Promise<Found | undefined>,
): Promise<Found[]> {
  const found = await Promise.all(items.map(find));
  return found.filter((it) => it !== undefined);
}

function newestFirst(objects: readonly InventoryObject[]): InventoryObject[] {
  return objects.toSorted((a, b) => b.lastModified.getTime() - a.lastModified.getTime());
}

/** What an error says, cut: a malformed record can be wrong in a thousand places. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 1000);
}
