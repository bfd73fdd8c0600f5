import * as z from 'zod';

/** Write Report is called when a run's or a drill's record was written; null: there was nowhere to write one. */
export const WriteReportEvent = z.object({
  executionArn: z.string(),
  recordKey: z.string().nullable().describe('runs/…/summary.json or drills/…/drill.json'),
});

/** Its result; nothing reads it but people. */
export const WrittenReport = z.strictObject({
  reportKey: z.string(),
  copyKey: z.string().nullable(),
  level: z.enum(['red', 'amber', 'green']),
});
export type WrittenReport = z.infer<typeof WrittenReport>;
