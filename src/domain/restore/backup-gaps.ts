import type { Manifest } from '#contracts/manifest.ts';
import type { Selection } from '#contracts/restore.ts';

/**
 * What pg_dump says of tables whose foreign keys go round in a circle, with its detail and hint lines: it is of
 * restoring rows alone, and keys are made after the rows here.
 */
const OF_CIRCLES = [
  /there are circular foreign-key constraints (on this table|among these tables)/,
  /^pg_dump: detail: /,
  /^pg_dump: hint: (You might not be able to restore the dump without|Consider using a full dump)/,
];

/** `user mapping`, `subscription`, `unlogged`: what is known to be away, in our words and in pg_dump's. */
const IS_A_GAP =
  /^options of user mappings may be hidden|rows of unlogged tables are missing|subscriptions? (are left out|not dumped)/;

/**
 * What a restore says of its backup: what was not in it to begin with. Undefined manifest: nobody knows. Of a part
 * of a database it says nothing, as the warnings are of the whole.
 */
export function backupGaps(
  manifest: Pick<Manifest, 'warnings'> | undefined,
  { tables, schemas, only }: Pick<Selection, 'tables' | 'schemas' | 'only'>,
): string[] {
  if (tables !== undefined || schemas !== undefined || only === 'data') return [];
  return (manifest?.warnings ?? [])
    .filter((warning) => !OF_CIRCLES.some((pattern) => pattern.test(warning)))
    .map((warning) =>
      IS_A_GAP.test(warning)
        ? `not in the backup: ${warning}`
        : `said when the backup was made: ${warning}`,
    );
}
