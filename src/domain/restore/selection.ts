import type { Selection } from '#contracts/restore.ts';
import { DependencyMissing, NothingSelected } from '#errors';
import type { Toc, TocEntry } from '../archive/toc.ts';
import { closest } from '../closest.ts';
import { displayName, displayText } from '../display-text.ts';
import { displayEntry, displayEntryWithKind, displayList, isSetting } from './entry-kinds.ts';
import { EntrySelector } from './entry-selector.ts';
import { quotePart, quotePattern } from './name-pattern.ts';
import { isRelation, TocGraph } from './toc-graph.ts';

export interface SelectedTable {
  readonly schema: string;
  readonly table: string;
  /** Of its TABLE DATA; undefined where no rows of it are restored. */
  readonly dataDumpId: number | undefined;
}

/** Something that the restore needs, and neither makes nor finds in the target. */
export interface MissingDependency {
  readonly needed: TocEntry;
  /** What needs it. */
  readonly by: readonly TocEntry[];
}

export interface SelectedEntries {
  /** Dump ids of all that is restored. */
  readonly ids: ReadonlySet<number>;
  /** Whether that is the whole archive: all but what is about the database itself. */
  readonly whole: boolean;
  /** Tables that can hold rows, in the order of the archive. */
  readonly tables: readonly SelectedTable[];
  /** Of these, what nobody asked for: it is restored because something else needs it. */
  readonly dependencies: readonly TocEntry[];
  readonly missing: readonly MissingDependency[];
  /** Patterns and names that match nothing. */
  readonly unmatched: readonly string[];
  /** What was left out or taken along in silence otherwise; each a fact in words. */
  readonly warnings: readonly string[];
}

/** Whether something is in the target already: then it is not made, and nothing that needs it is missing. */
export type IsPresent = (entry: TocEntry) => boolean;

/**
 * What of an archive is restored. `head` is what the TOC was parsed from.
 *
 * - The database itself, its comment, its privileges and its settings are never among it.
 * - A name takes a table, view, materialized view, foreign table or sequence, with all its parts: rows,
 *   defaults, the sequences that its columns own, indexes, constraints, triggers, rules, policies, comments,
 *   privileges, statistics. A partitioned table comes with its partitions, a table that others inherit from
 *   without these. A partition alone becomes a table of its own.
 * - A schema takes all that is in it. The schema of a selected table is made if the target does not have it.
 * - A foreign key comes when both of its tables do.
 * - Large objects, publications, subscriptions and what else is in no schema come with whole restores only,
 *   or where something needs them.
 * - `withDependencies` adds what the selected objects need, and what these need in turn. Tables come with
 *   their rows and parts then, also the tables that foreign keys refer to and that views read: a check
 *   against an empty table fails, and a view over one is an empty view that looks restored. Of the parents of
 *   a partition only the definition comes, as their rows are other partitions'. What a function's body names
 *   is not known to the archive, unless it is SQL-standard (BEGIN ATOMIC).
 * - `without` keeps an index or a constraint nevertheless that something else cannot be made without: a
 *   foreign key's unique index, the primary key behind a view's GROUP BY.
 *
 * The entry with exactly a written name wins over the pattern: `public.a*` is that table if there is one.
 * @throws InvalidInput for a malformed pattern.
 */
export function selectEntries(
  head: Buffer,
  toc: Pick<Toc, 'entries' | 'decode'>,
  selection: Selection,
  isPresent: IsPresent = () => false,
): SelectedEntries {
  return new EntrySelector(new TocGraph(head, toc), selection, isPresent).select();
}

const WHOLE: Selection = { without: [], withDependencies: false };

/**
 * The same, where there is something to restore and nothing missing.
 *
 * @throws NothingSelected for a name or pattern that matches nothing, with what was probably meant.
 * @throws DependencyMissing, naming what needs what.
 * @throws InvalidInput for a malformed pattern.
 */
export function requireSelection(
  head: Buffer,
  toc: Pick<Toc, 'entries' | 'decode'>,
  selection: Selection,
  isPresent: IsPresent = () => false,
): SelectedEntries {
  const selected = selectEntries(head, toc, selection, isPresent);
  requireMatches(toc, selected.unmatched);
  const { ids, missing } = selected;
  const isEmpty = (chosen: ReadonlySet<number>) =>
    !toc.entries.some((entry) => chosen.has(entry.dumpId) && !isSetting(entry));
  // A database without any object has an archive without any, and comes back as empty as it was.
  if (isEmpty(ids) && !isEmpty(selectEntries(head, toc, WHOLE).ids)) {
    throw new NothingSelected('the selection leaves nothing to restore', {
      remedy: 'leave out less, or select more',
    });
  }
  requireDependencies(missing, selection);
  return selected;
}

/**
 * What to look for in the target before the start: with the answers, as `isPresent`, the selection is made
 * once more. Only its schemas and what others need; nobody asks whether a selected table is there already.
 */
export function dependencyProbe(
  toc: Pick<Toc, 'entries'>,
  selected: Pick<SelectedEntries, 'ids' | 'dependencies' | 'missing'>,
): readonly TocEntry[] {
  const schemas = toc.entries.filter(
    ({ desc, dumpId }) => desc === 'SCHEMA' && selected.ids.has(dumpId),
  );
  const missing = selected.missing.map(({ needed }) => needed);
  return [...new Set([...schemas, ...selected.dependencies, ...missing])];
}

function requireMatches(toc: Pick<Toc, 'entries'>, unmatched: readonly string[]): void {
  const [first] = unmatched;
  if (first === undefined) return;
  const names = selectableNames(toc);
  const meant = closest(first, names) ?? closestBareName(toc, first);
  const listed = unmatched.map((it) => displayName(it));
  throw new NothingSelected(`the archive has nothing called ${displayList(listed)}`, {
    remedy: meant
      ? `did you mean ${displayText(meant, 200)}?`
      : names.length > 0
        ? `it has ${displayList(names.map((it) => displayText(it, 100)))}`
        : 'it has no table at all',
  });
}

/** As patterns, so that one of them can be pasted. */
function selectableNames({ entries }: Pick<Toc, 'entries'>): string[] {
  const tables = entries.filter((entry) => isRelation(entry) && entry.desc !== 'SEQUENCE');
  const schemas = new Set(tables.map(({ schema = '' }) => schema));
  return [
    ...tables.map(({ schema = '', tag }) => quotePattern(schema, tag)),
    ...[...schemas].map(quotePart),
  ];
}

/** For a name without its schema, or with a wrong one. */
function closestBareName({ entries }: Pick<Toc, 'entries'>, word: string): string | undefined {
  const tables = entries.filter(isRelation);
  const bare = word.slice(word.lastIndexOf('.') + 1);
  const meant = closest(
    bare,
    tables.map(({ tag }) => tag),
  );
  const found = tables.find(({ tag }) => tag === meant);
  return found && quotePattern(found.schema ?? '', found.tag);
}

function requireDependencies(missing: readonly MissingDependency[], selection: Selection): void {
  if (missing.length === 0) return;
  const facts = missing.map(({ needed, by }) => {
    const [first, ...others] = by;
    const needer = first ? displayEntry(first) : 'the selection';
    const more = others.length > 0 ? ` (and ${others.length} more)` : '';
    return `${needer}${more} needs ${displayEntryWithKind(needed)}`;
  });
  const needed = missing.map((it) => it.needed);
  throw new DependencyMissing(displayList(facts, '; '), {
    remedy:
      selection.only === 'data'
        ? 'restore the tables with their rows, or create them first'
        : ['say "withDependencies": true', ...otherWays(needed)].join(', or '),
  });
}

/** A selection names relations alone; and what is restored into is empty but for its extensions. */
function otherWays(needed: readonly TocEntry[]): string[] {
  if (needed.every(isRelation)) return ['select it too'];
  if (needed.every(({ desc }) => desc === 'EXTENSION')) {
    return ['create it first in an empty database, and restore into that'];
  }
  return [];
}
