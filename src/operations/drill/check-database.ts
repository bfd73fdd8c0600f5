import type { DrillChecks, DrillFinding, DrillOrder, DrillPhase } from '#contracts/drill.ts';
import type { Connection } from '#contracts/source-plan.ts';
import { integrityFindings, smokeFindings } from '#domain/drill/findings.ts';
import type { PhaseTimes } from '#operations/restore/phase-times.ts';
import type { Databases, Deps } from '#runtime/ports.ts';
import { amcheck, checkDataChecksums } from './amcheck.ts';
import { withCheckSession } from './check-session.ts';
import { runSmokeQueries } from './smoke-queries.ts';

export interface CheckDatabaseRequest {
  readonly connection: Connection;
  /** As the server has it. */
  readonly database: string;
  /** As the plan has it. */
  readonly name: string;
  readonly order: Pick<DrillOrder, 'checks' | 'smokeQueries'>;
  readonly jobs: number;
  /** What ages are counted from. */
  readonly now: Date;
  /** No data are younger; default: `now`. */
  readonly newestAt?: Date;
  /** Not all of the database is there. */
  readonly isPart: boolean;
  /** Whether the backup has a relation of that name, with or without its schema: then it was merely not restored. */
  readonly inArchive?: (relation: string) => boolean;
  readonly phases: PhaseTimes<DrillPhase>;
  readonly signal: AbortSignal;
}

/**
 * What is looked at in every database that a drill brought back, whoever restored it: damage, checksums, and the
 * plan's own queries. Throws ConnectionLost, DatabaseUnreachable …, or the signal's reason.
 */
export async function checkDatabase(
  deps: Pick<Deps, 'clock'> & { databases: Databases },
  request: CheckDatabaseRequest,
): Promise<{ checks: Omit<DrillChecks, 'restored'>; findings: DrillFinding[] }> {
  const { connection, database, order, jobs, phases, signal } = request;
  const mode = order.checks.amcheck;
  const began = deps.clock.now().getTime();
  const { damage, dataChecksums } = await phases.time('amcheck', async () => ({
    damage: await amcheck(deps, { connection, database, mode, jobs, signal }),
    // After all was read; in a session of its own, which sees what the others have counted.
    dataChecksums: await withCheckSession(
      deps.databases,
      connection,
      database,
      checkDataChecksums,
      {
        signal,
      },
    ),
  }));
  const seconds = Math.max(0, (deps.clock.now().getTime() - began) / 1000);
  const outcomes = await phases.time('smoke-queries', () =>
    runSmokeQueries(deps, { ...request, queries: order.smokeQueries }),
  );
  const checks = {
    amcheck: { ...damage.checks, seconds },
    dataChecksums,
    smokeQueries: outcomes.map(({ result }) => result),
  };
  return {
    checks,
    findings: [
      ...integrityFindings(checks, damage.unchecked, mode),
      ...smokeFindings(outcomes, request.isPart, request.inArchive),
    ],
  };
}
