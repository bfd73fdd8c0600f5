import type { TocEntry } from '../archive/toc.ts';
import type { TocGraph } from '../restore/toc-graph.ts';

/** An entry and, of the selected ones, all that cannot be without it, in the order of the archive. */
export function dependentsOf(
  graph: TocGraph,
  ids: ReadonlySet<number>,
  entry: TocEntry,
): readonly TocEntry[] {
  const gone = new Set([entry]);
  // Once more as long as something falls: dependencies need not point backwards.
  for (let before = 0; before < gone.size; ) {
    before = gone.size;
    for (const other of graph.entries) {
      if (gone.has(other) || !ids.has(other.dumpId)) continue;
      const { owners, needs } = graph.linksOf(other);
      if ([...owners, ...needs].some((it) => gone.has(it))) gone.add(other);
    }
  }
  return graph.entries.filter((it) => gone.has(it));
}
