import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DeploymentRecord, deploymentParameter } from '#contracts/deployment-record.ts';
import { LOCAL_SERVICES_FILE, LocalServices } from '#contracts/local-services.ts';
import type { Stack } from './stack.ts';

const STAGE = 'local';

/**
 * Makes the running services known to the operator's command: their deployment record, as the stack writes
 * it on AWS, and `<directory>/services.json`, which says where they are. Returns what removes the latter; to
 * be called before the services end.
 */
export async function publishServices(
  stack: Pick<Stack, 'plane' | 'environment' | 'stateMachineArns'>,
  directory: string,
): Promise<() => Promise<void>> {
  const { plane, environment } = stack;
  const record = deploymentOf(stack);
  plane.ssm.putParameter(deploymentParameter(STAGE), JSON.stringify(record));
  const services: LocalServices = LocalServices.parse({
    version: 1,
    stage: STAGE,
    pid: process.pid,
    environment: {
      // What no service here stands for is refused here, rather than asked of AWS.
      AWS_ENDPOINT_URL: plane.endpoint,
      ...environment,
    },
  });
  const file = join(directory, LOCAL_SERVICES_FILE);
  // An old one may have another mode, which writing would leave as it is.
  await rm(file, { force: true });
  await writeFile(file, `${JSON.stringify(services, null, 1)}\n`, { mode: 0o600 });
  return () => rm(file, { force: true });
}

function deploymentOf({
  environment,
  stateMachineArns,
}: Pick<Stack, 'environment' | 'stateMachineArns'>): DeploymentRecord {
  const { backup, restore, 'restore-server': restoreServer, drill } = stateMachineArns;
  return DeploymentRecord.parse({
    version: 1,
    stage: STAGE,
    bucket: environment['HOLDFAST_BUCKET'],
    planPrefix: environment['HOLDFAST_PLAN_PREFIX'],
    topicArn: environment['HOLDFAST_TOPIC_ARN'],
    stateMachines: { backup, restore, restoreServer, drill },
    clusterArn: environment['HOLDFAST_CLUSTER_ARN'],
    taskDefinitions: {
      dump: environment['HOLDFAST_DUMP_TASK_DEFINITION'],
      verify: environment['HOLDFAST_VERIFY_TASK_DEFINITION'],
      restore: environment['HOLDFAST_RESTORE_TASK_DEFINITION'],
      drill: environment['HOLDFAST_DRILL_TASK_DEFINITION'],
    },
  });
}
