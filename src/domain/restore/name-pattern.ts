import { InvalidInput } from '#errors';
import { displayText } from '../display-text.ts';
import { matchesWildcards, type WildcardElement, wildcardElement } from '../wildcards.ts';

/**
 * Names of tables and schemas as one writes them in a selection.
 *
 * `*` is any characters, also none, and `?` exactly one, within a part: a dot parts schema and name. Double
 * quotes protect dots and wildcards, a quote within is doubled, as in psql's `\d` patterns. Unlike there,
 * upper and lower case differ with and without quotes: names come from a listing, where they stand as they
 * are, and folding them would make `public.Orders` another table than the one that was listed.
 */
export interface NamePattern {
  matches(name: string): boolean;
}

export interface TablePattern {
  /** Undefined for a bare name: it means that name in every schema, as `pg_restore --table` does. */
  readonly schema: NamePattern | undefined;
  readonly name: NamePattern;
}

/**
 * Reads `name`, `schema.name`, `"My Schema"."My.Table"`, `audit.*`.
 *
 * @throws InvalidInput at a quote without its end, an empty part, or a second dot.
 */
export function parseTablePattern(text: string): TablePattern {
  const parts = readParts(text);
  const [first, second] = parts;
  if (parts.length > 2 || first === undefined) {
    throw new InvalidInput(`the pattern ${displayText(text, 100)} has ${parts.length} parts`, {
      remedy: 'write "schema.table", and quotes around a name with a dot: public."a.b"',
    });
  }
  return second === undefined
    ? { schema: undefined, name: first }
    : { schema: first, name: second };
}

/**
 * Reads the pattern of a schema.
 *
 * @throws InvalidInput at a quote without its end, an empty part, or a dot outside of quotes.
 */
export function parseSchemaPattern(text: string): NamePattern {
  const parts = readParts(text);
  const [only] = parts;
  if (parts.length > 1 || only === undefined) {
    throw new InvalidInput(`the schema pattern ${displayText(text, 100)} has a dot`, {
      remedy: 'put quotes around a name with a dot ("a.b"), or write tables: ["schema.table"]',
    });
  }
  return only;
}

function readParts(text: string): NamePattern[] {
  const parts: WildcardElement[][] = [[]];
  let isQuoted = false;
  const chars = Array.from(text);
  for (let at = 0; at < chars.length; at += 1) {
    const char = chars[at] as string;
    const part = parts.at(-1) as WildcardElement[];
    if (char === '"') {
      if (isQuoted && chars[at + 1] === '"') {
        part.push({ char });
        at += 1;
      } else {
        isQuoted = !isQuoted;
      }
    } else if (isQuoted) {
      part.push({ char });
    } else if (char === '.') {
      parts.push([]);
    } else {
      part.push(wildcardElement(char));
    }
  }
  if (isQuoted) {
    throw new InvalidInput(`the pattern ${displayText(text, 100)} has a quote without its end`, {
      remedy: 'a quote within quotes is doubled: "a ""quoted"" name"',
    });
  }
  if (parts.some((part) => part.length === 0)) {
    throw new InvalidInput(`the pattern ${displayText(text, 100)} has an empty part`, {
      remedy: 'write "schema.table"; * matches every name',
    });
  }
  return parts.map((elements) => ({ matches: (name) => matchesWildcards(elements, name) }));
}

/** The pattern that matches exactly this name, for a hint that can be pasted: quoted where it must be. */
export function quotePattern(schema: string, name: string): string {
  return `${quotePart(schema)}.${quotePart(name)}`;
}

/** One part of a pattern that matches exactly this name. */
export function quotePart(name: string): string {
  return /^[\p{L}\p{N}_$-]+$/u.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
