import { randomUUID } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { type Operations, operation } from './operation.ts';
import { ServiceError } from './service-error.ts';

/** What a subscriber by e-mail or by queue would get. */
export interface SnsMessage {
  readonly messageId: string;
  readonly topicArn: string;
  readonly subject: string | undefined;
  /** What goes to protocols that have no text of their own. */
  readonly message: string;
  /** Per protocol (`email`, `sqs`, `https`, …), where the publisher used `MessageStructure: json`. */
  readonly byProtocol: Readonly<Record<string, string>>;
  readonly attributes: Readonly<Record<string, string>>;
  readonly publishedAt: string;
}

/** "Amazon SNS quotas": 256 KB for the message with its attributes. */
const MAX_MESSAGE_BYTES = 262_144;

/** SNS: topics whose messages land in a folder, as JSON for programs and as text for people. */
export class Sns {
  readonly operations: Operations;
  readonly messages: SnsMessage[] = [];
  readonly #arnPrefix: string;
  readonly #inbox: string;
  readonly #onMessage: ((message: SnsMessage) => void) | undefined;
  readonly #topics = new Set<string>();

  constructor(options: {
    readonly account: string;
    readonly region: string;
    readonly inbox: string;
    readonly onMessage?: ((message: SnsMessage) => void) | undefined;
  }) {
    this.#arnPrefix = `arn:aws:sns:${options.region}:${options.account}:`;
    this.#inbox = options.inbox;
    this.#onMessage = options.onMessage;
    this.operations = {
      CreateTopic: operation(
        z.strictObject({ Name: z.string().regex(/^[\w-]{1,256}$/) }),
        ({ Name }) => ({ TopicArn: this.createTopic(Name) }),
      ),
      Publish: operation(
        z.strictObject({
          TopicArn: z.string(),
          Subject: z.string().optional(),
          Message: z.string(),
          MessageStructure: z.literal('json').optional(),
          MessageAttributes: z
            .array(
              z.strictObject({
                Name: z.string().regex(/^[\w.-]{1,256}$/),
                Value: z.strictObject({ DataType: z.string(), StringValue: z.string().min(1) }),
              }),
            )
            .default([]),
        }),
        (input) => this.#publish(input),
      ),
    };
  }

  /** Returns the topic's ARN; a topic that exists is returned as it is. */
  createTopic(name: string): string {
    const arn = `${this.#arnPrefix}${name}`;
    this.#topics.add(arn);
    return arn;
  }

  async #publish(input: {
    readonly TopicArn: string;
    readonly Subject?: string | undefined;
    readonly Message: string;
    readonly MessageStructure?: 'json' | undefined;
    readonly MessageAttributes: readonly { Name: string; Value: { StringValue: string } }[];
  }): Promise<object> {
    const { TopicArn, Subject, Message, MessageStructure, MessageAttributes } = input;
    if (!this.#topics.has(TopicArn)) {
      throw new ServiceError('NotFound', 'Topic does not exist', 404);
    }
    // Printable ASCII that does not begin with a space, less than 100 characters (API reference, Publish).
    if (Subject !== undefined && !/^[!-~][ -~]{0,98}$/.test(Subject)) {
      throw new ServiceError('InvalidParameter', 'Invalid parameter: Subject');
    }
    const byProtocol = MessageStructure === 'json' ? parseStructure(Message) : {};
    const attributes = Object.fromEntries(
      MessageAttributes.map(({ Name, Value }) => [Name, Value.StringValue]),
    );
    const sizeBytes = Buffer.byteLength(Message) + Buffer.byteLength(JSON.stringify(attributes));
    if (Message === '' || sizeBytes > MAX_MESSAGE_BYTES) {
      const reason = Message === '' ? 'Empty message' : 'Message too long';
      throw new ServiceError('InvalidParameter', `Invalid parameter: ${reason}`);
    }
    const message: SnsMessage = {
      messageId: randomUUID(),
      topicArn: TopicArn,
      subject: Subject,
      message: byProtocol['default'] ?? Message,
      byProtocol,
      attributes,
      publishedAt: new Date().toISOString(),
    };
    this.messages.push(message);
    await this.#store(message, this.messages.length);
    this.#onMessage?.(message);
    return { MessageId: message.messageId };
  }

  async #store(message: SnsMessage, number: number): Promise<void> {
    await mkdir(this.#inbox, { recursive: true });
    const stem = join(this.#inbox, String(number).padStart(4, '0'));
    const text = message.byProtocol['email'] ?? message.message;
    await writeFile(`${stem}.json`, `${JSON.stringify(message, undefined, 2)}\n`);
    await writeFile(`${stem}.txt`, `Subject: ${message.subject ?? ''}\n\n${text}\n`);
  }
}

function parseStructure(message: string): Readonly<Record<string, string>> {
  let value: unknown;
  try {
    value = JSON.parse(message);
  } catch {
    throw new ServiceError(
      'InvalidParameter',
      'Invalid parameter: Message Structure - JSON message body failed to parse',
    );
  }
  const parsed = z.record(z.string(), z.string()).safeParse(value);
  if (parsed.success && parsed.data['default'] !== undefined) return parsed.data;
  throw new ServiceError(
    'InvalidParameter',
    'Invalid parameter: Message Structure - No default entry in JSON message body',
  );
}
