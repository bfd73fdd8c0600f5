import type { RunProblem, RunSummary } from '#contracts/run-summary.ts';
import type { Failure, NotifyEvent, Outcome, Results, Run } from '#contracts/workflow.ts';
import { BackupIncomplete, NoDatabases } from '#errors';
import { displayName } from './display-text.ts';
import { CAUSE_LIMIT, describeFailure } from './failure-cause.ts';
import { sourceOfInput } from './input-source.ts';
import { parseRequestKey, runIdOfExecution } from './names.ts';

/**
 * What a run came to. Success is never the absence of bad news: each thing that was asked for must be
 * there as done, and what is missing from the results is a problem like any other.
 */
export function summarizeRun(event: NotifyEvent, endedAt: Date): RunSummary {
  const { run, results, retention } = event;
  const problems = findProblems(event);
  const logical = results?.logical.status === 'done' ? results.logical : undefined;
  const databases = logical?.databases ?? [];
  const startedAt = run?.startedAt ?? null;
  return {
    version: 1,
    ...verdict(problems, whatWorked(results)),
    source: run?.source ?? sourceAskedFor(event.input),
    runId: run?.runId ?? runIdOfExecution(event.executionArn),
    executionArn: event.executionArn,
    trigger: run?.trigger ?? null,
    reason: run?.reason ?? null,
    kinds: run?.kinds ?? [],
    startedAt,
    endedAt: endedAt.toISOString(),
    durationSeconds:
      startedAt === null ? null : Math.max(0, (endedAt.getTime() - Date.parse(startedAt)) / 1000),
    snapshot: results?.snapshot ?? { status: 'skipped' },
    server: logical?.discovery.server ?? null,
    databases,
    retention: retention && retention.status !== 'failed' ? retention : null,
    problems,
    warnings: [
      ...(logical?.discovery.warnings ?? []),
      ...databases.flatMap((result) =>
        result.status === 'verified' && result.warnings > 0
          ? `${displayName(result.database)}: ${result.warnings} warnings, see its verification.json`
          : [],
      ),
    ],
  };
}

/** What the last states of the machine need. */
export function outcomeOf(summary: RunSummary, summaryKey: string | null): Outcome {
  const { status, error, cause } = summary;
  return { status, error: error ?? '', cause: cause ?? '', summaryKey };
}

function findProblems({ run, results, retention, failure }: NotifyEvent): RunProblem[] {
  if (failure) return [problem('run', failure)];
  if (!run || !results) {
    return [missing('run', 'the run ended without results')];
  }
  const problems = [...snapshotProblems(run, results), ...logicalProblems(run, results)];
  if (retention?.status === 'failed') problems.push(problem('retention', retention.failure));
  return problems;
}

function snapshotProblems(run: Run, { snapshot }: Results): RunProblem[] {
  if (snapshot.status === 'failed') return [problem('snapshot', snapshot.failure)];
  if (snapshot.status === 'skipped' && run.kinds.includes('snapshot')) {
    return [missing('snapshot', 'a snapshot was asked for, but none was taken')];
  }
  return [];
}

function logicalProblems(run: Run, { logical }: Results): RunProblem[] {
  if (logical.status === 'failed') return [problem('discovery', logical.failure)];
  if (logical.status === 'skipped') {
    if (!run.kinds.includes('logical')) return [];
    return [missing('discovery', 'dumps were asked for, but none was made')];
  }
  const problems = logical.databases.flatMap((result) =>
    result.status === 'failed' ? problem('database', result.failure, result.database) : [],
  );
  const done = new Set(logical.databases.map(({ database }) => database));
  const wanted = new Set([
    ...logical.discovery.databases.map(({ database }) => database),
    ...(run.databases ?? []),
  ]);
  for (const database of [...wanted].filter((name) => !done.has(name))) {
    problems.push({ ...missing('database', 'it was to be dumped, but has no result'), database });
  }
  if (wanted.size === 0 && done.size === 0) {
    const cause = 'there was no database to dump';
    problems.push({ stage: 'discovery', database: null, error: NoDatabases.errorName, cause });
  }
  return problems;
}

function problem(
  stage: RunProblem['stage'],
  failure: Failure,
  database: string | null = null,
): RunProblem {
  return {
    stage,
    database,
    error: failure.Error,
    cause: describeFailure(failure),
  };
}

function missing(stage: RunProblem['stage'], cause: string): RunProblem {
  return { stage, database: null, error: BackupIncomplete.errorName, cause };
}

function whatWorked(results: Results | undefined): string[] {
  const snapshot = results?.snapshot.status === 'available' ? ['the snapshot'] : [];
  const databases =
    results?.logical.status === 'done'
      ? results.logical.databases.filter(({ status }) => status === 'verified')
      : [];
  return [...snapshot, ...databases.map(({ database }) => displayName(database))];
}

/**
 * One error for the whole run: the problems' own name where they share it and nothing was backed up,
 * or where every backup worked and only retention did not; else BackupIncomplete.
 */
function verdict(
  problems: readonly RunProblem[],
  worked: readonly string[],
): Pick<RunSummary, 'status' | 'error' | 'cause'> {
  const [first] = problems;
  if (!first) return { status: 'SUCCEEDED', error: null, cause: null };
  const oneName = problems.every(({ error }) => error === first.error);
  const oneReason = worked.length === 0 || problems.every(({ stage }) => stage === 'retention');
  if (problems.length === 1 && oneReason) {
    return { status: 'FAILED', error: first.error, cause: first.cause };
  }
  const failed = problems.map(
    ({ stage, database, error, cause }) =>
      `${database === null ? stage : displayName(database)}: ${error}: ${cause}`,
  );
  const lines = [`worked: ${worked.join(', ') || 'nothing'}`, ...failed];
  return {
    status: 'FAILED',
    error: oneName && oneReason ? first.error : BackupIncomplete.errorName,
    cause: `${problems.length} failed; ${lines.join('; ')}`.slice(0, CAUSE_LIMIT),
  };
}

/** By name, or by the key of a request object. */
function sourceAskedFor(input: unknown): string | null {
  const { detail } = (input ?? {}) as { detail?: { object?: { key?: unknown } } };
  const key = detail?.object?.key;
  const source = typeof key === 'string' ? parseRequestKey(key)?.source : sourceOfInput(input);
  return source ?? null;
}
