import type { Drill, DrillOrder, DrillSubject } from '#contracts/drill.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import { drillTaskSubject } from '#domain/drill/drill-order.ts';
import { drillKey, runIdOfExecution } from '#domain/names.ts';
import type { Deps } from '#runtime/ports.ts';

export interface DrillLaunch {
  readonly drill: Drill;
  readonly plan: Pick<SourcePlan, 'drill' | 'network'>;
  /** The database, or the server: the folder of order and report. */
  readonly name: string;
  readonly subject: DrillSubject;
  /** From here on the time counts that bringing the data back takes. */
  readonly begunAt: string;
  readonly heartbeatSeconds: number;
  readonly taskToken: string;
  readonly storageGiB?: number;
}

/** Writes the order of one drill task and launches it. Returns the task's ARN. Throws as `tasks.run` does. */
export async function launchDrill(
  { clock, objects, tasks }: Pick<Deps, 'clock' | 'objects' | 'tasks'>,
  { plan, name, storageGiB, ...of }: DrillLaunch,
): Promise<string> {
  const { drill, subject, begunAt, heartbeatSeconds, taskToken } = of;
  const { checks, smokeQueries, task, network = plan.network } = plan.drill;
  const order: DrillOrder = {
    version: 1,
    drill,
    subject,
    taskToken,
    createdAt: clock.now().toISOString(),
    begunAt,
    heartbeatSeconds,
    checks,
    smokeQueries,
    task,
    network,
  };
  const orderKey = drillKey(drill, name, 'order.json');
  await objects.put(orderKey, JSON.stringify(order), { contentType: 'application/json' });
  return tasks.run({
    kind: 'drill',
    orderKey,
    source: drill.source,
    runId: runIdOfExecution(drill.executionArn),
    // One task a token: an invocation that Lambda repeats finds the first one's.
    subject: drillTaskSubject(order),
    task,
    network,
    ...(storageGiB === undefined ? {} : { storageGiB }),
  });
}
