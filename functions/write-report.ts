import type * as z from 'zod';
import { WriteReportEvent, type WrittenReport } from '#contracts/report.ts';
import { REPORT_KEY, reportCopyKey } from '#domain/names.ts';
import { reportPage } from '#domain/report/page.ts';
import { makeReport } from '#domain/report/report-model.ts';
import { gatherReport } from '#operations/report/gather-report.ts';
import { type Handle, lambdaHandler } from '#runtime/handler.ts';
import { LOG } from '#runtime/log-events.ts';
import { provideClock } from '#runtime/providers/clock.ts';
import { provideObjects } from '#runtime/providers/objects.ts';
import { providePlans } from '#runtime/providers/plans.ts';
import { provideSurroundings } from '#runtime/providers/surroundings.ts';
import { provideWorkflow } from '#runtime/providers/workflow.ts';

type Needs = 'clock' | 'log' | 'objects' | 'plans' | 'surroundings' | 'workflow';

/**
 * Writes the report of all sources, and a copy beside the record of the run or the drill that has just ended.
 * The state machine goes on without it when it fails: no run fails for its report.
 */
export const writeReport: Handle<z.infer<typeof WriteReportEvent>, WrittenReport, Needs> = async (
  { executionArn, recordKey },
  deps,
) => {
  const model = makeReport(await gatherReport(deps));
  const page = reportPage(model);
  const copyKey = recordKey === null ? undefined : reportCopyKey(recordKey);
  const keys = [REPORT_KEY, ...(copyKey === undefined ? [] : [copyKey])];
  await Promise.all(
    keys.map((key) => deps.objects.put(key, page, { contentType: 'text/html; charset=utf-8' })),
  );
  deps.log.info(LOG.reportWritten, {
    executionArn,
    keys,
    level: model.level,
    sizeBytes: page.length,
  });
  return { reportKey: REPORT_KEY, copyKey: copyKey ?? null, level: model.level };
};

export const handler = lambdaHandler(WriteReportEvent, writeReport, {
  clock: provideClock,
  objects: provideObjects,
  plans: providePlans,
  surroundings: provideSurroundings,
  workflow: provideWorkflow,
});
