import { randomUUID } from 'node:crypto';
import { executionLink } from '#domain/console-link.ts';
import { displayText } from '#domain/display-text.ts';
import { describeFailure } from '#domain/failure-cause.ts';
import { makeBackupId, makeExecutionName } from '#domain/names.ts';
import { nextStep } from '#domain/next-steps.ts';
import type { ExecutionState, OperatorDeps } from '#runtime/operator-ports.ts';
import type { Invocation } from './context.ts';
import { EXIT } from './exit-codes.ts';
import { followExecution } from './follow-execution.ts';
import { safeLines } from './output.ts';

type Needs = Pick<OperatorDeps, 'executions' | 'clock' | 'objects'>;

export interface ExecutionRequest<Summary> {
  readonly stateMachineArn: string;
  /** Begins the execution's name. */
  readonly source: string;
  readonly input: unknown;
  readonly wait: boolean;
  /** No console shows it. */
  readonly isLocal: boolean;
  /** What is started, for the reader: `backup of orders`. */
  readonly what: string;
  /** The record that an ended execution left; undefined when it left none. */
  readonly readRecord: (ended: EndedExecution) => Promise<Summary | undefined>;
  /** The record as text. */
  readonly describe: (record: Summary) => string;
  /** Whose next steps are told ({@link nextStep}). */
  readonly where?: string;
  /** Options that get round an error, by its name: next steps speak of the input's fields. */
  readonly remedies?: Readonly<Record<string, string>>;
}

export interface EndedExecution extends ExecutionState {
  readonly runId: string;
  /** The id that Plan Restore derives from the execution. */
  readonly restoreId: string;
}

/**
 * Starts an execution, follows it to its end when that is wanted, and shows what came of it. The process
 * ends with 1 when the execution did not succeed.
 */
export async function runExecution<Summary>(
  deps: Needs,
  invocation: Pick<Invocation, 'out' | 'signal' | 'end'>,
  request: ExecutionRequest<Summary>,
): Promise<void> {
  const { out, signal, end } = invocation;
  const name = makeExecutionName(request.source, deps.clock.now(), randomUUID());
  const { stateMachineArn, input, what } = request;
  const started = await deps.executions.start({ stateMachineArn, name, input });
  const { executionArn, startedAt } = started;
  const link = request.isLocal ? undefined : executionLink(executionArn);
  const begun = {
    executionArn,
    runId: name,
    startedAt: startedAt.toISOString(),
    consoleUrl: link ?? null,
    input,
  };
  if (!request.wait) {
    out.result({ ...begun, status: 'RUNNING' }, () => [
      `started: ${what}`,
      `run ${name}`,
      ...(link === undefined ? [] : [link]),
    ]);
    return;
  }
  out.note(`started: ${what}, run ${name}`);
  if (link !== undefined) out.note(link);
  const state = await followExecution(deps, executionArn, {
    source: request.source,
    out,
    signal,
  }).catch((error) => {
    if (signal.aborted) out.note(`no longer followed; the run goes on: ${link ?? name}`);
    throw error;
  });
  const ended = { ...state, runId: name, restoreId: makeBackupId(state.startedAt, executionArn) };
  const record = await request.readRecord(ended);
  const succeeded = state.status === 'SUCCEEDED';
  const failure = succeeded ? null : describeFailed(state, request.where);
  const options = failure ? request.remedies?.[failure.name] : undefined;
  const hint = options === undefined ? [] : [`On the command line: ${options}`];
  out.result(
    {
      ...begun,
      status: state.status,
      endedAt: state.endedAt?.toISOString() ?? null,
      record: record ?? null,
      ...(failure ? { error: { ...failure, remedy: [failure.remedy, ...hint].join(' ') } } : {}),
    },
    () => [
      ...(record === undefined ? [`${what}: ${state.status}`] : textOf(request, record)),
      ...(failure && record === undefined
        ? [...safeLines(`${failure.name}: ${failure.message}`), failure.remedy]
        : []),
      ...hint,
    ],
  );
  if (!succeeded) end(EXIT.failed);
}

/** The record's own text, which is the alert's; on one machine without its link to the console. */
function textOf<Summary>(
  { describe, isLocal }: ExecutionRequest<Summary>,
  record: Summary,
): string[] {
  const lines = describe(record).trimEnd().split('\n');
  return isLocal ? lines.filter((line) => !/^ {2}Execution: https:/.test(line)) : lines;
}

function describeFailed({ status, error, cause }: ExecutionState, where: string | undefined) {
  const name = error ?? (status === 'TIMED_OUT' ? 'States.Timeout' : status);
  const message = cause
    ? describeFailure({ Error: name, Cause: cause })
    : `the execution ended ${status}`;
  return { name, message: displayText(message, 4_000), remedy: nextStep(name, where) };
}
