import type { RunSummary } from '#contracts/run-summary.ts';
import { NotifyEvent, type Outcome } from '#contracts/workflow.ts';
import { runAlert } from '#domain/alert-message.ts';
import { runSummaryKey } from '#domain/names.ts';
import { outcomeOf, summarizeRun } from '#domain/run-summary.ts';
import { errorName } from '#errors';
import { keepRecord } from '#operations/keep-record.ts';
import { recordRun } from '#operations/run-metrics.ts';
import { sendAlert } from '#operations/send-alert.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideAlerts } from '#runtime/providers/alerts.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideMetrics } from '#runtime/providers/metrics.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';

type Needs = 'clock' | 'log' | 'objects' | 'plans' | 'alerts' | 'metrics';

/**
 * Says how the run ended: to people and machines through SNS, to the bucket as `summary.json`, to the
 * state machine as its outcome. The alert comes first and nothing that fails keeps it back; a record
 * that could not be written is not worth a second alert, so that is only logged. When the alert itself
 * fails, the error goes to the state machine, which tries again.
 */
export const notify: Handle<NotifyEvent, Outcome, Needs> = async (event, deps) => {
  const summary = summarizeRun(event, deps.clock.now());
  let alertError: unknown;
  try {
    await tell(event, summary, deps);
  } catch (error) {
    alertError = error;
  }
  const { source, runId } = summary;
  const summaryKey =
    source === null ? null : await keepRecord(deps, () => runSummaryKey(source, runId), summary);
  if (alertError !== undefined) throw alertError;
  await recordRun(deps, event, summary);
  return outcomeOf(summary, summaryKey);
};

async function tell(event: NotifyEvent, summary: RunSummary, deps: Pick<Deps, Needs>) {
  const kind = summary.status === 'SUCCEEDED' ? 'success' : 'failure';
  if (!(await isWanted(kind, event, deps))) return;
  await sendAlert(deps, runAlert(summary, deps.objects.bucket));
}

/** As the plan says; where the plan is not known, or cannot be read, every alert is wanted. */
async function isWanted(
  kind: 'success' | 'failure',
  { run }: NotifyEvent,
  { plans, log }: Pick<Deps, 'plans' | 'log'>,
): Promise<boolean> {
  if (!run) return true;
  try {
    const { plan } = await plans.load(run.source, run.planVersion);
    return plan.alerts.on.includes(kind);
  } catch (error) {
    log.warn(LOG.failed, { what: 'load the plan for its alerts', error: errorName(error) });
    return true;
  }
}

export const handler = lambdaHandler(NotifyEvent, notify, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  alerts: provideAlerts,
  metrics: provideMetrics,
});
