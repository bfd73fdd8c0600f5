import type { DeploymentRecord } from '#contracts/deployment-record.ts';
import type {
  Answer,
  BucketPosture,
  CertificateAuthority,
  EngineLifecycle,
  MaintenanceAction,
  SchedulePosture,
  ServerPosture,
  SnapshotQuotas,
  StateMachinePosture,
  TopicPosture,
  TrustedCertificates,
} from '#contracts/posture.ts';
import type { ServerKind } from '#contracts/restore-server.ts';
import type { Deps } from './ports.ts';

/** Side effects that only the operator's command has, beside those of the functions; as types. */
export interface OperatorDeps extends Deps {
  readonly executions: Executions;
  readonly links: Links;
  readonly posture: Posture;
}

export type ExecutionStatus =
  | 'RUNNING'
  | 'SUCCEEDED'
  | 'FAILED'
  | 'TIMED_OUT'
  | 'ABORTED'
  | 'PENDING_REDRIVE';

export interface ExecutionState {
  readonly executionArn: string;
  readonly status: ExecutionStatus;
  readonly startedAt: Date;
  readonly endedAt: Date | undefined;
  readonly error: string | undefined;
  readonly cause: string | undefined;
}

/** One state that was entered or left. */
export interface StateTransition {
  /** Of the event: ascending from 1 within an execution. */
  readonly id: number;
  readonly time: Date;
  readonly type: 'entered' | 'exited';
  readonly state: string;
  /** `Task`, `Wait`, `Pass` … */
  readonly stateType: string;
  /** The state's data; undefined where it is no JSON or was left out for its size. */
  readonly data: unknown;
}

/** Executions of state machines, as whoever starts them sees them. */
export interface Executions {
  /** Idempotent by name and input. Throws DeploymentNotFound where there is no such state machine. */
  start(request: {
    stateMachineArn: string;
    name: string;
    input: unknown;
  }): Promise<{ executionArn: string; startedAt: Date }>;
  /** Undefined while Step Functions does not know it (yet). */
  describe(executionArn: string): Promise<ExecutionState | undefined>;
  /** Transitions after the event `afterId` (0: all), oldest first. */
  transitions(executionArn: string, afterId: number): Promise<readonly StateTransition[]>;
}

export interface Link {
  readonly url: string;
  readonly expiresAt: Date;
  /** When the credentials that signed it end, and the link with them; undefined: they do not. */
  readonly credentialsEndAt: Date | undefined;
}

/** Links that anybody who has them can use: they are secrets for as long as they live. */
export interface Links {
  /** To get one object. `fileName`: what a browser saves it as. */
  create(request: {
    key: string;
    versionId: string | undefined;
    fileName: string;
    expiresSeconds: number;
  }): Promise<Link>;
}

export interface Deployments {
  /** The record of a stage. Throws DeploymentNotFound, InvalidEnvironment. */
  load(stage: string): Promise<DeploymentRecord>;
}

/**
 * How what backups depend on is set up, as AWS tells it. Nothing is thrown: a question that is not answered
 * says why. A fact that is undefined where its type allows it: there is no such thing.
 */
export interface Posture {
  server(kind: ServerKind, identifier: string): Promise<Answer<ServerPosture | undefined>>;
  /** What RDS is about to change about a server or one of its instances. */
  maintenance(arns: readonly string[]): Promise<Answer<readonly MaintenanceAction[]>>;
  /** Manual snapshots of the account, in the region. */
  snapshotQuotas(): Promise<Answer<SnapshotQuotas>>;
  /** The CAs of RDS in the region. */
  certificates(): Promise<Answer<readonly CertificateAuthority[]>>;
  /** By major version: `postgres` or `aurora-postgresql`. */
  engineLifecycles(engine: string): Promise<Answer<ReadonlyMap<number, EngineLifecycle>>>;
  /** Undefined: there is no such bucket. */
  bucket(): Promise<BucketPosture | undefined>;
  schedule(group: string, name: string): Promise<Answer<SchedulePosture | undefined>>;
  /** Messages that lie in a queue, about. */
  queuedMessages(queueUrl: string): Promise<Answer<number | undefined>>;
  stateMachine(arn: string): Promise<Answer<StateMachinePosture | undefined>>;
  topic(arn: string): Promise<Answer<TopicPosture | undefined>>;
  /** Undefined: there is no such file on this machine. */
  trustedCertificates(): Promise<TrustedCertificates | undefined>;
}
