import type { Manifest } from '#contracts/manifest.ts';
import type { Verification } from '#contracts/verification.ts';

/** One table of a backup: what it takes in the archive, compressed, and its rows as verification counted them. */
export interface TableSize {
  readonly schema: string;
  readonly table: string;
  readonly archiveBytes: number;
  /** Null: they were not counted. */
  readonly rows: number | null;
}

/** The tables that take the most of the archive, largest first. */
export function largestTables(
  manifest: Pick<Manifest, 'archive'>,
  verification: Pick<Verification, 'tables'> | null,
  limit: number,
): TableSize[] {
  const keyOf = (schema: string, table: string) => JSON.stringify([schema, table]);
  const rows = new Map(
    verification?.tables.map((it) => [keyOf(it.schema, it.table), it.rows] as const),
  );
  return manifest.archive.blocks
    .flatMap(({ kind, schema, table, lengthBytes }) =>
      kind === 'table' && schema !== undefined && table !== undefined
        ? [
            {
              schema,
              table,
              archiveBytes: lengthBytes,
              rows: rows.get(keyOf(schema, table)) ?? null,
            },
          ]
        : [],
    )
    .sort((a, b) => b.archiveBytes - a.archiveBytes)
    .slice(0, limit);
}
