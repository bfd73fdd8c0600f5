import type { AlertMessage } from '#contracts/alert-message.ts';
import type { MetricValues } from '#contracts/metrics.ts';
import type { Answer, SchedulePosture, SnapshotQuotas } from '#contracts/posture.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { SnapshotState } from '#contracts/workflow.ts';
import { DatabaseNotFound, DrillServerFailed, SnapshotFailed, UnknownSource } from '#errors';
import type {
  Alerts,
  Clients,
  Clock,
  Databases,
  Deps,
  Log,
  Metrics,
  OwnSnapshot,
  Plans,
  Snapshots,
  Surroundings,
  TaskRequest,
  Tasks,
  ThrowawayServers,
  Workflow,
} from '#runtime/ports.ts';
import { ACCOUNT, makePlan } from './builders.ts';
import { type MemoryObjects, makeMemoryObjects } from './memory-objects.ts';
import { type FakeServers, makeServers } from './servers.ts';

/** In-memory stand-ins of every port. Input that a fake does not know throws: nothing is guessed. */
export interface FakeDeps extends Deps {
  readonly clock: FakeClock;
  readonly log: FakeLog;
  readonly objects: MemoryObjects;
  readonly plans: FakePlans;
  readonly snapshots: FakeSnapshots;
  readonly servers: FakeServers;
  readonly tasks: FakeTasks;
  readonly workflow: FakeWorkflow;
  readonly alerts: FakeAlerts;
  readonly metrics: FakeMetrics;
  readonly surroundings: FakeSurroundings;
}

/** Fakes for everything, one clock for all, the plan of {@link makePlan}; override what matters. */
export function makeDeps<Overrides extends Partial<Deps> = Record<never, never>>(
  overrides: Overrides = {} as Overrides,
): Omit<FakeDeps, keyof Overrides> & Overrides {
  const clock = makeClock();
  const shared = overrides.clock ?? clock;
  return {
    clock,
    log: makeLog(),
    objects: makeMemoryObjects(shared),
    plans: makePlans([makePlan()]),
    snapshots: makeSnapshots(),
    servers: makeServers(),
    tasks: makeTasks(),
    workflow: makeWorkflow(),
    alerts: makeAlerts(),
    databases: makeDatabases({}),
    clients: makeClients(),
    metrics: makeMetrics(),
    throwawayServers: makeThrowawayServers(),
    surroundings: makeSurroundings(),
    ...overrides,
  };
}

export interface FakeMetrics extends Metrics {
  readonly recorded: { source: string; database?: string; values: MetricValues }[];
}

export function makeMetrics(): FakeMetrics {
  const recorded: FakeMetrics['recorded'] = [];
  return { recorded, record: (of, values) => void recorded.push({ ...of, values }) };
}

export interface FakeSurroundings extends Surroundings {
  /** By name. */
  readonly schedules: Map<string, Answer<SchedulePosture | undefined>>;
  quotas: Answer<SnapshotQuotas>;
}

/** No schedule is known and RDS says nothing of quotas; set what matters. */
export function makeSurroundings(): FakeSurroundings {
  const schedules: FakeSurroundings['schedules'] = new Map();
  const fake: FakeSurroundings = {
    region: 'eu-west-1',
    schedules,
    quotas: { known: true, fact: { instance: undefined, cluster: undefined } },
    schedule: async (name) => schedules.get(name) ?? { known: true, fact: undefined },
    snapshotQuotas: async () => fake.quotas,
  };
  return fake;
}

/** There is none: what starts one is tested with a real one. */
export function makeThrowawayServers(): ThrowawayServers {
  return {
    majors: async () => [],
    start: async ({ major }) => {
      throw new DrillServerFailed(`there is no server ${major} here`);
    },
  };
}

export interface FakeClock extends Clock {
  set(time: Date | string): void;
  advance(milliseconds: number): void;
}

/** Stands still, at 2026-11-20 03:00 UTC by default; `sleep` moves it on at once. */
export function makeClock(start: Date | string = '2026-11-20T03:00:00.000Z'): FakeClock {
  let time = new Date(start).getTime();
  return {
    now: () => new Date(time),
    async sleep(milliseconds, signal) {
      signal?.throwIfAborted();
      time += milliseconds;
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    },
    set(to) {
      time = new Date(to).getTime();
    },
    advance(milliseconds) {
      time += milliseconds;
    },
  };
}

export interface LogEntry {
  readonly level: 'info' | 'warn' | 'error';
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface FakeLog extends Log {
  readonly entries: LogEntry[];
  /** The entries of one event, oldest first. */
  of(event: string): LogEntry[];
}

export function makeLog(): FakeLog {
  const entries: LogEntry[] = [];
  const write =
    (level: LogEntry['level']) =>
    (event: string, fields: Record<string, unknown> = {}) => {
      entries.push({ level, event, fields });
    };
  return {
    entries,
    of: (event) => entries.filter((entry) => entry.event === event),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
  };
}

export interface FakePlans extends Plans {
  /** Stores a plan as the next version of its source. */
  store(plan: SourcePlan): void;
}

export function makePlans(plans: readonly SourcePlan[]): FakePlans {
  const versions = new Map<string, SourcePlan[]>();
  const fake: FakePlans = {
    store(plan) {
      versions.set(plan.source, [...(versions.get(plan.source) ?? []), plan]);
    },
    async load(source, version) {
      const stored = versions.get(source) ?? [];
      const wanted = version ?? stored.length;
      const plan = stored[wanted - 1];
      if (!plan) throw new UnknownSource(`no plan ${source}, version ${wanted}, is stored`);
      return { plan, version: wanted };
    },
    async list() {
      return [...versions.values()].flatMap((stored) => stored.slice(-1));
    },
  };
  for (const plan of plans) fake.store(plan);
  return fake;
}

export interface FakeSnapshots extends Snapshots {
  /** By snapshot id: what exists at RDS. */
  readonly stored: Map<string, OwnSnapshot & { source: string; state?: SnapshotState }>;
  /** Called before a snapshot is deleted; throw from it to refuse. */
  refuse: ((snapshotId: string) => void) | undefined;
}

/** Creating takes no time: a snapshot is available when it is described next. */
export function makeSnapshots(
  existing: readonly OwnSnapshot[] = [],
  source = 'orders',
): FakeSnapshots {
  const stored: FakeSnapshots['stored'] = new Map();
  for (const snapshot of existing) stored.set(snapshot.snapshotId, { ...snapshot, source });
  const fake: FakeSnapshots = {
    stored,
    refuse: undefined,
    async create({ plan, snapshotId, now }) {
      const before = stored.get(snapshotId)?.state;
      if (before) return { ...before, adopted: true };
      const state: SnapshotState = {
        snapshotId,
        arn: `arn:aws:rds:eu-west-1:${ACCOUNT}:snapshot:${snapshotId}`,
        kind: plan.engine.type === 'aurora-cluster' ? 'cluster' : 'instance',
        status: 'creating',
        adopted: false,
        startedAt: now.toISOString(),
        progressPercent: 0,
        sizeGiB: 20,
      };
      stored.set(snapshotId, {
        snapshotId,
        createdAt: now,
        status: 'creating',
        source: plan.source,
        state,
      });
      return state;
    },
    async describe(snapshot) {
      const known = stored.get(snapshot.snapshotId);
      if (!known) throw new SnapshotFailed(`snapshot ${snapshot.snapshotId} is gone`);
      stored.set(snapshot.snapshotId, { ...known, status: 'available' });
      return { ...snapshot, status: 'available', progressPercent: 100 };
    },
    async list(plan) {
      return [...stored.values()]
        .filter((snapshot) => snapshot.source === plan.source)
        .map(({ snapshotId, createdAt, status }) => ({ snapshotId, createdAt, status }));
    },
    async delete(_plan, snapshotId) {
      fake.refuse?.(snapshotId);
      if (!stored.delete(snapshotId)) throw new SnapshotFailed(`no snapshot ${snapshotId}`);
    },
  };
  return fake;
}

export interface FakeTasks extends Tasks {
  readonly started: TaskRequest[];
}

export function makeTasks(): FakeTasks {
  const arns = new Map<string, string>();
  const started: FakeTasks['started'] = [];
  return {
    started,
    async run(request) {
      const { kind, subject, attempt = 1 } = request;
      const once = `${kind} ${subject} ${attempt}`;
      const known = arns.get(once);
      if (known) return known;
      const arn = `arn:aws:ecs:eu-west-1:${ACCOUNT}:task/holdfast-test/${subject}`;
      arns.set(once, arn);
      started.push(request);
      return arn;
    },
  };
}

export interface FakeWorkflow extends Workflow {
  /** What each token was answered with. */
  readonly answers: Map<string, { output: unknown } | { error: string; cause: string }>;
  readonly heartbeats: string[];
  /** Status by execution ARN; set it to end an execution. */
  readonly executions: Map<string, string>;
  /** The token no longer waits. */
  closeToken(taskToken: string): void;
}

/** Knows the tokens it is given (default: the one of `makeJob`); any other throws. */
export function makeWorkflow(
  options: { tokens?: readonly string[]; executions?: Readonly<Record<string, string>> } = {},
): FakeWorkflow {
  const tokens = new Map((options.tokens ?? ['token-1']).map((token) => [token, true]));
  const answers: FakeWorkflow['answers'] = new Map();
  const heartbeats: string[] = [];
  const isOpen = (token: string) => {
    const open = tokens.get(token);
    if (open === undefined) throw new Error(`the fake knows no task token ${token}`);
    return open;
  };
  const answer = (token: string, value: { output: unknown } | { error: string; cause: string }) => {
    if (!isOpen(token)) return 'closed' as const;
    tokens.set(token, false);
    answers.set(token, value);
    return 'answered' as const;
  };
  const executions = new Map(Object.entries(options.executions ?? {}));
  return {
    answers,
    heartbeats,
    executions,
    closeToken: (taskToken) => void tokens.set(taskToken, false),
    succeed: async (taskToken, output) => answer(taskToken, { output }),
    fail: async (taskToken, error, cause) => answer(taskToken, { error, cause }),
    async heartbeat(taskToken) {
      if (!isOpen(taskToken)) return 'closed';
      heartbeats.push(taskToken);
      return 'alive';
    },
    executionStatus: async (executionArn) => executions.get(executionArn),
  };
}

export interface FakeAlerts extends Alerts {
  readonly sent: AlertMessage[];
  /** Thrown by the next publishes while set. */
  failure: Error | undefined;
}

export function makeAlerts(): FakeAlerts {
  const fake: FakeAlerts = {
    sent: [],
    failure: undefined,
    async publish(message) {
      if (fake.failure) throw fake.failure;
      fake.sent.push(message);
    },
  };
  return fake;
}

export type FakeQuery = (
  text: string,
  values: readonly unknown[],
) => Record<string, unknown>[] | undefined;

/** Answers queries by database name; a query it has no answer for (undefined) throws. */
export function makeDatabases(answers: Readonly<Record<string, FakeQuery>>): Databases {
  return {
    async connect(_connection, database) {
      const query = answers[database];
      if (!query) throw new DatabaseNotFound(`database ${JSON.stringify(database)} does not exist`);
      return {
        async query<Row extends Record<string, unknown>>(
          text: string,
          values: readonly unknown[] = [],
        ) {
          const rows = query(text, values);
          if (!rows) throw new Error(`the fake has no answer to: ${text}`);
          return rows as Row[];
        },
        async close() {},
      };
    },
    async clientEnvironment(connection, database) {
      return {
        environment: {
          PGHOST: connection.host,
          PGPORT: String(connection.port),
          PGUSER: connection.user ?? 'backup',
          PGDATABASE: database,
          PGPASSWORD: 'fake-password',
          PGSSLMODE: connection.tls.mode,
          PGAPPNAME: 'holdfast',
          PGCONNECT_TIMEOUT: '15',
        },
        secrets: ['fake-password'],
      };
    },
  };
}

export function makeClients(majors: readonly number[] = [16, 17, 18]): Clients {
  return {
    majors: async () => majors,
    program(major, name) {
      if (!majors.includes(major)) throw new Error(`the fake bundles no client ${major}`);
      return `/clients/${major}/bin/${name}`;
    },
  };
}
