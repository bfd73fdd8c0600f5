import type { RunSummary } from '#contracts/run-summary.ts';
import type { Results } from '#contracts/workflow.ts';

/**
 * What the branches of a run came to, as far as its summary tells: what retention needs when it is planned
 * outside of a run. Undefined when the run was refused before it did anything, and so says nothing.
 */
export function resultsOfSummary(summary: RunSummary): Results | undefined {
  const { startedAt, snapshot, databases, server, problems, kinds } = summary;
  if (startedAt === null) return undefined;
  const failed = problems.find(({ stage }) => stage === 'discovery' || stage === 'run');
  if (failed && databases.length === 0 && kinds.includes('logical')) {
    const failure = { Error: failed.error, Cause: failed.cause };
    return { snapshot, logical: { status: 'failed', failure } };
  }
  if (databases.length === 0 || server === null) {
    return { snapshot, logical: { status: 'skipped' } };
  }
  return {
    snapshot,
    logical: {
      status: 'done',
      discovery: { server, databases: [], warnings: [] },
      databases,
    },
  };
}
