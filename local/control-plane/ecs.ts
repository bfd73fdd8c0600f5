import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import * as z from 'zod';
import type { EventBus } from './event-bus.ts';
import { type Operations, operation, page } from './operation.ts';
import { ServiceError } from './service-error.ts';
import { startTaskProcess, type TaskProcess } from './task-process.ts';

export interface TaskDefinition {
  /** Program and arguments; the image of a real definition. */
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Default `holdfast`. */
  readonly containerName?: string;
  /** From SIGTERM to SIGKILL, in StopTask; default 30, as on Fargate. */
  readonly stopTimeoutSeconds?: number;
}

/** What the next RunTask is to come to, in place of a running task. */
export type TaskScript =
  /** HTTP 200 with `failures`: nothing was placed, e.g. `RESOURCE:MEMORY` or `Capacity is unavailable`. */
  | { readonly placementFailure: string }
  /** A task that stops before it ran, e.g. `CannotPullContainerError: pull image manifest has been retried`. */
  | { readonly neverStarts: string };

export interface EcsOptions {
  readonly account: string;
  readonly region: string;
  readonly bus: EventBus;
  readonly logDirectory: string;
  /** For every task, below the definition's own: endpoints, credentials, region, PATH. */
  readonly environment: () => Readonly<Record<string, string>>;
  /** From the Spot notice to SIGKILL; 120 in real life. */
  readonly spotNoticeSeconds: number;
  readonly onTaskLine?: ((line: TaskLine) => void) | undefined;
}

export interface TaskLine {
  readonly taskArn: string;
  readonly family: string;
  readonly line: string;
}

interface Registered extends TaskDefinition {
  readonly arn: string;
  readonly family: string;
}

type StopCode =
  | 'EssentialContainerExited'
  | 'TaskFailedToStart'
  | 'UserInitiated'
  | 'SpotInterruption';

interface Task {
  readonly arn: string;
  readonly definition: Registered;
  readonly overrides: z.infer<typeof Overrides>;
  readonly startedBy: string | undefined;
  readonly launchType: string | undefined;
  readonly capacityProviderName: string | undefined;
  readonly createdAt: Date;
  readonly logFile: string;
  version: number;
  lastStatus: 'PROVISIONING' | 'PENDING' | 'RUNNING' | 'STOPPED';
  desiredStatus: 'RUNNING' | 'STOPPED';
  startedAt?: Date;
  stoppingAt?: Date;
  stoppedAt?: Date;
  exitCode?: number | undefined;
  containerReason?: string;
  stopCode?: StopCode;
  stoppedReason?: string;
  process?: TaskProcess;
  ended: Promise<void>;
}

const KeyValue = z.strictObject({ name: z.string().min(1), value: z.string() });

const Overrides = z.strictObject({
  containerOverrides: z
    .array(
      z.strictObject({
        name: z.string(),
        environment: z.array(KeyValue).optional(),
        command: z.array(z.string()).optional(),
        cpu: z.int().optional(),
        memory: z.int().optional(),
      }),
    )
    .default([]),
  cpu: z.string().optional(),
  memory: z.string().optional(),
  ephemeralStorage: z.strictObject({ sizeInGiB: z.int().min(20).max(200) }).optional(),
  taskRoleArn: z.string().optional(),
  executionRoleArn: z.string().optional(),
});

const RunTask = z.strictObject({
  taskDefinition: z.string(),
  cluster: z.string().optional(),
  count: z.literal(1).default(1),
  overrides: Overrides.default({ containerOverrides: [] }),
  startedBy: z.string().max(128).optional(),
  clientToken: z.string().max(64).optional(),
  launchType: z.enum(['FARGATE']).optional(),
  capacityProviderStrategy: z
    .array(
      z.strictObject({
        capacityProvider: z.string(),
        weight: z.int().optional(),
        base: z.int().optional(),
      }),
    )
    .optional(),
  networkConfiguration: z
    .strictObject({
      awsvpcConfiguration: z.strictObject({
        subnets: z.array(z.string()).min(1),
        securityGroups: z.array(z.string()).optional(),
        assignPublicIp: z.enum(['ENABLED', 'DISABLED']).optional(),
      }),
    })
    .optional(),
  platformVersion: z.string().optional(),
  propagateTags: z.string().optional(),
  enableECSManagedTags: z.boolean().optional(),
  enableExecuteCommand: z.boolean().optional(),
  group: z.string().optional(),
  referenceId: z.string().optional(),
  tags: z.array(z.strictObject({ key: z.string(), value: z.string() })).optional(),
});
type RunTask = z.infer<typeof RunTask>;

/** "Amazon ECS task placement overrides": 8,192 characters for all of `overrides`. */
const MAX_OVERRIDES = 8192;

/** ECS: a task is a child process with the environment contract of a Fargate task. */
export class Ecs {
  readonly operations: Operations;
  readonly clusterArn: string;
  readonly #options: EcsOptions;
  readonly #definitions = new Map<string, Registered>();
  readonly #tasks = new Map<string, Task>();
  readonly #byClientToken = new Map<string, { readonly request: string; readonly task: Task }>();
  readonly #scripts: TaskScript[] = [];
  #closed = false;

  constructor(options: EcsOptions) {
    this.#options = options;
    this.clusterArn = `arn:aws:ecs:${options.region}:${options.account}:cluster/holdfast`;
    const cluster = z.string().optional();
    this.operations = {
      RunTask: operation(RunTask, (input) => this.#runTask(input)),
      DescribeTasks: operation(
        z.strictObject({
          cluster,
          tasks: z.array(z.string()).min(1).max(100),
          include: z.array(z.string()).optional(),
        }),
        (input) => {
          this.#checkCluster(input.cluster);
          const found = input.tasks.map((id) => ({ id, task: this.#find(id) }));
          return {
            tasks: found.flatMap(({ task }) => (task ? [this.#describe(task)] : [])),
            failures: found
              .filter(({ task }) => !task)
              .map(({ id }) => ({ arn: id, reason: 'MISSING' })),
          };
        },
      ),
      StopTask: operation(
        z.strictObject({ cluster, task: z.string(), reason: z.string().max(1024).optional() }),
        (input) => {
          this.#checkCluster(input.cluster);
          const task = this.#find(input.task);
          if (!task) {
            throw new ServiceError(
              'InvalidParameterException',
              'The referenced task was not found.',
            );
          }
          this.#stop(
            task,
            'UserInitiated',
            input.reason ?? 'Task stopped by user',
            task.definition.stopTimeoutSeconds ?? 30,
          );
          return { task: this.#describe(task) };
        },
      ),
      ListTasks: operation(
        z.strictObject({
          cluster,
          family: z.string().optional(),
          startedBy: z.string().optional(),
          desiredStatus: z.enum(['RUNNING', 'STOPPED']).default('RUNNING'),
          maxResults: z.int().min(1).max(100).default(100),
          nextToken: z.string().optional(),
        }),
        ({ family, startedBy, desiredStatus, maxResults, nextToken, ...input }) => {
          this.#checkCluster(input.cluster);
          const wanted = [...this.#tasks.values()].filter(
            (task) =>
              task.desiredStatus === desiredStatus &&
              (family ?? task.definition.family) === task.definition.family &&
              (startedBy ?? task.startedBy) === task.startedBy,
          );
          const { items, next } = page(wanted, nextToken, maxResults);
          return { taskArns: items.map(({ arn }) => arn), nextToken: next };
        },
      ),
    };
  }

  /** Returns the ARN; a family that exists gets a new revision. */
  registerTaskDefinition(family: string, definition: TaskDefinition): string {
    const revision = Number(this.#definitions.get(family)?.arn.split(':').at(-1) ?? 0) + 1;
    const { region, account } = this.#options;
    const arn = `arn:aws:ecs:${region}:${account}:task-definition/${family}:${revision}`;
    const registered = { ...definition, arn, family };
    for (const name of [family, `${family}:${revision}`, arn]) {
      this.#definitions.set(name, registered);
    }
    return arn;
  }

  scriptNextTask(script: TaskScript): void {
    this.#scripts.push(script);
  }

  tasks(): object[] {
    return [...this.#tasks.values()].map((task) => this.#describe(task));
  }

  /** The log of a task, by its ARN or id. */
  logFile(task: string): string | undefined {
    return this.#find(task)?.logFile;
  }

  /** Kills a task as the kernel does when memory is out: SIGKILL, exit code 137. */
  killTask(id: string): void {
    const task = this.#running(id);
    task.containerReason = 'OutOfMemoryError: Container killed due to memory usage';
    task.process?.kill();
  }

  /** Takes a task's Spot capacity away: SIGTERM now, SIGKILL when the notice is over. */
  interruptSpot(id: string): void {
    const { spotNoticeSeconds } = this.#options;
    const reason = 'Your Spot Task was interrupted.';
    this.#stop(this.#running(id), 'SpotInterruption', reason, spotNoticeSeconds);
  }

  /** Resolves when the task has stopped and its event was put. */
  async taskStopped(id: string): Promise<void> {
    await this.#find(id)?.ended;
  }

  /** Ends every task: SIGTERM, then SIGKILL after two seconds. */
  async close(): Promise<void> {
    this.#closed = true;
    const tasks = [...this.#tasks.values()].filter(({ lastStatus }) => lastStatus !== 'STOPPED');
    for (const task of tasks) this.#stop(task, 'UserInitiated', 'the control plane closes', 2);
    await Promise.all(tasks.map(({ ended }) => ended));
  }

  #runTask(input: RunTask): object {
    this.#checkCluster(input.cluster);
    const definition = this.#definitions.get(input.taskDefinition);
    if (!definition) throw new ServiceError('ClientException', 'TaskDefinition not found.');
    if (this.#closed) throw new ServiceError('ServerException', 'the control plane closes', 500);
    if (JSON.stringify(input.overrides).length > MAX_OVERRIDES) {
      throw invalid(`Overrides length must be at most ${MAX_OVERRIDES}`);
    }
    const container = containerOf(definition);
    const stranger = input.overrides.containerOverrides.find(({ name }) => name !== container);
    if (stranger) {
      throw invalid(
        `Override for container named ${stranger.name} is not a container in the TaskDefinition.`,
      );
    }
    const request = JSON.stringify(input);
    const earlier = this.#byClientToken.get(input.clientToken ?? '');
    if (earlier && earlier.request !== request) {
      throw new ServiceError('ConflictException', 'the clientToken was used for another request');
    }
    if (earlier) return { tasks: [this.#describe(earlier.task)], failures: [] };
    const script = this.#scripts.shift();
    if (script && 'placementFailure' in script) {
      const arn = `arn:aws:ecs:${this.#options.region}:${this.#options.account}:container-instance/fargate`;
      return { tasks: [], failures: [{ arn, reason: script.placementFailure }] };
    }
    const task = this.#create(input, definition);
    if (input.clientToken !== undefined) {
      this.#byClientToken.set(input.clientToken, { request, task });
    }
    const answer = this.#describe(task);
    task.ended = this.#run(task, script?.neverStarts);
    return { tasks: [answer], failures: [] };
  }

  #create(input: RunTask, definition: Registered): Task {
    const id = randomUUID().replaceAll('-', '');
    const { region, account, logDirectory } = this.#options;
    const task: Task = {
      arn: `arn:aws:ecs:${region}:${account}:task/holdfast/${id}`,
      definition,
      overrides: input.overrides,
      startedBy: input.startedBy,
      launchType: input.launchType,
      capacityProviderName: input.capacityProviderStrategy?.[0]?.capacityProvider,
      createdAt: new Date(),
      logFile: join(logDirectory, `${definition.family}-${id}.log`),
      version: 1,
      lastStatus: 'PROVISIONING',
      desiredStatus: 'RUNNING',
      ended: Promise.resolve(),
    };
    this.#tasks.set(task.arn, task);
    return task;
  }

  /** Never rejects. */
  async #run(task: Task, neverStarts: string | undefined): Promise<void> {
    this.#changed(task, 'PROVISIONING');
    this.#changed(task, 'PENDING');
    const { definition } = task;
    const override = task.overrides.containerOverrides[0];
    const process =
      neverStarts === undefined
        ? await startTaskProcess({
            command: override?.command ?? definition.command,
            environment: {
              ...this.#options.environment(),
              ...definition.environment,
              ...Object.fromEntries(
                (override?.environment ?? []).map(({ name, value }) => [name, value]),
              ),
            },
            logFile: task.logFile,
            onLine: (line) =>
              this.#options.onTaskLine?.({ taskArn: task.arn, family: definition.family, line }),
          }).catch((error: Error) => error.message)
        : neverStarts;
    if (typeof process === 'string' || process.pid === undefined) {
      task.stopCode = 'TaskFailedToStart';
      task.stoppedReason =
        typeof process === 'string'
          ? process
          : `CannotStartContainerError: ${definition.command[0]}`;
      if (typeof process !== 'string') await process.exitCode;
    } else {
      task.process = process;
      task.startedAt = new Date();
      this.#changed(task, 'RUNNING');
      // It was stopped before it had started.
      if (task.desiredStatus === 'STOPPED') process.terminate();
      task.exitCode = await process.exitCode;
      task.stopCode ??= 'EssentialContainerExited';
      task.stoppedReason ??= 'Essential container in task exited';
    }
    task.stoppedAt = new Date();
    task.desiredStatus = 'STOPPED';
    this.#changed(task, 'STOPPED');
  }

  #stop(task: Task, stopCode: StopCode, reason: string, graceSeconds: number): void {
    if (task.desiredStatus === 'STOPPED') return;
    task.desiredStatus = 'STOPPED';
    task.stoppingAt = new Date();
    task.stopCode = stopCode;
    task.stoppedReason = reason;
    task.process?.terminate();
    const killer = setTimeout(() => task.process?.kill(), graceSeconds * 1000);
    void task.ended.then(() => clearTimeout(killer));
  }

  #changed(task: Task, lastStatus: Task['lastStatus']): void {
    task.lastStatus = lastStatus;
    task.version += 1;
    this.#options.bus.put({
      source: 'aws.ecs',
      'detail-type': 'ECS Task State Change',
      resources: [task.arn],
      // Through JSON: an event has its times as text and no undefined members.
      detail: JSON.parse(JSON.stringify(this.#describe(task))) as Record<string, unknown>,
    });
  }

  #describe(task: Task) {
    const { definition, lastStatus } = task;
    return {
      taskArn: task.arn,
      clusterArn: this.clusterArn,
      taskDefinitionArn: definition.arn,
      group: `family:${definition.family}`,
      lastStatus,
      desiredStatus: task.desiredStatus,
      startedBy: task.startedBy,
      launchType: task.launchType ?? 'FARGATE',
      capacityProviderName: task.capacityProviderName,
      overrides: task.overrides,
      version: task.version,
      createdAt: task.createdAt,
      startedAt: task.startedAt,
      stoppingAt: task.stoppingAt,
      stoppedAt: task.stoppedAt,
      stopCode: task.stopCode,
      stoppedReason: task.stoppedReason,
      containers: [
        {
          name: containerOf(definition),
          taskArn: task.arn,
          lastStatus: lastStatus === 'PROVISIONING' ? 'PENDING' : lastStatus,
          exitCode: task.exitCode,
          reason: task.containerReason,
        },
      ],
    };
  }

  #running(id: string): Task {
    const task = this.#find(id);
    if (task?.process && !task.process.hasEnded) return task;
    throw new RangeError(`no task ${id} is running`);
  }

  #find(id: string): Task | undefined {
    return (
      this.#tasks.get(id) ?? [...this.#tasks.values()].find(({ arn }) => arn.endsWith(`/${id}`))
    );
  }

  #checkCluster(cluster: string | undefined): void {
    if ([undefined, this.clusterArn, 'holdfast'].includes(cluster)) return;
    throw new ServiceError('ClusterNotFoundException', 'Cluster not found.');
  }
}

function containerOf(definition: TaskDefinition): string {
  return definition.containerName ?? 'holdfast';
}

function invalid(message: string): ServiceError {
  return new ServiceError('InvalidParameterException', message);
}
