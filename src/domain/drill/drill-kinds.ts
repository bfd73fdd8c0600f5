import { type DrillKind, defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';

/**
 * The plan's `drill.kinds` of which there can be backups: archives where logical ones are made, snapshots and
 * points in time where RDS has the server. Empty: nothing can be rehearsed, and nothing is scheduled.
 */
export function possibleDrillKinds(
  plan: Pick<SourcePlan, 'kinds' | 'engine' | 'drill'>,
): DrillKind[] {
  const makesArchives = defaultKinds(plan).includes('logical');
  return plan.drill.kinds.filter((kind) =>
    kind === 'archive' ? makesArchives : plan.engine.type !== 'postgres',
  );
}
