import { RestoreInput } from '#contracts/restore.ts';
import { InvalidInput } from '#errors';
import { describeInputProblems } from '../input-problems.ts';

const EXAMPLE =
  'write {"source":"orders","database":"shop","backup":"latest"}; docs/restore.md has every field';

/** The input of a restore, from the console or the CLI. Throws InvalidInput, which says what to write. */
export function parseRestoreInput(input: unknown): RestoreInput {
  const result = RestoreInput.safeParse(input, { reportInput: true });
  if (!result.success) {
    throw new InvalidInput(describeInputProblems(input, result.error, RestoreInput.shape), {
      remedy: EXAMPLE,
      cause: result.error,
    });
  }
  const contradiction = findContradiction(result.data);
  if (contradiction) throw new InvalidInput(contradiction, { remedy: EXAMPLE });
  return result.data;
}

/** What each field allows, and all together do not. */
function findContradiction(input: RestoreInput): string | undefined {
  const { target, database, archive, selection, roles } = input;
  const partial = selection.tables ?? selection.schemas ?? selection.only;
  if (target.mode === 'existing' && target.database === undefined) {
    return 'target.mode "existing" needs target.database: the name of the empty database';
  }
  if (target.mode === 'swap' && partial !== undefined) {
    return 'target.mode "swap" replaces a whole database, so selection may not leave anything out';
  }
  if (selection.only === 'data' && target.mode !== 'existing') {
    return 'selection.only "data" needs target.mode "existing": the tables must be there';
  }
  if (archive !== undefined && target.database === undefined && database === undefined) {
    return 'an archive needs target.database: what to call the restored database';
  }
  if (archive !== undefined && roles.createMissing) {
    return 'roles.createMissing needs a backup: an archive alone has no roles';
  }
  return undefined;
}
