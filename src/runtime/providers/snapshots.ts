import { RDSClient } from '@aws-sdk/client-rds';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makeSnapshots } from '#adapters/snapshots.ts';
import type { Snapshots } from '../ports.ts';

export const provideSnapshots = (): Snapshots =>
  makeSnapshots({ client: bounded(new RDSClient(clientConfig())) });
