import type * as z from 'zod';
import { type BackupInput, PlanBackupEvent, type PlannedRun } from '#contracts/workflow.ts';
import {
  kindsOfRun,
  MAX_REQUEST_BYTES,
  parseBackupInput,
  parseRequestBody,
  requestOfEvent,
} from '#domain/backup-input.ts';
import { runIdOfExecution } from '#domain/names.ts';
import { InvalidInput } from '#errors';
import { acquireRunLock } from '#operations/run-lock.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

/**
 * What the run does: the input, whatever started it, together with the plan of its source. Makes the run
 * the only one of the source. Throws InvalidInput, UnknownSource, InvalidPlan, RunInProgress.
 */
export const planBackup: Handle<
  z.infer<typeof PlanBackupEvent>,
  PlannedRun,
  'objects' | 'plans' | 'workflow' | 'clock' | 'log'
> = async ({ input: rawInput, executionArn, startedAt }, deps) => {
  const input = await readInput(rawInput, deps);
  const { plan, version } = await deps.plans.load(input.source);
  const kinds = kindsOfRun(input, plan);
  const run = {
    source: plan.source,
    runId: runIdOfExecution(executionArn),
    executionArn,
    startedAt,
    trigger: input.trigger,
    reason: input.reason ?? null,
    kinds,
    databases: input.databases ?? null,
    planVersion: version,
  };
  await acquireRunLock(deps, run);
  deps.log.info(LOG.planned, run);
  return {
    run,
    snapshot: { wanted: kinds.includes('snapshot'), pollSeconds: plan.snapshot.pollSeconds },
    logical: {
      wanted: kinds.includes('logical'),
      concurrency: plan.dump.concurrency,
      heartbeatSeconds: plan.dump.heartbeatSeconds,
      timeoutSeconds: plan.dump.timeoutMinutes * 60,
    },
  };
};

async function readInput(input: unknown, { objects }: Pick<Deps, 'objects'>): Promise<BackupInput> {
  const request = requestOfEvent(input);
  if (!request) return parseBackupInput(input);
  const { bucket, key, versionId } = request;
  const version = versionId === undefined ? {} : { versionId };
  const found =
    bucket === objects.bucket
      ? await objects.get(key, { maxBytes: MAX_REQUEST_BYTES, ...version })
      : undefined;
  if (!found) {
    throw new InvalidInput(`the request ${key} is not in the bucket ${objects.bucket}`, {
      remedy: 'put it there again, or start the run by hand with {"source":"orders"}',
    });
  }
  return parseRequestBody(request, found.body.toString('utf8'));
}

export const handler = lambdaHandler(PlanBackupEvent, planBackup, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  workflow: provideWorkflow,
});
