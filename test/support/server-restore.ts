import { readFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateDBClusterSnapshotCommand,
  CreateDBSnapshotCommand,
  RDSClient,
  type Tag,
} from '@aws-sdk/client-rds';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { afterAll, beforeAll } from 'vitest';
import type * as z from 'zod';
import { makeDatabases } from '#adapters/databases.ts';
import { makeSecrets } from '#adapters/secrets.ts';
import { makeServers as makeRealServers } from '#adapters/servers.ts';
import {
  CheckRestoredServerEvent,
  CleanUpServerEvent,
  NotifyServerRestoreEvent,
  PlanServerRestoreEvent,
  ServerRestoreEvent,
  ServerRestoreRecord,
} from '#contracts/restore-server.ts';
import { SourcePlan } from '#contracts/source-plan.ts';
import { checkRestoredServer } from '#functions/check-restored-server.ts';
import { cleanUpServer } from '#functions/clean-up-server.ts';
import { inspectRestoredServer } from '#functions/inspect-restored-server.ts';
import { notifyServerRestore } from '#functions/notify-server-restore.ts';
import { planServerRestore } from '#functions/plan-server-restore.ts';
import { restoreServer } from '#functions/restore-server.ts';
import { dataOfServer } from '#local/cluster-snapshots.ts';
import { type ControlPlane, startControlPlane } from '#local/control-plane/control-plane.ts';
import type { ServerData } from '#local/control-plane/rds-model.ts';
import type { ExecutionView } from '#local/control-plane/step-functions.ts';
import type { Handle } from '#runtime/handler.ts';
import type { Deps } from '#runtime/ports.ts';
import type { StateMachine } from '../../scripts/check-state-machine.ts';
import { type FakeDeps, makeDeps, makePlans } from './fakes.ts';
import { type SharedPostgres, withClient } from './postgres.ts';

const SECRET = 'holdfast/orders';
/** The role that backs up, and then looks into what was restored. */
const ROLE = { username: 'holdfast_backup', password: 'the password of today' };

/** A call of the RDS API, as the SDK made it. */
export interface RdsCall {
  readonly operation: string;
  readonly input: Readonly<Record<string, unknown>>;
}

export interface ServerRestoreRun {
  readonly execution: ExecutionView;
  readonly record: ServerRestoreRecord | undefined;
  readonly alerts: FakeDeps['alerts']['sent'];
  /** Those of this run. */
  readonly calls: readonly RdsCall[];
}

/** The state machine as it is deployed, its functions in this process, the real adapters, a local RDS. */
export interface ServerRestores {
  readonly plane: ControlPlane;
  readonly deps: FakeDeps;
  /** Where the local RDS keeps snapshots and servers. */
  readonly directory: string;
  run(input: unknown): Promise<ServerRestoreRun>;
  /** Takes a snapshot of the server under the identifier, and waits until it is available. */
  takeSnapshot(
    kind: 'instance' | 'cluster',
    server: string,
    id: string,
    tags?: Tag[],
  ): Promise<void>;
  /** Moves the clock of the functions on, or back. */
  passTime(milliseconds: number): void;
  /** How the data of servers that are registered from now on, and restored, are served. */
  serve: ServerData['serve'] | undefined;
  /** Makes the server known again, as it was at the start. */
  register(): void;
  /** Rows of a restored server, as its superuser. */
  query<Row extends Record<string, unknown>>(
    record: ServerRestoreRecord | undefined,
    sql: string,
  ): Promise<Row[]>;
}

/** RDS knows the server as instance `orders-prod` of source `orders` and as cluster `billing-prod` of `billing`. */
export function useServerRestores(source: SharedPostgres): () => ServerRestores {
  let directory = '';
  let plane: ControlPlane | undefined;
  let restores: ServerRestores | undefined;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-servers-'));
    // The servers on the copies run as another user than root.
    await chmod(directory, 0o755);
    await source.query(
      'postgres',
      `CREATE ROLE ${ROLE.username} LOGIN PASSWORD '${ROLE.password}' IN ROLE pg_read_all_data;`,
    );
    plane = await startControlPlane({ workDirectory: directory, waitScale: 0.01 });
    restores = assemble(plane, source, directory);
    restores.register();
  });
  afterAll(async () => {
    await plane?.close();
    await rm(directory, { recursive: true, force: true });
  });
  return () => {
    if (!restores) throw new Error('the control plane has not started');
    return restores;
  };
}

function assemble(plane: ControlPlane, source: SharedPostgres, directory: string): ServerRestores {
  const config = {
    endpoint: plane.endpoint,
    region: 'eu-west-1',
    credentials: {
      accessKeyId: plane.environment['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: plane.environment['AWS_SECRET_ACCESS_KEY'] ?? '',
    },
  };
  const calls: RdsCall[] = [];
  const rds = new RDSClient(config);
  rds.middlewareStack.add(
    (next, { commandName }) =>
      (args) => {
        calls.push({
          operation: String(commandName).replace(/Command$/, ''),
          input: args.input as RdsCall['input'],
        });
        return next(args);
      },
    { step: 'initialize' },
  );
  let passed = 0;
  const clock = {
    now: () => new Date(Date.now() + passed),
    sleep: () => Promise.reject(new Error('no function of a restore sleeps')),
  };
  plane.secrets.setSecret(SECRET, ROLE);
  const secrets = makeSecrets({ client: new SecretsManagerClient(config), clock });
  const deps = makeDeps({
    clock,
    plans: makePlans([
      planOf(source, 'orders', { type: 'rds-instance', identifier: 'orders-prod' }),
      planOf(source, 'billing', { type: 'aurora-cluster', identifier: 'billing-prod' }),
      planOf(source, 'plain', { type: 'postgres' }),
    ]),
    servers: makeRealServers({ client: rds }),
    databases: makeDatabases({ secrets, region: 'eu-west-1', caFile: '/nowhere' }),
  }) as unknown as FakeDeps;

  const definition = JSON.parse(
    readFileSync(new URL('../../statemachines/restore-server.asl.json', import.meta.url), 'utf8'),
  ) as StateMachine & { States: never };
  const call =
    <Schema extends z.ZodType, Needs extends keyof Deps>(
      schema: Schema,
      handle: Handle<z.infer<Schema>, unknown, Needs>,
    ) =>
    async (payload: unknown) =>
      handle(schema.parse(payload), deps);
  const notify = call(NotifyServerRestoreEvent, notifyServerRestore);
  const machine = plane.stepFunctions.registerStateMachine({
    name: 'restore-server',
    definition,
    handlers: {
      'Plan Server Restore': call(PlanServerRestoreEvent, planServerRestore),
      'Restore Server': call(ServerRestoreEvent, restoreServer),
      'Check Restored Server': call(CheckRestoredServerEvent, checkRestoredServer),
      'Inspect Restored Server': call(CheckRestoredServerEvent, inspectRestoredServer),
      'Clean Up Server': call(CleanUpServerEvent, cleanUpServer),
      'Notify Server Restore': notify,
      'Notify Server Restore Failure': notify,
      'Notify Server Restore Not Planned': notify,
    },
  });

  const restores: ServerRestores = {
    plane,
    deps,
    directory,
    serve: undefined,
    async run(input) {
      const alertsBefore = deps.alerts.sent.length;
      const callsBefore = calls.length;
      const keysBefore = new Set(deps.objects.keys('restores/'));
      const arn = plane.stepFunctions.startExecution(machine, input);
      const execution = await plane.stepFunctions.executionEnded(arn);
      const [key] = deps.objects.keys('restores/').filter((it) => !keysBefore.has(it));
      return {
        execution,
        record: key === undefined ? undefined : ServerRestoreRecord.parse(deps.objects.json(key)),
        alerts: deps.alerts.sent.slice(alertsBefore),
        calls: calls.slice(callsBefore),
      };
    },
    async takeSnapshot(kind, server, id, Tags = []) {
      const client = new RDSClient(config);
      await (kind === 'instance'
        ? client.send(
            new CreateDBSnapshotCommand({
              DBInstanceIdentifier: server,
              DBSnapshotIdentifier: id,
              Tags,
            }),
          )
        : client.send(
            new CreateDBClusterSnapshotCommand({
              DBClusterIdentifier: server,
              DBClusterSnapshotIdentifier: id,
              Tags,
            }),
          ));
      client.destroy();
      while (!plane.rds.snapshotDirectory(id)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    passTime(milliseconds) {
      passed += milliseconds;
    },
    register() {
      const { server } = source;
      const { serve, ...data } = dataOfServer(server);
      const shared = {
        ...data,
        serve: (request: { readonly dataDirectory: string }) => (restores.serve ?? serve)(request),
        engineVersion: `${server.major}.4`,
        host: server.host,
        port: server.port,
        tags: { team: 'shop', 'aws:cloudformation:stack-name': 'network' },
      };
      plane.rds.registerInstance({
        ...shared,
        identifier: 'orders-prod',
        attributes: INSTANCE_ATTRIBUTES,
      });
      plane.rds.registerCluster({
        ...shared,
        identifier: 'billing-prod',
        attributes: {
          DBSubnetGroup: 'private',
          DBClusterParameterGroup: 'billing',
          ServerlessV2ScalingConfiguration: { MinCapacity: 0.5, MaxCapacity: 4 },
        },
      });
      plane.rds.registerInstance({
        ...shared,
        identifier: 'billing-prod-a',
        cluster: 'billing-prod',
        attributes: { DBInstanceClass: 'db.serverless' },
      });
    },
    async query(record, sql) {
      const { host, port } = record?.server ?? {};
      if (host !== '127.0.0.1' || !port) throw new Error('the record names no server');
      const server = { ...source.server, host: '127.0.0.1' as const, port };
      return withClient(server, 'postgres', async (client) => (await client.query(sql)).rows);
    },
  } as ServerRestores;
  return restores;
}

/** What the instance has that an ordinary one has not. */
export const INSTANCE_ATTRIBUTES = {
  DBInstanceClass: 'db.r6g.large',
  DBSubnetGroup: { DBSubnetGroupName: 'private' },
  VpcSecurityGroups: [{ VpcSecurityGroupId: 'sg-0aaa', Status: 'active' }],
  DBParameterGroups: [{ DBParameterGroupName: 'orders', ParameterApplyStatus: 'in-sync' }],
  CACertificateIdentifier: 'rds-ca-ecc384-g1',
  MultiAZ: true,
  AutoMinorVersionUpgrade: false,
  IAMDatabaseAuthenticationEnabled: true,
  EnabledCloudwatchLogsExports: ['postgresql'],
  CopyTagsToSnapshot: true,
  DeletionProtection: true,
  PubliclyAccessible: true,
};

function planOf(
  { server }: SharedPostgres,
  source: string,
  engine: SourcePlan['engine'],
): SourcePlan {
  return SourcePlan.parse({
    source,
    engine,
    connection: {
      host: server.host,
      port: server.port,
      user: ROLE.username,
      auth: { type: 'secret', secretId: SECRET },
      tls: { mode: 'disable' },
    },
  });
}
