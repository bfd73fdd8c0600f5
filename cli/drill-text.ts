import type { DrillRecord } from '#contracts/drill.ts';
import { drillAlert, unplannedDrillAlert } from '#domain/drill/drill-alert.ts';
import { failedBeforeItBegan } from '#domain/report/drill-outcome.ts';

/** The record of a drill in the words of its alert. Of one that did not begin there is nothing to list. */
export function drillText(record: DrillRecord, bucket: string): string {
  if (!failedBeforeItBegan(record)) return drillAlert(record, bucket).text;
  const { drill, error, cause } = record;
  const { source, executionArn, notes } = drill;
  const failure = { source, executionArn, error: error ?? '', cause: cause ?? '' };
  return unplannedDrillAlert(failure, notes).text;
}
