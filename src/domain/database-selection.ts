import type { DatabaseSelection } from '#contracts/source-plan.ts';
import { isRestoredBeside } from './restore/target-mark.ts';
import { matchesWildcards, wildcardElement } from './wildcards.ts';

/** Databases that providers keep for themselves; nobody else can connect to them. */
const PROVIDERS_OWN = new Set(['rdsadmin', 'cloudsqladmin', 'azure_maintenance']);

export interface SelectedDatabases {
  /** Existing ones, in the order of `existing`. */
  readonly names: readonly string[];
  /** Names that were written out, but do not exist. */
  readonly missing: readonly string[];
  /** Patterns to include that match nothing. */
  readonly unmatched: readonly string[];
  /** What a restore put beside the original, and "all" therefore left out. */
  readonly copies: readonly string[];
}

/** A database as the server lists it; its comment, where it is known, tells what a restore made. */
export type ExistingDatabase = string | { readonly name: string; readonly comment?: string | null };

/**
 * The databases of a run. What was asked for by hand replaces the plan's selection, its exclusions too.
 * An entry that is the name of a database means that one, whatever characters it has; else `*` and `?`
 * make it a pattern. Upper and lower case differ, as they do for PostgreSQL.
 *
 * What a restore made beside the original is nobody's data but a copy, and mostly there for an hour: "all" does
 * not mean it. A name or a pattern does.
 */
export function selectDatabases(
  selection: DatabaseSelection,
  asked: readonly string[] | null,
  existing: readonly ExistingDatabase[],
): SelectedDatabases {
  const listed = existing.map((it) => (typeof it === 'string' ? { name: it } : it));
  const isAll = !asked && selection === 'all';
  const copies = isAll ? listed.filter(isRestoredBeside).map(({ name }) => name) : [];
  const { include, exclude } = asked
    ? { include: asked, exclude: [] }
    : selection === 'all'
      ? { include: ['*'], exclude: copies }
      : Array.isArray(selection)
        ? { include: selection, exclude: [] }
        : selection;
  const available = listed.map(({ name }) => name).filter((name) => !PROVIDERS_OWN.has(name));
  const known = new Set(available);
  const matches = (entry: string) =>
    known.has(entry) ? [entry] : isPattern(entry) ? available.filter(matcher(entry)) : [];

  const excluded = new Set(exclude.flatMap(matches));
  const included = new Set(include.flatMap(matches));
  const without = include.filter((entry) => matches(entry).length === 0);
  return {
    names: available.filter((name) => included.has(name) && !excluded.has(name)),
    missing: [...new Set(without.filter((entry) => !isPattern(entry)))],
    unmatched: [...new Set(without.filter(isPattern))],
    copies,
  };
}

function isPattern(entry: string): boolean {
  return /[*?]/.test(entry);
}

function matcher(pattern: string): (name: string) => boolean {
  const elements = Array.from(pattern, wildcardElement);
  return (name) => matchesWildcards(elements, name);
}
