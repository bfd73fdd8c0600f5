import { PublishCommand, SNSClient } from '@aws-sdk/client-sns';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, it } from 'vitest';
import { makeAlerts } from '#adapters/alerts.ts';
import { missedRunAlert } from '#domain/alert-message.ts';

const topicArn = 'arn:aws:sns:eu-west-1:123456789012:holdfast-test-alerts';
const sns = mockClient(SNSClient);
const alerts = makeAlerts({ client: new SNSClient({}), topicArn });
const message = missedRunAlert({
  source: 'orders',
  due: new Date('2026-11-20T02:00:00Z'),
  schedule: 'cron(0 3 * * ? *) UTC',
  lastStart: undefined,
});

describe('an alert through SNS', () => {
  beforeEach(() => sns.reset());

  it('gives people the text, machines the JSON and filters the attributes', async () => {
    sns.on(PublishCommand).resolves({ MessageId: '1' });
    await alerts.publish(message);
    const input = sns.commandCalls(PublishCommand)[0]?.args[0].input;
    expect(input).toMatchObject({
      TopicArn: topicArn,
      Subject: message.subject,
      MessageStructure: 'json',
      MessageAttributes: {
        event: { DataType: 'String', StringValue: 'missed-run' },
        source: { DataType: 'String', StringValue: 'orders' },
      },
    });
    const forms = JSON.parse(input?.Message ?? '') as Record<string, string>;
    expect(forms['email']).toBe(message.text);
    expect(forms['sms']).toBe(message.subject);
    expect(JSON.parse(forms['default'] ?? '')).toEqual(message.json);
  });

  it.each([
    ['ThrottledException', 429, 'Throttled', true],
    ['InternalErrorException', 500, 'ServiceUnavailable', true],
    ['AuthorizationErrorException', 403, 'AccessDenied', false],
  ])(
    'that SNS answers with %s fails as one that may be retried or not',
    async (name, status, ours, retryable) => {
      sns
        .on(PublishCommand)
        .rejects(Object.assign(new Error('no'), { name, $metadata: { httpStatusCode: status } }));
      await expect(alerts.publish(message)).rejects.toMatchObject({ name: ours, retryable });
    },
  );
});
