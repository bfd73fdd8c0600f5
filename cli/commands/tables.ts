import type { Command } from 'commander';
import { readableToc } from '#domain/archive/text-encoding.ts';
import type { Toc, TocEntry } from '#domain/archive/toc.ts';
import { displayCount, displayName } from '#domain/display-text.ts';
import { backupKey } from '#domain/names.ts';
import { ObjectMissing } from '#errors';
import { addExamples, type CliContext } from '../context.ts';
import { findShownBackup } from '../find-backup.ts';
import { formatTable, type Output } from '../output.ts';

interface TablesOptions {
  readonly all?: boolean;
}

/** A relation of the archive, as its table of contents has it. */
interface ListedTable {
  readonly schema: string;
  readonly table: string;
  readonly kind: string;
  readonly owner: string;
  readonly hasData: boolean;
  readonly indexes: number;
}

/** Entries of what holds rows. */
const TABLES = new Set(['TABLE', 'FOREIGN TABLE', 'MATERIALIZED VIEW']);

export function register(program: Command, context: CliContext): void {
  const command = program
    .command('tables')
    .description('what is in a backup; reads its table of contents only, also of one in Glacier')
    .argument('<backup>', 'source/database/id, or source/database/latest')
    .option('--all', 'every object of the archive, not only the tables')
    .action(tables);
  addExamples(command, [
    'holdfast tables orders/shop/latest',
    'holdfast tables orders/shop/20261120T030000Z-k3v9qd --all',
  ]);

  async function tables(reference: string, options: TablesOptions, self: Command): Promise<void> {
    const { out, open } = context.begin(self);
    const { deps } = await open();
    const backup = await findShownBackup(deps, reference);
    const key = backupKey(backup, 'toc.dump');
    const found = await deps.objects.get(key);
    if (!found) throw new ObjectMissing(`there is no ${key}`);
    const toc = readableToc(found.body);
    const { source, database, backupId, state } = backup;
    const listed = tablesOf(toc);
    const counts = countKinds(toc);
    out.result(
      {
        source,
        database,
        backupId,
        state,
        tables: listed,
        objects: counts,
        ...(options.all
          ? {
              entries: toc.entries.map(({ dumpId, desc, schema, tag, owner, section }) => ({
                dumpId,
                type: desc,
                schema: schema ?? null,
                name: tag,
                owner: owner ?? null,
                section,
              })),
            }
          : {}),
      },
      () => (options.all ? entryLines(toc, out) : tableLines(listed, counts, out)),
    );
    if (state !== 'verified') out.warn(`backup ${backupId} is ${state}`);
  }
}

function tablesOf({ entries }: Toc): ListedTable[] {
  const indexes = new Map<number, number>();
  for (const { desc, dependencies } of entries) {
    if (desc !== 'INDEX') continue;
    for (const id of dependencies) indexes.set(id, (indexes.get(id) ?? 0) + 1);
  }
  const nameOf = (entry: TocEntry) => JSON.stringify([entry.schema ?? '', entry.tag]);
  const withData = new Set(
    entries.filter(({ desc, hasData }) => desc === 'TABLE DATA' && hasData).map(nameOf),
  );
  return entries
    .filter(({ desc }) => TABLES.has(desc))
    .map((entry) => ({
      schema: entry.schema ?? '',
      table: entry.tag,
      kind: entry.relationKind === 'p' ? 'partitioned table' : entry.desc.toLowerCase(),
      owner: entry.owner ?? '',
      hasData: withData.has(nameOf(entry)),
      indexes: indexes.get(entry.dumpId) ?? 0,
    }))
    .sort((a, b) => (nameKey(a) < nameKey(b) ? -1 : 1));
}

function nameKey({ schema, table }: ListedTable): string {
  return `${schema}\0${table}`;
}

/** By the archive's own word for the kind, the most frequent first. Data and comments go with others. */
function countKinds({ entries }: Toc): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { desc } of entries) counts.set(desc, (counts.get(desc) ?? 0) + 1);
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

function tableLines(
  tables: readonly ListedTable[],
  counts: Readonly<Record<string, number>>,
  out: Output,
): string[] {
  const lines = formatTable(
    [
      {
        title: 'TABLE',
        cell: ({ schema, table }) => `${displayName(schema)}.${displayName(table)}`,
      },
      { title: 'KIND', cell: ({ kind }) => kind },
      { title: 'OWNER', cell: ({ owner }) => (owner === '' ? '-' : displayName(owner)) },
      { title: 'DATA', cell: ({ hasData }) => (hasData ? 'yes' : '-') },
      { title: 'INDEXES', align: 'right', cell: ({ indexes }) => displayCount(indexes) },
    ],
    tables,
    out.colors,
  );
  const others = Object.entries(counts)
    .filter(([kind]) => !TABLES.has(kind) && !/ DATA$| SET$|^(ACL|COMMENT)$/.test(kind))
    .map(([kind, count]) => `${displayCount(count)} ${kind.toLowerCase()}`);
  return [
    ...(tables.length === 0 ? ['There is no table.'] : lines),
    ...(others.length === 0 ? [] : ['', out.colors.dim(`and ${others.join(', ')}: --all`)]),
  ];
}

function entryLines({ entries }: Toc, out: Output): string[] {
  return formatTable(
    [
      { title: 'TYPE', cell: ({ desc }) => displayName(desc).replaceAll('"', '') },
      {
        title: 'NAME',
        cell: ({ schema, tag }) =>
          schema === undefined ? displayName(tag) : `${displayName(schema)}.${displayName(tag)}`,
      },
      { title: 'OWNER', cell: ({ owner }) => (owner ? displayName(owner) : '-') },
      { title: 'SECTION', cell: ({ section }) => section },
    ],
    entries,
    out.colors,
  );
}
