import { RDSClient } from '@aws-sdk/client-rds';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makeServers } from '#adapters/servers.ts';
import type { Servers } from '../ports.ts';

export const provideServers = (): Servers =>
  makeServers({ client: bounded(new RDSClient(clientConfig())) });
