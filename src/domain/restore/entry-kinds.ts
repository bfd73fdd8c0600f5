import type { LeftOut } from '#contracts/restore.ts';
import type { TocEntry } from '../archive/toc.ts';
import { displayName, displayText } from '../display-text.ts';
import { quotePart, quotePattern } from './name-pattern.ts';

const LEFT_OUT_AS: Readonly<Record<string, LeftOut>> = {
  INDEX: 'indexes',
  CONSTRAINT: 'constraints',
  'CHECK CONSTRAINT': 'constraints',
  'FK CONSTRAINT': 'constraints',
  TRIGGER: 'triggers',
  'EVENT TRIGGER': 'triggers',
  POLICY: 'policies',
  'ROW SECURITY': 'policies',
  RULE: 'rules',
  COMMENT: 'comments',
  ACL: 'privileges',
  'ACL LANGUAGE': 'privileges',
  'DEFAULT ACL': 'privileges',
  PUBLICATION: 'publications',
  'PUBLICATION TABLE': 'publications',
  'PUBLICATION TABLES IN SCHEMA': 'publications',
  SUBSCRIPTION: 'subscriptions',
  'SUBSCRIPTION TABLE': 'subscriptions',
  STATISTICS: 'statistics',
  'STATISTICS DATA': 'statistics',
};

/**
 * By which name an entry can be left out, if by any.
 *
 * - `constraints`: foreign keys, and what stands outside of CREATE TABLE: primary keys, unique and exclusion
 *   constraints, checks that were added NOT VALID. A check within CREATE TABLE is part of the table.
 * - `indexes`: not the ones behind constraints. `policies`: also that row security is on.
 * - `triggers`: also event triggers. `rules`: not those that are the query of a view.
 * - `statistics`: extended statistics objects, and the values that a client from 18 on dumps.
 */
export function leftOutAs({ desc, tag }: Pick<TocEntry, 'desc' | 'tag'>): LeftOut | undefined {
  if (desc === 'RULE' && tag.endsWith(' _RETURN')) return undefined;
  return LEFT_OUT_AS[desc];
}

/** Rows, values of sequences, and large objects with all that is said of them: `--data-only`. */
export function isRows({ desc, tag, hasData }: TocEntry): boolean {
  if (hasData || desc === 'SEQUENCE SET' || isLargeObject({ desc })) return true;
  const isRemark = desc === 'ACL' || desc === 'COMMENT' || desc === 'SECURITY LABEL';
  return isRemark && tag.startsWith('LARGE OBJECT');
}

/** `BLOB METADATA` and `BLOBS` are what clients from 17 on write; older ones have a `BLOB` for each. */
export function isLargeObject({ desc }: Pick<TocEntry, 'desc'>): boolean {
  return desc === 'BLOB' || desc === 'BLOBS' || desc === 'BLOB METADATA';
}

/** Settings for the reading of the archive, which pg_restore applies whatever is selected. */
export function isSetting({ desc }: TocEntry): boolean {
  return desc === 'ENCODING' || desc === 'STDSTRINGS' || desc === 'SEARCHPATH';
}

/** A quoted name of 63 bytes, all of them quotes, and another one. */
const TABLE_CHARACTERS = 260;

/** Fit to be read, and a table's to be pasted into a selection: `public.orders`, `"a.b".orders`. */
export function displayTable(schema: string, table: string): string {
  return displayText(quotePattern(schema, table), TABLE_CHARACTERS);
}

/** Fit to be read: `public.orders`, `TYPE public.state`, `FUNCTION lib.stamp()`. */
export function displayEntry(entry: TocEntry): string {
  const { desc, schema, tag } = entry;
  if (isTableLike(entry))
    return schema === undefined ? displayName(tag) : displayTable(schema, tag);
  const name = displayTag(entry);
  return `${desc} ${schema === undefined ? name : `${displayText(quotePart(schema), 130)}.${name}`}`;
}

/** Of a constraint, whose tag begins with the name of its table: `FK CONSTRAINT public."a.b" a_fkey`. */
export function displayPart(part: TocEntry, { schema = '', tag }: TocEntry): string {
  const prefix = `${tag} `;
  if (part.schema !== schema || !part.tag.startsWith(prefix)) return displayEntry(part);
  const name = displayName(part.tag.slice(prefix.length));
  return `${part.desc} ${displayTable(schema, tag)} ${name}`;
}

/** The same with the kind of a table, too: `TABLE public.orders`. */
export function displayEntryWithKind(entry: TocEntry): string {
  return isTableLike(entry) ? `${entry.desc} ${displayEntry(entry)}` : displayEntry(entry);
}

/** Functions have their arguments, parts of a table its name before theirs: no quotes around all that. */
const COMPOUND =
  /^(FUNCTION|PROCEDURE|AGGREGATE|OPERATOR|CAST|TRANSFORM|DEFAULT|TRIGGER|RULE|POLICY|.*CONSTRAINT|USER MAPPING|.*ACL|COMMENT|SECURITY LABEL|PUBLICATION TABLE.*)\b/;

function displayTag({ desc, tag }: TocEntry): string {
  return COMPOUND.test(desc) ? displayText(tag, 120) : displayName(tag);
}

function isTableLike({ desc }: TocEntry): boolean {
  return (
    desc === 'TABLE' ||
    desc === 'VIEW' ||
    desc === 'MATERIALIZED VIEW' ||
    desc === 'FOREIGN TABLE' ||
    desc === 'TABLE DATA'
  );
}

/** So many things are named in one message. */
const NAMED = 8;

/** `a, b and 3 more`. */
export function displayList(texts: readonly string[], separator = ', '): string {
  const more = texts.length - NAMED;
  const named = texts.slice(0, NAMED).join(separator);
  return more > 0 ? `${named} and ${more} more` : named;
}

export function displayEntryList(entries: Iterable<TocEntry>): string {
  return displayList(Array.from(entries, displayEntry));
}
