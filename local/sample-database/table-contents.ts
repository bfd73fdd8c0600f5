import type pg from 'pg';

export interface TableContents {
  /** `schema.table`, without quotes. */
  readonly table: string;
  readonly rows: number;
  /** Equal for two tables with equal rows in any order. */
  readonly fingerprint: string;
}

/** What is in every user table that stores rows, sorted by name: to compare a database with its copy. */
export async function tableContents(client: pg.Client): Promise<TableContents[]> {
  const { rows: tables } = await client.query<{ name: string; quoted: string }>(
    `SELECT nspname || '.' || relname AS name, format('%I.%I', nspname, relname) AS quoted
       FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
      WHERE relkind = 'r' AND relpersistence <> 't'
        AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
      ORDER BY 1`,
  );
  const contents: TableContents[] = [];
  for (const { name, quoted } of tables) {
    const { rows } = await client.query<{ rows: string; fingerprint: string }>(
      // ROW(t.*) rather than t: a column may be called t.
      `SELECT count(*) AS rows,
              coalesce(sum(hashtextextended(ROW(t.*)::text, 0)::numeric), 0) AS fingerprint
         FROM ${quoted} AS t`,
    );
    const [row] = rows;
    if (row) contents.push({ table: name, rows: Number(row.rows), fingerprint: row.fingerprint });
  }
  return contents;
}
