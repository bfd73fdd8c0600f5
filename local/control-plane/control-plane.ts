import { join } from 'node:path';
import type { ApiCall, ServiceName } from './aws-protocols.ts';
import { Ecs, type TaskLine } from './ecs.ts';
import { EventBus } from './event-bus.ts';
import { Faults } from './faults.ts';
import { startHttpEndpoint } from './http-endpoint.ts';
import type { Operations } from './operation.ts';
import { Rds } from './rds.ts';
import { SecretsManager } from './secrets-manager.ts';
import { ServiceError } from './service-error.ts';
import { Sns, type SnsMessage } from './sns.ts';
import { Ssm } from './ssm.ts';
import { loadTimeoutError } from './state-errors.ts';
import { type ExecutionEvent, StepFunctions } from './step-functions.ts';

export interface ControlPlaneOptions {
  /** Gets `inbox/` (SNS), `tasks/` (logs) and `snapshots/` (RDS). Left in place by `close`. */
  readonly workDirectory: string;
  readonly region?: string;
  readonly account?: string;
  /** Made up; the object store beside us may want the same. */
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** Further variables for tasks, e.g. AWS_ENDPOINT_URL_S3. Read when a task starts. */
  readonly taskEnvironment?: () => Readonly<Record<string, string>>;
  /** Factor for Wait states and the pauses of Retry; default 1. */
  readonly waitScale?: number;
  /** Factor for TimeoutSeconds and HeartbeatSeconds; default 1. */
  readonly timeoutScale?: number;
  /** From a Spot notice to SIGKILL; default 120. */
  readonly spotNoticeSeconds?: number;
  readonly onExecutionEvent?: (event: ExecutionEvent) => void;
  readonly onTaskLine?: (line: TaskLine) => void;
  readonly onMessage?: (message: SnsMessage) => void;
}

export interface ControlPlane {
  /** `http://127.0.0.1:<port>`, for every service. */
  readonly endpoint: string;
  /** What the SDK reads: endpoints, credentials and region, for our own process or a child. */
  readonly environment: Readonly<Record<string, string>>;
  readonly faults: Faults;
  readonly bus: EventBus;
  readonly stepFunctions: StepFunctions;
  readonly ecs: Ecs;
  readonly rds: Rds;
  readonly ssm: Ssm;
  readonly secrets: SecretsManager;
  readonly sns: Sns;
  /** Ends executions, tasks (within about two seconds) and deliveries, then the server. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts the AWS services that Holdfast calls besides S3, on one loopback port and in this process.
 * Nothing is shared between two of them.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { workDirectory, region = 'eu-west-1', account = '123456789012' } = options;
  const credentials = options.credentials ?? {
    accessKeyId: 'LOCALCONTROLPLANE',
    secretAccessKey: 'not-a-secret',
  };
  const home = { region, account };
  const bus = new EventBus(home);
  const faults = new Faults();
  const stepFunctions = new StepFunctions({
    ...home,
    bus,
    timeoutError: await loadTimeoutError(),
    waitScale: options.waitScale ?? 1,
    timeoutScale: options.timeoutScale ?? 1,
    onEvent: options.onExecutionEvent,
  });
  const ecs = new Ecs({
    ...home,
    bus,
    logDirectory: join(workDirectory, 'tasks'),
    environment: () => ({
      PATH: process.env['PATH'] ?? '/usr/bin:/bin',
      ...environment,
      ...options.taskEnvironment?.(),
    }),
    spotNoticeSeconds: options.spotNoticeSeconds ?? 120,
    onTaskLine: options.onTaskLine,
  });
  const secrets = new SecretsManager(home);
  const snapshotDirectory = join(workDirectory, 'snapshots');
  const rds = new Rds({ ...home, bus, secrets, snapshotDirectory });
  const ssm = new Ssm(home);
  const inbox = join(workDirectory, 'inbox');
  const sns = new Sns({ ...home, inbox, onMessage: options.onMessage });

  const operations: Readonly<Record<ServiceName, Operations>> = {
    states: stepFunctions.operations,
    ecs: ecs.operations,
    rds: rds.operations,
    ssm: ssm.operations,
    secretsmanager: secrets.operations,
    sns: sns.operations,
  };
  const http = await startHttpEndpoint({
    accessKeyId: credentials.accessKeyId,
    serve: (call) => faults.around(`${call.service}.${call.operation}`, () => perform(call)),
  });
  const perform = async ({ protocol, service, operation, input }: ApiCall) => {
    const found = operations[service][operation];
    if (found) return found(input);
    const code = protocol === 'json' ? 'UnknownOperationException' : 'InvalidAction';
    throw new ServiceError(code, `${service}.${operation} does not exist here`);
  };
  // Nothing serves Scheduler; without an endpoint here the SDK would ask AWS itself.
  const endpointNames = ['SFN', 'ECS', 'SNS', 'SSM', 'SECRETS_MANAGER', 'RDS', 'SCHEDULER'];
  const environment: Readonly<Record<string, string>> = {
    ...Object.fromEntries(endpointNames.map((name) => [`AWS_ENDPOINT_URL_${name}`, http.url])),
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    AWS_REGION: region,
    AWS_EC2_METADATA_DISABLED: 'true',
  };

  const shutDown = async () => {
    // Tasks first: their last calls and events still find everybody.
    await ecs.close();
    await stepFunctions.close();
    bus.close();
    await rds.close();
    await http.close();
  };
  let closing: Promise<void> | undefined;
  return {
    endpoint: http.url,
    environment,
    faults,
    bus,
    stepFunctions,
    ecs,
    rds,
    ssm,
    secrets,
    sns,
    close: () => {
      closing ??= shutDown();
      return closing;
    },
  };
}
