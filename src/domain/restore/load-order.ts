import { TargetUnsuitable } from '#errors';
import { displayName } from '../display-text.ts';
import { objectKey } from './archive-expectations.ts';
import { displayList } from './entry-kinds.ts';

export interface LoadedTable {
  /** Of its TABLE DATA. */
  readonly dumpId: number;
  readonly schema: string;
  readonly table: string;
}

/** A foreign key that the server checks, between two of the tables or others. */
export interface Reference {
  readonly constraint: string;
  readonly fromSchema: string;
  readonly fromTable: string;
  readonly toSchema: string;
  readonly toTable: string;
}

/**
 * Tables in the order in which their rows can go into tables whose foreign keys hold: those of a level refer to
 * rows of earlier ones, to themselves (which is looked at when the whole COPY is done) and to tables that are not
 * loaded. The levels have dump ids, and are none where there is no table.
 *
 * Throws TargetUnsuitable where tables refer to each other in a circle, with all of them and their keys.
 */
export function orderByReferences(
  tables: readonly LoadedTable[],
  references: readonly Reference[],
): ReadonlySet<number>[] {
  const byName = new Map(tables.map((it) => [objectKey(it.schema, it.table), it]));
  const waitsFor = new Map<LoadedTable, Map<LoadedTable, string>>(
    tables.map((it) => [it, new Map()]),
  );
  for (const { constraint, fromSchema, fromTable, toSchema, toTable } of references) {
    const from = byName.get(objectKey(fromSchema, fromTable));
    const to = byName.get(objectKey(toSchema, toTable));
    if (from && to && from !== to) waitsFor.get(from)?.set(to, constraint);
  }
  const levels: ReadonlySet<number>[] = [];
  for (let waiting = [...tables]; waiting.length > 0; ) {
    const ready = waiting.filter((it) => waitsFor.get(it)?.size === 0);
    if (ready.length === 0) throw circular(waiting, waitsFor);
    levels.push(new Set(ready.map(({ dumpId }) => dumpId)));
    waiting = waiting.filter((it) => !ready.includes(it));
    for (const it of waiting) for (const done of ready) waitsFor.get(it)?.delete(done);
  }
  return levels;
}

/** Follows the references until one comes again: whoever only waits for a circle is not in it. */
function circular(
  waiting: readonly LoadedTable[],
  waitsFor: ReadonlyMap<LoadedTable, ReadonlyMap<LoadedTable, string>>,
): Error {
  const path: { readonly table: LoadedTable; readonly constraint: string }[] = [];
  let at = waiting[0] as LoadedTable;
  while (!path.some(({ table }) => table === at)) {
    const [[next, constraint] = [at, '']] = waitsFor.get(at) ?? [];
    path.push({ table: at, constraint });
    at = next;
  }
  const circle = path.slice(path.findIndex(({ table }) => table === at));
  const named = circle.map(
    ({ table: { schema, table }, constraint }) =>
      `${displayName(schema)}.${displayName(table)} (${displayName(constraint)})`,
  );
  return new TargetUnsuitable(
    `tables refer to each other by foreign keys, so that the rows of none can come first: ${displayList(named)}`,
    {
      remedy:
        'let the restoring role load rows without these checks (an administrator, from PostgreSQL 15 on: GRANT SET ON PARAMETER session_replication_role TO the role; on RDS a member of rds_superuser may), drop one of the keys and add it afterwards, or restore the tables with their definitions',
    },
  );
}
