import { defaultKinds, type SourcePlan } from '#contracts/source-plan.ts';
import type { Run } from '#contracts/workflow.ts';

/**
 * Whether a run was asked for less than the source has: some of its databases, or of the plan's kinds. What is well with
 * that says nothing of the rest.
 *
 * @param plan undefined: it cannot be read
 * @param known the databases that the last whole run found, where the plan does not name them; undefined: none told
 */
export function isPartOfSource(
  { databases, kinds }: Pick<Run, 'databases' | 'kinds'>,
  plan: SourcePlan | undefined,
  known: readonly string[] | undefined,
): boolean {
  if (plan && defaultKinds(plan).some((kind) => !kinds.includes(kind))) return true;
  if (databases === null) return false;
  const all = Array.isArray(plan?.databases) ? plan.databases : known;
  return all === undefined || all.some((database) => !databases.includes(database));
}
