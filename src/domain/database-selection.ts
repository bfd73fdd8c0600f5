import type { DatabaseSelection } from '#contracts/source-plan.ts';

/** Databases that providers keep for themselves; nobody else can connect to them. */
const PROVIDERS_OWN = new Set(['rdsadmin', 'cloudsqladmin', 'azure_maintenance']);

export interface SelectedDatabases {
  /** Existing ones, in the order of `existing`. */
  readonly names: readonly string[];
  /** Names that were written out, but do not exist. */
  readonly missing: readonly string[];
  /** Patterns to include that match nothing. */
  readonly unmatched: readonly string[];
}

/**
 * The databases of a run. What was asked for by hand replaces the plan's selection, its exclusions too.
 * An entry that is the name of a database means that one, whatever characters it has; else `*` and `?`
 * make it a pattern. Upper and lower case differ, as they do for PostgreSQL.
 */
export function selectDatabases(
  selection: DatabaseSelection,
  asked: readonly string[] | null,
  existing: readonly string[],
): SelectedDatabases {
  const { include, exclude } = asked
    ? { include: asked, exclude: [] }
    : selection === 'all'
      ? { include: ['*'], exclude: [] }
      : Array.isArray(selection)
        ? { include: selection, exclude: [] }
        : selection;
  const available = existing.filter((name) => !PROVIDERS_OWN.has(name));
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
  };
}

function isPattern(entry: string): boolean {
  return /[*?]/.test(entry);
}

/**
 * `*`: any characters, also none; `?`: exactly one. Remembers only the last `*`, so that it takes at most
 * pattern times name steps, where a regular expression could take forever.
 */
function matcher(pattern: string): (name: string) => boolean {
  const wanted = Array.from(pattern);
  return (name) => {
    const letters = Array.from(name);
    let at = 0;
    let star = -1;
    let starMatchedTo = 0;
    for (let letter = 0; letter < letters.length; ) {
      if (wanted[at] === '*') {
        star = at++;
        starMatchedTo = letter;
      } else if (wanted[at] === '?' || wanted[at] === letters[letter]) {
        at++;
        letter++;
      } else if (star >= 0) {
        at = star + 1;
        letter = ++starMatchedTo;
      } else {
        return false;
      }
    }
    return wanted.slice(at).every((rest) => rest === '*');
  };
}
