import { PublishCommand, type SNSClient } from '@aws-sdk/client-sns';
import type { Alerts } from '#runtime/ports.ts';
import { translateAwsError } from './aws-errors.ts';

/**
 * Alerts through an SNS topic. Subscribers by e-mail get the text; SMS the subject; everything else
 * (SQS, Lambda, HTTPS, Firehose) gets the JSON, which is SNS's `default`. The JSON is thus sent once,
 * as all forms together must fit into 256 KiB.
 */
export function makeAlerts({
  client,
  topicArn,
}: {
  client: Pick<SNSClient, 'send'>;
  topicArn: string;
}): Alerts {
  return {
    async publish({ subject, text, json, attributes }) {
      const command = new PublishCommand({
        TopicArn: topicArn,
        Subject: subject,
        MessageStructure: 'json',
        Message: JSON.stringify({ default: JSON.stringify(json), email: text, sms: subject }),
        MessageAttributes: Object.fromEntries(
          Object.entries(attributes).map(([name, value]) => [
            name,
            { DataType: 'String', StringValue: value },
          ]),
        ),
      });
      try {
        await client.send(command);
      } catch (error) {
        throw translateAwsError(error, `publish to ${topicArn}`);
      }
    },
  };
}
