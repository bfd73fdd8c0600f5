import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '#adapters/clock.ts';
import { makeObjects } from '#adapters/objects.ts';
import { DumpJob } from '#contracts/job.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import {
  type BackupRef,
  backupPrefix,
  jobKey,
  makeBackupId,
  makeExecutionName,
} from '#domain/names.ts';
import { type ControlPlane, startControlPlane } from '#local/control-plane/control-plane.ts';
import { type PostgresServer, startPostgres } from '#local/postgres-server.ts';
import type { Objects } from '#runtime/ports.ts';
import { ensurePostgresClients } from '../scripts/postgres-clients.ts';
import { type DataSet, fillDatabase, type SmallTable } from './data-sets.ts';

const BUCKET = 'holdfast-bench';
const SOURCE = 'bench';
const SECRET = 'holdfast/bench';
const RESTORE_SECRET = 'holdfast/bench-restore';

/** A real server with data, the local AWS, and the programs: what every contender works with. */
export interface Workbench {
  readonly server: PostgresServer;
  /** What is backed up. */
  readonly database: string;
  /** A small table of it, without what it would need first but its schema. */
  readonly smallTable: SmallTable;
  readonly plan: SourcePlan;
  readonly storePid: number;
  readonly serverVersion: string;
  readonly clientMajor: number;
  /** Of tables with their TOAST, without indexes. */
  readonly tableBytes: number;
  readonly bucket: string;
  readonly objects: Objects;
  /** For dumps on disk; emptied by whoever fills it. */
  readonly scratchDirectory: string;
  /** Where tasks run, and their TMPDIR: whatever they leave there is a file too many. */
  readonly taskDirectory: string;
  client(name: 'pg_dump' | 'pg_restore'): string;
  /** For clients: where the server is, the role that makes backups and its password. */
  readonly clientEnvironment: Readonly<Record<string, string>>;
  /** The same for the role that restores, without a database. */
  readonly restoreEnvironment: Readonly<Record<string, string>>;
  /** For programs that use the SDK. */
  readonly awsEnvironment: Readonly<Record<string, string>>;
  /** Writes the order for one dump, with a token that somebody waits on. */
  orderBackup(estimatedBytes?: number): Promise<Order>;
  /** Somebody waits on it. */
  nextToken(): Promise<{ taskToken: string; executionArn: string }>;
  /** For a task with the order under this key. */
  taskEnvironment(orderKey: string): Readonly<Record<string, string>>;
  /** The plain file in which the store keeps an object. */
  pathOf(key: string): string;
  removeObjects(prefix: string): Promise<void>;
  close(): Promise<void>;
}

export interface Order extends BackupRef {
  readonly prefix: string;
  /** For the task. */
  readonly environment: Readonly<Record<string, string>>;
}

export async function openWorkbench(options: {
  readonly data: DataSet;
  readonly sizeGigabytes: number;
  readonly log: (line: string) => void;
}): Promise<Workbench> {
  const { data, sizeGigabytes, log } = options;
  const closers: (() => Promise<unknown> | undefined)[] = [];
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer();
  };
  try {
    const directory = await mkdtemp(path.join(tmpdir(), 'holdfast-bench-'));
    closers.push(() => rm(directory, { recursive: true, force: true }));
    const folder = async (name: string) => {
      const made = path.join(directory, name);
      await mkdir(made);
      return made;
    };
    const storeDirectory = await folder('store');
    const scratchDirectory = await folder('scratch');
    const taskDirectory = await folder('task');

    const clients = await ensurePostgresClients({ log });
    const clientMajor = clients.majors.at(-1);
    if (clientMajor === undefined) throw new Error('there are no PostgreSQL clients to measure');
    // Background work of the server would disturb whoever happens to be measured.
    const server = await startPostgres({
      settings: { autovacuum: 'off', shared_buffers: '512MB' },
    });
    closers.push(() => server.stop('immediate'));
    log(`filling ${sizeGigabytes} GB of ${data} into PostgreSQL ${server.major}`);
    const filled = await fillDatabase(server, data, sizeGigabytes);
    const { database, backup } = filled;

    const store = await startStore(storeDirectory);
    closers.push(() => store.stop());
    const controlPlane = await startControlPlane({ workDirectory: await folder('aws') });
    closers.push(() => controlPlane.close());
    controlPlane.secrets.setSecret(SECRET, { username: backup.user, password: backup.password });
    controlPlane.secrets.setSecret(RESTORE_SECRET, {
      username: server.user,
      password: server.password,
    });
    const tokens = tokenSource(controlPlane);
    const awsEnvironment = {
      ...controlPlane.environment,
      AWS_ENDPOINT_URL_S3: store.endpoint,
      TMPDIR: taskDirectory,
    };
    const objects = makeObjects({
      client: s3Client(awsEnvironment),
      bucket: BUCKET,
      clock: systemClock,
    });
    const plan = SourcePlan.parse({
      source: SOURCE,
      engine: { type: 'postgres' },
      connection: {
        host: server.host,
        port: server.port,
        auth: { type: 'secret', secretId: SECRET },
        tls: { mode: 'disable' },
      },
      restore: { auth: { type: 'secret', secretId: RESTORE_SECRET } },
    });
    const taskEnvironment = (orderKey: string) => ({
      ...awsEnvironment,
      HOLDFAST_BUCKET: BUCKET,
      HOLDFAST_JOB_KEY: orderKey,
      HOLDFAST_POSTGRES_CLIENTS: clients.directory,
    });
    const whereServer = {
      PGHOST: server.host,
      PGPORT: String(server.port),
      PGSSLMODE: 'disable',
    };
    return {
      server,
      database,
      smallTable: filled.smallTable,
      plan,
      storePid: store.pid,
      serverVersion: filled.serverVersion,
      clientMajor,
      tableBytes: filled.tableBytes,
      bucket: BUCKET,
      objects,
      scratchDirectory,
      taskDirectory,
      client: (name) => path.join(clients.directory, String(clientMajor), 'bin', name),
      clientEnvironment: {
        ...whereServer,
        PGUSER: backup.user,
        PGPASSWORD: backup.password,
        PGDATABASE: database,
      },
      restoreEnvironment: { ...whereServer, PGUSER: server.user, PGPASSWORD: server.password },
      awsEnvironment,
      async orderBackup(estimatedBytes = filled.databaseBytes) {
        const { taskToken, executionArn } = await tokens.next();
        const now = new Date();
        const backupId = makeBackupId(now, taskToken);
        const ref = { source: SOURCE, database, backupId };
        const job = DumpJob.parse({
          version: 1,
          ...ref,
          runId: makeExecutionName(SOURCE, now, taskToken),
          executionArn,
          taskToken,
          createdAt: now.toISOString(),
          connection: plan.connection,
          serverVersion: filled.serverVersionNumber,
          estimatedBytes,
          dump: plan.dump,
          verification: plan.verification,
          task: plan.task,
        });
        await objects.put(jobKey(ref), JSON.stringify(job));
        return { ...ref, prefix: backupPrefix(ref), environment: taskEnvironment(jobKey(ref)) };
      },
      nextToken: () => tokens.next(),
      taskEnvironment,
      pathOf: (key) => path.join(storeDirectory, BUCKET, key),
      async removeObjects(prefix) {
        const keys: string[] = [];
        for await (const { key } of objects.list(prefix)) keys.push(key);
        await objects.delete(keys);
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startStore(directory: string) {
  const program = path.join(import.meta.dirname, 'object-store-process.ts');
  const child: ChildProcess = spawn(process.execPath, [program, directory, BUCKET], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  const [endpoint] = (await Promise.race([
    once(createInterface({ input: child.stdout as Readable }), 'line'),
    ended.then(() => Promise.reject(new Error('the object store did not start'))),
  ])) as [string];
  const stop = async () => {
    child.stdin?.end();
    await ended;
  };
  return { endpoint, pid: child.pid ?? 0, stop };
}

/** For our own preparations; the measured programs make their own from the environment. */
function s3Client(environment: Readonly<Record<string, string>>): S3Client {
  return new S3Client({
    endpoint: environment['AWS_ENDPOINT_URL_S3'] ?? '',
    region: environment['AWS_REGION'] ?? '',
    credentials: {
      accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  });
}

/** Executions of one waiting state, as the real workflow has it: each gives one open task token. */
function tokenSource({ stepFunctions }: ControlPlane) {
  let handOver: (token: string) => void = () => undefined;
  const machine = stepFunctions.registerStateMachine({
    name: 'bench',
    definition: {
      StartAt: 'Wait For Task',
      States: {
        'Wait For Task': {
          Type: 'Task',
          Resource: 'arn:aws:states:::lambda:invoke.waitForTaskToken',
          Parameters: {
            FunctionName: 'task',
            Payload: { 'taskToken.$': '$$.Task.Token' },
          },
          TimeoutSeconds: 86_400,
          HeartbeatSeconds: 3600,
          End: true,
        },
      },
    },
    handlers: {
      'Wait For Task': async (payload) => handOver((payload as { taskToken: string }).taskToken),
    },
  });
  return {
    async next(): Promise<{ taskToken: string; executionArn: string }> {
      const { promise, resolve } = Promise.withResolvers<string>();
      handOver = resolve;
      const executionArn = stepFunctions.startExecution(machine, {});
      return { taskToken: await promise, executionArn };
    },
  };
}

/** Empties a folder and answers what was in it. */
export async function emptyFolder(directory: string): Promise<string[]> {
  const names = await readdir(directory);
  for (const name of names) await rm(path.join(directory, name), { recursive: true });
  return names;
}
