import type { DeploymentRecord } from '#contracts/deployment-record.ts';
import type {
  ExecutionState,
  Executions,
  Link,
  Links,
  OperatorDeps,
  Posture,
  StateTransition,
} from '#runtime/operator-ports.ts';
import { runCli } from '../../cli/program.ts';
import { ACCOUNT } from './fakes/builders.ts';
import { type FakeDeps, makeDeps } from './fakes/deps.ts';
import { makePosture } from './fakes/posture.ts';

/** Calls the operator's command on fakes. */

const arn = (name: string) =>
  `arn:aws:states:eu-west-1:${ACCOUNT}:stateMachine:holdfast-test-${name}`;

export const RECORD: DeploymentRecord = {
  version: 1,
  stage: 'test',
  bucket: 'holdfast-test',
  planPrefix: '/holdfast/test/sources/',
  topicArn: `arn:aws:sns:eu-west-1:${ACCOUNT}:holdfast-test-alerts`,
  stateMachines: {
    backup: arn('backup'),
    restore: arn('restore'),
    restoreServer: arn('restore-server'),
    drill: arn('drill'),
  },
  clusterArn: `arn:aws:ecs:eu-west-1:${ACCOUNT}:cluster/holdfast-test`,
  taskDefinitions: {},
};

export interface FakeExecutions extends Executions {
  readonly started: { stateMachineArn: string; name: string; input: unknown }[];
  /** What every execution ends with. */
  end: Partial<ExecutionState>;
  /** Told before the end. */
  told: Omit<StateTransition, 'id' | 'time'>[];
  /** Called when an execution was started, with its name and its ARN. */
  onStart: (name: string, executionArn: string) => void;
}

export function makeExecutions(now: () => Date): FakeExecutions {
  const fake: FakeExecutions = {
    started: [],
    end: { status: 'SUCCEEDED' },
    told: [],
    onStart() {},
    async start(request) {
      fake.started.push(request);
      const executionArn = `${request.stateMachineArn.replace(':stateMachine:', ':execution:')}:${request.name}`;
      fake.onStart(request.name, executionArn);
      return { executionArn, startedAt: now() };
    },
    async describe(executionArn) {
      return {
        executionArn,
        status: 'SUCCEEDED',
        startedAt: now(),
        endedAt: now(),
        error: undefined,
        cause: undefined,
        ...fake.end,
      };
    },
    async transitions(_executionArn, afterId) {
      return fake.told
        .map((event, index) => ({ ...event, id: index + 1, time: now() }))
        .filter(({ id }) => id > afterId);
    },
  };
  return fake;
}

export interface FakeLinks extends Links {
  readonly made: Parameters<Links['create']>[0][];
  credentialsEndAt: Date | undefined;
}

export function makeLinks(now: () => Date): FakeLinks {
  const fake: FakeLinks = {
    made: [],
    credentialsEndAt: undefined,
    async create(request): Promise<Link> {
      fake.made.push(request);
      return {
        url: `https://bucket.example/${request.key}?signed`,
        expiresAt: new Date(now().getTime() + request.expiresSeconds * 1000),
        credentialsEndAt: fake.credentialsEndAt,
      };
    },
  };
  return fake;
}

export interface CliDeps extends FakeDeps {
  readonly executions: FakeExecutions;
  readonly links: FakeLinks;
  readonly posture: Posture;
}

export function makeCliDeps(overrides: Partial<OperatorDeps> = {}): CliDeps {
  const deps = makeDeps(overrides) as unknown as FakeDeps;
  const now = () => deps.clock.now();
  const { posture = makePosture() } = overrides;
  return { ...deps, executions: makeExecutions(now), links: makeLinks(now), posture };
}

export interface CliEnd {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output, which must be one JSON document. */
  readonly document: Record<string, unknown>;
}

export interface CliSetting {
  readonly deps?: OperatorDeps;
  readonly record?: DeploymentRecord;
  /** Of the person at the terminal; without any, nobody is there. */
  readonly answers?: readonly string[];
  readonly isTty?: boolean;
  readonly isLocal?: boolean;
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Runs `holdfast <argv…>`. */
export async function runCommand(
  argv: readonly string[],
  setting: CliSetting = {},
): Promise<CliEnd> {
  const { deps = makeCliDeps(), record = RECORD, environment = {}, isLocal = false } = setting;
  const answers = [...(setting.answers ?? [])];
  const text = { out: '', err: '' };
  const exitCode = await runCli(argv, {
    environment,
    signal: setting.signal ?? new AbortController().signal,
    connect: async () => ({ record, deps, region: 'eu-west-1', isLocal }),
    terminal: {
      out(chunk) {
        text.out += chunk;
      },
      err(chunk) {
        text.err += chunk;
      },
      outIsTty: setting.isTty === true,
      errIsTty: setting.isTty === true,
      canAsk: setting.answers !== undefined,
      async ask(question) {
        text.err += question;
        return answers.shift() ?? '';
      },
    },
  });
  return {
    exitCode,
    stdout: text.out,
    stderr: text.err,
    get document() {
      return JSON.parse(text.out) as Record<string, unknown>;
    },
  };
}
