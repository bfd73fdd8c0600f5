import { SSMClient } from '@aws-sdk/client-ssm';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makeDeployments } from '#adapters/deployments.ts';
import { readVariable } from '../environment.ts';
import type { Deployments } from '../operator-ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideDeployments(environment: Environment): Deployments {
  return makeDeployments({
    client: bounded(new SSMClient(clientConfig())),
    region: readVariable('AWS_REGION', environment),
  });
}
