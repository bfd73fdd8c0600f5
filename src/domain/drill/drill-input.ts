import { DrillInput } from '#contracts/drill.ts';
import type { DrillKind } from '#contracts/source-plan.ts';
import { InvalidInput } from '#errors';
import { describeInputProblems } from '../input-problems.ts';

const EXAMPLE =
  'write {"source":"orders"}; optional are "database":"shop", "kind":"archive", "backup":"latest" and "reason":"before the audit"';

/** The input of a drill, from the console, a schedule or the CLI. Throws InvalidInput, which says what to write. */
export function parseDrillInput(input: unknown): DrillInput {
  const result = DrillInput.safeParse(input, { reportInput: true });
  if (!result.success) {
    throw new InvalidInput(describeInputProblems(input, result.error, DrillInput.shape), {
      remedy: EXAMPLE,
      cause: result.error,
    });
  }
  const { kind, database, backup } = result.data;
  const chosen = database === undefined ? backup && 'backup' : 'database';
  if (kind !== undefined && kind !== 'archive' && chosen !== undefined) {
    throw new InvalidInput(
      `kind ${JSON.stringify(kind)} is of a whole server, ${chosen} of archives`,
      {
        remedy: `leave out ${JSON.stringify(chosen)}, or write "kind":"archive"`,
      },
    );
  }
  return result.data;
}

/**
 * What is rehearsed: as asked, an archive where one is asked for, else the kind that follows on the last
 * drill's in `kinds`, the first after any other.
 */
export function kindOfDrill(
  { kind, database, backup }: Pick<DrillInput, 'kind' | 'database' | 'backup'>,
  kinds: readonly DrillKind[],
  lastKind: DrillKind | undefined,
): DrillKind {
  if (kind !== undefined) return kind;
  if (database !== undefined || backup !== undefined) return 'archive';
  const last = lastKind === undefined ? -1 : kinds.indexOf(lastKind);
  return kinds[(last + 1) % kinds.length] ?? 'archive';
}
