import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { S3Client } from '@aws-sdk/client-s3';
import { systemClock } from '#adapters/clock.ts';
import { makeObjects } from '#adapters/objects.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { runLockKey } from '#domain/names.ts';
import { serializeSourcePlan } from '#domain/plan-file.ts';
import type { Objects } from '#runtime/ports.ts';
import { type ControlPlane, startControlPlane } from './control-plane/control-plane.ts';
import type { TaskLine } from './control-plane/ecs.ts';
import { type AslDefinition, allStates } from './control-plane/scoped-definition.ts';
import type { SnsMessage } from './control-plane/sns.ts';
import type { ExecutionEvent, ExecutionView } from './control-plane/step-functions.ts';
import { claimDirectory } from './directory-claim.ts';
import { layOutDrillServers } from './drill-servers.ts';
import { type LambdaHost, startLambdaHost } from './lambda-host.ts';
import { collectMetrics } from './metrics.ts';
import { type ObjectStoreServer, startObjectStore } from './object-store/server.ts';
import { makeExecutionJournal } from './ui/execution-journal.ts';
import { recordPlans } from './ui/local-state.ts';

/** Names in the local account. The bucket is also a folder that people look into. */
export const LOCAL = {
  bucket: 'holdfast-backups',
  planPrefix: '/holdfast/local/sources/',
  topic: 'holdfast-local-alerts',
  stateMachine: 'holdfast-local-backup',
  /** Prefix of every state machine's ARN; what follows is the name of its file. */
  stateMachineArn: 'arn:aws:states:eu-west-1:123456789012:stateMachine:holdfast-local-',
} as const;

/** Below the stack's folder: what functions and tasks recorded, for `readDatapoints`. */
export const METRICS_FILE = 'metrics.jsonl';

/** Prefix of every state machine's name; what follows is the name of its file. */
const MACHINE_PREFIX = 'holdfast-local-';

export interface StackOptions {
  /** Everything that is left behind goes below it: objects, inbox, logs, snapshots. */
  readonly directory: string;
  /** Where `npm run build` put `functions/` and `tasks/`. */
  readonly bundles: string;
  /** See scripts/postgres-clients.ts. */
  readonly clientsDirectory: string;
  readonly plans: readonly SourcePlan[];
  /** By the `secretId` of the plans. Kept in memory. */
  readonly secrets: Readonly<Record<string, { username: string; password: string }>>;
  readonly onExecutionEvent?: (event: ExecutionEvent) => void;
  readonly onTaskLine?: (line: TaskLine) => void;
  readonly onMessage?: (message: SnsMessage) => void;
  /** Further variables for functions and tasks; tests use it. */
  readonly environment?: Readonly<Record<string, string>>;
  /** See ControlPlaneOptions; tests use them to make hours short. */
  readonly waitScale?: number;
  readonly timeoutScale?: number;
  readonly spotNoticeSeconds?: number;
}

export interface Stack {
  readonly plane: ControlPlane;
  readonly store: ObjectStoreServer;
  readonly functions: LambdaHost;
  /** The bucket, as the functions see it. */
  readonly objects: Objects;
  readonly stateMachineArn: string;
  /** By the name of the file in `statemachines/`: `backup`, `restore`. */
  readonly stateMachineArns: Readonly<Record<string, string>>;
  /** What functions and tasks get: endpoints, made-up credentials, HOLDFAST_* names. */
  readonly environment: Readonly<Record<string, string>>;
  /** Starts a run and waits for its end. */
  backUp(input: unknown, name?: string): Promise<ExecutionView>;
  /** The same with a restore. */
  restore(input: unknown, name?: string): Promise<ExecutionView>;
  /** The same with a drill. */
  drill(input: unknown, name?: string): Promise<ExecutionView>;
  close(): Promise<void>;
}

/**
 * The whole deployment on this machine: what `resources/` declares for AWS is wired here to the local
 * services. The functions and tasks are the bundles that would be deployed, in processes of their own.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { directory } = options;
  const release = await claimDirectory(directory);
  const logs = join(directory, 'logs');
  await mkdir(logs, { recursive: true });
  // Snapshots are copies of servers that went with the last run.
  await rm(join(directory, 'snapshots'), { recursive: true, force: true });

  const ofFunctions = collectMetrics(join(directory, METRICS_FILE));
  const ofTasks = collectMetrics(join(directory, METRICS_FILE));
  const drillServers = await layOutDrillServers(directory);

  let forwardObjectEvent: ((event: unknown) => void) | undefined;
  const store = await startObjectStore({
    directory: join(directory, 's3'),
    onEvent: (event) => forwardObjectEvent?.(event),
  });
  store.createBucket(LOCAL.bucket, { versioning: true });
  const environment: Record<string, string> = {};
  const journal = makeExecutionJournal(directory, MACHINE_PREFIX);
  recordPlans(directory, options.plans);
  const plane = await startControlPlane({
    workDirectory: directory,
    taskEnvironment: () => environment,
    ...pick(options, ['waitScale', 'timeoutScale', 'spotNoticeSeconds']),
    ...pick(options, ['onMessage']),
    onExecutionEvent(event) {
      journal(event);
      options.onExecutionEvent?.(event);
    },
    onTaskLine(line) {
      ofTasks.write(`${line.line}\n`);
      options.onTaskLine?.(line);
    },
  });
  forwardObjectEvent = (event) => plane.bus.put(event as Parameters<typeof plane.bus.put>[0]);

  const definitions = await readDefinitions();
  // The machines' ARNs are known before they are registered, as functions need them in their environment.
  const stateMachineArns = Object.fromEntries(
    [...definitions.keys()].map((name) => [name, `${LOCAL.stateMachineArn}${name}`]),
  );
  const stateMachineArn = stateMachineArns['backup'] ?? '';
  Object.assign(environment, plane.environment, {
    AWS_ENDPOINT_URL_S3: store.endpoint,
    HOLDFAST_BUCKET: LOCAL.bucket,
    HOLDFAST_STAGE: 'local',
    HOLDFAST_PLAN_PREFIX: LOCAL.planPrefix,
    HOLDFAST_TOPIC_ARN: plane.sns.createTopic(LOCAL.topic),
    HOLDFAST_CLUSTER_ARN: plane.ecs.clusterArn,
    HOLDFAST_DUMP_TASK_DEFINITION: plane.ecs.registerTaskDefinition('dump-database', {
      command: taskCommand(options.bundles, 'dump-database'),
    }),
    HOLDFAST_VERIFY_TASK_DEFINITION: plane.ecs.registerTaskDefinition('verify-backup', {
      command: taskCommand(options.bundles, 'verify-backup'),
    }),
    HOLDFAST_RESTORE_TASK_DEFINITION: plane.ecs.registerTaskDefinition('restore-database', {
      command: taskCommand(options.bundles, 'restore-database'),
    }),
    HOLDFAST_DRILL_TASK_DEFINITION: plane.ecs.registerTaskDefinition('drill', {
      command: taskCommand(options.bundles, 'drill'),
    }),
    ...drillServers.environment,
    HOLDFAST_STATE_MACHINE_ARN: stateMachineArn,
    HOLDFAST_POSTGRES_CLIENTS: options.clientsDirectory,
    HOLDFAST_PROGRESS_SECONDS: '0.5',
    ...options.environment,
  });
  const objects = makeObjects({
    client: new S3Client({
      endpoint: store.endpoint,
      region: 'eu-west-1',
      credentials: {
        accessKeyId: environment['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] ?? '',
      },
    }),
    bucket: LOCAL.bucket,
    clock: systemClock,
  });
  // Executions end with the process that ran them, and nobody else uses the folder: no run is going on.
  await objects.delete(options.plans.map(({ source }) => runLockKey(source)));
  for (const plan of options.plans) {
    plane.ssm.putParameter(`${LOCAL.planPrefix}${plan.source}`, serializeSourcePlan(plan));
  }
  for (const [name, secret] of Object.entries(options.secrets)) {
    plane.secrets.setSecret(name, secret);
  }

  const functions = startLambdaHost({
    directory: join(options.bundles, 'functions'),
    environment,
    logFile: join(logs, 'functions.log'),
    onOutput: (text) => ofFunctions.write(text),
  });
  for (const [name, definition] of definitions) {
    plane.stepFunctions.registerStateMachine({
      name: `holdfast-local-${name}`,
      definition,
      handlers: handlersOf(definition, functions),
    });
  }
  const execute = (arn: string, input: unknown, name?: string) =>
    plane.stepFunctions.executionEnded(plane.stepFunctions.startExecution(arn, input, name));
  addRules(plane, functions, stateMachineArn);

  return {
    plane,
    store,
    functions,
    objects,
    stateMachineArn,
    stateMachineArns,
    environment,
    backUp: (input, name) => execute(stateMachineArn, input, name),
    restore: (input, name) => execute(stateMachineArns['restore'] ?? '', input, name),
    drill: (input, name) => execute(stateMachineArns['drill'] ?? '', input, name),
    async close() {
      await plane.close();
      await functions.close();
      await store.close();
      await drillServers.remove();
      await release();
    },
  };
}

function taskCommand(bundles: string, task: string): string[] {
  // As the ENTRYPOINT in tasks/Dockerfile.
  return [process.execPath, '--max-semi-space-size=1', join(bundles, 'tasks', `${task}.mjs`)];
}

/** Every state machine of the checkout, by the name of its file. */
export async function readDefinitions(): Promise<Map<string, AslDefinition>> {
  const folder = fileURLToPath(new URL('../statemachines/', import.meta.url));
  const files = (await readdir(folder)).filter((file) => file.endsWith('.asl.json'));
  const definitions = new Map<string, AslDefinition>();
  for (const file of files.sort()) {
    const text = await readFile(join(folder, file), 'utf8');
    definitions.set(file.replace('.asl.json', ''), JSON.parse(text));
  }
  return definitions;
}

/** Each Task state calls the function that its placeholder names: `${PlanBackupFunctionArn}`. */
function handlersOf(definition: AslDefinition, functions: LambdaHost) {
  const tasks = allStates(definition).filter(([, state]) => state.Type === 'Task');
  return Object.fromEntries(
    tasks.map(([name, state]) => {
      const placeholder = /\$\{(\w+)FunctionArn\}/.exec(JSON.stringify(state))?.[1] ?? name;
      const functionName = placeholder.replace(/(?!^)([A-Z])/g, '-$1').toLowerCase();
      return [name, (payload: unknown) => functions.invoke(functionName, payload)];
    }),
  );
}

/** The same rules as resources/events.yml. Reconcile is called by hand: no hour passes here. */
function addRules(plane: ControlPlane, functions: LambdaHost, stateMachineArn: string): void {
  const created = (key: object) => ({
    source: ['aws.s3'],
    'detail-type': ['Object Created'],
    detail: { bucket: { name: [LOCAL.bucket] }, object: { key: [key] } },
  });
  plane.bus.addRule({
    name: 'verify-backup',
    pattern: created({ wildcard: 'backups/*/manifest.json' }),
    target: (event) => functions.invoke('verify-backup', event),
  });
  plane.bus.addRule({
    name: 'resume-restore',
    pattern: { source: ['aws.s3'], 'detail-type': ['Object Restore Completed'] },
    target: (event) => functions.invoke('resume-restore', event),
  });
  plane.bus.addRule({
    name: 'request',
    pattern: created({ wildcard: 'requests/*.json' }),
    target: async (event) => plane.stepFunctions.startExecution(stateMachineArn, event),
  });
  plane.bus.addRule({
    name: 'handle-task-stopped',
    pattern: {
      source: ['aws.ecs'],
      'detail-type': ['ECS Task State Change'],
      detail: { lastStatus: ['STOPPED'], clusterArn: [plane.ecs.clusterArn] },
    },
    target: (event) => functions.invoke('handle-task-stopped', event),
  });
}

/** Only the properties that are there: `exactOptionalPropertyTypes` tells absent from undefined. */
function pick<Shape extends object, Key extends keyof Shape>(
  from: Shape,
  keys: readonly Key[],
): Pick<Shape, Key> {
  return Object.fromEntries(
    keys.flatMap((key) => (from[key] === undefined ? [] : [[key, from[key]]])),
  ) as Pick<Shape, Key>;
}
