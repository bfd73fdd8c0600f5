import { SSMClient } from '@aws-sdk/client-ssm';
import type { DeploymentRecord } from '#contracts/deployment-record.ts';
import { buildDeps } from '#runtime/deps.ts';
import type { OperatorDeps } from '#runtime/operator-ports.ts';
import type { Log } from '#runtime/ports.ts';
import { provideDeployments } from '#runtime/providers/deployments.ts';
import { provideExecutions } from '#runtime/providers/executions.ts';
import { provideLinks } from '#runtime/providers/links.ts';
import { providePosture } from '#runtime/providers/posture.ts';
import type { Environment } from '#runtime/wire-deps.ts';
import { readLocalServices } from './local-services.ts';
import { findPostgresClients } from './postgres-clients.ts';

/** Options that every command has. */
export interface GlobalOptions {
  readonly stage?: string;
  readonly region?: string;
  /** Folder of the local services. */
  readonly local?: string;
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** The deployment that a command works with. */
export interface OpenDeployment {
  readonly record: DeploymentRecord;
  readonly deps: OperatorDeps;
  readonly region: string;
  /** It runs on this machine. */
  readonly isLocal: boolean;
}

export type Connect = (options: GlobalOptions) => Promise<OpenDeployment>;

const DEFAULT_STAGE = 'prod';

/** What of the caller's environment would lead the SDK past the local services. */
const OF_AWS = [
  'AWS_PROFILE',
  'AWS_DEFAULT_PROFILE',
  'AWS_SESSION_TOKEN',
  'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_ROLE_ARN',
];

/**
 * Finds the deployment and makes its side effects. The SDK reads its settings from `environment`, which is
 * `process.env` and is changed here: from then on the whole process talks to this one deployment.
 * Throws DeploymentNotFound, InvalidEnvironment, CredentialsUnusable.
 */
export function connectTo(environment: Record<string, string | undefined>): Connect {
  return async (options) => {
    let stage = options.stage ?? environment['HOLDFAST_STAGE'] ?? DEFAULT_STAGE;
    if (options.local !== undefined) {
      const services = await readLocalServices(options.local);
      for (const name of OF_AWS) delete environment[name];
      Object.assign(environment, services.environment);
      stage = options.stage ?? services.stage;
    }
    const region = await settleRegion(options, environment);
    environment['AWS_REGION'] = region;
    const record = await provideDeployments(environment).load(stage);
    const deps = wireOperatorDeps({ ...environment, ...variablesOf(record, environment) });
    return { record, deps, region, isLocal: options.local !== undefined };
  };
}

async function settleRegion(options: GlobalOptions, environment: Environment): Promise<string> {
  const named =
    options.region ?? environment['AWS_REGION'] ?? environment['AWS_DEFAULT_REGION'] ?? undefined;
  // The profile may name one.
  return named ?? (await new SSMClient({}).config.region());
}

/** The environment contract of the functions, as the deployment gives it to them. */
function variablesOf(record: DeploymentRecord, environment: Environment): Environment {
  const { dump, verify, restore } = record.taskDefinitions;
  return {
    HOLDFAST_BUCKET: record.bucket,
    HOLDFAST_STAGE: record.stage,
    HOLDFAST_PLAN_PREFIX: record.planPrefix,
    HOLDFAST_TOPIC_ARN: record.topicArn,
    HOLDFAST_CLUSTER_ARN: record.clusterArn,
    HOLDFAST_DUMP_TASK_DEFINITION: dump,
    HOLDFAST_VERIFY_TASK_DEFINITION: verify,
    HOLDFAST_RESTORE_TASK_DEFINITION: restore,
    HOLDFAST_STATE_MACHINE_ARN: record.stateMachines.backup,
    HOLDFAST_POSTGRES_CLIENTS:
      environment['HOLDFAST_POSTGRES_CLIENTS'] ?? findPostgresClients(import.meta.dirname),
  };
}

/** The log is for functions; a command tells what it does itself. */
const silence: Log = { info() {}, warn() {}, error() {} };

function wireOperatorDeps(environment: Environment): OperatorDeps {
  const deps = buildDeps(environment, { log: () => silence });
  const executions = provideExecutions();
  const links = provideLinks(environment);
  const posture = providePosture(environment);
  // Spreading would make every side effect at once.
  return Object.assign(deps, { executions, links, posture });
}
