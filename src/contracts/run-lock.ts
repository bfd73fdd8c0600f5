import * as z from 'zod';

/**
 * `runs/<source>/current.json`: the run that holds the source. Written by Plan Backup alone; nobody
 * removes it: it is void as soon as the execution that it names has ended.
 */
export const RunLock = z.strictObject({
  version: z.literal(1),
  executionArn: z.string(),
  runId: z.string(),
  startedAt: z.iso.datetime(),
});
export type RunLock = z.infer<typeof RunLock>;
