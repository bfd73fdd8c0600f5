import { SFNClient } from '@aws-sdk/client-sfn';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makeWorkflow } from '#adapters/workflow.ts';
import type { Workflow } from '../ports.ts';

export const provideWorkflow = (): Workflow => makeWorkflow(bounded(new SFNClient(clientConfig())));
