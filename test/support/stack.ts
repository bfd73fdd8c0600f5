import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { DrillRecord } from '#contracts/drill.ts';
import { RestoreRecord } from '#contracts/restore.ts';
import { RunSummary } from '#contracts/run-summary.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import { drillRecordKey, makeBackupId, parseBackupKey, runSummaryKey } from '#domain/names.ts';
import { dataOfServer } from '#local/cluster-snapshots.ts';
import type { ExecutionView } from '#local/control-plane/step-functions.ts';
import { type PostgresMajor, type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import {
  fillSampleDatabase,
  type SampleSummary,
} from '#local/sample-database/fill-sample-database.ts';
import { LOCAL, type Stack, type StackOptions, startStack } from '#local/stack.ts';
import { ensurePostgresClients } from '../../scripts/postgres-clients.ts';
import type { Changes } from './fakes/builders.ts';
import { sharedBundles } from './shared-build.ts';

export const SECRET_ID = 'holdfast/test/orders';
export const RESTORE_SECRET_ID = 'holdfast/test/orders-restore';

/** A real server with the sample in it (small), and the whole deployment beside it. */
export interface Pipeline {
  readonly server: PostgresServer;
  readonly sample: SampleSummary;
  readonly stack: Stack;
  /** Everything that the stack writes is below it: objects, alerts, logs. */
  readonly directory: string;
  /** The plan of source `orders`, which the stack has. */
  readonly plan: SourcePlan;
  /** Stores another version of the plan; runs that start from now on use it. */
  changePlan(changes: Changes<SourcePlan>): SourcePlan;
  /** Runs `{"source":"orders", …}` to its end. */
  run(input?: Record<string, unknown>): Promise<RunOutcome>;
  /** Restores `{"source":"orders","database":"shop", …}` to the end. */
  restore(input?: Record<string, unknown>): Promise<RestoreOutcome>;
  /** Drills `{"source":"orders", …}` to the end. */
  drill(input?: Record<string, unknown>): Promise<DrillOutcome>;
}

export interface DrillOutcome {
  readonly execution: ExecutionView;
  /** Undefined when the drill failed before it was planned. */
  readonly record: DrillRecord | undefined;
  /** Alerts that were sent meanwhile. */
  readonly alerts: Stack['plane']['sns']['messages'];
}

export interface RestoreOutcome {
  readonly execution: ExecutionView;
  /** Undefined when the restore failed before it was planned. */
  readonly record: RestoreRecord | undefined;
  /** Alerts that were sent meanwhile. */
  readonly alerts: Stack['plane']['sns']['messages'];
}

export interface RunOutcome {
  readonly execution: ExecutionView;
  /** Undefined when the run failed before it was planned. */
  readonly summary: RunSummary | undefined;
  /** Alerts that were sent during the run. */
  readonly alerts: Stack['plane']['sns']['messages'];
}

export interface PipelineOptions {
  readonly major?: PostgresMajor;
  /** Of the big tables; default 0.02 (about 6,500 rows). */
  readonly scale?: number;
  readonly plan?: Changes<SourcePlan>;
  readonly stack?: Partial<StackOptions>;
}

/**
 * Starts the pipeline once for a test file. Only `shop` is backed up and no snapshot is taken unless the
 * plan says so: most tests are about one thing.
 */
export function usePipeline(options: PipelineOptions = {}): () => Pipeline {
  let pipeline: Pipeline | undefined;
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-test-'));
    pipeline = await startPipeline(directory, options);
  });
  afterAll(async () => {
    await pipeline?.stack.close();
    await pipeline?.server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  return () => {
    if (!pipeline) throw new Error('the pipeline has not started');
    return pipeline;
  };
}

async function startPipeline(directory: string, options: PipelineOptions): Promise<Pipeline> {
  const [clients, bundles] = await Promise.all([
    ensurePostgresClients({ log: () => {} }),
    sharedBundles(),
  ]);
  const server = await startPostgres(options.major === undefined ? {} : { major: options.major });
  const sample = await fillSampleDatabase({ connection: server, scale: options.scale ?? 0.02 });
  let plan = makePipelinePlan(server, sample, options.plan);
  const stack = await startStack({
    directory: join(directory, 'out'),
    bundles,
    clientsDirectory: clients.directory,
    plans: [plan],
    secrets: {
      [SECRET_ID]: { username: sample.backup.user, password: sample.backup.password },
      [RESTORE_SECRET_ID]: { username: server.user, password: server.password },
    },
    ...options.stack,
  });
  stack.plane.rds.registerInstance({
    identifier: 'orders-db',
    engineVersion: `${server.major}`,
    host: server.host,
    port: server.port,
    ...dataOfServer(server),
  });
  return {
    server,
    sample,
    stack,
    directory: join(directory, 'out'),
    get plan() {
      return plan;
    },
    changePlan(changes) {
      plan = makePipelinePlan(server, sample, merge(options.plan ?? {}, changes));
      stack.plane.ssm.putParameter(`${LOCAL.planPrefix}orders`, JSON.stringify(plan));
      return plan;
    },
    async run(input = {}) {
      const before = stack.plane.sns.messages.length;
      const execution = await stack.backUp({ source: 'orders', ...input });
      const file = join(directory, 'out/s3', LOCAL.bucket, runSummaryKey('orders', execution.name));
      const summary = existsSync(file)
        ? RunSummary.parse(JSON.parse(await readFile(file, 'utf8')))
        : undefined;
      return { execution, summary, alerts: stack.plane.sns.messages.slice(before) };
    },
    async restore(input = {}) {
      const before = stack.plane.sns.messages.length;
      const execution = await stack.restore({ source: 'orders', database: 'shop', ...input });
      const record = await readRestoreRecord(stack, execution);
      return { execution, record, alerts: stack.plane.sns.messages.slice(before) };
    },
    async drill(input = {}) {
      const before = stack.plane.sns.messages.length;
      const execution = await stack.drill({ source: 'orders', ...input });
      const record = await readDrillRecord(stack, execution);
      return { execution, record, alerts: stack.plane.sns.messages.slice(before) };
    },
  };
}

async function readDrillRecord(
  { objects }: Stack,
  { startDate, executionArn }: ExecutionView,
): Promise<DrillRecord | undefined> {
  const drillId = makeBackupId(startDate, executionArn);
  const found = await objects.get(drillRecordKey({ source: 'orders', drillId }));
  return found && DrillRecord.parse(JSON.parse(String(found.body)));
}

async function readRestoreRecord(
  { objects }: Stack,
  { executionArn }: ExecutionView,
): Promise<RestoreRecord | undefined> {
  for await (const { key } of objects.list('restores/')) {
    if (!key.endsWith('/restore.json')) continue;
    const found = await objects.get(key);
    const record = RestoreRecord.parse(JSON.parse(String(found?.body)));
    if (record.restore.executionArn === executionArn) return record;
  }
  return undefined;
}

function makePipelinePlan(
  server: PostgresServer,
  sample: SampleSummary,
  changes: Changes<SourcePlan> = {},
): SourcePlan {
  return SourcePlan.parse(
    merge(
      {
        source: 'orders',
        engine: { type: 'rds-instance', identifier: 'orders-db' },
        connection: {
          host: server.host,
          port: server.port,
          user: sample.backup.user,
          auth: { type: 'secret', secretId: SECRET_ID },
          tls: { mode: 'disable' },
        },
        databases: ['shop'],
        kinds: ['logical'],
        snapshot: { pollSeconds: 1 },
        restore: { auth: { type: 'secret', secretId: RESTORE_SECRET_ID } },
      },
      changes,
    ),
  );
}

function merge<T>(base: T, changes: unknown): T {
  if (!isPlain(base) || !isPlain(changes)) return (changes === undefined ? base : changes) as T;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(changes)) merged[key] = merge(merged[key], value);
  return merged as T;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** What lies in the bucket, by backup: the files of each folder under `backups/`. */
export async function listBackups({ stack }: Pipeline): Promise<Map<string, Set<string>>> {
  const backups = new Map<string, Set<string>>();
  for await (const { key } of stack.objects.list('backups/')) {
    const parsed = parseBackupKey(key);
    if (!parsed) throw new Error(`a foreign key lies among the backups: ${key}`);
    const files = backups.get(parsed.backupId) ?? new Set();
    backups.set(parsed.backupId, files.add(parsed.file));
  }
  return backups;
}

/** Keys of uploads that were neither completed nor aborted. */
export async function listOpenUploads({ stack }: Pipeline): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of stack.objects.uploads('')) keys.push(key);
  return keys;
}
