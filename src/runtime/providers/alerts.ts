import { SNSClient } from '@aws-sdk/client-sns';
import { makeAlerts } from '#adapters/alerts.ts';
import { bounded, clientConfig } from '#adapters/aws-client.ts';
import { readVariable } from '../environment.ts';
import type { Alerts } from '../ports.ts';
import type { Environment } from '../wire-deps.ts';

export function provideAlerts(environment: Environment): Alerts {
  return makeAlerts({
    client: bounded(new SNSClient(clientConfig())),
    topicArn: readVariable('HOLDFAST_TOPIC_ARN', environment),
  });
}
