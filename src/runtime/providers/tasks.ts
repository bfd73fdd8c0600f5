import { ECSClient } from '@aws-sdk/client-ecs';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makeTasks } from '#adapters/tasks.ts';
import { readVariable, type VariableName } from '../environment.ts';
import type { TaskKind, Tasks } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

/** Whoever launches a kind of task needs its variable, and no other. */
const DEFINITIONS = {
  'dump-database': 'HOLDFAST_DUMP_TASK_DEFINITION',
  'verify-backup': 'HOLDFAST_VERIFY_TASK_DEFINITION',
  'restore-database': 'HOLDFAST_RESTORE_TASK_DEFINITION',
  drill: 'HOLDFAST_DRILL_TASK_DEFINITION',
} as const satisfies Record<TaskKind, VariableName>;

export function provideTasks(environment: Environment): Tasks {
  return makeTasks({
    client: bounded(new ECSClient(clientConfig())),
    clusterArn: readVariable('HOLDFAST_CLUSTER_ARN', environment),
    taskDefinition: (kind) => readVariable(DEFINITIONS[kind], environment),
  });
}
