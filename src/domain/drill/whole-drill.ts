import type { DrillRecord } from '#contracts/drill.ts';

/** What is asked of a record here: one of an older version says as much. */
export interface DrillExtent {
  readonly drill?: Pick<DrillRecord['drill'], 'part'> | undefined;
  readonly databases?:
    | readonly {
        readonly report?: { readonly tablesLeftOut?: number | undefined } | null | undefined;
      }[]
    | undefined;
}

/**
 * Whether a drill stands for its source when it passes: its databases were rehearsed and nothing of them was left
 * out. What one database of several has shown, or one whose tables the drill's server could not take, makes no alarm
 * go out and no source proved.
 */
export function isWholeDrill(record: DrillExtent): boolean {
  return !record.drill?.part && tablesLeftOut(record) === 0;
}

/** It passed, and all of the source that there is to rehearse came back. */
export function countsForSource(
  record: DrillExtent & { readonly status: DrillRecord['status'] },
): boolean {
  return record.status === 'PASSED' && isWholeDrill(record);
}

/** Tables whose rows no server of the drill could take, of all its databases. */
export function tablesLeftOut({ databases = [] }: DrillExtent): number {
  return databases.reduce((sum, { report }) => sum + (report?.tablesLeftOut ?? 0), 0);
}
