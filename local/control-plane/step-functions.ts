import { randomUUID } from 'node:crypto';
import { StateMachine as Interpreter, type StateMachineDefinition } from 'aws-local-stepfunctions';
import * as z from 'zod';
import type { EventBus } from './event-bus.ts';
import { type HistoryEvent, historyEvent } from './execution-history.ts';
import { type Operations, operation, page } from './operation.ts';
import { type AslDefinition, allStates, checkSupported } from './scoped-definition.ts';
import { ServiceError } from './service-error.ts';
import { MAX_PAYLOAD_BYTES, type TimeoutError } from './state-errors.ts';
import { TaskTokens } from './task-tokens.ts';
import { runWorkflow, type StateEvent, type StateHandler } from './workflow-run.ts';

export type ExecutionStatus = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'TIMED_OUT' | 'ABORTED';

export interface StateMachineRegistration {
  readonly name: string;
  /** The state machine as in its file; placeholders in function names may stay. */
  readonly definition: object;
  /** One for each Task state, by the state's name: gets the Lambda's payload, as JSON. */
  readonly handlers: Readonly<Record<string, StateHandler>>;
}

export interface ExecutionView {
  readonly executionArn: string;
  readonly stateMachineArn: string;
  readonly name: string;
  readonly status: ExecutionStatus;
  readonly startDate: Date;
  readonly stopDate: Date | undefined;
  readonly input: unknown;
  readonly output: unknown;
  readonly error: string | undefined;
  readonly cause: string | undefined;
}

type StatusEventType =
  | 'ExecutionStarted'
  | 'ExecutionSucceeded'
  | 'ExecutionFailed'
  | 'ExecutionTimedOut'
  | 'ExecutionAborted';

export type ExecutionEvent = { readonly executionArn: string; readonly timestamp: Date } & (
  | StateEvent
  | {
      readonly type: StatusEventType;
      readonly status: ExecutionStatus;
      readonly output?: unknown;
      readonly error?: string | undefined;
      readonly cause?: string | undefined;
    }
);

export interface StepFunctionsOptions {
  readonly account: string;
  readonly region: string;
  readonly bus: EventBus;
  readonly timeoutError: TimeoutError;
  readonly waitScale: number;
  readonly timeoutScale: number;
  readonly onEvent?: ((event: ExecutionEvent) => void) | undefined;
}

interface Machine extends StateMachineRegistration {
  readonly arn: string;
  readonly created: Date;
}

interface Execution {
  readonly arn: string;
  readonly machine: Machine;
  readonly name: string;
  readonly inputText: string;
  readonly startDate: Date;
  readonly history: HistoryEvent[];
  readonly stop: AbortController;
  status: ExecutionStatus;
  stopDate?: Date;
  output?: unknown;
  error?: string | undefined;
  cause?: string | undefined;
  ended: Promise<void>;
}

const Arn = z.string().startsWith('arn:');
const Paging = {
  maxResults: z.int().min(0).max(1000).default(100),
  nextToken: z.string().optional(),
};

/** Step Functions: registered state machines, run by the interpreter of `workflow-run.ts`. */
export class StepFunctions {
  readonly operations: Operations;
  readonly #options: StepFunctionsOptions;
  readonly #tokens: TaskTokens;
  readonly #machines = new Map<string, Machine>();
  readonly #executions = new Map<string, Execution>();

  constructor(options: StepFunctionsOptions) {
    this.#options = options;
    this.#tokens = new TaskTokens(options.timeoutError);
    const taskToken = z.string().min(1).max(2048);
    this.operations = {
      StartExecution: operation(
        z.strictObject({
          stateMachineArn: Arn,
          name: z.string().optional(),
          input: z.string().default('{}'),
          traceHeader: z.string().optional(),
        }),
        ({ stateMachineArn, name, input }) => {
          const { arn, startDate } = this.#start(stateMachineArn, name ?? randomUUID(), input);
          return { executionArn: arn, startDate };
        },
      ),
      DescribeExecution: operation(
        z.strictObject({ executionArn: Arn, includedData: z.string().optional() }),
        ({ executionArn }) => describe(this.#execution(executionArn)),
      ),
      ListExecutions: operation(
        z.strictObject({
          stateMachineArn: Arn,
          statusFilter: z
            .enum(['RUNNING', 'SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'])
            .optional(),
          ...Paging,
        }),
        ({ stateMachineArn, statusFilter, maxResults, nextToken }) => {
          const machine = this.#machine(stateMachineArn);
          const all = [...this.#executions.values()]
            .filter((it) => it.machine === machine && (statusFilter ?? it.status) === it.status)
            .reverse();
          const { items, next } = page(all, nextToken, maxResults || 100);
          return { executions: items.map(listed), nextToken: next };
        },
      ),
      StopExecution: operation(
        z.strictObject({
          executionArn: Arn,
          error: z.string().max(256).optional(),
          cause: z.string().max(32_768).optional(),
        }),
        async ({ executionArn, error, cause }) => {
          const execution = this.#execution(executionArn);
          if (execution.status === 'RUNNING') {
            Object.assign(execution, { error, cause });
            execution.stop.abort();
            await execution.ended;
          }
          return { stopDate: execution.stopDate };
        },
      ),
      GetExecutionHistory: operation(
        z.strictObject({
          executionArn: Arn,
          reverseOrder: z.boolean().default(false),
          includeExecutionData: z.boolean().optional(),
          ...Paging,
        }),
        ({ executionArn, reverseOrder, maxResults, nextToken }) => {
          const { history } = this.#execution(executionArn);
          const ordered = reverseOrder ? history.toReversed() : history;
          const { items, next } = page(ordered, nextToken, maxResults || 100);
          return { events: items, nextToken: next };
        },
      ),
      DescribeStateMachine: operation(
        z.strictObject({ stateMachineArn: Arn, includedData: z.string().optional() }),
        ({ stateMachineArn }) => {
          const { arn, name, definition, created } = this.#machine(stateMachineArn);
          const roleArn = `arn:aws:iam::${options.account}:role/${name}`;
          return {
            stateMachineArn: arn,
            name,
            status: 'ACTIVE',
            type: 'STANDARD',
            roleArn,
            definition: JSON.stringify(definition),
            creationDate: created,
          };
        },
      ),
      ListStateMachines: operation(z.strictObject(Paging), ({ maxResults, nextToken }) => {
        const machines = [...this.#machines.values()];
        const { items, next } = page(machines, nextToken, maxResults || 100);
        const stateMachines = items.map(({ arn, name, created }) => ({
          stateMachineArn: arn,
          name,
          type: 'STANDARD',
          creationDate: created,
        }));
        return { stateMachines, nextToken: next };
      }),
      SendTaskSuccess: operation(
        z.strictObject({ taskToken, output: z.string() }),
        ({ taskToken, output }) => {
          this.#tokens.succeed(taskToken, parsePayload(output, 'InvalidOutput'));
          return {};
        },
      ),
      SendTaskFailure: operation(
        z.strictObject({
          taskToken,
          error: z.string().max(256).optional(),
          cause: z.string().max(32_768).optional(),
        }),
        ({ taskToken, error, cause }) => {
          this.#tokens.fail(taskToken, error, cause);
          return {};
        },
      ),
      SendTaskHeartbeat: operation(z.strictObject({ taskToken }), ({ taskToken }) => {
        this.#tokens.heartbeat(taskToken);
        return {};
      }),
    };
  }

  /**
   * Makes a state machine known and returns its ARN. One of the same name is replaced, for later
   * executions. Throws TypeError for a definition that is invalid or needs what we do not have, and
   * for Task states without a handler or handlers without a state.
   */
  registerStateMachine(registration: StateMachineRegistration): string {
    const { name, handlers } = registration;
    const text = JSON.stringify(registration.definition);
    const definition = JSON.parse(text) as AslDefinition;
    // The validator (in the constructor) wants ARNs where a file has placeholders.
    const arns = text.replaceAll(
      /\$\{(\w+)\}/g,
      'arn:aws:lambda:eu-west-1:123456789012:function:$1',
    );
    new Interpreter(JSON.parse(arns) as StateMachineDefinition);
    checkSupported(definition);
    const tasks = allStates(definition).filter(([, { Type }]) => Type === 'Task');
    const wanted = new Set(tasks.map(([task]) => task));
    const problems = [
      ...[...wanted].filter((it) => !handlers[it]).map((it) => `"${it}" has no handler`),
      ...Object.keys(handlers)
        .filter((it) => !wanted.has(it))
        .map((it) => `"${it}" is no Task state`),
    ];
    if (problems.length > 0) throw new TypeError(`state machine ${name}: ${problems.join(', ')}`);
    const { region, account } = this.#options;
    const arn = `arn:aws:states:${region}:${account}:stateMachine:${name}`;
    this.#machines.set(arn, { name, definition, handlers, arn, created: new Date() });
    return arn;
  }

  /** Starts an execution from inside; rejects as the API does. Returns its ARN. */
  startExecution(stateMachineArn: string, input: unknown, name: string = randomUUID()): string {
    return this.#start(stateMachineArn, name, JSON.stringify(input)).arn;
  }

  /** Resolves when the execution has ended, however it did. */
  async executionEnded(executionArn: string): Promise<ExecutionView> {
    const execution = this.#execution(executionArn);
    await execution.ended;
    return view(execution);
  }

  executions(): ExecutionView[] {
    return [...this.#executions.values()].map(view);
  }

  /** Aborts what runs. */
  async close(): Promise<void> {
    const running = [...this.#executions.values()];
    for (const { stop } of running) stop.abort();
    await Promise.all(running.map(({ ended }) => ended));
  }

  #start(stateMachineArn: string, name: string, inputText: string): Execution {
    const machine = this.#machine(stateMachineArn);
    // API reference, StartExecution: 1 to 80 characters, none of these, no control characters.
    if (!/^[^\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]{1,80}$/u.test(name)) {
      throw new ServiceError('InvalidName', `Invalid Name: '${name}'`);
    }
    const input = parsePayload(inputText, 'InvalidExecutionInput');
    const arn = `${machine.arn.replace(':stateMachine:', ':execution:')}:${name}`;
    const existing = this.#executions.get(arn);
    if (existing) {
      if (existing.status === 'RUNNING' && existing.inputText === inputText) return existing;
      throw new ServiceError('ExecutionAlreadyExists', `Execution Already Exists: '${arn}'`);
    }
    const execution: Execution = {
      arn,
      machine,
      name,
      inputText,
      startDate: new Date(),
      history: [],
      status: 'RUNNING',
      stop: new AbortController(),
      ended: Promise.resolve(),
    };
    this.#executions.set(arn, execution);
    execution.ended = this.#run(execution, input);
    return execution;
  }

  /** Never rejects. */
  async #run(execution: Execution, input: unknown): Promise<void> {
    const { arn, machine, name, startDate, stop } = execution;
    this.#statusChanged(execution, 'ExecutionStarted', {
      executionStartedEventDetails: { input: execution.inputText },
    });
    try {
      execution.output = await runWorkflow({
        definition: machine.definition as AslDefinition,
        handlers: machine.handlers,
        input,
        context: {
          Execution: { Id: arn, Input: input, Name: name, StartTime: startDate.toISOString() },
          StateMachine: { Id: machine.arn, Name: machine.name },
        },
        signal: stop.signal,
        tokens: this.#tokens,
        waitScale: this.#options.waitScale,
        timeoutScale: this.#options.timeoutScale,
        onEvent: (event) => this.#stateEvent(execution, event),
      });
      this.#end(execution, 'SUCCEEDED', 'ExecutionSucceeded', {
        executionSucceededEventDetails: { output: JSON.stringify(execution.output) },
      });
    } catch (thrown) {
      const { name: error, message: cause } = thrown as Error;
      if (error === 'ExecutionAbortedError') {
        const details = { error: execution.error, cause: execution.cause };
        this.#end(execution, 'ABORTED', 'ExecutionAborted', {
          executionAbortedEventDetails: details,
        });
      } else if (error === 'ExecutionTimeoutError') {
        this.#end(execution, 'TIMED_OUT', 'ExecutionTimedOut', {
          executionTimedOutEventDetails: { error: 'States.Timeout' },
        });
      } else {
        Object.assign(execution, { error: error || undefined, cause });
        this.#end(execution, 'FAILED', 'ExecutionFailed', {
          executionFailedEventDetails: { error, cause },
        });
      }
    }
  }

  #end(
    execution: Execution,
    status: ExecutionStatus,
    type: StatusEventType,
    details: object,
  ): void {
    execution.stopDate = new Date();
    execution.status = status;
    this.#statusChanged(execution, type, details);
  }

  #stateEvent(execution: Execution, event: StateEvent): void {
    const recorded = historyEvent(event);
    if (recorded) record(execution, recorded.type, recorded.details);
    this.#options.onEvent?.({ executionArn: execution.arn, timestamp: new Date(), ...event });
  }

  #statusChanged(execution: Execution, type: StatusEventType, details: object): void {
    const { arn, status, output, error, cause } = execution;
    record(execution, type, details);
    this.#options.onEvent?.({
      executionArn: arn,
      timestamp: new Date(),
      type,
      status,
      error,
      cause,
      ...(status === 'SUCCEEDED' ? { output } : {}),
    });
    // "Step Functions events": the times are in milliseconds here.
    this.#options.bus.put({
      source: 'aws.states',
      'detail-type': 'Step Functions Execution Status Change',
      resources: [arn],
      detail: {
        ...describe(execution),
        startDate: execution.startDate.getTime(),
        stopDate: execution.stopDate?.getTime() ?? null,
      },
    });
  }

  #machine(arn: string): Machine {
    const machine = this.#machines.get(arn);
    if (machine) return machine;
    throw new ServiceError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${arn}'`);
  }

  #execution(arn: string): Execution {
    const execution = this.#executions.get(arn);
    if (execution) return execution;
    throw new ServiceError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
  }
}

function record(execution: Execution, type: string, details: object): void {
  const id = execution.history.length + 1;
  const timestamp = new Date();
  execution.history.push({ id, previousEventId: id - 1, timestamp, type, ...details });
}

function parsePayload(text: string, code: 'InvalidOutput' | 'InvalidExecutionInput'): unknown {
  if (Buffer.byteLength(text) > MAX_PAYLOAD_BYTES) {
    throw new ServiceError(code, `the payload is larger than ${MAX_PAYLOAD_BYTES} bytes`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ServiceError(code, `the payload is not JSON: ${(error as Error).message}`);
  }
}

function listed({ arn, machine, name, status, startDate, stopDate }: Execution) {
  return {
    executionArn: arn,
    stateMachineArn: machine.arn,
    name,
    status,
    startDate,
    stopDate,
  };
}

/** As DescribeExecution answers. */
function describe(execution: Execution) {
  const { inputText, output, status, error, cause } = execution;
  return {
    ...listed(execution),
    input: inputText,
    ...(status === 'SUCCEEDED' ? { output: JSON.stringify(output) } : {}),
    ...(status === 'FAILED' || status === 'ABORTED' ? { error, cause } : {}),
  };
}

function view(execution: Execution): ExecutionView {
  const { output, error, cause, inputText, stopDate } = execution;
  const input: unknown = JSON.parse(inputText);
  return { ...listed(execution), stopDate, input, output, error, cause };
}
