import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { systemClock } from '#adapters/clock.ts';
import { makeDatabases } from '#adapters/databases.ts';
import { makeSecrets } from '#adapters/secrets.ts';
import { readVariable } from '../environment.ts';
import type { Databases } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideDatabases(environment: Environment): Databases {
  return makeDatabases({
    secrets: makeSecrets({
      client: bounded(new SecretsManagerClient(clientConfig())),
      clock: systemClock,
    }),
    region: readVariable('AWS_REGION', environment),
    caFile: readVariable('HOLDFAST_CA_FILE', environment),
  });
}
