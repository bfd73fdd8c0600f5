import * as z from 'zod';
import { SourceName } from './source-plan.ts';

/**
 * `runs/<source>/extent.json`: what the last run that was of the whole source found to back up, and which runs made
 * backups lately. Written by Notify, read by it and by Reconcile: a database that was dropped is in the bucket for long,
 * but nobody waits for a new backup of it; and executions have names that no listing has in the order of time.
 */
export const SourceExtent = z.strictObject({
  version: z.literal(1),
  source: SourceName,
  runId: z.string(),
  writtenAt: z.iso.datetime(),
  /** Null: no run with dumps has told yet. Failed ones count. */
  databases: z
    .array(
      z.strictObject({
        database: z.string(),
        since: z.iso.datetime().describe('when a run first found it'),
      }),
    )
    .nullable(),
  /** When the newest snapshot began that a run made; null: none did. */
  snapshotAt: z.iso.datetime().nullable(),
  recentRuns: z
    .array(z.string())
    .optional()
    .describe('those with a verified backup, the one that ended last first'),
});
export type SourceExtent = z.infer<typeof SourceExtent>;
