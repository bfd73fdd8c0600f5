import type { Selection } from '#contracts/restore.ts';
import type { TocEntry } from '../archive/toc.ts';
import { displayEntry, displayEntryList, displayPart, isLargeObject } from './entry-kinds.ts';
import { isRelation, type TocGraph } from './toc-graph.ts';

/** A selection that has been followed to its end. */
export interface Choice {
  readonly graph: TocGraph;
  readonly selection: Selection;
  /** Neither tables nor schemas were named. */
  readonly isWholeDatabase: boolean;
  readonly chosen: ReadonlyMap<TocEntry, unknown>;
  /** What was asked for, by name or with all. */
  readonly seeds: ReadonlySet<TocEntry>;
  /** Whether it is restored, or in the target. */
  isThere(entry: TocEntry): boolean;
  isLeftOut(entry: TocEntry): boolean;
}

/** What a restored table lacks although nobody asked for that: facts in words. */
export function selectionWarnings(choice: Choice): string[] {
  const warnings = largeObjectWarnings(choice);
  if (choice.selection.only === 'data') return warnings;
  return [
    ...warnings,
    ...partWarnings(choice),
    ...publicationWarnings(choice),
    ...heirWarnings(choice),
  ];
}

function largeObjectWarnings({ graph, selection, isWholeDatabase, chosen }: Choice): string[] {
  if (isWholeDatabase || selection.only === 'schema' || !graph.entries.some(isLargeObject))
    return [];
  // By the type of a column: `oid`, or `lo` of the extension of that name.
  const referring = [...chosen.keys()].filter(
    (entry) =>
      entry.desc === 'TABLE' && /^ {4}.* (oid|[\w"]+\.lo)\b/m.test(graph.definitionOf(entry)),
  );
  const what = referring.length > 0 ? `, which ${displayEntryList(referring)} may refer to` : '';
  return [`left out are large objects${what}: they come with the whole database only`];
}

function partWarnings(choice: Choice): string[] {
  const { graph, chosen } = choice;
  return graph.entries.flatMap((part) => {
    const [subject, ...others] = graph.linksOf(part).owners;
    if (!subject || chosen.has(part)) return [];
    if (part.desc === 'ROW SECURITY' && chosen.has(subject)) {
      return [`${displayEntry(subject)} is without its row security: its readers see all rows`];
    }
    if (choice.isLeftOut(part)) return [];
    if (part.desc === 'STATISTICS' && isOfSelectedSchema(choice, part)) {
      return [`${displayEntry(part)} is left out: ${displayEntry(subject)} is not selected`];
    }
    const lacking = others.filter((it) => !choice.isThere(it));
    if (!chosen.has(subject) || lacking.length === 0) return [];
    const notSelected = `${displayEntryList(lacking)} ${lacking.length > 1 ? 'are' : 'is'} not selected`;
    if (part.desc === 'TABLE ATTACH') {
      return [`${displayEntry(subject)} becomes a table of its own: its parent ${notSelected}`];
    }
    return part.desc === 'FK CONSTRAINT'
      ? [`${displayPart(part, subject)} is left out: ${notSelected}`]
      : [];
  });
}

/** Statistics may lie in another schema than their table. */
function isOfSelectedSchema({ graph, seeds }: Choice, { schema }: TocEntry): boolean {
  return graph.entries.some(
    (entry) => entry.desc === 'SCHEMA' && entry.tag === schema && seeds.has(entry),
  );
}

function publicationWarnings({ graph, selection, isWholeDatabase, chosen }: Choice): string[] {
  if (isWholeDatabase || selection.without.includes('publications')) return [];
  const published = graph.entries
    .filter(({ desc }) => desc === 'PUBLICATION TABLE')
    .flatMap((part) => graph.linksOf(part).owners)
    .filter((owner) => isRelation(owner) && chosen.has(owner));
  if (published.length === 0) return [];
  const names = displayEntryList(new Set(published));
  return [`publications are left out; in the archive they have ${names}`];
}

function heirWarnings({ graph, chosen, seeds }: Choice): string[] {
  return [...seeds].flatMap((entry) => {
    const heirs = graph.heirsOf(entry).filter((heir) => !chosen.has(heir));
    if (heirs.length === 0) return [];
    return [`not selected: ${displayEntryList(heirs)}, inheriting from ${displayEntry(entry)}`];
  });
}
