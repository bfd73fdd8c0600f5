import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { AlarmDefinition } from '#contracts/metrics.ts';
import { type AlarmRule, evaluateRule } from '#domain/monitoring/evaluate-alarm.ts';
import type { EventBus } from '#local/control-plane/event-bus.ts';
import type { SnsMessage } from '#local/control-plane/sns.ts';
import type { ExecutionEvent } from '#local/control-plane/step-functions.ts';
import { FunctionError } from '#local/lambda-host.ts';
import { LOCAL, type Stack } from '#local/stack.ts';

/** An alarm of resources/monitoring.yml, with the names that the local stack has. */
export interface DeploymentAlarm {
  readonly id: string;
  /** As {@link AwsMetrics} counts it. */
  readonly metric: string;
  readonly rule: AlarmRule;
}

/** The local stack has one queue of what could not be delivered, without a name. */
const QUEUE = 'undelivered';

const Intrinsic = z.union([
  z.strictObject({ Ref: z.string() }),
  z.strictObject({ GetAtt: z.string() }),
]);
/** Nothing else: a property that is not read here could change what the alarm does. */
const Alarm = z.strictObject({
  Type: z.literal('AWS::CloudWatch::Alarm'),
  Properties: z.strictObject({
    AlarmDescription: z.string(),
    ActionsEnabled: z.literal(`\${param:alarmActions}`),
    AlarmActions: z.tuple([z.strictObject({ Ref: z.literal('AlertTopic') })]),
    Namespace: z.string(),
    MetricName: z.string(),
    Dimensions: z.tuple([z.strictObject({ Name: z.string(), Value: Intrinsic })]),
    Statistic: AlarmDefinition.shape.statistic,
    Period: AlarmDefinition.shape.periodSeconds,
    EvaluationPeriods: AlarmDefinition.shape.evaluationPeriods,
    Threshold: z.number(),
    ComparisonOperator: AlarmDefinition.shape.comparison,
    TreatMissingData: AlarmDefinition.shape.missingData,
  }),
});
const Fragment = z.strictObject({ Resources: z.record(z.string(), Alarm) });

/** The alarms of the deployment as they are deployed. */
export function deploymentAlarms(): DeploymentAlarm[] {
  const file = resolve(import.meta.dirname, '../../resources/monitoring.yml');
  const intrinsic = (name: 'Ref' | 'GetAtt') => ({
    tag: `!${name}`,
    resolve: (text: string) => ({ [name]: text }),
  });
  const { Resources } = Fragment.parse(
    parse(readFileSync(file, 'utf8'), {
      merge: true,
      maxAliasCount: -1,
      customTags: [intrinsic('Ref'), intrinsic('GetAtt')],
    }),
  );
  return Object.entries(Resources).map(([id, { Properties: it }]) => ({
    id,
    metric: metricName(it.Namespace, it.MetricName, {
      [it.Dimensions[0].Name]: localValue(it.Dimensions[0].Value),
    }),
    rule: {
      statistic: it.Statistic,
      periodSeconds: it.Period,
      evaluationPeriods: it.EvaluationPeriods,
      // CloudFormation: as many as are evaluated, where it is not said.
      datapointsToAlarm: it.EvaluationPeriods,
      threshold: it.Threshold,
      comparison: it.ComparisonOperator,
      missingData: it.TreatMissingData,
    },
  }));
}

/** What CloudFormation puts there: `Ref` is the ARN of a state machine, the name of a function, the URL of a queue. */
function localValue(value: z.infer<typeof Intrinsic>): string {
  const text = 'Ref' in value ? value.Ref : `${value.GetAtt}()`;
  if (text === 'DeadLetterQueue.QueueName()') return QUEUE;
  if (text === 'AlertTopic.TopicName()') return LOCAL.topic;
  const [, name = '', type] = /^(\w+)(StateMachine|LambdaFunction)$/.exec(text) ?? [];
  const kebab = name.replace(/(?!^)([A-Z])/g, '-$1').toLowerCase();
  if (type === 'StateMachine') return `${LOCAL.stateMachineArn}${kebab}`;
  if (type === 'LambdaFunction') return kebab;
  throw new Error(`no alarm can look at ${JSON.stringify(value)}`);
}

function metricName(namespace: string, name: string, dimension: Record<string, string>): string {
  return `${namespace} ${name} ${JSON.stringify(dimension)}`;
}

const ENDS: Readonly<Record<string, string>> = {
  ExecutionFailed: 'ExecutionsFailed',
  ExecutionTimedOut: 'ExecutionsTimedOut',
  ExecutionAborted: 'ExecutionsAborted',
};

/**
 * Counts on a local stack what AWS counts of a deployment, under AWS's own names. Sources: AWS Step Functions Developer Guide,
 * "Monitoring Step Functions metrics using Amazon CloudWatch"; AWS Lambda, "Types of metrics for Lambda functions"; Amazon SQS,
 * "Available CloudWatch metrics"; Amazon SNS, "Monitoring Amazon SNS topics using CloudWatch". No zeros are counted where nothing
 * happened, though some services do: without them an alarm stays red the longest.
 *
 * What a machine of one's own does not have is decided here: room for functions, a quota of state transitions, and what
 * the subscriber of alerts answers.
 */
export class AwsMetrics {
  /** Calls of a function that find no room from now on. */
  readonly throttled = new Map<string, number>();
  /** Functions that do not answer. */
  readonly hanging = new Set<string>();
  /** Further states that executions may enter at their own pace. */
  transitionsLeft = Number.POSITIVE_INFINITY;
  /** Takes alerts by HTTP. */
  subscriberUrl = '';
  readonly #fresh: { metric: string; value: number }[] = [];
  readonly #deliveries = new Set<Promise<void>>();

  /** For startStack. */
  readonly stackOptions = {
    onExecutionEvent: (event: ExecutionEvent) => this.#countExecution(event),
    onMessage: (message: SnsMessage) => {
      const delivery = this.#deliver(message);
      this.#deliveries.add(delivery);
      void delivery.finally(() => this.#deliveries.delete(delivery));
    },
  };

  /** From now on, calls of functions count. */
  watch({ functions }: Pick<Stack, 'functions'>): void {
    const invoke = functions.invoke.bind(functions);
    functions.invoke = async (name, payload) => {
      const dimension = { FunctionName: name };
      const refused = this.throttled.get(name) ?? 0;
      if (refused > 0) {
        this.throttled.set(name, refused - 1);
        this.#count('AWS/Lambda', 'Throttles', dimension);
        throw new FunctionError('TooManyRequestsException', 'Rate Exceeded.', undefined);
      }
      if (this.hanging.has(name)) await new Promise(() => {});
      try {
        return await invoke(name, payload);
      } catch (error) {
        this.#count('AWS/Lambda', 'Errors', dimension);
        throw error;
      }
    };
  }

  /** There is room for everything, and everybody answers. */
  breakNothing(): void {
    this.throttled.clear();
    this.hanging.clear();
    this.transitionsLeft = Number.POSITIVE_INFINITY;
  }

  /** What was counted since the last call, and the length of the queue now. */
  async take(bus: Pick<EventBus, 'idle' | 'deadLetters'>) {
    await bus.idle();
    await Promise.all(this.#deliveries);
    const metric = 'ApproximateNumberOfMessagesVisible';
    this.#count('AWS/SQS', metric, { QueueName: QUEUE }, bus.deadLetters.length);
    return this.#fresh.splice(0);
  }

  #count(namespace: string, name: string, dimension: Record<string, string>, value = 1): void {
    this.#fresh.push({ metric: metricName(namespace, name, dimension), value });
  }

  #countExecution({ type, executionArn }: ExecutionEvent): void {
    const StateMachineArn = executionArn
      .replace(':execution:', ':stateMachine:')
      .replace(/:[^:]+$/, '');
    const end = ENDS[type];
    if (end !== undefined) this.#count('AWS/States', end, { StateMachineArn });
    if (type !== 'StateEntered') return;
    if (this.transitionsLeft > 0) this.transitionsLeft -= 1;
    else this.#count('AWS/States', 'ExecutionThrottled', { StateMachineArn });
  }

  /** Never rejects. */
  async #deliver({ message }: SnsMessage): Promise<void> {
    const taken = await fetch(this.subscriberUrl, { method: 'POST', body: message }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (!taken) this.#count('AWS/SNS', 'NumberOfNotificationsFailed', { TopicName: LOCAL.topic });
  }
}

/**
 * An hour at the pace of a test: what is counted while something is done is dated to a minute of it. Nothing but the time
 * of the values is made up.
 */
export class AlarmHour {
  readonly #alarms = deploymentAlarms();
  readonly #began = Date.parse('2026-11-20T00:00:00Z');
  readonly #values: { metric: string; time: Date; value: number }[] = [];
  readonly #metrics: AwsMetrics;
  readonly #bus: EventBus;

  private constructor(metrics: AwsMetrics, bus: EventBus) {
    this.#metrics = metrics;
    this.#bus = bus;
  }

  /** Nothing counts that happened before. */
  static async begin(metrics: AwsMetrics, { bus }: { bus: EventBus }): Promise<AlarmHour> {
    await metrics.take(bus);
    return new AlarmHour(metrics, bus);
  }

  /** Does it in that minute, and all that follows from it. */
  async during(minute: number, what: () => unknown): Promise<void> {
    await what();
    const time = new Date(this.#began + (minute + 0.5) * 60_000);
    const fresh = await this.#metrics.take(this.#bus);
    this.#values.push(...fresh.map((value) => ({ ...value, time })));
  }

  /** The alarms that are in state ALARM when the minute is over, by name. */
  red(minute: number): string[] {
    const now = new Date(this.#began + (minute + 1) * 60_000);
    return this.#alarms
      .filter(({ metric, rule }) => {
        const series = this.#values.filter((value) => value.metric === metric);
        return evaluateRule(rule, series, now).state === 'ALARM';
      })
      .map(({ id }) => id)
      .sort();
  }
}
