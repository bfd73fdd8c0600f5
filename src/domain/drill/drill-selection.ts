import type { Selection } from '#contracts/restore.ts';
import type { SourcePlan } from '#contracts/source-plan.ts';
import type { Toc } from '../archive/toc.ts';
import { selectEntries } from '../restore/selection.ts';

/** What the plan has rehearsed of every database: all of it, or `drill.tables` with what they need. */
export function plannedSelection({ drill: { tables } }: Pick<SourcePlan, 'drill'>): Selection {
  return {
    ...(tables === undefined ? {} : { tables }),
    without: [],
    // A table alone may need types and functions that nobody thought of when the plan was written.
    withDependencies: tables !== undefined,
  };
}

/**
 * `drill.tables` is of the whole source: those that this database has or, where it has none of them, all of it.
 * Throws InvalidInput for a pattern that is none.
 */
export function drillSelection(
  head: Buffer,
  toc: Pick<Toc, 'entries' | 'decode'>,
  selection: Selection,
): Selection {
  const { tables, ...whole } = selection;
  if (tables === undefined) return selection;
  const unmatched = new Set(selectEntries(head, toc, selection).unmatched);
  const matched = tables.filter((pattern) => !unmatched.has(pattern));
  return matched.length > 0
    ? { ...selection, tables: matched }
    : { ...whole, withDependencies: false };
}
