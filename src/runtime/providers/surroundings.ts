import { RDSClient } from '@aws-sdk/client-rds';
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { askSchedule, askSnapshotQuotas } from '#adapters/surroundings.ts';
import { readVariable } from '../environment.ts';
import type { Surroundings } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

/** They are asked every hour, and an answer that does not come is one that is missing. */
const ATTEMPTS = 2;
const REQUEST_MILLISECONDS = 10_000;

export function provideSurroundings(environment: Environment): Surroundings {
  const config = () =>
    clientConfig({ attempts: ATTEMPTS, requestMilliseconds: REQUEST_MILLISECONDS });
  const scheduler = bounded(new SchedulerClient(config()));
  const rds = bounded(new RDSClient(config()));
  // resources/from-plan.ts names the group.
  const group = `holdfast-${readVariable('HOLDFAST_STAGE', environment)}`;
  return {
    region: readVariable('AWS_REGION', environment),
    schedule: (name) => askSchedule(scheduler, group, name),
    snapshotQuotas: () => askSnapshotQuotas(rds),
  };
}
