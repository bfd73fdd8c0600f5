import * as z from 'zod';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { Inventory } from '#domain/backup-inventory.ts';
import { errorName } from '#errors';
import { settleDrills } from '#operations/drill/settle-drills.ts';
import { sweepDrillServers } from '#operations/drill/sweep-drill-servers.ts';
import { recordHeartbeat } from '#operations/heartbeat.ts';
import {
  abortStaleUploads,
  alertMissedRun,
  chaseVerifications,
  countAbandonedJobs,
  listSource,
} from '#operations/reconcile.ts';
import { resumeRetrievals } from '#operations/restore/resume-retrievals.ts';
import { toTheEnd } from '#operations/to-the-end.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideMetrics } from '#runtime/providers/metrics.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideServers } from '#runtime/providers/servers.ts';
import { provideSurroundings } from '#runtime/providers/surroundings.ts';
import { provideTasks } from '#runtime/providers/tasks.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

export interface Reconciliation {
  readonly sources: number;
  readonly verificationsStarted: number;
  readonly verificationsOverdue: number;
  readonly uploadsAborted: number;
  readonly missedRuns: number;
  /** Dumps that were ordered and left no manifest. */
  readonly abandonedJobs: number;
  /** Restores whose archive is back from Glacier, though no event said so. */
  readonly restoresResumed: number;
  /** Temporary servers that outlived their drill, and are being deleted. */
  readonly drillServersSwept: number;
  /** Drills that were stopped or took too long, and are told of now. */
  readonly drillsSettled: number;
}

type Needs =
  | 'clock'
  | 'log'
  | 'objects'
  | 'plans'
  | 'servers'
  | 'tasks'
  | 'workflow'
  | 'alerts'
  | 'metrics'
  | 'surroundings';

/**
 * Every hour: measures how old the backups are, and looks for what should have happened and did not. Every
 * chore is done for every source, whatever fails in between; then the first failure is thrown, so that the
 * function's alarm sees it.
 */
export const reconcile: Handle<unknown, Reconciliation, Needs> = async (_event, deps) => {
  const counts = {
    sources: 0,
    verificationsStarted: 0,
    verificationsOverdue: 0,
    uploadsAborted: 0,
    missedRuns: 0,
    abandonedJobs: 0,
    restoresResumed: 0,
    drillServersSwept: 0,
    drillsSettled: 0,
  };
  const lookAfterSources = async () => {
    // One plan that somebody broke must not make every other source silent.
    const broken: Error[] = [];
    const plans = await deps.plans.list((error) => broken.push(error));
    const listed: { plan: SourcePlan; inventory: Inventory }[] = [];
    const tell = (source: string, what: string) => (error: unknown) =>
      deps.log.error(LOG.failed, { source, what, error: errorName(error) });
    // All ages first: a chore of one source that takes long must not make the others silent.
    const measure = async (plan: SourcePlan | Error) => {
      if (plan instanceof Error) throw plan;
      counts.sources += 1;
      const inventory = await listSource(deps, plan.source);
      listed.push({ plan, inventory });
      await toTheEnd(
        [plan],
        () => recordHeartbeat(deps, plan, inventory),
        tell(plan.source, 'heartbeat'),
      );
    };
    const doChores = async ({ plan, inventory }: (typeof listed)[number]) => {
      const chores = {
        missedRuns: async () => {
          if (await alertMissedRun(deps, plan, inventory)) counts.missedRuns += 1;
        },
        verifications: async () => {
          const { started, overdue } = await chaseVerifications(deps, inventory);
          counts.verificationsStarted += started;
          counts.verificationsOverdue += overdue;
        },
        staleUploads: async () => {
          counts.uploadsAborted += await abortStaleUploads(deps, plan);
        },
        abandonedJobs: async () => {
          counts.abandonedJobs += await countAbandonedJobs(deps, plan, inventory);
        },
        stoppedDrills: async () => {
          counts.drillsSettled += (await settleDrills(deps, plan.source)).settled;
        },
      };
      await toTheEnd(
        Object.entries(chores),
        ([, chore]) => chore(),
        (error, [what]) => tell(plan.source, what)(error),
      );
    };
    await toTheEnd(
      [() => toTheEnd([...plans, ...broken], measure), () => toTheEnd(listed, doChores)],
      (pass) => pass(),
    );
  };
  const lookAfterRestores = async () => {
    counts.restoresResumed = (await resumeRetrievals(deps)).resumed;
  };
  const lookAfterDrills = async () => {
    counts.drillServersSwept = (await sweepDrillServers(deps)).swept;
  };
  try {
    await toTheEnd([lookAfterSources, lookAfterRestores, lookAfterDrills], (look) => look());
  } finally {
    deps.log.info(LOG.reconciled, counts);
  }
  return counts;
};

export const handler = lambdaHandler(z.unknown(), reconcile, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  servers: provideServers,
  tasks: provideTasks,
  workflow: provideWorkflow,
  alerts: provideAlerts,
  metrics: provideMetrics,
  surroundings: provideSurroundings,
});
