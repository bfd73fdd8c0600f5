import { type ECSClient, RunTaskCommand, type RunTaskCommandInput } from '@aws-sdk/client-ecs';
import { classifyLaunchFailure } from '#domain/launch-failure.ts';
import { type HoldfastError, ServiceUnavailable, TaskLaunchFailed, TaskRejected } from '#errors';
import type { TaskKind, TaskRequest, Tasks } from '#runtime/ports.ts';
import { awsErrorName, translateAwsError } from './aws-errors.ts';

/** The one container of our task definitions. */
const CONTAINER = 'holdfast';

/** Exceptions by which ECS refuses the request itself, whenever it is made. */
const REFUSALS = new Set([
  'ClientException',
  'InvalidParameterException',
  'AccessDeniedException',
  'BlockedException',
  'ClusterNotFoundException',
  'ConflictException',
  'PlatformTaskDefinitionIncompatibilityException',
  'PlatformUnknownException',
  'UnsupportedFeatureException',
]);

const REMEDIES = new Map([
  [TaskLaunchFailed, 'name subnets in several zones, or ask for a higher quota of Fargate vCPUs'],
  [TaskRejected, "compare the plan's task and network with what is deployed"],
]);

/** Fargate tasks by RunTask. The task's input is the key of its order, and which task it is. */
export function makeTasks(options: {
  client: ECSClient;
  clusterArn: string;
  /** Family (newest revision) or ARN. */
  taskDefinition: (kind: TaskKind) => string;
}): Tasks {
  const { client, clusterArn, taskDefinition } = options;
  return {
    async run(request) {
      const what = `${request.kind} of ${request.source}/${request.subject}`;
      const output = await client
        .send(new RunTaskCommand(makeRequest(request, clusterArn, taskDefinition(request.kind))))
        .catch((error: unknown) => {
          throw translateLaunchError(error, what);
        });
      const [failure] = output.failures ?? [];
      if (failure) {
        const { reason = 'no reason given', detail, arn } = failure;
        const said = [reason, detail, arn].filter(Boolean).join(' ');
        throw launchError(`ECS did not start ${what}: ${said}`, reason);
      }
      const taskArn = output.tasks?.[0]?.taskArn;
      if (taskArn) return taskArn;
      throw new ServiceUnavailable(`ECS answered neither a task nor a failure for ${what}`);
    },
  };
}

function makeRequest(
  request: TaskRequest,
  cluster: string,
  taskDefinition: string,
): RunTaskCommandInput {
  const {
    kind,
    orderKey,
    source,
    runId,
    subject,
    attempt = 1,
    task,
    network,
    storageGiB,
  } = request;
  return {
    cluster,
    taskDefinition,
    ...(task.spot
      ? { capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }] }
      : { launchType: 'FARGATE' }),
    ...(network && {
      networkConfiguration: {
        awsvpcConfiguration: {
          subnets: network.subnets,
          securityGroups: network.securityGroups,
          assignPublicIp: network.assignPublicIp ? 'ENABLED' : 'DISABLED',
        },
      },
    }),
    overrides: {
      cpu: String(task.cpu),
      memory: String(task.memoryMiB),
      ...(storageGiB === undefined ? {} : { ephemeralStorage: { sizeInGiB: storageGiB } }),
      containerOverrides: [
        {
          name: CONTAINER,
          environment: [
            { name: 'HOLDFAST_JOB_KEY', value: orderKey },
            // For whoever sees the task stop: its event has the overrides.
            { name: 'HOLDFAST_TASK_KIND', value: kind },
          ],
        },
      ],
    },
    // A second call for the same subject, kind and attempt answers with the first one's task.
    clientToken: `${kind}-${subject}-${attempt}`,
    startedBy: subject,
    propagateTags: 'TASK_DEFINITION',
    tags: [
      { key: 'holdfast:source', value: source },
      { key: 'holdfast:run', value: runId },
    ],
  };
}

function translateLaunchError(error: unknown, what: string): unknown {
  const { message } = error as Error;
  if (!REFUSALS.has(awsErrorName(error))) return translateAwsError(error, `run ${what}`);
  return launchError(`ECS refused ${what}: ${awsErrorName(error)}: ${message}`, message, error);
}

function launchError(fact: string, reason: string, cause?: unknown): HoldfastError {
  const errorClass = classifyLaunchFailure(reason);
  const network = /network ?configuration|awsvpc/i.test(reason);
  const remedy = network ? 'write network.subnets in the plan' : (REMEDIES.get(errorClass) ?? '');
  return new errorClass(fact, { remedy, cause });
}
