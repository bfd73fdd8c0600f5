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
import { SHOWN } from '#domain/report/report-model.ts';
import type {
  NewestBackup,
  ReportRecords,
  SourceRecords,
  UnreadableRecord,
} from '#domain/report/report-records.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from '../records.ts';

export interface GatherNeeds {
  readonly clock: Pick<Deps['clock'], 'now'>;
  readonly objects: Pick<Deps['objects'], 'bucket' | 'get' | 'list'>;
  readonly plans: Pick<Deps['plans'], 'list'>;
}

/** Of each source; what is older is in the bucket. Enough for two months of daily runs, two years of drills. */
const RUNS_READ = 60;
const DRILLS_READ = 24;

/** Records read at the same time. */
const READERS = 16;

/**
 * Reads what a report is made of. Three listings, and of each source at most 60 runs, 24 drills, one retention
 * plan, one lock, one extent, and three records of each of 24 databases. A record that is missing, malformed or cannot be
 * read becomes a line of the report. Throws only when the bucket cannot be listed.
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
  const read = makeReader(objects, unreadable);
  const sources = await Promise.all(
    [...names].sort().map((source) =>
      readSource({
        source,
        plan: plans.found.get(source),
        inventory: takeInventory(source, backups.get(source) ?? []),
        runObjects: runs.get(source) ?? [],
        drillObjects: drills.get(source) ?? [],
        read,
      }),
    ),
  );
  unreadable.sort((a, b) => (a.key < b.key ? -1 : 1));
  const { problem: plansUnknown } = plans;
  return { now: deps.clock.now(), bucket: objects.bucket, sources, unreadable, plansUnknown };
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

async function readSource({
  source,
  plan,
  inventory,
  runObjects,
  drillObjects,
  read,
}: {
  source: string;
  plan: SourcePlan | undefined;
  inventory: Inventory;
  runObjects: readonly InventoryObject[];
  drillObjects: readonly InventoryObject[];
  read: Read;
}): Promise<SourceRecords> {
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
  const databases = [...inventory.databases]
    .sort(([, a], [, b]) => bytesOf(b) - bytesOf(a))
    .slice(0, SHOWN.databases);
  const [extent, runs, drills, retention, running, newest, quarantines] = await Promise.all([
    keys.has(sourceExtentKey(source))
      ? read(source, sourceExtentKey(source), SourceExtent)
      : undefined,
    all(summaries.slice(0, RUNS_READ), ({ key }) => read(source, key, RunSummary)),
    all(drillKeys, ({ key }) => read(source, key, DrillRecord)),
    plans[0] && read(source, plans[0].key, RetentionPlanRecord),
    keys.has(runLockKey(source)) ? readRunning(source, keys, read) : Promise.resolve(undefined),
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
  return {
    source,
    plan,
    inventory,
    extent,
    runs: runs.sort((a, b) => (a.endedAt < b.endedAt ? 1 : -1)),
    runCount: summaries.length,
    running,
    newest: new Map(newest),
    quarantines: new Map(quarantines),
    retention,
    drills: drills.sort((a, b) => (a.endedAt < b.endedAt ? 1 : -1)),
  };
}

/** The lock stays when a run ends: it is going on while its summary is not there. */
async function readRunning(
  source: string,
  keys: ReadonlySet<string>,
  read: Read,
): Promise<RunLock | undefined> {
  const lock = await read(source, runLockKey(source), RunLock);
  if (!lock) return undefined;
  const folder = `runs/${source}/${lock.runId}/`;
  return keys.has(`${folder}summary.json`) ? undefined : lock;
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

function bytesOf(backups: readonly { readonly sizeBytes: number }[]): number {
  return backups.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

/** What an error says, cut: a malformed record can be wrong in a thousand places. */
function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 1000);
}
