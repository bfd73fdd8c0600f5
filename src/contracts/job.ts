import * as z from 'zod';
import { Connection, SourcePlan } from './source-plan.ts';

/**
 * `jobs/<source>/<database>/<backupId>.json`: the order for one dump.
 * Written by Dump Database before the task is launched; read by the dump task (what to do), by
 * Verify Backup and Handle Task Stopped (whom to answer) and by Reconcile. It holds the task token
 * and says where the secret is; it never holds the secret. A lifecycle rule removes it after 30 days.
 */
export const DumpJob = z.strictObject({
  version: z.literal(1),
  source: z.string(),
  database: z.string(),
  backupId: z.string(),
  runId: z.string(),
  executionArn: z.string(),
  taskToken: z.string().min(1).describe('answers the waiting Dump Database state'),
  createdAt: z.iso.datetime(),
  connection: Connection,
  serverVersion: z.int().describe('server_version_num, e.g. 170011'),
  /** pg_database_size: an upper estimate from which the part size is chosen. */
  estimatedBytes: z.int().min(0),
  dump: SourcePlan.shape.dump,
  verification: SourcePlan.shape.verification,
  task: SourcePlan.shape.task,
  network: SourcePlan.shape.network,
});
export type DumpJob = z.infer<typeof DumpJob>;
