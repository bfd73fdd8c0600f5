import { RDSClient } from '@aws-sdk/client-rds';
import { S3Client } from '@aws-sdk/client-s3';
import { SchedulerClient } from '@aws-sdk/client-scheduler';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SNSClient } from '@aws-sdk/client-sns';
import { SQSClient } from '@aws-sdk/client-sqs';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { makePosture } from '#adapters/posture.ts';
import { readVariable } from '../environment.ts';
import type { Posture } from '../operator-ports.ts';
import type { Environment } from '../wire-deps.ts';

/** Somebody waits for the answers, and one that does not come is a finding: sooner given up than elsewhere. */
const ATTEMPTS = 3;
const REQUEST_MILLISECONDS = 15_000;

export function providePosture(environment: Environment): Posture {
  const config = () =>
    clientConfig({ attempts: ATTEMPTS, requestMilliseconds: REQUEST_MILLISECONDS });
  return makePosture({
    rds: bounded(new RDSClient(config())),
    s3: bounded(new S3Client(config())),
    scheduler: bounded(new SchedulerClient(config())),
    sqs: bounded(new SQSClient(config())),
    sfn: bounded(new SFNClient(config())),
    sns: bounded(new SNSClient(config())),
    bucket: readVariable('HOLDFAST_BUCKET', environment),
    caFile: readVariable('HOLDFAST_CA_FILE', environment),
  });
}
