import { Retrieval } from '#contracts/restore.ts';
import {
  parseRetrievalPointerKey,
  RETRIEVAL_POINTERS,
  type RestoreRef,
  restoreKey,
  retrievalAttempt,
  retrievalPointerPrefix,
} from '#domain/names.ts';
import { isReadable } from '#domain/restore/retrieval-times.ts';
import { ObjectMissing, RetrievalFailed } from '#errors';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';
import { parseRecord } from '../records.ts';
import { toTheEnd } from '../to-the-end.ts';

type Needs = Pick<Deps, 'clock' | 'log' | 'objects' | 'workflow'>;

/** By then the request that follows the record has long been made, or its function has failed. */
const REQUESTED_WITHIN_MILLISECONDS = 3_600_000;

/** What became of the restores that were waiting for their archives. */
export interface ResumedRetrievals {
  /** Told that the archive can be read. */
  resumed: number;
  /** Told that S3 is still at it: their heartbeat. */
  waiting: number;
  /** Told that the archive will not come. */
  failed: number;
}

/**
 * Looks after the restores that wait for an archive from Glacier: of one archive, when its event came, or of
 * all, for events that never come. It is S3's own answer that counts, so an event that comes twice, late or
 * for another version changes nothing. The pointer goes last: what was not answered is found again.
 * Does it for all of them, then throws the first error.
 */
export async function resumeRetrievals(
  deps: Needs,
  archiveKey?: string,
): Promise<ResumedRetrievals> {
  const counts: ResumedRetrievals = { resumed: 0, waiting: 0, failed: 0 };
  const prefix = archiveKey === undefined ? RETRIEVAL_POINTERS : retrievalPointerPrefix(archiveKey);
  const pointers: string[] = [];
  for await (const { key } of deps.objects.list(prefix)) pointers.push(key);
  await toTheEnd(pointers, async (pointer) => {
    const waiting = parseRetrievalPointerKey(pointer);
    if (!waiting) return;
    const retrieval = await loadRetrieval(deps, waiting);
    // An attempt that another one has taken the place of.
    const stale = !retrieval || retrievalAttempt(retrieval.taskToken) !== waiting.attempt;
    const outcome = stale ? 'over' : await settle(deps, retrieval);
    if (outcome !== 'over') counts[outcome] += 1;
    if (outcome !== 'waiting') await deps.objects.delete([pointer]);
  });
  return counts;
}

async function loadRetrieval({ objects }: Needs, ref: RestoreRef): Promise<Retrieval | undefined> {
  const key = restoreKey(ref, 'retrieval.json');
  const found = await objects.get(key);
  return found && parseRecord(Retrieval, found.body, key);
}

/** `over`: nobody waits any more. */
async function settle(
  deps: Needs,
  { source, restoreId, archive, requestedAt, taskToken }: Retrieval,
): Promise<keyof ResumedRetrievals | 'over'> {
  const about = { source, restoreId, phase: 'retrieval', key: archive.key };
  const giveUp = async (error: string, cause: string) => {
    if ((await deps.workflow.fail(taskToken, error, cause)) === 'closed') return 'over';
    deps.log.error(LOG.failed, { ...about, error, cause });
    return 'failed';
  };
  const head = await deps.objects.head(archive.key, archive.versionId);
  if (!head) {
    return giveUp(ObjectMissing.errorName, `${archive.key} was deleted while S3 retrieved it`);
  }
  if (isReadable(head)) {
    const answer = await deps.workflow.succeed(taskToken, { retrieved: true });
    if (answer === 'closed') return 'over';
    deps.log.info(LOG.restorePhase, about);
    return 'resumed';
  }
  const askedLongAgo =
    deps.clock.now().getTime() - Date.parse(requestedAt) > REQUESTED_WITHIN_MILLISECONDS;
  if (head.retrieval === 'none' && askedLongAgo) {
    return giveUp(
      RetrievalFailed.errorName,
      `${archive.key} lies in ${head.storageClass}, and S3 neither retrieves it nor has a copy any more`,
    );
  }
  if ((await deps.workflow.heartbeat(taskToken)) === 'closed') return 'over';
  deps.log.info(LOG.restoreProgress, { ...about, retrieval: head.retrieval });
  return 'waiting';
}
