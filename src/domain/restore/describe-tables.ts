import type { DataBlock } from '../archive/block-index.ts';
import type { Toc, TocEntry } from '../archive/toc.ts';

export interface DescribedTable {
  readonly schema: string;
  readonly table: string;
  readonly kind: 'table' | 'partitioned table' | 'view' | 'materialized view' | 'foreign table';
  /** Whether the archive has rows of it. A partitioned table's are its partitions'. */
  readonly hasData: boolean;
  /** What the rows take in the archive, compressed; undefined without rows and where it is not known. */
  readonly blockBytes: number | undefined;
}

const KINDS: Readonly<Record<string, DescribedTable['kind']>> = {
  TABLE: 'table',
  'FOREIGN TABLE': 'foreign table',
  VIEW: 'view',
  'MATERIALIZED VIEW': 'materialized view',
};

/**
 * What of an archive can be selected as a table, sorted by schema and name. Archives before 1.16 do not
 * record which table is partitioned: there it is one without rows.
 */
export function describeTables(
  toc: Pick<Toc, 'entries'>,
  blocks: readonly Pick<DataBlock, 'dumpId' | 'lengthBytes'>[] = [],
): DescribedTable[] {
  const bytesOf = new Map(blocks.map(({ dumpId, lengthBytes }) => [dumpId, lengthBytes]));
  const key = ({ schema = '', tag }: TocEntry) => `${schema}\0${tag}`;
  const rowsOf = new Map(
    toc.entries.filter(({ desc }) => desc === 'TABLE DATA').map((entry) => [key(entry), entry]),
  );
  const relations = toc.entries.filter(({ desc }) => KINDS[desc] !== undefined);
  const known = new Set(relations.map(key));
  // An extension makes some tables, and only their rows are in the archive.
  const alone = [...rowsOf.values()].filter((entry) => !known.has(key(entry)));
  return [...relations, ...alone]
    .map((entry): DescribedTable => {
      const rows = rowsOf.get(key(entry));
      return {
        schema: entry.schema ?? '',
        table: entry.tag,
        kind: entry.relationKind === 'p' ? 'partitioned table' : (KINDS[entry.desc] ?? 'table'),
        hasData: rows !== undefined,
        blockBytes: rows && bytesOf.get(rows.dumpId),
      };
    })
    .sort((a, b) => compare(a.schema, b.schema) || compare(a.table, b.table));
}

/** By code unit: the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
