import * as z from 'zod';
import { BackupKind } from './source-plan.ts';
import { DatabaseResult, Discovery, Results, RetentionResult } from './workflow.ts';

/**
 * `runs/<source>/<runId>/summary.json`: what one run did and did not do. Written by Notify, and the
 * machine's half of its alert. Rows per table are in each backup's `verification.json`.
 */
export const RunProblem = z.strictObject({
  /** `run`: before anything was done, or the whole of it. */
  stage: z.enum(['run', 'snapshot', 'discovery', 'database', 'retention']),
  database: z.string().nullable(),
  error: z.string(),
  cause: z.string(),
});
export type RunProblem = z.infer<typeof RunProblem>;

export const RunSummary = z.strictObject({
  version: z.literal(1),
  status: z.enum(['SUCCEEDED', 'FAILED']),
  /** The one name that stands for all problems; null: none. */
  error: z.string().nullable(),
  cause: z.string().nullable(),
  source: z.string().nullable().describe('null: the input did not name one'),
  runId: z.string(),
  executionArn: z.string(),
  trigger: z.enum(['manual', 'schedule', 'request']).nullable(),
  reason: z.string().nullable(),
  kinds: z.array(BackupKind),
  startedAt: z.iso.datetime().nullable().describe('null: the run was not planned'),
  endedAt: z.iso.datetime(),
  durationSeconds: z.number().min(0).nullable(),
  snapshot: Results.shape.snapshot,
  server: Discovery.shape.server.nullable(),
  databases: z.array(DatabaseResult),
  retention: RetentionResult.nullable().describe('null: not run, or failed; see problems'),
  problems: z.array(RunProblem),
  warnings: z.array(z.string()),
});
export type RunSummary = z.infer<typeof RunSummary>;
