import { SFNClient } from '@aws-sdk/client-sfn';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makeExecutions } from '#adapters/executions.ts';
import type { Executions } from '../operator-ports.ts';

export const provideExecutions = (): Executions =>
  makeExecutions(bounded(new SFNClient(clientConfig())));
