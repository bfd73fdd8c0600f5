import { ObjectRestoreEvent } from '#contracts/events.ts';
import { type ResumedRetrievals, resumeRetrievals } from '#operations/restore/resume-retrievals.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

/**
 * Called by EventBridge when S3 has brought an object back from Glacier: the restores that wait for it go
 * on. An object that nobody waits for, and a bucket that is not ours, are none of its business.
 */
export const resumeRestore: Handle<
  ObjectRestoreEvent,
  ResumedRetrievals,
  'clock' | 'log' | 'objects' | 'workflow'
> = async ({ detail }, deps) => {
  const { bucket, object } = detail;
  if (bucket.name !== deps.objects.bucket) {
    deps.log.info(LOG.eventIgnored, { bucket: bucket.name, key: object.key });
    return { resumed: 0, waiting: 0, failed: 0 };
  }
  const counts = await resumeRetrievals(deps, object.key);
  if (counts.resumed + counts.waiting + counts.failed === 0) {
    deps.log.info(LOG.eventIgnored, { bucket: bucket.name, key: object.key });
  }
  return counts;
};

export const handler = lambdaHandler(ObjectRestoreEvent, resumeRestore, {
  clock: provideClock,
  objects: provideObjects,
  workflow: provideWorkflow,
});
