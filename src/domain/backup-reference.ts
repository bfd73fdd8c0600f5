import { InvalidInput } from '#errors';
import { parseBackupId, SOURCE_NAME } from './names.ts';

/** What a person writes to name a backup. */
export interface BackupReference {
  readonly source: string;
  readonly database: string;
  /** `latest`: the newest verified one. */
  readonly backup: string;
  /**
   * Where the last part was not read as a backup, what it would be if it had been meant as one: for the
   * error message, when there is no database of the whole name.
   */
  readonly alternative: { readonly database: string; readonly backup: string } | undefined;
}

const REMEDY = 'write source/database/id, as holdfast list shows them, or source/database/latest';

/**
 * Format: `<source>/<database>[/<backup id>|/latest]`. A database's name may contain slashes; it is cut off at
 * the first and at the last of them. Throws InvalidInput.
 */
export function parseBackupReference(text: string): BackupReference {
  const { source, database: rest } = parseDatabaseReference(text);
  const cut = rest.lastIndexOf('/');
  const head = rest.slice(0, Math.max(cut, 0));
  const last = rest.slice(cut + 1);
  if (head !== '' && (last === 'latest' || parseBackupId(last))) {
    return { source, database: head, backup: last, alternative: undefined };
  }
  return {
    source,
    database: rest,
    backup: 'latest',
    alternative: head === '' ? undefined : { database: head, backup: last },
  };
}

/** Format: `<source>/<database>`. Throws InvalidInput. */
export function parseDatabaseReference(text: string): { source: string; database: string } {
  const cut = text.indexOf('/');
  const source = cut === -1 ? text : text.slice(0, cut);
  const database = cut === -1 ? '' : text.slice(cut + 1);
  if (!SOURCE_NAME.test(source)) {
    throw new InvalidInput(`${JSON.stringify(text)} does not begin with the name of a source`, {
      remedy: REMEDY,
    });
  }
  if (database === '') {
    throw new InvalidInput(`${JSON.stringify(text)} names no database`, { remedy: REMEDY });
  }
  return { source, database };
}
