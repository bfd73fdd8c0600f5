import type { DeploymentRecord } from '#contracts/deployment-record.ts';
import type { Answer, DoctorReport, EngineLifecycle, Finding } from '#contracts/posture.ts';
import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import { type Inventory, takeInventory } from '#domain/backup-inventory.ts';
import { serverMajor } from '#domain/client-choice.ts';
import { selectDatabases } from '#domain/database-selection.ts';
import { judgeBackupAge, judgeQuarantine, judgeSnapshotAge } from '#domain/doctor/backup-checks.ts';
import { judgeBucket } from '#domain/doctor/bucket-checks.ts';
import {
  judgeClients,
  judgeTrust,
  judgeVisit,
  ROLE_QUERY,
  type RoleFacts,
  type Visit,
} from '#domain/doctor/database-checks.ts';
import {
  judgeDeadLetterQueue,
  judgeSchedule,
  judgeStateMachine,
  judgeTopic,
} from '#domain/doctor/deployment-checks.ts';
import { judgeCommunitySupport, majorOf } from '#domain/doctor/engine-support.ts';
import { type Examination, makeReport, notesOn, noteUnanswered } from '#domain/doctor/finding.ts';
import { judgeServer, judgeSnapshotQuotas } from '#domain/doctor/server-checks.ts';
import { sourcePrefix } from '#domain/names.ts';
import { TLS_CODE } from '#domain/pg-errors.ts';
import { serverOfPlan } from '#domain/restore/server-restore-input.ts';
import { parseSchedule } from '#domain/schedule.ts';
import { AccessDenied, errorName, HoldfastError, InvalidPlan, UnknownSource } from '#errors';
import type { OperatorDeps, Posture } from '#runtime/operator-ports.ts';
import { inspectDatabase, inspectServer } from './inspect-databases.ts';

type Needs = Pick<
  OperatorDeps,
  'clients' | 'clock' | 'databases' | 'objects' | 'plans' | 'posture' | 'snapshots'
>;

/** What the doctor calls beside the port `Posture`; docs/doctor.md lists them all. */
export const OTHER_ACTIONS = {
  deployment: 'ssm:GetParameter',
  plans: 'ssm:GetParametersByPath',
  backups: 's3:ListBucket',
  secret: 'secretsmanager:GetSecretValue',
  instanceSnapshots: 'rds:DescribeDBSnapshots',
  clusterSnapshots: 'rds:DescribeDBClusterSnapshots',
} as const;

/** Sources looked at side by side; each asks RDS, S3 and its server some ten questions. */
const SOURCES_AT_ONCE = 4;

export interface DoctorRequest {
  readonly record: DeploymentRecord;
  readonly region: string;
  /** Undefined: all. */
  readonly source: string | undefined;
  /** Why parts may be missing; see Examination. */
  readonly absence: string | undefined;
}

/**
 * Looks at everything that backups depend on, and changes nothing. What cannot be found out is a finding
 * too. Throws UnknownSource for a source that has no plan.
 */
export async function examine(deps: Needs, request: DoctorRequest): Promise<DoctorReport> {
  const { record, region, source, absence } = request;
  const now = deps.clock.now();
  const examination: Examination = { now, region, absence };
  const { plans, findings } = await readPlans(deps, examination, source);
  const account = askOnce(deps.posture);
  const [bucket, deployment, shared, ...sources] = await Promise.all([
    deps.posture.bucket(),
    examineDeployment(deps, examination, record),
    examineShared(deps, examination, plans),
    ...inParallel(plans, SOURCES_AT_ONCE, (plan) =>
      examineSource(deps, { examination, account, record, plan }),
    ),
  ]);
  return makeReport(record.stage, now, [
    ...findings,
    ...sources.flat(),
    ...shared,
    ...judgeBucket(examination, plans, record.bucket, bucket),
    ...deployment,
  ]);
}

/** One promise an item, in their order, `width` of them at work. */
function inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result>[] {
  const lanes = Array.from({ length: width }, (): Promise<unknown> => Promise.resolve());
  return items.map((item, index) => {
    const lane = index % width;
    const result = Promise.resolve(lanes[lane]).then(() => work(item));
    // Whoever waits for the result hears of a failure; the lane goes on.
    lanes[lane] = result.catch(() => undefined);
    return result;
  });
}

/** The same answer for every source. */
function askOnce(posture: Posture) {
  const lifecycles = new Map<string, ReturnType<Posture['engineLifecycles']>>();
  let certificates: ReturnType<Posture['certificates']> | undefined;
  return {
    certificates() {
      certificates ??= posture.certificates();
      return certificates;
    },
    lifecycles(engine: string): Promise<Answer<ReadonlyMap<number, EngineLifecycle>>> {
      const known = lifecycles.get(engine) ?? posture.engineLifecycles(engine);
      lifecycles.set(engine, known);
      return known;
    },
  };
}

async function readPlans(
  deps: Needs,
  examination: Examination,
  source: string | undefined,
): Promise<{ plans: readonly SourcePlan[]; findings: readonly Finding[] }> {
  const read = await loadPlans(deps, examination, source);
  const findings = [...read.findings];
  const plans = read.plans.map((plan): SourcePlan => {
    try {
      if (plan.schedule) parseSchedule(plan.schedule.expression);
      return plan;
    } catch (error) {
      const { message, remedy } = describe(error);
      const note = notesOn(plan.source);
      findings.push(note('plan', 'fail', 'the schedule is not valid', { why: message, remedy }));
      return { ...plan, schedule: undefined };
    }
  });
  return { plans, findings };
}

async function loadPlans(
  { plans }: Needs,
  examination: Examination,
  source: string | undefined,
): Promise<{ plans: readonly SourcePlan[]; findings: readonly Finding[] }> {
  const note = notesOn(source ?? null);
  try {
    if (source !== undefined) return { plans: [(await plans.load(source)).plan], findings: [] };
    const found = await plans.list();
    const none = note('plan', 'fail', 'no source has a plan', {
      why: 'nothing is backed up',
      remedy: 'write one into the plan file and deploy (docs/deploy.md)',
    });
    return { plans: found, findings: found.length === 0 ? [none] : [] };
  } catch (error) {
    if (errorName(error) === UnknownSource.errorName) throw error;
    if (errorName(error) === InvalidPlan.errorName) {
      const { message, remedy } = describe(error);
      const invalid = note('plan', 'fail', 'a plan is not valid', { why: message, remedy });
      return { plans: [], findings: [invalid] };
    }
    const action = source === undefined ? OTHER_ACTIONS.plans : OTHER_ACTIONS.deployment;
    const answer = unansweredBy(error, action);
    return {
      plans: [],
      findings: [noteUnanswered(note, 'plan', 'the plans', answer, examination)],
    };
  }
}

/** An error of another port as an unanswered question. */
function unansweredBy(error: unknown, action: string): Extract<Answer<never>, { known: false }> {
  const reason = errorName(error) === AccessDenied.errorName ? 'denied' : 'failed';
  return { known: false, reason, action, detail: describe(error).message };
}

/** Only our own errors have messages that are known to have no secrets in them. */
function describe(error: unknown): { message: string; remedy: string | null } {
  if (!(error instanceof HoldfastError)) return { message: errorName(error), remedy: null };
  const { message, remedy } = error;
  if (remedy === undefined) return { message, remedy: null };
  return { message: message.replace(`; ${remedy}`, ''), remedy };
}

async function examineDeployment(
  { posture }: Needs,
  examination: Examination,
  record: DeploymentRecord,
): Promise<Finding[]> {
  const { topicArn, deadLetterQueueUrl, stateMachines } = record;
  const machines = Object.entries({
    backups: stateMachines.backup,
    restores: stateMachines.restore,
    'restores of servers': stateMachines.restoreServer,
    drills: stateMachines.drill,
  });
  const [topic, queue, ...machineFindings] = await Promise.all([
    posture.topic(topicArn),
    deadLetterQueueUrl === undefined ? undefined : posture.queuedMessages(deadLetterQueueUrl),
    ...machines.map(async ([name, arn]) =>
      arn === undefined
        ? []
        : judgeStateMachine(examination, name, arn, await posture.stateMachine(arn)),
    ),
  ]);
  return [
    judgeTopic(examination, topicArn, topic),
    judgeDeadLetterQueue(examination, deadLetterQueueUrl, queue),
    ...machineFindings.flat(),
  ];
}

/** What is of no single source. */
async function examineShared(
  { posture }: Needs,
  examination: Examination,
  plans: readonly SourcePlan[],
): Promise<Finding[]> {
  const kinds = new Set(plans.filter(takesSnapshots).map((plan) => serverOfPlan(plan).kind));
  const verifying = plans.filter(
    ({ connection: { tls } }) => tls.mode.startsWith('verify') && tls.caFile === undefined,
  );
  const [quotas, trusted] = await Promise.all([
    kinds.size > 0 ? posture.snapshotQuotas() : undefined,
    verifying.length > 0 ? posture.trustedCertificates() : undefined,
  ]);
  return [
    ...(quotas ? judgeSnapshotQuotas(examination, kinds, quotas) : []),
    ...(verifying.length > 0
      ? [
          judgeTrust(
            examination,
            trusted,
            verifying.some(({ engine }) => engine.type !== 'postgres'),
          ),
        ]
      : []),
  ];
}

function takesSnapshots(plan: SourcePlan): boolean {
  return plan.engine.type !== 'postgres' && defaultKinds(plan).includes('snapshot');
}

interface SourceRequest {
  readonly examination: Examination;
  readonly account: ReturnType<typeof askOnce>;
  readonly record: DeploymentRecord;
  readonly plan: SourcePlan;
}

async function examineSource(deps: Needs, request: SourceRequest): Promise<Finding[]> {
  const { plan } = request;
  const isLogical = defaultKinds(plan).includes('logical');
  const [inventory, visit, server] = await Promise.all([
    listBackups(deps, plan.source),
    isLogical ? visitServer(deps, plan) : undefined,
    plan.engine.type === 'postgres' ? undefined : examineServer(deps, request),
  ]);
  const major = visit?.connected ? serverMajor(visit.server.versionNumber) : server?.major;
  const majors = await deps.clients.majors().catch(() => undefined);
  return [
    ...(await judgeBackups(deps, request, inventory, visit)),
    ...(server?.findings ?? []),
    ...(visit ? judgeVisit(plan, visit) : []),
    ...(isLogical && major !== undefined ? [judgeClients(plan.source, major, majors)] : []),
    ...(plan.engine.type === 'postgres' && major !== undefined
      ? [
          judgeCommunitySupport(notesOn(plan.source), {
            major,
            now: request.examination.now,
          }),
        ]
      : []),
    await examineSchedule(deps, request, inventory),
  ];
}

async function listBackups({ objects }: Needs, source: string): Promise<Answer<Inventory>> {
  try {
    const listed = [];
    for await (const object of objects.list(sourcePrefix(source))) listed.push(object);
    return { known: true, fact: takeInventory(source, listed) };
  } catch (error) {
    return unansweredBy(error, OTHER_ACTIONS.backups);
  }
}

async function examineSchedule(
  { posture }: Needs,
  { examination, record, plan }: SourceRequest,
  inventory: Answer<Inventory>,
): Promise<Finding> {
  const group = record.scheduleGroup;
  const answer =
    group === undefined || !plan.schedule ? undefined : await posture.schedule(group, plan.source);
  const backups = inventory.known ? [...inventory.fact.databases.values()].flat() : [];
  const times = backups.map(({ time }) => time.getTime());
  const lastStart = times.length > 0 ? new Date(Math.max(...times)) : undefined;
  return judgeSchedule(examination, plan, group, answer, lastStart);
}

async function examineServer(
  { posture }: Needs,
  { examination, account, plan }: SourceRequest,
): Promise<{ findings: Finding[]; major: number | undefined }> {
  const named = serverOfPlan(plan);
  const server = await posture.server(named.kind, named.identifier);
  const found = server.known ? server.fact : undefined;
  const arns = found ? [found.arn, ...found.instances.map(({ arn }) => arn)] : [];
  const engine = named.kind === 'cluster' ? 'aurora-postgresql' : 'postgres';
  const [maintenance, certificates, lifecycles] = await Promise.all([
    found ? posture.maintenance([...new Set(arns)]) : undefined,
    account.certificates(),
    account.lifecycles(found?.engine ?? engine),
  ]);
  const answers = { server, maintenance, certificates, lifecycles };
  const major = found && majorOf(found.engineVersion);
  return {
    findings: judgeServer(examination, plan, named, answers),
    major: Number.isNaN(major) ? undefined : major,
  };
}

/** Connects as a run would, and looks at each database that the plan selects. */
async function visitServer(deps: Needs, plan: SourcePlan): Promise<Visit> {
  const { connection } = plan;
  try {
    const { server, existing } = await inspectServer(deps, connection);
    const { names, missing } = selectDatabases(plan.databases, null, existing);
    const databases = [];
    for (const facts of existing.filter(({ name }) => names.includes(name))) {
      databases.push(await inspectDatabase(deps, connection, server, facts));
    }
    const session = await deps.databases.connect(connection, connection.maintenanceDatabase);
    try {
      const [role] = await session.query<RoleFacts>(ROLE_QUERY);
      return { connected: true, server, readsAll: role?.readsAll ?? false, databases, missing };
    } finally {
      await session.close();
    }
  } catch (error) {
    const { message, remedy } = describe(error);
    return {
      connected: false,
      error: errorName(error),
      message,
      remedy: remedy ?? undefined,
      tlsFailed: isTlsFailure(error),
    };
  }
}

function isTlsFailure(error: unknown): boolean {
  const { cause } = (error ?? {}) as { cause?: { code?: unknown; message?: unknown } };
  const { code, message } = cause ?? {};
  return (
    (typeof code === 'string' && TLS_CODE.test(code)) ||
    (typeof message === 'string' && message.includes('does not support SSL'))
  );
}

/** Ages and quarantine of a source's backups. */
async function judgeBackups(
  deps: Needs,
  { examination, record, plan }: SourceRequest,
  inventory: Answer<Inventory>,
  visit: Visit | undefined,
): Promise<Finding[]> {
  const { source } = plan;
  const note = notesOn(source);
  // Where nothing starts it, a schedule promises nothing.
  const schedule = record.scheduleGroup === undefined ? undefined : plan.schedule;
  const findings: Finding[] = [];
  if (visit) {
    if (inventory.known) {
      const { databases } = inventory.fact;
      const names = databasesOf(plan, inventory.fact, visit);
      if (names.length === 0) {
        findings.push(
          note('backup-age', 'fail', 'there is no backup', {
            why: 'nothing can be restored from an archive',
            remedy: `holdfast start ${source}`,
          }),
        );
      }
      for (const database of names) {
        const backups = databases.get(database) ?? [];
        findings.push(judgeBackupAge(examination, { source, database, backups, schedule }));
      }
      const quarantined = [...databases.values()]
        .flat()
        .filter(({ state }) => state === 'quarantined')
        .toSorted((a, b) => b.time.getTime() - a.time.getTime());
      findings.push(judgeQuarantine(source, quarantined));
    } else {
      findings.push(noteUnanswered(note, 'backup-age', 'the backups', inventory, examination));
    }
  }
  if (takesSnapshots(plan)) {
    const newest = await newestSnapshot(deps, plan);
    findings.push(
      newest.known
        ? judgeSnapshotAge(examination, source, newest.fact, schedule)
        : noteUnanswered(note, 'snapshot-age', 'the snapshots', newest, examination),
    );
  }
  return findings;
}

/**
 * The databases that should have backups: what the plan selects of those that the server has; where it could
 * not be asked, those that the plan names and those that have backups.
 */
function databasesOf(plan: SourcePlan, { databases }: Inventory, visit: Visit): string[] {
  if (visit.connected) return visit.databases.map(({ found }) => found.database);
  const known = [...databases.keys()];
  const { names, missing } = selectDatabases(plan.databases, null, known);
  return [...names, ...missing].sort();
}

async function newestSnapshot(
  { snapshots }: Needs,
  plan: SourcePlan,
): Promise<Answer<Date | undefined>> {
  try {
    const own = await snapshots.list(plan);
    const times = own
      .filter(({ status }) => status === 'available')
      .map(({ createdAt }) => createdAt.getTime());
    return { known: true, fact: times.length > 0 ? new Date(Math.max(...times)) : undefined };
  } catch (error) {
    const isCluster = plan.engine.type === 'aurora-cluster';
    const action = isCluster ? OTHER_ACTIONS.clusterSnapshots : OTHER_ACTIONS.instanceSnapshots;
    return unansweredBy(error, action);
  }
}
