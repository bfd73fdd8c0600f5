import { ECSClient } from '@aws-sdk/client-ecs';
import { RDSClient } from '@aws-sdk/client-rds';
import { S3Client } from '@aws-sdk/client-s3';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SNSClient } from '@aws-sdk/client-sns';
import { SSMClient } from '@aws-sdk/client-ssm';
import { makeAlerts } from '#adapters/alerts.ts';
import { clientConfig } from '#adapters/aws-client.ts';
import { makeClients } from '#adapters/clients.ts';
import { systemClock } from '#adapters/clock.ts';
import { makeDatabases } from '#adapters/databases.ts';
import { makeLog } from '#adapters/log.ts';
import { makeObjects } from '#adapters/objects.ts';
import { makePlans } from '#adapters/plans.ts';
import { makeSecrets } from '#adapters/secrets.ts';
import { makeSnapshots } from '#adapters/snapshots.ts';
import { makeTasks } from '#adapters/tasks.ts';
import { makeWorkflow } from '#adapters/workflow.ts';
import { readVariable, type VariableName } from './environment.ts';
import type { Deps } from './ports.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The real side effects, from the environment. Each is made when it is first used, so a function needs
 * only the variables (and pays only for the clients) of the slice it works with.
 */
export function buildDeps(environment: Environment): Deps {
  const read = <Name extends VariableName>(name: Name) => readVariable(name, environment);
  return lazily<Deps>({
    clock: () => systemClock,
    log: () => makeLog('holdfast'),
    objects: () =>
      makeObjects({
        // We check what we read ourselves: SHA-256 from the manifest, not S3's own header.
        client: new S3Client({ ...clientConfig(), responseChecksumValidation: 'WHEN_REQUIRED' }),
        bucket: read('HOLDFAST_BUCKET'),
        clock: systemClock,
      }),
    plans: () =>
      makePlans({ client: new SSMClient(clientConfig()), prefix: read('HOLDFAST_PLAN_PREFIX') }),
    snapshots: () => makeSnapshots({ client: new RDSClient(clientConfig()) }),
    tasks: () =>
      makeTasks({
        client: new ECSClient(clientConfig()),
        clusterArn: read('HOLDFAST_CLUSTER_ARN'),
        taskDefinitions: {
          'dump-database': read('HOLDFAST_DUMP_TASK_DEFINITION'),
          'verify-backup': read('HOLDFAST_VERIFY_TASK_DEFINITION'),
        },
      }),
    workflow: () => makeWorkflow(new SFNClient(clientConfig())),
    alerts: () =>
      makeAlerts({ client: new SNSClient(clientConfig()), topicArn: read('HOLDFAST_TOPIC_ARN') }),
    databases: () =>
      makeDatabases({
        secrets: makeSecrets({
          client: new SecretsManagerClient(clientConfig()),
          clock: systemClock,
        }),
        region: read('AWS_REGION'),
        caFile: read('HOLDFAST_CA_FILE'),
      }),
    clients: () => makeClients(read('HOLDFAST_POSTGRES_CLIENTS')),
  });
}

/** An object whose properties are made by their factories, once, when they are first read. */
function lazily<Shape extends object>(
  factories: { [Key in keyof Shape]: () => Shape[Key] },
): Shape {
  const made = {} as Shape;
  for (const key of Object.keys(factories) as (keyof Shape)[]) {
    Object.defineProperty(made, key, {
      enumerable: true,
      configurable: true,
      get() {
        const value = factories[key]();
        Object.defineProperty(made, key, { value, enumerable: true });
        return value;
      },
    });
  }
  return made;
}
