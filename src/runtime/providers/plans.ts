import { SSMClient } from '@aws-sdk/client-ssm';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makePlans } from '#adapters/plans.ts';
import { readVariable } from '../environment.ts';
import type { Plans } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export function providePlans(environment: Environment): Plans {
  return makePlans({
    client: bounded(new SSMClient(clientConfig())),
    prefix: readVariable('HOLDFAST_PLAN_PREFIX', environment),
  });
}
