import type { Run } from '#contracts/workflow.ts';

/** The tags of a snapshot. What does not carry the first two is never adopted, counted or deleted. */
export const SNAPSHOT_TAG = {
  managed: 'holdfast:managed',
  source: 'holdfast:source',
  run: 'holdfast:run',
  reason: 'holdfast:reason',
  createdAt: 'holdfast:created-at',
} as const;

export type Tags = Readonly<Record<string, string>>;

export function snapshotTags(run: Run, now: Date): Tags {
  const reason = run.reason === null ? '' : tagValue(run.reason);
  return {
    [SNAPSHOT_TAG.managed]: 'true',
    [SNAPSHOT_TAG.source]: run.source,
    [SNAPSHOT_TAG.run]: run.runId,
    [SNAPSHOT_TAG.createdAt]: now.toISOString(),
    ...(reason === '' ? {} : { [SNAPSHOT_TAG.reason]: reason }),
  };
}

/** Whether a snapshot with these tags is one that we made for the source. */
export function isOurs(tags: Tags, source: string): boolean {
  return tags[SNAPSHOT_TAG.managed] === 'true' && tags[SNAPSHOT_TAG.source] === source;
}

/**
 * Any text as the value of an RDS tag: letters, digits, spaces and `_.:/=+-@` of any script, at most 256
 * characters (RDS API, "Tag"). Other characters become `_`.
 */
export function tagValue(text: string): string {
  const allowed = text.trim().replace(/[^\p{L}\p{Z}\p{N}_.:/=+\-@]+/gu, '_');
  return Array.from(allowed).slice(0, 256).join('');
}
