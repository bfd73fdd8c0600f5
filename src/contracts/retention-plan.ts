import * as z from 'zod';

/**
 * `runs/<source>/<runId>/retention.json`: everything that Apply Retention decided, with reasons.
 * Written before anything is deleted, also when a guard or `dryRun` then stops it; read by people.
 */
const Decision = z.strictObject({
  id: z.string(),
  time: z.iso.datetime(),
  state: z.enum(['verified', 'unverified', 'quarantined']),
  sizeBytes: z.int().min(0),
  reasons: z.array(z.string()).min(1),
});

const Decisions = z.strictObject({
  withheld: z.string().nullable().describe('why nothing of this group may go'),
  keep: z.array(Decision).describe('newest first'),
  delete: z.array(Decision).describe('newest first'),
});

export const RetentionPlanRecord = z.strictObject({
  version: z.literal(1),
  source: z.string(),
  runId: z.string(),
  plannedAt: z.iso.datetime(),
  dryRun: z.boolean(),
  guard: z.string().nullable().describe('why the plan was refused as a whole; null: it was not'),
  timezone: z.string(),
  databases: z.array(Decisions.extend({ database: z.string() })),
  snapshots: Decisions.nullable().describe('null where the source has none'),
  /** What lies where our backups lie, or carries our tags, and is not ours. It is never touched. */
  foreign: z.strictObject({ objects: z.int().min(0), snapshots: z.array(z.string()) }),
});
export type RetentionPlanRecord = z.infer<typeof RetentionPlanRecord>;
