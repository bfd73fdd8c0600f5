import type { DrilledDatabase, DrillOrder, DrillReport } from '#contracts/drill.ts';
import { failsDrill } from '#domain/drill/findings.ts';
import { drillKey } from '#domain/names.ts';
import { checkServer } from '#operations/drill/check-server.ts';
import { rehearseArchive } from '#operations/drill/rehearse-archive.ts';
import type { TellProgress } from '#operations/task-progress.ts';
import { LOG } from '#runtime/log-events.ts';
import type { Deps } from '#runtime/ports.ts';

export interface DrillOptions {
  readonly order: DrillOrder;
  readonly signal: AbortSignal;
  readonly progressSeconds: number;
  /** Told where the drill is. */
  readonly tell?: TellProgress;
}

/**
 * Does what the order says and writes a report for each database. A finding is no error: Notify Drill says what it
 * comes to. Throws what `rehearseArchive` and `checkServer` throw.
 */
export async function drill(
  deps: Deps,
  { order, signal, progressSeconds, tell = () => {} }: DrillOptions,
): Promise<{ drilled: DrilledDatabase[] }> {
  const { subject } = order;
  const drilled: DrilledDatabase[] = [];
  const onReport = async (report: DrillReport) => {
    const { database, backupId, findings, measuredSeconds, rtoSeconds } = report;
    const reportKey = drillKey(order.drill, database, 'report.json');
    await deps.objects.put(reportKey, JSON.stringify(report, null, 1), {
      contentType: 'application/json',
    });
    const failed = findings.some(failsDrill);
    drilled.push({ database, backupId, reportKey, failed });
    const { source, drillId } = order.drill;
    deps.log.info(LOG.databaseDrilled, {
      source,
      drillId,
      database,
      backupId,
      failed,
      findings: findings.length,
      measuredSeconds,
      rtoSeconds,
    });
  };
  if (subject.type === 'server') {
    await checkServer(deps, { order, server: subject, signal, tell, onReport });
  } else {
    const { restore } = subject;
    await onReport(await rehearseArchive(deps, { order, restore, signal, progressSeconds, tell }));
  }
  return { drilled };
}
