import * as z from 'zod';
import { restoredSuffix } from '../names.ts';

/**
 * The comment on the database that a restore works in: who works there, and what was there before. It is
 * what a second try and the clean-up go by, and what keeps both from touching anybody else's database.
 *
 * Format while at work: `holdfast restore <restoreId>: in progress`; in a database that was there before it
 * goes on with `; before: ` and JSON ({@link BeforeRestore}). When all is done: the comment of the
 * archive, or what an existing database had, if there is one, and `restored by Holdfast from <source>/<database> <backupId> (restore <restoreId>)`.
 */

/** A grant in the words of the catalog; grantee null: PUBLIC. */
const Grant = z.strictObject({
  grantee: z.string().nullable(),
  privilege: z.string(),
  grantable: z.boolean(),
});
export type Grant = z.infer<typeof Grant>;

const DefaultPrivileges = z.strictObject({
  role: z.string(),
  /** Null: in every schema. */
  schema: z.string().nullable(),
  /** `defaclobjtype`: r tables, S sequences, f functions, T types, n schemas, L large objects. */
  objects: z.enum(['r', 'S', 'f', 'T', 'n', 'L']),
  grants: z.array(Grant),
});
export type DefaultPrivileges = z.infer<typeof DefaultPrivileges>;

const PublicSchema = z.strictObject({
  owner: z.string(),
  grants: z.array(Grant),
  comment: z.string().nullable(),
});
export type PublicSchema = z.infer<typeof PublicSchema>;

/** What an existing database had before its restore. */
export const BeforeRestore = z.strictObject({
  comment: z.string().nullable(),
  /** Quoted, as `pg_identify_object` names them. */
  extensions: z.array(z.string()),
  /** Null: there is no schema public. */
  publicSchema: PublicSchema.nullable(),
  defaultPrivileges: z.array(DefaultPrivileges),
  /** Of a restore of data alone: what it loads into, which was empty. Undefined: the whole database was. */
  loaded: z
    .strictObject({
      tables: z.array(z.tuple([z.string(), z.string()])),
      largeObjects: z.boolean(),
    })
    .optional(),
});
export type BeforeRestore = z.infer<typeof BeforeRestore>;

export type TargetMark =
  | { readonly state: 'in-progress'; readonly restoreId: string; readonly before?: BeforeRestore }
  | { readonly state: 'restored'; readonly restoreId: string };

const IN_PROGRESS = /^holdfast restore (\S+): in progress(?:; before: (\{.*\}))?$/s;
const RESTORED = /(?:^|\n)restored by Holdfast from .* \(restore (\S+)\)$/s;

export function markInProgress(restoreId: string, before?: BeforeRestore): string {
  const mark = `holdfast restore ${restoreId}: in progress`;
  return before ? `${mark}; before: ${JSON.stringify(before)}` : mark;
}

/** `origin`: `<source>/<database> <backupId>`, or the key of a foreign archive; then what is in doubt of it. */
export function markAsRestored(
  origin: string,
  restoreId: string,
  comment: string | undefined,
): string {
  const mark = `restored by Holdfast from ${origin} (restore ${restoreId})`;
  // What was backed up may itself have come from a restore, or be what a failed one left.
  const own =
    comment === undefined || IN_PROGRESS.test(comment) ? '' : comment.replace(RESTORED, '');
  return own === '' ? mark : `${own}\n${mark}`;
}

/** The mark in a database's comment; undefined where there is none that we wrote. */
export function parseMark(comment: string | null): TargetMark | undefined {
  if (comment === null) return undefined;
  const atWork = IN_PROGRESS.exec(comment);
  if (atWork) {
    const [, restoreId = '', json] = atWork;
    if (json === undefined) return { state: 'in-progress', restoreId };
    const before = parseBefore(json);
    return before && { state: 'in-progress', restoreId, before };
  }
  const done = RESTORED.exec(comment);
  return done ? { state: 'restored', restoreId: done[1] ?? '' } : undefined;
}

/**
 * The comment on a role that a restore made, until all is done. Who made it can be told from nothing else, and
 * the clean-up drops those of its own restore.
 *
 * Format: `holdfast restore <restoreId>: made this role`.
 */
export function markOfRole(restoreId: string): string {
  return `holdfast restore ${restoreId}: made this role`;
}

/** The start and the end of {@link markOfRole}, with anything between. */
export const ANY_MARK_OF_ROLE = markOfRole('%');

/**
 * Whether a restore made the database to lie beside its original: it carries the mark, and still has the name
 * with that restore's id. One that was renamed, took the original's place or was given a name of its own is
 * somebody's database like any other, though its comment says where it came from.
 */
export function isRestoredBeside({
  name,
  comment,
}: {
  readonly name: string;
  readonly comment?: string | null;
}): boolean {
  const mark = parseMark(comment ?? null);
  return mark !== undefined && name.endsWith(restoredSuffix(mark.restoreId));
}

function parseBefore(json: string): BeforeRestore | undefined {
  try {
    return BeforeRestore.safeParse(JSON.parse(json)).data;
  } catch {
    return undefined;
  }
}
