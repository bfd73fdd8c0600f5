import { displayName } from '#domain/display-text.ts';
import { archiveExpectations } from '#domain/restore/archive-expectations.ts';
import {
  type ArchivedDatabase,
  archivedDatabase,
  isOfDatabaseItself,
} from '#domain/restore/database-definition.ts';
import { type BeforeRestore, markInProgress, parseMark } from '#domain/restore/target-mark.ts';
import { describeObjects } from '#domain/restore/user-objects.ts';
import { DatabaseNotFound, DependencyMissing, TargetNotEmpty, TargetUnsuitable } from '#errors';
import type { Deps, Session } from '#runtime/ports.ts';
import {
  countLargeObjects,
  emptyDatabase,
  findTables,
  recordBefore,
  tableName,
  tablesWithRows,
  userObjects,
} from './empty-database.ts';
import { endOwnSessions, setMark, taken } from './marked-database.ts';
import type { PreparedTarget, TargetRequest } from './prepare-target.ts';
import { type TargetDatabase, type TargetServer, withSession } from './target-server.ts';

/**
 * Makes sure that a database that is there can take the restore, and marks it with what it had before.
 * `session`: on the maintenance database. Throws as `prepareTarget` does.
 */
export async function prepareExisting(
  { databases }: Pick<Deps, 'databases'>,
  session: Session,
  server: TargetServer,
  there: TargetDatabase | undefined,
  request: TargetRequest,
): Promise<PreparedTarget> {
  const { connection, database, restoreId, head, toc } = request;
  if (!there) {
    throw new DatabaseNotFound(`there is no database ${displayName(database)} on the target`, {
      remedy: 'create it, or restore with target.mode "new"',
    });
  }
  const mark = parseMark(there.comment);
  const earlier = mark?.state === 'in-progress' ? mark.before : undefined;
  if (mark?.state === 'in-progress' && (mark.restoreId !== restoreId || !earlier)) {
    throw taken(there, mark);
  }
  const archived = archivedDatabase(head, toc);
  if (earlier) await endOwnSessions(session, database);

  return withSession(databases, connection, database, async (inside) => {
    const warnings = await checkEncoding(inside, archived, there);
    if (earlier) {
      const left = await emptyDatabase(inside, earlier);
      if (left.length > 0) {
        throw new TargetNotEmpty(
          `an earlier try of this restore left what cannot be removed: ${left.slice(0, 5).join('; ')}`,
        );
      }
    }
    const loaded = await checkEmpty(inside, request);
    const before = earlier ?? {
      ...(await recordBefore(inside, there.comment)),
      ...(loaded ? { loaded } : {}),
    };
    await setMark(session, there, markInProgress(restoreId, before));
    if (isOfDatabaseItself(request.selection) && archived.statements.length > 0) {
      const kept = archived.statements.map(({ summary }) => summary).join('; ');
      warnings.push(
        `the database was there before and keeps its own properties; the archive has: ${kept}`,
      );
    }
    return { server, before, warnings };
  });
}

/** Throws TargetUnsuitable where the database cannot hold the archive's characters. Answers warnings. */
async function checkEncoding(
  inside: Session,
  { encoding }: ArchivedDatabase,
  { name, encoding: own }: TargetDatabase,
): Promise<string[]> {
  if (encoding === undefined || encoding === own) return [];
  if (own === 'UTF8' && encoding === 'SQL_ASCII') {
    return [
      'the archive has no encoding (SQL_ASCII): a text that is not UTF8 makes the restore fail',
    ];
  }
  const [row] = await inside.query<{ convertible: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_conversion WHERE condefault
       AND conforencoding = pg_catalog.pg_char_to_encoding($1)
       AND contoencoding = pg_catalog.pg_char_to_encoding($2)) AS "convertible"`,
    [encoding, own],
  );
  if (own === 'UTF8' && row?.convertible) return [];
  throw new TargetUnsuitable(
    `the archive is in ${encoding}, the database ${displayName(name)} in ${own}`,
    { remedy: `create the database with ENCODING '${encoding}' or 'UTF8'` },
  );
}

/**
 * Throws TargetNotEmpty with what was found. For data alone: when the tables have rows, and
 * DependencyMissing when one is not there; answers what is going to be loaded then.
 */
async function checkEmpty(
  inside: Session,
  { database, head, toc, ids, selection }: TargetRequest,
): Promise<BeforeRestore['loaded']> {
  const what = `the database ${displayName(database)}`;
  if (selection.only !== 'data') {
    const objects = (await userObjects(inside)).filter(({ type }) => type !== 'extension');
    const found = describeObjects(objects, await countLargeObjects(inside));
    if (found === '') return undefined;
    throw new TargetNotEmpty(`${what} has ${found}`, {
      remedy: 'restore into an empty database, or under a new name',
    });
  }
  const { tables } = archiveExpectations(head, toc, ids);
  const names = tables.map(({ schema, table }): [string, string] => [schema, table]);
  const known = await findTables(inside, names);
  const missing = known.filter(({ owner }) => owner === null);
  if (missing.length > 0) {
    throw new DependencyMissing(
      `${what} lacks ${enumerate(missing.map(tableName))}, whose data are to be restored`,
      { remedy: 'create the tables first, or restore with their definitions (without "only")' },
    );
  }
  const filled = await tablesWithRows(inside, known);
  if (filled.length > 0) {
    throw new TargetNotEmpty(`${what} has rows in ${enumerate(filled.map(tableName))}`, {
      remedy: 'empty these tables first',
    });
  }
  const largeObjects = toc.entries.some(({ dumpId, desc }) => desc === 'BLOBS' && ids.has(dumpId));
  const total = largeObjects ? await countLargeObjects(inside) : 0;
  if (total > 0) throw new TargetNotEmpty(`${what} has ${total} large objects`);
  return { tables: names, largeObjects };
}

/** `a, b and 3 more` */
function enumerate(names: readonly string[]): string {
  const shown = names.slice(0, 10).join(', ');
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown;
}
