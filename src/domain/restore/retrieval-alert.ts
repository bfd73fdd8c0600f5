import type { AlertMessage } from '#contracts/alert-message.ts';
import type { PlannedRestore, PlannedRestoreState } from '#contracts/restore.ts';
import { frameAlert } from '../alert-frame.ts';
import { displayBytes, displayName } from '../display-text.ts';
import { restoreKey } from '../names.ts';
import { retrievalTime } from './retrieval-times.ts';

/** Says that a restore waits for its archive, and how long that may take. */
export function retrievalAlert({
  restore,
  retrieval,
  requestedAt,
  bucket,
}: {
  readonly restore: PlannedRestore;
  readonly retrieval: PlannedRestoreState['retrieval'];
  readonly requestedAt: Date;
  readonly bucket: string;
}): AlertMessage {
  const { source, restoreId, backup, archive, executionArn } = restore;
  const { tier, storageClass } = retrieval;
  const time = retrievalTime(storageClass, tier);
  const words = time?.words ?? 'hours';
  const what = `${source}/${displayName(backup?.database ?? archive.key)}`;
  const readyBy = time && new Date(requestedAt.getTime() + time.hours * 3_600_000).toISOString();
  const faster = (['standard', 'expedited'] as const)
    .slice(tier === 'bulk' ? 0 : 1)
    .filter((it) => it !== tier && retrievalTime(storageClass, it));
  return frameAlert({
    event: 'retrieval',
    status: 'STARTED',
    stage: 'retrieval',
    source,
    error: null,
    cause: null,
    headline: `restore of ${what} waits for its archive`,
    // Its end may be cut off: how long it takes comes first.
    subject: `restore waits for Glacier (${words}): ${what}`,
    sections: {
      What: [
        `The archive (${displayBytes(archive.sizeBytes)}) lies in ${storageClass}. S3 has been asked to bring it back, tier ${tier}.`,
        `This typically takes ${words}${readyBy === undefined ? '' : `: until ${readyBy}`}. The restore then goes on by itself.`,
      ],
      Where: [
        `From ${archive.key}`,
        `To database ${displayName(restore.target.database)} on the server of ${restore.target.source}`,
      ],
      'What to do next': [
        'Nothing: another message comes when the restore has ended.',
        ...faster.map(
          (it) =>
            `In a hurry? Stop this execution and start it again with "retrievalTier": "${it}" (${retrievalTime(storageClass, it)?.words}).`,
        ),
      ],
    },
    executionArn,
    records: `s3://${bucket}/${restoreKey({ source, restoreId }, 'retrieval.json')}`,
    facts: {
      restoreId,
      backupId: backup?.backupId ?? null,
      database: backup?.database ?? null,
      archive: { key: archive.key, sizeBytes: archive.sizeBytes },
      storageClass,
      tier,
      requestedAt: requestedAt.toISOString(),
      typicallyReadyBy: readyBy ?? null,
    },
  });
}
